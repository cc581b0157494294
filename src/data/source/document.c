/* document.c - see document.h. */
#include "data/source/document.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/utf8.h"
#include "data/source/duckdb.h"

enum { PIECE_BYTES = 256 << 10, HEADER_BYTES = 64, HASH_BYTES = 1 << 20 };

struct loom_reader {
    struct loom_sources *sources;
    const struct loom_read_options *options;
    struct loom_cursor at;
    bool open;
    struct loom_stream stream; /* of the source, or of the child's output */
    struct loom_child child;   /* DuckDB, for Parquet */
    uint64_t rows;             /* in the Parquet file, by its own account; 0 where it has none */
    char *unpacked;            /* a temporary file: Parquet cannot be read from a stream */
};

static struct loom_source *source_of(const struct loom_reader *reader) {
    return &reader->sources->items[reader->at.source];
}

static const char *name_of(const struct loom_reader *reader) {
    return loom_source_name(source_of(reader));
}

static const char *column_of(const struct loom_read_options *options) {
    return options->column ? options->column : "text";
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

/* The length of the next line without its newline; `newline` tells whether it has one. A line longer than
 * LOOM_RECORD_MAX is `too_long`, and only its beginning is in the window. */
static loom_status measure_line(struct loom_stream *stream, size_t *size, bool *newline, bool *too_long,
                                struct loom_error *error) {
    size_t seen = 0, want = PIECE_BYTES;
    *too_long = false;
    for (;;) {
        loom_status status = loom_stream_fill(stream, want, error);
        if (status != LOOM_OK)
            return status;
        const char *end = stream->size > seen ? memchr(stream->data + seen, '\n', stream->size - seen) : NULL;
        *newline = end != NULL;
        *size = end ? (size_t)(end - stream->data) : stream->size;
        *too_long = *size > LOOM_RECORD_MAX;
        if (end || stream->ended || *too_long)
            return LOOM_OK;
        seen = stream->size;
        want = 2 * stream->size;
    }
}

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

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", text[i]) || text[i] == '\0')
            return false;
    return true;
}

/* One line: *found tells whether it is a row, and not blank; *over that there is no line left. With `buffer` NULL it is
 * only read past. */
static loom_status read_line(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                             bool *found, bool *over, struct loom_error *error) {
    size_t size;
    bool newline, too_long;
    struct loom_stream *stream = &reader->stream;
    loom_status status = measure_line(stream, &size, &newline, &too_long, error);
    *over = status == LOOM_OK && size == 0 && !newline;
    *found = false;
    if (status != LOOM_OK || *over)
        return status;
    reader->at.row++;
    *found = !is_blank(stream->data, size);
    if (*found && buffer) {
        *record = (struct loom_record){.source = reader->at.source,
                                       .row = reader->at.row,
                                       .start = buffer->size,
                                       .size = too_long ? 0 : size,
                                       .begins = true,
                                       .ends = true,
                                       .is_json = true,
                                       .fault = too_long ? LOOM_FAULT_LONG : LOOM_FAULT_NONE};
        loom_text_put(buffer, stream->data, record->size);
    }
    if (too_long && !newline)
        return drop_line(stream, error);
    loom_stream_take(stream, size + newline);
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

/* ---- Parquet ----------------------------------------------------------------------------------------------------- */

static loom_status write_all(int descriptor, const char *data, size_t size, const char *path,
                             struct loom_error *error) {
    while (size > 0) {
        ssize_t done = write(descriptor, data, size);
        if (done < 0)
            return loom_fail_system(error, "cannot write", path);
        data += done;
        size -= (size_t)done;
    }
    return LOOM_OK;
}

/* Unpacks a .parquet.gz or .parquet.zst to a temporary file. */
static loom_status unpack(struct loom_reader *reader, struct loom_error *error) {
    const char *folder = getenv("TMPDIR");
    struct loom_text path = {.data = NULL};
    loom_text_append(&path, "%s/loom-parquet-XXXXXX", folder && *folder ? folder : "/tmp");
    if (path.failed)
        return loom_fail_memory(error, name_of(reader), path.size);
    int descriptor = mkstemp(path.data);
    if (descriptor < 0) {
        loom_status status = loom_fail_system(error, "cannot create", path.data);
        loom_text_free(&path);
        return status;
    }
    reader->unpacked = path.data;
    loom_status status = LOOM_OK;
    do {
        status = loom_stream_fill(&reader->stream, PIECE_BYTES, error);
        if (status == LOOM_OK)
            status = write_all(descriptor, reader->stream.data, reader->stream.size, reader->unpacked, error);
        loom_stream_take(&reader->stream, reader->stream.size);
    } while (status == LOOM_OK && !reader->stream.ended);
    close(descriptor);
    return status;
}

/* The first line of the output is the number of rows. */
static loom_status read_rows(struct loom_reader *reader, struct loom_error *error) {
    struct loom_stream *stream = &reader->stream;
    loom_status status = loom_stream_fill(stream, HEADER_BYTES, error);
    size_t digits = 0;
    for (; status == LOOM_OK && digits < stream->size && stream->data[digits] != '\n'; digits++)
        reader->rows = reader->rows * 10 + (uint64_t)(stream->data[digits] - '0');
    if (status == LOOM_OK && digits < stream->size)
        loom_stream_take(stream, digits + 1);
    return status;
}

/* DuckDB reads the file; a packed one is unpacked for it first. */
static loom_status open_parquet(struct loom_reader *reader, struct loom_error *error) {
    struct loom_source *source = source_of(reader);
    loom_status status = LOOM_OK;
    if (source->packing != LOOM_PACKING_NONE) {
        status = loom_stream_open(&reader->stream, source->path, source->packing, error);
        if (status == LOOM_OK)
            status = unpack(reader, error);
        loom_stream_close(&reader->stream);
    }
    const struct loom_duckdb_query query = {.path = reader->unpacked ? reader->unpacked : source->path,
                                            .remote = source->remote,
                                            .column = column_of(reader->options),
                                            .filter = reader->options->filter,
                                            .first = reader->at.row};
    if (status == LOOM_OK)
        status = loom_duckdb_open(&query, &reader->child, error);
    if (status == LOOM_OK)
        status = loom_stream_attach(&reader->stream, reader->child.output, name_of(reader), error);
    return status == LOOM_OK ? read_rows(reader, error) : status;
}

/* Reads the digits at *at up to the unit separator, and moves behind it. */
static bool read_number(const char **at, const char *end, uint64_t *number) {
    const char *start = *at;
    for (*number = 0; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        *number = *number * 10 + (uint64_t)(**at - '0');
    bool whole = *at > start && *at - start <= 18 && *at < end && **at == '\x1f';
    *at += whole;
    return whole;
}

static bool read_null(const char **at, const char *end) {
    static const char marks[] = "\x1e\x1f\x1e";
    if ((size_t)(end - *at) < sizeof marks - 1 || memcmp(*at, marks, sizeof marks - 1) != 0)
        return false;
    *at += sizeof marks - 1;
    return true;
}

/* What stands before the text of a row. */
struct header {
    uint64_t row, size;
    bool is_null;
    size_t length;
};

static bool read_header(const struct loom_stream *stream, struct header *header) {
    const char *at = stream->data, *end = at + (stream->size < HEADER_BYTES ? stream->size : HEADER_BYTES);
    *header = (struct header){0};
    if (!read_number(&at, end, &header->row))
        return false;
    header->is_null = read_null(&at, end);
    if (!header->is_null && !read_number(&at, end, &header->size))
        return false;
    header->length = (size_t)(at - stream->data);
    return true;
}

/* Moves past `size` bytes of text, which may be more than the window should hold, and the newline behind them. */
static loom_status drop_text(struct loom_stream *stream, uint64_t size, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size++; status == LOOM_OK && size > 0;) {
        status = loom_stream_fill(stream, 1, error);
        size_t step = stream->size < size ? stream->size : (size_t)size;
        loom_stream_take(stream, step);
        size -= step;
        if (step == 0)
            break;
    }
    return status;
}

/* DuckDB's output ends for one of two reasons; the child's exit code tells. */
static loom_status end_parquet(struct loom_reader *reader, struct loom_error *error) {
    loom_status status = loom_duckdb_finish(&reader->child, name_of(reader), reader->at.row + 1, error);
    if (status == LOOM_OK && reader->stream.size > 0)
        status = loom_fail(error, LOOM_FAILED, "%s: what DuckDB wrote behind row %" PRIu64 " is not a row",
                           name_of(reader), reader->at.row);
    return status;
}

/* The rows behind the last one that the filter took. */
static void count_rest(struct loom_reader *reader, struct loom_record *record) {
    if (reader->rows <= reader->at.row)
        return;
    *record = (struct loom_record){.source = reader->at.source,
                                   .row = reader->rows,
                                   .begins = true,
                                   .ends = true,
                                   .filtered = reader->rows - reader->at.row,
                                   .is_end = true};
    reader->at.row = reader->rows;
}

static loom_status next_row(struct loom_reader *reader, struct loom_text *buffer, struct loom_record *record,
                            struct loom_error *error) {
    struct loom_stream *stream = &reader->stream;
    struct header header;
    loom_status status = loom_stream_fill(stream, HEADER_BYTES, error);
    if (status != LOOM_OK)
        return status;
    if (stream->size == 0 || !read_header(stream, &header)) {
        status = reader->child.process ? end_parquet(reader, error) : LOOM_OK;
        if (status == LOOM_OK)
            count_rest(reader, record);
        return status;
    }
    bool too_long = header.size > LOOM_RECORD_MAX;
    loom_stream_take(stream, header.length);
    if (!too_long)
        status = loom_stream_fill(stream, (size_t)header.size + 1, error);
    if (status == LOOM_OK && !too_long && stream->size <= header.size)
        return end_parquet(reader, error); /* it broke off inside the row */
    uint64_t filtered = header.row - reader->at.row;
    reader->at.row = header.row + 1;
    *record = (struct loom_record){.source = reader->at.source,
                                   .row = reader->at.row,
                                   .start = buffer->size,
                                   .size = too_long ? 0 : (size_t)header.size,
                                   .begins = true,
                                   .ends = true,
                                   .filtered = filtered,
                                   .fault = too_long         ? LOOM_FAULT_LONG
                                            : header.is_null ? LOOM_FAULT_NULL
                                                             : LOOM_FAULT_NONE};
    loom_text_put(buffer, stream->data, record->size);
    return status == LOOM_OK ? drop_text(stream, header.size, error) : status;
}

/* The stored bytes of a Parquet file did not pass through here. */
static loom_status hash_file(struct loom_source *source, struct loom_error *error) {
    struct loom_stream stream;
    loom_status status = loom_stream_open(&stream, source->path, LOOM_PACKING_NONE, error);
    while (status == LOOM_OK && !stream.ended) {
        status = loom_stream_fill(&stream, HASH_BYTES, error);
        loom_stream_take(&stream, stream.size);
    }
    if (status == LOOM_OK)
        loom_stream_hash(&stream, source->sha256);
    loom_stream_close(&stream);
    return status;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static void close_source(struct loom_reader *reader) {
    if (!reader->open)
        return;
    loom_stream_close(&reader->stream);
    loom_child_close(&reader->child);
    if (reader->unpacked)
        unlink(reader->unpacked);
    free(reader->unpacked);
    reader->unpacked = NULL;
    reader->open = false;
}

static loom_status open_source(struct loom_reader *reader, struct loom_error *error) {
    const struct loom_source *source = source_of(reader);
    reader->stream = (struct loom_stream){.descriptor = -1};
    reader->child = (struct loom_child){0, -1, -1};
    reader->rows = 0;
    reader->open = true;
    if (source->format == LOOM_FORMAT_PARQUET)
        return open_parquet(reader, error);
    loom_status status = loom_stream_open(&reader->stream, source->path, source->packing, error);
    if (status != LOOM_OK)
        return status;
    return source->format == LOOM_FORMAT_JSONL ? skip_lines(reader, error) : skip_text(reader, error);
}

/* A source whose stored bytes have been read to the end has its hash, and must be as long as it was found to be. */
static loom_status end_source(struct loom_reader *reader, struct loom_error *error) {
    struct loom_source *source = source_of(reader);
    bool through = source->format != LOOM_FORMAT_PARQUET;
    loom_status status = LOOM_OK;
    if (through && source->bytes && reader->stream.raw != source->bytes)
        return loom_fail(error, LOOM_FAILED, "%s had %" PRIu64 " bytes and now has %" PRIu64 ": it changed meanwhile",
                         source->path, source->bytes, reader->stream.raw);
    if (through) {
        loom_stream_hash(&reader->stream, source->sha256);
        source->bytes = reader->stream.raw;
    } else if (!source->remote)
        status = hash_file(source, error);
    if (status == LOOM_OK)
        loom_reader_skip(reader);
    return status;
}

void loom_reader_skip(struct loom_reader *reader) {
    close_source(reader);
    reader->at = (struct loom_cursor){reader->at.source + 1, 0, 0};
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
            loom_reader_skip(reader);
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
    const struct loom_source *source = source_of(reader);
    if (source->format != LOOM_FORMAT_PARQUET)
        *bytes = reader->stream.raw;
    else if (reader->rows > 0)
        *bytes = (uint64_t)((double)source->bytes * (double)reader->at.row / (double)reader->rows);
    return reader->at.source;
}

loom_status loom_reader_open(struct loom_sources *sources, const struct loom_read_options *options,
                             const struct loom_cursor *from, struct loom_reader **reader, struct loom_error *error) {
    *reader = calloc(1, sizeof **reader);
    if (!*reader)
        return loom_fail_memory(error, "reader", sizeof **reader);
    **reader = (struct loom_reader){.sources = sources, .options = options, .at = *from};
    return LOOM_OK;
}

void loom_reader_free(struct loom_reader *reader) {
    if (!reader)
        return;
    close_source(reader);
    free(reader);
}

/* ---- a record's text --------------------------------------------------------------------------------------------- */

static loom_status fault(const struct loom_piece *piece, const struct loom_record *record, const char *reason,
                         struct loom_error *error) {
    return loom_fail(error, LOOM_FAILED, "%s, row %" PRIu64 ": %s", piece->name, record->row, reason);
}

/* What the row holds in the column, put into `scratch`. */
static loom_status take_column(const struct loom_read_options *options, const json_t *row,
                               const struct loom_record *record, struct loom_text *scratch, struct loom_piece *piece,
                               bool *taken, struct loom_error *error) {
    struct loom_error why;
    const json_t *text = json_object_get(row, column_of(options));
    if (!json_is_object(row))
        return fault(piece, record, "it is not a JSON object", error);
    if (loom_filter_json(options->filter, row, taken, &why) != LOOM_OK)
        return fault(piece, record, why.text, error);
    if (!*taken)
        return LOOM_OK;
    if (!json_is_string(text))
        return loom_fail(error, LOOM_FAILED, "%s, row %" PRIu64 ": it has no text in the column \"%s\"%s", piece->name,
                         record->row, column_of(options), text ? ", but something else" : "");
    loom_text_put(scratch, json_string_value(text), json_string_length(text));
    if (scratch->failed)
        return loom_fail_memory(error, piece->name, json_string_length(text));
    piece->data = scratch->data;
    piece->size = scratch->size;
    return LOOM_OK;
}

static loom_status parse_row(const struct loom_read_options *options, const struct loom_record *record,
                             const char *data, struct loom_text *scratch, struct loom_piece *piece, bool *taken,
                             struct loom_error *error) {
    json_error_t problem;
    json_t *row = json_loadb(data, record->size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &problem);
    if (!row)
        return loom_fail(error, LOOM_FAILED, "%s, row %" PRIu64 ": it is not JSON: %s at byte %d", piece->name,
                         record->row, problem.text, problem.position);
    loom_status status = take_column(options, row, record, scratch, piece, taken, error);
    json_decref(row);
    return status;
}

loom_status loom_record_text(const struct loom_read_options *options, const struct loom_sources *sources,
                             const struct loom_record *record, const char *data, struct loom_text *scratch,
                             struct loom_piece *piece, bool *taken, struct loom_error *error) {
    *piece = (struct loom_piece){data, record->size, loom_source_name(&sources->items[record->source]), record->offset};
    *taken = !record->is_end;
    scratch->size = 0;
    if (record->fault == LOOM_FAULT_NULL)
        return fault(piece, record, "its text is null", error);
    if (record->fault == LOOM_FAULT_LONG)
        return loom_fail(error, LOOM_FAILED, "%s, row %" PRIu64 ": it is longer than %d bytes", piece->name,
                         record->row, LOOM_RECORD_MAX);
    return record->is_json ? parse_row(options, record, data, scratch, piece, taken, error) : LOOM_OK;
}
