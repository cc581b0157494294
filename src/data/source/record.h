/* record.h - what is read from sources: a stretch of a plain text, or a row as it lies in its source.
 *
 * A plain text is one document, however long; each line of a .jsonl and each row of a Parquet file is one. What takes
 * time, reading a row's JSON, is a function of the record alone, so that threads can share it.
 *
 * Memory is bounded whatever the sources' size: no record is longer than LOOM_RECORD_MAX, and one that would be is
 * handed over as a fault. */
#ifndef LOOM_DATA_RECORD_H
#define LOOM_DATA_RECORD_H

#include "base/text.h"
#include "data/source/filter.h"
#include "data/source/source.h"

enum { LOOM_RECORD_MAX = 32 << 20 };

/* A piece of one document's text. `name` and `offset` are for sentences about it. */
struct loom_piece {
    const char *data;
    size_t size;
    const char *name;
    uint64_t offset; /* of data[0] in the document, in bytes */
};

enum loom_fault { LOOM_FAULT_NONE, LOOM_FAULT_LONG, LOOM_FAULT_NULL };

struct loom_record {
    size_t source;      /* index among the sources */
    uint64_t row;       /* in the source, from 1; a plain text's is 1 */
    uint64_t offset;    /* of the first byte in its document */
    size_t start, size; /* where its bytes lie in the buffer that the reader appended to */
    bool begins, ends;  /* a document */
    bool is_json;
    uint64_t filtered;     /* rows before this one that DuckDB's filter left out */
    bool is_end;           /* no row to take: only `filtered` tells something */
    enum loom_fault fault; /* without bytes then */
};

struct loom_read_options {
    const char *column;               /* that holds the text; NULL: "text" */
    const struct loom_filter *filter; /* for rows; not NULL */
    /* Where a plain text may be cut, as loom_tokenizer_cut says; NULL: between any two characters. */
    size_t (*cut)(const void *context, const char *data, size_t size);
    const void *context;
};

/* The name of that column. */
const char *loom_read_column(const struct loom_read_options *options);

/* The text of a record whose bytes lie at `data`: the bytes themselves, or the column of a line of JSON, which is put
 * into `scratch`. *taken is false when the filter does not hold. Fails with LOOM_FAILED, naming source and row, on what
 * is not a row with such a column. */
loom_status loom_record_text(const struct loom_read_options *options, const struct loom_sources *sources,
                             const struct loom_record *record, const char *data, struct loom_text *scratch,
                             struct loom_piece *piece, bool *taken, struct loom_error *error);

#endif
