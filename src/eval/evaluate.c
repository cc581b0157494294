/* evaluate.c - loom_evaluate: a model's loss over the whole validation split of a token folder. See loom.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "eval/census.h"
#include "model/model.h"
#include "train/objective.h"

/* Rows of a batch: enough to keep a processor busy, and few enough for any context to fit. */
enum { BATCH_TOKENS = 1024 };

struct evaluation {
    const struct loom_model *model;
    struct loom_corpus corpus;  /* of one folder */
    struct loom_tokens *tokens; /* that folder */
    struct loom_workspace_shape shape;
    struct loom_workspace ws;
    bool exit;
    struct loom_cache cache; /* where tokens exit */
    struct loom_objective_buffers buffers;
    struct loom_batch batch;   /* (B,T) */
    real *losses;              /* (B,T), where tokens exit */
    struct loom_census census; /* where choices are wanted */
};

/* ---- model and data ---------------------------------------------------------------------------------------------- */

/* Ids mean something only together with the tokenizer that gave them. */
static loom_status check_tokenizer(const struct loom_model *model, const struct loom_tokens *tokens, const char *data,
                                   struct loom_error *error) {
    int size = loom_tokenizer_vocab_size(tokens->tokenizer), expected = model->net.config.vocab_size;
    if (size != expected)
        return loom_fail(error, LOOM_INVALID, "%s: its vocabulary of %d tokens is not the model's of %d", data, size,
                         expected);
    return model->tokenizer ? loom_tokens_check_tokenizer(tokens, data, model->tokenizer, "the model", error) : LOOM_OK;
}

/* Windows of the model's context, or shorter where all of the text is. */
static void choose_shape(struct evaluation *e) {
    uint64_t predicted = e->tokens->counts[LOOM_SPLIT_VAL] - 1;
    size_t seq = (size_t)e->model->net.config.max_seq_len;
    seq = predicted < seq ? (size_t)predicted : seq;
    uint64_t windows = loom_validation_windows(e->tokens, seq);
    size_t batch = seq < BATCH_TOKENS ? BATCH_TOKENS / seq : 1;
    e->shape.seq = seq;
    e->shape.batch = windows < batch ? (size_t)windows : batch;
}

static loom_status open_evaluation(struct evaluation *e, const struct loom_evaluate_options *options,
                                   struct loom_error *error) {
    const struct loom_model *model = e->model;
    loom_status status = loom_net_loops(&model->net, options->loops, &e->shape.loops, error);
    if (status == LOOM_OK)
        status = loom_corpus_open(&options->data, NULL, 1, &e->corpus, error);
    if (status)
        return status;
    e->tokens = e->corpus.folders[0].tokens;
    if (status == LOOM_OK)
        status = check_tokenizer(model, e->tokens, options->data, error);
    if (status == LOOM_OK)
        status = loom_batches_check(&e->corpus, 1, error);
    if (status)
        return status;
    choose_shape(e);
    size_t rows = e->shape.batch * e->shape.seq;
    e->shape.capacity = e->exit ? e->shape.seq : 0;
    if (e->exit && options->choices)
        return loom_fail(error, LOOM_INVALID, "experts are told for whole loops: not where tokens leave early");
    if (e->exit && !loom_config_halts(&model->net.config))
        return loom_fail(error, LOOM_INVALID, "no token can leave early: the model has no halting");
    if (e->exit)
        status = loom_cache_open(&e->cache, model->k, &model->net.config, e->shape.loops, e->shape.batch, e->shape.seq,
                                 error);
    if (status == LOOM_OK)
        status = loom_workspace_open(&e->ws, &model->net, model->k, &e->shape, error);
    if (status == LOOM_OK)
        status = loom_objective_open(&e->buffers, model->k, rows, error);
    if (status == LOOM_OK && !(e->losses = calloc(rows, sizeof *e->losses)))
        status = loom_fail_memory(error, "losses", rows * sizeof *e->losses);
    if (status == LOOM_OK && options->choices)
        status = loom_census_open(&e->census, model, e->tokens->tokenizer, e->shape.loops, rows, error);
    if (status == LOOM_OK)
        status = loom_batch_open(&e->batch, e->shape.batch, e->shape.seq, options->document_mask, error);
    return status;
}

static void close_evaluation(struct evaluation *e) {
    loom_objective_close(&e->buffers, e->model->k);
    loom_workspace_close(&e->ws);
    loom_cache_close(&e->cache);
    loom_batch_close(&e->batch);
    loom_census_close(&e->census);
    free(e->losses);
    loom_corpus_close(&e->corpus);
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

static void report(const struct evaluation *e, struct loom_evaluate_result *result) {
    const struct loom_loads *loads = &e->ws.loads;
    double tokens = (double)e->tokens->counts[LOOM_SPLIT_VAL], bytes = (double)e->tokens->bytes[LOOM_SPLIT_VAL];
    result->bits_per_byte = bytes > 0 ? result->loss / log(2) * tokens / bytes : 0;
    result->mean_loops = loom_loads_mean_loops(loads);
    result->loops = e->shape.loops;
    for (size_t i = 0; i < LOOM_LOSS_BINS; i++)
        if (result->by_loss[i].tokens > 0)
            result->by_loss[i].mean_loops /= (double)result->by_loss[i].tokens;
    for (int t = 0; t < loads->loops; t++)
        result->exit_depth[t < LOOM_LOOPS_SHOWN ? t : LOOM_LOOPS_SHOWN - 1] += loom_loads_exit_share(loads, t);
}

/* Of the bins of losses, in nats. */
static const double bounds[LOOM_LOSS_BINS] = {0.1, 0.3, 1, 2, 4, (double)INFINITY};

loom_status loom_evaluate(const struct loom_model *model, const struct loom_evaluate_options *options,
                          struct loom_evaluate_result *result, struct loom_error *error) {
    struct evaluation e = {.model = model, .exit = options->exit || options->loops == LOOM_LOOPS_CHOSEN};
    struct loom_heldout heldout;
    *result = (struct loom_evaluate_result){.exit = e.exit};
    for (size_t i = 0; i < LOOM_LOSS_BINS; i++)
        result->by_loss[i].below = bounds[i];
    if (!options->data)
        return loom_fail(error, LOOM_INVALID, "an evaluation needs a token folder");
    if (options->choices)
        *options->choices = (struct loom_choices){.kinds = 0};
    loom_status status = open_evaluation(&e, options, error);
    double begin = loom_clock();
    if (status == LOOM_OK) {
        struct loom_heldout_options heldout_options = {.corpus = &e.corpus,
                                                       .weights = model->weights,
                                                       .batch = e.shape.batch,
                                                       .seq = e.shape.seq,
                                                       .loops = e.shape.loops,
                                                       .scratch = &e.batch,
                                                       .cache = e.exit ? &e.cache : NULL,
                                                       .census = options->choices ? &e.census : NULL,
                                                       .by_loss = result->by_loss,
                                                       .losses = e.losses};
        status = loom_heldout_run(&e.ws, &e.buffers, &heldout_options, &heldout, error);
    }
    if (status == LOOM_OK && !isfinite(heldout.loss))
        status = loom_fail(error, LOOM_FAILED, "%s: the loss is %g, not a finite number", options->data, heldout.loss);
    if (status == LOOM_OK) {
        result->seconds = loom_clock() - begin;
        result->loss = heldout.loss;
        result->tokens = heldout.tokens;
        report(&e, result);
    }
    if (status == LOOM_OK && options->choices)
        status = loom_census_result(&e.census, options->choices, error);
    close_evaluation(&e);
    return status;
}
