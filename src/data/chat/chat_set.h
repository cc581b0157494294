/* chat_set.h - conversations as batches: whole examples packed into rows, with the loss on the answers alone.
 *
 * All examples are encoded when the set is opened. Some are held out, chosen by a fixed shuffle. The others are packed
 * once, several to a row where they fit; a row's examples cannot see each other (the batch's first keys), so that the
 * packing changes no example's loss. Each epoch takes every row once, in an order that seed and epoch shuffle; a sample
 * follows from its number in constant time. */
#ifndef LOOM_DATA_CHAT_SET_H
#define LOOM_DATA_CHAT_SET_H

#include "base/digest.h"
#include "data/tokens/batch.h"
#include "data/chat/chat.h"

/* Examples in rows: row r holds examples[offsets[r] .. offsets[r+1]). */
struct loom_chat_rows {
    size_t *examples, *offsets;
    size_t rows;
};

struct loom_chat_set {
    const struct loom_tokenizer *tokenizer; /* borrowed */
    size_t seq_len;
    int *tokens;         /* of all examples, one behind the other */
    bool *learned;       /* by token: whether it belongs to an answer */
    size_t *begins;      /* (count + 1) */
    size_t count, n_val; /* examples, and how many of them are held out */
    size_t *order;       /* (count) the held-out examples, then those to train on */
    struct loom_chat_rows train, val;
    char sha256[LOOM_SHA256_TEXT]; /* of tokens and answers: the same set again, or not */
};

/* Reads chat rows of files; `val_fraction` of the examples are held out, at least one. LOOM_INVALID, with file and row,
 * for a row that is no conversation and for an example of more than seq_len + 1 tokens. */
loom_status loom_chat_set_open(struct loom_chat_set *set, const char *const *paths, size_t n_paths,
                               const struct loom_tokenizer *tokenizer, size_t seq_len, double val_fraction,
                               struct loom_error *error);
void loom_chat_set_close(struct loom_chat_set *set);

/* Fills `rows` rows of a batch (which has first keys) with the training samples `sample`, sample + 1, ... */
void loom_chat_set_draw(const struct loom_chat_set *set, uint64_t seed, uint64_t sample, size_t rows,
                        const struct loom_batch *batch);

/* Fills a row with one training example, 0 .. count - n_val - 1, alone. */
void loom_chat_set_example(const struct loom_chat_set *set, size_t index, const struct loom_batch *batch, size_t row);

/* Fills a batch of B rows with the held-out rows index*B .. index*B + B-1, empty beyond the last; returns the number of
 * targets. */
size_t loom_chat_set_validation(const struct loom_chat_set *set, size_t index, size_t batch_size,
                                const struct loom_batch *batch);

/* Encodes the text of a conversation with its marks. */
loom_status loom_chat_encode(const struct loom_tokenizer *tokenizer, const char *text, size_t size, const char *name,
                             struct loom_ids *ids, struct loom_error *error);

#endif
