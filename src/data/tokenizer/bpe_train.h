/* bpe_train.h - which merges make the vocabulary of a text: time after time the pair of neighbours that occurs most
 * often (Sennrich et al. 2016, arXiv:1508.07909). */
#ifndef LOOM_DATA_BPE_TRAIN_H
#define LOOM_DATA_BPE_TRAIN_H

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/word_counts.h"

/* Told after every some merges; returns false to stop. */
typedef bool (*loom_merges_function)(void *user, size_t done, size_t wanted);

/* Finds at most `wanted` merges. Tokens 0 to 255 are the bytes, and byte_ids[] says which; merge i makes token 256 + i.
 * Of pairs as frequent as each other the one with the lesser left and then the lesser right token comes first. `merges`
 * has room for all; *found is less than `wanted` when every word has become one token. No token is longer than
 * max_bytes. */
loom_status loom_bpe_train(const struct loom_word_counts *words, const unsigned char byte_ids[256], size_t max_bytes,
                           size_t wanted, loom_merges_function on_merges, void *user, struct loom_merge *merges,
                           size_t *found, struct loom_error *error);

#endif
