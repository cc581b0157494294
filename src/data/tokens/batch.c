/* batch.c - see batch.h. */
#include "data/tokens/batch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/random.h"

loom_status loom_batch_open(struct loom_batch *batch, size_t rows, size_t seq_len, bool documents,
                            struct loom_error *error) {
    size_t count = rows * seq_len;
    *batch = (struct loom_batch){calloc(count, sizeof(int)), calloc(count, sizeof(int)),
                                 documents ? calloc(count, sizeof(int)) : NULL};
    if (batch->inputs && batch->targets && (batch->first || !documents))
        return LOOM_OK;
    loom_batch_close(batch);
    return loom_fail_memory(error, "batch", 3 * count * sizeof(int));
}

void loom_batch_close(struct loom_batch *batch) {
    free(batch->inputs);
    free(batch->targets);
    free(batch->first);
    *batch = (struct loom_batch){NULL, NULL, NULL};
}

/* Row `row` of a batch. */
static struct loom_batch row_of(const struct loom_batch *batch, size_t row, size_t seq_len) {
    size_t at = row * seq_len;
    return (struct loom_batch){batch->inputs + at, batch->targets + at, batch->first ? batch->first + at : NULL};
}

/* Places at .. at+count-1 of a row: the tokens from `position` on, and those behind each of them. */
static loom_status fill_row(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t at,
                            size_t count, struct loom_batch row, struct loom_error *error) {
    loom_status status = loom_tokens_get(tokens, split, position, count, row.inputs + at, error);
    if (status == LOOM_OK)
        status = loom_tokens_get(tokens, split, position + 1, count, row.targets + at, error);
    if (status != LOOM_OK || !row.first)
        return status;
    loom_tokens_first(tokens, split, position, count, row.first + at);
    for (size_t i = at; i < at + count; i++)
        row.first[i] += (int)at;
    return LOOM_OK;
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

loom_status loom_batches_check(const struct loom_corpus *corpus, size_t seq_len, struct loom_error *error) {
    uint64_t val = 0;
    for (size_t i = 0; i < corpus->n_folders; i++) {
        const struct loom_corpus_folder *folder = &corpus->folders[i];
        uint64_t train = folder->tokens->counts[LOOM_SPLIT_TRAIN];
        if (seq_len < 1 || train <= seq_len)
            return loom_fail(error, LOOM_INVALID,
                             "%s: the training split has %" PRIu64
                             " tokens; windows of %zu and their next token need %zu",
                             folder->path, train, seq_len, seq_len + 1);
        val += loom_validation_windows(folder->tokens, 1);
    }
    if (val == 0)
        return loom_fail(error, LOOM_INVALID,
                         "%s: the validation split has %" PRIu64 " tokens; a loss needs at least 2",
                         corpus->folders[0].path, corpus->folders[0].tokens->counts[LOOM_SPLIT_VAL]);
    return LOOM_OK;
}

/* The period lists each folder as often as it has slots, in an order that the seed shuffles. */
static void shuffle_slots(struct loom_batches *batches) {
    const struct loom_random stream = {batches->seed, LOOM_RANDOM_MIX};
    const struct loom_corpus *corpus = batches->corpus;
    for (size_t f = 0, slot = 0; f < corpus->n_folders; f++)
        for (int i = 0; i < corpus->folders[f].slots; i++)
            batches->folder[loom_random_permute(stream, slot++, LOOM_MIX_SLOTS)] = (uint16_t)f;
}

void loom_batches_init(struct loom_batches *batches, const struct loom_corpus *corpus, size_t seq_len, int sampling,
                       uint64_t seed) {
    uint16_t turns[LOOM_MIX_SLOTS] = {0};
    *batches = (struct loom_batches){.corpus = corpus, .seq_len = seq_len, .sampling = sampling, .seed = seed};
    shuffle_slots(batches);
    for (size_t slot = 0; slot < LOOM_MIX_SLOTS; slot++)
        batches->turn[slot] = turns[batches->folder[slot]]++;
}

/* Sub-streams of the seed lie above bit 8: folders below bit 24, and epochs above. */
static uint64_t purpose_of(enum loom_purpose purpose, size_t folder, uint64_t epoch) {
    return (uint64_t)purpose | (uint64_t)folder << 8 | epoch << 24;
}

/* Where the folder's `index`-th window begins, by the chosen way; `ring` tokens have one behind them. */
static uint64_t window_start(const struct loom_batches *batches, size_t folder, uint64_t index, uint64_t ring) {
    const uint64_t T = batches->seq_len, windows = ring / T;
    if (batches->sampling == LOOM_SAMPLING_RANDOM) {
        const struct loom_random stream = {batches->seed, purpose_of(LOOM_RANDOM_BATCH, folder, 0)};
        return loom_random_below(stream, index, ring + 1 - T);
    }
    const struct loom_random stream = {batches->seed, purpose_of(LOOM_RANDOM_SHUFFLE, folder, index / windows)};
    /* No permutation asks for the last index. */
    uint64_t origin = loom_random_below(stream, UINT64_MAX, ring);
    return (origin + loom_random_permute(stream, index % windows, windows) * T) % ring;
}

/* A sample's window: `count` tokens from `start`, of which `head` lie before the ring's seam and the others behind. */
struct window {
    const struct loom_tokens *tokens;
    uint64_t start;
    size_t head, count;
};

static struct window window_of(const struct loom_batches *batches, uint64_t sample) {
    size_t slot = (size_t)(sample % LOOM_MIX_SLOTS), folder = batches->folder[slot], T = batches->seq_len;
    const struct loom_corpus_folder *from = &batches->corpus->folders[folder];
    uint64_t index = sample / LOOM_MIX_SLOTS * (uint64_t)from->slots + batches->turn[slot];
    uint64_t ring = from->tokens->counts[LOOM_SPLIT_TRAIN] - 1;
    uint64_t start = window_start(batches, folder, index, ring), left = ring - start;
    return (struct window){from->tokens, start, left < T ? (size_t)left : T, T};
}

static loom_status draw_row(struct window w, struct loom_batch row, struct loom_error *error) {
    loom_status status = fill_row(w.tokens, LOOM_SPLIT_TRAIN, w.start, 0, w.head, row, error);
    if (status == LOOM_OK && w.head < w.count)
        status = fill_row(w.tokens, LOOM_SPLIT_TRAIN, 0, w.head, w.count - w.head, row, error);
    return status;
}

void loom_batches_fetch(const struct loom_batches *batches, uint64_t sample, size_t rows) {
    for (size_t row = 0; row < rows; row++) {
        struct window w = window_of(batches, sample + row);
        if (w.tokens->large) /* what lies behind the seam is not worth a call */
            loom_tokens_fetch(w.tokens, LOOM_SPLIT_TRAIN, w.start, w.head + 1);
    }
}

loom_status loom_batches_draw(const struct loom_batches *batches, uint64_t sample, size_t rows,
                              const struct loom_batch *batch, struct loom_error *error) {
    loom_status status = LOOM_OK;
    loom_batches_fetch(batches, sample, rows);
    for (size_t row = 0; status == LOOM_OK && row < rows; row++)
        status = draw_row(window_of(batches, sample + row), row_of(batch, row, batches->seq_len), error);
    return status;
}

struct loom_rows loom_batches_share(size_t rows, size_t rank, size_t world) {
    size_t each = rows / world, more = rows % world, before = rank < more ? rank : more;
    return (struct loom_rows){rank * each + before, each + (rank < more)};
}

/* ---- validation -------------------------------------------------------------------------------------------------- */

uint64_t loom_validation_windows(const struct loom_tokens *tokens, size_t seq_len) {
    uint64_t count = tokens->counts[LOOM_SPLIT_VAL];
    return count < 2 ? 0 : (count - 1 + seq_len - 1) / seq_len;
}

/* One window (T); *size is the number of its targets that are tokens. What has none sees only its own kind. */
static loom_status validation_row(const struct loom_tokens *tokens, uint64_t window, size_t seq_len,
                                  struct loom_batch row, size_t *size, struct loom_error *error) {
    uint64_t start = window * seq_len, predicted = tokens->counts[LOOM_SPLIT_VAL] - 1;
    uint64_t left = start < predicted ? predicted - start : 0;
    *size = left < seq_len ? (size_t)left : seq_len;
    for (size_t i = *size; i < seq_len; i++) {
        row.inputs[i] = 0;
        row.targets[i] = -1;
        if (row.first)
            row.first[i] = (int)*size;
    }
    return *size > 0 ? fill_row(tokens, LOOM_SPLIT_VAL, start, 0, *size, row, error) : LOOM_OK;
}

loom_status loom_validation_get(const struct loom_tokens *tokens, uint64_t index, size_t batch_size, size_t seq_len,
                                const struct loom_batch *batch, size_t *count, struct loom_error *error) {
    loom_status status = LOOM_OK;
    *count = 0;
    for (size_t row = 0; status == LOOM_OK && row < batch_size; row++) {
        size_t size;
        uint64_t window = index * batch_size + row;
        status = validation_row(tokens, window, seq_len, row_of(batch, row, seq_len), &size, error);
        *count += size;
    }
    return status;
}
