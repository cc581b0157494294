/* text.h - a text that grows, and standard input read into one. */
#ifndef LOOM_PROGRAMS_TEXT_H
#define LOOM_PROGRAMS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty text without data. */
struct text {
    char *data;
    size_t size, capacity;
};

/* Room for `more` bytes and a NUL; false after a printed sentence. */
bool text_reserve(struct text *text, size_t more);
bool text_put(struct text *text, const char *data, size_t size);

/* Appends all of standard input and a NUL byte beyond its size; false after a printed sentence. */
bool text_read_input(struct text *text);

#endif
