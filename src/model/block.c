/* block.c - see block.h. */
#include "model/block.h"

#include <stdio.h>
#include <stdlib.h>

#include "model/gqa.h"
#include "model/gradient.h"

static struct loom_norm declare_norm(struct loom_tensors *table, const struct loom_config *c, const char *prefix,
                                     const char *gpt_name, const char *name) {
    if (c->architecture == LOOM_ARCHITECTURE_GPT)
        return loom_norm_declare_layer(table, (size_t)c->dim, c->bias, prefix, gpt_name);
    return loom_norm_declare(table, c, prefix, name);
}

bool loom_block_declare(struct loom_block *block, struct loom_tensors *table, const struct loom_config *c,
                        enum loom_feed_forward feed, const char *prefix) {
    char attention[LOOM_NAME_MAX], inner[LOOM_NAME_MAX];
    snprintf(attention, sizeof attention, "%sattn.", prefix);
    snprintf(inner, sizeof inner, "%s%s.", prefix, feed == LOOM_FEED_MLP ? "mlp" : "ffn");
    struct loom_tensor_spec zeros = {.cols = (size_t)c->dim};
    *block = (struct loom_block){.feed = feed, .skip = LOOM_NO_TENSOR};
    if (c->embed_skip)
        block->skip = loom_tensors_add(table, zeros, prefix, "embed_skip");
    block->attention_norm = declare_norm(table, c, prefix, "ln_1", "attn_norm");
    block->attention = loom_attention_declare(table, c, attention);
    block->feed_norm = declare_norm(table, c, prefix, "ln_2", "ffn_norm");
    switch (feed) {
    case LOOM_FEED_SWIGLU:
        block->swiglu = loom_swiglu_declare(table, c, loom_config_ffn_dim(c), inner);
        return true;
    case LOOM_FEED_MLP:
        block->mlp = loom_mlp_declare(table, c, inner);
        return true;
    case LOOM_FEED_EXPERTS:
        block->router = loom_router_declare(table, c, inner);
        return loom_experts_declare(&block->experts, table, c, inner);
    }
    return false;
}

void loom_block_free(struct loom_block *block) {
    loom_experts_free(&block->experts);
}

bool loom_block_saved_open(struct loom_block_saved *s, const struct loom_block *block) {
    *s = (struct loom_block_saved){0};
    s->experts.shared = calloc(block->experts.n_shared + 1, sizeof *s->experts.shared);
    return s->experts.shared != NULL;
}

void loom_block_saved_close(struct loom_block_saved *s) {
    free(s->experts.shared);
    s->experts.shared = NULL;
}

/* y = the feed-forward of the norm of x. A router reads that in full, beside the experts' products. */
static void feed_forward(struct loom_pass *p, const struct loom_block *block, struct loom_block_saved *s,
                         struct loom_place place, real *y, const real *x) {
    size_t rows = loom_pass_rows(p);
    switch (block->feed) {
    case LOOM_FEED_SWIGLU:
        loom_swiglu_forward(p, &block->swiglu, &s->swiglu, y,
                            loom_norm_pass(p, &block->feed_norm, &s->feed_norm, x, rows), rows, NULL, false);
        break;
    case LOOM_FEED_MLP:
        loom_mlp_forward(p, &block->mlp, &s->mlp, y, loom_norm_pass(p, &block->feed_norm, &s->feed_norm, x, rows));
        break;
    case LOOM_FEED_EXPERTS: {
        const real *normed = loom_norm_pass_real(p, &block->feed_norm, &s->feed_norm, x, rows);
        loom_router_forward(p, &block->router, &s->routes, normed, place.loop, place.layer);
        loom_experts_forward(p, &block->experts, &s->experts, y, normed, &s->routes);
        break;
    }
    }
}

/* dx, the gradient of the norm's output, is overwritten. */
static void feed_backward(struct loom_pass *p, const struct loom_block *block, const struct loom_block_saved *s,
                          real *dx, const real *dy) {
    size_t rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    switch (block->feed) {
    case LOOM_FEED_SWIGLU:
        loom_swiglu_backward(p, &block->swiglu, &s->swiglu, dx, loom_factor_round(p, dy, n),
                             loom_norm_again(p, &block->feed_norm, &s->feed_norm, rows), rows, NULL, false);
        break;
    case LOOM_FEED_MLP:
        loom_mlp_backward(p, &block->mlp, &s->mlp, dx, loom_factor_round(p, dy, n),
                          loom_norm_again(p, &block->feed_norm, &s->feed_norm, rows));
        break;
    case LOOM_FEED_EXPERTS: {
        const real *normed = loom_norm_again_real(p, &block->feed_norm, &s->feed_norm, rows);
        real *dgates = loom_stack_take(p->stack, rows * block->router.top_k);
        loom_experts_backward(p, &block->experts, &s->experts, dx, dgates, dy, normed, &s->routes);
        loom_router_backward(p, &block->router, &s->routes, dx, dgates, normed);
        break;
    }
    }
}

/* y, a branch's output, becomes x + dropout(y); returns the dropout's stream. */
static uint64_t join(struct loom_pass *p, real *y, const real *x, size_t n) {
    const struct loom_kernels *k = p->k;
    real rate = loom_pass_dropout(p);
    uint64_t seed = 0;
    if (rate > 0) {
        seed = loom_pass_dropout_seed(p);
        k->dropout(k, y, y, rate, seed, n);
    }
    k->add(k, y, x, y, n);
    return seed;
}

/* The gradient that goes into the branch: d itself, or a dropped copy. */
static const real *join_backward(struct loom_pass *p, const real *d, uint64_t seed, size_t n) {
    real rate = loom_pass_dropout(p);
    if (rate <= 0)
        return d;
    real *dropped = loom_stack_take(p->stack, n);
    p->k->dropout(p->k, dropped, d, rate, seed, n);
    return dropped;
}

/* x + skip * x0, or x itself. The stream is the sum of what the blocks wrote; a later block may want the token again.
 */
static const real *recall(struct loom_pass *p, const struct loom_block *block, const real *x, size_t rows) {
    const struct loom_kernels *k = p->k;
    size_t dim = (size_t)p->c->dim;
    if (block->skip == LOOM_NO_TENSOR)
        return x;
    real *sum = loom_stack_take(p->stack, rows * dim);
    k->scale_columns(k, sum, p->x0, p->w + block->skip, rows, dim);
    k->add(k, sum, sum, x, rows * dim);
    return sum;
}

static void recall_backward(struct loom_pass *p, const struct loom_block *block, const real *d, size_t rows) {
    const struct loom_kernels *k = p->k;
    size_t dim = (size_t)p->c->dim;
    if (block->skip == LOOM_NO_TENSOR)
        return;
    real *share = loom_stack_take(p->stack, rows * dim);
    loom_gradient_scale(p, block->skip, d, p->x0, rows, dim);
    k->scale_columns(k, share, d, p->w + block->skip, rows, dim);
    k->add(k, p->dx0, p->dx0, share, rows * dim);
}

void loom_block_forward(struct loom_pass *p, const struct loom_block *block, struct loom_block_saved *s,
                        struct loom_place place, real *y, const real *x) {
    size_t passing = p->stack->passing, rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    real *middle = loom_stack_take(p->stack, n);
    s->x = x;
    s->dropout_sites = p->dropout_sites;
    x = recall(p, block, x, rows);
    struct loom_factor normed = loom_norm_pass(p, &block->attention_norm, &s->attention_norm, x, rows);
    struct loom_attention_memory *memory = place.memory ? &place.memory->attention : NULL;
    loom_attention_forward(p, &block->attention, &s->attention, memory, place.slot, middle, normed);
    loom_stack_release_passing(p->stack, passing);
    s->attention_dropout = join(p, middle, x, n);
    feed_forward(p, block, s, place, y, middle);
    loom_stack_release_passing(p->stack, passing);
    s->feed_dropout = join(p, y, middle, n);
}

void loom_block_again(struct loom_pass *p, const struct loom_block *block, struct loom_block_saved *s,
                      struct loom_place place) {
    struct loom_loads *loads = p->loads;
    struct loom_census *census = p->census;
    p->loads = NULL;
    p->census = NULL;
    p->dropout_sites = s->dropout_sites;
    real *y = loom_stack_take(p->stack, loom_pass_rows(p) * (size_t)p->c->dim);
    loom_block_forward(p, block, s, place, y, s->x);
    p->loads = loads;
    p->census = census;
}

void loom_block_backward(struct loom_pass *p, const struct loom_block *block, const struct loom_block_saved *s,
                         real *d) {
    size_t mark = p->stack->used, rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    real *dnormed = loom_stack_take(p->stack, n);
    size_t branch = p->stack->used;
    feed_backward(p, block, s, dnormed, join_backward(p, d, s->feed_dropout, n));
    loom_stack_release(p->stack, branch);
    loom_norm_backward(p, &block->feed_norm, &s->feed_norm, d, dnormed, rows);
    struct loom_factor normed = loom_norm_again(p, &block->attention_norm, &s->attention_norm, rows);
    loom_attention_backward(p, &block->attention, &s->attention, dnormed, join_backward(p, d, s->attention_dropout, n),
                            normed);
    loom_stack_release(p->stack, branch);
    loom_norm_backward(p, &block->attention_norm, &s->attention_norm, d, dnormed, rows);
    recall_backward(p, block, d, rows);
    loom_stack_release(p->stack, mark);
}

void loom_block_remember(struct loom_pass *p, const struct loom_block *block, struct loom_block_memory *m, size_t slot,
                         const real *e) {
    const real *normed = loom_norm_forward(p, &block->attention_norm, &m->norm, e, loom_pass_rows(p));
    loom_gqa_memory_forward(p, &block->attention, &m->attention, slot, loom_factor_of(normed));
}

void loom_block_remember_begin(struct loom_pass *p, const struct loom_block *block, struct loom_block_memory *m) {
    loom_gqa_memory_clear(p, &block->attention, &m->attention);
}

void loom_block_remember_end(struct loom_pass *p, const struct loom_block *block, struct loom_block_memory *m,
                             real *de) {
    size_t mark = p->stack->used, rows = loom_pass_rows(p);
    real *dnormed = loom_stack_take(p->stack, rows * (size_t)p->c->dim);
    loom_gqa_memory_backward(p, &block->attention, &m->attention, dnormed);
    loom_norm_backward(p, &block->attention_norm, &m->norm, de, dnormed, rows);
    loom_stack_release(p->stack, mark);
}
