/* lines.c - see lines.h. */
#include "base/lines.h"

#include <string.h>

bool loom_lines_next(struct loom_lines *lines, const char **line, size_t *size) {
    if (lines->at == lines->end)
        return false;
    const char *stop = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    *line = lines->at;
    *size = (size_t)((stop ? stop : lines->end) - lines->at);
    lines->at = stop ? stop + 1 : lines->end;
    lines->number++;
    if (*size > 0 && (*line)[*size - 1] == '\r')
        --*size;
    return true;
}

size_t loom_lines_count(const char *text, size_t size) {
    size_t count = 1;
    for (const char *at = text, *end = text + size; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        count++;
    return count;
}
