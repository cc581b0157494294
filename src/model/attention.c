/* attention.c - see attention.h. */
#include "model/attention.h"

#include <math.h>

#include "model/init.h"

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

struct loom_view loom_view_of(const real *data, size_t rows, size_t heads, size_t width) {
    /* Views are read and written alike; who passes a const array only reads it. */
    return (struct loom_view){(real *)(uintptr_t)data, rows * heads * width, heads * width, width};
}

size_t loom_attention_keys(const struct loom_pass *p) {
    return (p->cache ? p->past : 0) + p->seq;
}

void loom_attention_rotate(struct loom_pass *p, struct loom_view x, size_t heads, size_t rope, bool inverse) {
    p->k->rope(p->k, x, p->batch, p->seq, heads, rope / 2, p->rope, p->past, inverse);
}

void loom_attention_remember(struct loom_pass *p, struct loom_view array, struct loom_view x, size_t heads,
                             size_t width) {
    array.data += p->past * array.row;
    p->k->copy_heads(p->k, array, x, p->batch, p->seq, heads, width);
}

void loom_attention_keep_halted(struct loom_pass *p, size_t slot) {
    if (p->exits && p->exits->any)
        loom_cache_carry(p->cache, slot - (size_t)p->c->core_layers, slot, p->seq, p->exits->halted);
}

void loom_attention_attend(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s) {
    s->shape = (struct loom_attention){.batch = p->batch,
                                       .queries = p->seq,
                                       .keys = loom_attention_keys(p),
                                       .heads = a->heads,
                                       .kv_heads = a->kv_heads,
                                       .head_dim = a->head_dim,
                                       .value_dim = a->value_dim,
                                       .scale = (real)a->scale,
                                       .dropout = loom_pass_dropout(p),
                                       .first = p->first};
    if (p->past > 0) {
        s->shape.shared = p->cache->shared;
        s->shape.group = p->cache->group;
    }
    if (s->shape.dropout > 0)
        s->shape.dropout_seed = loom_pass_dropout_seed(p);
    real *out = loom_stack_take(p->stack, loom_pass_rows(p) * a->heads * a->value_dim);
    s->out = loom_view_of(out, p->seq, a->heads, a->value_dim);
    s->lse = loom_stack_take(p->stack, loom_pass_rows(p) * a->heads);
    p->k->attention(p->k, &s->shape, s->out, s->lse, s->q, s->k, s->v);
}

void loom_attention_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                            struct loom_attention_memory *memory, size_t slot, real *y, const real *x) {
    s->memory = memory;
    if (a->latent)
        loom_mla_forward(p, a, s, slot, x);
    else
        loom_gqa_forward(p, a, s, slot, x);
    loom_affine_forward(p, &a->o, y, s->out.data, loom_pass_rows(p));
}

void loom_attention_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                             const struct loom_attention_saved *s, real *dx, const real *dy, const real *x) {
    size_t mark = p->stack->used, rows = loom_pass_rows(p);
    real *dout = loom_stack_take(p->stack, rows * a->heads * a->value_dim);
    loom_affine_backward(p, &a->o, dout, dy, s->out.data, rows, false);
    struct loom_view view = loom_view_of(dout, p->seq, a->heads, a->value_dim);
    if (a->latent)
        loom_mla_backward(p, a, s, dx, view, x);
    else
        loom_gqa_backward(p, a, s, dx, view, x);
    loom_stack_release(p->stack, mark);
}
