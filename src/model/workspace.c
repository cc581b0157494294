/* workspace.c - see workspace.h. */
#include "model/workspace.h"

#include <math.h>
#include <stdlib.h>

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

/* Host memory only: the structs that hold what passes save. */
static bool open_host(struct loom_workspace *ws) {
    const struct loom_net *net = ws->net;
    const struct loom_config *c = &net->config;
    if (!open_saved(&ws->prelude, net->prelude, c->prelude_layers) || !open_saved(&ws->coda, net->coda, c->coda_layers))
        return false;
    if (!loom_config_looped(c))
        return true;
    return loom_core_saved_open(&ws->core, &net->core, ws->shape.loops, ws->shape.keep) &&
           loom_loads_open(&ws->loads, c, ws->shape.loops);
}

static void close_host(struct loom_workspace *ws) {
    close_saved(ws->prelude, ws->net->config.prelude_layers);
    close_saved(ws->coda, ws->net->config.coda_layers);
    loom_core_saved_close(&ws->core, ws->net->core.layers);
    loom_loads_close(&ws->loads);
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

/* Tokens exit where there is a cache: nothing is kept for passes without. */
static bool open_exits(struct loom_exits *exits, const struct loom_config *c,
                       const struct loom_workspace_shape *shape) {
    size_t rows = shape->capacity ? shape->batch * shape->seq : 1;
    size_t scores = c->halting == LOOM_HALTING_GATE       ? (size_t)loom_config_gate_loops(c)
                    : c->halting == LOOM_HALTING_CONVERGE ? 2 * (size_t)c->vocab_size
                                                          : 1;
    exits->host = calloc(rows * scores, sizeof *exits->host);
    exits->share = calloc(rows, sizeof *exits->share);
    exits->depth = calloc(rows, sizeof *exits->depth);
    exits->halted = calloc(rows, sizeof *exits->halted);
    return exits->host && exits->share && exits->depth && exits->halted;
}

static bool open_tables(struct loom_workspace *ws) {
    const struct loom_config *c = &ws->net->config;
    size_t pairs = loom_config_rope_dim(c) / 2, dim = (size_t)c->dim, loops = (size_t)ws->shape.loops;
    size_t rows = ws->shape.batch * ws->shape.seq;
    ws->first = ws->k->alloc(ws->k, rows * sizeof *ws->first);
    ws->first_host = calloc(rows, sizeof *ws->first_host);
    ws->depths = ws->k->alloc(ws->k, rows * sizeof *ws->depths);
    if (!loom_embedding_saved_open(&ws->embedding, ws->k, rows) || !open_exits(&ws->exits, c, &ws->shape) ||
        !ws->first || !ws->first_host || !ws->depths)
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
                             .exit = shape->capacity > 0 && loom_config_halts(&ws->net->config),
                             .depths = shape->keep ? ws->depths : NULL,
                             .factors = shape->lora ? nowhere() : NULL,
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
    ws.depths = (int *)(void *)nowhere();
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
    ws->shape.factor = shape->lora ? LOOM_STORAGE_REAL : k->factor_format(k); /* adapters read parts of their columns */
    loom_status status = loom_workspace_measure(net, &ws->shape, &bytes, &flops, error);
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
    loom_embedding_saved_close(&ws->embedding, ws->k);
    ws->k->release(ws->k, ws->first);
    ws->k->release(ws->k, ws->depths);
    free(ws->first_host);
    free(ws->exits.host);
    free(ws->exits.share);
    free(ws->exits.depth);
    free(ws->exits.halted);
    ws->k->release(ws->k, ws->rope);
    ws->k->release(ws->k, ws->index);
    close_host(ws);
    *ws = (struct loom_workspace){0};
}

real *loom_workspace_logits(struct loom_workspace *ws, size_t rows) {
    return loom_stack_take(&ws->stack, rows * (size_t)ws->net->config.vocab_size);
}
