/* mla.h - multi-head latent attention (DeepSeek-V2, 2024). */
#ifndef LOOM_MODEL_MLA_H
#define LOOM_MODEL_MLA_H

#include "model/attend.h"

void loom_mla_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                      struct loom_attention_layer *a);
void loom_mla_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                      size_t slot, struct loom_factor x);
void loom_mla_backward(struct loom_pass *p, const struct loom_attention_layer *a, const struct loom_attention_saved *s,
                       real *dx, struct loom_view dout, struct loom_factor x);

#endif
