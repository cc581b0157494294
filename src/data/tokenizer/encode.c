/* encode.c - a whole text to tokens, on several threads; see loom.h and tokenizer.h. The text is cut where its parts
 * encode as they do together, so that threads take parts and the result does not depend on how many there are. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "data/tokenizer/tokenizer_kinds.h"

enum { BLOCK_BYTES = 64 << 10 };

/* ---- where a text may be cut ------------------------------------------------------------------------------------- */

/* As loom_tokenizer_cut; with `special`, special tokens are looked for too. */
static size_t cut(const struct loom_tokenizer *tokenizer, bool special, const char *data, size_t size) {
    if (tokenizer->kind != LOOM_TOKENIZER_BPE)
        return tokenizer->kind == LOOM_TOKENIZER_CHAR ? size - loom_utf8_unfinished(data, size) : size;
    size_t at = loom_split_cut(&tokenizer->split, data, size, size);
    while (at > 0 && loom_added_crosses(&tokenizer->added, special, data, size, at))
        at = loom_split_cut(&tokenizer->split, data, size, at);
    return at;
}

size_t loom_tokenizer_cut(const struct loom_tokenizer *tokenizer, const char *data, size_t size) {
    return cut(tokenizer, false, data, size);
}

/* The bytes of the block at the front of the text: about BLOCK_BYTES, or as many more as hold a place to cut. */
static size_t block_size(const struct loom_tokenizer *tokenizer, bool special, const char *text, size_t size) {
    for (size_t window = BLOCK_BYTES; window < size; window *= 2) {
        size_t at = cut(tokenizer, special, text, window);
        if (at > 0)
            return at;
    }
    return size;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

struct block {
    struct loom_piece piece;
    struct loom_ids ids;
    size_t first; /* where its tokens lie among all */
    loom_status status;
    struct loom_error error;
};

struct job {
    const struct loom_tokenizer *tokenizer;
    const struct loom_encode_options *options;
    struct loom_crew *crew;
    struct block *blocks;
    size_t n_blocks, capacity;
    int *tokens; /* of all blocks */
};

/* Has an encoder find the special tokens of this text, and no others. */
static loom_status allow_special(const struct job *job, struct loom_encoder *encoder, struct loom_error *error) {
    const struct loom_encode_options *options = job->options;
    loom_encoder_allow_none(encoder);
    loom_status status = options->all_special ? loom_encoder_allow(encoder, NULL, error) : LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < options->n_special; i++)
        status = loom_encoder_allow(encoder, options->special[i], error);
    return status;
}

/* The encoders that the crew brings; a worker opens its own with its first task. */
static loom_status ready_encoders(const struct job *job, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (int i = 0; status == LOOM_OK && i < job->crew->threads; i++)
        if (job->crew->encoders[i])
            status = allow_special(job, job->crew->encoders[i], error);
    return status;
}

static void encode_block(void *state, size_t task, int worker) {
    struct job *job = state;
    struct block *block = &job->blocks[task];
    struct loom_encoder **encoder = &job->crew->encoders[worker];
    block->status = LOOM_OK;
    if (!*encoder) {
        block->status = loom_encoder_open(job->tokenizer, encoder, &block->error);
        if (block->status == LOOM_OK)
            block->status = allow_special(job, *encoder, &block->error);
    }
    if (block->status == LOOM_OK)
        block->status = loom_encoder_put(*encoder, &block->piece, &block->ids, &block->error);
}

static loom_status add_block(struct job *job, const char *text, size_t size, uint64_t offset,
                             struct loom_error *error) {
    struct block *blocks = loom_grow(job->blocks, &job->capacity, job->n_blocks + 1, sizeof *blocks);
    if (!blocks)
        return loom_fail_memory(error, "blocks of text", (job->n_blocks + 1) * sizeof *blocks);
    job->blocks = blocks;
    job->blocks[job->n_blocks++] = (struct block){.piece = {text, size, "the text", offset}};
    return LOOM_OK;
}

/* At least one, which may be empty: it tells whether the options are right. */
static loom_status cut_blocks(const struct loom_tokenizer *tokenizer, bool special, const char *text, size_t size,
                              struct job *job, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t at = 0, step; status == LOOM_OK && (at < size || job->n_blocks == 0); at += step) {
        step = block_size(tokenizer, special, text + at, size - at);
        status = add_block(job, text + at, step, at, error);
    }
    return status;
}

static void copy_block(void *state, size_t task, int worker) {
    struct job *job = state;
    struct block *block = &job->blocks[task];
    (void)worker;
    if (block->ids.count > 0)
        memcpy(job->tokens + block->first, block->ids.data, block->ids.count * sizeof *block->ids.data);
    free(block->ids.data);
    block->ids = (struct loom_ids){NULL, 0, 0};
}

/* Joins the blocks' tokens, on all threads: fresh memory costs as much as the copying. The first error in the text's
 * order is the text's. */
static loom_status join_blocks(struct job *job, int **tokens, size_t *count, struct loom_error *error) {
    size_t total = 0;
    for (size_t i = 0; i < job->n_blocks; i++) {
        if (job->blocks[i].status != LOOM_OK)
            return loom_fail(error, job->blocks[i].status, "%s", job->blocks[i].error.text);
        job->blocks[i].first = total;
        total += job->blocks[i].ids.count;
    }
    job->tokens = malloc((total + 1) * sizeof *job->tokens);
    if (!job->tokens)
        return loom_fail_memory(error, "tokens", (total + 1) * sizeof *job->tokens);
    loom_pool_run(job->crew->pool, job->n_blocks, copy_block, job);
    *tokens = job->tokens;
    *count = total;
    return LOOM_OK;
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

static loom_status run_job(struct job *job, int **tokens, size_t *count, struct loom_error *error) {
    loom_status status = loom_crew_take(job->tokenizer->crews, loom_threads(job->options->threads), &job->crew, error);
    if (status != LOOM_OK)
        return status;
    status = ready_encoders(job, error);
    if (status == LOOM_OK)
        loom_pool_run(job->crew->pool, job->n_blocks, encode_block, job);
    if (status == LOOM_OK)
        status = join_blocks(job, tokens, count, error);
    loom_crew_give(job->tokenizer->crews, job->crew);
    return status;
}

loom_status loom_tokenizer_encode_with(const struct loom_tokenizer *tokenizer, const char *text, size_t size,
                                       const struct loom_encode_options *options, int **tokens, size_t *count,
                                       struct loom_error *error) {
    struct job job = {.tokenizer = tokenizer, .options = options};
    bool special = options->all_special || options->n_special > 0;
    *tokens = NULL;
    *count = 0;
    loom_status status = cut_blocks(tokenizer, special, text, size, &job, error);
    if (status == LOOM_OK)
        status = run_job(&job, tokens, count, error);
    for (size_t i = 0; i < job.n_blocks; i++)
        free(job.blocks[i].ids.data);
    free(job.blocks);
    return status;
}

loom_status loom_tokenizer_encode(const struct loom_tokenizer *tokenizer, const char *text, size_t size, int **tokens,
                                  size_t *count, struct loom_error *error) {
    const struct loom_encode_options options = {.threads = 1};
    return loom_tokenizer_encode_with(tokenizer, text, size, &options, tokens, count, error);
}
