/* inspect.c - what a token folder holds, for a person who looks; see loom_data_info in loom.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "data/tokens/tokens.h"

struct loom_data {
    struct loom_tokens *tokens;
};

loom_status loom_data_open(const char *folder, struct loom_data **data, struct loom_error *error) {
    *data = calloc(1, sizeof **data);
    if (!*data)
        return loom_fail_memory(error, folder, sizeof **data);
    loom_status status = loom_tokens_open(folder, &(*data)->tokens, error);
    if (status == LOOM_OK)
        return LOOM_OK;
    free(*data);
    *data = NULL;
    return status;
}

void loom_data_free(struct loom_data *data) {
    if (!data)
        return;
    loom_tokens_free(data->tokens);
    free(data);
}

static size_t length_class(uint64_t length) {
    size_t class = 0;
    while (length >>= 1)
        class ++;
    return class < LOOM_LENGTHS_SHOWN ? class : LOOM_LENGTHS_SHOWN - 1;
}

static void count_length(struct loom_data_info *info, uint64_t length) {
    info->lengths[length_class(length)]++;
    info->shortest = info->shortest == 0 || length < info->shortest ? length : info->shortest;
    info->longest = length > info->longest ? length : info->longest;
}

/* A document ends where the next one begins, or with its split. */
static void count_lengths(const struct loom_tokens *tokens, enum loom_split split, struct loom_data_info *info) {
    uint64_t start = 0;
    bool begun = false;
    for (size_t s = tokens->begin[split]; s < tokens->begin[split + 1]; s++) {
        const struct loom_shard *shard = &tokens->shards[s];
        for (uint64_t i = 0; i < shard->n_documents; i++) {
            uint64_t next = shard->first + loom_shard_document(shard, i);
            if (begun)
                count_length(info, next - start);
            start = next;
            begun = true;
        }
    }
    if (begun)
        count_length(info, tokens->counts[split] - start);
}

void loom_data_info(const struct loom_data *data, struct loom_data_info *info) {
    const struct loom_tokens *tokens = data->tokens;
    *info = (struct loom_data_info){.train_tokens = tokens->counts[LOOM_SPLIT_TRAIN],
                                    .val_tokens = tokens->counts[LOOM_SPLIT_VAL],
                                    .train_documents = tokens->documents[LOOM_SPLIT_TRAIN],
                                    .val_documents = tokens->documents[LOOM_SPLIT_VAL],
                                    .train_bytes = tokens->bytes[LOOM_SPLIT_TRAIN],
                                    .val_bytes = tokens->bytes[LOOM_SPLIT_VAL],
                                    .vocab_size = (int)tokens->vocab_size,
                                    .shards = tokens->n_shards,
                                    .type = loom_token_type(tokens->width),
                                    .sha256 = tokens->sha256};
    for (enum loom_split split = LOOM_SPLIT_TRAIN; split < LOOM_SPLITS; split++)
        count_lengths(tokens, split, info);
}

/* Where the index-th document of a split begins; the split's end when it has no such document. */
static uint64_t document_start(const struct loom_tokens *tokens, enum loom_split split, uint64_t index) {
    for (size_t s = tokens->begin[split]; s < tokens->begin[split + 1]; s++) {
        const struct loom_shard *shard = &tokens->shards[s];
        if (index < shard->n_documents)
            return shard->first + loom_shard_document(shard, index);
        index -= shard->n_documents;
    }
    return tokens->counts[split];
}

/* Tokens [start, start + count) as text. */
static loom_status decode(const struct loom_tokens *tokens, enum loom_split split, uint64_t start, size_t count,
                          struct loom_text *text, struct loom_error *error) {
    int *ids = malloc((count + 1) * sizeof *ids);
    if (!ids)
        return loom_fail_memory(error, "document", count * sizeof *ids);
    loom_status status = loom_tokens_get(tokens, split, start, count, ids, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        size_t size;
        const char *bytes = loom_tokenizer_token(tokens->tokenizer, ids[i], &size);
        if (bytes)
            loom_text_put(text, bytes, size);
    }
    free(ids);
    return status == LOOM_OK && text->failed ? loom_fail_memory(error, "document", count) : status;
}

loom_status loom_data_document(const struct loom_data *data, uint64_t index, size_t tokens, char **text, size_t *size,
                               uint64_t *length, struct loom_error *error) {
    const struct loom_tokens *t = data->tokens;
    uint64_t train = t->documents[LOOM_SPLIT_TRAIN], all = train + t->documents[LOOM_SPLIT_VAL];
    enum loom_split split = index < train ? LOOM_SPLIT_TRAIN : LOOM_SPLIT_VAL;
    struct loom_text made = {.data = NULL};
    *text = NULL;
    if (index >= all)
        return loom_fail(error, LOOM_INVALID, "there is no document %" PRIu64 ": the folder has %" PRIu64, index, all);
    uint64_t place = split == LOOM_SPLIT_TRAIN ? index : index - train, start = document_start(t, split, place);
    *length = document_start(t, split, place + 1) - start;
    loom_text_put(&made, "", 0);
    loom_status status = decode(t, split, start, *length < tokens ? (size_t)*length : tokens, &made, error);
    if (status != LOOM_OK || made.failed) {
        loom_text_free(&made);
        return status != LOOM_OK ? status : loom_fail_memory(error, "document", tokens);
    }
    *text = made.data;
    *size = made.size;
    return LOOM_OK;
}
