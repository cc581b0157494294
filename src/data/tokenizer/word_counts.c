/* word_counts.c - see word_counts.h. Open addressing with linear probing, at most half full. */
#include "data/tokenizer/word_counts.h"

#include <stdlib.h>

#include "base/grow.h"

enum { INLINE_BYTES = 16, ENTRIES_AT_FIRST = 1 << 12 };

void loom_word_counts_free(struct loom_word_counts *counts) {
    free(counts->entries);
    free(counts->bytes);
    *counts = (struct loom_word_counts){.entries = NULL};
}

/* The entry of a word without its count, and where the search for it begins. A longer word's place is not yet known. */
static struct loom_word_count key_of(const char *word, size_t size, uint64_t *hash) {
    struct loom_word_count key = {.size = (uint32_t)size};
    if (size <= INLINE_BYTES)
        memcpy(&key.first, word, size);
    else
        key.first = loom_hash_bytes(word, size);
    *hash = loom_hash_mix(key.first, key.second + size);
    return key;
}

static bool is_word(const struct loom_word_counts *counts, const struct loom_word_count *entry,
                    const struct loom_word_count *key, const char *word) {
    if (entry->first != key->first || entry->size != key->size)
        return false;
    if (key->size <= INLINE_BYTES)
        return entry->second == key->second;
    return memcmp(counts->bytes + entry->second, word, key->size) == 0;
}

static loom_status grow(struct loom_word_counts *counts, struct loom_error *error) {
    size_t n = counts->n_entries > 0 ? 2 * counts->n_entries : ENTRIES_AT_FIRST;
    struct loom_word_count *entries = calloc(n, sizeof *entries);
    if (!entries)
        return loom_fail_memory(error, "words", n * sizeof *entries);
    for (size_t i = 0; i < counts->n_entries; i++) {
        const struct loom_word_count *entry = &counts->entries[i];
        if (entry->count == 0)
            continue;
        uint64_t second = entry->size <= INLINE_BYTES ? entry->second : 0;
        size_t at = loom_hash_mix(entry->first, second + entry->size) & (n - 1);
        while (entries[at].count != 0)
            at = (at + 1) & (n - 1);
        entries[at] = *entry;
    }
    free(counts->entries);
    counts->entries = entries;
    counts->n_entries = n;
    return LOOM_OK;
}

/* Keeps the bytes of a longer word. */
static loom_status keep(struct loom_word_counts *counts, struct loom_word_count *key, const char *word,
                        struct loom_error *error) {
    char *bytes = loom_grow(counts->bytes, &counts->capacity, counts->used + key->size, 1);
    if (!bytes)
        return loom_fail_memory(error, "words", counts->used + key->size);
    counts->bytes = bytes;
    memcpy(counts->bytes + counts->used, word, key->size);
    key->second = counts->used;
    counts->used += key->size;
    return LOOM_OK;
}

static loom_status add_word(struct loom_word_counts *counts, const char *word, size_t size, uint64_t times,
                            struct loom_error *error) {
    uint64_t hash;
    struct loom_word_count key = key_of(word, size, &hash);
    loom_status status = 2 * counts->count >= counts->n_entries ? grow(counts, error) : LOOM_OK;
    if (status != LOOM_OK)
        return status;
    size_t mask = counts->n_entries - 1, at = hash & mask;
    for (; counts->entries[at].count != 0; at = (at + 1) & mask) {
        if (is_word(counts, &counts->entries[at], &key, word)) {
            counts->entries[at].count += times;
            return LOOM_OK;
        }
    }
    if (size > INLINE_BYTES)
        status = keep(counts, &key, word, error);
    key.count = times;
    counts->entries[at] = status == LOOM_OK ? key : counts->entries[at];
    counts->count++;
    counts->total += size;
    return status;
}

loom_status loom_word_counts_add(struct loom_word_counts *counts, const struct loom_split *split, const char *text,
                                 size_t size, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t at = 0, end; status == LOOM_OK && at < size; at = end) {
        end = loom_split_next(split, text, size, at);
        for (; status == LOOM_OK && end - at > LOOM_WORD_BYTES_MAX; at += LOOM_WORD_BYTES_MAX)
            status = add_word(counts, text + at, LOOM_WORD_BYTES_MAX, 1, error);
        if (status == LOOM_OK)
            status = add_word(counts, text + at, end - at, 1, error);
    }
    return status;
}

loom_status loom_word_counts_join(struct loom_word_counts *counts, const struct loom_word_counts *other,
                                  struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < other->n_entries; i++) {
        const struct loom_word_count *entry = &other->entries[i];
        if (entry->count > 0)
            status = add_word(counts, loom_word_bytes(other, entry), entry->size, entry->count, error);
    }
    return status;
}
