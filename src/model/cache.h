/* cache.h - keys and values of past tokens, one slot for each attention layer of each loop.
 *
 * A slot holds two vectors for each token and head, GQA's key and value; or one, MLA's normalised latent and behind it
 * the one rotated key that all heads share. A head's vectors lie one behind another, as attention reads them. */
#ifndef LOOM_MODEL_CACHE_H
#define LOOM_MODEL_CACHE_H

#include "kernel/kernel.h"
#include "model/config.h"

struct loom_cache_slot {
    struct loom_view first, second; /* (batch, capacity, heads, width); in memory (batch, heads, capacity, width) */
};

struct loom_cache {
    const struct loom_kernels *k;
    void *block;
    enum loom_storage format;                /* of keys and values: what the machine's products round them to */
    size_t slots, batch, capacity;           /* capacity: tokens of a sequence that there is room for now */
    size_t heads, first_width, second_width; /* widths: of a head */
    size_t length;                           /* tokens held, the same for every sequence of the batch */
    /* The first `shared` of them are the same for each `group` sequences, and lie in the first of these alone. */
    size_t shared, group;
};

/* Bytes of one token of one sequence, all slots. */
size_t loom_cache_token_bytes(const struct loom_kernels *k, const struct loom_config *config, int loops);

/* Everything but the memory. */
void loom_cache_shape(struct loom_cache *cache, const struct loom_kernels *k, const struct loom_config *config,
                      int loops, size_t batch, size_t capacity);
loom_status loom_cache_open(struct loom_cache *cache, const struct loom_kernels *k, const struct loom_config *config,
                            int loops, size_t batch, size_t capacity, struct loom_error *error);
void loom_cache_close(struct loom_cache *cache);

/* Makes room for `tokens` of each sequence, at most `most`; what is held stays. Room at least doubles where that is not
 * beyond `most`, so that a text that grows token by token is copied about once in all. Without memory nothing changes.
 */
loom_status loom_cache_reserve(struct loom_cache *cache, size_t tokens, size_t most, struct loom_error *error);

/* The newest `count` tokens of each sequence, which begin behind the length: what slot `from` holds for those that are
 * marked in `which` (batch, count), on the host, goes to slot `to`. NULL marks all. */
void loom_cache_carry(const struct loom_cache *cache, size_t from, size_t to, size_t count, const bool *which);

/* Nothing is held any more. */
void loom_cache_clear(struct loom_cache *cache);

/* What sequence s holds becomes what the `each` sequences from s * each on share: one text that several go on from. All
 * of them are `sequences`. */
void loom_cache_spread(struct loom_cache *cache, size_t sequences, size_t each);

struct loom_cache_slot loom_cache_slot(const struct loom_cache *cache, size_t index);

#endif
