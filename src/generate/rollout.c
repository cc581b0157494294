/* rollout.c - see rollout.h. */
#include "generate/rollout.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 }; /* tokens of a prompt that go through at once */

static size_t text_room(const struct loom_rollout *r) {
    return r->max_tokens * 16 + 64; /* a longer text is cut */
}

static loom_status take_memory(struct loom_rollout *r, struct loom_error *error) {
    size_t vocab = (size_t)r->model->net.config.vocab_size, context = (size_t)r->model->net.config.max_seq_len;
    r->ids = calloc(r->group * context, sizeof *r->ids);
    r->held = calloc(r->group * context, sizeof *r->held);
    r->logits = calloc(r->group * vocab, sizeof *r->logits);
    r->row = calloc(vocab, sizeof *r->row);
    r->tokens = calloc(r->group * r->max_tokens, sizeof *r->tokens);
    r->lengths = calloc(r->group, sizeof *r->lengths);
    r->texts = calloc(r->group, sizeof *r->texts);
    r->sizes = calloc(r->group, sizeof *r->sizes);
    r->ended = calloc(r->group, sizeof *r->ended);
    bool there =
        r->ids && r->held && r->logits && r->row && r->tokens && r->lengths && r->texts && r->sizes && r->ended;
    for (size_t g = 0; there && g < r->group; g++)
        there = (r->texts[g] = calloc(text_room(r), 1)) != NULL;
    return there ? LOOM_OK : loom_fail_memory(error, "rollouts", r->group * text_room(r));
}

loom_status loom_rollout_open(struct loom_rollout *rollout, const struct loom_model *model,
                              const struct loom_kernels *k, size_t group, size_t max_tokens, double temperature,
                              const char *mark, struct loom_error *error) {
    const struct loom_config *c = &model->net.config;
    struct loom_workspace_shape shape = {.batch = group,
                                         .seq = PIECE < c->max_seq_len ? PIECE : (size_t)c->max_seq_len,
                                         .capacity = (size_t)c->max_seq_len,
                                         .loops = c->max_loop_iters};
    *rollout = (struct loom_rollout){.model = model,
                                     .group = group,
                                     .max_tokens = max_tokens,
                                     .mark = mark,
                                     .sampler = {.temperature = temperature, .top_p = 1, .vocab_size = c->vocab_size}};
    loom_status status = loom_sampler_open(&rollout->sampler, error);
    if (status == LOOM_OK)
        status = loom_workspace_open(&rollout->ws, &model->net, k, &shape, error);
    if (status == LOOM_OK)
        status = loom_cache_open(&rollout->cache, k, c, shape.loops, group, shape.seq, error);
    return status ? status : take_memory(rollout, error);
}

void loom_rollout_close(struct loom_rollout *rollout) {
    struct loom_rollout *r = rollout;
    loom_workspace_close(&r->ws);
    loom_cache_close(&r->cache);
    loom_sampler_close(&r->sampler);
    for (size_t g = 0; r->texts && g < r->group; g++)
        free(r->texts[g]);
    free(r->ids);
    free(r->held);
    free(r->logits);
    free(r->row);
    free(r->tokens);
    free(r->lengths);
    free(r->texts);
    free(r->sizes);
    free(r->ended);
    *r = (struct loom_rollout){0};
}

/* `seq` new tokens of each answer, in r->ids; leaves the logits of the last on the host. */
static void pass(struct loom_rollout *r, size_t seq, bool last) {
    const struct loom_kernels *k = r->ws.k;
    size_t vocab = (size_t)r->model->net.config.vocab_size, dim = (size_t)r->model->net.config.dim;
    size_t context = (size_t)r->model->net.config.max_seq_len;
    struct loom_forward f = {.weights = r->model->weights,
                             .ids = r->ids,
                             .batch = r->group,
                             .seq = seq,
                             .loops = r->ws.shape.loops,
                             .cache = &r->cache,
                             .history = r->held,
                             .history_stride = context};
    for (size_t g = 0; g < r->group; g++)
        memcpy(r->held + g * context + r->cache.length, r->ids + g * seq, seq * sizeof *r->ids);
    loom_net_forward(&r->ws, &f);
    r->passes++;
    if (!last)
        return;
    real *logits = loom_workspace_logits(&r->ws, seq == 1 ? r->group : 1);
    for (size_t g = 0; g < r->group; g += seq == 1 ? r->group : 1) { /* one token each: all rows at once */
        size_t rows = seq == 1 ? r->group : 1;
        loom_net_logits(&r->ws, r->model->weights, logits, r->ws.hidden + (g * seq + seq - 1) * dim, rows);
        k->download(k, r->logits + g * vocab, logits, rows * vocab * sizeof *logits);
    }
}

static void read_prompt(struct loom_rollout *r, const int *prompt, size_t count) {
    r->cache.length = 0;
    for (size_t at = 0; at < count;) {
        size_t seq = count - at < r->ws.shape.seq ? count - at : r->ws.shape.seq;
        for (size_t g = 0; g < r->group; g++)
            memcpy(r->ids + g * seq, prompt + at, seq * sizeof *prompt);
        at += seq;
        pass(r, seq, at == count);
    }
}

/* Appends a token's text; an answer has ended when it ends with the mark, which is then taken off. */
static void append_text(struct loom_rollout *r, size_t g, int token) {
    size_t size, room = text_room(r) - 1, mark = strlen(r->mark);
    const char *bytes = loom_tokenizer_token(r->model->tokenizer, token, &size);
    char *text = r->texts[g];
    size = bytes ? size : 0;
    size = r->sizes[g] + size < room ? size : room - r->sizes[g];
    memcpy(text + r->sizes[g], bytes ? bytes : "", size);
    r->sizes[g] += size;
    text[r->sizes[g]] = '\0';
    r->ended[g] = r->sizes[g] >= mark && memcmp(text + r->sizes[g] - mark, r->mark, mark) == 0;
    if (r->ended[g]) {
        r->sizes[g] -= mark;
        text[r->sizes[g]] = '\0';
    }
}

/* One more token of each answer that goes on; those that have ended repeat their last. Returns how many go on. */
static loom_status draw(struct loom_rollout *r, size_t at, uint64_t seed, size_t *going, struct loom_error *error) {
    size_t vocab = (size_t)r->model->net.config.vocab_size;
    *going = 0;
    for (size_t g = 0; g < r->group; g++) {
        int token;
        if (r->ended[g])
            continue;
        for (size_t v = 0; v < vocab; v++)
            r->row[v] = (float)r->logits[g * vocab + v];
        r->sampler.seed = loom_random_bits((struct loom_random){seed, LOOM_RANDOM_SAMPLE}, g);
        loom_status status = loom_sampler_draw(&r->sampler, r->row, at, &token, error);
        if (status)
            return status;
        r->ids[g] = r->tokens[g * r->max_tokens + at] = token;
        r->lengths[g] = at + 1;
        r->written++;
        append_text(r, g, token);
        *going += !r->ended[g];
    }
    return LOOM_OK;
}

loom_status loom_rollout_run(struct loom_rollout *rollout, const int *prompt, size_t count, uint64_t seed,
                             struct loom_error *error) {
    struct loom_rollout *r = rollout;
    size_t context = (size_t)r->model->net.config.max_seq_len, going = 1;
    if (count == 0 || count >= context)
        return loom_fail(error, LOOM_INVALID, "a prompt of %zu tokens leaves no room in the context of %zu", count,
                         context);
    for (size_t g = 0; g < r->group; g++) {
        r->lengths[g] = r->sizes[g] = 0;
        r->ended[g] = false;
        r->texts[g][0] = '\0';
    }
    r->cache.length = 0;
    loom_status status = loom_cache_reserve(
        &r->cache, r->max_tokens < context - count ? count + r->max_tokens : context, context, error);
    if (status)
        return status;
    read_prompt(r, prompt, count);
    for (size_t at = 0; at < r->max_tokens && status == LOOM_OK; at++) {
        status = draw(r, at, seed, &going, error);
        if (status || going == 0 || at + 1 == r->max_tokens || count + at + 1 >= context)
            break;
        pass(r, 1, true);
    }
    return status;
}
