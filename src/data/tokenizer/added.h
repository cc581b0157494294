/* added.h - tokens that are found in the text as they are, before it is split into words: special tokens, where a
 * caller allows them, and tokens that a file adds to its vocabulary. */
#ifndef LOOM_DATA_ADDED_H
#define LOOM_DATA_ADDED_H

#include <stdbool.h>

#include "base/status.h"

struct loom_added_token {
    const char *content; /* in a struct loom_added its own copy */
    size_t size;         /* at least 1 */
    int id;
    bool special; /* plain text unless it is allowed */
    bool late;    /* looked for only where no token that is not late stands: what tokenizers calls normalized */
};

struct loom_added {
    struct loom_added_token *tokens; /* by first byte, then the longest first */
    size_t count;
};

/* Copies the tokens. */
loom_status loom_added_open(struct loom_added *added, const struct loom_added_token *tokens, size_t count,
                            struct loom_error *error);
void loom_added_close(struct loom_added *added);

/* Which tokens one encoder looks for. */
struct loom_added_search {
    const struct loom_added *added;
    bool *wanted;       /* by token */
    bool first[2][256]; /* by late: a wanted token begins with this byte */
    bool any[2];
};

loom_status loom_added_search_open(struct loom_added_search *search, const struct loom_added *added,
                                   struct loom_error *error);
void loom_added_search_close(struct loom_added_search *search);
/* Every token that is not special is wanted, and no other; so it is at first. */
void loom_added_search_reset(struct loom_added_search *search);
/* Makes the special token `name`, or with NULL every one, wanted. Fails with LOOM_INVALID on a name that none has. */
loom_status loom_added_search_allow(struct loom_added_search *search, const char *name, struct loom_error *error);

/* The first place in text[at..size) where a wanted token of this lateness begins, and the longest there; NULL when
 * there is none. */
const struct loom_added_token *loom_added_search_next(const struct loom_added_search *search, bool late,
                                                      const char *text, size_t size, size_t at, size_t *found);

/* Could a token, with `special` of any kind and else one that is not special, reach across the cut
 * text[0..at) | text[at..size)? */
bool loom_added_crosses(const struct loom_added *added, bool special, const char *text, size_t size, size_t at);

#endif
