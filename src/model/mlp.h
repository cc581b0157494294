/* mlp.h - GPT-2's feed-forward: c_proj(gelu(c_fc x)), 4C wide. */
#ifndef LOOM_MODEL_MLP_H
#define LOOM_MODEL_MLP_H

#include "model/affine.h"

struct loom_mlp {
    struct loom_affine fc, proj;
};

struct loom_mlp_saved {
    struct loom_factor pre; /* (rows, 4C) before gelu */
};

struct loom_mlp loom_mlp_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix);
/* y is overwritten. */
void loom_mlp_forward(struct loom_pass *p, const struct loom_mlp *f, struct loom_mlp_saved *s, real *y,
                      struct loom_factor x);
/* dx is overwritten; x is the forward's. What was saved is used up. */
void loom_mlp_backward(struct loom_pass *p, const struct loom_mlp *f, const struct loom_mlp_saved *s, real *dx,
                       struct loom_factor dy, struct loom_factor x);

#endif
