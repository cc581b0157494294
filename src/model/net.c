/* net.c - see net.h. */
#include "model/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- declaration ------------------------------------------------------------------------------------------------- */

static bool declare_blocks(struct loom_net *net, struct loom_block **blocks, int count, const char *stage) {
    bool gpt = net->config.architecture == LOOM_ARCHITECTURE_GPT;
    *blocks = calloc((size_t)count + 1, sizeof **blocks);
    if (!*blocks)
        return false;
    for (int i = 0; i < count; i++) {
        char prefix[LOOM_NAME_MAX];
        snprintf(prefix, sizeof prefix, "%s.%d.", stage, i);
        if (!loom_block_declare(&(*blocks)[i], &net->tensors, &net->config, gpt ? LOOM_FEED_MLP : LOOM_FEED_SWIGLU,
                                prefix))
            return false;
    }
    return true;
}

/* An embedding of `rows` rows. */
static struct loom_tensor_spec table_of(const struct loom_config *c, int rows) {
    double std = loom_config_rotary(c) ? c->embed_std : LOOM_INIT_STD;
    return (struct loom_tensor_spec){
        .rows = (size_t)rows, .cols = (size_t)c->dim, .std = std, .kind = LOOM_TENSOR_EMBEDDING};
}

static bool declare_gpt(struct loom_net *net) {
    const struct loom_config *c = &net->config;
    struct loom_tensor_spec tokens = table_of(c, c->vocab_size), positions = table_of(c, c->max_seq_len);
    net->embed = net->head = loom_tensors_add(&net->tensors, tokens, "transformer.", "wte.weight");
    net->positions = loom_tensors_add(&net->tensors, positions, "transformer.", "wpe.weight");
    if (!declare_blocks(net, &net->prelude, c->prelude_layers, "transformer.h"))
        return false;
    net->norm = loom_norm_declare_layer(&net->tensors, (size_t)c->dim, c->bias, "transformer.", "ln_f");
    return true;
}

static bool declare_rotary(struct loom_net *net) {
    const struct loom_config *c = &net->config;
    struct loom_tensor_spec tokens = table_of(c, c->vocab_size), hashes = table_of(c, c->ngram_rows), head = tokens;
    net->embed = net->head = loom_tensors_add(&net->tensors, tokens, "embed.", "weight");
    struct loom_tensor_spec shift = {.cols = (size_t)c->dim, .std = 0.5};
    net->shift = c->embed_shift ? loom_tensors_add(&net->tensors, shift, "", "embed_shift") : LOOM_NO_TENSOR;
    hashes.std = 0; /* what a pair adds to its tokens is nothing until it is learned */
    for (int n = 2; n <= c->ngram; n++)
        net->ngrams[n - 2] = loom_tensors_add(&net->tensors, hashes, "ngram.", "%d.weight", n);
    net->positions = LOOM_NO_TENSOR;
    if (!declare_blocks(net, &net->prelude, c->prelude_layers, "prelude") ||
        (loom_config_looped(c) && !loom_core_declare(&net->core, &net->tensors, c)) ||
        !declare_blocks(net, &net->coda, c->coda_layers, "coda"))
        return false;
    net->norm = loom_norm_declare(&net->tensors, c, "", "norm");
    head.kind = LOOM_TENSOR_HEAD;
    head.std = c->zero_init ? 0 : head.std;
    if (!c->tied)
        net->head = loom_tensors_add(&net->tensors, head, "lm_head.", "weight");
    return true;
}

loom_status loom_net_open(struct loom_net *net, const struct loom_config *config, struct loom_error *error) {
    *net = (struct loom_net){.config = *config};
    bool done = loom_config_rotary(config) ? declare_rotary(net) : declare_gpt(net);
    if (!done || net->tensors.failed)
        return loom_fail(error, LOOM_NO_MEMORY, "the tensor table: no memory");
    return LOOM_OK;
}

static void free_blocks(struct loom_block *blocks, int count) {
    for (int i = 0; blocks && i < count; i++)
        loom_block_free(&blocks[i]);
    free(blocks);
}

void loom_net_close(struct loom_net *net) {
    free_blocks(net->prelude, net->config.prelude_layers);
    free_blocks(net->coda, net->config.coda_layers);
    loom_core_free(&net->core);
    loom_tensors_free(&net->tensors);
    *net = (struct loom_net){0};
}

uint64_t loom_net_active_parameters(const struct loom_net *net) {
    const struct loom_config *c = &net->config;
    uint64_t all = loom_tensors_parameters(&net->tensors);
    if (!loom_config_routed(c))
        return all;
    uint64_t matrices = c->activation == LOOM_ACTIVATION_SWIGLU ? 3 : 2;
    uint64_t expert = matrices * (uint64_t)c->dim * (uint64_t)c->expert_dim;
    return all - expert * (uint64_t)(c->n_experts - c->n_experts_per_tok) * (uint64_t)c->core_layers;
}

/* Beyond this many loops the cache and the loop index would be taken for a slip of the hand. */
enum { LOOPS_LIMIT = 4096 };

loom_status loom_net_loops(const struct loom_net *net, int asked, int *loops, struct loom_error *error) {
    const struct loom_config *c = &net->config;
    if (asked < 0 || asked > LOOPS_LIMIT)
        return loom_fail(error, LOOM_INVALID, "loops %d is outside 1 to %d", asked, LOOPS_LIMIT);
    bool looped = loom_config_looped(c);
    if (!looped && asked > 1)
        return loom_fail(error, LOOM_INVALID, "a model of the architecture %s has no loop to run %d times",
                         loom_architecture_name(c->architecture), asked);
    *loops = looped && asked ? asked : c->max_loop_iters;
    return LOOM_OK;
}

double loom_net_spectral_radius(const struct loom_net *net, const real *weights) {
    double largest = 0;
    if (!loom_config_looped(&net->config) || net->core.log_a == LOOM_NO_TENSOR)
        return 0;
    for (int i = 0; i < net->config.dim; i++) {
        double exponent = (double)weights[net->core.log_dt] + (double)weights[net->core.log_a + (size_t)i];
        double a = exp(-exp(fmin(fmax(exponent, -20), 20)));
        largest = a > largest ? a : largest;
    }
    return largest;
}

/* ---- workspace --------------------------------------------------------------------------------------------------- */

static bool open_saved(struct loom_block_saved **saved, const struct loom_block *blocks, int count) {
    *saved = calloc((size_t)count + 1, sizeof **saved);
    for (int i = 0; *saved && i < count; i++)
        if (!loom_block_saved_open(&(*saved)[i], &blocks[i]))
            return false;
    return *saved != NULL;
}

static void close_saved(struct loom_block_saved *saved, int count) {
    for (int i = 0; saved && i < count; i++)
        loom_block_saved_close(&saved[i]);
    free(saved);
}

static bool open_loads(struct loom_loads *loads, const struct loom_config *c, int loops) {
    *loads = (struct loom_loads){.loops = loops, .layers = c->core_layers, .experts = c->n_experts};
    size_t choices = (size_t)loops * (size_t)c->core_layers * (size_t)c->n_experts;
    loads->choices = calloc(choices + 1, sizeof *loads->choices); /* not NULL without experts */
    loads->running = calloc((size_t)loops, sizeof *loads->running);
    loads->scratch = calloc((size_t)c->n_experts + 1, sizeof *loads->scratch);
    return loads->choices && loads->running && loads->scratch;
}

/* Host memory only: the structs that hold what passes save. */
static bool open_host(struct loom_workspace *ws) {
    const struct loom_net *net = ws->net;
    const struct loom_config *c = &net->config;
    if (!open_saved(&ws->prelude, net->prelude, c->prelude_layers) || !open_saved(&ws->coda, net->coda, c->coda_layers))
        return false;
    if (!loom_config_looped(c))
        return true;
    return loom_core_saved_open(&ws->core, &net->core, ws->shape.loops, ws->shape.keep) &&
           open_loads(&ws->loads, c, ws->shape.loops);
}

static void close_host(struct loom_workspace *ws) {
    close_saved(ws->prelude, ws->net->config.prelude_layers);
    close_saved(ws->coda, ws->net->config.coda_layers);
    loom_core_saved_close(&ws->core, ws->net->core.layers);
    free(ws->loads.choices);
    free(ws->loads.running);
    free(ws->loads.scratch);
}

/* A table made on the host, sent to the machine. */
static real *send(const struct loom_kernels *k, real *host, size_t count) {
    real *sent = host ? k->alloc(k, count * sizeof *host) : NULL;
    if (sent)
        k->upload(k, sent, host, count * sizeof *host);
    free(host);
    return sent;
}

/* Cosines and sines of position * theta^(-2i/width). */
static real *rope_table(const struct loom_config *c, size_t pairs) {
    real *table = calloc((size_t)c->max_seq_len * pairs * 2, sizeof *table);
    for (size_t t = 0; table && t < (size_t)c->max_seq_len; t++)
        for (size_t i = 0; i < pairs; i++) {
            double angle = (double)t * pow(c->rope_theta, -(double)i / (double)pairs);
            table[(t * pairs + i) * 2] = (real)cos(angle);
            table[(t * pairs + i) * 2 + 1] = (real)sin(angle);
        }
    return table;
}

static bool open_tables(struct loom_workspace *ws) {
    const struct loom_config *c = &ws->net->config;
    size_t pairs = loom_config_rope_dim(c) / 2, dim = (size_t)c->dim, loops = (size_t)ws->shape.loops;
    size_t rows = ws->shape.batch * ws->shape.seq;
    ws->ids = ws->k->alloc(ws->k, rows * sizeof *ws->ids);
    ws->first = ws->k->alloc(ws->k, rows * sizeof *ws->first);
    ws->ngrams = ws->k->alloc(ws->k, rows * sizeof *ws->ngrams);
    ws->hashes = calloc(rows, sizeof *ws->hashes);
    ws->exits.cum = calloc(rows, sizeof *ws->exits.cum);
    ws->exits.halted = calloc(rows, sizeof *ws->exits.halted);
    if (!ws->exits.cum || !ws->exits.halted || !ws->ids || !ws->first || !ws->ngrams || !ws->hashes)
        return false;
    if (!loom_config_rotary(c))
        return true;
    ws->rope = send(ws->k, rope_table(c, pairs), (size_t)c->max_seq_len * pairs * 2);
    real *index = calloc((loops + 1) * dim, sizeof *index);
    if (index)
        loom_core_index(index, ws->shape.loops, dim);
    ws->index = send(ws->k, index, (loops + 1) * dim);
    ws->core.index = ws->index;
    return ws->rope && ws->index;
}

/* An address to do arithmetic on in a dry run, where nothing is touched. */
static real *nowhere(void) {
    return (real *)(uintptr_t)LOOM_STACK_ALIGNMENT;
}

/* One pass that computes nothing, behind `past` tokens of a cache when the shape has one. */
static void run_dry(struct loom_workspace *ws, size_t past) {
    const struct loom_workspace_shape *shape = &ws->shape;
    const size_t rows = shape->batch * shape->seq;
    struct loom_cache cache;
    loom_cache_shape(&cache, ws->k, &ws->net->config, shape->loops, shape->batch, past + shape->seq);
    cache.block = nowhere();
    cache.length = past;
    struct loom_forward f = {.weights = nowhere(),
                             .batch = shape->batch,
                             .seq = shape->seq,
                             .loops = shape->loops,
                             .cache = shape->capacity ? &cache : NULL,
                             .keep = shape->keep};
    loom_net_forward(ws, &f);
    real *logits = loom_workspace_logits(ws, rows);
    loom_net_logits(ws, f.weights, logits, ws->hidden, rows);
    if (!shape->keep)
        return;
    if (ws->net->config.softcap > 0)
        loom_net_logits_backward(ws, loom_workspace_logits(ws, rows), logits, rows);
    loom_net_backward(ws, &f, nowhere(), logits);
}

loom_status loom_workspace_measure(const struct loom_net *net, const struct loom_workspace_shape *shape,
                                   size_t *stack_bytes, double *flops, struct loom_error *error) {
    struct loom_counter counter;
    loom_counter_init(&counter, NULL);
    struct loom_workspace ws = {.k = &counter.kernels, .net = net, .shape = *shape, .rope = nowhere()};
    loom_status status = LOOM_OK;
    if (!open_host(&ws))
        status =
            loom_fail(error, LOOM_NO_MEMORY, "the workspace of %zu x %zu tokens: no memory", shape->batch, shape->seq);
    ws.core.index = nowhere(); /* opening has cleared it */
    if (status == LOOM_OK) {
        const size_t past = shape->capacity > shape->seq ? shape->capacity - shape->seq : 0;
        if (shape->capacity) { /* attention to a cache may take another way, also behind a single token */
            run_dry(&ws, 0);
            run_dry(&ws, 1);
        }
        counter.flops = 0;
        run_dry(&ws, past);
    }
    *stack_bytes = ws.stack.peak;
    *flops = counter.flops;
    close_host(&ws);
    return status;
}

loom_status loom_workspace_open(struct loom_workspace *ws, const struct loom_net *net, const struct loom_kernels *k,
                                const struct loom_workspace_shape *shape, struct loom_error *error) {
    size_t bytes;
    double flops;
    *ws = (struct loom_workspace){.k = k, .net = net, .shape = *shape};
    loom_status status = loom_workspace_measure(net, shape, &bytes, &flops, error);
    if (status)
        return status;
    ws->stack.size = bytes;
    ws->stack.base = k->alloc(k, bytes);
    if (!ws->stack.base)
        return loom_fail_memory(error, "activations", bytes);
    if (!open_host(ws) || !open_tables(ws))
        return loom_fail(error, LOOM_NO_MEMORY, "the workspace of %zu x %zu tokens: no memory", shape->batch,
                         shape->seq);
    return LOOM_OK;
}

void loom_workspace_close(struct loom_workspace *ws) {
    if (!ws->k)
        return;
    ws->k->release(ws->k, ws->stack.base);
    ws->k->release(ws->k, ws->ids);
    ws->k->release(ws->k, ws->first);
    ws->k->release(ws->k, ws->ngrams);
    free(ws->hashes);
    free(ws->exits.cum);
    free(ws->exits.halted);
    ws->k->release(ws->k, ws->rope);
    ws->k->release(ws->k, ws->index);
    close_host(ws);
    *ws = (struct loom_workspace){0};
}

/* ---- one pass ---------------------------------------------------------------------------------------------------- */

static struct loom_pass start(struct loom_workspace *ws, const struct loom_forward *f, real *gradients) {
    return (struct loom_pass){.k = ws->k,
                              .c = &ws->net->config,
                              .w = f->weights,
                              .dw = gradients,
                              .rope = ws->rope,
                              .first = f->first ? ws->first : NULL,
                              .stack = &ws->stack,
                              .batch = f->batch,
                              .seq = f->seq,
                              .past = f->cache ? f->cache->length : 0,
                              .cache = f->cache,
                              .exits = f->cache && f->exit ? &ws->exits : NULL,
                              .loops = f->loops,
                              .bptt = f->bptt,
                              .keep = f->keep,
                              .recompute = f->keep && ws->shape.recompute,
                              .balance = {f->seq, f->sequence_loss, f->z_loss},
                              .loads = f->count_loads && ws->loads.choices ? &ws->loads : NULL,
                              .census = f->census,
                              .tokens = f->ids,
                              .dropout_seed = f->dropout_seed};
}

/* The learned positions of the new tokens: rows past .. past+T-1. */
static size_t position_rows(const struct loom_pass *p, const struct loom_net *net) {
    return net->positions + p->past * (size_t)p->c->dim;
}

/* The token `back` places before token i of sequence b; -1 before the beginning. */
static int token_before(const struct loom_pass *p, const struct loom_forward *f, size_t b, size_t i, size_t back) {
    if (f->first && (size_t)f->first[b * p->seq + i] + back > p->past + i)
        return -1; /* another document */
    if (back <= i)
        return f->ids[b * p->seq + i - back];
    back -= i;
    return f->history && back <= p->past ? f->history[b * f->history_stride + p->past - back] : -1;
}

/* Each token's row in the table of n-grams of this order: a hash of it and those before it. Where the sequence has no
 * such tokens yet, fewer of them are hashed. */
static void hash_ngrams(const struct loom_pass *p, struct loom_workspace *ws, const struct loom_forward *f, int order) {
    uint64_t rows = (uint64_t)p->c->ngram_rows;
    for (size_t b = 0; b < p->batch; b++)
        for (size_t i = 0; i < p->seq; i++) {
            uint64_t hash = (uint64_t)order;
            for (size_t back = 0; back < (size_t)order; back++)
                hash = loom_random_bits((struct loom_random){hash, LOOM_RANDOM_HASH},
                                        (uint64_t)(token_before(p, f, b, i, back) + 1));
            ws->hashes[b * p->seq + i] = (int)(hash % rows);
        }
    p->k->upload(p->k, ws->ngrams, ws->hashes, loom_pass_rows(p) * sizeof *ws->hashes);
}

/* x += the embeddings of the n-grams that end at each token. As the hashed n-grams of Svenstrup et al., arXiv
 * 1709.03933. */
static void embed_ngrams(struct loom_pass *p, struct loom_workspace *ws, const struct loom_forward *f, real *x,
                         int order) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    real *found = loom_stack_take(p->stack, rows * dim);
    if (f->ids) /* a dry run has none */
        hash_ngrams(p, ws, f, order);
    k->embed(k, found, p->w + ws->net->ngrams[order - 2], ws->ngrams, rows, dim);
    k->add(k, x, x, found, rows * dim);
    loom_stack_release(p->stack, mark);
}

/* The token before each, to ws->ngrams; where there is none, the token itself. */
static void find_previous(const struct loom_pass *p, struct loom_workspace *ws, const struct loom_forward *f) {
    for (size_t b = 0; f->ids && b < p->batch; b++)
        for (size_t i = 0; i < p->seq; i++) {
            int before = token_before(p, f, b, i, 1);
            ws->hashes[b * p->seq + i] = before >= 0 ? before : f->ids[b * p->seq + i];
        }
    if (f->ids)
        p->k->upload(p->k, ws->ngrams, ws->hashes, loom_pass_rows(p) * sizeof *ws->hashes);
}

/* x = the embedding of the token before + shift * that of the token itself: the "smear" of modded-nanogpt, with a
 * weight for each channel. The token before enters as it is, so that what a position is asked about (in "x=" that is x)
 * is written as a tied head reads it, and as the next loop asks again. */
static void embed_shift(struct loom_pass *p, struct loom_workspace *ws, const struct loom_forward *f, real *x) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    real *before = loom_stack_take(p->stack, rows * dim);
    find_previous(p, ws, f);
    k->embed(k, before, p->w + ws->net->embed, ws->ngrams, rows, dim);
    k->scale_columns(k, x, x, p->w + ws->net->shift, rows, dim);
    k->add(k, x, x, before, rows * dim);
    loom_stack_release(p->stack, mark);
}

/* d becomes the gradient of the token's own embedding. */
static void embed_shift_backward(struct loom_pass *p, struct loom_workspace *ws, const struct loom_forward *f,
                                 real *d) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    real *own = loom_stack_take(p->stack, rows * dim);
    find_previous(p, ws, f);
    k->embed_backward(k, p->dw + ws->net->embed, d, ws->ngrams, rows, dim);
    k->embed(k, own, p->w + ws->net->embed, ws->ids, rows, dim);
    k->sum_products(k, p->dw + ws->net->shift, d, own, rows, dim);
    k->scale_columns(k, d, d, p->w + ws->net->shift, rows, dim);
    loom_stack_release(p->stack, mark);
}

static real *embed(struct loom_pass *p, struct loom_workspace *ws, const struct loom_forward *f) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), dim = (size_t)p->c->dim, n = p->seq * dim;
    real *x = loom_stack_take(p->stack, rows * dim);
    k->upload(k, ws->ids, f->ids, rows * sizeof *ws->ids);
    k->embed(k, x, p->w + ws->net->embed, ws->ids, rows, dim);
    if (p->c->embed_shift)
        embed_shift(p, ws, f, x);
    for (int order = 2; order <= p->c->ngram; order++)
        embed_ngrams(p, ws, f, x, order);
    if (ws->net->positions == LOOM_NO_TENSOR)
        return x;
    for (size_t b = 0; b < p->batch; b++)
        k->add(k, x + b * n, x + b * n, p->w + position_rows(p, ws->net), n);
    if (loom_pass_dropout(p) > 0) /* the pass's first dropout: site 0 */
        k->dropout(k, x, x, loom_pass_dropout(p), loom_pass_dropout_seed(p), rows * dim);
    return x;
}

static void embed_backward(struct loom_pass *p, struct loom_workspace *ws, const struct loom_forward *f, real *d) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), dim = (size_t)p->c->dim, n = p->seq * dim;
    if (ws->net->positions != LOOM_NO_TENSOR) {
        p->dropout_sites = 0;
        if (loom_pass_dropout(p) > 0)
            k->dropout(k, d, d, loom_pass_dropout(p), loom_pass_dropout_seed(p), rows * dim);
        for (size_t b = 0; b < p->batch; b++)
            k->add_scaled(k, p->dw + position_rows(p, ws->net), 1, d + b * n, n);
    }
    for (int order = 2; order <= p->c->ngram; order++) {
        if (f->ids)
            hash_ngrams(p, ws, f, order);
        k->embed_backward(k, p->dw + ws->net->ngrams[order - 2], d, ws->ngrams, rows, dim);
    }
    if (p->c->embed_shift)
        embed_shift_backward(p, ws, f, d);
    k->embed_backward(k, p->dw + ws->net->embed, d, ws->ids, rows, dim);
}

/* A row of blocks. Without a backward two buffers are used in turn and each block's activations are released; with one
 * that runs blocks again, all but each block's output are. */
static const real *run_blocks(struct loom_pass *p, const struct loom_block *blocks, struct loom_block_saved *saved,
                              int count, size_t slot, const real *x) {
    size_t n = loom_pass_rows(p) * (size_t)p->c->dim;
    real *turns[2] = {NULL, NULL};
    for (int i = 0; i < 2 && i < count && !p->keep; i++)
        turns[i] = loom_stack_take(p->stack, n);
    for (int i = 0; i < count; i++) {
        real *y = p->keep ? loom_stack_take(p->stack, n) : turns[i % 2];
        size_t mark = p->stack->used;
        loom_block_forward(p, &blocks[i], &saved[i], (struct loom_place){.slot = slot + (size_t)i, .layer = i}, y, x);
        if (!p->keep || p->recompute)
            loom_stack_release(p->stack, mark);
        x = y;
    }
    return x;
}

static void run_blocks_backward(struct loom_pass *p, const struct loom_block *blocks, struct loom_block_saved *saved,
                                int count, real *d) {
    for (int i = count; i-- > 0;) {
        size_t mark = p->stack->used;
        if (p->recompute)
            loom_block_again(p, &blocks[i], &saved[i], (struct loom_place){.layer = i});
        loom_block_backward(p, &blocks[i], &saved[i], d);
        loom_stack_release(p->stack, mark);
    }
}

void loom_net_forward(struct loom_workspace *ws, const struct loom_forward *f) {
    const struct loom_net *net = ws->net;
    const struct loom_config *c = &net->config;
    struct loom_pass p = start(ws, f, NULL);
    ws->stack.used = 0;
    if (f->first)
        ws->k->upload(ws->k, ws->first, f->first, loom_pass_rows(&p) * sizeof *f->first);
    const real *x = embed(&p, ws, f);
    ws->x0 = p.x0 = x;
    size_t slot = (size_t)c->prelude_layers;
    x = run_blocks(&p, net->prelude, ws->prelude, c->prelude_layers, 0, x);
    if (loom_config_looped(c)) {
        real *out = loom_stack_take(&ws->stack, loom_pass_rows(&p) * (size_t)c->dim);
        loom_core_forward(&p, &net->core, &ws->core, slot, out, x);
        x = out;
        slot += loom_config_core_slots(c, f->loops);
    }
    x = run_blocks(&p, net->coda, ws->coda, c->coda_layers, slot, x);
    ws->hidden = loom_norm_forward(&p, &net->norm, &ws->norm, x, loom_pass_rows(&p));
    if (f->cache)
        f->cache->length += f->seq;
}

static struct loom_linear head(const struct loom_net *net, size_t rows) {
    return (struct loom_linear){
        .rows = rows, .n_in = (size_t)net->config.dim, .n_out = (size_t)net->config.vocab_size, .groups = 1};
}

real *loom_workspace_logits(struct loom_workspace *ws, size_t rows) {
    return loom_stack_take(&ws->stack, rows * (size_t)ws->net->config.vocab_size);
}

void loom_net_logits(const struct loom_workspace *ws, const real *weights, real *logits, const real *hidden,
                     size_t rows) {
    struct loom_linear shape = head(ws->net, rows);
    real cap = (real)ws->net->config.softcap;
    ws->k->linear(ws->k, &shape, logits, hidden, weights + ws->net->head, false);
    if (cap > 0)
        ws->k->softcap(ws->k, logits, logits, cap, rows * shape.n_out);
}

void loom_net_logits_backward(const struct loom_workspace *ws, real *dlogits, const real *logits, size_t rows) {
    real cap = (real)ws->net->config.softcap;
    if (cap > 0)
        ws->k->softcap_backward(ws->k, dlogits, dlogits, logits, cap, rows * (size_t)ws->net->config.vocab_size);
}

void loom_net_backward(struct loom_workspace *ws, const struct loom_forward *f, real *gradients, const real *dlogits) {
    const struct loom_net *net = ws->net;
    const struct loom_config *c = &net->config;
    const struct loom_kernels *k = ws->k;
    struct loom_pass p = start(ws, f, gradients);
    size_t mark = ws->stack.used, rows = loom_pass_rows(&p), n = rows * (size_t)c->dim;
    struct loom_linear shape = head(net, rows);
    real *dhidden = loom_stack_take(&ws->stack, n), *d = loom_stack_take(&ws->stack, n);
    k->linear_input(k, &shape, dhidden, dlogits, p.w + net->head, false);
    k->linear_weight(k, &shape, p.dw + net->head, dlogits, ws->hidden);
    p.x0 = ws->x0;
    if (c->embed_skip) {
        p.dx0 = loom_stack_take(&ws->stack, n);
        k->fill(k, p.dx0, 0, n);
    }
    k->fill(k, d, 0, n);
    loom_norm_backward(&p, &net->norm, &ws->norm, d, dhidden, rows);
    run_blocks_backward(&p, net->coda, ws->coda, c->coda_layers, d);
    if (loom_config_looped(c))
        loom_core_backward(&p, &net->core, &ws->core, d);
    run_blocks_backward(&p, net->prelude, ws->prelude, c->prelude_layers, d);
    if (p.dx0)
        k->add(k, d, d, p.dx0, n);
    embed_backward(&p, ws, f, d);
    loom_stack_release(&ws->stack, mark);
}

/* ---- loads ------------------------------------------------------------------------------------------------------- */

void loom_loads_clear(struct loom_loads *loads) {
    size_t cells = (size_t)loads->layers * (size_t)loads->experts;
    for (size_t t = 0; t < (size_t)loads->loops; t++) {
        loads->running[t] = 0;
        for (size_t i = 0; i < cells; i++)
            loads->choices[t * cells + i] = 0;
    }
}

double loom_loads_mean_loops(const struct loom_loads *loads) {
    uint64_t sum = 0;
    for (int t = 0; t < loads->loops; t++)
        sum += loads->running[t];
    return sum ? (double)sum / (double)loads->running[0] : 0;
}

double loom_loads_exit_share(const struct loom_loads *loads, int t) {
    uint64_t next = t + 1 < loads->loops ? loads->running[t + 1] : 0;
    return loads->running[0] ? (double)(loads->running[t] - next) / (double)loads->running[0] : 0;
}

uint64_t loom_loads_choices(const struct loom_loads *loads, size_t layer, size_t expert) {
    uint64_t load = 0;
    for (size_t t = 0; t < (size_t)loads->loops; t++)
        load += loads->choices[(t * (size_t)loads->layers + layer) * (size_t)loads->experts + expert];
    return load;
}

double loom_loads_imbalance(const struct loom_loads *loads) {
    double worst = 0;
    size_t experts = (size_t)loads->experts, layers = (size_t)loads->layers;
    for (size_t l = 0; l < layers; l++) {
        uint64_t all = 0, busiest = 0;
        for (size_t e = 0; e < experts; e++) {
            uint64_t load = loom_loads_choices(loads, l, e);
            all += load;
            busiest = load > busiest ? load : busiest;
        }
        double share = all ? (double)busiest * (double)experts / (double)all : 0;
        worst = share > worst ? share : worst;
    }
    return worst;
}
