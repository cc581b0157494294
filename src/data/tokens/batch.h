/* batch.h - windows of tokens: what one training step and one validation batch look at.
 *
 * Training samples are numbered: step * (rows of a step's whole batch) + row. What a sample is follows from its number
 * and the seed alone, in constant time. So a resumed run draws on where it stopped with no state to save, and ranks
 * that draw disjoint rows of the same step see together what one would see alone, however many they are.
 *
 * A sample's number chooses a slot of the mixture's period, whose order the seed has shuffled; the slot names the
 * folder, and how many samples that folder has given before. The folder then gives
 *   random   a window at an independent uniform position, as nanoGPT draws them;
 *   shuffle  its share of an epoch, in which windows lie end to end on a ring from the first token to the last, from a
 *            place that the epoch draws, and each is taken exactly once in an order that the epoch shuffles. What is
 *            left over, less than a window, lies elsewhere in each epoch. One window runs over the ring's seam: for
 *            `first` a document ends there.
 *
 * Validation windows lie end to end, so that the loss is over every token of the split and not a sample of it. */
#ifndef LOOM_DATA_BATCH_H
#define LOOM_DATA_BATCH_H

#include "data/tokens/corpus.h"

enum loom_sampling { LOOM_SAMPLING_RANDOM, LOOM_SAMPLING_SHUFFLE };

/* Rows of T tokens. Targets are the inputs' next tokens; -1: there is none. */
struct loom_batch {
    int *inputs, *targets; /* (B,T) */
    int *first;            /* (B,T): the place in the row where the token's document begins; NULL: not asked for */
};

/* Room for `rows` rows of seq_len tokens, with first keys if `documents`. */
loom_status loom_batch_open(struct loom_batch *batch, size_t rows, size_t seq_len, bool documents,
                            struct loom_error *error);
void loom_batch_close(struct loom_batch *batch);

/* How training samples are drawn. */
struct loom_batches {
    const struct loom_corpus *corpus;
    size_t seq_len;
    int sampling; /* enum loom_sampling */
    uint64_t seed;
    uint16_t folder[LOOM_MIX_SLOTS]; /* of each slot of the period */
    uint16_t turn[LOOM_MIX_SLOTS];   /* how many of its folder's slots come before it */
};

/* Whether the corpus has text enough for windows of seq_len tokens: more than seq_len tokens to train on in each
 * folder, and at least 2 to validate on in one. LOOM_INVALID with the numbers if not. */
loom_status loom_batches_check(const struct loom_corpus *corpus, size_t seq_len, struct loom_error *error);
/* A corpus that loom_batches_check has found large enough. There is nothing to close. */
void loom_batches_init(struct loom_batches *batches, const struct loom_corpus *corpus, size_t seq_len, int sampling,
                       uint64_t seed);

/* Fills the first `rows` rows of a batch with the training samples `sample`, sample + 1, ... LOOM_FAILED when the data
 * hold a token that is outside the vocabulary. */
loom_status loom_batches_draw(const struct loom_batches *batches, uint64_t sample, size_t rows,
                              const struct loom_batch *batch, struct loom_error *error);

/* Starts reading samples that are going to be drawn from the disk and does not wait for them. */
void loom_batches_fetch(const struct loom_batches *batches, uint64_t sample, size_t rows);

/* The rows of a step's batch of `rows` that are one rank's of `world`: contiguous, and as even as they can be. */
struct loom_rows {
    size_t first, count;
};
struct loom_rows loom_batches_share(size_t rows, size_t rank, size_t world);

/* How many windows of seq_len cover the validation split; the last may be shorter. */
uint64_t loom_validation_windows(const struct loom_tokens *tokens, size_t seq_len);

/* Fills a batch (B,T) with the validation windows index*B to index*B + B-1. Window w predicts positions w*T + 1 to
 * w*T + T, so each token after the first is a target exactly once. Where there is no token, the input is 0 and the
 * target -1. *count is the number of targets that are tokens. */
loom_status loom_validation_get(const struct loom_tokens *tokens, uint64_t index, size_t batch_size, size_t seq_len,
                                const struct loom_batch *batch, size_t *count, struct loom_error *error);

#endif
