/* document.h - documents out of sources, piece by piece.
 *
 * A plain text is one document, however long; each line of a .jsonl and each row of a Parquet file is one. A reader
 * walks over all sources in order and hands over records: a stretch of a plain text, or a row as it lies in the source.
 * What takes time, reading a row's JSON, is a function of the record alone, so that threads can share it.
 *
 * Memory is bounded whatever the sources' size: no record is longer than LOOM_RECORD_MAX, and one that would be is
 * handed over as a fault. */
#ifndef LOOM_DATA_DOCUMENT_H
#define LOOM_DATA_DOCUMENT_H

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
    bool is_end;           /* not a row: only `filtered` tells something */
    enum loom_fault fault; /* without bytes then */
};

struct loom_read_options {
    const char *column;               /* that holds the text; NULL: "text" */
    const struct loom_filter *filter; /* for rows; not NULL */
    /* Where a plain text may be cut, as loom_tokenizer_cut says; NULL: between any two characters. */
    size_t (*cut)(const void *context, const char *data, size_t size);
    const void *context;
};

const char *loom_read_column(const struct loom_read_options *options);

/* How far a reader has come: `row` rows of the source are done and, of the plain text in work, `offset` bytes. */
struct loom_cursor {
    size_t source;
    uint64_t row, offset;
};

struct loom_reader;

/* Starts at `from`; what lies before it in its source is read past. The options and sources must outlive the reader. */
loom_status loom_reader_open(struct loom_sources *sources, const struct loom_read_options *options,
                             const struct loom_cursor *from, struct loom_reader **reader, struct loom_error *error);
/* Appends the next record's bytes to `buffer` and describes them; *done at the end of all. After a failure, which names
 * the source, the reader can go on behind that source. */
loom_status loom_reader_next(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                             bool *done, struct loom_error *error);
/* The source that is read, and how many of its stored bytes have been: 0 where that is not known. */
size_t loom_reader_source(const struct loom_reader *reader, uint64_t *bytes);
/* Leaves the source that is read: the next record comes from the one behind it. */
void loom_reader_skip(struct loom_reader *reader);
void loom_reader_free(struct loom_reader *reader);

/* The text of a record whose bytes lie at `data`: the bytes themselves, or the column of a line of JSON, which is put
 * into `scratch`. *taken is false when the filter does not hold. Fails with LOOM_FAILED, naming source and row, on what
 * is not a row with such a column. */
loom_status loom_record_text(const struct loom_read_options *options, const struct loom_sources *sources,
                             const struct loom_record *record, const char *data, struct loom_text *scratch,
                             struct loom_piece *piece, bool *taken, struct loom_error *error);

#endif
