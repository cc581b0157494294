/* bpe.c - the table of merges, and short words; see bpe.h. */
#include "data/tokenizer/bpe.h"

#include <stdlib.h>

/* ---- the table --------------------------------------------------------------------------------------------------- */

void loom_bpe_close(struct loom_bpe *bpe) {
    free(bpe->table);
    free(bpe->maybe);
    bpe->table = NULL;
    bpe->maybe = NULL;
    bpe->n_entries = bpe->n_merges = 0;
}

/* Enters a merge; false when its pair is there already. */
static bool enter(struct loom_bpe *bpe, const struct loom_merge *merge) {
    uint64_t hash = loom_hash_mix(merge->left, merge->right);
    uint32_t at = (uint32_t)hash & (bpe->n_entries - 1);
    bpe->maybe[at / 8] |= (uint64_t)1 << (at % 8 * 8 + (hash >> 61));
    while (bpe->table[at].left != UINT32_MAX) {
        if (bpe->table[at].left == merge->left && bpe->table[at].right == merge->right)
            return false;
        at = (at + 1) & (bpe->n_entries - 1);
    }
    bpe->table[at] = *merge;
    return true;
}

loom_status loom_bpe_open(struct loom_bpe *bpe, const struct loom_merge *merges, size_t n,
                          const struct loom_merge **clash, struct loom_error *error) {
    *clash = NULL;
    bpe->n_merges = (uint32_t)n;
    for (bpe->n_entries = 16; bpe->n_entries < 2 * n; bpe->n_entries *= 2)
        ;
    bpe->table = malloc(bpe->n_entries * sizeof *bpe->table);
    bpe->maybe = calloc(bpe->n_entries / 8, sizeof *bpe->maybe);
    if (!bpe->table || !bpe->maybe)
        return loom_fail_memory(error, "merges", bpe->n_entries * sizeof *bpe->table);
    memset(bpe->table, 0xFF, bpe->n_entries * sizeof *bpe->table);
    for (size_t i = 0; i < n && !*clash; i++)
        if (!enter(bpe, &merges[i]))
            *clash = &merges[i];
    if (*clash)
        loom_bpe_close(bpe);
    return LOOM_OK;
}

/* ---- short words ------------------------------------------------------------------------------------------------- */

/* One part of a word: its token, and what it and its right neighbour would make. */
struct part {
    uint32_t id, rank, merged; /* rank UINT32_MAX: nothing */
};

static void look_up(const struct loom_bpe *bpe, struct part *part) {
    const struct loom_merge *merge = loom_bpe_find(bpe, part[0].id, part[1].id);
    part->rank = merge ? merge->rank : UINT32_MAX;
    part->merged = merge ? merge->id : 0;
}

/* The place of the least rank; `count` when there is nothing to merge. */
static size_t best_of(const struct part *parts, size_t count) {
    size_t best = count;
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < count; i++)
        if (parts[i].rank < least) {
            least = parts[i].rank;
            best = i;
        }
    return best;
}

loom_status loom_bpe_encode(const struct loom_bpe *bpe, struct loom_bpe_scratch *scratch, const char *word, size_t size,
                            int *ids, size_t *count, struct loom_error *error) {
    struct part parts[LOOM_BPE_SHORT];
    if (size > LOOM_BPE_SHORT)
        return loom_bpe_encode_long(bpe, scratch, word, size, ids, count, error);
    for (size_t i = 0; i < size; i++)
        parts[i].id = (uint32_t)bpe->bytes[(unsigned char)word[i]];
    parts[size - 1].rank = UINT32_MAX;
    for (size_t i = 0; i + 1 < size; i++)
        look_up(bpe, &parts[i]);
    for (size_t at; (at = best_of(parts, size)) < size;) {
        parts[at].id = parts[at].merged;
        size--;
        memmove(&parts[at + 1], &parts[at + 2], (size - at - 1) * sizeof *parts);
        if (at + 1 < size)
            look_up(bpe, &parts[at]);
        else
            parts[at].rank = UINT32_MAX;
        if (at > 0)
            look_up(bpe, &parts[at - 1]);
    }
    for (size_t i = 0; i < size; i++)
        ids[i] = (int)parts[i].id;
    *count = size;
    return LOOM_OK;
}
