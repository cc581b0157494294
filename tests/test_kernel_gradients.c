/* test_kernel_gradients.c - every backward against finite differences of its forward.
 *
 * Compiled in double. A case names a kernel's inputs, its forward and its backward. The loss is the sum of the outputs
 * times fixed random numbers dy, so the backward of dy must equal the loss's central differences, input by input. Each
 * case runs for several random shapes, on the plain machine behind the counting one, which must hand everything on.
 * Seeds are fixed, and with them the shapes: no draw comes so near to a tie or a threshold that a difference steps over
 * it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernel.h"

enum { TRIALS = 6, INPUTS_MAX = 8, BLOCKS_MAX = 64 };

/* What a backward does to a gradient: "=" or "+=". */
enum gradient { OVERWRITTEN, ACCUMULATED };

/* What a gradient holds before the backward: "=" must replace it and "+=" must keep it. */
static const real gradient_before = (real)1.75;

struct input {
    real *x, *dx;
    size_t n;
    enum gradient gradient;
};

/* One trial of one case. Which members a case uses is its own affair. */
struct scene {
    const struct loom_kernels *k;
    struct loom_random stream;
    uint64_t drawn;
    size_t trial, n_blocks;
    void *blocks[BLOCKS_MAX];
    struct input input[INPUTS_MAX];
    size_t n_inputs;
    real *y, *dy;
    size_t outputs;
    real *kept[2]; /* what a forward keeps for its backward, and what has no gradient */
    int *ids, *offset, *slot, *source;
    size_t rows, cols, pairs;
    struct loom_linear linear;
    struct loom_attention attention;
    struct loom_route route;
    struct loom_halt halt;
    struct loom_view dq, dk, dv, q, key, value;
};

struct kernel_case {
    const char *name;
    void (*prepare)(struct scene *s);
    void (*forward)(struct scene *s);
    void (*backward)(struct scene *s);
};

/* ---- the harness ------------------------------------------------------------------------------------------------- */

static void *take(struct scene *s, size_t bytes) {
    assert_true(s->n_blocks < BLOCKS_MAX);
    void *block = test_calloc(1, bytes + 1);
    s->blocks[s->n_blocks++] = block;
    return block;
}

static size_t between(struct scene *s, size_t low, size_t high) {
    return low + loom_random_below(s->stream, s->drawn++, high - low + 1);
}

static real *noise(struct scene *s, size_t n) {
    real *x = take(s, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (real)loom_random_normal(s->stream, s->drawn++);
    return x;
}

static real *add_input(struct scene *s, size_t n, enum gradient gradient) {
    assert_true(s->n_inputs < INPUTS_MAX);
    struct input *in = &s->input[s->n_inputs++];
    *in = (struct input){noise(s, n), take(s, n * sizeof(real)), n, gradient};
    s->k->fill(s->k, in->dx, gradient_before, n);
    return in->x;
}

static void set_output(struct scene *s, size_t n) {
    s->outputs = n;
    s->y = take(s, n * sizeof *s->y);
    s->dy = noise(s, n);
}

static double loss(struct scene *s, const struct kernel_case *c) {
    memset(s->y, 0, s->outputs * sizeof *s->y);
    c->forward(s);
    double sum = 0;
    for (size_t i = 0; i < s->outputs; i++)
        sum += (double)s->y[i] * (double)s->dy[i];
    return sum;
}

/* The norm of the error over the norm of the gradient; the floor is for gradients that are zero by nature, where only
 * the rounding of the differences is left. */
static void check_input(struct scene *s, const struct kernel_case *c, const struct input *in) {
    const real step = (real)1e-5;
    double error = 0, norm = 0;
    for (size_t i = 0; i < in->n; i++) {
        const real x = in->x[i];
        in->x[i] = x + step;
        double want = loss(s, c);
        in->x[i] = x - step;
        want = (want - loss(s, c)) / (2 * (double)step);
        in->x[i] = x;
        double got = (double)in->dx[i] - (in->gradient == ACCUMULATED ? (double)gradient_before : 0);
        error += (got - want) * (got - want);
        norm += want * want;
    }
    if (!(sqrt(error) <= 1e-6 * sqrt(norm) + 1e-9))
        fail_msg("%s, trial %zu, input %td: gradient off by %g of %g", c->name, s->trial, in - s->input, sqrt(error),
                 sqrt(norm));
}

static void run_trial(const struct kernel_case *c, const struct loom_kernels *k, size_t trial) {
    struct scene s = {.k = k, .stream = {trial + 1, LOOM_RANDOM_TEST}, .trial = trial};
    c->prepare(&s);
    loss(&s, c);
    c->backward(&s);
    for (size_t i = 0; i < s.n_inputs; i++)
        check_input(&s, c, &s.input[i]);
    for (size_t i = 0; i < s.n_blocks; i++)
        test_free(s.blocks[i]);
}

static void test_case(void **state) {
    struct loom_counter counter;
    loom_counter_init(&counter, loom_kernels_ref());
    for (size_t trial = 0; trial < TRIALS; trial++)
        run_trial(*state, &counter.kernels, trial);
}

/* ---- arrays, activations, rows ----------------------------------------------------------------------------------- */

static void elements_prepare(struct scene *s) {
    size_t n = between(s, 40, 80);
    add_input(s, n, OVERWRITTEN);
    set_output(s, n);
}

static void dropout_forward(struct scene *s) {
    s->k->dropout(s->k, s->y, s->input[0].x, (real)0.3, 11, s->outputs);
}

static void dropout_backward(struct scene *s) {
    s->k->dropout(s->k, s->input[0].dx, s->dy, (real)0.3, 11, s->outputs);
}

static void swiglu_prepare(struct scene *s) {
    elements_prepare(s);
    add_input(s, s->outputs, OVERWRITTEN);
}

static void swiglu_forward(struct scene *s) {
    s->k->swiglu(s->k, s->y, LOOM_STORAGE_REAL, s->input[0].x, s->input[1].x, s->outputs);
}

static void swiglu_backward(struct scene *s) {
    s->k->swiglu_backward(s->k, s->input[0].dx, s->input[1].dx, s->y, LOOM_STORAGE_REAL, s->dy, s->input[0].x,
                          s->input[1].x, s->outputs);
}

static void gelu_forward(struct scene *s) {
    s->k->gelu(s->k, s->y, LOOM_STORAGE_REAL, s->input[0].x, s->outputs);
}

static void gelu_backward(struct scene *s) {
    s->k->gelu_backward(s->k, s->input[0].dx, s->y, LOOM_STORAGE_REAL, s->dy, s->input[0].x, s->outputs);
}

/* (rows, cols) inputs and outputs, and one value for each column or each row. Widths go past the kernels' chunks. */
static void shape_rows(struct scene *s) {
    s->rows = between(s, 1, 5);
    s->cols = s->trial == 0 ? 131 : between(s, 1, 19);
    set_output(s, s->rows * s->cols);
}

static void add_row_prepare(struct scene *s) {
    shape_rows(s);
    add_input(s, s->cols, ACCUMULATED);
}

static void add_row_forward(struct scene *s) {
    s->k->add_row(s->k, s->y, s->input[0].x, s->rows, s->cols);
}

static void add_row_backward(struct scene *s) {
    s->k->sum_rows(s->k, s->input[0].dx, s->dy, LOOM_STORAGE_REAL, s->rows, s->cols);
}

static void scale_columns_prepare(struct scene *s) {
    shape_rows(s);
    add_input(s, s->rows * s->cols, OVERWRITTEN);
    add_input(s, s->cols, ACCUMULATED);
}

static void scale_columns_forward(struct scene *s) {
    s->k->scale_columns(s->k, s->y, s->input[0].x, s->input[1].x, s->rows, s->cols);
}

static void scale_columns_backward(struct scene *s) {
    s->k->scale_columns(s->k, s->input[0].dx, s->dy, s->input[1].x, s->rows, s->cols);
    s->k->sum_products(s->k, s->input[1].dx, s->dy, s->input[0].x, s->rows, s->cols);
}

static void add_scaled_rows_prepare(struct scene *s) {
    shape_rows(s);
    add_input(s, s->rows * s->cols, ACCUMULATED);
    add_input(s, s->rows, OVERWRITTEN);
}

static void add_scaled_rows_forward(struct scene *s) {
    s->k->add_scaled_rows(s->k, s->y, s->input[1].x, s->input[0].x, s->rows, s->cols);
}

static void add_scaled_rows_backward(struct scene *s) {
    s->k->add_scaled_rows(s->k, s->input[0].dx, s->input[1].x, s->dy, s->rows, s->cols);
    s->k->dot_rows(s->k, s->input[1].dx, s->dy, s->input[0].x, s->rows, s->cols);
}

/* Columns 2.. of x become columns 0.. of y; the backward adds dy's columns back into dx's. */
static void copy_columns_prepare(struct scene *s) {
    shape_rows(s);
    add_input(s, s->rows * (s->cols + 2), ACCUMULATED);
}

static void copy_columns_forward(struct scene *s) {
    s->k->copy_columns(s->k, s->y, s->cols, s->input[0].x + 2, s->cols + 2, s->rows, s->cols, false);
}

static void copy_columns_backward(struct scene *s) {
    s->k->copy_columns(s->k, s->input[0].dx + 2, s->cols + 2, s->dy, s->cols, s->rows, s->cols, true);
}

/* ---- matrix products, normalisation, embedding, loss ------------------------------------------------------------- */

static void linear_inputs(struct scene *s, enum gradient dx) {
    s->linear.n_in = between(s, 1, 37);
    s->linear.n_out = between(s, 1, 37);
    add_input(s, s->linear.rows * s->linear.n_in, dx);
    add_input(s, s->linear.groups * s->linear.n_out * s->linear.n_in, ACCUMULATED);
    set_output(s, s->linear.rows * s->linear.n_out);
}

static void linear_prepare(struct scene *s) {
    s->linear.rows = between(s, 1, 9);
    s->linear.groups = 1;
    linear_inputs(s, OVERWRITTEN);
}

/* Four groups; the second is always empty, the others may be. */
static void linear_grouped_prepare(struct scene *s) {
    s->offset = take(s, 5 * sizeof *s->offset);
    for (size_t g = 0; g < 4; g++)
        s->offset[g + 1] = s->offset[g] + (g == 1 ? 0 : (int)between(s, g == 0, 4));
    s->linear = (struct loom_linear){.rows = (size_t)s->offset[4], .groups = 4, .offset = s->offset};
    linear_inputs(s, ACCUMULATED);
}

static void linear_forward(struct scene *s) {
    s->k->linear(s->k, &s->linear, s->y, s->input[0].x, s->input[1].x, false);
}

static void linear_backward(struct scene *s) {
    bool accumulate = s->input[0].gradient == ACCUMULATED;
    s->k->linear_input(s->k, &s->linear, s->input[0].dx, s->dy, s->input[1].x, accumulate);
    s->k->linear_weight(s->k, &s->linear, s->input[1].dx, s->dy, s->input[0].x);
}

static void norm_prepare(struct scene *s) {
    shape_rows(s);
    add_input(s, s->rows * s->cols, ACCUMULATED);
    add_input(s, s->cols, ACCUMULATED);
    s->kept[0] = take(s, s->rows * sizeof(real));
    s->kept[1] = take(s, s->rows * sizeof(real));
}

static void rmsnorm_forward(struct scene *s) {
    s->k->rmsnorm(s->k, s->y, LOOM_STORAGE_REAL, s->kept[0], s->input[0].x, s->input[1].x, s->rows, s->cols,
                  (real)0.01);
}

static void rmsnorm_backward(struct scene *s) {
    s->k->rmsnorm_backward(s->k, s->input[0].dx, s->input[1].dx, s->dy, s->input[0].x, s->input[1].x, s->kept[0],
                           s->rows, s->cols);
}

/* Without a weight. */
static void plain_norm_prepare(struct scene *s) {
    shape_rows(s);
    add_input(s, s->rows * s->cols, ACCUMULATED);
    s->kept[0] = take(s, s->rows * sizeof(real));
}

static void plain_rmsnorm_forward(struct scene *s) {
    s->k->rmsnorm(s->k, s->y, LOOM_STORAGE_REAL, s->kept[0], s->input[0].x, NULL, s->rows, s->cols, (real)0.01);
}

static void plain_rmsnorm_backward(struct scene *s) {
    s->k->rmsnorm_backward(s->k, s->input[0].dx, NULL, s->dy, s->input[0].x, NULL, s->kept[0], s->rows, s->cols);
}

static void layernorm_prepare(struct scene *s) {
    norm_prepare(s);
    add_input(s, s->cols, ACCUMULATED);
}

/* The bias is the third input, where there is one. */
static void layernorm_forward(struct scene *s) {
    const real *bias = s->n_inputs > 2 ? s->input[2].x : NULL;
    s->k->layernorm(s->k, s->y, LOOM_STORAGE_REAL, s->kept[0], s->kept[1], s->input[0].x, s->input[1].x, bias, s->rows,
                    s->cols, (real)0.01);
}

static void layernorm_backward(struct scene *s) {
    real *dbias = s->n_inputs > 2 ? s->input[2].dx : NULL;
    s->k->layernorm_backward(s->k, s->input[0].dx, s->input[1].dx, dbias, s->dy, s->input[0].x, s->input[1].x,
                             s->kept[0], s->kept[1], s->rows, s->cols);
}

static void relu2_forward(struct scene *s) {
    s->k->relu2(s->k, s->y, LOOM_STORAGE_REAL, s->input[0].x, s->outputs);
}

static void relu2_backward(struct scene *s) {
    s->k->relu2_backward(s->k, s->input[0].dx, s->y, LOOM_STORAGE_REAL, s->dy, s->input[0].x, s->outputs);
}

static void softcap_forward(struct scene *s) {
    s->k->softcap(s->k, s->y, s->input[0].x, (real)1.5, s->outputs);
}

static void softcap_backward(struct scene *s) {
    s->k->softcap_backward(s->k, s->input[0].dx, s->dy, s->y, (real)1.5, s->outputs);
}

/* More rows than tokens, so ids repeat. */
static void embed_prepare(struct scene *s) {
    size_t tokens = between(s, 1, 4);
    shape_rows(s);
    s->rows = tokens + between(s, 1, 4);
    set_output(s, s->rows * s->cols);
    add_input(s, tokens * s->cols, ACCUMULATED);
    s->ids = take(s, s->rows * sizeof *s->ids);
    for (size_t r = 0; r < s->rows; r++)
        s->ids[r] = (int)between(s, 0, tokens - 1);
}

static void embed_forward(struct scene *s) {
    s->k->embed(s->k, s->y, s->input[0].x, s->ids, s->rows, s->cols);
}

static void embed_backward(struct scene *s) {
    s->k->embed_backward(s->k, s->input[0].dx, s->dy, s->ids, s->rows, s->cols);
}

/* The kernel gives every row the same weight, so dy is that weight; the second row has no target. */
static void cross_entropy_prepare(struct scene *s) {
    s->rows = between(s, 2, 5);
    s->cols = between(s, 2, 40);
    set_output(s, s->rows);
    add_input(s, s->rows * s->cols, OVERWRITTEN);
    s->ids = take(s, s->rows * sizeof *s->ids);
    for (size_t r = 0; r < s->rows; r++) {
        s->ids[r] = r == 1 ? -1 : (int)between(s, 0, s->cols - 1);
        s->dy[r] = (real)0.7;
    }
}

static void cross_entropy_forward(struct scene *s) {
    s->k->cross_entropy(s->k, s->y, NULL, s->input[0].x, s->ids, 1, s->rows, s->cols);
}

static void cross_entropy_backward(struct scene *s) {
    s->k->cross_entropy(s->k, s->y, s->input[0].dx, s->input[0].x, s->ids, s->dy[0], s->rows, s->cols);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* Views of an input and of its gradient as (batch, rows, heads, .), from column `first` of rows of `row` elements. */
static void view_input(struct loom_view *x, struct loom_view *dx, const struct input *in, size_t rows, size_t row,
                       size_t first, size_t head) {
    *x = (struct loom_view){in->x + first, rows * row, row, head, LOOM_STORAGE_REAL};
    *dx = (struct loom_view){in->dx + first, rows * row, row, head, LOOM_STORAGE_REAL};
}

/* Rotates 2*pairs of cols channels of (batch 2, rows, heads 3), from position 4 on. Noise serves as the table: the
 * inverse is the transpose, whatever the two numbers are. */
static void rope_prepare(struct scene *s) {
    s->rows = between(s, 1, 4);
    s->pairs = between(s, 1, 3);
    s->cols = 2 * s->pairs + between(s, 0, 3);
    add_input(s, 2 * s->rows * 3 * s->cols, OVERWRITTEN);
    set_output(s, s->input[0].n);
    s->kept[0] = noise(s, (4 + s->rows) * s->pairs * 2);
}

static void rope_turn(struct scene *s, real *y, const real *x, bool inverse) {
    memcpy(y, x, s->outputs * sizeof *y);
    struct loom_view view = {y, s->rows * 3 * s->cols, 3 * s->cols, s->cols, LOOM_STORAGE_REAL};
    s->k->rope(s->k, view, view, 2, s->rows, 3, s->pairs, s->kept[0], 4, inverse);
}

static void rope_forward(struct scene *s) {
    rope_turn(s, s->y, s->input[0].x, false);
}

static void rope_backward(struct scene *s) {
    rope_turn(s, s->input[0].dx, s->dy, true);
}

/* Grouped heads, a random scale; every third trial has one key/value head. */
static void shape_attention(struct scene *s, size_t queries, size_t keys) {
    size_t kv_heads = s->trial % 3 == 0 ? 1 : 2, share = between(s, 1, 3);
    struct loom_attention *a = &s->attention;
    *a = (struct loom_attention){0, queries, keys, kv_heads * share, kv_heads, 0, 0, (real)0.6, 0, 0, NULL, 0, 0};
    a->batch = between(s, 1, 2);
    a->head_dim = between(s, 1, 5);
    a->value_dim = between(s, 1, 5);
    set_output(s, a->batch * queries * a->heads * a->value_dim);
    s->kept[0] = take(s, a->batch * a->heads * queries * sizeof(real));
}

/* One input (batch, rows, [q | k | v]), as one fused projection leaves it. */
static void attention_fused_prepare(struct scene *s) {
    size_t rows = between(s, 1, 6);
    shape_attention(s, rows, rows);
    const struct loom_attention *a = &s->attention;
    const size_t d = a->head_dim, v = a->value_dim, at_k = a->heads * d, at_v = at_k + a->kv_heads * d;
    const size_t row = at_v + a->kv_heads * v;
    add_input(s, a->batch * rows * row, OVERWRITTEN);
    view_input(&s->q, &s->dq, &s->input[0], rows, row, 0, d);
    view_input(&s->key, &s->dk, &s->input[0], rows, row, at_k, d);
    view_input(&s->value, &s->dv, &s->input[0], rows, row, at_v, v);
}

/* Fewer queries than keys, as after a cache; keys and values side by side within each head, as in latent attention. The
 * first trial is wider than the kernel's chunks. */
static void attention_cached_prepare(struct scene *s) {
    size_t queries = between(s, 1, 4);
    shape_attention(s, queries, queries + between(s, 1, 4));
    struct loom_attention *a = &s->attention;
    if (s->trial == 0)
        *a = (struct loom_attention){1, 1, 3, 1, 1, 66, 67, (real)0.1, 0, 0, NULL, 0, 0};
    const size_t d = a->head_dim, v = a->value_dim;
    set_output(s, a->batch * a->queries * a->heads * v);
    add_input(s, a->batch * a->queries * a->heads * d, OVERWRITTEN);
    add_input(s, a->batch * a->keys * a->kv_heads * (d + v), OVERWRITTEN);
    view_input(&s->q, &s->dq, &s->input[0], a->queries, a->heads * d, 0, d);
    view_input(&s->key, &s->dk, &s->input[1], a->keys, a->kv_heads * (d + v), 0, d + v);
    view_input(&s->value, &s->dv, &s->input[1], a->keys, a->kv_heads * (d + v), d, d + v);
}

static void attention_dropout_prepare(struct scene *s) {
    attention_fused_prepare(s);
    s->attention.dropout = (real)0.4;
    s->attention.dropout_seed = 5;
}

static struct loom_view output_view(struct scene *s, real *y) {
    const struct loom_attention *a = &s->attention;
    return (struct loom_view){y, a->queries * a->heads * a->value_dim, a->heads * a->value_dim, a->value_dim,
                              LOOM_STORAGE_REAL};
}

static void attention_forward(struct scene *s) {
    s->k->attention(s->k, &s->attention, output_view(s, s->y), s->kept[0], s->q, s->key, s->value);
}

static void attention_backward(struct scene *s) {
    s->k->attention_backward(s->k, &s->attention, s->dq, s->dk, s->dv, output_view(s, s->dy), output_view(s, s->y),
                             s->kept[0], s->q, s->key, s->value);
}

/* ---- router and experts ------------------------------------------------------------------------------------------ */

static void shape_route(struct scene *s) {
    size_t experts = between(s, 3, 7);
    enum loom_router_kind kind = (enum loom_router_kind)between(s, LOOM_ROUTER_SOFTMAX, LOOM_ROUTER_MIXTRAL);
    s->route = (struct loom_route){between(s, 1, 5), experts, 0, kind};
    s->route.top_k = between(s, 2, experts - 1);
    s->cols = between(s, 1, 9);
    const size_t choices = s->route.rows * s->route.top_k;
    s->ids = take(s, choices * sizeof *s->ids);
    s->slot = take(s, choices * sizeof *s->slot);
    s->source = take(s, choices * sizeof *s->source);
    s->offset = take(s, (experts + 1) * sizeof *s->offset);
}

static void route_prepare(struct scene *s) {
    shape_route(s);
    add_input(s, s->route.rows * s->route.experts, OVERWRITTEN);
    s->kept[1] = noise(s, s->route.experts); /* the bias */
    set_output(s, s->route.rows * s->route.top_k);
    s->kept[0] = take(s, s->input[0].n * sizeof(real));
}

static void route_forward(struct scene *s) {
    s->k->route(s->k, &s->route, s->kept[0], s->ids, s->y, s->input[0].x, s->kept[1]);
}

static void route_backward(struct scene *s) {
    s->k->route_backward(s->k, &s->route, s->input[0].dx, s->dy, s->kept[0], s->ids, s->y);
}

/* The loss is the output; the weights carry dy, by which the backward multiplies. */
static void balance_prepare(struct scene *s) {
    shape_route(s);
    s->rows = s->route.rows; /* of a sequence */
    s->route.rows *= between(s, 1, 3);
    s->ids = take(s, s->route.rows * s->route.top_k * sizeof *s->ids);
    add_input(s, s->route.rows * s->route.experts, ACCUMULATED);
    set_output(s, 1);
    s->kept[0] = take(s, s->input[0].n * sizeof(real));
    s->kept[1] = take(s, (s->input[0].n + s->route.experts) * sizeof(real));
}

static double balance(struct scene *s, real *dlogits, real weight) {
    const struct loom_balance b = {s->rows, (real)0.7 * weight, s->trial % 2 ? (real)0.3 * weight : 0};
    return s->k->balance(s->k, &s->route, &b, dlogits, s->kept[1] + s->input[0].n, s->input[0].x, s->kept[0], s->ids);
}

static void balance_forward(struct scene *s) {
    real *gates = take(s, s->route.rows * s->route.top_k * sizeof(real));
    s->n_blocks--; /* forwards are many: the block is given back at once */
    s->k->route(s->k, &s->route, s->kept[0], s->ids, gates, s->input[0].x, NULL);
    test_free(gates);
    s->y[0] = (real)balance(s, s->kept[1], 1);
}

static void balance_backward(struct scene *s) {
    (void)balance(s, s->input[0].dx, s->dy[0]);
}

/* Routes by noise, then groups the choices. */
static void shape_groups(struct scene *s) {
    shape_route(s);
    const struct loom_route *r = &s->route;
    const real *logits = noise(s, r->rows * r->experts);
    s->k->route(s->k, r, take(s, r->rows * r->experts * sizeof(real)), s->ids,
                take(s, r->rows * r->top_k * sizeof(real)), logits, NULL);
    s->k->group(s->k, r, s->offset, s->slot, s->source, s->ids);
}

static void gather_prepare(struct scene *s) {
    shape_groups(s);
    add_input(s, s->route.rows * s->cols, ACCUMULATED);
    set_output(s, s->route.rows * s->route.top_k * s->cols);
}

static void gather_forward(struct scene *s) {
    s->k->gather(s->k, &s->route, s->y, s->input[0].x, LOOM_STORAGE_REAL, s->source, s->cols);
}

static void gather_backward(struct scene *s) {
    s->k->gather_backward(s->k, &s->route, s->input[0].dx, s->dy, s->slot, s->cols);
}

static void combine_prepare(struct scene *s) {
    shape_groups(s);
    add_input(s, s->route.rows * s->route.top_k * s->cols, OVERWRITTEN);
    add_input(s, s->route.rows * s->route.top_k, OVERWRITTEN);
    set_output(s, s->route.rows * s->cols);
}

static void combine_forward(struct scene *s) {
    s->k->combine(s->k, &s->route, s->y, s->input[0].x, s->input[1].x, s->slot, s->cols);
}

static void combine_backward(struct scene *s) {
    s->k->combine_backward(s->k, &s->route, s->input[0].dx, LOOM_STORAGE_REAL, s->input[1].dx, s->dy, s->input[0].x,
                           s->input[1].x, s->slot, s->cols);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Inputs h, e, log_a, log_dt, b; y, whose gradient is dy itself, is kept noise. */
static void lti_prepare(struct scene *s) {
    shape_rows(s);
    add_input(s, s->outputs, OVERWRITTEN);
    add_input(s, s->outputs, ACCUMULATED);
    add_input(s, s->cols, ACCUMULATED);
    add_input(s, 1, ACCUMULATED);
    add_input(s, s->cols, ACCUMULATED);
    s->kept[0] = noise(s, s->outputs);
}

static void lti_forward(struct scene *s) {
    const struct input *in = s->input;
    s->k->lti(s->k, s->y, in[0].x, in[1].x, s->kept[0], in[2].x, in[3].x, in[4].x, s->rows, s->cols);
}

static void lti_backward(struct scene *s) {
    struct input *in = s->input;
    s->k->lti_backward(s->k, in[0].dx, in[1].dx, in[2].dx, in[3].dx, in[4].dx, s->dy, in[0].x, in[1].x, in[2].x,
                       in[3].x, in[4].x, s->rows, s->cols);
}

/* Sums so far from 0 to 1.25 around thresholds below and above 1: tokens that run, halt now, have halted, and run with
 * no weight left. Every third trial is the last loop. Outputs are w, then cum_out. */
static void halt_prepare(struct scene *s) {
    s->rows = 25;
    s->halt = (struct loom_halt){s->rows, s->trial % 2 == 0 ? (real)0.73 : (real)1.13, s->trial % 3 == 2};
    add_input(s, s->rows, OVERWRITTEN);
    real *cum = add_input(s, s->rows, OVERWRITTEN);
    for (size_t r = 0; r < s->rows; r++)
        cum[r] = (real)0.052 * (real)r;
    set_output(s, 2 * s->rows);
    s->kept[0] = take(s, s->rows * sizeof(real));
}

static void halt_forward(struct scene *s) {
    s->k->halt(s->k, &s->halt, s->kept[0], s->y, s->y + s->rows, s->input[1].x, s->input[0].x);
}

static void halt_backward(struct scene *s) {
    s->k->halt_backward(s->k, &s->halt, s->input[0].dx, s->input[1].dx, s->dy, s->dy + s->rows, s->kept[0],
                        s->input[1].x);
}

static struct kernel_case cases[] = {
    {"dropout", elements_prepare, dropout_forward, dropout_backward},
    {"add_row", add_row_prepare, add_row_forward, add_row_backward},
    {"scale_columns", scale_columns_prepare, scale_columns_forward, scale_columns_backward},
    {"add_scaled_rows", add_scaled_rows_prepare, add_scaled_rows_forward, add_scaled_rows_backward},
    {"copy_columns", copy_columns_prepare, copy_columns_forward, copy_columns_backward},
    {"linear", linear_prepare, linear_forward, linear_backward},
    {"linear, grouped", linear_grouped_prepare, linear_forward, linear_backward},
    {"rmsnorm", norm_prepare, rmsnorm_forward, rmsnorm_backward},
    {"rmsnorm, no weight", plain_norm_prepare, plain_rmsnorm_forward, plain_rmsnorm_backward},
    {"layernorm", layernorm_prepare, layernorm_forward, layernorm_backward},
    {"layernorm, no bias", norm_prepare, layernorm_forward, layernorm_backward},
    {"swiglu", swiglu_prepare, swiglu_forward, swiglu_backward},
    {"gelu", elements_prepare, gelu_forward, gelu_backward},
    {"relu2", elements_prepare, relu2_forward, relu2_backward},
    {"softcap", elements_prepare, softcap_forward, softcap_backward},
    {"embed", embed_prepare, embed_forward, embed_backward},
    {"cross_entropy", cross_entropy_prepare, cross_entropy_forward, cross_entropy_backward},
    {"rope", rope_prepare, rope_forward, rope_backward},
    {"attention, fused", attention_fused_prepare, attention_forward, attention_backward},
    {"attention, cached", attention_cached_prepare, attention_forward, attention_backward},
    {"attention, dropout", attention_dropout_prepare, attention_forward, attention_backward},
    {"balance", balance_prepare, balance_forward, balance_backward},
    {"route", route_prepare, route_forward, route_backward},
    {"gather", gather_prepare, gather_forward, gather_backward},
    {"combine", combine_prepare, combine_forward, combine_backward},
    {"lti", lti_prepare, lti_forward, lti_backward},
    {"halt", halt_prepare, halt_forward, halt_backward},
};

int main(void) {
    enum { CASES = sizeof cases / sizeof cases[0] };
    struct CMUnitTest tests[CASES];
    for (size_t i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, test_case, NULL, NULL, &cases[i]};
    return cmocka_run_group_tests_name("kernel gradients", tests, NULL, NULL);
}
