/* hashset.c - see hashset.h. Open addressing: a hash's first free slot from where its first bytes point. */
#include "data/tokens/hashset.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_free(const unsigned char *slot) {
    static const unsigned char nothing[LOOM_HASH_BYTES];
    return memcmp(slot, nothing, LOOM_HASH_BYTES) == 0;
}

/* The slot that holds the hash, or the free one where it belongs. capacity is a power of two. */
static unsigned char *find(const struct loom_hashset *set, const unsigned char *hash) {
    uint64_t start;
    memcpy(&start, hash, sizeof start);
    for (size_t at = (size_t)start & (set->capacity - 1);; at = (at + 1) & (set->capacity - 1))
        if (is_free(set->slots[at]) || memcmp(set->slots[at], hash, LOOM_HASH_BYTES) == 0)
            return set->slots[at];
}

static loom_status grow(struct loom_hashset *set, struct loom_error *error) {
    struct loom_hashset larger = *set;
    larger.capacity = set->capacity ? 2 * set->capacity : 1 << 12;
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return loom_fail_memory(error, "hashes of documents", larger.capacity * sizeof *larger.slots);
    for (size_t i = 0; i < set->capacity; i++)
        if (!is_free(set->slots[i]))
            memcpy(find(&larger, set->slots[i]), set->slots[i], LOOM_HASH_BYTES);
    free(set->slots);
    *set = larger;
    return LOOM_OK;
}

static loom_status insert(struct loom_hashset *set, const unsigned char *hash, bool *fresh, struct loom_error *error) {
    if (4 * (set->count + 1) > 3 * set->capacity) {
        loom_status status = grow(set, error);
        if (status != LOOM_OK)
            return status;
    }
    unsigned char *slot = find(set, hash);
    *fresh = is_free(slot);
    memcpy(slot, hash, LOOM_HASH_BYTES);
    set->count += *fresh;
    return LOOM_OK;
}

static loom_status load(struct loom_hashset *set, uint64_t count, struct loom_error *error) {
    struct loom_map map;
    bool fresh;
    loom_status status = loom_map_open(set->file.path, &map, error);
    for (uint64_t i = 0; status == LOOM_OK && i < count; i++)
        status = insert(set, map.data + i * LOOM_HASH_BYTES, &fresh, error);
    loom_map_close(&map);
    return status;
}

loom_status loom_hashset_open(struct loom_hashset *set, const char *path, uint64_t count, struct loom_error *error) {
    *set = (struct loom_hashset){.slots = NULL};
    loom_status status = loom_append_open(&set->file, path, count * LOOM_HASH_BYTES, error);
    return status == LOOM_OK ? load(set, count, error) : status;
}

loom_status loom_hashset_add(struct loom_hashset *set, const unsigned char hash[LOOM_HASH_BYTES], bool *fresh,
                             struct loom_error *error) {
    loom_status status = insert(set, hash, fresh, error);
    return status == LOOM_OK && *fresh ? loom_append_put(&set->file, hash, LOOM_HASH_BYTES, error) : status;
}

loom_status loom_hashset_sync(struct loom_hashset *set, struct loom_error *error) {
    return loom_append_sync(&set->file, error);
}

void loom_hashset_close(struct loom_hashset *set) {
    free(set->slots);
    loom_append_close(&set->file);
    *set = (struct loom_hashset){.slots = NULL};
}
