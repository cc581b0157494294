/* status.c - see status.h. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Paths, keys and quoted text may hold newlines; a sentence does not. */
static void flatten(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F)
            *text = ' ';
}

loom_status loom_fail(struct loom_error *error, loom_status status, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        flatten(error->text);
    }
    return status;
}

loom_status loom_fail_memory(struct loom_error *error, const char *what, size_t bytes) {
    return loom_fail(error, LOOM_NO_MEMORY, "%s: no memory for %zu bytes", what, bytes);
}

loom_status loom_fail_system(struct loom_error *error, const char *what, const char *path) {
    return loom_fail(error, LOOM_IO, "%s %s: %s", what, path, strerror(errno));
}

const char *loom_version(void) {
    return LOOM_VERSION;
}
