/* encodings.h - what tiktoken knows about its encodings and their rank files do not say: the split pattern and the
 * special tokens. */
#ifndef LOOM_DATA_ENCODINGS_H
#define LOOM_DATA_ENCODINGS_H

#include <stddef.h>

#include "data/tokenizer/split.h"

struct loom_special {
    const char *content;
    int id;
};

struct loom_encoding {
    const char *name;
    struct loom_split split;
    size_t ranks; /* lines of its rank file */
    const struct loom_special *specials;
    size_t n_specials;
    int reserved_from, reserved_to; /* ids of the special tokens <|reserved_ID|>, but for those named above; 0: none */
};

/* By name; NULL: there is none of this name. */
const struct loom_encoding *loom_encoding_named(const char *name);
/* By the number of ranks; the first of several. NULL: there is none. */
const struct loom_encoding *loom_encoding_of_ranks(size_t ranks);
/* By index, NULL beyond the last. */
const struct loom_encoding *loom_encoding_at(size_t index);

#endif
