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
    size_t n = r->prompts * r->group;
    r->ids = calloc(n * context, sizeof *r->ids);
    r->first = calloc(n * context, sizeof *r->first);
    r->held = calloc(n * context, sizeof *r->held);
    r->begin = calloc(n, sizeof *r->begin);
    r->logits = calloc(n * vocab, sizeof *r->logits);
    r->row = calloc(vocab, sizeof *r->row);
    r->tokens = calloc(n * r->max_tokens, sizeof *r->tokens);
    r->lengths = calloc(n, sizeof *r->lengths);
    r->texts = calloc(n, sizeof *r->texts);
    r->sizes = calloc(n, sizeof *r->sizes);
    r->ended = calloc(n, sizeof *r->ended);
    bool there = r->ids && r->first && r->held && r->begin && r->logits && r->row && r->tokens && r->lengths &&
                 r->texts && r->sizes && r->ended;
    for (size_t i = 0; there && i < n; i++)
        there = (r->texts[i] = calloc(text_room(r), 1)) != NULL;
    return there ? LOOM_OK : loom_fail_memory(error, "rollouts", n * text_room(r));
}

loom_status loom_rollout_open(struct loom_rollout *rollout, const struct loom_model *model,
                              const struct loom_kernels *k, size_t prompts, size_t group, size_t max_tokens,
                              double temperature, const char *mark, struct loom_error *error) {
    const struct loom_config *c = &model->net.config;
    prompts = loom_config_rotary(c) ? prompts : 1;
    struct loom_workspace_shape shape = {.batch = prompts * group,
                                         .seq = PIECE < c->max_seq_len ? PIECE : (size_t)c->max_seq_len,
                                         .capacity = (size_t)c->max_seq_len,
                                         .loops = c->max_loop_iters};
    *rollout = (struct loom_rollout){.model = model,
                                     .prompts = prompts,
                                     .group = group,
                                     .max_tokens = max_tokens,
                                     .mark = mark,
                                     .sampler = {.temperature = temperature, .top_p = 1, .vocab_size = c->vocab_size}};
    loom_status status = loom_sampler_open(&rollout->sampler, error);
    if (status == LOOM_OK)
        status = loom_workspace_open(&rollout->ws, &model->net, k, &shape, error);
    if (status == LOOM_OK)
        status = loom_cache_open(&rollout->cache, k, c, shape.loops, shape.batch, shape.seq, error);
    return status ? status : take_memory(rollout, error);
}

void loom_rollout_close(struct loom_rollout *rollout) {
    struct loom_rollout *r = rollout;
    loom_workspace_close(&r->ws);
    loom_cache_close(&r->cache);
    loom_sampler_close(&r->sampler);
    for (size_t i = 0; r->texts && i < r->prompts * r->group; i++)
        free(r->texts[i]);
    free(r->ids);
    free(r->first);
    free(r->held);
    free(r->begin);
    free(r->logits);
    free(r->row);
    free(r->tokens);
    free(r->lengths);
    free(r->texts);
    free(r->sizes);
    free(r->ended);
    *r = (struct loom_rollout){0};
}

/* What is before a prompt sees itself alone, what is of it all of it. `rows` is the answers, or their prompts. */
static void find_first_keys(struct loom_rollout *r, size_t rows, size_t seq) {
    for (size_t i = 0; i < rows; i++)
        for (size_t t = 0; t < seq; t++) {
            size_t at = r->cache.length + t, begin = r->begin[i * (r->answers / rows)];
            r->first[i * seq + t] = (int)(at < begin ? at : begin);
        }
}

/* `seq` new tokens of each row, in r->ids; leaves the logits of the last on the host. */
static void pass(struct loom_rollout *r, size_t rows, size_t seq, bool last) {
    const struct loom_kernels *k = r->ws.k;
    size_t vocab = (size_t)r->model->net.config.vocab_size, dim = (size_t)r->model->net.config.dim;
    size_t context = (size_t)r->model->net.config.max_seq_len;
    struct loom_forward f = {.weights = r->model->weights,
                             .ids = r->ids,
                             .first = r->first,
                             .batch = rows,
                             .seq = seq,
                             .loops = r->ws.shape.loops,
                             .cache = &r->cache,
                             .history = r->held,
                             .history_stride = context};
    find_first_keys(r, rows, seq);
    for (size_t i = 0; i < rows; i++)
        memcpy(r->held + i * context + r->cache.length, r->ids + i * seq, seq * sizeof *r->ids);
    loom_net_forward(&r->ws, &f);
    r->passes++;
    if (!last)
        return;
    size_t together = seq == 1 ? rows : 1; /* one token each: all rows at once */
    real *logits = loom_workspace_logits(&r->ws, together);
    for (size_t i = 0; i < rows; i += together) {
        loom_net_logits(&r->ws, r->model->weights, logits, r->ws.hidden + (i * seq + seq - 1) * dim, together);
        k->download(k, r->logits + i * vocab, logits, together * vocab * sizeof *logits);
    }
}

/* What was read of each prompt is what its answers go on from. From the last on, as loom_cache_spread goes. */
static void spread(struct loom_rollout *r) {
    size_t vocab = (size_t)r->model->net.config.vocab_size, context = (size_t)r->model->net.config.max_seq_len;
    loom_cache_spread(&r->cache, r->answers / r->group, r->group);
    for (size_t i = r->answers; i-- > 1;) {
        if (i / r->group == i)
            continue;
        memcpy(r->held + i * context, r->held + i / r->group * context, r->cache.length * sizeof *r->held);
        memcpy(r->logits + i * vocab, r->logits + i / r->group * vocab, vocab * sizeof *r->logits);
    }
}

/* All prompts end at the longest's end; each is read once. */
static void read_prompts(struct loom_rollout *r, const struct loom_prompt *prompts, size_t longest) {
    size_t rows = r->answers / r->group;
    for (size_t at = 0, seq; at < longest; at += seq) {
        seq = longest - at < r->ws.shape.seq ? longest - at : r->ws.shape.seq;
        for (size_t i = 0; i < rows; i++)
            for (size_t t = 0; t < seq; t++) {
                size_t begin = r->begin[i * r->group];
                r->ids[i * seq + t] = at + t < begin ? 0 : prompts[i].tokens[at + t - begin];
            }
        pass(r, rows, seq, at + seq == longest);
    }
    spread(r);
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
static loom_status draw(struct loom_rollout *r, const struct loom_prompt *prompts, size_t at, size_t *going,
                        struct loom_error *error) {
    size_t vocab = (size_t)r->model->net.config.vocab_size;
    *going = 0;
    for (size_t g = 0; g < r->answers; g++) {
        const struct loom_random stream = {prompts[g / r->group].seed, LOOM_RANDOM_SAMPLE};
        int token;
        if (r->ended[g])
            continue;
        for (size_t v = 0; v < vocab; v++)
            r->row[v] = (float)r->logits[g * vocab + v];
        r->sampler.seed = loom_random_bits(stream, g % r->group);
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

/* Where each answer's prompt begins, and the longest prompt's tokens. */
static loom_status begin(struct loom_rollout *r, const struct loom_prompt *prompts, size_t count, size_t *longest,
                         struct loom_error *error) {
    size_t context = (size_t)r->model->net.config.max_seq_len;
    *longest = 0;
    for (size_t p = 0; p < count; p++) {
        if (prompts[p].count == 0 || prompts[p].count >= context)
            return loom_fail(error, LOOM_INVALID, "a prompt of %zu tokens leaves no room in the context of %zu",
                             prompts[p].count, context);
        *longest = prompts[p].count > *longest ? prompts[p].count : *longest;
    }
    r->answers = count * r->group;
    for (size_t i = 0; i < r->answers; i++) {
        r->begin[i] = *longest - prompts[i / r->group].count;
        r->lengths[i] = r->sizes[i] = 0;
        r->ended[i] = false;
        r->texts[i][0] = '\0';
    }
    return LOOM_OK;
}

loom_status loom_rollout_run(struct loom_rollout *rollout, const struct loom_prompt *prompts, size_t count,
                             struct loom_error *error) {
    struct loom_rollout *r = rollout;
    size_t context = (size_t)r->model->net.config.max_seq_len, longest, going = 1;
    loom_status status = begin(r, prompts, count, &longest, error);
    if (status)
        return status;
    loom_cache_clear(&r->cache);
    status = loom_cache_reserve(&r->cache, r->max_tokens < context - longest ? longest + r->max_tokens : context,
                                context, error);
    if (status)
        return status;
    read_prompts(r, prompts, longest);
    for (size_t at = 0; at < r->max_tokens && status == LOOM_OK; at++) {
        status = draw(r, prompts, at, &going, error);
        if (status || going == 0 || at + 1 == r->max_tokens || longest + at + 1 >= context)
            break;
        pass(r, r->answers, 1, true);
    }
    return status;
}
