/* preparation.h - what the files behind loom_prepare share: prepare.c (from options to the folder), prepare_put.c
 * (documents to tokens) and prepare_progress.c (checkpoints, and going on from them). */
#ifndef LOOM_DATA_PREPARATION_H
#define LOOM_DATA_PREPARATION_H

#include "data/tokens/hashset.h"
#include "data/source/pipeline.h"
#include "data/tokens/tokens.h"

struct loom_preparation {
    const struct loom_prepare_options *options;
    struct loom_prepare_result *result;
    double fraction;
    bool by_document; /* how validation is split off */
    struct loom_filter filter;
    struct loom_sources sources;
    struct loom_read_options read;
    struct loom_reader *reader;
    int threads;
    struct loom_tokenizer *tokenizer;
    struct loom_encoder **encoders; /* (threads) */
    int end_of_text;                /* -1: documents are not ended by a token */
    struct loom_tokens_writer *writer;
    struct loom_hashset seen; /* open when duplicates are removed */
    /* Where the work stands: */
    struct loom_cursor cursor;
    enum loom_split split; /* of the document in work */
    bool dropping;         /* the document in work is a duplicate */
    json_t *skipped;       /* the first sentences about what was left out */
    /* For who watches: */
    double started, saved, shown; /* times */
    double first_share;           /* what was read when this run began, */
    uint64_t first_bytes;         /* and written */
};

/* What decides what is written, for the manifest and to know an unfinished work again; NULL when memory is short. */
json_t *loom_preparation_settings(const struct loom_preparation *p);
/* Each source as it was found: the same files must be there when the work goes on. */
json_t *loom_preparation_sources(const struct loom_preparation *p);

/* The pipeline's functions; `user` is the preparation. */
loom_status loom_preparation_encode(void *user, int worker, const struct loom_piece *piece, struct loom_item *item,
                                    struct loom_ids *ids, struct loom_error *error);
loom_status loom_preparation_put(void *user, const struct loom_item *item, struct loom_error *error);
loom_status loom_preparation_tick(void *user, size_t source, uint64_t bytes, struct loom_error *error);

/* Counts rows that are broken and left out, or something else as one; LOOM_FAILED with its sentence when that was not
 * asked for. */
loom_status loom_preparation_skip(struct loom_preparation *p, const char *reason, uint64_t rows,
                                  struct loom_error *error);

/* Takes up what a checkpoint of the same work says; *hashes is how many documents' hashes it kept. LOOM_INVALID when it
 * is the checkpoint of other work. */
loom_status loom_preparation_go_on(struct loom_preparation *p, const json_t *progress, uint64_t *hashes,
                                   struct loom_error *error);

#endif
