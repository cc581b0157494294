/* pipeline.h - text out of sources, through all threads, and on in order.
 *
 * Three stages on a few batches of records: while one batch is worked on, those before it are put away and those behind
 * it are read. Which thread works on a record never shows in the result: records are put in the order in which they lie
 * in the sources. */
#ifndef LOOM_DATA_PIPELINE_H
#define LOOM_DATA_PIPELINE_H

#include "data/source/document.h"
#include "data/source/ids.h"

enum loom_verdict {
    LOOM_TAKEN,
    LOOM_FILTERED,      /* the filter does not hold */
    LOOM_BROKEN,        /* the record is not what it should be */
    LOOM_BROKEN_SOURCE, /* no record: from here on the source, or some of its rows, cannot be read */
};

/* What became of a record. */
struct loom_item {
    struct loom_record record;
    enum loom_verdict verdict;
    uint64_t bytes; /* of text */
    const int *ids; /* what work appended */
    size_t count;
    uint64_t head; /* for work to fill and put to read: a number drawn from the text's head */
    unsigned char content[LOOM_SHA256_BYTES]; /* likewise: the text's hash */
    const char *reason;                       /* BROKEN and BROKEN_SOURCE: a sentence that names source and row */
    uint64_t lost;                            /* BROKEN_SOURCE: rows; 1 for the rest of a source */
    struct loom_cursor behind;                /* BROKEN_SOURCE: where it goes on */
};

struct loom_pipeline {
    struct loom_reader *reader; /* of these sources, with these options */
    struct loom_sources *sources;
    const struct loom_read_options *read;
    int threads; /* at least 1 */
    void *user;
    /* Works on one record's text; `worker` is 0 .. threads-1, and two calls never run at once with the same one. A
     * failure with LOOM_FAILED makes the record broken, any other ends the run. */
    loom_status (*work)(void *user, int worker, const struct loom_piece *piece, struct loom_item *item,
                        struct loom_ids *ids, struct loom_error *error);
    /* Takes the records one by one, in order; called by the thread that runs the pipeline. */
    loom_status (*put)(void *user, const struct loom_item *item, struct loom_error *error);
    /* Called after each batch by the thread that runs the pipeline, between puts and while nothing is read: `bytes` of
     * the stored bytes of source `source` have been read. NULL: not called. */
    loom_status (*tick)(void *user, size_t source, uint64_t bytes, struct loom_error *error);
};

/* Runs all records through; returns the first failure of any stage. */
loom_status loom_pipeline_run(const struct loom_pipeline *pipeline, struct loom_error *error);

#endif
