/* batch.h - windows of tokens: what one training step and one validation batch look at.
 *
 * Training windows start at independent uniform positions, as nanoGPT draws them. Which ones is a pure function of
 * (seed, step, row): a resumed run draws on where it stopped, with no state to save. Validation windows lie end to end,
 * so that the loss is over every token of the split and not a sample of it. */
#ifndef LOOM_DATA_BATCH_H
#define LOOM_DATA_BATCH_H

#include "data/tokens.h"

/* Whether the folder has text enough for windows of seq_len tokens: more than seq_len in train, at least 2 in val.
 * LOOM_INVALID with the numbers if not. To be called once before the functions below, which rely on it. */
loom_status loom_batch_check(const struct loom_tokens *tokens, size_t seq_len, struct loom_error *error);

/* Fills inputs and targets (B,T) for a step, counted from 0 and once for each micro-batch; targets are the inputs' next
 * tokens. */
void loom_batch_draw(const struct loom_tokens *tokens, uint64_t seed, uint64_t step, size_t batch, size_t seq_len,
                     int *inputs, int *targets);

/* How many windows of seq_len cover the validation split; the last may be shorter. */
uint64_t loom_batch_validation_windows(const struct loom_tokens *tokens, size_t seq_len);

/* Fills inputs and targets (B,T) with the validation windows index*B to index*B + B-1. Window w predicts positions
 * w*T + 1 to w*T + T, so each token after the first is a target exactly once. Where there is no token, the input is 0
 * and the target -1. Returns the targets that are tokens. */
size_t loom_batch_validation(const struct loom_tokens *tokens, uint64_t index, size_t batch, size_t seq_len,
                             int *inputs, int *targets);

#endif
