/* objective.c - see objective.h. */
#include "train/objective.h"

#include <math.h>

loom_status loom_objective_open(struct loom_objective_buffers *buffers, const struct loom_kernels *k, size_t rows,
                                struct loom_error *error) {
    buffers->targets = k->alloc(k, rows * sizeof *buffers->targets);
    buffers->losses = k->alloc(k, rows * sizeof *buffers->losses);
    return buffers->targets && buffers->losses ? LOOM_OK
                                               : loom_fail_memory(error, "losses", rows * sizeof *buffers->losses);
}

void loom_objective_close(struct loom_objective_buffers *buffers, const struct loom_kernels *k) {
    k->release(k, buffers->targets);
    k->release(k, buffers->losses);
}

/* The gradient of each place by its own scale; neighbours with one scale go together. */
static void weigh_places(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                         const struct loom_objective *o, real *dlogits, const real *logits, size_t rows) {
    const struct loom_kernels *k = ws->k;
    size_t vocab = (size_t)ws->net->config.vocab_size;
    k->cross_entropy(k, buffers->losses, NULL, logits, buffers->targets, 1, rows, vocab);
    k->download(k, o->host_losses, buffers->losses, rows * sizeof *o->host_losses);
    o->weigh(o->user, o->host_losses, o->host_scales);
    for (size_t r = 0, n; o->gradients && r < rows; r += n) {
        for (n = 1; r + n < rows && !(o->host_scales[r + n] < o->host_scales[r]) &&
                    !(o->host_scales[r + n] > o->host_scales[r]);)
            n++;
        k->cross_entropy(k, buffers->losses + r, dlogits + r * vocab, logits + r * vocab, buffers->targets + r,
                         o->host_scales[r], n, vocab);
    }
}

double loom_objective_run(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                          const struct loom_objective *o) {
    const struct loom_kernels *k = ws->k;
    size_t rows = o->forward.batch * o->forward.seq, vocab = (size_t)ws->net->config.vocab_size;
    loom_net_forward(ws, &o->forward);
    real *logits = loom_workspace_logits(ws, rows);
    loom_net_logits(ws, o->forward.weights, logits, ws->hidden, rows);
    k->upload(k, buffers->targets, o->targets, rows * sizeof *o->targets);
    /* The gradient takes the logits' place, unless a cap must be undone by them. */
    bool capped = ws->net->config.softcap > 0;
    real *dlogits = !o->gradients ? NULL : capped ? loom_workspace_logits(ws, rows) : logits;
    if (o->weigh)
        weigh_places(ws, buffers, o, dlogits, logits, rows);
    else
        k->cross_entropy(k, buffers->losses, dlogits, logits, buffers->targets, o->scale, rows, vocab);
    if (o->gradients) {
        loom_net_logits_backward(ws, dlogits, logits, rows);
        loom_net_backward(ws, &o->forward, o->gradients, dlogits);
    }
    return k->sum(k, buffers->losses, rows);
}

/* Counts the loops that each token of the last pass took by its loss. */
static void count_loops(const struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                        const struct loom_heldout_options *options) {
    const int *targets = options->scratch->targets;
    size_t rows = options->batch * options->seq;
    ws->k->download(ws->k, options->losses, buffers->losses, rows * sizeof *options->losses);
    for (size_t i = 0; i < rows; i++) {
        struct loom_loss_bin *bin = options->by_loss;
        if (targets[i] < 0 || !isfinite((double)options->losses[i]))
            continue;
        while (!((double)options->losses[i] < bin->below))
            bin++;
        bin->tokens++;
        bin->mean_loops += ws->exits.depth[i];
    }
}

/* Adds the losses of the batch in the scratch. */
static void add_batch(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                      const struct loom_heldout_options *options, size_t count, double *sum, uint64_t *tokens) {
    const struct loom_batch *batch = options->scratch;
    struct loom_objective o = {.forward = {.weights = options->weights,
                                           .ids = batch->inputs,
                                           .first = batch->first,
                                           .batch = options->batch,
                                           .seq = options->seq,
                                           .loops = options->loops,
                                           .cache = options->cache,
                                           .exit = options->cache != NULL,
                                           .count_loads = true,
                                           .census = options->census},
                               .targets = batch->targets};
    if (options->cache)
        options->cache->length = 0;
    *sum += loom_objective_run(ws, buffers, &o);
    *tokens += count;
    if (options->cache && options->by_loss)
        count_loops(ws, buffers, options);
}

static loom_status check_stop(const struct loom_heldout_options *options, struct loom_error *error) {
    return options->stop && *options->stop ? loom_fail(error, LOOM_STOPPED, "stopped during validation") : LOOM_OK;
}

/* One folder's sum of losses, over *count tokens. */
static loom_status run_folder(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                              const struct loom_heldout_options *options, const struct loom_tokens *tokens, double *sum,
                              uint64_t *count, struct loom_error *error) {
    uint64_t windows = loom_validation_windows(tokens, options->seq);
    loom_status status = LOOM_OK;
    *sum = 0;
    *count = 0;
    for (uint64_t i = 0; i * options->batch < windows && status == LOOM_OK; i++) {
        size_t size;
        status = check_stop(options, error);
        if (status == LOOM_OK)
            status = loom_validation_get(tokens, i, options->batch, options->seq, options->scratch, &size, error);
        if (status == LOOM_OK)
            add_batch(ws, buffers, options, size, sum, count);
    }
    return status;
}

static loom_status run_chat(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                            const struct loom_heldout_options *options, double *sum, uint64_t *count,
                            struct loom_error *error) {
    loom_status status = LOOM_OK;
    *sum = 0;
    *count = 0;
    for (size_t i = 0; i * options->batch < options->chat->val.rows && status == LOOM_OK; i++) {
        size_t size = loom_chat_set_validation(options->chat, i, options->batch, options->scratch);
        status = check_stop(options, error);
        if (status == LOOM_OK)
            add_batch(ws, buffers, options, size, sum, count);
    }
    return status;
}

loom_status loom_heldout_run(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                             const struct loom_heldout_options *options, struct loom_heldout *result,
                             struct loom_error *error) {
    double all = 0;
    size_t parts = options->chat ? 1 : options->corpus->n_folders;
    *result = (struct loom_heldout){0};
    loom_loads_clear(&ws->loads);
    for (size_t i = 0; i < parts; i++) {
        double sum;
        uint64_t count;
        loom_status status =
            options->chat ? run_chat(ws, buffers, options, &sum, &count, error)
                          : run_folder(ws, buffers, options, options->corpus->folders[i].tokens, &sum, &count, error);
        if (status)
            return status;
        if (options->folder_losses)
            options->folder_losses[i] = sum / (double)count;
        all += sum;
        result->tokens += count;
    }
    result->loss = all / (double)result->tokens;
    return LOOM_OK;
}
