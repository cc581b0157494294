/* fuzz_rows.c - libFuzzer target: any bytes as a filter's condition (the first line) and lines of JSON. What is taken
 * must be text in UTF-8. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "data/source/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_row(const struct loom_read_options *options, const char *line, size_t size,
                     struct loom_text *scratch) {
    char name[] = "rows.jsonl";
    struct loom_source source = {.path = name, .format = LOOM_FORMAT_JSONL};
    const struct loom_sources sources = {&source, 1};
    const struct loom_record record = {.row = 1, .size = size, .begins = true, .ends = true, .is_json = true};
    struct loom_piece piece;
    struct loom_error error;
    size_t offset;
    bool taken;
    loom_status status = loom_record_text(options, &sources, &record, line, scratch, &piece, &taken, &error);
    if (status == LOOM_OK && taken && !loom_utf8_check(piece.data, piece.size, &offset))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct loom_filter filter;
    struct loom_text scratch = {.data = NULL};
    const char *at = (const char *)data, *end = at + size;
    const char *newline = size ? memchr(at, '\n', size) : NULL;
    char *condition = strndup(at, newline ? (size_t)(newline - at) : 0);
    const char *const conditions[] = {condition};
    if (condition && loom_filter_open(conditions, condition[0] != '\0', &filter, NULL) == LOOM_OK) {
        const struct loom_read_options options = {.filter = &filter};
        for (at = newline ? newline + 1 : at; at < end; at = newline + 1) {
            newline = memchr(at, '\n', (size_t)(end - at));
            newline = newline ? newline : end;
            read_row(&options, at, (size_t)(newline - at), &scratch);
        }
        loom_filter_free(&filter);
    }
    loom_text_free(&scratch);
    free(condition);
    return 0;
}
