/* corpus.c - see corpus.h. */
#include "data/tokens/corpus.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The largest remainder that is left, the first among equals. */
static size_t largest(const double *remainder, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        best = remainder[i] > remainder[best] ? i : best;
    return best;
}

/* Whole slots for weights, by largest remainder. */
static void share_slots(struct loom_corpus *corpus, const double *weights, double *remainder, double sum) {
    int left = LOOM_MIX_SLOTS;
    for (size_t i = 0; i < corpus->n_folders; i++) {
        double exact = weights[i] / sum * LOOM_MIX_SLOTS;
        corpus->folders[i].slots = (int)floor(exact);
        remainder[i] = exact - floor(exact);
        left -= corpus->folders[i].slots;
    }
    for (; left > 0; left--) {
        size_t i = largest(remainder, corpus->n_folders);
        corpus->folders[i].slots++;
        remainder[i] = -1;
    }
}

static loom_status check_weights(const struct loom_corpus *corpus, const double *weights, double *sum,
                                 struct loom_error *error) {
    *sum = 0;
    for (size_t i = 0; i < corpus->n_folders; i++) {
        if (!(weights[i] > 0 && isfinite(weights[i])))
            return loom_fail(error, LOOM_INVALID, "%s: its weight must be above 0, not %g", corpus->folders[i].path,
                             weights[i]);
        *sum += weights[i];
    }
    return isfinite(*sum) ? LOOM_OK : loom_fail(error, LOOM_INVALID, "the weights' sum is %g", *sum);
}

/* `scratch` holds twice as many numbers as there are folders. */
static loom_status mix_folders(struct loom_corpus *corpus, const double *mix, double *scratch,
                               struct loom_error *error) {
    double sum;
    for (size_t i = 0; i < corpus->n_folders; i++)
        scratch[i] = mix ? mix[i] : (double)corpus->folders[i].tokens->counts[LOOM_SPLIT_TRAIN];
    loom_status status = check_weights(corpus, scratch, &sum, error);
    if (status != LOOM_OK)
        return status;
    share_slots(corpus, scratch, scratch + corpus->n_folders, sum);
    for (size_t i = 0; i < corpus->n_folders; i++)
        if (corpus->folders[i].slots == 0)
            return loom_fail(error, LOOM_INVALID,
                             "%s: its weight of %g in %g comes to less than one window in %d; give it more or leave it "
                             "out",
                             corpus->folders[i].path, scratch[i], sum, LOOM_MIX_SLOTS);
    return LOOM_OK;
}

static loom_status open_folder(struct loom_corpus *corpus, const char *path, struct loom_error *error) {
    struct loom_corpus_folder *folder = &corpus->folders[corpus->n_folders];
    folder->path = path;
    loom_status status = loom_tokens_open(path, &folder->tokens, error);
    if (status != LOOM_OK)
        return status;
    if (corpus->n_folders++ == 0)
        return LOOM_OK;
    return loom_tokens_check_tokenizer(folder->tokens, path, loom_corpus_tokenizer(corpus), corpus->folders[0].path,
                                       error);
}

loom_status loom_corpus_open(const char *const *paths, const double *mix, size_t count, struct loom_corpus *corpus,
                             struct loom_error *error) {
    *corpus = (struct loom_corpus){calloc(count, sizeof *corpus->folders), 0};
    double *scratch = calloc(2 * count, sizeof *scratch);
    loom_status status = corpus->folders && scratch
                             ? LOOM_OK
                             : loom_fail_memory(error, "token folders", count * sizeof *corpus->folders);
    for (size_t i = 0; status == LOOM_OK && i < count; i++)
        status = open_folder(corpus, paths[i], error);
    if (status == LOOM_OK)
        status = mix_folders(corpus, mix, scratch, error);
    free(scratch);
    if (status != LOOM_OK)
        loom_corpus_close(corpus);
    return status;
}

void loom_corpus_close(struct loom_corpus *corpus) {
    for (size_t i = 0; i < corpus->n_folders; i++)
        loom_tokens_free(corpus->folders[i].tokens);
    free(corpus->folders);
    *corpus = (struct loom_corpus){NULL, 0};
}

struct loom_tokenizer *loom_corpus_tokenizer(const struct loom_corpus *corpus) {
    return corpus->folders[0].tokens->tokenizer;
}

uint64_t loom_corpus_tokens(const struct loom_corpus *corpus, enum loom_split split) {
    uint64_t sum = 0;
    for (size_t i = 0; i < corpus->n_folders; i++)
        sum += corpus->folders[i].tokens->counts[split];
    return sum;
}

/* ---- a run's record ---------------------------------------------------------------------------------------------- */

static json_t *folder_record(const struct loom_corpus_folder *folder) {
    const struct loom_tokens *tokens = folder->tokens;
    return json_pack("{s:s,s:f,s:I,s:I,s:s}", "path", folder->path, "share", (double)folder->slots / LOOM_MIX_SLOTS,
                     "train_tokens", (json_int_t)tokens->counts[LOOM_SPLIT_TRAIN], "val_tokens",
                     (json_int_t)tokens->counts[LOOM_SPLIT_VAL], "sha256", tokens->sha256);
}

json_t *loom_corpus_record(const struct loom_corpus *corpus) {
    json_t *folders = json_array();
    for (size_t i = 0; folders && i < corpus->n_folders; i++)
        if (json_array_append_new(folders, folder_record(&corpus->folders[i]))) {
            json_decref(folders);
            folders = NULL;
        }
    return json_pack("{s:i,s:I,s:I,s:o}", "vocab_size", loom_tokenizer_vocab_size(loom_corpus_tokenizer(corpus)),
                     "train_tokens", (json_int_t)loom_corpus_tokens(corpus, LOOM_SPLIT_TRAIN), "val_tokens",
                     (json_int_t)loom_corpus_tokens(corpus, LOOM_SPLIT_VAL), "folders", folders);
}

bool loom_corpus_recorded_mix(const json_t *record, size_t count, double *mix) {
    const json_t *folders = json_object_get(record, "folders");
    for (size_t i = 0; i < count; i++)
        mix[i] = json_number_value(json_object_get(json_array_get(folders, i), "share"));
    return json_array_size(folders) == count;
}

loom_status loom_corpus_check_record(const struct loom_corpus *corpus, const json_t *record, const char *run,
                                     struct loom_error *error) {
    const json_t *folders = json_object_get(record, "folders");
    if (json_array_size(folders) != corpus->n_folders)
        return loom_fail(error, LOOM_INVALID, "the run %s began with %zu token folders, not %zu", run,
                         json_array_size(folders), corpus->n_folders);
    for (size_t i = 0; i < corpus->n_folders; i++) {
        const struct loom_corpus_folder *folder = &corpus->folders[i];
        const char *sha256;
        double share = 0, ours = (double)folder->slots / LOOM_MIX_SLOTS;
        loom_status status = loom_json_string(json_array_get(folders, i), "sha256", run, &sha256, error);
        if (status == LOOM_OK && strcmp(sha256, folder->tokens->sha256) != 0)
            status = loom_fail(error, LOOM_INVALID, "%s: these are not the tokens that the run %s began with",
                               folder->path, run);
        if (status == LOOM_OK)
            status = loom_json_number(json_array_get(folders, i), "share", run, &share, error);
        if (status == LOOM_OK && (share < ours || share > ours))
            status = loom_fail(error, LOOM_INVALID, "%s: its share of the run %s is %g, not %g", folder->path, run,
                               share, ours);
        if (status != LOOM_OK)
            return status;
    }
    return LOOM_OK;
}
