/* readout.h - from a state to the vocabulary: final norm, head, and the cap of the logits where the config has one.
 *
 * The network reads out of its last state; the loop's halting out of the state behind any loop. */
#ifndef LOOM_MODEL_READOUT_H
#define LOOM_MODEL_READOUT_H

#include "model/norm.h"

struct loom_readout {
    struct loom_norm norm;
    size_t head; /* (V,C); the embedding's when tied */
};

/* logits (rows, V) of normed states `hidden` (rows, C). */
void loom_readout_logits(const struct loom_readout *r, const struct loom_kernels *k, const struct loom_config *c,
                         const real *weights, real *logits, const real *hidden, size_t rows);
/* With a cap, the logits and their gradient become the gradient before the cap; else nothing is done. */
void loom_readout_logits_backward(const struct loom_kernels *k, const struct loom_config *c, real *dlogits,
                                  const real *logits, size_t rows);
/* dx (rows, C) += the gradient of the state, from that of the logits before the cap. */
void loom_readout_backward(struct loom_pass *p, const struct loom_readout *r, const struct loom_norm_saved *s, real *dx,
                           const real *dlogits, const real *hidden, size_t rows);

/* On the host: the logarithm of the sum of exp(logits), what is taken from a logit to have its log probability. */
double loom_readout_log_total(const real *logits, size_t vocab);

#endif
