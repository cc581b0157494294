/* generate.c - text from a model, token by token. See loom_generate in loom.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/grow.h"
#include "data/chat/chat_set.h"
#include "generate/sampler.h"
#include "generate/session.h"
#include "generate/until.h"

/* The growing sequence. */
struct text {
    int *tokens;
    size_t count, capacity;
};

/* A user's message, and what asks for the answer. */
static loom_status encode_message(const struct loom_model *model, const char *message, struct text *text,
                                  struct loom_error *error) {
    struct loom_conversation conversation = {0};
    struct loom_text rendered = {0};
    struct loom_ids ids = {0};
    loom_status status = loom_conversation_add(&conversation, LOOM_ROLE_USER, message)
                             ? loom_chat_render(&conversation, true, "prompt", &rendered, NULL, NULL, error)
                             : loom_fail_memory(error, "prompt", strlen(message));
    if (status == LOOM_OK)
        status = loom_chat_encode(model->tokenizer, rendered.data, rendered.size, "prompt", &ids, error);
    *text = (struct text){ids.data, ids.count, ids.capacity};
    loom_text_free(&rendered);
    loom_conversation_free(&conversation);
    return status;
}

/* Without a prompt the text begins behind another's end; without a token for that, as after a line's end, or with token
 * 0 where no newline is known. */
static loom_status begin_text(const struct loom_tokenizer *tokenizer, struct text *text, struct loom_error *error) {
    int end_of_text = loom_tokenizer_end_of_text(tokenizer);
    if (end_of_text < 0) {
        loom_status status = loom_tokenizer_encode(tokenizer, "\n", 1, &text->tokens, &text->count, error);
        if (status != LOOM_FAILED && status != LOOM_INVALID)
            return status;
    }
    text->tokens = calloc(1, sizeof *text->tokens);
    text->count = 1;
    if (!text->tokens)
        return loom_fail_memory(error, "prompt", sizeof *text->tokens);
    text->tokens[0] = end_of_text < 0 ? 0 : end_of_text;
    return LOOM_OK;
}

static loom_status encode_prompt(const struct loom_model *model, const struct loom_generate_options *o,
                                 struct text *text, struct loom_error *error) {
    const char *prompt = o->prompt ? o->prompt : "";
    size_t size = o->prompt_size ? o->prompt_size : strlen(prompt);
    if (!model->tokenizer)
        return loom_fail(error, LOOM_FAILED, "%s: there is no %s to read the prompt with",
                         model->path ? model->path : "the model", LOOM_TOKENIZER_FILE);
    if (o->chat)
        return encode_message(model, prompt, text, error);
    return size > 0 ? loom_tokenizer_encode(model->tokenizer, prompt, size, &text->tokens, &text->count, error)
                    : begin_text(model->tokenizer, text, error);
}

static loom_status append(struct text *text, int token, struct loom_error *error) {
    int *tokens = loom_grow(text->tokens, &text->capacity, text->count + 1, sizeof *tokens);
    if (!tokens)
        return loom_fail_memory(error, "text", (text->count + 1) * sizeof *tokens);
    text->tokens = tokens;
    text->tokens[text->count++] = token;
    return LOOM_OK;
}

/* The part of the text that the model looks at. When the context is full the older half is let go, so that the cache
 * is rebuilt once in half a context and not at every token. */
static size_t window_start(size_t count, size_t context, size_t start) {
    return count - start <= context ? start : count - (context + 1) / 2;
}

/* Hands the caller a token with the text that it completes, unless that ends the text. */
static loom_status tell(struct loom_decoder *decoder, struct loom_until *until, int token, bool *ended,
                        struct loom_error *error) {
    const char *text;
    size_t size;
    loom_status status = loom_decoder_put(decoder, token, &text, &size, error);
    *ended = status == LOOM_OK && loom_until_put(until, token, text, size);
    return status;
}

/* What the last tokens began and never completed. */
static void tell_rest(struct loom_decoder *decoder, struct loom_until *until) {
    const char *text;
    size_t size;
    loom_until_flush(until);
    loom_decoder_end(decoder, &text, &size);
    if (size > 0 && until->on_token)
        until->on_token(until->user, -1, text, size);
}

static loom_status run(const struct loom_generate_options *o, struct loom_session *session,
                       const struct loom_sampler *sampler, struct loom_decoder *decoder, struct loom_until *until,
                       struct text *text, struct loom_generate_result *result, struct loom_error *error) {
    int max_tokens = o->max_tokens ? o->max_tokens : 256;
    size_t start = 0;
    for (int i = 0; i < max_tokens; i++) {
        const float *logits;
        int token;
        if (o->stop && *o->stop)
            return loom_fail(error, LOOM_STOPPED, "stopped after %d tokens", i);
        start = window_start(text->count, session->capacity, start);
        loom_status status = loom_session_sync(session, text->tokens + start, text->count - start, &logits, error);
        if (status == LOOM_OK)
            status = loom_sampler_draw(sampler, logits, (uint64_t)i, &token, error);
        if (status == LOOM_OK)
            status = append(text, token, error);
        if (status)
            return status;
        result->completion_tokens++;
        bool ended;
        status = tell(decoder, until, token, &ended, error);
        if (status || ended)
            return status;
    }
    return LOOM_OK;
}

loom_status loom_generate(const struct loom_model *model, const struct loom_generate_options *options,
                          struct loom_generate_result *result, struct loom_error *error) {
    struct loom_session *session = NULL;
    struct loom_decoder *decoder = NULL;
    struct text text = {0};
    struct loom_until until = {
        .mark = options->chat ? LOOM_CHAT_END : NULL, .on_token = options->on_token, .user = options->user};
    struct loom_sampler sampler = {.temperature = options->has_temperature ? options->temperature : 1,
                                   .top_k = options->top_k,
                                   .top_p = options->top_p > 0 || options->top_p < 0 ? options->top_p : 1,
                                   .seed = options->seed,
                                   .vocab_size = model->net.config.vocab_size};
    *result = (struct loom_generate_result){0};
    if (options->max_tokens < 0)
        return loom_fail(error, LOOM_INVALID, "max-tokens %d is negative", options->max_tokens);
    loom_status status = loom_sampler_open(&sampler, error);
    if (status == LOOM_OK)
        status = encode_prompt(model, options, &text, error);
    if (status == LOOM_OK)
        status = loom_session_open(model, options->loops, &session, error);
    if (status == LOOM_OK && options->exit)
        status = loom_session_exit(session, true, error);
    if (status == LOOM_OK)
        status = loom_decoder_open(model->tokenizer, &decoder, error);
    result->prompt_tokens = text.count;
    double begin = loom_clock();
    if (status == LOOM_OK)
        status = run(options, session, &sampler, decoder, &until, &text, result, error);
    result->seconds = loom_clock() - begin;
    result->mean_loops = session ? loom_loads_mean_loops(&session->ws.loads) : 0;
    if (decoder)
        tell_rest(decoder, &until);
    loom_decoder_free(decoder);
    loom_session_free(session);
    loom_sampler_close(&sampler);
    free(text.tokens);
    return status;
}
