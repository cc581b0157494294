/* encoder.c - text to tokens, one thread's part of it; see tokenizer.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer_kinds.h"

struct loom_encoder {
    const struct loom_tokenizer *tokenizer;
};

/* ---- ids --------------------------------------------------------------------------------------------------------- */

loom_status loom_ids_reserve(struct loom_ids *ids, size_t more, struct loom_error *error) {
    if (more <= ids->capacity - ids->count)
        return LOOM_OK;
    size_t most = SIZE_MAX / sizeof *ids->data / 2;
    size_t wanted = more <= most - ids->count ? ids->count + more : most;
    size_t capacity = wanted > 2 * ids->capacity ? wanted : 2 * ids->capacity;
    int *grown = wanted < most ? realloc(ids->data, capacity * sizeof *grown) : NULL;
    if (!grown)
        return loom_fail_memory(error, "tokens", capacity * sizeof *grown);
    ids->data = grown;
    ids->capacity = capacity;
    return LOOM_OK;
}

/* ---- one piece --------------------------------------------------------------------------------------------------- */

loom_status loom_piece_character(const struct loom_piece *piece, size_t at, uint32_t *point, size_t *size,
                                 struct loom_error *error) {
    *size = loom_utf8_decode(piece->data + at, piece->size - at, point);
    if (*size > 0)
        return LOOM_OK;
    return loom_fail(error, LOOM_FAILED, "%s is not UTF-8: byte 0x%02X at offset %" PRIu64, piece->name,
                     (unsigned)(unsigned char)piece->data[at], piece->offset + at);
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
                piece->name, (int)step, piece->data + at, point, piece->offset + at, tokenizer->vocab_size);
        ids->data[ids->count++] = entry - 1;
    }
    return LOOM_OK;
}

static void put_bytes(const struct loom_piece *piece, struct loom_ids *ids) {
    for (size_t i = 0; i < piece->size; i++)
        ids->data[ids->count + i] = (unsigned char)piece->data[i];
    ids->count += piece->size;
}

loom_status loom_encoder_put(struct loom_encoder *encoder, const struct loom_piece *piece, struct loom_ids *ids,
                             struct loom_error *error) {
    loom_status status = loom_ids_reserve(ids, piece->size, error);
    if (status != LOOM_OK)
        return status;
    if (encoder->tokenizer->kind == LOOM_TOKENIZER_CHAR)
        return put_characters(encoder->tokenizer, piece, ids, error);
    put_bytes(piece, ids);
    return LOOM_OK;
}

/* ---- the encoder ------------------------------------------------------------------------------------------------- */

loom_status loom_encoder_open(const struct loom_tokenizer *tokenizer, struct loom_encoder **encoder,
                              struct loom_error *error) {
    *encoder = calloc(1, sizeof **encoder);
    if (!*encoder)
        return loom_fail_memory(error, "encoder", sizeof **encoder);
    (*encoder)->tokenizer = tokenizer;
    return LOOM_OK;
}

void loom_encoder_free(struct loom_encoder *encoder) {
    free(encoder);
}

size_t loom_tokenizer_cut(const struct loom_tokenizer *tokenizer, const char *data, size_t size) {
    return tokenizer->kind == LOOM_TOKENIZER_CHAR ? size - loom_utf8_unfinished(data, size) : size;
}

loom_status loom_tokenizer_encode(const struct loom_tokenizer *tokenizer, const char *text, size_t size, int **tokens,
                                  size_t *count, struct loom_error *error) {
    const struct loom_piece whole = {text, size, "the text", 0};
    struct loom_encoder *encoder;
    struct loom_ids ids = {NULL, 0, 0};
    *tokens = NULL;
    *count = 0;
    loom_status status = loom_encoder_open(tokenizer, &encoder, error);
    if (status == LOOM_OK)
        status = loom_ids_reserve(&ids, 1, error); /* an array even for an empty text */
    if (status == LOOM_OK)
        status = loom_encoder_put(encoder, &whole, &ids, error);
    loom_encoder_free(encoder);
    if (status != LOOM_OK) {
        free(ids.data);
        return status;
    }
    *tokens = ids.data;
    *count = ids.count;
    return LOOM_OK;
}
