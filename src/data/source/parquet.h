/* parquet.h - the rows of one Parquet file, as DuckDB's program writes them; see duckdb.h.
 *
 * Opening starts the program and waits for nothing, so that the next file's can start while this one's is read. What
 * DuckDB cannot read is as small a part as can be: of bytes that should be text the row; of a broken page, what its row
 * group holds from there on. Which rows these are follows from the file alone, not from where reading began. */
#ifndef LOOM_DATA_PARQUET_H
#define LOOM_DATA_PARQUET_H

#include "data/source/duckdb.h"
#include "data/source/record.h"

/* All zero is a closed one. */
struct loom_parquet {
    const struct loom_source *source;
    const struct loom_read_options *options;
    struct loom_child child;
    struct loom_stream output; /* of the child */
    struct loom_stream stored; /* the file itself, which is hashed beside its rows */
    bool begun;                /* the output's first line has been read */
    uint64_t rows;             /* in the file, by its own account; 0 where it has none */
    uint64_t at;               /* rows that are done */
    char *unpacked;            /* a temporary file: Parquet cannot be read from a stream */
    /* When something is broken: */
    enum loom_duckdb_form form;
    struct loom_duckdb_end fault; /* of the fast form */
    bool is_text;                 /* the column is text by the file's own account */
    uint64_t *ends;               /* of row groups; asked for at the first failure */
    size_t n_ends;
    uint64_t lost_to; /* rows up to this one have been lost; 0: it is not known where to go on */
};

/* Starts reading from row `first` on, counted from 0. After a failure it is closed. */
loom_status loom_parquet_open(struct loom_parquet *parquet, const struct loom_source *source,
                              const struct loom_read_options *options, uint64_t first, struct loom_error *error);
/* Appends the next row's text to `buffer` and fills in `record` but for its source; record->row stays 0 at the end.
 * After a failure loom_parquet_skip may go on. */
loom_status loom_parquet_next(struct loom_parquet *parquet, struct loom_text *buffer, struct loom_record *record,
                              struct loom_error *error);
/* Brings `stored` to the file's end, once all rows have been read; a remote file has none. */
loom_status loom_parquet_read_stored(struct loom_parquet *parquet, struct loom_error *error);
/* How many of the stored bytes the rows so far stand for; 0 where that is not known. */
uint64_t loom_parquet_bytes(const struct loom_parquet *parquet);
/* Goes on behind what could not be read; returns the number of rows that are lost, 0 where no more can be read. */
uint64_t loom_parquet_skip(struct loom_parquet *parquet);
void loom_parquet_close(struct loom_parquet *parquet);

#endif
