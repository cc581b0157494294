/* norm.c - see norm.h. Zhang & Sennrich 2019 (RMSNorm), Ba et al. 2016 (LayerNorm). */
#include "model/norm.h"

#include "model/gradient.h"

static const real rms_epsilon = (real)1e-6, layer_epsilon = (real)1e-5;

struct loom_norm loom_norm_declare_rms(struct loom_tensors *table, size_t cols, const char *prefix, const char *name) {
    struct loom_tensor_spec ones = {.cols = cols, .mean = 1};
    return (struct loom_norm){
        .weight = loom_tensors_add(table, ones, prefix, "%s.weight", name), .bias = LOOM_NO_TENSOR, .cols = cols};
}

struct loom_norm loom_norm_plain(size_t cols) {
    return (struct loom_norm){.weight = LOOM_NO_TENSOR, .bias = LOOM_NO_TENSOR, .cols = cols};
}

struct loom_norm loom_norm_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                                   const char *name) {
    size_t dim = (size_t)c->dim;
    return c->norm_gain ? loom_norm_declare_rms(table, dim, prefix, name) : loom_norm_plain(dim);
}

struct loom_norm loom_norm_declare_layer(struct loom_tensors *table, size_t cols, bool bias, const char *prefix,
                                         const char *name) {
    struct loom_tensor_spec ones = {.cols = cols, .mean = 1}, zeros = {.cols = cols};
    struct loom_norm norm = {.bias = LOOM_NO_TENSOR, .cols = cols, .layer = true};
    norm.weight = loom_tensors_add(table, ones, prefix, "%s.weight", name);
    if (bias)
        norm.bias = loom_tensors_add(table, zeros, prefix, "%s.bias", name);
    return norm;
}

static struct loom_factor run(struct loom_pass *p, const struct loom_norm *norm, const struct loom_norm_saved *s,
                              struct loom_factor y, size_t rows) {
    const struct loom_kernels *k = p->k;
    const real *weight = loom_at(p->w, norm->weight);
    if (norm->layer)
        k->layernorm(k, y.data, y.format, s->mean, s->rstd, s->x, weight, loom_at(p->w, norm->bias), rows, norm->cols,
                     layer_epsilon);
    else
        k->rmsnorm(k, y.data, y.format, s->rstd, s->x, weight, rows, norm->cols, rms_epsilon);
    return y;
}

static void take(struct loom_pass *p, const struct loom_norm *norm, struct loom_norm_saved *s, const real *x,
                 size_t rows) {
    s->x = x;
    s->rstd = loom_stack_take(p->stack, rows);
    s->mean = norm->layer ? loom_stack_take(p->stack, rows) : NULL;
}

real *loom_norm_forward(struct loom_pass *p, const struct loom_norm *norm, struct loom_norm_saved *s, const real *x,
                        size_t rows) {
    take(p, norm, s, x, rows);
    return loom_norm_again_real(p, norm, s, rows);
}

struct loom_factor loom_norm_pass(struct loom_pass *p, const struct loom_norm *norm, struct loom_norm_saved *s,
                                  const real *x, size_t rows) {
    take(p, norm, s, x, rows);
    return run(p, norm, s, loom_factor_take_passing(p, rows * norm->cols), rows);
}

struct loom_factor loom_norm_again(struct loom_pass *p, const struct loom_norm *norm, const struct loom_norm_saved *s,
                                   size_t rows) {
    return run(p, norm, s, loom_factor_take(p, rows * norm->cols), rows);
}

real *loom_norm_pass_real(struct loom_pass *p, const struct loom_norm *norm, struct loom_norm_saved *s, const real *x,
                          size_t rows) {
    take(p, norm, s, x, rows);
    return run(p, norm, s, loom_factor_of(loom_stack_take_passing(p->stack, rows * norm->cols)), rows).data;
}

real *loom_norm_again_real(struct loom_pass *p, const struct loom_norm *norm, const struct loom_norm_saved *s,
                           size_t rows) {
    return run(p, norm, s, loom_factor_of(loom_stack_take(p->stack, rows * norm->cols)), rows).data;
}

void loom_norm_backward(struct loom_pass *p, const struct loom_norm *norm, const struct loom_norm_saved *s, real *dx,
                        const real *dy, size_t rows) {
    const struct loom_kernels *k = p->k;
    const real *weight = loom_at(p->w, norm->weight);
    real *dweight = loom_gradient(p, norm->weight);
    if (norm->layer)
        k->layernorm_backward(k, dx, dweight, loom_gradient(p, norm->bias), dy, s->x, weight, s->mean, s->rstd, rows,
                              norm->cols);
    else
        k->rmsnorm_backward(k, dx, dweight, dy, s->x, weight, s->rstd, rows, norm->cols);
}
