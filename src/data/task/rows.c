/* rows.c - see rows.h. */
#include "data/task/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

static const size_t file_limit = (size_t)1 << 30;

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

static loom_status give(struct walk *w, json_t *row, struct loom_error *error) {
    if (!json_is_object(row))
        return loom_fail(error, LOOM_INVALID, "%s: not a JSON object", w->name.data);
    return w->on_row(w->user, row, w->name.data, error);
}

static loom_status walk_lines(struct walk *w, const char *text, size_t size, struct loom_error *error) {
    loom_status status = LOOM_OK;
    const char *end = text + size;
    for (size_t number = 1; text < end && status == LOOM_OK; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text)), *stop = newline ? newline : end;
        json_t *row = NULL;
        if (strspn(text, " \t\r") < (size_t)(stop - text)) {
            status = name_row(w, number, error);
            if (status == LOOM_OK)
                status = loom_json_parse(text, (size_t)(stop - text), w->name.data, &row, error);
            if (status == LOOM_OK)
                status = give(w, row, error);
            json_decref(row);
        }
        text = stop + 1;
    }
    return status;
}

static loom_status walk_array(struct walk *w, const char *text, size_t size, struct loom_error *error) {
    json_t *whole;
    loom_status status = loom_json_parse(text, size, w->path, &whole, error);
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
    char *text;
    size_t size, length = strlen(path);
    loom_status status = loom_file_read(path, file_limit, &text, &size, error);
    if (status)
        return status;
    bool whole = length > 5 && strcmp(path + length - 5, ".json") == 0;
    status = whole ? walk_array(&w, text, size, error) : walk_lines(&w, text, size, error);
    loom_text_free(&w.name);
    free(text);
    return status;
}
