/* cache.c - see cache.h. */
#include "model/cache.h"

static size_t heads(const struct loom_config *c) {
    switch (c->attn_type) {
    case LOOM_ATTENTION_MLA:
        return 1;
    case LOOM_ATTENTION_GQA:
        return (size_t)c->n_kv_heads;
    default:
        return (size_t)c->n_heads;
    }
}

static size_t first_width(const struct loom_config *c) {
    return c->attn_type == LOOM_ATTENTION_MLA ? (size_t)c->kv_lora_rank + (size_t)c->qk_rope_head_dim
                                              : loom_config_head_dim(c);
}

static size_t second_width(const struct loom_config *c) {
    return c->attn_type == LOOM_ATTENTION_MLA ? 0 : first_width(c);
}

/* Attention's products read keys and values, and nothing else does: they are kept as those round them, where attention
 * reads heads so wide in that format. */
static enum loom_storage format_of(const struct loom_kernels *k, const struct loom_config *c) {
    size_t width = first_width(c);
    bool read = width <= LOOM_ATTENTION_WIDEST && (size_t)c->n_heads * width <= LOOM_ATTENTION_MOST;
    return read ? k->factor_format(k) : LOOM_STORAGE_REAL;
}

size_t loom_cache_token_bytes(const struct loom_kernels *k, const struct loom_config *config, int loops) {
    size_t width = heads(config) * (first_width(config) + second_width(config));
    return loom_config_cache_slots(config, loops) * width * loom_storage_size(format_of(k, config));
}

void loom_cache_shape(struct loom_cache *cache, const struct loom_kernels *k, const struct loom_config *config,
                      int loops, size_t batch, size_t capacity) {
    *cache = (struct loom_cache){.k = k,
                                 .format = format_of(k, config),
                                 .slots = loom_config_cache_slots(config, loops),
                                 .batch = batch,
                                 .capacity = capacity,
                                 .heads = heads(config),
                                 .first_width = first_width(config),
                                 .second_width = second_width(config)};
}

loom_status loom_cache_open(struct loom_cache *cache, const struct loom_kernels *k, const struct loom_config *config,
                            int loops, size_t batch, size_t capacity, struct loom_error *error) {
    loom_cache_shape(cache, k, config, loops, batch, capacity);
    size_t bytes = loom_cache_token_bytes(k, config, loops) * batch * capacity;
    cache->block = k->alloc(k, bytes);
    return cache->block ? LOOM_OK : loom_fail_memory(error, "key/value cache", bytes);
}

/* Where tokens lie. */
struct place {
    const struct loom_cache *cache;
    size_t slot, sequence;
};

/* The tokens from `first` on of the sequence at a place. */
static struct loom_view from_token(struct place at, struct loom_view view, size_t first) {
    return loom_view_from(view, at.sequence * view.batch + first * view.row);
}

/* Tokens first .. first+count-1 of a sequence, from one place to another, whose caches may differ in room. */
static void copy_tokens(struct place source, struct place destination, size_t first, size_t count) {
    const struct loom_cache *from = source.cache;
    struct loom_cache_slot old = loom_cache_slot(from, source.slot),
                           new = loom_cache_slot(destination.cache, destination.slot);
    from->k->copy_heads(from->k, from_token(destination, new.first, first), from_token(source, old.first, first), 1,
                        count, from->heads, from->first_width);
    from->k->copy_heads(from->k, from_token(destination, new.second, first), from_token(source, old.second, first), 1,
                        count, from->heads, from->second_width);
}

void loom_cache_carry(const struct loom_cache *cache, size_t from, size_t to, size_t count, const bool *which) {
    for (size_t b = 0; b < cache->batch; b++)
        for (size_t i = 0, n; i < count; i += n) {
            const bool *marks = which ? which + b * count : NULL, marked = !marks || marks[i];
            for (n = 1; i + n < count && (!marks || marks[i + n] == marked);)
                n++;
            if (marked)
                copy_tokens((struct place){cache, from, b}, (struct place){cache, to, b}, cache->length + i, n);
        }
}

void loom_cache_clear(struct loom_cache *cache) {
    cache->length = cache->shared = 0;
}

/* From the last on, so that none is overwritten before it has been moved. */
void loom_cache_spread(struct loom_cache *cache, size_t sequences, size_t each) {
    for (size_t slot = 0; slot < cache->slots; slot++)
        for (size_t s = sequences; s-- > 1 && each > 1;)
            copy_tokens((struct place){cache, slot, s}, (struct place){cache, slot, s * each}, 0, cache->length);
    cache->shared = each > 1 ? cache->length : 0;
    cache->group = each;
}

loom_status loom_cache_reserve(struct loom_cache *cache, size_t tokens, size_t most, struct loom_error *error) {
    if (tokens <= cache->capacity)
        return LOOM_OK;
    struct loom_cache grown = *cache;
    size_t twice = 2 * cache->capacity < most ? 2 * cache->capacity : most;
    grown.capacity = tokens > twice ? tokens : twice;
    size_t bytes = grown.slots * grown.batch * grown.capacity * grown.heads * (grown.first_width + grown.second_width) *
                   loom_storage_size(grown.format);
    grown.block = cache->k->alloc(cache->k, bytes);
    if (!grown.block)
        return loom_fail_memory(error, "key/value cache", bytes);
    for (size_t i = 0; i < grown.slots; i++)
        for (size_t b = 0; b < grown.batch; b++)
            copy_tokens((struct place){cache, i, b}, (struct place){&grown, i, b}, 0, cache->length);
    cache->k->release(cache->k, cache->block);
    *cache = grown;
    return LOOM_OK;
}

void loom_cache_close(struct loom_cache *cache) {
    if (cache->k)
        cache->k->release(cache->k, cache->block);
    *cache = (struct loom_cache){0};
}

/* The vectors that begin `first` elements behind the cache's begin. */
static struct loom_view heads_of(const struct loom_cache *cache, size_t first, size_t width) {
    const struct loom_view view = {cache->block, cache->heads * cache->capacity * width, width, cache->capacity * width,
                                   cache->format};
    return loom_view_from(view, first);
}

struct loom_cache_slot loom_cache_slot(const struct loom_cache *cache, size_t index) {
    size_t vectors = cache->batch * cache->heads * cache->capacity;
    size_t slot = index * vectors * (cache->first_width + cache->second_width);
    return (struct loom_cache_slot){heads_of(cache, slot, cache->first_width),
                                    heads_of(cache, slot + vectors * cache->first_width, cache->second_width)};
}
