/* rows.c - see rows.h. */
#include "data/task/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/source/source.h"

static const size_t file_limit = (size_t)1 << 30, row_limit = 32 << 20;

struct walk {
    const char *path;
    loom_row_function on_row;
    void *user;
    struct loom_text name; /* of the row at hand */
};

static loom_status name_row(struct walk *w, size_t number, struct loom_error *error) {
    w->name.size = 0;
    loom_text_append(&w->name, "%s: row %zu", w->path, number);
    return w->name.failed ? loom_fail_memory(error, w->path, strlen(w->path)) : LOOM_OK;
}

/* Python writes NaN for what a table lacks, where JSON has null. False when there is none outside of strings. */
static bool replace_nan(const char *text, size_t size, struct loom_text *out) {
    bool inside = false, found = false;
    for (size_t i = 0; i < size; i++) {
        bool nan = !inside && size - i >= 3 && memcmp(text + i, "NaN", 3) == 0;
        loom_text_put(out, nan ? "null" : text + i, nan ? 4 : 1);
        found = found || nan;
        i += nan ? 2 : 0;
        if (inside && text[i] == '\\' && i + 1 < size)
            loom_text_put(out, text + ++i, 1);
        else if (text[i] == '"')
            inside = !inside;
    }
    return found && !out->failed;
}

/* Rows come from many hands: what strict JSON refuses is read where it is clear what is meant. */
static loom_status parse(const char *text, size_t size, const char *name, json_t **json, struct loom_error *error) {
    struct loom_text clean = {0};
    json_error_t fault;
    loom_status status = loom_json_parse(text, size, name, json, error);
    if (status != LOOM_FAILED)
        return status;
    *json = loom_json_load(text, size, JSON_REJECT_DUPLICATES, &fault);
    if (!*json && replace_nan(text, size, &clean))
        *json = loom_json_load(clean.data, clean.size, JSON_REJECT_DUPLICATES, &fault);
    loom_text_free(&clean);
    return *json ? LOOM_OK : status;
}

static loom_status give(struct walk *w, json_t *row, struct loom_error *error) {
    if (!json_is_object(row))
        return loom_fail(error, LOOM_INVALID, "%s: not a JSON object", w->name.data);
    return w->on_row(w->user, row, w->name.data, error);
}

static loom_status walk_lines(struct walk *w, struct loom_stream *stream, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t number = 1; status == LOOM_OK; number++) {
        struct loom_line line;
        json_t *row = NULL;
        status = loom_stream_line(stream, row_limit, &line, error);
        if (status || line.none)
            return status;
        if (!line.blank)
            status = name_row(w, number, error);
        if (status == LOOM_OK && line.too_long)
            status = loom_fail(error, LOOM_INVALID, "%s is longer than %zu bytes", w->name.data, row_limit);
        if (status == LOOM_OK && !line.blank)
            status = parse(stream->data, line.size, w->name.data, &row, error);
        if (status == LOOM_OK && !line.blank)
            status = give(w, row, error);
        json_decref(row);
        loom_stream_take(stream, line.size + line.newline);
    }
    return status;
}

/* The whole file into the window. */
static loom_status read_whole(struct walk *w, struct loom_stream *stream, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t want = (size_t)1 << 16; status == LOOM_OK && !stream->ended; want = 2 * stream->size) {
        status = loom_stream_fill(stream, want, error);
        if (status == LOOM_OK && stream->size > file_limit)
            status = loom_fail(error, LOOM_INVALID, "%s is longer than %zu bytes", w->path, file_limit);
    }
    return status;
}

static loom_status walk_array(struct walk *w, const char *text, size_t size, struct loom_error *error) {
    json_t *whole;
    loom_status status = parse(text, size, w->path, &whole, error);
    if (status)
        return status;
    const json_t *rows = json_is_object(whole) ? json_object_get(whole, "examples") : whole;
    if (!json_is_array(rows))
        status =
            loom_fail(error, LOOM_INVALID, "%s: neither an array of rows nor an object with \"examples\"", w->path);
    for (size_t i = 0; status == LOOM_OK && i < json_array_size(rows); i++) {
        status = name_row(w, i + 1, error);
        if (status == LOOM_OK)
            status = give(w, json_array_get(rows, i), error);
    }
    json_decref(whole);
    return status;
}

loom_status loom_rows_each(const char *path, loom_row_function on_row, void *user, struct loom_error *error) {
    struct walk w = {.path = path, .on_row = on_row, .user = user};
    struct loom_stream stream;
    size_t length = strlen(path);
    enum loom_packing packing = loom_packing_of(path, &length);
    loom_status status = loom_stream_open(&stream, path, packing, error);
    if (status)
        return status;
    bool whole = length > 5 && strncmp(path + length - 5, ".json", 5) == 0;
    status = whole ? read_whole(&w, &stream, error) : loom_stream_fill(&stream, 3, error);
    if (status == LOOM_OK)
        loom_stream_take(&stream, loom_stream_mark(stream.data, stream.size));
    if (status == LOOM_OK)
        status = whole ? walk_array(&w, stream.data, stream.size, error) : walk_lines(&w, &stream, error);
    loom_text_free(&w.name);
    loom_stream_close(&stream);
    return status;
}
