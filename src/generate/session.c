/* session.c - tokens in, reuse or extend the cache, logits out. See loom.h and session.h. */
#include "generate/session.h"

#include <stdlib.h>
#include <string.h>

/* New tokens go through the model in pieces of at most this many, which bounds the activations of a long prompt. */
enum { PIECE = 128 };

/* A session's cache begins with room for so many tokens and grows with its text. */
enum { FIRST_ROOM = 64 };

static loom_status open_all(struct loom_session *s, int loops, struct loom_error *error) {
    const struct loom_net *net = &s->model->net;
    size_t vocab = (size_t)net->config.vocab_size;
    size_t piece = s->capacity < PIECE ? s->capacity : PIECE,
           room = s->capacity < FIRST_ROOM ? s->capacity : FIRST_ROOM;
    struct loom_workspace_shape shape = {.batch = 1, .seq = piece, .capacity = s->capacity, .loops = loops};
    loom_status status = loom_workspace_open(&s->ws, net, s->model->k, &shape, error);
    if (status)
        return status;
    status = loom_cache_open(&s->cache, s->model->k, &net->config, loops, 1, room, error);
    if (status)
        return status;
    s->tokens = calloc(s->capacity, sizeof *s->tokens);
    s->logits = calloc(vocab, sizeof *s->logits);
    s->scratch = calloc(vocab, sizeof *s->scratch);
    return s->tokens && s->logits && s->scratch ? LOOM_OK : loom_fail_memory(error, "session", s->capacity);
}

loom_status loom_session_open(const struct loom_model *model, int loops, struct loom_session **session,
                              struct loom_error *error) {
    const struct loom_config *c = &model->net.config;
    bool chosen = loops == LOOM_LOOPS_CHOSEN;
    *session = NULL;
    loom_status status = loom_net_loops(&model->net, loops, &loops, error);
    if (status)
        return status;
    struct loom_session *s = calloc(1, sizeof *s);
    if (!s)
        return loom_fail_memory(error, "session", sizeof *s);
    s->model = model;
    s->capacity = (size_t)c->max_seq_len;
    s->exit = chosen;
    status = open_all(s, loops, error);
    if (status) {
        loom_session_free(s);
        return status;
    }
    *session = s;
    return LOOM_OK;
}

loom_status loom_session_exit(struct loom_session *session, bool exit, struct loom_error *error) {
    if (exit && !loom_config_halts(&session->model->net.config))
        return loom_fail(error, LOOM_INVALID, "no token can leave early: the model has no halting");
    if (exit != session->exit)
        session->cache.length = 0; /* what it holds was made the other way */
    session->exit = exit;
    return LOOM_OK;
}

void loom_session_free(struct loom_session *session) {
    if (!session)
        return;
    loom_workspace_close(&session->ws);
    loom_cache_close(&session->cache);
    free(session->tokens);
    free(session->logits);
    free(session->scratch);
    free(session);
}

static loom_status check(const struct loom_session *s, const int *tokens, size_t count, struct loom_error *error) {
    int vocab = s->model->net.config.vocab_size;
    if (count == 0 || count > s->capacity)
        return loom_fail(error, LOOM_INVALID, "a sequence of %zu tokens does not fit the context of %zu", count,
                         s->capacity);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= vocab)
            return loom_fail(error, LOOM_INVALID, "token %d at position %zu is outside the vocabulary of %d", tokens[i],
                             i, vocab);
    return LOOM_OK;
}

/* How much of the sequence the cache already holds; the last token always runs, since its logits are wanted. */
static size_t shared(const struct loom_session *s, const int *tokens, size_t count) {
    size_t n = 0;
    while (n < s->cache.length && n + 1 < count && s->tokens[n] == tokens[n])
        n++;
    return n;
}

static void extend(struct loom_session *s, const int *tokens, size_t count) {
    struct loom_forward f = {.weights = s->model->weights,
                             .ids = tokens,
                             .batch = 1,
                             .seq = count,
                             .loops = s->ws.shape.loops,
                             .cache = &s->cache,
                             .exit = s->exit,
                             .count_loads = s->exit,
                             .history = s->tokens};
    memcpy(s->tokens + s->cache.length, tokens, count * sizeof *tokens);
    loom_net_forward(&s->ws, &f);
}

/* The last token's logits come to the host as float. */
static void read_logits(struct loom_session *s, size_t rows) {
    const struct loom_kernels *k = s->model->k;
    size_t vocab = (size_t)s->model->net.config.vocab_size, dim = (size_t)s->model->net.config.dim;
    real *logits = loom_workspace_logits(&s->ws, 1);
    loom_net_logits(&s->ws, s->model->weights, logits, s->ws.hidden + (rows - 1) * dim, 1);
    k->download(k, s->scratch, logits, vocab * sizeof *logits);
    for (size_t i = 0; i < vocab; i++)
        s->logits[i] = (float)s->scratch[i];
}

loom_status loom_session_sync(struct loom_session *session, const int *tokens, size_t count, const float **logits,
                              struct loom_error *error) {
    loom_status status = check(session, tokens, count, error);
    if (status)
        return status;
    session->cache.length = shared(session, tokens, count); /* before it grows: no more than that is copied */
    status = loom_cache_reserve(&session->cache, count, session->capacity, error);
    if (status)
        return status;
    size_t piece = 0;
    while (session->cache.length < count) {
        size_t left = count - session->cache.length;
        piece = left < session->ws.shape.seq ? left : session->ws.shape.seq;
        extend(session, tokens + session->cache.length, piece);
    }
    read_logits(session, piece);
    *logits = session->logits;
    return LOOM_OK;
}
