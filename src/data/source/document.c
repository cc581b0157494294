/* document.c - see document.h. */
#include "data/source/document.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "data/source/parquet.h"

enum { PIECE_BYTES = 256 << 10 };

struct loom_reader {
    struct loom_sources *sources;
    const struct loom_read_options *options;
    struct loom_cursor at;
    bool open;
    struct loom_stream stream;    /* of the source; not of Parquet */
    struct loom_parquet parquet;  /* the source, if it is one */
    struct loom_parquet upcoming; /* the source behind it, if its reading has been started */
};

static struct loom_source *source_of(const struct loom_reader *reader) {
    return &reader->sources->items[reader->at.source];
}

static const char *name_of(const struct loom_reader *reader) {
    return loom_source_name(source_of(reader));
}

/* ---- plain text -------------------------------------------------------------------------------------------------- */

/* The longest prefix of a text that goes on behind data[0..size) which may be handed over by itself. */
static size_t cut_text(const struct loom_reader *reader, const char *data, size_t size) {
    if (reader->options->cut)
        return reader->options->cut(reader->options->context, data, size);
    return size - loom_utf8_unfinished(data, size);
}

static loom_status skip_text(struct loom_reader *reader, struct loom_error *error) {
    uint64_t left = reader->at.offset;
    loom_status status = LOOM_OK;
    while (status == LOOM_OK && left > 0) {
        status = loom_stream_fill(&reader->stream, PIECE_BYTES, error);
        size_t step = reader->stream.size < left ? reader->stream.size : (size_t)left;
        if (status == LOOM_OK && step == 0)
            status = loom_fail(error, LOOM_FAILED, "%s has become shorter than the %" PRIu64 " bytes already read",
                               name_of(reader), reader->at.offset);
        loom_stream_take(&reader->stream, step);
        left -= step;
    }
    return status;
}

/* How much of the window is the next piece: all when the text ends there. A place to cut is looked for in ever longer
 * windows; 0 when there is none in LOOM_RECORD_MAX bytes. */
static loom_status measure_piece(struct loom_reader *reader, size_t *size, bool *ends, struct loom_error *error) {
    struct loom_stream *stream = &reader->stream;
    *size = 0;
    *ends = false;
    for (size_t window = PIECE_BYTES; *size == 0 && window <= LOOM_RECORD_MAX; window += window) {
        loom_status status = loom_stream_fill(stream, window + 1, error); /* one more tells whether the text ends */
        if (status != LOOM_OK)
            return status;
        *ends = stream->size <= window;
        *size = *ends ? stream->size : cut_text(reader, stream->data, window);
        if (*ends)
            break;
    }
    return LOOM_OK;
}

static loom_status next_text(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                             struct loom_error *error) {
    size_t size;
    bool ends;
    if (reader->at.row > 0)
        return LOOM_OK;
    loom_status status = measure_piece(reader, &size, &ends, error);
    if (status == LOOM_OK && size == 0 && !ends)
        status = loom_fail(error, LOOM_FAILED, "%s: from byte %" PRIu64 " on there are %d bytes without a place to cut",
                           name_of(reader), reader->at.offset, LOOM_RECORD_MAX);
    if (status != LOOM_OK)
        return status;
    *record = (struct loom_record){.source = reader->at.source,
                                   .row = 1,
                                   .offset = reader->at.offset,
                                   .start = buffer->size,
                                   .size = size,
                                   .begins = reader->at.offset == 0,
                                   .ends = ends};
    loom_text_put(buffer, reader->stream.data, size);
    loom_stream_take(&reader->stream, size);
    reader->at.offset += size;
    reader->at.row = ends;
    return LOOM_OK;
}

/* ---- lines of JSON ----------------------------------------------------------------------------------------------- */

/* Reads past the rest of a line that is too long. */
static loom_status drop_line(struct loom_stream *stream, struct loom_error *error) {
    for (;;) {
        const char *end = memchr(stream->data, '\n', stream->size);
        loom_stream_take(stream, end ? (size_t)(end - stream->data) + 1 : stream->size);
        if (end)
            return LOOM_OK;
        loom_status status = loom_stream_fill(stream, PIECE_BYTES, error);
        if (status != LOOM_OK || stream->size == 0)
            return status;
    }
}

/* One line: *found tells whether it is a row, and not blank; *over that there is no line left. With `buffer` NULL it is
 * only read past. */
static loom_status read_line(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                             bool *found, bool *over, struct loom_error *error) {
    struct loom_line line;
    struct loom_stream *stream = &reader->stream;
    loom_status status = loom_stream_line(stream, LOOM_RECORD_MAX, &line, error);
    *over = status == LOOM_OK && line.none;
    *found = false;
    if (status != LOOM_OK || *over)
        return status;
    reader->at.row++;
    *found = !line.blank;
    if (*found && buffer) {
        *record = (struct loom_record){.source = reader->at.source,
                                       .row = reader->at.row,
                                       .start = buffer->size,
                                       .size = line.too_long ? 0 : line.size,
                                       .begins = true,
                                       .ends = true,
                                       .is_json = true,
                                       .fault = line.too_long ? LOOM_FAULT_LONG : LOOM_FAULT_NONE};
        loom_text_put(buffer, stream->data, record->size);
    }
    if (line.too_long && !line.newline)
        return drop_line(stream, error);
    loom_stream_take(stream, line.size + line.newline);
    return LOOM_OK;
}

static loom_status skip_lines(struct loom_reader *reader, struct loom_error *error) {
    uint64_t wanted = reader->at.row;
    bool found, over = false;
    loom_status status = LOOM_OK;
    for (reader->at.row = 0; status == LOOM_OK && !over && reader->at.row < wanted;)
        status = read_line(reader, NULL, NULL, &found, &over, error);
    if (over)
        status = loom_fail(error, LOOM_FAILED, "%s has become shorter than the %" PRIu64 " rows already read",
                           name_of(reader), wanted);
    return status;
}

static loom_status next_line(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                             struct loom_error *error) {
    bool found = false, over = false;
    loom_status status = LOOM_OK;
    while (status == LOOM_OK && !found && !over)
        status = read_line(reader, buffer, record, &found, &over, error);
    return status;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static bool is_parquet(const struct loom_source *source) {
    return source->format == LOOM_FORMAT_PARQUET;
}

static void close_source(struct loom_reader *reader) {
    if (!reader->open)
        return;
    loom_stream_close(&reader->stream);
    loom_parquet_close(&reader->parquet);
    reader->open = false;
}

static void leave_source(struct loom_reader *reader) {
    close_source(reader);
    reader->at = (struct loom_cursor){reader->at.source + 1, 0, 0};
}

/* Starts reading a source ahead of its turn, if it is a Parquet file that lies there as it is: DuckDB takes a tenth of
 * a second to begin. A failure is for its own turn. */
static void start_upcoming(struct loom_reader *reader, size_t index, uint64_t row) {
    if (index >= reader->sources->count)
        return;
    const struct loom_source *source = &reader->sources->items[index];
    if (is_parquet(source) && source->packing == LOOM_PACKING_NONE && !loom_source_is_input(source))
        (void)loom_parquet_open(&reader->upcoming, source, reader->options, row, NULL);
}

static loom_status open_parquet(struct loom_reader *reader, struct loom_error *error) {
    const struct loom_source *source = source_of(reader);
    loom_status status = LOOM_OK;
    if (reader->upcoming.source == source) {
        reader->parquet = reader->upcoming;
        reader->upcoming = (struct loom_parquet){.source = NULL};
    } else
        status = loom_parquet_open(&reader->parquet, source, reader->options, reader->at.row, error);
    if (status == LOOM_OK)
        start_upcoming(reader, reader->at.source + 1, 0);
    return status;
}

static loom_status open_source(struct loom_reader *reader, struct loom_error *error) {
    const struct loom_source *source = source_of(reader);
    reader->stream = (struct loom_stream){.descriptor = -1};
    reader->open = true;
    if (is_parquet(source))
        return open_parquet(reader, error);
    loom_status status = loom_stream_open(&reader->stream, source->path, source->packing, error);
    if (status != LOOM_OK)
        return status;
    return source->format == LOOM_FORMAT_JSONL ? skip_lines(reader, error) : skip_text(reader, error);
}

/* A source whose stored bytes have been read to the end has its hash, and must be as long as it was found to be. */
static loom_status end_source(struct loom_reader *reader, struct loom_error *error) {
    struct loom_source *source = source_of(reader);
    struct loom_stream *stored = is_parquet(source) ? &reader->parquet.stored : &reader->stream;
    if (is_parquet(source)) {
        loom_status status = loom_parquet_read_stored(&reader->parquet, error);
        if (status != LOOM_OK)
            return status;
    }
    if (source->bytes && stored->raw != source->bytes)
        return loom_fail(error, LOOM_FAILED, "%s had %" PRIu64 " bytes and now has %" PRIu64 ": it changed meanwhile",
                         source->path, source->bytes, stored->raw);
    if (!source->remote)
        loom_stream_hash(stored, source->sha256);
    source->bytes = stored->raw;
    leave_source(reader);
    return LOOM_OK;
}

uint64_t loom_reader_skip(struct loom_reader *reader, struct loom_cursor *behind) {
    uint64_t lost = reader->open && is_parquet(source_of(reader)) ? loom_parquet_skip(&reader->parquet) : 0;
    if (lost > 0)
        reader->at.row = reader->parquet.at;
    else
        leave_source(reader);
    *behind = reader->at;
    return lost > 0 ? lost : 1;
}

static loom_status next_row(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                            struct loom_error *error) {
    loom_status status = loom_parquet_next(&reader->parquet, buffer, record, error);
    record->source = reader->at.source;
    reader->at.row = reader->parquet.at;
    return status;
}

static loom_status next_record(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                               struct loom_error *error) {
    switch (source_of(reader)->format) {
    case LOOM_FORMAT_JSONL:
        return next_line(reader, buffer, record, error);
    case LOOM_FORMAT_PARQUET:
        return next_row(reader, buffer, record, error);
    default:
        return next_text(reader, buffer, record, error);
    }
}

loom_status loom_reader_next(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                             bool *done, struct loom_error *error) {
    loom_status status = LOOM_OK;
    *record = (struct loom_record){0};
    while (status == LOOM_OK && record->row == 0 && reader->at.source < reader->sources->count) {
        if (source_of(reader)->left_out) {
            leave_source(reader);
            continue;
        }
        if (!reader->open)
            status = open_source(reader, error);
        if (status == LOOM_OK)
            status = next_record(reader, buffer, record, error);
        if (status == LOOM_OK && record->row == 0)
            status = end_source(reader, error);
    }
    if (status == LOOM_OK && buffer->failed)
        status = loom_fail_memory(error, "text", buffer->size);
    *done = status == LOOM_OK && record->row == 0;
    return status;
}

size_t loom_reader_source(const struct loom_reader *reader, uint64_t *bytes) {
    *bytes = 0;
    if (!reader->open)
        return reader->at.source;
    *bytes = is_parquet(source_of(reader)) ? loom_parquet_bytes(&reader->parquet) : reader->stream.raw;
    return reader->at.source;
}

loom_status loom_reader_open(struct loom_sources *sources, const struct loom_read_options *options,
                             const struct loom_cursor *from, struct loom_reader **reader, struct loom_error *error) {
    *reader = calloc(1, sizeof **reader);
    if (!*reader)
        return loom_fail_memory(error, "reader", sizeof **reader);
    **reader = (struct loom_reader){.sources = sources, .options = options, .at = *from};
    start_upcoming(*reader, from->source, from->row);
    return LOOM_OK;
}

void loom_reader_free(struct loom_reader *reader) {
    if (!reader)
        return;
    close_source(reader);
    loom_parquet_close(&reader->upcoming);
    free(reader);
}
