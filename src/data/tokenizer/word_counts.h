/* word_counts.h - how often each word of a text occurs; the memory goes with the number of distinct words. */
#ifndef LOOM_DATA_WORD_COUNTS_H
#define LOOM_DATA_WORD_COUNTS_H

#include "data/tokenizer/split.h"
#include "data/tokenizer/token_table.h"

/* A longer word is counted as several, so that what a vocabulary costs to train stays in proportion to the text. */
enum { LOOM_WORD_BYTES_MAX = 512 };

/* A word of at most 16 bytes stands in the entry, filled up with zeros; of a longer one its hash and place do. */
struct loom_word_count {
    uint64_t first, second;
    uint64_t count; /* 0: a free entry */
    uint32_t size;
};

/* All zero is none. */
struct loom_word_counts {
    struct loom_word_count *entries; /* n_entries, 0 or a power of two */
    size_t n_entries, count;
    char *bytes; /* of longer words */
    size_t used, capacity;
    uint64_t total; /* bytes of all words, each once */
};

/* Counts the words of a text of valid UTF-8. */
loom_status loom_word_counts_add(struct loom_word_counts *counts, const struct loom_split *split, const char *text,
                                 size_t size, struct loom_error *error);
/* Adds the counts of `other`. */
loom_status loom_word_counts_join(struct loom_word_counts *counts, const struct loom_word_counts *other,
                                  struct loom_error *error);
void loom_word_counts_free(struct loom_word_counts *counts);

/* The bytes of the word of an entry that is not free. */
static inline const char *loom_word_bytes(const struct loom_word_counts *counts, const struct loom_word_count *entry) {
    return entry->size <= 2 * sizeof entry->first ? (const char *)&entry->first : counts->bytes + entry->second;
}

#endif
