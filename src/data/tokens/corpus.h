/* corpus.h - what a run learns from: a token folder, or several that are mixed by weight.
 *
 * Weights become whole slots of a period, by largest remainder, so that shares are exact and the folder of any sample
 * is found without walking there. All folders must mean the same by a token. */
#ifndef LOOM_DATA_CORPUS_H
#define LOOM_DATA_CORPUS_H

#include "base/json.h"
#include "data/tokens/tokens.h"

/* Samples in a period. */
enum { LOOM_MIX_SLOTS = 4096 };

struct loom_corpus_folder {
    const char *path; /* the caller's */
    struct loom_tokens *tokens;
    int slots; /* of LOOM_MIX_SLOTS */
};

struct loom_corpus {
    struct loom_corpus_folder *folders;
    size_t n_folders;
};

/* Opens `count` folders, at least one. `mix` holds their weights, above 0, whose sum may be anything; NULL: by training
 * tokens. LOOM_INVALID when a weight is less than half a slot or a folder's tokenizer is another than the first's. */
loom_status loom_corpus_open(const char *const *paths, const double *mix, size_t count, struct loom_corpus *corpus,
                             struct loom_error *error);
void loom_corpus_close(struct loom_corpus *corpus);

/* What a run records of its corpus: counts, and each folder's path, share, counts and hash. NULL when memory is short.
 */
json_t *loom_corpus_record(const struct loom_corpus *corpus);
/* The shares of a record of `count` folders, as weights; false when it has not so many. */
bool loom_corpus_recorded_mix(const json_t *record, size_t count, double *mix);
/* LOOM_INVALID unless the corpus has the record's tokens in the record's shares; `run` is the run's name. */
loom_status loom_corpus_check_record(const struct loom_corpus *corpus, const json_t *record, const char *run,
                                     struct loom_error *error);

/* The tokenizer of all folders; the corpus'. */
struct loom_tokenizer *loom_corpus_tokenizer(const struct loom_corpus *corpus);
/* Tokens of a split in all folders. */
uint64_t loom_corpus_tokens(const struct loom_corpus *corpus, enum loom_split split);

#endif
