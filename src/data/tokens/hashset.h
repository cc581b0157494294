/* hashset.h - which texts have been seen, by 16 bytes of their hash.
 *
 * Two different texts among n share 128 bits of SHA-256 with a chance of n^2 / 2^129: for 10^9 documents 10^-21. Memory
 * is 16 bytes a text at a load of at most 3/4; a file beside the work keeps the hashes, so that a run that goes on
 * knows what it has seen. */
#ifndef LOOM_DATA_HASHSET_H
#define LOOM_DATA_HASHSET_H

#include <stdbool.h>

#include "base/file.h"

enum { LOOM_HASH_BYTES = 16 };

struct loom_hashset {
    unsigned char (*slots)[LOOM_HASH_BYTES]; /* all zero: free */
    size_t capacity, count;
    struct loom_append file;
};

/* Opens the file at `path` with its first `count` hashes. */
loom_status loom_hashset_open(struct loom_hashset *set, const char *path, uint64_t count, struct loom_error *error);
/* Adds a hash; *fresh tells whether it is a new one. */
loom_status loom_hashset_add(struct loom_hashset *set, const unsigned char hash[LOOM_HASH_BYTES], bool *fresh,
                             struct loom_error *error);
loom_status loom_hashset_sync(struct loom_hashset *set, struct loom_error *error);
void loom_hashset_close(struct loom_hashset *set);

#endif
