/* ref.h - the kernels in plain C, one thread: what each entry of struct loom_kernels means.
 *
 * The contracts are in kernel/kernel.h. Another machine may put any of these functions into its own table: none of them
 * reads `k`. Sums and transcendental functions are computed in double and rounded once, so that a float result is off
 * by the rounding of its inputs and no more. Its one format is `real`. The sources also compile with `real` as double,
 * for gradient checks. */
#ifndef LOOM_KERNEL_REF_REF_H
#define LOOM_KERNEL_REF_REF_H

#include <math.h>

#include "kernel/kernel.h"

/* Sums over rows keep this many columns in double at once, on the stack. */
enum { LOOM_REF_CHUNK = 64 };

static inline size_t loom_ref_min(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline double loom_ref_dot(const real *a, const real *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static inline double loom_ref_sigmoid(double z) {
    return 1 / (1 + exp(-z));
}

/* ref.c */
bool loom_ref_set_precision(const struct loom_kernels *k, enum loom_precision precision);

enum loom_storage loom_ref_factor_format(const struct loom_kernels *k);
bool loom_ref_hold(const struct loom_kernels *k, const real *weights, size_t count);

/* arrays.c */
void *loom_ref_alloc(const struct loom_kernels *k, size_t bytes);
void loom_ref_release(const struct loom_kernels *k, void *memory);
void loom_ref_transfer(const struct loom_kernels *k, void *to, const void *from, size_t bytes);
void loom_ref_fill(const struct loom_kernels *k, real *y, real value, size_t n);
void loom_ref_copy(const struct loom_kernels *k, real *y, const real *x, size_t n);
void loom_ref_convert(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n);
void loom_ref_add(const struct loom_kernels *k, real *y, const real *a, const real *b, size_t n);
void loom_ref_add_scaled(const struct loom_kernels *k, real *y, real s, const real *x, size_t n);
void loom_ref_blend(const struct loom_kernels *k, real *y, real a, const real *x, real b, const real *z, size_t n);
double loom_ref_sum(const struct loom_kernels *k, const real *x, size_t n);
double loom_ref_sum_squares(const struct loom_kernels *k, const real *x, size_t n);
size_t loom_ref_count_below(const struct loom_kernels *k, const real *x, real limit, size_t n);
void loom_ref_dropout(const struct loom_kernels *k, real *y, const real *x, real rate, uint64_t seed, size_t n);

/* rows.c */
void loom_ref_copy_heads(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch,
                         size_t rows, size_t heads, size_t width);
void loom_ref_copy_columns(const struct loom_kernels *k, real *y, size_t ldy, const real *x, size_t ldx, size_t rows,
                           size_t cols, bool accumulate);
void loom_ref_add_row(const struct loom_kernels *k, real *y, const real *row, size_t rows, size_t cols);
void loom_ref_sum_rows(const struct loom_kernels *k, real *drow, const void *dy, enum loom_storage format, size_t rows,
                       size_t cols);
void loom_ref_scale_columns(const struct loom_kernels *k, real *y, const real *x, const real *row, size_t rows,
                            size_t cols);
void loom_ref_sum_products(const struct loom_kernels *k, real *drow, const real *dy, const real *x, size_t rows,
                           size_t cols);
void loom_ref_add_scaled_rows(const struct loom_kernels *k, real *y, const real *w, const real *x, size_t rows,
                              size_t cols);
void loom_ref_dot_rows(const struct loom_kernels *k, real *dw, const real *dy, const real *x, size_t rows, size_t cols);

/* linear.c */
void loom_ref_linear(const struct loom_kernels *k, const struct loom_linear *s, real *y, const void *x, const real *w,
                     bool accumulate);
void loom_ref_linear_input(const struct loom_kernels *k, const struct loom_linear *s, real *dx, const void *dy,
                           const real *w, bool accumulate);
void loom_ref_linear_weight(const struct loom_kernels *k, const struct loom_linear *s, real *dw, const void *dy,
                            const void *x);

/* norm.c */
void loom_ref_rmsnorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *rstd, const real *x,
                      const real *weight, size_t rows, size_t cols, real eps);
void loom_ref_rmsnorm_backward(const struct loom_kernels *k, real *dx, real *dweight, const real *dy, const real *x,
                               const real *weight, const real *rstd, size_t rows, size_t cols);
void loom_ref_layernorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *mean, real *rstd,
                        const real *x, const real *weight, const real *bias, size_t rows, size_t cols, real eps);
void loom_ref_layernorm_backward(const struct loom_kernels *k, real *dx, real *dweight, real *dbias, const real *dy,
                                 const real *x, const real *weight, const real *mean, const real *rstd, size_t rows,
                                 size_t cols);

/* activation.c */
void loom_ref_swiglu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *gate, const real *up,
                     size_t n);
void loom_ref_swiglu_backward(const struct loom_kernels *k, void *dgate, void *dup, void *y, enum loom_storage format,
                              const real *dy, const real *gate, const real *up, size_t n);
void loom_ref_relu2(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n);
void loom_ref_relu2_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                             const real *x, size_t n);
void loom_ref_softcap(const struct loom_kernels *k, real *y, const real *x, real cap, size_t n);
void loom_ref_softcap_backward(const struct loom_kernels *k, real *dx, const real *dy, const real *y, real cap,
                               size_t n);
void loom_ref_gelu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n);
void loom_ref_gelu_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                            const void *x, size_t n);

/* embed.c */
void loom_ref_embed(const struct loom_kernels *k, real *y, const real *table, const int *ids, size_t rows, size_t cols);
void loom_ref_embed_backward(const struct loom_kernels *k, real *dtable, const real *dy, const int *ids, size_t rows,
                             size_t cols);

/* attention.c */
void loom_ref_rope(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch, size_t rows,
                   size_t heads, size_t pairs, const real *table, size_t first, bool inverse);
void loom_ref_attention(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view out, real *lse,
                        struct loom_view q, struct loom_view key, struct loom_view value);
void loom_ref_attention_backward(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view dq,
                                 struct loom_view dk, struct loom_view dv, struct loom_view dout, struct loom_view out,
                                 const real *lse, struct loom_view q, struct loom_view key, struct loom_view value);

/* route.c */
void loom_ref_route(const struct loom_kernels *k, const struct loom_route *r, real *scores, int *ids, real *gates,
                    const real *logits, const real *bias);
void loom_ref_route_backward(const struct loom_kernels *k, const struct loom_route *r, real *dlogits,
                             const real *dgates, const real *scores, const int *ids, const real *gates);
double loom_ref_balance(const struct loom_kernels *k, const struct loom_route *r, const struct loom_balance *b,
                        real *dlogits, real *load, const real *logits, const real *scores, const int *ids);
void loom_ref_group(const struct loom_kernels *k, const struct loom_route *r, int *offset, int *slot, int *source,
                    const int *ids);
void loom_ref_gather(const struct loom_kernels *k, const struct loom_route *r, void *y, const void *x,
                     enum loom_storage format, const int *source, size_t cols);
void loom_ref_gather_backward(const struct loom_kernels *k, const struct loom_route *r, real *dx, const real *dy,
                              const int *slot, size_t cols);
void loom_ref_combine(const struct loom_kernels *k, const struct loom_route *r, real *y, const real *x,
                      const real *gates, const int *slot, size_t cols);
void loom_ref_combine_backward(const struct loom_kernels *k, const struct loom_route *r, void *dx,
                               enum loom_storage format, real *dgates, const real *dy, const real *x, const real *gates,
                               const int *slot, size_t cols);

/* loop.c */
void loom_ref_lti(const struct loom_kernels *k, real *out, const real *h, const real *e, const real *y,
                  const real *log_a, const real *log_dt, const real *b, size_t rows, size_t cols);
void loom_ref_lti_backward(const struct loom_kernels *k, real *dh, real *de, real *dlog_a, real *dlog_dt, real *db,
                           const real *dout, const real *h, const real *e, const real *log_a, const real *log_dt,
                           const real *b, size_t rows, size_t cols);
void loom_ref_halt(const struct loom_kernels *k, const struct loom_halt *s, real *p, real *w, real *cum_out,
                   const real *cum, const real *logit);
void loom_ref_halt_backward(const struct loom_kernels *k, const struct loom_halt *s, real *dlogit, real *dcum,
                            const real *dw, const real *dcum_out, const real *p, const real *cum);

/* loss.c */
/* softmax(x)[i] = exp(x[i] - largest) / sum, in which nothing overflows. Kept apart from their log, largest + log(sum),
 * because that sum loses the second term when the first is huge. */
struct loom_ref_softmax {
    double largest, sum;
};
struct loom_ref_softmax loom_ref_softmax(const real *x, size_t n);
void loom_ref_cross_entropy(const struct loom_kernels *k, real *loss, real *dlogits, const real *logits,
                            const int *targets, real scale, size_t rows, size_t cols);

/* optimizer.c */
void loom_ref_adamw(const struct loom_kernels *k, const struct loom_adamw *o, real *p, real *m, real *v, const real *g,
                    size_t n);
void loom_ref_muon(const struct loom_kernels *k, const struct loom_muon *o, real *w, real *v, const real *u);

#endif
