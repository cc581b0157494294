/* experts.h - the mixture's feed-forward: routed experts by the router's plan, and shared experts for every token.
 *
 * Tokens are sorted by expert and multiplied in groups: no padding, no capacity limit. DeepSeekMoE, arXiv 2401.06066.
 */
#ifndef LOOM_MODEL_EXPERTS_H
#define LOOM_MODEL_EXPERTS_H

#include "model/router.h"
#include "model/swiglu.h"

struct loom_experts {
    struct loom_swiglu routed;  /* groups: E */
    struct loom_swiglu *shared; /* (n_shared) */
    size_t n_shared;
};

struct loom_experts_saved {
    struct loom_swiglu_saved routed;  /* rows: rows*K, sorted by expert */
    struct loom_swiglu_saved *shared; /* (n_shared), allocated with the model's workspace */
    real *y;                          /* (rows*K, C) the experts' outputs before the gates */
};

/* False when memory is short. */
bool loom_experts_declare(struct loom_experts *experts, struct loom_tensors *table, const struct loom_config *c,
                          const char *prefix);
void loom_experts_free(struct loom_experts *experts);

/* y (rows, C) is overwritten. */
void loom_experts_forward(struct loom_pass *p, const struct loom_experts *experts, struct loom_experts_saved *s,
                          real *y, const real *x, const struct loom_routes *routes);
/* dx is overwritten; dgates (rows, K) goes to the router; x is the forward's. What was saved is used up. */
void loom_experts_backward(struct loom_pass *p, const struct loom_experts *experts, const struct loom_experts_saved *s,
                           real *dx, real *dgates, const real *dy, const real *x, const struct loom_routes *routes);

#endif
