/* token_table.c - see token_table.h. Open addressing with linear probing. */
#include "data/tokenizer/token_table.h"

#include <stdlib.h>

void loom_token_table_close(struct loom_token_table *table) {
    free(table->bytes);
    free(table->starts);
    free(table->slots);
    *table = (struct loom_token_table){.bytes = NULL};
}

/* The slot that holds these bytes, or the free one where they would stand, and its tag. */
static struct loom_token_slot *slot_of(const struct loom_token_table *table, const char *bytes, size_t size,
                                       uint32_t *tag) {
    uint64_t hash = loom_hash_bytes(bytes, size);
    uint32_t mask = table->n_slots - 1, at = (uint32_t)hash & mask;
    *tag = (uint32_t)(hash >> 32);
    for (; table->slots[at].entry != 0; at = (at + 1) & mask) {
        int id = table->slots[at].entry - 1;
        if (table->slots[at].tag == *tag && loom_token_table_size(table, id) == size &&
            memcmp(loom_token_table_bytes(table, id), bytes, size) == 0)
            break;
    }
    return &table->slots[at];
}

int loom_token_table_find(const struct loom_token_table *table, const char *bytes, size_t size) {
    uint32_t tag;
    return size > 0 && table->n_slots > 0 ? slot_of(table, bytes, size, &tag)->entry - 1 : -1;
}

static int compare_ids(const void *a, const void *b) {
    int left = ((const struct loom_token *)a)->id, right = ((const struct loom_token *)b)->id;
    return (left > right) - (left < right);
}

static loom_status reserve(struct loom_token_table *table, const struct loom_token *tokens, size_t n, int count,
                           struct loom_error *error) {
    size_t bytes = 1;
    for (size_t i = 0; i < n; i++)
        bytes += tokens[i].size;
    for (table->n_slots = 16; table->n_slots < 2 * (uint64_t)count; table->n_slots *= 2)
        ;
    table->bytes = bytes <= UINT32_MAX ? malloc(bytes) : NULL;
    table->starts = calloc((size_t)count + 1, sizeof *table->starts);
    table->slots = calloc(table->n_slots, sizeof *table->slots);
    if (table->bytes && table->starts && table->slots)
        return LOOM_OK;
    return loom_fail_memory(error, "tokens", bytes + table->n_slots * sizeof *table->slots);
}

/* Copies the tokens, sorted by id, behind each other and enters them; returns the first that clashes. */
static const struct loom_token *fill(struct loom_token_table *table, const struct loom_token *tokens, size_t n) {
    int next = 0;
    uint32_t end = 0;
    for (size_t i = 0; i < n; i++) {
        const struct loom_token *token = &tokens[i];
        if (token->id < next)
            return token;
        for (; next <= token->id; next++)
            table->starts[next] = end;
        memcpy(table->bytes + end, token->bytes, token->size);
        end += token->size;
        table->starts[next] = end;
        if (token->size == 0 || token->hidden)
            continue;
        uint32_t tag;
        struct loom_token_slot *slot = slot_of(table, token->bytes, token->size, &tag);
        if (slot->entry != 0)
            return token;
        *slot = (struct loom_token_slot){tag, token->id + 1};
    }
    for (; next < table->count; next++)
        table->starts[next + 1] = end;
    return NULL;
}

loom_status loom_token_table_open(struct loom_token_table *table, struct loom_token *tokens, size_t n, int count,
                                  const struct loom_token **clash, struct loom_error *error) {
    *table = (struct loom_token_table){.count = count};
    *clash = NULL;
    loom_status status = reserve(table, tokens, n, count, error);
    if (status == LOOM_OK) {
        qsort(tokens, n, sizeof *tokens, compare_ids);
        *clash = fill(table, tokens, n);
    }
    if (status != LOOM_OK || *clash)
        loom_token_table_close(table);
    return status;
}
