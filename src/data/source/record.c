/* record.c - see record.h. */
#include "data/source/record.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"

const char *loom_read_column(const struct loom_read_options *options) {
    return options->column ? options->column : "text";
}

static loom_status fault(const struct loom_piece *piece, const struct loom_record *record, const char *reason,
                         struct loom_error *error) {
    return loom_fail(error, LOOM_FAILED, "%s, row %" PRIu64 ": %s", piece->name, record->row, reason);
}

/* What the row holds in the column, put into `scratch`. */
static loom_status take_column(const struct loom_read_options *options, const json_t *row,
                               const struct loom_record *record, struct loom_text *scratch, struct loom_piece *piece,
                               bool *taken, struct loom_error *error) {
    struct loom_error why;
    const json_t *text = json_object_get(row, loom_read_column(options));
    if (!json_is_object(row))
        return fault(piece, record, "it is not a JSON object", error);
    if (loom_filter_json(options->filter, row, taken, &why) != LOOM_OK)
        return fault(piece, record, why.text, error);
    if (!*taken)
        return LOOM_OK;
    if (json_is_null(text))
        return fault(piece, record, "its text is null", error);
    if (!json_is_string(text))
        return loom_fail(error, LOOM_FAILED, "%s, row %" PRIu64 ": it has no text in the column \"%s\"%s", piece->name,
                         record->row, loom_read_column(options), text ? ", but something else" : "");
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
    const size_t skipped = record->row == 1 ? loom_stream_mark(data, record->size) : 0;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY;
    json_t *row = loom_json_load(data + skipped, record->size - skipped, flags, &problem);
    if (!row && loom_json_lacks_memory(&problem))
        return loom_fail_memory(error, piece->name, record->size);
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
