/* parquet.h - the rows of one Parquet file, as DuckDB's program writes them; see duckdb.h.
 *
 * Opening starts the program and waits for nothing, so that the next file's can start while this one's is read. */
#ifndef LOOM_DATA_PARQUET_H
#define LOOM_DATA_PARQUET_H

#include "data/source/duckdb.h"
#include "data/source/record.h"

/* All zero is a closed one. */
struct loom_parquet {
    const struct loom_source *source;
    struct loom_child child;
    struct loom_stream output; /* of the child */
    struct loom_stream stored; /* the file itself, which is hashed beside its rows */
    bool begun;                /* the output's first line has been read */
    uint64_t rows;             /* in the file, by its own account; 0 where it has none */
    uint64_t at;               /* rows that are done */
    char *unpacked;            /* a temporary file: Parquet cannot be read from a stream */
};

/* Starts reading from row `first` on, counted from 0. After a failure it is closed. */
loom_status loom_parquet_open(struct loom_parquet *parquet, const struct loom_source *source,
                              const struct loom_read_options *options, uint64_t first, struct loom_error *error);
/* Appends the next row's text to `buffer` and fills in `record` but for its source; record->row stays 0 at the end. */
loom_status loom_parquet_next(struct loom_parquet *parquet, struct loom_text *buffer, struct loom_record *record,
                              struct loom_error *error);
/* Brings `stored` to the file's end, once all rows have been read; a remote file has none. */
loom_status loom_parquet_read_stored(struct loom_parquet *parquet, struct loom_error *error);
/* How many of the stored bytes the rows so far stand for; 0 where that is not known. */
uint64_t loom_parquet_bytes(const struct loom_parquet *parquet);
void loom_parquet_close(struct loom_parquet *parquet);

#endif
