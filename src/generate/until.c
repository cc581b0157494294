/* until.c - see until.h. */
#include "generate/until.h"

#include <string.h>

/* Hands on the oldest held token. */
static void release(struct loom_until *u) {
    size_t size = u->held[0].size;
    if (u->on_token)
        u->on_token(u->user, u->held[0].token, u->text, size);
    u->n_held--;
    memmove(&u->held[0], &u->held[1], u->n_held * sizeof u->held[0]);
    u->size -= size;
    memmove(u->text, u->text + size, u->size);
}

void loom_until_flush(struct loom_until *until) {
    while (until->n_held > 0)
        release(until);
}

bool loom_until_put(struct loom_until *until, int token, const char *bytes, size_t size) {
    struct loom_until *u = until;
    size_t length = u->mark ? strlen(u->mark) : 0;
    while (u->n_held > 0 && (u->size + size > length || memcmp(u->mark + u->size, bytes, size) != 0)) {
        release(u); /* it does not go on: a later token may still begin the mark */
        while (u->n_held > 0 && memcmp(u->mark, u->text, u->size) != 0)
            release(u);
    }
    if (u->n_held == LOOM_UNTIL_HELD) /* tokens without text, in any number */
        loom_until_flush(u);
    if ((size == 0 && u->n_held == 0) || u->size + size > length || memcmp(u->mark + u->size, bytes, size) != 0) {
        if (u->on_token)
            u->on_token(u->user, token, bytes, size);
        return false;
    }
    u->held[u->n_held].token = token;
    u->held[u->n_held++].size = size;
    memcpy(u->text + u->size, bytes, size);
    u->size += size;
    if (!u->mark || u->size < length)
        return false;
    u->n_held = u->size = 0; /* the mark is no part of the text */
    return true;
}
