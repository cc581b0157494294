/* affine.h - y = x W^T + b, the layer that holds most weights. */
#ifndef LOOM_MODEL_AFFINE_H
#define LOOM_MODEL_AFFINE_H

#include "model/factor.h"

struct loom_affine {
    size_t weight, bias; /* (n_out, n_in), (n_out); bias may be LOOM_NO_TENSOR */
    size_t n_in, n_out;
};

struct loom_affine loom_affine_declare(struct loom_tensors *table, size_t n_in, size_t n_out, bool bias, double std,
                                       const char *prefix, const char *name);

/* y (rows, n_out) is overwritten. */
void loom_affine_forward(struct loom_pass *p, const struct loom_affine *a, real *y, struct loom_factor x, size_t rows);
/* dx (rows, n_in) is overwritten, or added to when `accumulate`. */
void loom_affine_backward(struct loom_pass *p, const struct loom_affine *a, real *dx, struct loom_factor dy,
                          struct loom_factor x, size_t rows, bool accumulate);
/* The two halves of it: dx, and what is added to the gradients of weight and bias. */
void loom_affine_backward_input(struct loom_pass *p, const struct loom_affine *a, real *dx, struct loom_factor dy,
                                size_t rows, bool accumulate);
void loom_affine_backward_weight(struct loom_pass *p, const struct loom_affine *a, struct loom_factor dy,
                                 struct loom_factor x, size_t rows);

#endif
