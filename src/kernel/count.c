/* count.c - a machine that counts floating-point operations and hands the work to another one, or to none.
 *
 * The convention: every addition, subtraction, multiplication, division, square root, exponential, logarithm and error
 * function counts one. Copies, comparisons, sign changes, sorting and random bits count nothing. A value counts once
 * per kernel, whatever a machine computes again to save memory, and what is done once a row or once a column beside
 * work on each of its elements is left out. Products of matrices count 2 for each multiply-add. Counts follow from
 * shapes alone, never from data, so a dry pass and a real one agree; attention that keeps documents apart counts as if
 * it did not, though a machine may do less. */
#include "kernel/kernel.h"

/* Adds `operations` to the counter and answers the machine that does the work, or NULL on a dry run. */
static const struct loom_kernels *charge(const struct loom_kernels *k, double operations) {
    struct loom_counter *counter = k->self;
    counter->flops += operations;
    return counter->inner;
}

/* `each` operations on every element of a (rows, cols) array. */
static const struct loom_kernels *charge_array(const struct loom_kernels *k, double each, size_t rows, size_t cols) {
    return charge(k, each * (double)rows * (double)cols);
}

/* Rounding costs no operation. */
static bool count_set_precision(const struct loom_kernels *k, enum loom_precision precision) {
    const struct loom_kernels *inner = charge(k, 0);
    return inner == NULL || inner->set_precision(inner, precision);
}

/* A dry machine's arrays are as large as they can be. */
static enum loom_storage count_factor_format(const struct loom_kernels *k) {
    const struct loom_kernels *inner = charge(k, 0);
    return inner != NULL ? inner->factor_format(inner) : LOOM_STORAGE_REAL;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void *count_alloc(const struct loom_kernels *k, size_t bytes) {
    const struct loom_kernels *inner = charge(k, 0);
    return inner != NULL ? inner->alloc(inner, bytes) : NULL;
}

static void count_release(const struct loom_kernels *k, void *memory) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->release(inner, memory);
}

static void count_upload(const struct loom_kernels *k, void *to, const void *host, size_t bytes) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->upload(inner, to, host, bytes);
}

static void count_download(const struct loom_kernels *k, void *host, const void *from, size_t bytes) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->download(inner, host, from, bytes);
}

static bool count_hold(const struct loom_kernels *k, const real *weights, size_t count) {
    const struct loom_kernels *inner = charge(k, 0);
    return inner == NULL || inner->hold(inner, weights, count);
}

/* ---- plain arrays ------------------------------------------------------------------------------------------------ */

static void count_fill(const struct loom_kernels *k, real *y, real value, size_t n) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->fill(inner, y, value, n);
}

static void count_convert(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->convert(inner, y, format, x, n);
}

static void count_copy(const struct loom_kernels *k, real *y, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->copy(inner, y, x, n);
}

static void count_add(const struct loom_kernels *k, real *y, const real *a, const real *b, size_t n) {
    const struct loom_kernels *inner = charge(k, (double)n);
    if (inner != NULL)
        inner->add(inner, y, a, b, n);
}

static void count_add_scaled(const struct loom_kernels *k, real *y, real s, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, 2 * (double)n);
    if (inner != NULL)
        inner->add_scaled(inner, y, s, x, n);
}

static void count_blend(const struct loom_kernels *k, real *y, real a, const real *x, real b, const real *z, size_t n) {
    const struct loom_kernels *inner = charge(k, 3 * (double)n);
    if (inner != NULL)
        inner->blend(inner, y, a, x, b, z, n);
}

static double count_sum(const struct loom_kernels *k, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, (double)n);
    return inner != NULL ? inner->sum(inner, x, n) : 0;
}

static double count_sum_squares(const struct loom_kernels *k, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, 2 * (double)n);
    return inner != NULL ? inner->sum_squares(inner, x, n) : 0;
}

static size_t count_count_below(const struct loom_kernels *k, const real *x, real limit, size_t n) {
    const struct loom_kernels *inner = charge(k, 0);
    return inner != NULL ? inner->count_below(inner, x, limit, n) : n;
}

static void count_dropout(const struct loom_kernels *k, real *y, const real *x, real rate, uint64_t seed, size_t n) {
    const struct loom_kernels *inner = charge(k, (double)n);
    if (inner != NULL)
        inner->dropout(inner, y, x, rate, seed, n);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void count_copy_columns(const struct loom_kernels *k, real *y, size_t ldy, const real *x, size_t ldx,
                               size_t rows, size_t cols, bool accumulate) {
    const struct loom_kernels *inner = charge_array(k, accumulate ? 1 : 0, rows, cols);
    if (inner != NULL)
        inner->copy_columns(inner, y, ldy, x, ldx, rows, cols, accumulate);
}

static void count_copy_heads(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch,
                             size_t rows, size_t heads, size_t width) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->copy_heads(inner, y, x, batch, rows, heads, width);
}

static void count_add_row(const struct loom_kernels *k, real *y, const real *row, size_t rows, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 1, rows, cols);
    if (inner != NULL)
        inner->add_row(inner, y, row, rows, cols);
}

static void count_sum_rows(const struct loom_kernels *k, real *drow, const void *dy, enum loom_storage format,
                           size_t rows, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 1, rows, cols);
    if (inner != NULL)
        inner->sum_rows(inner, drow, dy, format, rows, cols);
}

static void count_scale_columns(const struct loom_kernels *k, real *y, const real *x, const real *row, size_t rows,
                                size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 1, rows, cols);
    if (inner != NULL)
        inner->scale_columns(inner, y, x, row, rows, cols);
}

static void count_sum_products(const struct loom_kernels *k, real *drow, const real *dy, const real *x, size_t rows,
                               size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 2, rows, cols);
    if (inner != NULL)
        inner->sum_products(inner, drow, dy, x, rows, cols);
}

static void count_add_scaled_rows(const struct loom_kernels *k, real *y, const real *w, const real *x, size_t rows,
                                  size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 2, rows, cols);
    if (inner != NULL)
        inner->add_scaled_rows(inner, y, w, x, rows, cols);
}

static void count_dot_rows(const struct loom_kernels *k, real *dw, const real *dy, const real *x, size_t rows,
                           size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 2, rows, cols);
    if (inner != NULL)
        inner->dot_rows(inner, dw, dy, x, rows, cols);
}

/* ---- matrix products --------------------------------------------------------------------------------------------- */

/* Every row meets one weight matrix, whichever group it is in. */
static const struct loom_kernels *charge_linear(const struct loom_kernels *k, const struct loom_linear *s) {
    return charge_array(k, 2 * (double)s->rows, s->n_in, s->n_out);
}

static void count_linear(const struct loom_kernels *k, const struct loom_linear *s, real *y, const void *x,
                         const real *w, bool accumulate) {
    const struct loom_kernels *inner = charge_linear(k, s);
    if (inner != NULL)
        inner->linear(inner, s, y, x, w, accumulate);
}

static void count_linear_input(const struct loom_kernels *k, const struct loom_linear *s, real *dx, const void *dy,
                               const real *w, bool accumulate) {
    const struct loom_kernels *inner = charge_linear(k, s);
    if (inner != NULL)
        inner->linear_input(inner, s, dx, dy, w, accumulate);
}

static void count_linear_weight(const struct loom_kernels *k, const struct loom_linear *s, real *dw, const void *dy,
                                const void *x) {
    const struct loom_kernels *inner = charge_linear(k, s);
    if (inner != NULL)
        inner->linear_weight(inner, s, dw, dy, x);
}

/* ---- normalisation ----------------------------------------------------------------------------------------------- */

/* The sum of squares 2, the scaling 2. */
static void count_rmsnorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *rstd, const real *x,
                          const real *weight, size_t rows, size_t cols, real eps) {
    const struct loom_kernels *inner = charge_array(k, 4, rows, cols);
    if (inner != NULL)
        inner->rmsnorm(inner, y, format, rstd, x, weight, rows, cols, eps);
}

/* g and z 2, their product's sum 2, dx 4, dweight 2. */
static void count_rmsnorm_backward(const struct loom_kernels *k, real *dx, real *dweight, const real *dy, const real *x,
                                   const real *weight, const real *rstd, size_t rows, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 10, rows, cols);
    if (inner != NULL)
        inner->rmsnorm_backward(inner, dx, dweight, dy, x, weight, rstd, rows, cols);
}

/* The mean 1, the variance 3, the scaling 3, the bias 1. */
static void count_layernorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *mean, real *rstd,
                            const real *x, const real *weight, const real *bias, size_t rows, size_t cols, real eps) {
    const struct loom_kernels *inner = charge_array(k, bias != NULL ? 8 : 7, rows, cols);
    if (inner != NULL)
        inner->layernorm(inner, y, format, mean, rstd, x, weight, bias, rows, cols, eps);
}

/* As rmsnorm_backward, and 1 each for z's centre, the sum of g and its part in dx; dbias 1. */
static void count_layernorm_backward(const struct loom_kernels *k, real *dx, real *dweight, real *dbias, const real *dy,
                                     const real *x, const real *weight, const real *mean, const real *rstd, size_t rows,
                                     size_t cols) {
    const struct loom_kernels *inner = charge_array(k, dbias != NULL ? 14 : 13, rows, cols);
    if (inner != NULL)
        inner->layernorm_backward(inner, dx, dweight, dbias, dy, x, weight, mean, rstd, rows, cols);
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

/* silu 3, the product 1. */
static void count_swiglu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *gate,
                         const real *up, size_t n) {
    const struct loom_kernels *inner = charge(k, 4 * (double)n);
    if (inner != NULL)
        inner->swiglu(inner, y, format, gate, up, n);
}

/* The sigmoid 3, dup 2, dgate 6; y is the forward's, counted there. */
static void count_swiglu_backward(const struct loom_kernels *k, void *dgate, void *dup, void *y,
                                  enum loom_storage format, const real *dy, const real *gate, const real *up,
                                  size_t n) {
    const struct loom_kernels *inner = charge(k, 11 * (double)n);
    if (inner != NULL)
        inner->swiglu_backward(inner, dgate, dup, y, format, dy, gate, up, n);
}

static void count_relu2(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, (double)n);
    if (inner != NULL)
        inner->relu2(inner, y, format, x, n);
}

static void count_relu2_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format,
                                 const real *dy, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, 2 * (double)n);
    if (inner != NULL)
        inner->relu2_backward(inner, dx, y, format, dy, x, n);
}

/* Two scales, and 4 for the hyperbolic tangent. */
static void count_softcap(const struct loom_kernels *k, real *y, const real *x, real cap, size_t n) {
    const struct loom_kernels *inner = charge(k, 6 * (double)n);
    if (inner != NULL)
        inner->softcap(inner, y, x, cap, n);
}

static void count_softcap_backward(const struct loom_kernels *k, real *dx, const real *dy, const real *y, real cap,
                                   size_t n) {
    const struct loom_kernels *inner = charge(k, 4 * (double)n);
    if (inner != NULL)
        inner->softcap_backward(inner, dx, dy, y, cap, n);
}

static void count_gelu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    const struct loom_kernels *inner = charge(k, 5 * (double)n);
    if (inner != NULL)
        inner->gelu(inner, y, format, x, n);
}

/* The normal's distribution function 4, its density 4, the rest 3. */
static void count_gelu_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format,
                                const real *dy, const void *x, size_t n) {
    const struct loom_kernels *inner = charge(k, 11 * (double)n);
    if (inner != NULL)
        inner->gelu_backward(inner, dx, y, format, dy, x, n);
}

/* ---- embedding --------------------------------------------------------------------------------------------------- */

static void count_embed(const struct loom_kernels *k, real *y, const real *table, const int *ids, size_t rows,
                        size_t cols) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->embed(inner, y, table, ids, rows, cols);
}

static void count_embed_backward(const struct loom_kernels *k, real *dtable, const real *dy, const int *ids,
                                 size_t rows, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 1, rows, cols);
    if (inner != NULL)
        inner->embed_backward(inner, dtable, dy, ids, rows, cols);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* A rotation is 4 products and 2 sums. */
static void count_rope(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch, size_t rows,
                       size_t heads, size_t pairs, const real *table, size_t first, bool inverse) {
    const struct loom_kernels *inner = charge_array(k, 6 * (double)(batch * rows), heads, pairs);
    if (inner != NULL)
        inner->rope(inner, y, x, batch, rows, heads, pairs, table, first, inverse);
}

/* How many pairs of a query and a key it sees there are, over all heads. */
static double visible_pairs(const struct loom_attention *a) {
    double queries = (double)a->queries, cached = (double)(a->keys - a->queries);
    return (double)(a->batch * a->heads) * (queries * cached + queries * (queries + 1) / 2);
}

/* For each pair the two products, and 4 for the softmax: scale, subtract, exponential, sum; dropout 1. */
static void count_attention(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view out,
                            real *lse, struct loom_view q, struct loom_view key, struct loom_view value) {
    double each = 2 * (double)(a->head_dim + a->value_dim) + (a->dropout > 0 ? 5 : 4);
    const struct loom_kernels *inner = charge(k, each * visible_pairs(a));
    if (inner != NULL)
        inner->attention(inner, a, out, lse, q, key, value);
}

/* For each pair the scores, dq and dk over head_dim, and dv and the weight's gradient over value_dim; 3 for the weight,
 * 3 for the score's gradient; dropout 2. For each query once the product of dout and out. */
static void count_attention_backward(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view dq,
                                     struct loom_view dk, struct loom_view dv, struct loom_view dout,
                                     struct loom_view out, const real *lse, struct loom_view q, struct loom_view key,
                                     struct loom_view value) {
    double each = 2 * (double)(3 * a->head_dim + 2 * a->value_dim) + (a->dropout > 0 ? 8 : 6);
    double once = 2 * (double)(a->batch * a->heads * a->queries * a->value_dim);
    const struct loom_kernels *inner = charge(k, each * visible_pairs(a) + once);
    if (inner != NULL)
        inner->attention_backward(inner, a, dq, dk, dv, dout, out, lse, q, key, value);
}

/* ---- router and experts ------------------------------------------------------------------------------------------ */

/* For each expert the bias 1 and the softmax 4, for each choice the softmax 4. */
static void count_route(const struct loom_kernels *k, const struct loom_route *r, real *scores, int *ids, real *gates,
                        const real *logits, const real *bias) {
    const struct loom_kernels *inner = charge(k, (double)r->rows * (double)(5 * r->experts + 4 * r->top_k));
    if (inner != NULL)
        inner->route(inner, r, scores, ids, gates, logits, bias);
}

static void count_route_backward(const struct loom_kernels *k, const struct loom_route *r, real *dlogits,
                                 const real *dgates, const real *scores, const int *ids, const real *gates) {
    const struct loom_kernels *inner =
        charge_array(k, 4, r->rows, r->kind == LOOM_ROUTER_SWITCH ? r->experts : r->top_k);
    if (inner != NULL)
        inner->route_backward(inner, r, dlogits, dgates, scores, ids, gates);
}

/* Shares, their mean with the load, and what each logit has of it; 4 for the softmax of the z-loss. */
static double count_balance(const struct loom_kernels *k, const struct loom_route *r, const struct loom_balance *b,
                            real *dlogits, real *load, const real *logits, const real *scores, const int *ids) {
    const struct loom_kernels *inner = charge_array(k, 12, r->rows, r->experts);
    return inner != NULL ? inner->balance(inner, r, b, dlogits, load, logits, scores, ids) : 0;
}

static void count_group(const struct loom_kernels *k, const struct loom_route *r, int *offset, int *slot, int *source,
                        const int *ids) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->group(inner, r, offset, slot, source, ids);
}

static void count_gather(const struct loom_kernels *k, const struct loom_route *r, void *y, const void *x,
                         enum loom_storage format, const int *source, size_t cols) {
    const struct loom_kernels *inner = charge(k, 0);
    if (inner != NULL)
        inner->gather(inner, r, y, x, format, source, cols);
}

static void count_gather_backward(const struct loom_kernels *k, const struct loom_route *r, real *dx, const real *dy,
                                  const int *slot, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 1, r->rows * r->top_k, cols);
    if (inner != NULL)
        inner->gather_backward(inner, r, dx, dy, slot, cols);
}

static void count_combine(const struct loom_kernels *k, const struct loom_route *r, real *y, const real *x,
                          const real *gates, const int *slot, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 2, r->rows * r->top_k, cols);
    if (inner != NULL)
        inner->combine(inner, r, y, x, gates, slot, cols);
}

static void count_combine_backward(const struct loom_kernels *k, const struct loom_route *r, void *dx,
                                   enum loom_storage format, real *dgates, const real *dy, const real *x,
                                   const real *gates, const int *slot, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 3, r->rows * r->top_k, cols);
    if (inner != NULL)
        inner->combine_backward(inner, r, dx, format, dgates, dy, x, gates, slot, cols);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void count_lti(const struct loom_kernels *k, real *out, const real *h, const real *e, const real *y,
                      const real *log_a, const real *log_dt, const real *b, size_t rows, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 4, rows, cols);
    if (inner != NULL)
        inner->lti(inner, out, h, e, y, log_a, log_dt, b, rows, cols);
}

/* dh 1, de 2, and 2 each for the sums behind dlog_a and db. */
static void count_lti_backward(const struct loom_kernels *k, real *dh, real *de, real *dlog_a, real *dlog_dt, real *db,
                               const real *dout, const real *h, const real *e, const real *log_a, const real *log_dt,
                               const real *b, size_t rows, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, 7, rows, cols);
    if (inner != NULL)
        inner->lti_backward(inner, dh, de, dlog_a, dlog_dt, db, dout, h, e, log_a, log_dt, b, rows, cols);
}

/* The sigmoid 3, the new sum 1, the remainder 1; every token counts as running. */
static void count_halt(const struct loom_kernels *k, const struct loom_halt *s, real *p, real *w, real *cum_out,
                       const real *cum, const real *logit) {
    const struct loom_kernels *inner = charge(k, 5 * (double)s->rows);
    if (inner != NULL)
        inner->halt(inner, s, p, w, cum_out, cum, logit);
}

static void count_halt_backward(const struct loom_kernels *k, const struct loom_halt *s, real *dlogit, real *dcum,
                                const real *dw, const real *dcum_out, const real *p, const real *cum) {
    const struct loom_kernels *inner = charge(k, 5 * (double)s->rows);
    if (inner != NULL)
        inner->halt_backward(inner, s, dlogit, dcum, dw, dcum_out, p, cum);
}

/* ---- loss and optimizer ------------------------------------------------------------------------------------------ */

/* Subtract, exponential and sum for the loss; subtract, exponential and scale for the gradient. */
static void count_cross_entropy(const struct loom_kernels *k, real *loss, real *dlogits, const real *logits,
                                const int *targets, real scale, size_t rows, size_t cols) {
    const struct loom_kernels *inner = charge_array(k, dlogits != NULL ? 6 : 3, rows, cols);
    if (inner != NULL)
        inner->cross_entropy(inner, loss, dlogits, logits, targets, scale, rows, cols);
}

/* The gradient's scale 1, the first moment 3, the second 4, the step 5, the weight 3. */
static void count_adamw(const struct loom_kernels *k, const struct loom_adamw *o, real *p, real *m, real *v,
                        const real *g, size_t n) {
    const struct loom_kernels *inner = charge(k, 16 * (double)n);
    if (inner != NULL)
        inner->adamw(inner, o, p, m, v, g, n);
}

/* The rows' squares 2 and their factors' 2, the weight 5. */
static void count_muon(const struct loom_kernels *k, const struct loom_muon *o, real *w, real *v, const real *u) {
    const struct loom_kernels *inner = charge_array(k, 9 * (double)o->blocks, o->rows, o->cols);
    if (inner != NULL)
        inner->muon(inner, o, w, v, u);
}

void loom_counter_init(struct loom_counter *counter, const struct loom_kernels *inner) {
    static const struct loom_kernels table = {
        .name = "count",
        .set_precision = count_set_precision,
        .factor_format = count_factor_format,
        .alloc = count_alloc,
        .release = count_release,
        .upload = count_upload,
        .download = count_download,
        .hold = count_hold,
        .fill = count_fill,
        .copy = count_copy,
        .convert = count_convert,
        .add = count_add,
        .add_scaled = count_add_scaled,
        .blend = count_blend,
        .sum = count_sum,
        .sum_squares = count_sum_squares,
        .count_below = count_count_below,
        .dropout = count_dropout,
        .copy_columns = count_copy_columns,
        .copy_heads = count_copy_heads,
        .add_row = count_add_row,
        .sum_rows = count_sum_rows,
        .scale_columns = count_scale_columns,
        .sum_products = count_sum_products,
        .add_scaled_rows = count_add_scaled_rows,
        .dot_rows = count_dot_rows,
        .linear = count_linear,
        .linear_input = count_linear_input,
        .linear_weight = count_linear_weight,
        .rmsnorm = count_rmsnorm,
        .rmsnorm_backward = count_rmsnorm_backward,
        .layernorm = count_layernorm,
        .layernorm_backward = count_layernorm_backward,
        .swiglu = count_swiglu,
        .swiglu_backward = count_swiglu_backward,
        .relu2 = count_relu2,
        .relu2_backward = count_relu2_backward,
        .softcap = count_softcap,
        .softcap_backward = count_softcap_backward,
        .gelu = count_gelu,
        .gelu_backward = count_gelu_backward,
        .embed = count_embed,
        .embed_backward = count_embed_backward,
        .rope = count_rope,
        .attention = count_attention,
        .attention_backward = count_attention_backward,
        .route = count_route,
        .route_backward = count_route_backward,
        .balance = count_balance,
        .group = count_group,
        .gather = count_gather,
        .gather_backward = count_gather_backward,
        .combine = count_combine,
        .combine_backward = count_combine_backward,
        .lti = count_lti,
        .lti_backward = count_lti_backward,
        .halt = count_halt,
        .halt_backward = count_halt_backward,
        .cross_entropy = count_cross_entropy,
        .adamw = count_adamw,
        .muon = count_muon,
    };
    *counter = (struct loom_counter){.kernels = table, .inner = inner};
    counter->kernels.name = inner != NULL ? inner->name : "dry";
    counter->kernels.self = counter;
}

bool loom_kernels_dry(const struct loom_kernels *k) {
    return k->fill == count_fill && ((const struct loom_counter *)k->self)->inner == NULL;
}
