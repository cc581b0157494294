/* gqa.c - grouped-query attention: H query heads read G key/value heads. Ainslie et al., arXiv 2305.13245; RoPE: Su et
 * al., arXiv 2104.09864. GPT-2's multi-head attention is the same with G = H and positions from the embedding. Where
 * nothing stands between the product and the rotation, q, k and v come from one product, whose matrix is theirs one
 * after another: x is read once and not three times. */
#include "model/gqa.h"

#include "model/init.h"

void loom_gqa_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                      struct loom_attention_layer *a) {
    struct loom_gqa *g = &a->gqa;
    size_t dim = (size_t)c->dim;
    g->rotates = c->attn_type != LOOM_ATTENTION_FUSED;
    g->joined = !g->rotates || (!a->normed && c->loop_keys != LOOM_LOOP_KEYS_PRELUDE);
    if (!g->rotates) {
        g->qkv = loom_affine_declare(table, dim, 3 * dim, c->bias, LOOM_INIT_STD, prefix, "c_attn");
        return;
    }
    double std = loom_init_std(c, dim);
    a->kv_heads = (size_t)c->n_kv_heads;
    g->q = loom_affine_declare(table, dim, a->heads * a->head_dim, false, std, prefix, "wq");
    g->k = loom_affine_declare(table, dim, a->kv_heads * a->head_dim, false, std, prefix, "wk");
    table->items[table->count - 1].twin = c->init_match && !table->failed;
    g->v = loom_affine_declare(table, dim, a->kv_heads * a->head_dim, false, std, prefix, "wv");
    g->qkv = g->q;
    g->qkv.n_out = (a->heads + 2 * a->kv_heads) * a->head_dim;
}

/* Three views into rows that hold q, k and v side by side. */
static void split(const struct loom_attention_layer *a, real *qkv, size_t seq, struct loom_view view[3]) {
    size_t width = a->gqa.qkv.n_out, start[3] = {0, a->heads, a->heads + a->kv_heads};
    for (size_t i = 0; i < 3; i++)
        view[i] = (struct loom_view){qkv + start[i] * a->head_dim, seq * width, width, a->head_dim};
}

/* One product of x (B,T,C) as heads. */
static struct loom_view project(struct loom_pass *p, const struct loom_attention_layer *a,
                                const struct loom_affine *part, struct loom_factor x) {
    real *y = loom_stack_take(p->stack, loom_pass_rows(p) * part->n_out);
    loom_affine_forward(p, part, y, x, loom_pass_rows(p));
    return loom_view_of(y, p->seq, part->n_out / a->head_dim, a->head_dim);
}

/* Every head of every row to length sqrt(D). It commutes with the rotation that follows; the gain is in the scale of
 * attention. */
static struct loom_view normalize(struct loom_pass *p, struct loom_view x, struct loom_norm_saved *s, size_t heads,
                                  size_t head_dim) {
    const struct loom_norm norm = loom_norm_plain(head_dim);
    return loom_view_of(loom_norm_forward(p, &norm, s, x.data, loom_pass_rows(p) * heads), p->seq, heads, head_dim);
}

static struct loom_view normalize_backward(struct loom_pass *p, struct loom_view dy, const struct loom_norm_saved *s,
                                           size_t heads, size_t head_dim) {
    const struct loom_norm norm = loom_norm_plain(head_dim);
    size_t rows = loom_pass_rows(p) * heads;
    real *dx = loom_stack_take(p->stack, rows * head_dim);
    p->k->fill(p->k, dx, 0, rows * head_dim);
    loom_norm_backward(p, &norm, s, dx, dy.data, rows);
    return loom_view_of(dx, p->seq, heads, head_dim);
}

/* Normalised and turned to its place, where the layer does so. */
static struct loom_view prepare(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_view x,
                                struct loom_norm_saved *s, size_t heads) {
    if (a->normed)
        x = normalize(p, x, s, heads, a->head_dim);
    if (a->gqa.rotates)
        loom_attention_rotate(p, x, heads, a->head_dim, false);
    return x;
}

static struct loom_view prepare_backward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_view d,
                                         const struct loom_norm_saved *s, size_t heads) {
    if (a->gqa.rotates)
        loom_attention_rotate(p, d, heads, a->head_dim, true);
    return a->normed ? normalize_backward(p, d, s, heads, a->head_dim) : d;
}

/* Keys and values, prepared already, go behind those that the cache has, and attention reads the cache. */
static void keep(struct loom_pass *p, const struct loom_attention_layer *a, size_t slot, struct loom_view *k,
                 struct loom_view *v) {
    if (!p->cache)
        return;
    struct loom_cache_slot place = loom_cache_slot(p->cache, slot);
    loom_attention_remember(p, place.first, *k, a->kv_heads, a->head_dim);
    loom_attention_remember(p, place.second, *v, a->kv_heads, a->head_dim);
    loom_attention_keep_halted(p, slot);
    *k = place.first;
    *v = place.second;
}

void loom_gqa_memory_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_memory *m,
                             size_t slot, struct loom_factor x) {
    m->x = x;
    m->k = prepare(p, a, project(p, a, &a->gqa.k, x), &m->k_norm, a->kv_heads);
    m->v = project(p, a, &a->gqa.v, x);
    keep(p, a, slot, &m->k, &m->v);
}

void loom_gqa_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                      size_t slot, struct loom_factor x) {
    const struct loom_gqa *g = &a->gqa;
    struct loom_view view[3];
    size_t n = loom_pass_rows(p) * g->qkv.n_out;
    real *qkv = NULL;
    if (g->joined) {
        qkv = loom_factor_draft(p, n);
        loom_affine_forward(p, &g->qkv, qkv, x, loom_pass_rows(p));
        split(a, qkv, p->seq, view);
    } else
        view[0] = project(p, a, &g->q, x);
    s->q = prepare(p, a, view[0], &s->q_norm, a->heads);
    if (s->memory) {
        s->k = s->memory->k;
        s->v = s->memory->v;
    } else {
        s->k = prepare(p, a, g->joined ? view[1] : project(p, a, &g->k, x), &s->kv_norm, a->kv_heads);
        s->v = g->joined ? view[2] : project(p, a, &g->v, x);
        keep(p, a, slot, &s->k, &s->v);
    }
    loom_attention_attend(p, a, s);
    if (g->joined) /* attention's products round them, too */
        s->qkv = loom_factor_kept(p, qkv, n);
}

/* Room for the gradient of one product. */
static struct loom_view take(struct loom_pass *p, const struct loom_attention_layer *a, size_t heads) {
    real *d = loom_stack_take(p->stack, loom_pass_rows(p) * heads * a->head_dim);
    return loom_view_of(d, p->seq, heads, a->head_dim);
}

void loom_gqa_memory_clear(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_memory *m) {
    size_t n = loom_pass_rows(p) * a->kv_heads * a->head_dim;
    m->dk = take(p, a, a->kv_heads);
    m->dv = take(p, a, a->kv_heads);
    p->k->fill(p->k, m->dk.data, 0, n);
    p->k->fill(p->k, m->dv.data, 0, n);
}

void loom_gqa_memory_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                              struct loom_attention_memory *m, real *dx) {
    size_t rows = loom_pass_rows(p);
    struct loom_view dk = prepare_backward(p, a, m->dk, &m->k_norm, a->kv_heads);
    loom_affine_backward(p, &a->gqa.k, dx, loom_factor_of(dk.data), m->x, rows, false);
    loom_affine_backward(p, &a->gqa.v, dx, loom_factor_of(m->dv.data), m->x, rows, true);
}

/* What this pass adds to the gradients of the memory. */
static void add_to_memory(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_memory *m,
                          const struct loom_view d[3]) {
    size_t n = loom_pass_rows(p) * a->kv_heads * a->head_dim;
    p->k->add(p->k, m->dk.data, m->dk.data, d[1].data, n);
    p->k->add(p->k, m->dv.data, m->dv.data, d[2].data, n);
}

void loom_gqa_backward(struct loom_pass *p, const struct loom_attention_layer *a, const struct loom_attention_saved *s,
                       real *dx, struct loom_view dout, struct loom_factor x) {
    const struct loom_gqa *g = &a->gqa;
    struct loom_view d[3], of[3] = {s->q, s->k, s->v};
    size_t rows = loom_pass_rows(p), heads[3] = {a->heads, a->kv_heads, a->kv_heads};
    real *dqkv = g->joined ? loom_stack_take(p->stack, rows * g->qkv.n_out) : NULL;
    if (g->joined) {
        split(a, dqkv, p->seq, d);
        split(a, loom_factor_widen(p, s->qkv, rows * g->qkv.n_out), p->seq, of);
    }
    for (int i = 0; i < 3 && !g->joined; i++)
        d[i] = take(p, a, heads[i]);
    p->k->attention_backward(p->k, &s->shape, d[0], d[1], d[2], dout, s->out, s->lse, of[0], of[1], of[2]);
    d[0] = prepare_backward(p, a, d[0], &s->q_norm, a->heads);
    if (s->memory)
        add_to_memory(p, a, s->memory, d);
    else
        d[1] = prepare_backward(p, a, d[1], &s->kv_norm, a->kv_heads);
    if (g->joined) {
        loom_affine_backward(p, &g->qkv, dx, loom_factor_of(dqkv), x, rows, false);
        return;
    }
    loom_affine_backward(p, &g->q, dx, loom_factor_of(d[0].data), x, rows, false);
    if (s->memory)
        return;
    loom_affine_backward(p, &g->k, dx, loom_factor_of(d[1].data), x, rows, true);
    loom_affine_backward(p, &g->v, dx, loom_factor_of(d[2].data), x, rows, true);
}
