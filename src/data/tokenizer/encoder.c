/* encoder.c - text to tokens, one thread's part of it; see tokenizer.h.
 *
 * A text has few distinct words, so most are found in a cache of those seen before, and no merge is made. Short words
 * stand in the cache itself, in pairs of entries that share a cache line; longer ones, and those of more tokens than
 * fit, are kept in an arena behind a second table. When the arena is full, both are emptied. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/tokenizer_kinds.h"

enum {
    SHORT_BYTES = 16, /* of a word in the first table */
    SHORT_TOKENS = 3, /* of such a word */
    SHORT_BITS = 16,  /* 65,536 entries of 32 bytes: 2 MiB */
    LONG_BYTES = 256, /* of a word in the arena */
    LONG_BITS = 15,   /* 32,768 entries of 16 bytes: 512 KiB */
    ARENA_BYTES = 1 << 20,
    LINE_BYTES = 64,
    AT_ONCE = 16 /* words */
};

/* A short word, filled up with zeros, and its tokens. size 0: free. */
struct short_word {
    uint64_t low, high;
    int tokens[SHORT_TOKENS];
    uint16_t size, count;
};

/* A word of the arena: its tokens, and then its bytes. size 0: free. */
struct long_word {
    uint64_t hash;
    uint32_t offset;
    uint16_t size, count;
};

struct loom_encoder {
    const struct loom_tokenizer *tokenizer;
    char *memory; /* of the short words, which begin at a cache line */
    struct short_word *short_words;
    struct long_word *long_words;
    char *arena;
    size_t used;
    struct loom_bpe_scratch scratch;
    struct loom_added_search search;
    char *valid; /* a piece whose bad bytes have been replaced */
    size_t valid_capacity;
};

/* ---- byte and char ----------------------------------------------------------------------------------------------- */

static loom_status not_utf8(const struct loom_piece *piece, size_t at, struct loom_error *error) {
    return loom_fail(error, LOOM_FAILED, "%s is not UTF-8: byte 0x%02X at offset %" PRIu64, piece->name,
                     (unsigned)(unsigned char)piece->data[at], piece->offset + at);
}

loom_status loom_piece_character(const struct loom_piece *piece, size_t at, uint32_t *point, size_t *size,
                                 struct loom_error *error) {
    *size = loom_utf8_decode(piece->data + at, piece->size - at, point);
    return *size > 0 ? LOOM_OK : not_utf8(piece, at, error);
}

loom_status loom_piece_check(const struct loom_piece *piece, struct loom_error *error) {
    size_t offset;
    return loom_utf8_check(piece->data, piece->size, &offset) ? LOOM_OK : not_utf8(piece, offset, error);
}

static loom_status put_characters(const struct loom_tokenizer *tokenizer, const struct loom_piece *piece,
                                  struct loom_ids *ids, struct loom_error *error) {
    size_t step;
    uint32_t point;
    for (size_t at = 0; at < piece->size; at += step) {
        loom_status status = loom_piece_character(piece, at, &point, &step, error);
        if (status != LOOM_OK)
            return status;
        int entry = point < tokenizer->n_points ? tokenizer->ids[point] : 0;
        if (entry == 0)
            return loom_fail(
                error, LOOM_FAILED,
                "%s: the character \"%.*s\" (U+%04" PRIX32 ") at byte %" PRIu64 " is not among the tokenizer's %d",
                piece->name, (int)step, piece->data + at, point, piece->offset + at, tokenizer->table.count);
        ids->data[ids->count++] = entry - 1;
    }
    return LOOM_OK;
}

static void put_bytes(const struct loom_piece *piece, struct loom_ids *ids) {
    for (size_t i = 0; i < piece->size; i++)
        ids->data[ids->count + i] = (unsigned char)piece->data[i];
    ids->count += piece->size;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* Appends the tokens of a word that no cache knows. */
static loom_status put_new_word(struct loom_encoder *encoder, const char *word, size_t size, struct loom_ids *ids,
                                struct loom_error *error) {
    const struct loom_tokenizer *tokenizer = encoder->tokenizer;
    int id = loom_token_table_find(&tokenizer->table, word, size);
    if (id >= 0 && tokenizer->is_word[id / 64] >> (id % 64) & 1) {
        ids->data[ids->count++] = id;
        return LOOM_OK;
    }
    size_t count = 0;
    loom_status status =
        loom_bpe_encode(&tokenizer->bpe, &encoder->scratch, word, size, ids->data + ids->count, &count, error);
    ids->count += count;
    return status;
}

static void keep_long(struct loom_encoder *encoder, struct long_word *entry, uint64_t hash, const char *word,
                      size_t size, const int *tokens, size_t count) {
    size_t bytes = count * sizeof *tokens + size, room = (bytes + 3) & ~(size_t)3;
    if (encoder->used + room > ARENA_BYTES) {
        memset(encoder->long_words, 0, sizeof *encoder->long_words << LONG_BITS);
        encoder->used = 0;
    }
    memcpy(encoder->arena + encoder->used, tokens, count * sizeof *tokens);
    memcpy(encoder->arena + encoder->used + count * sizeof *tokens, word, size);
    *entry = (struct long_word){hash, (uint32_t)encoder->used, (uint16_t)size, (uint16_t)count};
    encoder->used += room;
}

/* Appends the tokens of a word by way of the arena. There is room for `size` more ids. */
static loom_status put_long_word(struct loom_encoder *encoder, const char *word, size_t size, struct loom_ids *ids,
                                 struct loom_error *error) {
    if (size > LONG_BYTES)
        return put_new_word(encoder, word, size, ids, error);
    uint64_t hash = loom_hash_bytes(word, size);
    struct long_word *entry = &encoder->long_words[hash >> (64 - LONG_BITS)];
    const char *kept = encoder->arena + entry->offset;
    size_t tokens = entry->count * sizeof *ids->data;
    if (entry->hash == hash && entry->size == size && memcmp(kept + tokens, word, size) == 0) {
        memcpy(ids->data + ids->count, kept, tokens);
        ids->count += entry->count;
        return LOOM_OK;
    }
    size_t before = ids->count;
    loom_status status = put_new_word(encoder, word, size, ids, error);
    if (status == LOOM_OK)
        keep_long(encoder, entry, hash, word, size, ids->data + before, ids->count - before);
    return status;
}

/* The word's first and next 8 bytes as they stand in the cache; `room` is how many bytes may be read. */
static inline void load_short(const char *word, size_t size, size_t room, uint64_t *low, uint64_t *high) {
    uint64_t both[2] = {0, 0};
    if (room < SHORT_BYTES) {
        memcpy(both, word, size);
        *low = both[0];
        *high = both[1];
        return;
    }
    memcpy(both, word, SHORT_BYTES);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    *low = size < 8 ? both[0] & (((uint64_t)1 << 8 * size) - 1) : both[0];
    *high = size <= 8 ? 0 : both[1] << 8 * (16 - size) >> 8 * (16 - size);
#else
    memset((char *)both + size, 0, SHORT_BYTES - size);
    *low = both[0];
    *high = both[1];
#endif
}

/* A word on its way through the first table: long words have no pair of entries. */
struct lookup {
    const char *word;
    size_t size;
    struct short_word *pair;
    uint64_t low, high;
};

/* Finds where a word would stand; `room` bytes from its first on may be read. */
static inline struct lookup look_for(const struct loom_encoder *encoder, const char *word, size_t size, size_t room) {
    struct lookup lookup = {.word = word, .size = size};
    if (size > SHORT_BYTES)
        return lookup;
    load_short(word, size, room, &lookup.low, &lookup.high);
    uint64_t hash = (lookup.low ^ (lookup.high << 23 | lookup.high >> 41)) * 0x9E3779B97F4A7C15;
    lookup.pair = &encoder->short_words[hash >> (64 - SHORT_BITS + 1) << 1];
    __builtin_prefetch(lookup.pair);
    return lookup;
}

static loom_status put_missing(struct loom_encoder *encoder, const struct lookup *l, struct loom_ids *ids,
                               struct loom_error *error) {
    struct short_word new = {.low = l->low, .high = l->high, .size = (uint16_t)l->size};
    size_t before = ids->count;
    loom_status status = put_long_word(encoder, l->word, l->size, ids, error);
    size_t count = ids->count - before;
    if (status != LOOM_OK || !l->pair || count > SHORT_TOKENS)
        return status;
    memcpy(new.tokens, ids->data + before, count * sizeof *new.tokens);
    new.count = (uint16_t)count;
    l->pair[1] = l->pair[0];
    l->pair[0] = new;
    return LOOM_OK;
}

/* Appends the tokens of a word. There is room for its size in ids and SHORT_TOKENS more. */
static inline loom_status put_word(struct loom_encoder *encoder, const struct lookup *l, struct loom_ids *ids,
                                   struct loom_error *error) {
    for (int i = 0; l->pair && i < 2; i++) {
        const struct short_word *known = &l->pair[i];
        if (known->low == l->low && known->high == l->high && known->size == l->size) {
            memcpy(ids->data + ids->count, known->tokens, sizeof known->tokens);
            ids->count += known->count;
            return LOOM_OK;
        }
    }
    return put_missing(encoder, l, ids, error);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Words are looked up some at a time, so that their entries are on the way from memory while others are split off. */
static loom_status put_text(struct loom_encoder *encoder, const char *text, size_t size, struct loom_ids *ids,
                            struct loom_error *error) {
    const struct loom_split *split = &encoder->tokenizer->split;
    struct lookup lookups[AT_ONCE];
    loom_status status = LOOM_OK;
    for (size_t at = 0, first; status == LOOM_OK && at < size;) {
        size_t n = 0;
        for (first = at; n < AT_ONCE && at < size; n++) {
            size_t end = loom_split_next(split, text, size, at);
            lookups[n] = look_for(encoder, text + at, end - at, size - at);
            at = end;
        }
        if (ids->capacity - ids->count < at - first + SHORT_TOKENS)
            status = loom_ids_reserve(ids, at - first + SHORT_TOKENS + (size - at) / 4, error);
        for (size_t i = 0; status == LOOM_OK && i < n; i++)
            status = put_word(encoder, &lookups[i], ids, error);
    }
    return status;
}

/* Text between tokens that are looked for; those that are late stand between those that are not. */
static loom_status put_between(struct loom_encoder *encoder, const char *text, size_t size, bool late,
                               struct loom_ids *ids, struct loom_error *error) {
    const struct loom_added_token *token;
    loom_status status = LOOM_OK;
    size_t at = 0, end;
    do {
        end = size;
        token = loom_added_search_next(&encoder->search, late, text, size, at, &end);
        if (late)
            status = put_text(encoder, text + at, end - at, ids, error);
        else
            status = put_between(encoder, text + at, end - at, true, ids, error);
        if (status == LOOM_OK && token)
            status = loom_ids_reserve(ids, 1, error);
        if (status == LOOM_OK && token) {
            ids->data[ids->count++] = token->id;
            at = end + token->size;
        }
    } while (status == LOOM_OK && token);
    return status;
}

/* Copies the text with U+FFFD in place of each part that is no character. */
static loom_status replace_bad(struct loom_encoder *encoder, const char *text, size_t size, size_t *valid_size,
                               struct loom_error *error) {
    size_t wanted = size <= SIZE_MAX / 3 ? 3 * size : SIZE_MAX;
    if (encoder->valid_capacity < wanted) {
        free(encoder->valid);
        encoder->valid = malloc(wanted);
        encoder->valid_capacity = encoder->valid ? wanted : 0;
    }
    if (!encoder->valid)
        return loom_fail_memory(error, "text", wanted);
    *valid_size = loom_utf8_replace(text, size, encoder->valid);
    return LOOM_OK;
}

/* Byte and char. */
static loom_status put_simple(struct loom_encoder *encoder, const struct loom_piece *piece, struct loom_ids *ids,
                              struct loom_error *error) {
    loom_status status = loom_ids_reserve(ids, piece->size, error);
    if (status == LOOM_OK && encoder->tokenizer->kind == LOOM_TOKENIZER_CHAR)
        return put_characters(encoder->tokenizer, piece, ids, error);
    if (status == LOOM_OK)
        put_bytes(piece, ids);
    return status;
}

loom_status loom_encoder_put(struct loom_encoder *encoder, const struct loom_piece *piece, struct loom_ids *ids,
                             struct loom_error *error) {
    const char *text = piece->data;
    size_t size = piece->size;
    loom_status status = LOOM_OK;
    if (encoder->tokenizer->kind != LOOM_TOKENIZER_BPE)
        return put_simple(encoder, piece, ids, error);
    if (!loom_utf8_check(text, size, NULL)) {
        status = replace_bad(encoder, text, size, &size, error);
        text = encoder->valid;
    }
    return status == LOOM_OK ? put_between(encoder, text, size, false, ids, error) : status;
}

loom_status loom_encoder_put_valid(struct loom_encoder *encoder, const struct loom_piece *piece, struct loom_ids *ids,
                                   struct loom_error *error) {
    if (encoder->tokenizer->kind != LOOM_TOKENIZER_BPE)
        return put_simple(encoder, piece, ids, error);
    loom_status status = loom_piece_check(piece, error);
    return status == LOOM_OK ? put_between(encoder, piece->data, piece->size, false, ids, error) : status;
}

/* ---- the encoder ------------------------------------------------------------------------------------------------- */

static loom_status open_caches(struct loom_encoder *encoder, struct loom_error *error) {
    encoder->memory = calloc(1, (sizeof *encoder->short_words << SHORT_BITS) + LINE_BYTES);
    encoder->long_words = calloc((size_t)1 << LONG_BITS, sizeof *encoder->long_words);
    encoder->arena = malloc(ARENA_BYTES);
    if (!encoder->memory || !encoder->long_words || !encoder->arena)
        return loom_fail_memory(error, "encoder", sizeof *encoder->short_words << SHORT_BITS);
    size_t beyond = (uintptr_t)encoder->memory % LINE_BYTES;
    encoder->short_words = (struct short_word *)(void *)(encoder->memory + LINE_BYTES - beyond);
    return loom_added_search_open(&encoder->search, &encoder->tokenizer->added, error);
}

loom_status loom_encoder_open(const struct loom_tokenizer *tokenizer, struct loom_encoder **encoder,
                              struct loom_error *error) {
    *encoder = calloc(1, sizeof **encoder);
    if (!*encoder)
        return loom_fail_memory(error, "encoder", sizeof **encoder);
    (*encoder)->tokenizer = tokenizer;
    loom_status status = tokenizer->kind == LOOM_TOKENIZER_BPE ? open_caches(*encoder, error) : LOOM_OK;
    if (status != LOOM_OK) {
        loom_encoder_free(*encoder);
        *encoder = NULL;
    }
    return status;
}

void loom_encoder_free(struct loom_encoder *encoder) {
    if (!encoder)
        return;
    free(encoder->memory);
    free(encoder->long_words);
    free(encoder->arena);
    free(encoder->valid);
    loom_bpe_scratch_free(&encoder->scratch);
    loom_added_search_close(&encoder->search);
    free(encoder);
}

loom_status loom_encoder_allow(struct loom_encoder *encoder, const char *special, struct loom_error *error) {
    if (encoder->tokenizer->kind == LOOM_TOKENIZER_BPE)
        return loom_added_search_allow(&encoder->search, special, error);
    return special ? loom_fail(error, LOOM_INVALID, "a byte or char tokenizer has no special token \"%.64s\"", special)
                   : LOOM_OK;
}

void loom_encoder_allow_none(struct loom_encoder *encoder) {
    if (encoder->tokenizer->kind == LOOM_TOKENIZER_BPE)
        loom_added_search_reset(&encoder->search);
}
