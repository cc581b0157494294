/* router.h - which K of the E experts each token goes to, and with what weight.
 *
 * The router gives expert ids, gates and the order of tokens by expert; it never sees an expert's weights. Shazeer et
 * al., arXiv 1701.06538; selection bias: DeepSeek-V3, arXiv 2412.19437. */
#ifndef LOOM_MODEL_ROUTER_H
#define LOOM_MODEL_ROUTER_H

#include "model/pass.h"

struct loom_router {
    size_t weight, bias; /* (E, C), (E); the bias chooses and is not trained by gradient */
    size_t dim, experts, top_k;
    enum loom_router_kind kind;
};

struct loom_routes {
    struct loom_route shape;
    real *logits, *scores;       /* (rows, E) */
    real *gates;                 /* (rows, K) */
    int *ids;                    /* (rows, K) */
    int *offset, *slot, *source; /* (E+1), (rows*K), (rows*K): see group in kernel.h */
};

struct loom_router loom_router_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix);
/* Adds the number of choices of each expert to the pass's loads, at (loop, layer). */
void loom_router_forward(struct loom_pass *p, const struct loom_router *router, struct loom_routes *s, const real *x,
                         int loop, int layer);
/* dx += the gradient through the logits, that of the pass's balance included; dgates is (rows, K), x the forward's. */
void loom_router_backward(struct loom_pass *p, const struct loom_router *router, const struct loom_routes *s, real *dx,
                          const real *dgates, const real *x);

#endif
