/* batch.c - see batch.h. */
#include "data/batch.h"

#include <inttypes.h>

#include "base/random.h"

loom_status loom_batch_check(const struct loom_tokens *tokens, size_t seq_len, struct loom_error *error) {
    uint64_t train = tokens->counts[LOOM_SPLIT_TRAIN], val = tokens->counts[LOOM_SPLIT_VAL];
    if (seq_len < 1 || train <= seq_len)
        return loom_fail(error, LOOM_INVALID,
                         "the training split has %" PRIu64 " tokens; windows of %zu and their next token need %zu",
                         train, seq_len, seq_len + 1);
    if (val < 2)
        return loom_fail(error, LOOM_INVALID, "the validation split has %" PRIu64 " tokens; a loss needs at least 2",
                         val);
    return LOOM_OK;
}

void loom_batch_draw(const struct loom_tokens *tokens, uint64_t seed, uint64_t step, size_t batch, size_t seq_len,
                     int *inputs, int *targets) {
    const struct loom_random stream = {seed, LOOM_RANDOM_BATCH};
    for (size_t row = 0; row < batch; row++) {
        uint64_t start = loom_random_below(stream, step * batch + row, tokens->counts[LOOM_SPLIT_TRAIN] - seq_len);
        loom_tokens_get(tokens, LOOM_SPLIT_TRAIN, start, seq_len, inputs + row * seq_len, NULL);
        loom_tokens_get(tokens, LOOM_SPLIT_TRAIN, start + 1, seq_len, targets + row * seq_len, NULL);
    }
}

uint64_t loom_batch_validation_windows(const struct loom_tokens *tokens, size_t seq_len) {
    return (tokens->counts[LOOM_SPLIT_VAL] - 1 + seq_len - 1) / seq_len;
}

/* One window (T); returns its targets that are tokens. */
static size_t validation_window(const struct loom_tokens *tokens, uint64_t window, size_t seq_len, int *inputs,
                                int *targets) {
    uint64_t start = window * seq_len, predicted = tokens->counts[LOOM_SPLIT_VAL] - 1;
    uint64_t left = start < predicted ? predicted - start : 0;
    size_t size = left < seq_len ? (size_t)left : seq_len;
    loom_tokens_get(tokens, LOOM_SPLIT_VAL, start, size, inputs, NULL);
    loom_tokens_get(tokens, LOOM_SPLIT_VAL, start + 1, size, targets, NULL);
    for (size_t i = size; i < seq_len; i++) {
        inputs[i] = 0;
        targets[i] = -1;
    }
    return size;
}

size_t loom_batch_validation(const struct loom_tokens *tokens, uint64_t index, size_t batch, size_t seq_len,
                             int *inputs, int *targets) {
    size_t count = 0;
    for (size_t row = 0; row < batch; row++)
        count +=
            validation_window(tokens, index * batch + row, seq_len, inputs + row * seq_len, targets + row * seq_len);
    return count;
}
