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

/* Three views of q, k and v, which are side by side in each row. */
static void split(const struct loom_attention_layer *a, struct loom_view qkv, struct loom_view view[3]) {
    size_t start[3] = {0, a->heads, a->heads + a->kv_heads};
    for (size_t i = 0; i < 3; i++)
        view[i] = loom_view_from(qkv, start[i] * a->head_dim);
}

/* The joined product's rows as heads. */
static struct loom_view joined_view(const struct loom_pass *p, const struct loom_attention_layer *a,
                                    struct loom_factor qkv) {
    return loom_view_of_factor(qkv, p->seq, a->heads + 2 * a->kv_heads, a->head_dim);
}

/* y = x with its queries and keys, where the layer does so, turned to their place; y is in another format, or x. */
static void turn_joined(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_view y,
                        struct loom_view x, bool inverse) {
    size_t turned = a->gqa.rotates ? a->heads + a->kv_heads : 0, rest = a->heads + 2 * a->kv_heads - turned;
    if (turned > 0)
        loom_attention_rotate(p, y, x, turned, a->head_dim, inverse);
    y = loom_view_from(y, turned * a->head_dim);
    x = loom_view_from(x, turned * a->head_dim);
    if (y.format != LOOM_STORAGE_REAL)
        p->k->copy_heads(p->k, y, x, p->batch, p->seq, rest, a->head_dim);
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
        loom_attention_rotate(p, x, x, heads, a->head_dim, false);
    return x;
}

static struct loom_view prepare_backward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_view d,
                                         const struct loom_norm_saved *s, size_t heads) {
    if (a->gqa.rotates)
        loom_attention_rotate(p, d, d, heads, a->head_dim, true);
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

/* q, k and v from one product. */
static void project_joined(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                           struct loom_factor x) {
    size_t rows = loom_pass_rows(p), n = rows * a->gqa.qkv.n_out;
    enum loom_storage format = loom_attention_format(p, a);
    bool stays = p->keep && format == LOOM_STORAGE_REAL;
    real *qkv = stays ? loom_stack_take(p->stack, n) : loom_stack_take_passing(p->stack, n);
    struct loom_factor read = format == LOOM_STORAGE_REAL ? loom_factor_of(qkv) : loom_factor_take_as(p, format, n);
    struct loom_view made = joined_view(p, a, loom_factor_of(qkv)), turned = joined_view(p, a, read), view[3];
    loom_affine_forward(p, &a->gqa.qkv, qkv, x, rows);
    turn_joined(p, a, turned, made, false);
    split(a, turned, view);
    s->q = view[0];
    s->k = view[1];
    s->v = view[2];
}

/* Each from its own, keys and values from a memory where there is one. */
static void project_apart(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                          struct loom_factor x) {
    s->q = prepare(p, a, project(p, a, &a->gqa.q, x), &s->q_norm, a->heads);
    if (s->memory) {
        s->k = s->memory->k;
        s->v = s->memory->v;
        return;
    }
    s->k = prepare(p, a, project(p, a, &a->gqa.k, x), &s->kv_norm, a->kv_heads);
    s->v = project(p, a, &a->gqa.v, x);
}

void loom_gqa_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                      size_t slot, struct loom_factor x) {
    if (a->gqa.joined)
        project_joined(p, a, s, x);
    else
        project_apart(p, a, s, x);
    if (!s->memory)
        keep(p, a, slot, &s->k, &s->v);
    loom_attention_attend(p, a, s);
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

static void joined_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                            const struct loom_attention_saved *s, real *dx, struct loom_view dout,
                            struct loom_factor x) {
    size_t rows = loom_pass_rows(p), n = rows * a->gqa.qkv.n_out;
    real *dqkv = loom_stack_take(p->stack, n);
    struct loom_factor read = loom_factor_over(p, dqkv, n);
    struct loom_view made = joined_view(p, a, loom_factor_of(dqkv)), d[3];
    split(a, made, d);
    p->k->attention_backward(p->k, &s->shape, d[0], d[1], d[2], dout, s->out, s->lse, s->q, s->k, s->v);
    turn_joined(p, a, joined_view(p, a, read), made, true);
    loom_affine_backward(p, &a->gqa.qkv, dx, read, x, rows, false);
}

static void apart_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                           const struct loom_attention_saved *s, real *dx, struct loom_view dout,
                           struct loom_factor x) {
    const struct loom_gqa *g = &a->gqa;
    struct loom_view d[3] = {take(p, a, a->heads), take(p, a, a->kv_heads), take(p, a, a->kv_heads)};
    size_t rows = loom_pass_rows(p);
    p->k->attention_backward(p->k, &s->shape, d[0], d[1], d[2], dout, s->out, s->lse, s->q, s->k, s->v);
    d[0] = prepare_backward(p, a, d[0], &s->q_norm, a->heads);
    loom_affine_backward(p, &g->q, dx, loom_factor_of(d[0].data), x, rows, false);
    if (s->memory) {
        add_to_memory(p, a, s->memory, d);
        return;
    }
    d[1] = prepare_backward(p, a, d[1], &s->kv_norm, a->kv_heads);
    loom_affine_backward(p, &g->k, dx, loom_factor_of(d[1].data), x, rows, true);
    loom_affine_backward(p, &g->v, dx, loom_factor_of(d[2].data), x, rows, true);
}

void loom_gqa_backward(struct loom_pass *p, const struct loom_attention_layer *a, const struct loom_attention_saved *s,
                       real *dx, struct loom_view dout, struct loom_factor x) {
    if (a->gqa.joined)
        joined_backward(p, a, s, dx, dout, x);
    else
        apart_backward(p, a, s, dx, dout, x);
}
