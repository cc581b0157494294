/* embedding.c - see embedding.h. */
#include "model/embedding.h"

#include <stdlib.h>

#include "model/gradient.h"

/* ---- declaration ------------------------------------------------------------------------------------------------- */

struct loom_tensor_spec loom_embedding_table(const struct loom_config *c, int rows) {
    double std = loom_config_rotary(c) ? c->embed_std : LOOM_INIT_STD;
    return (struct loom_tensor_spec){
        .rows = (size_t)rows, .cols = (size_t)c->dim, .std = std, .kind = LOOM_TENSOR_EMBEDDING};
}

struct loom_embedding loom_embedding_declare_learned(struct loom_tensors *table, const struct loom_config *c,
                                                     const char *prefix) {
    struct loom_tensor_spec tokens = loom_embedding_table(c, c->vocab_size),
                            positions = loom_embedding_table(c, c->max_seq_len);
    struct loom_embedding e = {.shift = LOOM_NO_TENSOR};
    e.tokens = loom_tensors_add(table, tokens, prefix, "wte.weight");
    e.positions = loom_tensors_add(table, positions, prefix, "wpe.weight");
    return e;
}

struct loom_embedding loom_embedding_declare(struct loom_tensors *table, const struct loom_config *c) {
    struct loom_tensor_spec hashes = loom_embedding_table(c, c->ngram_rows),
                            shift = {.cols = (size_t)c->dim, .std = 0.5};
    struct loom_embedding e = {.positions = LOOM_NO_TENSOR, .shift = LOOM_NO_TENSOR};
    e.tokens = loom_tensors_add(table, loom_embedding_table(c, c->vocab_size), "embed.", "weight");
    if (c->embed_shift)
        e.shift = loom_tensors_add(table, shift, "", "embed_shift");
    hashes.std = 0; /* what a pair adds to its tokens is nothing until it is learned */
    for (int n = 2; n <= c->ngram; n++)
        e.ngrams[n - 2] = loom_tensors_add(table, hashes, "ngram.", "%d.weight", n);
    return e;
}

bool loom_embedding_saved_open(struct loom_embedding_saved *s, const struct loom_kernels *k, size_t rows) {
    s->ids = k->alloc(k, rows * sizeof *s->ids);
    s->looked = k->alloc(k, rows * sizeof *s->looked);
    s->found = calloc(rows, sizeof *s->found);
    return s->ids && s->looked && s->found;
}

void loom_embedding_saved_close(struct loom_embedding_saved *s, const struct loom_kernels *k) {
    k->release(k, s->ids);
    k->release(k, s->looked);
    free(s->found);
}

/* ---- one pass ---------------------------------------------------------------------------------------------------- */

/* The learned positions of the new tokens: rows past .. past+T-1. */
static size_t position_rows(const struct loom_pass *p, const struct loom_embedding *e) {
    return e->positions + p->past * (size_t)p->c->dim;
}

/* The token `back` places before token i of sequence b; -1 before the beginning. */
static int token_before(const struct loom_pass *p, size_t b, size_t i, size_t back) {
    const struct loom_input *input = &p->input;
    if (input->first && (size_t)input->first[b * p->seq + i] + back > p->past + i)
        return -1; /* another document */
    if (back <= i)
        return input->ids[b * p->seq + i - back];
    back -= i;
    return input->history && back <= p->past ? input->history[b * input->history_stride + p->past - back] : -1;
}

/* Whether this n-gram of the pass shows its last token alone: in a training that must not learn rare n-grams by heart,
 * blank noising of Xie et al., arXiv 1703.02573. A backward asks again and hears the same. */
static bool hides(const struct loom_pass *p, int order, size_t row) {
    struct loom_random stream = {p->dropout_seed, LOOM_RANDOM_HIDE | (uint64_t)order << 8};
    return p->keep && p->c->ngram_dropout > 0 && loom_random_uniform(stream, row) < p->c->ngram_dropout;
}

/* The row, of as many as a table has, of the n-gram of this order that ends at token i of sequence b: a hash of its
 * tokens. Those that the sequence does not have yet, or that are hidden, are none. */
static int ngram_row(const struct loom_pass *p, int order, size_t b, size_t i) {
    uint64_t hash = (uint64_t)order;
    bool alone = hides(p, order, b * p->seq + i);
    for (size_t back = 0; back < (size_t)order; back++) {
        int token = alone && back > 0 ? -1 : token_before(p, b, i, back);
        hash = loom_random_bits((struct loom_random){hash, LOOM_RANDOM_HASH}, (uint64_t)(token + 1));
    }
    return (int)(hash % (uint64_t)p->c->ngram_rows);
}

/* Each token's row in the table of n-grams of this order. */
static void hash_ngrams(const struct loom_pass *p, struct loom_embedding_saved *s, int order) {
    for (size_t b = 0; b < p->batch; b++)
        for (size_t i = 0; i < p->seq; i++)
            s->found[b * p->seq + i] = ngram_row(p, order, b, i);
    p->k->upload(p->k, s->looked, s->found, loom_pass_rows(p) * sizeof *s->found);
}

/* x += the embeddings of the n-grams that end at each token. As the hashed n-grams of Svenstrup et al., arXiv
 * 1709.03933. */
static void embed_ngrams(struct loom_pass *p, const struct loom_embedding *e, struct loom_embedding_saved *s, real *x,
                         int order) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    real *found = loom_stack_take(p->stack, rows * dim);
    if (p->input.ids) /* a dry run has none */
        hash_ngrams(p, s, order);
    k->embed(k, found, p->w + e->ngrams[order - 2], s->looked, rows, dim);
    k->add(k, x, x, found, rows * dim);
    loom_stack_release(p->stack, mark);
}

/* The token before each, to s->looked; where there is none, the token itself. */
static void find_previous(const struct loom_pass *p, struct loom_embedding_saved *s) {
    for (size_t b = 0; p->input.ids && b < p->batch; b++)
        for (size_t i = 0; i < p->seq; i++) {
            int before = token_before(p, b, i, 1);
            s->found[b * p->seq + i] = before >= 0 ? before : p->input.ids[b * p->seq + i];
        }
    if (p->input.ids)
        p->k->upload(p->k, s->looked, s->found, loom_pass_rows(p) * sizeof *s->found);
}

/* x = the embedding of the token before + shift * that of the token itself: the "smear" of modded-nanogpt, with a
 * weight for each channel. The token before enters as it is, so that what a position is asked about (in "x=" that is x)
 * is written as a tied head reads it, and as the next loop asks again. */
static void embed_shift(struct loom_pass *p, const struct loom_embedding *e, struct loom_embedding_saved *s, real *x) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    real *before = loom_stack_take(p->stack, rows * dim);
    find_previous(p, s);
    k->embed(k, before, p->w + e->tokens, s->looked, rows, dim);
    k->scale_columns(k, x, x, p->w + e->shift, rows, dim);
    k->add(k, x, x, before, rows * dim);
    loom_stack_release(p->stack, mark);
}

/* d becomes the gradient of the token's own embedding. */
static void embed_shift_backward(struct loom_pass *p, const struct loom_embedding *e, struct loom_embedding_saved *s,
                                 real *d) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    real *own = loom_stack_take(p->stack, rows * dim);
    find_previous(p, s);
    loom_gradient_embed(p, e->tokens, d, s->looked, rows, dim);
    k->embed(k, own, p->w + e->tokens, s->ids, rows, dim);
    loom_gradient_scale(p, e->shift, d, own, rows, dim);
    k->scale_columns(k, d, d, p->w + e->shift, rows, dim);
    loom_stack_release(p->stack, mark);
}

real *loom_embedding_forward(struct loom_pass *p, const struct loom_embedding *e, struct loom_embedding_saved *s) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), dim = (size_t)p->c->dim, n = p->seq * dim;
    real *x = loom_stack_take(p->stack, rows * dim);
    k->upload(k, s->ids, p->input.ids, rows * sizeof *s->ids);
    k->embed(k, x, p->w + e->tokens, s->ids, rows, dim);
    if (p->c->embed_shift)
        embed_shift(p, e, s, x);
    for (int order = 2; order <= p->c->ngram; order++)
        embed_ngrams(p, e, s, x, order);
    if (e->positions == LOOM_NO_TENSOR)
        return x;
    for (size_t b = 0; b < p->batch; b++)
        k->add(k, x + b * n, x + b * n, p->w + position_rows(p, e), n);
    if (loom_pass_dropout(p) > 0) /* the pass's first dropout: site 0 */
        k->dropout(k, x, x, loom_pass_dropout(p), loom_pass_dropout_seed(p), rows * dim);
    return x;
}

void loom_embedding_backward(struct loom_pass *p, const struct loom_embedding *e, struct loom_embedding_saved *s,
                             real *d) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), dim = (size_t)p->c->dim, n = p->seq * dim;
    if (e->positions != LOOM_NO_TENSOR) {
        p->dropout_sites = 0;
        if (loom_pass_dropout(p) > 0)
            k->dropout(k, d, d, loom_pass_dropout(p), loom_pass_dropout_seed(p), rows * dim);
        for (size_t b = 0; b < p->batch; b++)
            loom_gradient_rows(p, position_rows(p, e), d + b * n, p->seq, dim);
    }
    for (int order = 2; order <= p->c->ngram; order++) {
        if (p->input.ids)
            hash_ngrams(p, s, order);
        loom_gradient_embed(p, e->ngrams[order - 2], d, s->looked, rows, dim);
    }
    if (p->c->embed_shift)
        embed_shift_backward(p, e, s, d);
    loom_gradient_embed(p, e->tokens, d, s->ids, rows, dim);
}
