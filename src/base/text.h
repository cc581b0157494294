/* text.h - a string that grows.
 *
 * Text is put together by many small appends, and an allocation may fail in any of them. The failure is remembered in
 * the text itself: later appends do nothing, and the writer asks once, at the end. */
#ifndef LOOM_BASE_TEXT_H
#define LOOM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty text. `data` ends with a NUL byte beyond `size`, and is NULL before the first append. */
struct loom_text {
    char *data;
    size_t size, capacity;
    bool failed; /* an allocation failed: the text is not whole */
};

void loom_text_put(struct loom_text *text, const char *data, size_t size);

/* printf at the end of the text. */
__attribute__((format(printf, 2, 3))) void loom_text_append(struct loom_text *text, const char *format, ...);

/* Puts bytes of any kind as valid UTF-8: every byte that is no part of a character becomes U+FFFD. */
void loom_text_put_utf8(struct loom_text *text, const char *data, size_t size);

/* Puts bytes of any kind as HTML text that is safe between tags and inside a quoted attribute. Control characters other
 * than newline and tab, which HTML cannot hold, become U+FFFD too. */
void loom_text_put_html(struct loom_text *text, const char *data, size_t size);

/* `after` in the place of every `before`, from the left. */
void loom_text_substitute(struct loom_text *text, const char *before, const char *after);

/* Frees the bytes and leaves an empty text. */
void loom_text_free(struct loom_text *text);

#endif
