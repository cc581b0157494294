/* text.c - see text.h. The capacity doubles, so that n appends of a byte cost O(n). */
#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/utf8.h"

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* Makes room for `extra` bytes and the NUL. */
static bool reserve(struct loom_text *text, size_t extra) {
    if (text->failed)
        return false;
    if (extra < text->capacity - text->size)
        return true;
    size_t wanted = extra < SIZE_MAX - text->size ? text->size + extra + 1 : SIZE_MAX;
    char *grown = loom_grow(text->data, &text->capacity, wanted, 1);
    text->failed = !grown;
    if (grown)
        text->data = grown;
    return !text->failed;
}

void loom_text_put(struct loom_text *text, const char *data, size_t size) {
    if (!reserve(text, size))
        return;
    if (size)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void loom_text_append(struct loom_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int size = vsnprintf(NULL, 0, format, arguments);
    if (size < 0)
        text->failed = true;
    else if (reserve(text, (size_t)size)) {
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
}

void loom_text_put_utf8(struct loom_text *text, const char *data, size_t size) {
    size_t start = 0, i = 0;
    while (i < size) {
        uint32_t point;
        const size_t character = loom_utf8_decode(data + i, size - i, &point);
        if (character) {
            i += character;
            continue;
        }
        loom_text_put(text, data + start, i - start);
        loom_text_put(text, replacement, sizeof replacement - 1);
        start = ++i;
    }
    loom_text_put(text, data + start, size - start);
}

/* What stands for one character in HTML; NULL when it stands for itself. */
static const char *html_entity(unsigned char character) {
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\n':
    case '\t':
        return NULL;
    default:
        return character < ' ' || character == 0x7F ? replacement : NULL;
    }
}

void loom_text_put_html(struct loom_text *text, const char *data, size_t size) {
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        const char *entity = html_entity((unsigned char)data[i]);
        if (!entity)
            continue;
        loom_text_put_utf8(text, data + start, i - start);
        loom_text_put(text, entity, strlen(entity));
        start = i + 1;
    }
    loom_text_put_utf8(text, data + start, size - start);
}

void loom_text_substitute(struct loom_text *text, const char *before, const char *after) {
    struct loom_text next = {.failed = text->failed};
    const char *from = text->data ? text->data : "";
    for (const char *found = strstr(from, before); found; found = strstr(from, before)) {
        loom_text_put(&next, from, (size_t)(found - from));
        loom_text_put(&next, after, strlen(after));
        from = found + strlen(before);
    }
    loom_text_put(&next, from, strlen(from));
    next.failed = next.failed || text->failed;
    loom_text_free(text);
    *text = next;
}

void loom_text_free(struct loom_text *text) {
    free(text->data);
    *text = (struct loom_text){0};
}
