/* bpe.h - byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) of one word, over bytes (Radford et al. 2019).
 *
 * Whatever file a tokenizer comes from, its merges are one table here: from a pair of neighbours to the rank of their
 * merge and the token that it makes. Of all pairs in a word the one of the least rank is merged, the leftmost of
 * equals, until no pair is in the table. */
#ifndef LOOM_DATA_BPE_H
#define LOOM_DATA_BPE_H

#include "data/tokenizer/token_table.h"

struct loom_merge {
    uint32_t left, right; /* tokens; left UINT32_MAX: a free entry of the table */
    uint32_t rank;        /* 0, 1, ... without gaps */
    uint32_t id;
};

struct loom_bpe {
    int bytes[256];           /* the token of each byte */
    struct loom_merge *table; /* n_entries, a power of two, at least twice the merges */
    uint32_t n_entries;
    uint32_t n_merges;
    uint64_t *maybe; /* eight bits for each entry: where the bit of a pair's hash is 0 the pair is not merged. Most are
                        not, and this stays nearer to the processor than the table */
};

/* Makes the table of these merges, whose ranks are their places. *clash is NULL, or the second of two merges of the
 * same pair, and then nothing has been made. bytes[] is the caller's to fill. */
loom_status loom_bpe_open(struct loom_bpe *bpe, const struct loom_merge *merges, size_t n,
                          const struct loom_merge **clash, struct loom_error *error);
void loom_bpe_close(struct loom_bpe *bpe);

static inline const struct loom_merge *loom_bpe_find(const struct loom_bpe *bpe, uint32_t left, uint32_t right) {
    uint64_t hash = loom_hash_mix(left, right);
    uint32_t at = (uint32_t)hash & (bpe->n_entries - 1);
    if (!(bpe->maybe[at / 8] >> (at % 8 * 8 + (hash >> 61)) & 1))
        return NULL;
    for (;; at = (at + 1) & (bpe->n_entries - 1)) {
        const struct loom_merge *merge = &bpe->table[at];
        if (merge->left == left && merge->right == right)
            return merge;
        if (merge->left == UINT32_MAX)
            return NULL;
    }
}

/* Memory for long words, kept from one to the next. All zero is none. */
struct loom_bpe_scratch {
    struct loom_bpe_part *parts;
    struct loom_bpe_link *links;
    size_t capacity; /* of parts */
    size_t n_links;
    uint32_t *heads, *heap, *run; /* by rank; ranks; places */
    size_t run_capacity;
};

void loom_bpe_scratch_free(struct loom_bpe_scratch *scratch);

/* Writes the tokens of a word of `size` bytes, at least one, to ids[0..size) and their number to *count. Takes time in
 * proportion to n log n, and no recursion. */
loom_status loom_bpe_encode(const struct loom_bpe *bpe, struct loom_bpe_scratch *scratch, const char *word, size_t size,
                            int *ids, size_t *count, struct loom_error *error);

/* For words of more than LOOM_BPE_SHORT bytes; loom_bpe_encode calls it. */
enum { LOOM_BPE_SHORT = 128 };
loom_status loom_bpe_encode_long(const struct loom_bpe *bpe, struct loom_bpe_scratch *scratch, const char *word,
                                 size_t size, int *ids, size_t *count, struct loom_error *error);

#endif
