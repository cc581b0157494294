/* until.h - a text that ends before a mark: tokens whose bytes may begin the mark are held back until it is known. */
#ifndef LOOM_GENERATE_UNTIL_H
#define LOOM_GENERATE_UNTIL_H

#include <stdbool.h>
#include <stddef.h>

typedef void (*loom_token_function)(void *user, int token, const char *bytes, size_t size);

enum { LOOM_UNTIL_HELD = 32 };

struct loom_until {
    const char *mark; /* NULL: none; shorter than LOOM_UNTIL_HELD */
    loom_token_function on_token;
    void *user;
    struct {
        int token;
        size_t size;
    } held[LOOM_UNTIL_HELD];
    size_t n_held;
    char text[LOOM_UNTIL_HELD]; /* theirs */
    size_t size;
};

/* Takes the next token with the text that it completes, perhaps none. True when the mark is complete: then the text has
 * ended, and no token of the mark has been handed on. A mark must begin with a token's first byte and end with a
 * token's last, as it does when it was learned as a mark. */
bool loom_until_put(struct loom_until *until, int token, const char *bytes, size_t size);
/* Hands on what is held back: the text ends without the mark. */
void loom_until_flush(struct loom_until *until);

#endif
