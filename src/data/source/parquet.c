/* parquet.c - see parquet.h. */
#include "data/source/parquet.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 << 10, HEADER_BYTES = 64, HASH_BYTES = 256 << 10 };

static const char *name_of(const struct loom_parquet *parquet) {
    return loom_source_name(parquet->source);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

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

/* Unpacks what the stream gives to a new temporary file: DuckDB reads a file at many places, which a packed one and
 * standard input do not bear. */
static loom_status unpack_stream(struct loom_parquet *parquet, struct loom_stream *stream, struct loom_error *error) {
    const char *folder = getenv("TMPDIR");
    struct loom_text path = {.data = NULL};
    loom_text_append(&path, "%s/loom-parquet-XXXXXX", folder && *folder ? folder : "/tmp");
    if (path.failed)
        return loom_fail_memory(error, name_of(parquet), path.size);
    int descriptor = mkstemp(path.data);
    if (descriptor < 0) {
        loom_status status = loom_fail_system(error, "cannot create", path.data);
        loom_text_free(&path);
        return status;
    }
    parquet->unpacked = path.data;
    loom_status status = LOOM_OK;
    do {
        status = loom_stream_fill(stream, PIECE_BYTES, error);
        if (status == LOOM_OK)
            status = write_all(descriptor, stream->data, stream->size, parquet->unpacked, error);
        loom_stream_take(stream, stream->size);
    } while (status == LOOM_OK && !stream->ended);
    close(descriptor);
    return status;
}

static loom_status unpack(struct loom_parquet *parquet, struct loom_error *error) {
    struct loom_stream stream;
    loom_status status = loom_stream_open(&stream, parquet->source->path, parquet->source->packing, error);
    if (status == LOOM_OK)
        status = unpack_stream(parquet, &stream, error);
    loom_stream_close(&stream);
    return status;
}

static const char *path_of(const struct loom_parquet *parquet) {
    return parquet->unpacked ? parquet->unpacked : parquet->source->path;
}

/* Asks for the rows from parquet->at on. */
static loom_status start_query(struct loom_parquet *parquet, struct loom_error *error) {
    const struct loom_duckdb_query query = {.form = parquet->form,
                                            .path = path_of(parquet),
                                            .remote = parquet->source->remote,
                                            .column = loom_read_column(parquet->options),
                                            .filter = parquet->options->filter,
                                            .first = parquet->at};
    loom_stream_close(&parquet->output);
    loom_child_close(&parquet->child);
    parquet->begun = false;
    loom_status status = loom_duckdb_open(&query, &parquet->child, error);
    if (status == LOOM_OK)
        loom_stream_attach(&parquet->output, parquet->child.output, name_of(parquet));
    return status;
}

static loom_status start(struct loom_parquet *parquet, struct loom_error *error) {
    const struct loom_source *source = parquet->source;
    const bool is_input = loom_source_is_input(source);
    loom_status status = LOOM_OK;
    if (is_input || source->packing != LOOM_PACKING_NONE)
        status = unpack(parquet, error);
    if (status == LOOM_OK && !source->remote)
        status =
            loom_stream_open(&parquet->stored, is_input ? parquet->unpacked : source->path, LOOM_PACKING_NONE, error);
    return status == LOOM_OK ? start_query(parquet, error) : status;
}

loom_status loom_parquet_open(struct loom_parquet *parquet, const struct loom_source *source,
                              const struct loom_read_options *options, uint64_t first, struct loom_error *error) {
    *parquet = (struct loom_parquet){.source = source,
                                     .options = options,
                                     .child = {0, -1, -1},
                                     .output.descriptor = -1,
                                     .stored.descriptor = -1,
                                     .at = first};
    loom_status status = start(parquet, error);
    if (status != LOOM_OK)
        loom_parquet_close(parquet);
    return status;
}

void loom_parquet_close(struct loom_parquet *parquet) {
    if (!parquet->source)
        return;
    loom_stream_close(&parquet->output);
    loom_stream_close(&parquet->stored);
    loom_child_close(&parquet->child);
    if (parquet->unpacked)
        unlink(parquet->unpacked);
    free(parquet->unpacked);
    free(parquet->ends);
    *parquet = (struct loom_parquet){.source = NULL};
}

/* ---- the stored bytes -------------------------------------------------------------------------------------------- */

uint64_t loom_parquet_bytes(const struct loom_parquet *parquet) {
    if (parquet->rows == 0)
        return 0;
    return (uint64_t)((double)parquet->source->bytes * (double)parquet->at / (double)parquet->rows);
}

/* Hashes the file's first `upto` bytes, some at a time: they did not pass through here, but DuckDB has just read them,
 * so that memory still has them. */
static loom_status hash_upto(struct loom_parquet *parquet, uint64_t upto, struct loom_error *error) {
    struct loom_stream *stored = &parquet->stored;
    loom_status status = LOOM_OK;
    while (status == LOOM_OK && !stored->ended && stored->raw < upto) {
        status = loom_stream_fill(stored, HASH_BYTES, error);
        loom_stream_take(stored, stored->size);
    }
    return status;
}

loom_status loom_parquet_read_stored(struct loom_parquet *parquet, struct loom_error *error) {
    return parquet->source->remote ? LOOM_OK : hash_upto(parquet, UINT64_MAX, error);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The first line of the output is the number of rows. */
static loom_status begin(struct loom_parquet *parquet, struct loom_error *error) {
    struct loom_stream *output = &parquet->output;
    loom_status status = loom_stream_fill(output, HEADER_BYTES, error);
    size_t digits = 0;
    parquet->rows = 0;
    for (; status == LOOM_OK && digits < output->size && output->data[digits] != '\n'; digits++)
        parquet->rows = parquet->rows * 10 + (uint64_t)(output->data[digits] - '0');
    if (status == LOOM_OK && digits < output->size)
        loom_stream_take(output, digits + 1);
    parquet->begun = true;
    return status;
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

/* Moves behind `mark` in the place of both length and text. */
static bool read_mark(const char **at, const char *end, char mark) {
    const char marks[] = {mark, '\x1f', mark};
    if ((size_t)(end - *at) < sizeof marks || memcmp(*at, marks, sizeof marks) != 0)
        return false;
    *at += sizeof marks;
    return true;
}

/* What stands before the text of a row. */
struct header {
    uint64_t row, size;
    bool is_null, is_filtered;
    size_t length;
};

static bool read_header(const struct loom_stream *stream, struct header *header) {
    const char *at = stream->data, *end = at + (stream->size < HEADER_BYTES ? stream->size : HEADER_BYTES);
    *header = (struct header){0};
    if (!read_number(&at, end, &header->row))
        return false;
    header->is_null = read_mark(&at, end, '\x1e');
    header->is_filtered = read_mark(&at, end, '\x1d');
    if (!header->is_null && !header->is_filtered && !read_number(&at, end, &header->size))
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

/* Where the row group ends that the next row lies in; 0: there is none. */
static uint64_t group_end(const struct loom_parquet *parquet) {
    for (size_t i = 0; i < parquet->n_ends; i++)
        if (parquet->ends[i] > parquet->at)
            return parquet->ends[i];
    return 0;
}

/* The form of query that tells more about what went wrong; the same one where there is none. */
static enum loom_duckdb_form next_form(struct loom_parquet *parquet, const struct loom_duckdb_end *end) {
    if (parquet->form == LOOM_DUCKDB_FAST && loom_duckdb_end_is_of_text(end) && !parquet->is_text)
        return LOOM_DUCKDB_BYTES;
    if (parquet->form == LOOM_DUCKDB_BYTES && !loom_duckdb_end_is_of_rows(end)) {
        parquet->is_text = true; /* the query does not fit such a column */
        return LOOM_DUCKDB_EXACT;
    }
    return parquet->form == LOOM_DUCKDB_FAST ? LOOM_DUCKDB_EXACT : parquet->form;
}

/* After a query that failed: asks again in another form, or fails and knows where to go on. */
static loom_status ask_again(struct loom_parquet *parquet, const struct loom_duckdb_end *end,
                             struct loom_error *error) {
    if (parquet->form == LOOM_DUCKDB_EXACT && !loom_duckdb_end_is_of_rows(end)) /* a DuckDB that cannot write so */
        return loom_duckdb_fail(&parquet->fault, name_of(parquet), parquet->at + 1, 0, error);
    if (parquet->form == LOOM_DUCKDB_FAST) {
        parquet->fault = *end;
        bool hopeless = !loom_duckdb_end_is_of_rows(end);
        if (!hopeless && !parquet->ends)
            hopeless = loom_duckdb_groups(path_of(parquet), parquet->source->remote, &parquet->ends, &parquet->n_ends,
                                          NULL) != LOOM_OK;
        if (hopeless || group_end(parquet) == 0) {
            loom_status status = loom_duckdb_fail(end, name_of(parquet), parquet->at + 1, 0, error);
            if (loom_duckdb_end_is_of_column(end))
                loom_duckdb_add_columns(path_of(parquet), parquet->source->remote, error);
            return status;
        }
    }
    enum loom_duckdb_form form = next_form(parquet, end);
    if (form == parquet->form) {
        parquet->lost_to = group_end(parquet);
        return loom_duckdb_fail(end, name_of(parquet), parquet->at + 1, parquet->lost_to, error);
    }
    parquet->form = form;
    return start_query(parquet, error);
}

uint64_t loom_parquet_skip(struct loom_parquet *parquet) {
    uint64_t lost = parquet->lost_to > parquet->at ? parquet->lost_to - parquet->at : 0;
    if (lost == 0)
        return 0;
    parquet->at = parquet->lost_to;
    parquet->lost_to = 0;
    parquet->form = parquet->form == LOOM_DUCKDB_BYTES ? LOOM_DUCKDB_BYTES : LOOM_DUCKDB_FAST;
    return start_query(parquet, NULL) == LOOM_OK ? lost : 0;
}

/* DuckDB's output ends for one of two reasons; the child's exit code tells. After a failure the child may be another
 * one, whose output goes on. */
static loom_status end(struct loom_parquet *parquet, struct loom_error *error) {
    struct loom_duckdb_end how;
    loom_duckdb_finish(&parquet->child, &how);
    if (how.code != 0)
        return ask_again(parquet, &how, error);
    if (parquet->output.size > 0)
        return loom_fail(error, LOOM_FAILED, "%s: what DuckDB wrote behind row %" PRIu64 " is not a row",
                         name_of(parquet), parquet->at);
    return LOOM_OK;
}

/* The rows behind the last one that the filter took. */
static void count_rest(struct loom_parquet *parquet, struct loom_record *record) {
    if (parquet->rows <= parquet->at)
        return;
    *record = (struct loom_record){
        .row = parquet->rows, .begins = true, .ends = true, .filtered = parquet->rows - parquet->at, .is_end = true};
    parquet->at = parquet->rows;
}

/* The text of a row whose header has been read, and what describes it; none where the output broke off inside it. */
static loom_status take_row(struct loom_parquet *parquet, const struct header *header, struct loom_text *buffer,
                            struct loom_record *record, struct loom_error *error) {
    struct loom_stream *output = &parquet->output;
    bool too_long = header->size > LOOM_RECORD_MAX;
    loom_status status = too_long ? LOOM_OK : loom_stream_fill(output, (size_t)header->size + 1, error);
    if (status != LOOM_OK)
        return status;
    if (!too_long && output->size <= header->size)
        return end(parquet, error);
    *record = (struct loom_record){.row = header->row + 1,
                                   .start = buffer->size,
                                   .size = too_long ? 0 : (size_t)header->size,
                                   .begins = true,
                                   .ends = true,
                                   .filtered = header->row - parquet->at + header->is_filtered,
                                   .is_end = header->is_filtered,
                                   .fault = too_long          ? LOOM_FAULT_LONG
                                            : header->is_null ? LOOM_FAULT_NULL
                                                              : LOOM_FAULT_NONE};
    parquet->at = record->row;
    loom_text_put(buffer, output->data, record->size);
    return drop_text(output, header->size, error);
}

/* One row, or what is to be known at the end of the output. */
static loom_status next(struct loom_parquet *parquet, struct loom_text *buffer, struct loom_record *record,
                        struct loom_error *error) {
    struct header header;
    loom_status status = parquet->begun ? LOOM_OK : begin(parquet, error);
    if (status == LOOM_OK)
        status = loom_stream_fill(&parquet->output, HEADER_BYTES, error);
    if (status == LOOM_OK && !parquet->source->remote &&
        loom_parquet_bytes(parquet) >= parquet->stored.raw + HASH_BYTES)
        status = hash_upto(parquet, loom_parquet_bytes(parquet), error);
    if (status != LOOM_OK)
        return status;
    if (parquet->output.size > 0 && read_header(&parquet->output, &header)) {
        loom_stream_take(&parquet->output, header.length);
        return take_row(parquet, &header, buffer, record, error);
    }
    if (parquet->child.process)
        status = end(parquet, error);
    if (status == LOOM_OK && !parquet->child.process)
        count_rest(parquet, record);
    return status;
}

loom_status loom_parquet_next(struct loom_parquet *parquet, struct loom_text *buffer, struct loom_record *record,
                              struct loom_error *error) {
    loom_status status;
    do
        status = next(parquet, buffer, record, error);
    while (status == LOOM_OK && record->row == 0 && parquet->child.process);
    return status;
}
