/* text.c - see text.h. */
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool text_reserve(struct text *text, size_t more) {
    if (text->capacity - text->size > more)
        return true;
    size_t wanted = 2 * (text->size + more) + 1;
    char *grown = realloc(text->data, wanted);
    if (!grown) {
        fprintf(stderr, "loom: no memory for a text of %zu bytes\n", wanted);
        return false;
    }
    text->data = grown;
    text->capacity = wanted;
    return true;
}

bool text_put(struct text *text, const char *data, size_t size) {
    if (!text_reserve(text, size))
        return false;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    return true;
}

bool text_read_input(struct text *text) {
    enum { STEP = 65536 };
    size_t got;
    do {
        if (!text_reserve(text, STEP))
            return false;
        got = fread(text->data + text->size, 1, STEP, stdin);
        text->size += got;
    } while (got > 0);
    text->data[text->size] = '\0';
    if (ferror(stdin))
        fprintf(stderr, "loom: cannot read standard input: %s\n", strerror(errno));
    return !ferror(stdin);
}
