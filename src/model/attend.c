/* attend.c - see attend.h. */
#include "model/attend.h"

struct loom_view loom_view_of(const real *data, size_t rows, size_t heads, size_t width) {
    /* Views are read and written alike; who passes a const array only reads it. */
    return (struct loom_view){(real *)(uintptr_t)data, rows * heads * width, heads * width, width, LOOM_STORAGE_REAL};
}

struct loom_view loom_view_of_factor(struct loom_factor x, size_t rows, size_t heads, size_t width) {
    struct loom_view view = loom_view_of(x.data, rows, heads, width);
    view.format = x.format;
    return view;
}

enum loom_storage loom_attention_format(const struct loom_pass *p, const struct loom_attention_layer *a) {
    bool wide = a->head_dim > LOOM_ATTENTION_WIDEST || a->value_dim > LOOM_ATTENTION_WIDEST;
    return p->keep && !wide ? p->factor : LOOM_STORAGE_REAL;
}

size_t loom_attention_keys(const struct loom_pass *p) {
    return (p->cache ? p->past : 0) + p->seq;
}

void loom_attention_rotate(struct loom_pass *p, struct loom_view y, struct loom_view x, size_t heads, size_t rope,
                           bool inverse) {
    p->k->rope(p->k, y, x, p->batch, p->seq, heads, rope / 2, p->rope, p->past, inverse);
}

void loom_attention_remember(struct loom_pass *p, struct loom_view array, struct loom_view x, size_t heads,
                             size_t width) {
    p->k->copy_heads(p->k, loom_view_from(array, p->past * array.row), x, p->batch, p->seq, heads, width);
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
    struct loom_factor out =
        loom_factor_take_as(p, loom_attention_format(p, a), loom_pass_rows(p) * a->heads * a->value_dim);
    s->out = loom_view_of_factor(out, p->seq, a->heads, a->value_dim);
    s->lse = loom_stack_take(p->stack, loom_pass_rows(p) * a->heads);
    p->k->attention(p->k, &s->shape, s->out, s->lse, s->q, s->k, s->v);
}
