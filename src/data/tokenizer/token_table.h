/* token_table.h - the bytes of all tokens, and the way back from bytes to an id. */
#ifndef LOOM_DATA_TOKEN_TABLE_H
#define LOOM_DATA_TOKEN_TABLE_H

#include <stdbool.h>
#include <string.h>

#include "base/status.h"

/* A token's id + 1 (0: free), and bits of its hash that say at once of most other words that they are not it. */
struct loom_token_slot {
    uint32_t tag;
    int entry;
};

/* All zero is an empty table. An id without bytes is a hole. */
struct loom_token_table {
    char *bytes;      /* of all tokens, in the order of ids */
    uint32_t *starts; /* count + 1; NULL while there are none */
    int count;
    struct loom_token_slot *slots; /* by the bytes' hash; n_slots is a power of two, at least twice the count */
    uint32_t n_slots;
};

/* One token that is put into a table. */
struct loom_token {
    int id;
    const char *bytes; /* borrowed */
    uint32_t size;
    int line;    /* where it was read, for sentences; 0: not known */
    bool hidden; /* not to be found by its bytes: a special token, which no text makes */
};

/* Makes the table of `n` tokens with ids from 0 to count-1; tokens are sorted by id. *clash is NULL, or the second of
 * two tokens with the same id or the same bytes, and then nothing has been made. */
loom_status loom_token_table_open(struct loom_token_table *table, struct loom_token *tokens, size_t n, int count,
                                  const struct loom_token **clash, struct loom_error *error);
void loom_token_table_close(struct loom_token_table *table);

/* The id of these bytes; -1: there is none. */
int loom_token_table_find(const struct loom_token_table *table, const char *bytes, size_t size);

static inline size_t loom_token_table_size(const struct loom_token_table *table, int id) {
    return table->starts[id + 1] - table->starts[id];
}

static inline const char *loom_token_table_bytes(const struct loom_token_table *table, int id) {
    return table->bytes + table->starts[id];
}

/* ---- a hash for tables in memory, never for files ---------------------------------------------------------------- */

static inline uint64_t loom_hash_mix(uint64_t a, uint64_t b) {
    uint64_t sum = (a ^ 0x9E3779B97F4A7C15) * 0xD6E8FEB86659FD93;
    sum = (sum ^ sum >> 32 ^ b) * 0xA0761D6478BD642F;
    return sum ^ sum >> 29;
}

static inline uint64_t loom_hash_bytes(const char *bytes, size_t size) {
    uint64_t hash = size, word;
    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = loom_hash_mix(hash, word);
    }
    word = 0;
    memcpy(&word, bytes, size);
    return loom_hash_mix(hash, word);
}

#endif
