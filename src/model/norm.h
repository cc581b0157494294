/* norm.h - RMSNorm, or GPT-2's LayerNorm, over C channels. */
#ifndef LOOM_MODEL_NORM_H
#define LOOM_MODEL_NORM_H

#include "model/factor.h"

struct loom_norm {
    size_t weight, bias; /* (C); either may be LOOM_NO_TENSOR */
    size_t cols;
    bool layer; /* LayerNorm */
};

struct loom_norm_saved {
    const real *x;     /* (rows, C) the input */
    real *rstd, *mean; /* (rows) */
};

/* RMSNorm with the reference's epsilon 1e-6. */
struct loom_norm loom_norm_declare_rms(struct loom_tensors *table, size_t cols, const char *prefix, const char *name);
/* The same with a weight only when the config says so. */
struct loom_norm loom_norm_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                                   const char *name);
/* RMSNorm without a weight: it has no tensor. */
struct loom_norm loom_norm_plain(size_t cols);
/* LayerNorm with epsilon 1e-5, bias when the config says so. */
struct loom_norm loom_norm_declare_layer(struct loom_tensors *table, size_t cols, bool bias, const char *prefix,
                                         const char *name);

/* Takes the output on the stack and returns it. */
real *loom_norm_forward(struct loom_pass *p, const struct loom_norm *norm, struct loom_norm_saved *s, const real *x,
                        size_t rows);
/* The same with y at the stack's top, for the products of the layer behind alone; its backward has y made again. */
struct loom_factor loom_norm_pass(struct loom_pass *p, const struct loom_norm *norm, struct loom_norm_saved *s,
                                  const real *x, size_t rows);
struct loom_factor loom_norm_again(struct loom_pass *p, const struct loom_norm *norm, const struct loom_norm_saved *s,
                                   size_t rows);
/* Both as reals, where others than products read them, too. */
real *loom_norm_pass_real(struct loom_pass *p, const struct loom_norm *norm, struct loom_norm_saved *s, const real *x,
                          size_t rows);
real *loom_norm_again_real(struct loom_pass *p, const struct loom_norm *norm, const struct loom_norm_saved *s,
                           size_t rows);
/* dx += the gradient of the input. */
void loom_norm_backward(struct loom_pass *p, const struct loom_norm *norm, const struct loom_norm_saved *s, real *dx,
                        const real *dy, size_t rows);

#endif
