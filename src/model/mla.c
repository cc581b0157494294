/* mla.c - multi-head latent attention. DeepSeek-V2, arXiv 2405.04434.
 *
 * A head's query and key have a part without rotation, which comes through a low-rank latent, and a rotated part; the
 * rotated key is one vector that all heads share. Only the latent (normalised) and that one key are cached; keys and
 * values of all tokens are raised from the latent when they are needed. */
#include "model/attention.h"

#include "model/init.h"

void loom_mla_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                      struct loom_attention_layer *a) {
    struct loom_mla *m = &a->mla;
    size_t dim = (size_t)c->dim, q_rank = (size_t)c->q_lora_rank;
    double in = loom_init_std(c, dim), query = loom_init_std(c, q_rank);
    m->rank = (size_t)c->kv_lora_rank;
    m->nope = (size_t)c->qk_nope_head_dim;
    m->rope = (size_t)c->qk_rope_head_dim;
    m->q_down = loom_affine_declare(table, dim, q_rank, false, in, prefix, "q_down");
    m->q_norm = loom_norm_declare_rms(table, q_rank, prefix, "q_norm");
    m->q_up_nope = loom_affine_declare(table, q_rank, a->heads * m->nope, false, query, prefix, "q_up_nope");
    m->q_up_rope = loom_affine_declare(table, q_rank, a->heads * m->rope, false, query, prefix, "q_up_rope");
    m->kv_down = loom_affine_declare(table, dim, m->rank + m->rope, false, in, prefix, "kv_down");
    m->kv_norm = loom_norm_declare_rms(table, m->rank, prefix, "kv_norm");
    m->kv_up = loom_affine_declare(table, m->rank, a->heads * (m->nope + a->value_dim), false,
                                   loom_init_std(c, m->rank), prefix, "kv_up");
}

/* The rotated parts of a (B,T,H,D) array: behind the nope channels of each head. */
static struct loom_view rotated(const struct loom_attention_layer *a, struct loom_view x) {
    x.data += a->mla.nope;
    return x;
}

/* q (B,T,H,nope+rope), rotated. */
static void query(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                  const real *x) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), D = a->head_dim;
    real *q = loom_stack_take(p->stack, rows * a->heads * D);
    real *down = loom_stack_take(p->stack, rows * m->q_down.n_out);
    loom_affine_forward(p, &m->q_down, down, x, rows);
    const real *latent = loom_norm_forward(p, &m->q_norm, &s->q_norm, down, rows);
    size_t mark = p->stack->used;
    real *nope = loom_stack_take(p->stack, rows * m->q_up_nope.n_out);
    real *rope = loom_stack_take(p->stack, rows * m->q_up_rope.n_out);
    loom_affine_forward(p, &m->q_up_nope, nope, latent, rows);
    loom_affine_forward(p, &m->q_up_rope, rope, latent, rows);
    k->copy_columns(k, q, D, nope, m->nope, rows * a->heads, m->nope, false);
    k->copy_columns(k, q + m->nope, D, rope, m->rope, rows * a->heads, m->rope, false);
    loom_stack_release(p->stack, mark);
    s->q = loom_view_of(q, p->seq, a->heads, D);
    loom_attention_rotate(p, rotated(a, s->q), a->heads, m->rope, false);
}

/* Where the latents and rotated keys of all keys lie: a pass's own rows, or a cache slot. */
struct source {
    const real *latent, *rope; /* (B, stride, rank), (B, stride, rope) */
    size_t stride;             /* rows from one sequence to the next */
};

/* Latents and rotated keys of the new tokens, put behind the past's when there is a cache. */
static struct source compress(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                              size_t slot, const real *x) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), wide = m->rank + m->rope;
    real *raw = loom_stack_take(p->stack, rows * wide);
    real *down = loom_stack_take(p->stack, rows * m->rank);
    real *rope = loom_stack_take(p->stack, rows * m->rope);
    loom_affine_forward(p, &m->kv_down, raw, x, rows);
    k->copy_columns(k, down, m->rank, raw, wide, rows, m->rank, false);
    k->copy_columns(k, rope, m->rope, raw + m->rank, wide, rows, m->rope, false);
    const real *latent = loom_norm_forward(p, &m->kv_norm, &s->kv_norm, down, rows);
    loom_attention_rotate(p, loom_view_of(rope, p->seq, 1, m->rope), 1, m->rope, false);
    if (!p->cache)
        return (struct source){latent, rope, p->seq};
    struct loom_cache_slot place = loom_cache_slot(p->cache, slot);
    loom_attention_remember(p, place.first, m->rank, latent, m->rank);
    loom_attention_remember(p, place.second, m->rope, rope, m->rope);
    return (struct source){place.first, place.second, p->cache->capacity};
}

/* Raises keys (B,S,H,nope+rope) and values (B,S,H,Dv) from the latents. */
static void raise_keys(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                       struct source from) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t S = loom_attention_keys(p), D = a->head_dim, H = a->heads, pair = m->nope + a->value_dim;
    /* A cache leaves room behind each sequence; without one all rows lie together and are raised at once. */
    size_t parts = p->cache ? p->batch : 1, rows = p->batch * S / parts;
    real *kv = loom_stack_take(p->stack, parts * rows * H * pair);
    real *key = loom_stack_take(p->stack, parts * rows * H * D);
    for (size_t i = 0; i < parts; i++) {
        real *kv_i = kv + i * rows * H * pair, *key_i = key + i * rows * H * D;
        loom_affine_forward(p, &m->kv_up, kv_i, from.latent + i * from.stride * m->rank, rows);
        k->copy_columns(k, key_i, D, kv_i, pair, rows * H, m->nope, false);
        for (size_t h = 0; h < H; h++)
            k->copy_columns(k, key_i + h * D + m->nope, H * D, from.rope + i * from.stride * m->rope, m->rope, rows,
                            m->rope, false);
    }
    s->k = loom_view_of(key, S, H, D);
    s->v = (struct loom_view){kv + m->nope, S * H * pair, H * pair, pair};
}

void loom_mla_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                      size_t slot, const real *x) {
    query(p, a, s, x);
    raise_keys(p, a, s, compress(p, a, s, slot, x));
    loom_attention_attend(p, a, s);
}

/* dx = the query path's half of the input's gradient. dq's rotation has been undone. */
static void query_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                           const struct loom_attention_saved *s, real *dx, const real *dq) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), D = a->head_dim, rank = m->q_down.n_out;
    real *dnope = loom_stack_take(p->stack, rows * m->q_up_nope.n_out);
    real *drope = loom_stack_take(p->stack, rows * m->q_up_rope.n_out);
    real *dlatent = loom_stack_take(p->stack, rows * rank);
    real *ddown = loom_stack_take(p->stack, rows * rank);
    k->copy_columns(k, dnope, m->nope, dq, D, rows * a->heads, m->nope, false);
    k->copy_columns(k, drope, m->rope, dq + m->nope, D, rows * a->heads, m->rope, false);
    loom_affine_backward(p, &m->q_up_nope, dlatent, dnope, s->q_norm.y, rows, false);
    loom_affine_backward(p, &m->q_up_rope, dlatent, drope, s->q_norm.y, rows, true);
    k->fill(k, ddown, 0, rows * rank);
    loom_norm_backward(p, &m->q_norm, &s->q_norm, ddown, dlatent, rows);
    loom_affine_backward(p, &m->q_down, dx, ddown, s->x, rows, false);
}

/* dx += the key/value path's half. dkv (B,T,H,nope+Dv) holds the values' gradient; its nope part is filled here. */
static void compress_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                              const struct loom_attention_saved *s, real *dx, struct loom_view dk, real *dkv) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), D = a->head_dim, H = a->heads, pair = m->nope + a->value_dim;
    size_t wide = m->rank + m->rope;
    real *dlatent = loom_stack_take(p->stack, rows * m->rank);
    real *ddown = loom_stack_take(p->stack, rows * m->rank);
    real *drope = loom_stack_take(p->stack, rows * m->rope);
    real *draw = loom_stack_take(p->stack, rows * wide);
    k->copy_columns(k, dkv, pair, dk.data, D, rows * H, m->nope, false);
    for (size_t h = 0; h < H; h++)
        k->copy_columns(k, drope, m->rope, dk.data + h * D + m->nope, H * D, rows, m->rope, h > 0);
    loom_attention_rotate(p, loom_view_of(drope, p->seq, 1, m->rope), 1, m->rope, true);
    loom_affine_backward(p, &m->kv_up, dlatent, dkv, s->kv_norm.y, rows, false);
    k->fill(k, ddown, 0, rows * m->rank);
    loom_norm_backward(p, &m->kv_norm, &s->kv_norm, ddown, dlatent, rows);
    k->copy_columns(k, draw, wide, ddown, m->rank, rows, m->rank, false);
    k->copy_columns(k, draw + m->rank, wide, drope, m->rope, rows, m->rope, false);
    loom_affine_backward(p, &m->kv_down, dx, draw, s->x, rows, true);
}

void loom_mla_backward(struct loom_pass *p, const struct loom_attention_layer *a, const struct loom_attention_saved *s,
                       real *dx, struct loom_view dout) {
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), D = a->head_dim, H = a->heads, pair = m->nope + a->value_dim;
    real *dkv = loom_stack_take(p->stack, rows * H * pair);
    struct loom_view dq = loom_view_of(loom_stack_take(p->stack, rows * H * D), p->seq, H, D);
    struct loom_view dk = loom_view_of(loom_stack_take(p->stack, rows * H * D), p->seq, H, D);
    struct loom_view dv = {dkv + m->nope, p->seq * H * pair, H * pair, pair};
    p->k->attention_backward(p->k, &s->shape, dq, dk, dv, dout, s->out, s->lse, s->q, s->k, s->v);
    loom_attention_rotate(p, rotated(a, dq), H, m->rope, true);
    query_backward(p, a, s, dx, dq.data);
    compress_backward(p, a, s, dx, dk, dkv);
}
