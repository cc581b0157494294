/* attention.h - causal self-attention, of grouped queries (gqa.h) or latent (mla.h), and the output's product. */
#ifndef LOOM_MODEL_ATTENTION_H
#define LOOM_MODEL_ATTENTION_H

#include "model/attend.h"

struct loom_attention_layer loom_attention_declare(struct loom_tensors *table, const struct loom_config *c,
                                                   const char *prefix);

/* y (B,T,C) = attention of x (B,T,C) to itself, or to a memory; `slot` indexes the pass's cache, if it has one. */
void loom_attention_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                            struct loom_attention_memory *memory, size_t slot, real *y, struct loom_factor x);
/* dx is overwritten; what belongs to a memory is added to its gradients; x is the forward's. */
void loom_attention_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                             const struct loom_attention_saved *s, real *dx, const real *dy, struct loom_factor x);

#endif
