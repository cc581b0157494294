/* net.c - see net.h. */
#include "model/workspace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/gradient.h"

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

static bool declare_gpt(struct loom_net *net) {
    const struct loom_config *c = &net->config;
    net->embedding = loom_embedding_declare_learned(&net->tensors, c, "transformer.");
    net->readout.head = net->embedding.tokens;
    if (!declare_blocks(net, &net->prelude, c->prelude_layers, "transformer.h"))
        return false;
    net->readout.norm = loom_norm_declare_layer(&net->tensors, (size_t)c->dim, c->bias, "transformer.", "ln_f");
    return true;
}

static bool declare_rotary(struct loom_net *net) {
    const struct loom_config *c = &net->config;
    net->embedding = loom_embedding_declare(&net->tensors, c);
    net->readout.head = net->embedding.tokens;
    if (!declare_blocks(net, &net->prelude, c->prelude_layers, "prelude") ||
        (loom_config_looped(c) && !loom_core_declare(&net->core, &net->tensors, c)) ||
        !declare_blocks(net, &net->coda, c->coda_layers, "coda"))
        return false;
    net->readout.norm = loom_norm_declare(&net->tensors, c, "", "norm");
    struct loom_tensor_spec head = loom_embedding_table(c, c->vocab_size);
    head.kind = LOOM_TENSOR_HEAD;
    head.std = c->zero_init ? 0 : head.std;
    if (!c->tied)
        net->readout.head = loom_tensors_add(&net->tensors, head, "lm_head.", "weight");
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
    if (asked == LOOM_LOOPS_CHOSEN && !loom_config_halts(c))
        return loom_fail(error, LOOM_INVALID, "no token can leave early: the model has no halting");
    if (asked == LOOM_LOOPS_CHOSEN) {
        *loops = c->halting == LOOM_HALTING_GATE ? loom_config_gate_loops(c) : c->max_loop_iters;
        return LOOM_OK;
    }
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

/* ---- one pass ---------------------------------------------------------------------------------------------------- */

static struct loom_pass start(struct loom_workspace *ws, const struct loom_forward *f, real *gradients) {
    return (struct loom_pass){.k = ws->k,
                              .c = &ws->net->config,
                              .w = f->weights,
                              .dw = gradients,
                              .lora = f->factors ? ws->shape.lora : NULL,
                              .factors = f->factors,
                              .rope = ws->rope,
                              .first = f->first || ws->net->config.sliding_window ? ws->first : NULL,
                              .input = {f->ids, f->first, f->history, f->history_stride},
                              .stack = &ws->stack,
                              .batch = f->batch,
                              .seq = f->seq,
                              .past = f->cache ? f->cache->length : 0,
                              .cache = f->cache,
                              .exits = f->cache && f->exit ? &ws->exits : NULL,
                              .readout = &ws->net->readout,
                              .depths = f->depths ? ws->depths : NULL,
                              .gate_scale = f->gate_scale,
                              .loops = f->loops,
                              .bptt = f->bptt,
                              .factor = ws->shape.factor,
                              .keep = f->keep,
                              .recompute = f->keep && ws->shape.recompute,
                              .balance = {f->seq, f->sequence_loss, f->z_loss},
                              .loads = f->count_loads && ws->loads.choices ? &ws->loads : NULL,
                              .census = f->census,
                              .dropout_seed = f->dropout_seed};
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

/* The first key of each new token: of its document, and within its window. */
static void upload_first(struct loom_workspace *ws, const struct loom_forward *f, const struct loom_pass *p) {
    const size_t rows = loom_pass_rows(p), window = (size_t)p->c->sliding_window;
    if (!p->first || loom_kernels_dry(ws->k))
        return;
    for (size_t i = 0; i < rows; i++) {
        size_t place = p->past + i % p->seq, least = window && place >= window ? place - window + 1 : 0;
        int first = f->first ? f->first[i] : 0;
        ws->first_host[i] = first > (int)least ? first : (int)least;
    }
    ws->k->upload(ws->k, ws->first, ws->first_host, rows * sizeof *ws->first_host);
}

void loom_net_forward(struct loom_workspace *ws, const struct loom_forward *f) {
    const struct loom_net *net = ws->net;
    const struct loom_config *c = &net->config;
    struct loom_pass p = start(ws, f, NULL);
    ws->stack.used = 0;
    upload_first(ws, f, &p);
    if (f->depths)
        ws->k->upload(ws->k, ws->depths, f->depths, loom_pass_rows(&p) * sizeof *f->depths);
    const real *x = loom_embedding_forward(&p, &net->embedding, &ws->embedding);
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
    ws->hidden = loom_norm_forward(&p, &net->readout.norm, &ws->norm, x, loom_pass_rows(&p));
    if (f->cache)
        f->cache->length += f->seq;
}

void loom_net_logits(const struct loom_workspace *ws, const real *weights, real *logits, const real *hidden,
                     size_t rows) {
    loom_readout_logits(&ws->net->readout, ws->k, &ws->net->config, weights, logits, hidden, rows);
}

void loom_net_logits_backward(const struct loom_workspace *ws, real *dlogits, const real *logits, size_t rows) {
    loom_readout_logits_backward(ws->k, &ws->net->config, dlogits, logits, rows);
}

void loom_net_backward(struct loom_workspace *ws, const struct loom_forward *f, real *gradients, const real *dlogits) {
    const struct loom_net *net = ws->net;
    const struct loom_config *c = &net->config;
    const struct loom_kernels *k = ws->k;
    struct loom_pass p = start(ws, f, gradients);
    size_t mark = ws->stack.used, rows = loom_pass_rows(&p), n = rows * (size_t)c->dim;
    real *d = loom_stack_take(&ws->stack, n);
    p.x0 = ws->x0;
    if (c->embed_skip) {
        p.dx0 = loom_stack_take(&ws->stack, n);
        k->fill(k, p.dx0, 0, n);
    }
    k->fill(k, d, 0, n);
    loom_readout_backward(&p, &net->readout, &ws->norm, d, dlogits, ws->hidden, rows);
    run_blocks_backward(&p, net->coda, ws->coda, c->coda_layers, d);
    if (loom_config_looped(c))
        loom_core_backward(&p, &net->core, &ws->core, d);
    run_blocks_backward(&p, net->prelude, ws->prelude, c->prelude_layers, d);
    if (p.dx0)
        k->add(k, d, d, p.dx0, n);
    loom_embedding_backward(&p, &net->embedding, &ws->embedding, d);
    loom_stack_release(&ws->stack, mark);
}
