/* test_kernel_cpu.c - every kernel that the cpu machine overrides, against the plain C machine.
 *
 * A case draws its inputs and runs one kernel on whatever machine the scene has. Each case runs for several shapes, odd
 * ones included, on each instruction set that this processor has, with 1, 2 and 3 threads. Every output must be near
 * ref's, and the same to the bit for every number of threads. Outputs start out random, so that "=" must replace and
 * "+=" must keep what was there. A case in bf16 draws numbers that bf16 holds: then a product's factors lose nothing
 * and its sums must be as near as in float32; attention still rounds its weights and their slopes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/cpu/cpu.h"
#include "kernel/kernel.h"

enum { ARRAYS_MAX = 16, THREADS_MAX = 3 };

struct scene {
    const struct loom_kernels *k;
    uint64_t seed, drawn;
    size_t trial;
    bool bf16;
    float *array[ARRAYS_MAX];
    size_t n[ARRAYS_MAX];
    bool is_output[ARRAYS_MAX];
    size_t arrays;
    int *ids[4];
    size_t id_arrays;
};

static double uniform(struct scene *s) {
    return loom_random_uniform((struct loom_random){s->seed, LOOM_RANDOM_TEST}, s->drawn++);
}

/* The eight leading bits of a number: one that bf16 holds. */
static float short_number(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= UINT32_C(0xffff0000);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* n numbers in [-1, 1). */
static float *input(struct scene *s, size_t n) {
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    assert_true(s->arrays < ARRAYS_MAX);
    for (size_t i = 0; i < n; i++)
        x[i] = s->bf16 ? short_number((float)(2 * uniform(s) - 1)) : (float)(2 * uniform(s) - 1);
    s->array[s->arrays] = x;
    s->n[s->arrays] = n;
    s->is_output[s->arrays++] = false;
    return x;
}

static float *output(struct scene *s, size_t n) {
    float *x = input(s, n);
    s->is_output[s->arrays - 1] = true;
    return x;
}

/* n integers below `bound`. */
static int *integers(struct scene *s, size_t n, size_t bound) {
    int *ids = malloc((n + 1) * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int)(uniform(s) * (double)bound);
    s->ids[s->id_arrays++] = ids;
    return ids;
}

static void release(struct scene *s) {
    for (size_t i = 0; i < s->arrays; i++)
        free(s->array[i]);
    for (size_t i = 0; i < s->id_arrays; i++)
        free(s->ids[i]);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static size_t length(const struct scene *s) {
    static const size_t lengths[] = {1, 17, 2049, 16384, 70001};
    return lengths[s->trial % 5];
}

struct table {
    size_t rows, cols;
};

/* From one element up to what every machine shares among its threads. */
static struct table table(const struct scene *s) {
    static const struct table tables[] = {{1, 1}, {3, 7}, {17, 65}, {130, 130}, {300, 257}, {7, 5000}};
    return tables[s->trial % 6];
}

/* ---- plain arrays ------------------------------------------------------------------------------------------------ */

static void run_fill(struct scene *s) {
    s->k->fill(s->k, output(s, length(s)), 2.5f, length(s));
}

static void run_copy(struct scene *s) {
    const float *x = input(s, length(s));
    s->k->copy(s->k, output(s, length(s)), x, length(s));
}

static void run_add(struct scene *s) {
    const float *a = input(s, length(s));
    float *y = output(s, length(s));
    s->k->add(s->k, y, a, y, length(s));
}

static void run_add_scaled(struct scene *s) {
    const float *x = input(s, length(s));
    s->k->add_scaled(s->k, output(s, length(s)), -0.7f, x, length(s));
}

static void run_sums(struct scene *s) {
    const float *x = input(s, length(s));
    float *y = output(s, 2);
    y[0] = (float)s->k->sum(s->k, x, length(s));
    y[1] = (float)s->k->sum_squares(s->k, x, length(s));
}

static void run_dropout(struct scene *s) {
    const float *x = input(s, length(s));
    s->k->dropout(s->k, output(s, length(s)), x, 0.3f, UINT64_C(0x123456789abcdef), length(s));
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void run_copy_columns(struct scene *s) {
    const struct table t = table(s);
    const float *x = input(s, t.rows * (t.cols + 3));
    float *y = output(s, t.rows * (t.cols + 5)), *z = output(s, t.rows * (t.cols + 1));
    s->k->copy_columns(s->k, y + 2, t.cols + 5, x + 1, t.cols + 3, t.rows, t.cols, false);
    s->k->copy_columns(s->k, z, t.cols + 1, x + 1, t.cols + 3, t.rows, t.cols, true);
}

/* From rows that hold heads side by side to heads that hold rows, and back. */
static void run_copy_heads(struct scene *s) {
    static const size_t shapes[][4] = {{1, 1, 1, 1}, {3, 5, 2, 7}, {2, 130, 4, 33}, {64, 1, 8, 64}};
    const size_t *n = shapes[s->trial % 4], row = n[2] * n[3] + 3, head = n[1] * n[3] + 2;
    struct loom_view x = {input(s, n[0] * n[1] * row), n[1] * row, row, n[3], LOOM_STORAGE_REAL};
    struct loom_view y = {output(s, n[0] * n[2] * head), n[2] * head, n[3], head, LOOM_STORAGE_REAL};
    struct loom_view z = x;
    z.data = output(s, n[0] * n[1] * row);
    s->k->copy_heads(s->k, y, x, n[0], n[1], n[2], n[3]);
    s->k->copy_heads(s->k, z, y, n[0], n[1], n[2], n[3]);
}

static void run_rows(struct scene *s) {
    const struct table t = table(s);
    const float *x = input(s, t.rows * t.cols), *row = input(s, t.cols), *w = input(s, t.rows);
    s->k->add_row(s->k, output(s, t.rows * t.cols), row, t.rows, t.cols);
    s->k->scale_columns(s->k, output(s, t.rows * t.cols), x, row, t.rows, t.cols);
    s->k->add_scaled_rows(s->k, output(s, t.rows * t.cols), w, x, t.rows, t.cols);
}

static void run_row_sums(struct scene *s) {
    const struct table t = table(s);
    const float *x = input(s, t.rows * t.cols), *dy = input(s, t.rows * t.cols);
    s->k->sum_rows(s->k, output(s, t.cols), dy, LOOM_STORAGE_REAL, t.rows, t.cols);
    s->k->sum_products(s->k, output(s, t.cols), dy, x, t.rows, t.cols);
    s->k->dot_rows(s->k, output(s, t.rows), dy, x, t.rows, t.cols);
}

static void run_embed(struct scene *s) {
    const struct table t = table(s);
    const float *words = input(s, 40 * t.cols), *dy = input(s, t.rows * t.cols);
    const int *ids = integers(s, t.rows, 40);
    s->k->embed(s->k, output(s, t.rows * t.cols), words, ids, t.rows, t.cols);
    s->k->embed_backward(s->k, output(s, 40 * t.cols), dy, ids, t.rows, t.cols);
}

/* ---- matrix products --------------------------------------------------------------------------------------------- */

static struct loom_linear linear_shape(struct scene *s) {
    static const size_t shapes[][3] = {{1, 1, 1},      {3, 7, 17},     {7, 130, 65},  {17, 65, 130},   {130, 17, 3},
                                       {65, 128, 384}, {300, 257, 65}, {1, 700, 300}, {40, 1100, 130}, {768, 128, 66}};
    const size_t *shape = shapes[s->trial % 10];
    return (struct loom_linear){.rows = shape[0], .n_in = shape[1], .n_out = shape[2], .groups = 1};
}

static void run_linear_kernels(struct scene *s, const struct loom_linear *shape) {
    const size_t weights = shape->groups * loom_linear_stride(shape);
    const float *x = input(s, shape->rows * shape->n_in), *w = input(s, weights);
    const float *dy = input(s, shape->rows * shape->n_out);
    s->k->linear(s->k, shape, output(s, shape->rows * shape->n_out), x, w, false);
    s->k->linear(s->k, shape, output(s, shape->rows * shape->n_out), x, w, true);
    s->k->linear_input(s->k, shape, output(s, shape->rows * shape->n_in), dy, w, false);
    s->k->linear_input(s->k, shape, output(s, shape->rows * shape->n_in), dy, w, true);
    s->k->linear_weight(s->k, shape, output(s, weights), dy, x);
}

static void run_linear(struct scene *s) {
    const struct loom_linear shape = linear_shape(s);
    run_linear_kernels(s, &shape);
}

/* Groups of random sizes, the first of them empty. */
static void run_groups(struct scene *s) {
    enum { GROUPS = 5 };
    struct loom_linear shape = linear_shape(s);
    int *offset = integers(s, GROUPS + 1, shape.rows + 1);
    offset[0] = offset[1] = 0;
    for (int g = 2; g < GROUPS; g++)
        offset[g] = offset[g] < offset[g - 1] ? offset[g - 1] : offset[g];
    offset[GROUPS] = (int)shape.rows;
    shape.groups = GROUPS;
    shape.offset = offset;
    run_linear_kernels(s, &shape);
}

/* Groups of as many rows each, whose matrices lie apart. */
static void run_strided(struct scene *s) {
    struct loom_linear shape = linear_shape(s);
    shape.groups = 3;
    shape.rows *= shape.groups;
    shape.stride = shape.n_in * shape.n_out + 5;
    run_linear_kernels(s, &shape);
}

/* ---- normalisation, activations, loss ---------------------------------------------------------------------------- */

static void run_rmsnorm(struct scene *s) {
    const struct table t = table(s);
    const size_t n = t.rows * t.cols;
    const float *x = input(s, n), *weight = input(s, t.cols), *dy = input(s, n);
    float *rstd = output(s, t.rows);
    s->k->rmsnorm(s->k, output(s, n), LOOM_STORAGE_REAL, rstd, x, weight, t.rows, t.cols, 1e-5f);
    s->k->rmsnorm_backward(s->k, output(s, n), output(s, t.cols), dy, x, weight, rstd, t.rows, t.cols);
    s->k->rmsnorm(s->k, output(s, n), LOOM_STORAGE_REAL, rstd, x, NULL, t.rows, t.cols, 1e-5f);
    s->k->rmsnorm_backward(s->k, output(s, n), NULL, dy, x, NULL, rstd, t.rows, t.cols);
}

static void run_layernorm(struct scene *s) {
    const struct table t = table(s);
    const size_t n = t.rows * t.cols;
    const bool biased = s->trial % 2 == 0;
    float *x = input(s, n);
    for (size_t i = 0; i < n; i++)
        x[i] += 0.5f;
    const float *weight = input(s, t.cols), *bias = input(s, t.cols), *dy = input(s, n);
    float *mean = output(s, t.rows), *rstd = output(s, t.rows), *dbias = output(s, t.cols);
    s->k->layernorm(s->k, output(s, n), LOOM_STORAGE_REAL, mean, rstd, x, weight, biased ? bias : NULL, t.rows, t.cols,
                    1e-3f);
    s->k->layernorm_backward(s->k, output(s, n), output(s, t.cols), biased ? dbias : NULL, dy, x, weight, mean, rstd,
                             t.rows, t.cols);
}

/* Inputs of an activation: mostly moderate, some far out. */
static float *wide_input(struct scene *s, size_t n) {
    float *x = input(s, n);
    for (size_t i = 0; i < n; i++)
        x[i] *= i % 7 == 0 ? 100.0f : 4.0f;
    return x;
}

static void run_swiglu(struct scene *s) {
    const size_t n = length(s);
    const float *gate = wide_input(s, n), *up = input(s, n);
    float *dy = output(s, n);
    s->k->swiglu(s->k, output(s, n), LOOM_STORAGE_REAL, gate, up, n);
    s->k->swiglu_backward(s->k, dy, output(s, n), output(s, n), LOOM_STORAGE_REAL, dy, gate, up, n);
}

static void run_gelu(struct scene *s) {
    const size_t n = length(s);
    const float *x = wide_input(s, n);
    float *dy = output(s, n);
    s->k->gelu(s->k, output(s, n), LOOM_STORAGE_REAL, x, n);
    s->k->gelu_backward(s->k, dy, output(s, n), LOOM_STORAGE_REAL, dy, x, n);
}

static void run_relu2(struct scene *s) {
    const size_t n = length(s);
    const float *x = wide_input(s, n);
    float *dy = output(s, n);
    s->k->relu2(s->k, output(s, n), LOOM_STORAGE_REAL, x, n);
    s->k->relu2_backward(s->k, dy, output(s, n), LOOM_STORAGE_REAL, dy, x, n);
}

static void run_softcap(struct scene *s) {
    const size_t n = length(s);
    const float *x = input(s, n);
    float *y = output(s, n), *dy = output(s, n);
    s->k->softcap(s->k, y, x, 2, n);
    s->k->softcap_backward(s->k, dy, dy, y, 2, n);
}

static void run_blend(struct scene *s) {
    const size_t n = length(s);
    const float *x = input(s, n), *z = input(s, n);
    float *y = output(s, n);
    s->k->blend(s->k, output(s, n), 0.3f, x, -1.7f, z, n);
    s->k->blend(s->k, y, 0.9f, y, 0.1f, x, n);
}

/* Blocks of the table, with and without the rows' moments, with both kinds of decay. */
static void run_muon(struct scene *s) {
    const struct table t = table(s);
    const size_t n = 3 * t.rows * t.cols;
    struct loom_muon o = {.blocks = 3,
                          .rows = t.rows,
                          .cols = t.cols,
                          .learning_rate = 0.02,
                          .weight_decay = 0.5,
                          .beta2 = s->trial % 3 == 0 ? 0 : 0.95,
                          .correction2 = 0.2,
                          .cautious = s->trial % 2 == 0};
    const float *u = input(s, n);
    float *w = output(s, n), *v = output(s, 3 * t.rows);
    for (size_t i = 0; i < 3 * t.rows; i++)
        v[i] = v[i] * v[i] + 0.1f;
    s->k->muon(s->k, &o, w, v, u);
}

/* Far below zero the normal distribution keeps its digits, and not only its first few. */
static void run_gelu_tail(struct scene *s) {
    float *x = input(s, 1000);
    for (size_t i = 0; i < 1000; i++)
        x[i] = -5.0f + x[i];
    float *y = output(s, 1000);
    s->k->gelu(s->k, y, LOOM_STORAGE_REAL, x, 1000);
    for (size_t i = 0; i < 1000; i++)
        y[i] *= 1e5f; /* beyond the floor of the comparison */
}

static void run_cross_entropy(struct scene *s) {
    const struct table t = table(s);
    const size_t n = t.rows * t.cols;
    float *logits = output(s, n);
    for (size_t i = 0; i < n; i++)
        logits[i] *= 6.0f;
    int *targets = integers(s, t.rows, t.cols);
    targets[t.rows / 2] = t.rows > 1 ? -1 : 0;
    s->k->cross_entropy(s->k, output(s, t.rows), NULL, logits, targets, 0.3f, t.rows, t.cols);
    s->k->cross_entropy(s->k, output(s, t.rows), output(s, n), logits, targets, 0.3f, t.rows, t.cols);
    s->k->cross_entropy(s->k, output(s, t.rows), logits, logits, targets, 0.3f, t.rows, t.cols);
}

static void run_adamw(struct scene *s) {
    const size_t n = length(s);
    const struct loom_adamw o = {.learning_rate = 1e-2,
                                 .beta1 = 0.9,
                                 .beta2 = 0.95,
                                 .epsilon = 1e-8,
                                 .weight_decay = 0.1,
                                 .correction1 = 1 - 0.9 * 0.9,
                                 .correction2 = 1 - 0.95 * 0.95,
                                 .gradient_scale = 0.5f};
    const float *g = input(s, n);
    float *p = output(s, n), *m = output(s, n), *v = output(s, n);
    for (size_t i = 0; i < n; i++)
        v[i] = fabsf(v[i]);
    s->k->adamw(s->k, &o, p, m, v, g, n);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* A view of (batch, rows, heads, width) inside wider rows. */
static struct loom_view view(float *data, size_t rows, size_t heads, size_t width) {
    const size_t row = heads * width + 3;
    return (struct loom_view){data, rows * row, row, width, LOOM_STORAGE_REAL};
}

static size_t view_size(size_t batch, size_t rows, size_t heads, size_t width) {
    return batch * rows * (heads * width + 3);
}

static void run_rope(struct scene *s) {
    static const size_t shapes[][4] = {{1, 1, 1, 1}, {2, 7, 3, 5}, {3, 65, 6, 16}};
    const size_t *shape = shapes[s->trial % 3], width = 2 * shape[3] + 3;
    const float *angles = input(s, (shape[1] + 2) * shape[3] * 2);
    const size_t n = view_size(shape[0], shape[1], shape[2], width);
    const struct loom_view x = view(input(s, n), shape[1], shape[2], width);
    const struct loom_view y = view(output(s, n), shape[1], shape[2], width);
    s->k->rope(s->k, y, x, shape[0], shape[1], shape[2], shape[3], angles, 2, false);
    s->k->rope(s->k, y, y, shape[0], shape[1], shape[2], shape[3], angles, 1, true);
}

static struct loom_attention attention_shape(const struct scene *s) {
    static const struct loom_attention shapes[] = {
        {1, 1, 1, 1, 1, 1, 1, 1.0f, 0, 0, NULL, 0, 0},
        {2, 3, 3, 2, 1, 7, 5, 0.5f, 0, 0, NULL, 0, 0},
        {1, 1, 130, 4, 2, 17, 16, 0.3f, 0, 0, NULL, 0, 0},
        {2, 17, 65, 3, 3, 16, 33, 0.2f, 0.25f, 9, NULL, 0, 0},
        {1, 130, 130, 2, 1, 65, 64, 0.125f, 0, 0, NULL, 0, 0},
        {2, 130, 300, 2, 2, 24, 32, 0.2f, 0.1f, 77, NULL, 0, 0},
        {1, 300, 300, 1, 1, 200, 130, 0.07f, 0, 0, NULL, 0, 0},
        {1, 4, 600, 6, 2, 32, 32, 0.18f, 0, 0, NULL, 0, 0},
        {1, 150, 150, 1, 1, 1000, 900, 0.03f, 0, 0, NULL, 0, 0},
        {3, 1, 700, 14, 2, 40, 33, 0.16f, 0, 0, NULL, 0, 0},
    };
    return shapes[s->trial % 10];
}

/* (batch, queries) first keys of documents that lie end to end; some begin before the queries, some hold one key. */
static const int *first_keys(struct scene *s, const struct loom_attention *a) {
    int *first = integers(s, a->batch * a->queries, 1);
    for (size_t b = 0; b < a->batch; b++)
        for (size_t i = 0, begin = 0; i < a->queries; i++) {
            const size_t last = a->keys - a->queries + i;
            if (i == 0 || uniform(s) < 0.03)
                begin = last - (uniform(s) < 0.5 ? 0 : (size_t)(uniform(s) * (double)(last - begin)));
            first[b * a->queries + i] = (int)begin;
        }
    return first;
}

/* The second half of the trials keeps documents apart. */
static void run_attention(struct scene *s) {
    struct loom_attention a = attention_shape(s);
    if (s->trial >= 10)
        a.first = first_keys(s, &a);
    const size_t n_q = view_size(a.batch, a.queries, a.heads, a.head_dim);
    const size_t n_out = view_size(a.batch, a.queries, a.heads, a.value_dim);
    const size_t n_k = view_size(a.batch, a.keys, a.kv_heads, a.head_dim);
    const size_t n_v = view_size(a.batch, a.keys, a.kv_heads, a.value_dim);
    const struct loom_view q = view(input(s, n_q), a.queries, a.heads, a.head_dim);
    const struct loom_view key = view(input(s, n_k), a.keys, a.kv_heads, a.head_dim);
    const struct loom_view value = view(input(s, n_v), a.keys, a.kv_heads, a.value_dim);
    const struct loom_view dout = view(input(s, n_out), a.queries, a.heads, a.value_dim);
    const struct loom_view out = view(output(s, n_out), a.queries, a.heads, a.value_dim);
    const struct loom_view dq = view(output(s, n_q), a.queries, a.heads, a.head_dim);
    const struct loom_view dk = view(output(s, n_k), a.keys, a.kv_heads, a.head_dim);
    const struct loom_view dv = view(output(s, n_v), a.keys, a.kv_heads, a.value_dim);
    float *lse = output(s, a.batch * a.heads * a.queries);
    s->k->attention(s->k, &a, out, lse, q, key, value);
    s->k->attention_backward(s->k, &a, dq, dk, dv, dout, out, lse, q, key, value);
}

/* One token behind keys that groups of sequences share: few rows and many, several blocks of keys, heads of odd width,
 * as many rows as no scratch holds at once. Heads lie outside rows, as in a cache. The second half of the trials hides
 * the first keys of each group. */
static void run_shared_attention(struct scene *s) {
    static const struct loom_attention shapes[] = {
        {6, 1, 90, 4, 4, 32, 32, 0.18f, 0, 0, NULL, 70, 3},   {4, 1, 33, 6, 2, 17, 19, 0.2f, 0, 0, NULL, 32, 2},
        {32, 1, 150, 2, 1, 64, 64, 0.1f, 0, 0, NULL, 64, 16}, {3, 1, 9, 2, 2, 8, 8, 0.3f, 0, 0, NULL, 3, 3},
        {80, 1, 20, 8, 1, 40, 512, 0.2f, 0, 0, NULL, 15, 80}, {4, 1, 200, 1, 1, 24, 48, 0.2f, 0, 0, NULL, 130, 4},
    };
    struct loom_attention a = shapes[s->trial % 6];
    int *first = integers(s, a.batch, a.shared);
    for (size_t b = 0; b < a.batch; b++)
        first[b] = first[b / a.group * a.group];
    a.first = s->trial >= 6 ? first : NULL;
    const size_t n_k = a.batch * a.keys * a.kv_heads * a.head_dim, n_v = a.batch * a.keys * a.kv_heads * a.value_dim;
    const struct loom_view q = view(input(s, view_size(a.batch, 1, a.heads, a.head_dim)), 1, a.heads, a.head_dim);
    const struct loom_view out = view(output(s, view_size(a.batch, 1, a.heads, a.value_dim)), 1, a.heads, a.value_dim);
    const struct loom_view key = {input(s, n_k), n_k / a.batch, a.head_dim, a.keys * a.head_dim, LOOM_STORAGE_REAL};
    const struct loom_view value = {input(s, n_v), n_v / a.batch, a.value_dim, a.keys * a.value_dim, LOOM_STORAGE_REAL};
    s->k->attention(s->k, &a, out, output(s, a.batch * a.heads), q, key, value);
}

/* ---- experts and the loop ---------------------------------------------------------------------------------------- */

static void run_experts(struct scene *s) {
    const struct table t = table(s);
    const struct loom_route r = {.rows = t.rows, .experts = 5, .top_k = 2, .kind = LOOM_ROUTER_SOFTMAX};
    const size_t n = t.rows * t.cols;
    int *ids = integers(s, t.rows * 2, 5), *slot = integers(s, t.rows * 2, 1), *source = integers(s, t.rows * 2, 1);
    int offset[6];
    s->k->group(s->k, &r, offset, slot, source, ids);
    const float *x = input(s, n), *gates = input(s, t.rows * 2), *dy = input(s, 2 * n);
    float *sorted = output(s, 2 * n);
    s->k->gather(s->k, &r, sorted, x, LOOM_STORAGE_REAL, source, t.cols);
    s->k->gather_backward(s->k, &r, output(s, n), dy, slot, t.cols);
    s->k->combine(s->k, &r, output(s, n), sorted, gates, slot, t.cols);
    s->k->combine_backward(s->k, &r, sorted, LOOM_STORAGE_REAL, output(s, t.rows * 2), dy, sorted, gates, slot, t.cols);
}

static void run_lti(struct scene *s) {
    const struct table t = table(s);
    const size_t n = t.rows * t.cols;
    const float *h = input(s, n), *e = input(s, n), *dout = input(s, n);
    float *log_a = input(s, t.cols);
    const float *log_dt = input(s, 1), *b = input(s, t.cols);
    log_a[t.cols / 2] *= 40.0f; /* some beyond the clamp */
    float *y = output(s, n);
    s->k->lti(s->k, y, h, e, y, log_a, log_dt, b, t.rows, t.cols);
    s->k->lti_backward(s->k, output(s, n), output(s, n), output(s, t.cols), output(s, 1), output(s, t.cols), dout, h, e,
                       log_a, log_dt, b, t.rows, t.cols);
}

/* ---- the comparison ---------------------------------------------------------------------------------------------- */

struct kernel_case {
    const char *name;
    void (*run)(struct scene *s);
    size_t trials;
    double tolerance;
};

static struct scene play(const struct kernel_case *c, size_t trial, const struct loom_kernels *k, bool bf16) {
    struct scene s = {.k = k, .seed = 1000 + trial, .trial = trial, .bf16 = bf16};
    c->run(&s);
    return s;
}

/* The norm of the difference over the norm of what is expected. Where that is (nearly) zero by nature, as a softmax's
 * gradient over one key, a hundredth of a random array's norm stands for it. */
static double distance(const float *x, const float *expected, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)expected[i];
        difference += d * d;
        norm += (double)expected[i] * (double)expected[i];
    }
    return sqrt(difference) / fmax(sqrt(norm), 0.01 * sqrt((double)n));
}

static void compare(const struct kernel_case *c, const struct scene *s, const struct scene *expected) {
    assert_int_equal(s->arrays, expected->arrays);
    for (size_t i = 0; i < s->arrays; i++) {
        const double d = s->is_output[i] ? distance(s->array[i], expected->array[i], s->n[i]) : 0;
        if (!(d <= c->tolerance))
            fail_msg("%s, trial %zu, array %zu on %s: off by %g, allowed %g", c->name, s->trial, i, s->k->name, d,
                     c->tolerance);
    }
}

static void compare_bits(const struct kernel_case *c, const struct scene *s, const struct scene *one, int threads) {
    for (size_t i = 0; i < s->arrays; i++)
        if (memcmp(s->array[i], one->array[i], s->n[i] * sizeof(float)) != 0)
            fail_msg("%s, trial %zu, array %zu on %s: %d threads differ from 1", c->name, s->trial, i, s->k->name,
                     threads);
}

static void check_level(const struct kernel_case *c, size_t trial, enum loom_cpu_level level,
                        const struct scene *expected, bool bf16) {
    struct scene one = {0};
    for (int threads = 1; threads <= THREADS_MAX; threads++) {
        struct loom_kernels *k = loom_kernels_cpu_open_at(level, threads);
        assert_non_null(k);
        assert_true(!bf16 || k->set_precision(k, LOOM_PRECISION_BF16));
        struct scene s = play(c, trial, k, bf16);
        if (threads == 1) {
            compare(c, &s, expected);
            one = s;
        } else {
            compare_bits(c, &s, &one, threads);
            release(&s);
        }
        loom_kernels_cpu_close(k);
    }
    release(&one);
}

static void check_case(const struct kernel_case *c, bool bf16) {
    for (size_t trial = 0; trial < c->trials; trial++) {
        struct scene expected = play(c, trial, loom_kernels_ref(), bf16);
        for (int level = bf16 ? LOOM_CPU_AVX512BF16 : 0; level < LOOM_CPU_LEVELS; level++)
            if (loom_cpu_supports((enum loom_cpu_level)level))
                check_level(c, trial, (enum loom_cpu_level)level, &expected, bf16);
        release(&expected);
    }
}

static void check(void **state) {
    check_case(*state, false);
}

static void check_bf16(void **state) {
    check_case(*state, true);
}

/* ---- the machine itself ------------------------------------------------------------------------------------------ */

static void memory_is_zeroed_and_aligned(void **state) {
    (void)state;
    struct loom_kernels *k = loom_kernels_cpu_open(0);
    assert_non_null(k);
    static const size_t sizes[] = {0, 1, 100, 3 << 20};
    for (size_t i = 0; i < 4; i++) {
        unsigned char *memory = k->alloc(k, sizes[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(memory[j], 0);
        k->release(k, memory);
    }
    assert_null(k->alloc(k, SIZE_MAX));
    k->release(k, NULL);
    loom_kernels_cpu_close(k);
    loom_kernels_cpu_close(NULL);
}

/* A NaN must reach the loss, or nobody learns that training went wrong. */
static void nan_stays_nan(void **state) {
    (void)state;
    struct loom_kernels *k = loom_kernels_cpu_open(1);
    assert_non_null(k);
    enum { N = 40 };
    float x[N], y[N], w[N] = {0}, rstd[1], loss[1];
    const int target = 3;
    for (int i = 0; i < N; i++)
        x[i] = i == 20 ? NAN : 0.1f * (float)i;
    k->cross_entropy(k, loss, y, x, &target, 1, 1, N);
    assert_true(isnan(loss[0]) && isnan(y[0]));
    k->rmsnorm(k, y, LOOM_STORAGE_REAL, rstd, x, x, 1, N, 1e-5f);
    assert_true(isnan(y[0]));
    k->swiglu(k, y, LOOM_STORAGE_REAL, x, x, N);
    assert_true(isnan(y[20]) && !isnan(y[19]));
    k->gelu(k, y, LOOM_STORAGE_REAL, x, N);
    assert_true(isnan(y[20]) && !isnan(y[19]));
    k->linear(k, &(struct loom_linear){.rows = 1, .n_in = N, .n_out = 1, .groups = 1}, y, x, w, false);
    assert_true(isnan(y[0]));
    loom_kernels_cpu_close(k);
}

/* A machine that has no bf16 says so and goes on in float32; one that has it rounds, but not an exact product. */
static void precision_is_chosen(void **state) {
    (void)state;
    enum { N = 16 };
    struct loom_linear s = {.rows = N, .n_in = N, .n_out = N, .groups = 1};
    float x[N * N], w[N * N], y[N * N];
    for (int i = 0; i < N * N; i++) {
        x[i] = 1.0f + 0x1p-12f;
        w[i] = 1.0f;
    }
    for (int level = 0; level < LOOM_CPU_LEVELS; level++) {
        if (!loom_cpu_supports((enum loom_cpu_level)level))
            continue;
        struct loom_kernels *k = loom_kernels_cpu_open_at((enum loom_cpu_level)level, 1);
        assert_non_null(k);
        const bool bf16 = k->set_precision(k, LOOM_PRECISION_BF16);
        assert_int_equal(bf16, level >= LOOM_CPU_AVX512BF16);
        s.exact = false;
        k->linear(k, &s, y, x, w, false);
        assert_true(y[0] == (bf16 ? (float)N : (float)N * x[0]));
        s.exact = true;
        k->linear(k, &s, y, x, w, false);
        assert_true(y[0] == (float)N * x[0]);
        assert_true(k->set_precision(k, LOOM_PRECISION_FLOAT32));
        s.exact = false;
        k->linear(k, &s, y, x, w, false);
        assert_true(y[0] == (float)N * x[0]);
        loom_kernels_cpu_close(k);
    }
}

/* Products with held weights are the same to the bit, also after the weights have changed and been held again; with
 * weights of other sizes and with weights outside they are as ever. */
static void held_weights_change_nothing(void **state) {
    (void)state;
    enum { ROWS = 70, IN = 48, OUT = 80, GROUPS = 2, WEIGHTS = IN * OUT, ODD = 7, ALL = ODD + (GROUPS + 1) * WEIGHTS };
    static float weights[ALL], x[ROWS * OUT], y[ROWS * OUT], expected[ROWS * OUT];
    const int offset[GROUPS + 1] = {0, 30, ROWS};
    const struct loom_linear one = {.rows = ROWS, .n_in = IN, .n_out = OUT, .groups = 1};
    struct loom_linear grouped = one;
    grouped.groups = GROUPS;
    grouped.offset = offset;
    for (int i = 0; i < ROWS * OUT; i++)
        x[i] = (float)(i % 101) / 50 - 1;
    struct loom_kernels *k = loom_kernels_cpu_open(2), *plain = loom_kernels_cpu_open(2);
    assert_true(k && plain);
    const bool bf16 = k->set_precision(k, LOOM_PRECISION_BF16) && plain->set_precision(plain, LOOM_PRECISION_BF16);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ALL; i++)
            weights[i] = (float)((i * 7 + round * 13) % 97) / 40 - 1;
        assert_true(k->hold(k, weights, ALL));
        for (int again = 0; again < 2; again++) {
            k->linear(k, &one, y, x, weights + ODD, false);
            plain->linear(plain, &one, expected, x, weights + ODD, false);
            assert_memory_equal(y, expected, sizeof y);
            k->linear(k, &grouped, y, x, weights + ODD + WEIGHTS, false);
            plain->linear(plain, &grouped, expected, x, weights + ODD + WEIGHTS, false);
            assert_memory_equal(y, expected, sizeof y);
            k->linear_input(k, &grouped, y, x, weights + ODD + WEIGHTS, false);
            plain->linear_input(plain, &grouped, expected, x, weights + ODD + WEIGHTS, false);
            assert_memory_equal(y, expected, ROWS * IN * sizeof *y);
        }
        /* What is held does not change before it is held again: a held copy is used. */
        weights[ODD] += 100;
        k->linear(k, &one, y, x, weights + ODD, false);
        plain->linear(plain, &one, expected, x, weights + ODD, false);
        assert_int_equal(memcmp(y, expected, sizeof y) != 0, bf16);
    }
    assert_true(k->hold(k, NULL, 0));
    k->linear(k, &one, y, x, weights + ODD, false);
    assert_memory_equal(y, expected, sizeof y);
    loom_kernels_cpu_close(k);
    loom_kernels_cpu_close(plain);
}

/* ---- whole numbers ----------------------------------------------------------------------------------------------- */

enum { WHOLE_ROWS = 21, WHOLE_IN = 96, WHOLE_OUT = 112, WHOLE_GROUPS = 3, WHOLE_WEIGHTS = WHOLE_IN * WHOLE_OUT };

/* Products of one shape, plain and in groups; returns how many numbers. */
static size_t whole_products(const struct loom_kernels *k, float *y, const float *x, const float *w, bool exact) {
    static const int offset[WHOLE_GROUPS + 1] = {0, 1, 1, WHOLE_ROWS};
    struct loom_linear s = {.rows = WHOLE_ROWS, .n_in = WHOLE_IN, .n_out = WHOLE_OUT, .groups = 1, .exact = exact};
    const size_t n = WHOLE_ROWS * WHOLE_OUT;
    k->linear(k, &s, y, x, w, false);
    s.rows = 1;
    k->linear(k, &s, y, x, w, true);
    s.rows = WHOLE_ROWS;
    s.groups = WHOLE_GROUPS;
    s.offset = offset;
    k->linear(k, &s, y + n, x, w, false);
    return 2 * n;
}

/* Numbers i/(most+1), each 32 of which hold the largest, so that nothing is lost in rounding to whole numbers. */
static void fill_whole(float *x, size_t n, int most, int step) {
    for (size_t i = 0; i < n; i++)
        x[i] =
            (float)(i % 32 == 0 ? most : (int)(i * (size_t)step % (size_t)(2 * most + 1)) - most) / (float)(most + 1);
}

static void check_whole(enum loom_precision precision, const float *x, const float *w, double tolerance) {
    enum { N = 2 * WHOLE_ROWS * WHOLE_OUT };
    static float expected[N], y[N], one[N];
    memset(expected, 0, sizeof expected);
    whole_products(loom_kernels_ref(), expected, x, w, false);
    for (int threads = 1; threads <= THREADS_MAX; threads++) {
        struct loom_kernels *k = loom_kernels_cpu_open_at(LOOM_CPU_AVX512BF16, threads);
        assert_true(k && k->set_precision(k, precision) && k->hold(k, w, WHOLE_GROUPS * WHOLE_WEIGHTS));
        for (int again = 0; again < 2; again++) {
            whole_products(k, y, x, w, false);
            const double d = distance(y, expected, N);
            if (!(d <= tolerance))
                fail_msg("precision %d: off by %g, allowed %g", (int)precision, d, tolerance);
        }
        if (threads == 1)
            memcpy(one, y, sizeof one);
        assert_memory_equal(y, one, sizeof one);
        whole_products(k, y, x, w, true);
        assert_true(distance(y, expected, N) < 2e-6);
        loom_kernels_cpu_close(k);
    }
}

/* Weights that whole numbers hold give ref's products; others give products as near as the format is fine. */
static void whole_numbers_are_near(void **state) {
    (void)state;
    static float x[WHOLE_ROWS * WHOLE_IN], w[WHOLE_GROUPS * WHOLE_WEIGHTS];
    if (!loom_cpu_supports(LOOM_CPU_AVX512BF16))
        skip();
    fill_whole(x, WHOLE_ROWS * WHOLE_IN, 127, 89);
    fill_whole(w, WHOLE_GROUPS * WHOLE_WEIGHTS, 127, 57);
    check_whole(LOOM_PRECISION_INT8, x, w, 2e-6);
    fill_whole(w, WHOLE_GROUPS * WHOLE_WEIGHTS, 7, 11);
    check_whole(LOOM_PRECISION_INT4, x, w, 2e-6);
    struct scene s = {.seed = 5};
    const float *any_x = input(&s, WHOLE_ROWS * WHOLE_IN), *any_w = input(&s, WHOLE_GROUPS * WHOLE_WEIGHTS);
    check_whole(LOOM_PRECISION_INT8, any_x, any_w, 1e-2);
    check_whole(LOOM_PRECISION_INT4, any_x, any_w, 1.2e-1);
    release(&s);
}

static void peak_is_plausible(void **state) {
    (void)state;
    const double peak = loom_kernels_cpu_peak(1, LOOM_PRECISION_FLOAT32);
    assert_true(peak > 1e8 && peak < 1e13);
}

int main(void) {
    static struct kernel_case cases[] = {
        {"fill", run_fill, 5, 0},
        {"copy", run_copy, 5, 0},
        {"add", run_add, 5, 0},
        {"add_scaled", run_add_scaled, 5, 1e-6},
        {"sum, sum_squares", run_sums, 5, 1e-6},
        {"dropout", run_dropout, 5, 1e-6},
        {"copy_columns", run_copy_columns, 6, 1e-6},
        {"copy_heads", run_copy_heads, 4, 0},
        {"add_row, scale_columns, add_scaled_rows", run_rows, 6, 1e-6},
        {"sum_rows, sum_products, dot_rows", run_row_sums, 6, 1e-6},
        {"embed", run_embed, 6, 1e-6},
        {"linear", run_linear, 10, 2e-6},
        {"linear in groups", run_groups, 10, 2e-6},
        {"linear in groups that lie apart", run_strided, 10, 2e-6},
        {"rmsnorm", run_rmsnorm, 6, 1e-6},
        {"layernorm", run_layernorm, 6, 1e-6},
        {"swiglu", run_swiglu, 5, 1e-6},
        {"relu2", run_relu2, 5, 1e-6},
        {"softcap", run_softcap, 5, 2e-6},
        {"blend", run_blend, 5, 1e-6},
        {"muon", run_muon, 6, 1e-6},
        {"gelu", run_gelu, 5, 1e-6},
        {"gelu's tail", run_gelu_tail, 1, 3e-6},
        {"cross_entropy", run_cross_entropy, 6, 1e-6},
        {"adamw", run_adamw, 5, 1e-6},
        {"rope", run_rope, 3, 1e-6},
        {"attention", run_attention, 20, 2e-6},
        {"attention to shared keys", run_shared_attention, 12, 2e-6},
        {"gather, combine", run_experts, 6, 1e-6},
        {"lti", run_lti, 6, 1e-6},
    };
    static struct kernel_case rounded[] = {
        {"linear in bf16", run_linear, 10, 2e-6},
        {"linear in groups in bf16", run_groups, 10, 2e-6},
        {"attention in bf16", run_attention, 20, 8e-3},
        {"attention to shared keys in bf16", run_shared_attention, 12, 8e-3},
    };
    enum { CASES = sizeof cases / sizeof *cases, ROUNDED = sizeof rounded / sizeof *rounded };
    struct CMUnitTest tests[CASES + ROUNDED + 6] = {
        {"memory_is_zeroed_and_aligned", memory_is_zeroed_and_aligned, NULL, NULL, NULL},
        {"nan_stays_nan", nan_stays_nan, NULL, NULL, NULL},
        {"precision_is_chosen", precision_is_chosen, NULL, NULL, NULL},
        {"whole_numbers_are_near", whole_numbers_are_near, NULL, NULL, NULL},
        {"held_weights_change_nothing", held_weights_change_nothing, NULL, NULL, NULL},
        {"peak_is_plausible", peak_is_plausible, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < CASES; i++)
        tests[6 + i] = (struct CMUnitTest){cases[i].name, check, NULL, NULL, &cases[i]};
    for (size_t i = 0; i < ROUNDED; i++)
        tests[6 + CASES + i] = (struct CMUnitTest){rounded[i].name, check_bf16, NULL, NULL, &rounded[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
