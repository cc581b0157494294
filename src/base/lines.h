/* lines.h - a text in memory, line by line. */
#ifndef LOOM_BASE_LINES_H
#define LOOM_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* Begins as {text, text + size, 0}. */
struct loom_lines {
    const char *at, *end;
    int number; /* of the line that was read last */
};

/* The next line without its end, CR LF or LF; false at the text's end. */
bool loom_lines_next(struct loom_lines *lines, const char **line, size_t *size);

/* At least the number of lines. */
size_t loom_lines_count(const char *text, size_t size);

#endif
