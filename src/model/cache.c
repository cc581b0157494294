/* cache.c - see cache.h. */
#include "model/cache.h"

static size_t first_width(const struct loom_config *c) {
    switch (c->attn_type) {
    case LOOM_ATTENTION_MLA:
        return (size_t)c->kv_lora_rank + (size_t)c->qk_rope_head_dim;
    case LOOM_ATTENTION_GQA:
        return (size_t)c->n_kv_heads * loom_config_head_dim(c);
    default:
        return (size_t)c->dim;
    }
}

static size_t second_width(const struct loom_config *c) {
    return c->attn_type == LOOM_ATTENTION_MLA ? 0 : first_width(c);
}

size_t loom_cache_token_bytes(const struct loom_config *config, int loops) {
    return loom_config_cache_slots(config, loops) * (first_width(config) + second_width(config)) * sizeof(real);
}

void loom_cache_shape(struct loom_cache *cache, const struct loom_kernels *k, const struct loom_config *config,
                      int loops, size_t batch, size_t capacity) {
    *cache = (struct loom_cache){.k = k,
                                 .slots = loom_config_cache_slots(config, loops),
                                 .batch = batch,
                                 .capacity = capacity,
                                 .first_width = first_width(config),
                                 .second_width = second_width(config)};
}

loom_status loom_cache_open(struct loom_cache *cache, const struct loom_kernels *k, const struct loom_config *config,
                            int loops, size_t batch, size_t capacity, struct loom_error *error) {
    loom_cache_shape(cache, k, config, loops, batch, capacity);
    size_t bytes = loom_cache_token_bytes(config, loops) * batch * capacity;
    cache->block = k->alloc(k, bytes);
    return cache->block ? LOOM_OK : loom_fail_memory(error, "key/value cache", bytes);
}

/* The tokens that are held, from one block to another that has more room. */
static void move(const struct loom_cache *from, const struct loom_cache *to) {
    for (size_t i = 0; i < from->slots; i++) {
        struct loom_cache_slot old = loom_cache_slot(from, i), new = loom_cache_slot(to, i);
        const size_t first = from->first_width, second = from->second_width;
        for (size_t b = 0; b < from->batch; b++) {
            from->k->copy(from->k, new.first + b * to->capacity *first, old.first + b * from->capacity * first,
                          from->length * first);
            from->k->copy(from->k, new.second + b * to->capacity *second, old.second + b * from->capacity * second,
                          from->length * second);
        }
    }
}

loom_status loom_cache_reserve(struct loom_cache *cache, size_t tokens, size_t most, struct loom_error *error) {
    if (tokens <= cache->capacity)
        return LOOM_OK;
    struct loom_cache grown = *cache;
    size_t twice = 2 * cache->capacity < most ? 2 * cache->capacity : most;
    grown.capacity = tokens > twice ? tokens : twice;
    size_t bytes = grown.slots * grown.batch * grown.capacity * (grown.first_width + grown.second_width) * sizeof(real);
    grown.block = cache->k->alloc(cache->k, bytes);
    if (!grown.block)
        return loom_fail_memory(error, "key/value cache", bytes);
    move(cache, &grown);
    cache->k->release(cache->k, cache->block);
    *cache = grown;
    return LOOM_OK;
}

void loom_cache_close(struct loom_cache *cache) {
    if (cache->k)
        cache->k->release(cache->k, cache->block);
    *cache = (struct loom_cache){0};
}

struct loom_cache_slot loom_cache_slot(const struct loom_cache *cache, size_t index) {
    size_t tokens = cache->batch * cache->capacity;
    real *slot = cache->block + index * tokens * (cache->first_width + cache->second_width);
    return (struct loom_cache_slot){slot, slot + tokens * cache->first_width};
}
