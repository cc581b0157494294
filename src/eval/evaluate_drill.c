/* evaluate_drill.c - loom_evaluate_drill: which share of a generated task's problems a model answers right, by the
 * steps they take and the loops it runs. See loom.h. */
#include <stdlib.h>

#include "model/model.h"
#include "train/drills.h"

enum { BATCH = 32 };

struct evaluation {
    const struct loom_model *model;
    bool chosen;
    struct loom_tokens *tokens;
    struct loom_drills drills;
    struct loom_workspace ws;
    struct loom_cache cache; /* where tokens leave when they choose */
    struct loom_batch batch;
};

static loom_status open_data(struct evaluation *e, const char *data, struct loom_error *error) {
    int context = e->model->net.config.max_seq_len;
    loom_status status = loom_tokens_open(data, &e->tokens, error);
    if (status == LOOM_OK)
        status = loom_drills_open(&e->drills, data, e->tokens, error);
    if (status)
        return status;
    if (e->drills.length == 0)
        return loom_fail(error, LOOM_INVALID, "%s is no generated task", data);
    if (loom_tokenizer_vocab_size(e->tokens->tokenizer) != e->model->net.config.vocab_size)
        return loom_fail(error, LOOM_INVALID, "%s: its vocabulary of %d tokens is not the model's of %d", data,
                         loom_tokenizer_vocab_size(e->tokens->tokenizer), e->model->net.config.vocab_size);
    if (e->drills.length > (size_t)context + 1)
        return loom_fail(error, LOOM_INVALID, "%s: its problems have %zu tokens, more than the model's context of %d",
                         data, e->drills.length, context);
    return LOOM_OK;
}

static loom_status open_all(struct evaluation *e, const struct loom_drill_evaluate_options *options,
                            struct loom_error *error) {
    int loops;
    loom_status status = open_data(e, options->data, error);
    if (status == LOOM_OK)
        status = loom_net_loops(&e->model->net, options->given ? e->drills.high : options->loops, &loops, error);
    if (status)
        return status;
    struct loom_workspace_shape shape = {.batch = BATCH, .seq = e->drills.length - 1, .loops = loops};
    shape.capacity = e->chosen ? shape.seq : 0;
    if (e->chosen)
        status = loom_cache_open(&e->cache, e->model->k, &e->model->net.config, loops, BATCH, shape.seq, error);
    if (status == LOOM_OK)
        status = loom_workspace_open(&e->ws, &e->model->net, e->model->k, &shape, error);
    return status ? status : loom_batch_open(&e->batch, BATCH, shape.seq, false, error);
}

static void close_all(struct evaluation *e) {
    loom_workspace_close(&e->ws);
    loom_cache_close(&e->cache);
    loom_batch_close(&e->batch);
    loom_drills_close(&e->drills);
    loom_tokens_free(e->tokens);
}

loom_status loom_drill_folder(const char *path, bool *drill, struct loom_error *error) {
    struct loom_tokens *tokens;
    struct loom_drills drills;
    *drill = false;
    loom_status status = loom_tokens_open(path, &tokens, error);
    if (status)
        return status;
    status = loom_drills_open(&drills, path, tokens, error);
    *drill = status == LOOM_OK && drills.length > 0;
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
    return status;
}

loom_status loom_evaluate_drill(const struct loom_model *model, const struct loom_drill_evaluate_options *options,
                                void (*on_row)(void *user, const struct loom_drill_row *row), void *user,
                                struct loom_error *error) {
    struct evaluation e = {.model = model, .chosen = !options->given && options->loops == LOOM_LOOPS_CHOSEN};
    loom_status status = open_all(&e, options, error);
    for (int steps = e.drills.low; status == LOOM_OK && steps <= e.drills.high; steps++) {
        struct loom_drill_score score;
        struct loom_drill_test test = {.weights = model->weights,
                                       .batch = BATCH,
                                       .seq = e.drills.length - 1,
                                       .steps = steps,
                                       .loops = options->given ? steps : e.ws.shape.loops,
                                       .limit = (size_t)options->limit,
                                       .scratch = &e.batch,
                                       .cache = e.chosen ? &e.cache : NULL};
        if (loom_drills_count(&e.drills, LOOM_SPLIT_VAL, steps) == 0)
            continue;
        status = loom_drills_score(&e.drills, &e.ws, &test, &score, error);
        double targets = (double)score.targets;
        struct loom_drill_row row = {.steps = steps,
                                     .loops = e.chosen ? LOOM_LOOPS_CHOSEN : test.loops,
                                     .problems = score.problems,
                                     .right = score.right,
                                     .loss = score.targets ? score.loss / targets : 0,
                                     .mean_loops = !e.chosen       ? test.loops
                                                   : score.targets ? (double)score.loops / targets
                                                                   : 0};
        if (status == LOOM_OK)
            on_row(user, &row);
    }
    close_all(&e);
    return status;
}
