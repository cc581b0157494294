/* attention.c - see attention.h. */
#include "model/attention.h"

#include <math.h>

#include "model/gqa.h"
#include "model/init.h"
#include "model/mla.h"

struct loom_attention_layer loom_attention_declare(struct loom_tensors *table, const struct loom_config *c,
                                                   const char *prefix) {
    struct loom_attention_layer a = {.latent = c->attn_type == LOOM_ATTENTION_MLA,
                                     .heads = (size_t)c->n_heads,
                                     .kv_heads = (size_t)c->n_heads,
                                     .head_dim = loom_config_head_dim(c),
                                     .value_dim = loom_config_value_dim(c),
                                     .normed = c->qk_norm > 0};
    a.scale = (a.normed ? c->qk_norm * c->qk_norm : 1) / sqrt((double)a.head_dim);
    if (a.latent)
        loom_mla_declare(table, c, prefix, &a);
    else
        loom_gqa_declare(table, c, prefix, &a);
    bool gpt = c->architecture == LOOM_ARCHITECTURE_GPT;
    double std = loom_init_output_std(c, a.heads * a.value_dim);
    a.o = loom_affine_declare(table, a.heads * a.value_dim, (size_t)c->dim, gpt && c->bias, std, prefix,
                              gpt ? "c_proj" : "wo");
    return a;
}

void loom_attention_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                            struct loom_attention_memory *memory, size_t slot, real *y, struct loom_factor x) {
    s->memory = memory;
    if (a->latent)
        loom_mla_forward(p, a, s, slot, x);
    else
        loom_gqa_forward(p, a, s, slot, x);
    loom_affine_forward(p, &a->o, y, (struct loom_factor){s->out.data, s->out.format}, loom_pass_rows(p));
}

void loom_attention_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                             const struct loom_attention_saved *s, real *dx, const real *dy, struct loom_factor x) {
    size_t mark = p->stack->used, rows = loom_pass_rows(p);
    /* dx is written when dout has been used up. */
    real *dout = a->heads * a->value_dim <= a->o.n_out ? dx : loom_stack_take(p->stack, rows * a->heads * a->value_dim);
    size_t inner = p->stack->used;
    loom_affine_backward(p, &a->o, dout, loom_factor_round(p, dy, rows * a->o.n_out),
                         (struct loom_factor){s->out.data, s->out.format}, rows, false);
    loom_stack_release(p->stack, inner);
    struct loom_view view = loom_view_of(dout, p->seq, a->heads, a->value_dim);
    if (a->latent)
        loom_mla_backward(p, a, s, dx, view, x);
    else
        loom_gqa_backward(p, a, s, dx, view, x);
    loom_stack_release(p->stack, mark);
}
