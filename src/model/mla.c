/* mla.c - multi-head latent attention. DeepSeek-V2, arXiv 2405.04434.
 *
 * A head's query and key have a part without rotation, which comes through a low-rank latent, and a rotated part; the
 * rotated key is one vector that all heads share. Only the latent (normalised) and that one key are cached; keys and
 * values of a pass's own tokens are raised from the latent. What lies in a cache is never raised: a query's product
 * with a raised key is its product, lowered, with the latent, and so attention with a past runs in the latent space. */
#include "model/mla.h"

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
    m->q_up = loom_affine_declare(table, q_rank, a->heads * m->nope, false, query, prefix, "q_up_nope");
    (void)loom_affine_declare(table, q_rank, a->heads * m->rope, false, query, prefix, "q_up_rope");
    m->q_up.n_out += a->heads * m->rope; /* one lies behind the other */
    m->kv_down = loom_affine_declare(table, dim, m->rank + m->rope, false, in, prefix, "kv_down");
    m->kv_norm = loom_norm_declare_rms(table, m->rank, prefix, "kv_norm");
    m->kv_up = loom_affine_declare(table, m->rank, a->heads * (m->nope + a->value_dim), false,
                                   loom_init_std(c, m->rank), prefix, "kv_up");
}

/* The rotated parts of a (B,T,H,D) array: behind the nope channels of each head. */
static struct loom_view rotated(const struct loom_attention_layer *a, struct loom_view x) {
    return loom_view_from(x, a->mla.nope);
}

/* One kind of part of all heads, in the rows of the product that gives them, or of its gradient. */
static struct loom_view part_of(const struct loom_pass *p, const struct loom_attention_layer *a, struct loom_factor up,
                                bool rope) {
    const struct loom_mla *m = &a->mla;
    const size_t wide = m->q_up.n_out;
    const struct loom_view rows = {up.data, p->seq * wide, wide, rope ? m->rope : m->nope, up.format};
    return loom_view_from(rows, rope ? a->heads * m->nope : 0);
}

/* The parts without rotation, and the values, in the rows of the product that raises both; or of its gradient. */
static struct loom_view raised_of(const struct loom_pass *p, const struct loom_attention_layer *a,
                                  struct loom_factor kv, bool values) {
    const size_t pair = a->mla.nope + a->value_dim;
    return loom_view_from(loom_view_of_factor(kv, p->seq, a->heads, pair), values ? a->mla.nope : 0);
}

/* The rotated key of each row (B,T,1,rope) in rows that hold a latent before it. */
static struct loom_view key_of(const struct loom_pass *p, const struct loom_attention_layer *a,
                               struct loom_factor down) {
    const struct loom_mla *m = &a->mla;
    return loom_view_from(loom_view_of_factor(down, p->seq, 1, m->rank + m->rope), m->rank);
}

/* q (B,T,H,nope+rope), rotated. */
static void query(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                  struct loom_factor x) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t passing = p->stack->passing, rows = loom_pass_rows(p), D = a->head_dim;
    struct loom_factor q = loom_factor_take_as(p, loom_attention_format(p, a), rows * a->heads * D);
    real *down = loom_stack_take(p->stack, rows * m->q_down.n_out);
    loom_affine_forward(p, &m->q_down, down, x, rows);
    struct loom_factor latent = loom_norm_pass(p, &m->q_norm, &s->q_norm, down, rows);
    struct loom_factor up = loom_factor_of(loom_stack_take_passing(p->stack, rows * m->q_up.n_out));
    loom_affine_forward(p, &m->q_up, up.data, latent, rows);
    s->q = loom_view_of_factor(q, p->seq, a->heads, D);
    k->copy_heads(k, s->q, part_of(p, a, up, false), p->batch, p->seq, a->heads, m->nope);
    loom_attention_rotate(p, rotated(a, s->q), part_of(p, a, up, true), a->heads, m->rope, false);
    loom_stack_release_passing(p->stack, passing);
}

/* The new tokens' latents (B,T,rank) and rotated keys (B,T,rope). A cache wants latents as reals. */
struct latents {
    struct loom_factor latent;
    real *rope;
};

static struct latents compress(struct loom_pass *p, const struct loom_attention_layer *a,
                               struct loom_attention_saved *s, struct loom_factor x) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), wide = m->rank + m->rope;
    real *raw = loom_stack_take_passing(p->stack, rows * wide);
    real *down = loom_stack_take(p->stack, rows * m->rank);
    real *rope = loom_stack_take_passing(p->stack, rows * m->rope);
    loom_affine_forward(p, &m->kv_down, raw, x, rows);
    k->copy_columns(k, down, m->rank, raw, wide, rows, m->rank, false);
    struct loom_factor latent = p->cache ? loom_factor_of(loom_norm_pass_real(p, &m->kv_norm, &s->kv_norm, down, rows))
                                         : loom_norm_pass(p, &m->kv_norm, &s->kv_norm, down, rows);
    loom_attention_rotate(p, loom_view_of(rope, p->seq, 1, m->rope), key_of(p, a, loom_factor_of(raw)), 1, m->rope,
                          false);
    return (struct latents){latent, rope};
}

/* Puts them behind the past's in a cache slot, whose rows are a latent and the rotated key. */
static void remember(struct loom_pass *p, const struct loom_attention_layer *a, size_t slot, struct latents new) {
    const struct loom_mla *m = &a->mla;
    struct loom_view place = loom_cache_slot(p->cache, slot).first;
    loom_attention_remember(p, place, loom_view_of(new.latent.data, p->seq, 1, m->rank), 1, m->rank);
    loom_attention_remember(p, loom_view_from(place, m->rank), loom_view_of(new.rope, p->seq, 1, m->rope), 1, m->rope);
    loom_attention_keep_halted(p, slot);
}

/* Raises keys (B,T,H,nope+rope) and values (B,T,H,Dv) from the latents, and attends to them. */
static void attend_raised(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                          struct latents from) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), H = a->heads, n = rows * m->kv_up.n_out;
    enum loom_storage format = loom_attention_format(p, a);
    bool real_views = format == LOOM_STORAGE_REAL;
    struct loom_factor kv =
        loom_factor_of(real_views ? loom_stack_take(p->stack, n) : loom_stack_take_passing(p->stack, n));
    struct loom_factor key = loom_factor_take_as(p, format, rows * H * a->head_dim);
    struct loom_view rope = loom_view_of(from.rope, p->seq, 1, m->rope);
    rope.head = 0; /* one for all heads */
    loom_affine_forward(p, &m->kv_up, kv.data, from.latent, rows);
    s->k = loom_view_of_factor(key, p->seq, H, a->head_dim);
    k->copy_heads(k, s->k, raised_of(p, a, kv, false), p->batch, p->seq, H, m->nope);
    k->copy_heads(k, rotated(a, s->k), rope, p->batch, p->seq, H, m->rope);
    s->v = raised_of(p, a, kv, true);
    if (!real_views) {
        struct loom_factor value = loom_factor_take_as(p, format, rows * H * a->value_dim);
        struct loom_view to = loom_view_of_factor(value, p->seq, H, a->value_dim);
        k->copy_heads(k, to, s->v, p->batch, p->seq, H, a->value_dim);
        s->v = to;
    }
    loom_attention_attend(p, a, s);
}

/* Vectors (rows, heads, .) that lie head by head: all rows of a head one behind another. */
static struct loom_view by_head(real *data, size_t rows, size_t width) {
    return (struct loom_view){data, 0, width, rows * width, LOOM_STORAGE_REAL};
}

/* Each head's part of kv_up as a product of its own, of one row for each token. Its weights are parts of a larger
 * matrix and a few rows meet them: they stay as they are. */
static struct loom_linear head_product(const struct loom_pass *p, const struct loom_attention_layer *a, size_t n_out) {
    const struct loom_mla *m = &a->mla;
    return (struct loom_linear){.rows = a->heads * loom_pass_rows(p),
                                .n_in = m->rank,
                                .n_out = n_out,
                                .groups = a->heads,
                                .stride = (m->nope + a->value_dim) * m->rank,
                                .exact = true};
}

/* q (B,T,H,rank+rope): the queries' parts without rotation go down to the latent space, head by head. */
static void lower_queries(struct loom_pass *p, const struct loom_attention_layer *a, real *q, const real *raised) {
    const struct loom_mla *m = &a->mla;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), H = a->heads, D = a->head_dim, wide = m->rank + m->rope;
    struct loom_linear shape = head_product(p, a, m->nope);
    real *nope = loom_stack_take(p->stack, H * rows * m->nope);
    real *low = loom_stack_take(p->stack, H * rows * m->rank);
    p->k->copy_heads(p->k, by_head(nope, rows, m->nope), loom_view_of(raised, rows, H, D), 1, rows, H, m->nope);
    p->k->linear_input(p->k, &shape, low, nope, p->w + m->kv_up.weight, false);
    p->k->copy_heads(p->k, loom_view_of(q, rows, H, wide), by_head(low, rows, m->rank), 1, rows, H, m->rank);
    p->k->copy_columns(p->k, q + m->rank, wide, raised + m->nope, D, rows * H, m->rope, false);
    loom_stack_release(p->stack, mark);
}

/* out (B,T,H,Dv) from the weighted latents (B,T,H,rank). */
static void raise_values(struct loom_pass *p, const struct loom_attention_layer *a, real *out, const real *latents) {
    const struct loom_mla *m = &a->mla;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), H = a->heads, Dv = a->value_dim;
    struct loom_linear shape = head_product(p, a, Dv);
    real *low = loom_stack_take(p->stack, H * rows * m->rank);
    real *value = loom_stack_take(p->stack, H * rows * Dv);
    p->k->copy_heads(p->k, by_head(low, rows, m->rank), loom_view_of(latents, rows, H, m->rank), 1, rows, H, m->rank);
    p->k->linear(p->k, &shape, value, low, p->w + m->kv_up.weight + m->nope * m->rank, false);
    p->k->copy_heads(p->k, loom_view_of(out, rows, H, Dv), by_head(value, rows, Dv), 1, rows, H, Dv);
    loom_stack_release(p->stack, mark);
}

/* Attention to the cache: all heads share one key, a latent and a rotated key, and one value, the latent. */
static void attend_latents(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                           size_t slot) {
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), H = a->heads, wide = m->rank + m->rope;
    struct loom_attention_layer shared = *a;
    shared.kv_heads = 1;
    shared.head_dim = wide;
    shared.value_dim = m->rank;
    real *out = loom_stack_take(p->stack, rows * H * a->value_dim);
    real *q = loom_stack_take(p->stack, rows * H * wide);
    lower_queries(p, a, q, s->q.data);
    s->q = loom_view_of(q, p->seq, H, wide);
    s->k = s->v = loom_cache_slot(p->cache, slot).first;
    loom_attention_attend(p, &shared, s);
    raise_values(p, a, out, s->out.data);
    s->out = loom_view_of(out, p->seq, H, a->value_dim);
}

void loom_mla_forward(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s,
                      size_t slot, struct loom_factor x) {
    query(p, a, s, x);
    struct latents new = compress(p, a, s, x);
    if (p->cache)
        remember(p, a, slot, new);
    if (p->past > 0 || (p->exits && p->exits->any))
        attend_latents(p, a, s, slot);
    else
        attend_raised(p, a, s, new);
}

/* dx = the query path's half of the input's gradient. */
static void query_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                           const struct loom_attention_saved *s, real *dx, struct loom_view dq, struct loom_factor x) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), rank = m->q_down.n_out;
    struct loom_factor dup = loom_factor_take(p, rows * m->q_up.n_out);
    real *dlatent = loom_stack_take(p->stack, rows * rank);
    real *ddown = loom_stack_take(p->stack, rows * rank);
    k->copy_heads(k, part_of(p, a, dup, false), dq, p->batch, p->seq, a->heads, m->nope);
    loom_attention_rotate(p, part_of(p, a, dup, true), rotated(a, dq), a->heads, m->rope, true);
    struct loom_factor latent = loom_norm_again(p, &m->q_norm, &s->q_norm, rows);
    loom_affine_backward(p, &m->q_up, dlatent, dup, latent, rows, false);
    k->fill(k, ddown, 0, rows * rank);
    loom_norm_backward(p, &m->q_norm, &s->q_norm, ddown, dlatent, rows);
    loom_affine_backward(p, &m->q_down, dx, loom_factor_of(ddown), x, rows, false);
}

/* dx += the key/value path's half. dkv (B,T,H,nope+Dv) holds the values' gradient; its nope part is filled here. */
static void compress_backward(struct loom_pass *p, const struct loom_attention_layer *a,
                              const struct loom_attention_saved *s, real *dx, struct loom_view dk,
                              struct loom_factor dkv, struct loom_factor x) {
    const struct loom_kernels *k = p->k;
    const struct loom_mla *m = &a->mla;
    size_t rows = loom_pass_rows(p), D = a->head_dim, H = a->heads;
    real *dlatent = loom_stack_take(p->stack, rows * m->rank);
    real *ddown = loom_stack_take(p->stack, rows * m->rank);
    real *drope = loom_stack_take(p->stack, rows * m->rope);
    struct loom_factor draw = loom_factor_take(p, rows * (m->rank + m->rope));
    k->copy_heads(k, raised_of(p, a, dkv, false), dk, p->batch, p->seq, H, m->nope);
    for (size_t h = 0; h < H; h++)
        k->copy_columns(k, drope, m->rope, dk.data + h * D + m->nope, H * D, rows, m->rope, h > 0);
    loom_affine_backward(p, &m->kv_up, dlatent, dkv, loom_norm_again(p, &m->kv_norm, &s->kv_norm, rows), rows, false);
    k->fill(k, ddown, 0, rows * m->rank);
    loom_norm_backward(p, &m->kv_norm, &s->kv_norm, ddown, dlatent, rows);
    k->copy_heads(k, loom_view_of_factor(draw, p->seq, 1, m->rank + m->rope), loom_view_of(ddown, p->seq, 1, m->rank),
                  p->batch, p->seq, 1, m->rank);
    loom_attention_rotate(p, key_of(p, a, draw), loom_view_of(drope, p->seq, 1, m->rope), 1, m->rope, true);
    loom_affine_backward(p, &m->kv_down, dx, draw, x, rows, true);
}

void loom_mla_backward(struct loom_pass *p, const struct loom_attention_layer *a, const struct loom_attention_saved *s,
                       real *dx, struct loom_view dout, struct loom_factor x) {
    size_t rows = loom_pass_rows(p), D = a->head_dim, H = a->heads, Dv = a->value_dim;
    struct loom_factor dkv = loom_factor_take(p, rows * a->mla.kv_up.n_out);
    struct loom_view dq = loom_view_of(loom_stack_take(p->stack, rows * H * D), p->seq, H, D);
    struct loom_view dk = loom_view_of(loom_stack_take(p->stack, rows * H * D), p->seq, H, D);
    struct loom_view dvalues = raised_of(p, a, dkv, true), dv = dvalues;
    if (dkv.format != LOOM_STORAGE_REAL)
        dv = loom_view_of(loom_stack_take(p->stack, rows * H * Dv), p->seq, H, Dv);
    p->k->attention_backward(p->k, &s->shape, dq, dk, dv, dout, s->out, s->lse, s->q, s->k, s->v);
    if (dkv.format != LOOM_STORAGE_REAL)
        p->k->copy_heads(p->k, dvalues, dv, p->batch, p->seq, H, Dv);
    query_backward(p, a, s, dx, dq, x);
    compress_backward(p, a, s, dx, dk, dkv, x);
}
