/* gradient.h - where a backward adds the gradients of weights: to a block like the weights', or, where adapters are
 * trained, to their factors' alone.
 *
 * With W = base + s B A in a matrix's place, dA = s B^T dW and dB = s dW A^T. Neither needs dW (out, in): for y = x W^T
 * they are s (dy B)^T x and s dy^T (x A^T), which cost 2 r (in + out) products a row in the place of in * out. What has
 * no adapter is left out. The functions take a weight's place, an offset in the model's table. */
#ifndef LOOM_MODEL_GRADIENT_H
#define LOOM_MODEL_GRADIENT_H

#include "model/pass.h"

/* Of a tensor that no adapter can have: all but matrices. NULL: not wanted. */
real *loom_gradient(const struct loom_pass *p, size_t place);

/* dW += dy^T x, each group from its own rows, of the formats in the shape; where adapters are trained, reals. */
void loom_gradient_linear(struct loom_pass *p, const struct loom_linear *s, size_t place, const void *dy,
                          const void *x);
/* Rows of a table: row ids[r] += dy[r], both (rows, cols). */
void loom_gradient_embed(struct loom_pass *p, size_t place, const real *dy, const int *ids, size_t rows, size_t cols);
/* The `rows` rows from this place on += dy (rows, cols). */
void loom_gradient_rows(struct loom_pass *p, size_t place, const real *dy, size_t rows, size_t cols);
/* A vector, or a row of a table: [c] += sum over r of dy[r][c] x[r][c]. */
void loom_gradient_scale(struct loom_pass *p, size_t place, const real *dy, const real *x, size_t rows, size_t cols);

#endif
