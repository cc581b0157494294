/* document.h - documents out of sources, piece by piece: a reader walks over all sources in order and hands over
 * records. */
#ifndef LOOM_DATA_DOCUMENT_H
#define LOOM_DATA_DOCUMENT_H

#include "data/source/record.h"

/* How far a reader has come: `row` rows of the source are done and, of the plain text in work, `offset` bytes. */
struct loom_cursor {
    size_t source;
    uint64_t row, offset;
};

struct loom_reader;

/* Starts at `from`; what lies before it in its source is read past. The options and sources must outlive the reader;
 * how a plain text is cut may be set in the options until the first record is asked for. A Parquet file begins to be
 * read at once, by another process. */
loom_status loom_reader_open(struct loom_sources *sources, const struct loom_read_options *options,
                             const struct loom_cursor *from, struct loom_reader **reader, struct loom_error *error);
/* Appends the next record's bytes to `buffer` and describes them; *done at the end of all. After a failure, which names
 * the source, loom_reader_skip can go on. */
loom_status loom_reader_next(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                             bool *done, struct loom_error *error);
/* The source that is read, and how many of its stored bytes have been: 0 where that is not known. */
size_t loom_reader_source(const struct loom_reader *reader, uint64_t *bytes);
/* Goes on behind what could not be read: rows of a Parquet file, or all that was left of the source. *behind is where.
 * Returns the number of rows, and 1 for the rest of a source. */
uint64_t loom_reader_skip(struct loom_reader *reader, struct loom_cursor *behind);
void loom_reader_free(struct loom_reader *reader);

#endif
