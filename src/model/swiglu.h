/* swiglu.h - down(silu(gate x) * up x), or down(max(up x, 0)^2) without a gate, for one set of weights or for groups of
 * rows with a set each.
 *
 * The dense feed-forward of prelude and coda, the shared experts and the routed experts are all this layer. Shazeer,
 * arXiv 2002.05202. */
#ifndef LOOM_MODEL_SWIGLU_H
#define LOOM_MODEL_SWIGLU_H

#include "model/factor.h"

struct loom_swiglu {
    size_t gate, up, down; /* (groups, F, C), (groups, F, C), (groups, C, F); gate is LOOM_NO_TENSOR with relu2 */
    size_t dim, width, groups;
};

struct loom_swiglu_saved {
    real *gate, *up; /* (rows, F); gate is NULL without one */
};

/* The tensors are called PREFIX gate.weight, up.weight, down.weight; an expert's PREFIX E.gate.weight and so on. */
struct loom_swiglu loom_swiglu_declare(struct loom_tensors *table, const struct loom_config *c, size_t width,
                                       const char *prefix);
struct loom_swiglu loom_swiglu_declare_experts(struct loom_tensors *table, const struct loom_config *c, size_t width,
                                               size_t experts, const char *prefix);

/* offset (groups+1): which rows belong to which group; NULL with one group. y is overwritten, or added to. */
void loom_swiglu_forward(struct loom_pass *p, const struct loom_swiglu *f, struct loom_swiglu_saved *s, real *y,
                         struct loom_factor x, size_t rows, const int *offset, bool accumulate);
void loom_swiglu_backward(struct loom_pass *p, const struct loom_swiglu *f, const struct loom_swiglu_saved *s, real *dx,
                          struct loom_factor dy, struct loom_factor x, size_t rows, const int *offset, bool accumulate);

#endif
