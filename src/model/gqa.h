/* gqa.h - attention with grouped queries and RoPE (Ainslie et al. 2023), and GPT-2's, which is the same with one qkv
 * product, as many key as query heads, and no rotation. */
#ifndef LOOM_MODEL_GQA_H
#define LOOM_MODEL_GQA_H

#include "model/attend.h"

void loom_gqa_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                      struct loom_attention_layer *a);
void loom_gqa_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                      size_t slot, struct loom_factor x);
void loom_gqa_backward(struct loom_pass *p, const struct loom_attention_layer *a, const struct loom_attention_saved *s,
                       real *dx, struct loom_view dout, struct loom_factor x);

/* The memory of x (B,T,C), grouped queries only. Backward begins by clearing its gradients and ends, when all passes
 * have added theirs, with dx (overwritten). */
void loom_gqa_memory_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_memory *m,
                             size_t slot, struct loom_factor x);
void loom_gqa_memory_clear(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_memory *m);
void loom_gqa_memory_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                              struct loom_attention_memory *m, real *dx);

#endif
