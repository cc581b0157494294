/* gqa.c - grouped-query attention: H query heads read G key/value heads. Ainslie et al., arXiv 2305.13245; RoPE: Su et
 * al., arXiv 2104.09864. With fused == true it is GPT-2's multi-head attention: q, k and v lie side by side in the rows
 * of one product, G = H, and positions come from the embedding. */
#include "model/attention.h"

#include "model/init.h"

void loom_gqa_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                      struct loom_attention_layer *a) {
    struct loom_gqa *g = &a->gqa;
    size_t dim = (size_t)c->dim;
    g->fused = c->attn_type == LOOM_ATTENTION_FUSED;
    if (g->fused) {
        g->qkv = loom_affine_declare(table, dim, 3 * dim, c->bias, LOOM_INIT_STD, prefix, "c_attn");
        return;
    }
    double std = loom_init_std(c, dim);
    a->kv_heads = (size_t)c->n_kv_heads;
    g->q = loom_affine_declare(table, dim, a->heads * a->head_dim, false, std, prefix, "wq");
    g->k = loom_affine_declare(table, dim, a->kv_heads * a->head_dim, false, std, prefix, "wk");
    table->items[table->count - 1].twin = c->init_match && !table->failed;
    g->v = loom_affine_declare(table, dim, a->kv_heads * a->head_dim, false, std, prefix, "wv");
}

/* Three views into rows that hold q, k and v side by side. */
static void split(const struct loom_attention_layer *a, real *qkv, size_t seq, struct loom_view view[3]) {
    size_t width = a->heads * a->head_dim;
    for (size_t i = 0; i < 3; i++)
        view[i] = (struct loom_view){qkv + i * width, seq * 3 * width, 3 * width, a->head_dim};
}

static void project(struct loom_pass *p, const struct loom_attention_layer *a, const real *x,
                    struct loom_view view[3]) {
    const struct loom_gqa *g = &a->gqa;
    size_t rows = loom_pass_rows(p);
    if (g->fused) {
        real *qkv = loom_stack_take(p->stack, rows * g->qkv.n_out);
        loom_affine_forward(p, &g->qkv, qkv, x, rows);
        split(a, qkv, p->seq, view);
        return;
    }
    const struct loom_affine *part[3] = {&g->q, &g->k, &g->v};
    for (int i = 0; i < 3; i++) {
        real *y = loom_stack_take(p->stack, rows * part[i]->n_out);
        loom_affine_forward(p, part[i], y, x, rows);
        view[i] = loom_view_of(y, p->seq, part[i]->n_out / a->head_dim, a->head_dim);
    }
}

/* The new keys or values go to the cache, and attention reads the cache. */
static struct loom_view remember(struct loom_pass *p, const struct loom_attention_layer *a, real *array,
                                 struct loom_view x) {
    size_t width = a->kv_heads * a->head_dim;
    loom_attention_remember(p, array, width, x.data, x.row, width);
    return (struct loom_view){array, p->cache->capacity * width, width, a->head_dim};
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

void loom_gqa_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                      size_t slot, const real *x) {
    struct loom_view view[3];
    project(p, a, x, view);
    if (a->normed) {
        view[0] = normalize(p, view[0], &s->q_norm, a->heads, a->head_dim);
        view[1] = normalize(p, view[1], &s->kv_norm, a->kv_heads, a->head_dim);
    }
    if (!a->gqa.fused) {
        loom_attention_rotate(p, view[0], a->heads, a->head_dim, false);
        loom_attention_rotate(p, view[1], a->kv_heads, a->head_dim, false);
    }
    if (p->cache) {
        struct loom_cache_slot place = loom_cache_slot(p->cache, slot);
        view[1] = remember(p, a, place.first, view[1]);
        view[2] = remember(p, a, place.second, view[2]);
        loom_attention_keep_halted(p, slot);
    }
    s->q = view[0];
    s->k = view[1];
    s->v = view[2];
    loom_attention_attend(p, a, s);
}

static void project_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                             const struct loom_attention_saved *s, real *dx, const struct loom_view view[3]) {
    const struct loom_gqa *g = &a->gqa;
    size_t rows = loom_pass_rows(p);
    if (g->fused) {
        loom_affine_backward(p, &g->qkv, dx, view[0].data, s->x, rows, false);
        return;
    }
    const struct loom_affine *part[3] = {&g->q, &g->k, &g->v};
    for (int i = 0; i < 3; i++)
        loom_affine_backward(p, part[i], dx, view[i].data, s->x, rows, i > 0);
}

void loom_gqa_backward(struct loom_pass *p, const struct loom_attention_layer *a, const struct loom_attention_saved *s,
                       real *dx, struct loom_view dout) {
    struct loom_view d[3];
    size_t rows = loom_pass_rows(p), heads[3] = {a->heads, a->kv_heads, a->kv_heads};
    if (a->gqa.fused)
        split(a, loom_stack_take(p->stack, rows * a->gqa.qkv.n_out), p->seq, d);
    else
        for (int i = 0; i < 3; i++)
            d[i] =
                loom_view_of(loom_stack_take(p->stack, rows * heads[i] * a->head_dim), p->seq, heads[i], a->head_dim);
    p->k->attention_backward(p->k, &s->shape, d[0], d[1], d[2], dout, s->out, s->lse, s->q, s->k, s->v);
    if (!a->gqa.fused) {
        loom_attention_rotate(p, d[0], a->heads, a->head_dim, true);
        loom_attention_rotate(p, d[1], a->kv_heads, a->head_dim, true);
    }
    if (a->normed) {
        d[0] = normalize_backward(p, d[0], &s->q_norm, a->heads, a->head_dim);
        d[1] = normalize_backward(p, d[1], &s->kv_norm, a->kv_heads, a->head_dim);
    }
    project_backward(p, a, s, dx, d);
}
