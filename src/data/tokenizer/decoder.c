/* decoder.c - tokens to text in whole characters; see loom_decoder in loom.h. */
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/tokenizer_kinds.h"

struct loom_decoder {
    const struct loom_tokenizer *tokenizer;
    char held[LOOM_UTF8_MAX]; /* bytes that begin a character */
    size_t n_held;
    char *joined, *text; /* the held bytes and a token's; what is given out of them */
};

loom_status loom_decoder_open(const struct loom_tokenizer *tokenizer, struct loom_decoder **decoder,
                              struct loom_error *error) {
    size_t longest = 0;
    for (int id = 0; id < tokenizer->table.count; id++) {
        size_t size = loom_token_table_size(&tokenizer->table, id);
        longest = size > longest ? size : longest;
    }
    longest += LOOM_UTF8_MAX;
    *decoder = calloc(1, sizeof **decoder);
    if (!*decoder)
        return loom_fail_memory(error, "decoder", sizeof **decoder);
    (*decoder)->tokenizer = tokenizer;
    (*decoder)->joined = malloc(longest);
    (*decoder)->text = malloc(3 * longest);
    if ((*decoder)->joined && (*decoder)->text)
        return LOOM_OK;
    loom_decoder_free(*decoder);
    *decoder = NULL;
    return loom_fail_memory(error, "decoder", 4 * longest);
}

void loom_decoder_free(struct loom_decoder *decoder) {
    if (!decoder)
        return;
    free(decoder->joined);
    free(decoder->text);
    free(decoder);
}

loom_status loom_decoder_put(struct loom_decoder *decoder, int id, const char **text, size_t *size,
                             struct loom_error *error) {
    size_t more;
    const char *bytes = loom_tokenizer_token(decoder->tokenizer, id, &more);
    *text = decoder->text;
    *size = 0;
    if (!bytes)
        return loom_fail(error, LOOM_INVALID, "token %d is outside the vocabulary of %d", id,
                         decoder->tokenizer->table.count);
    memcpy(decoder->joined, decoder->held, decoder->n_held);
    memcpy(decoder->joined + decoder->n_held, bytes, more);
    more += decoder->n_held;
    decoder->n_held = loom_utf8_unfinished(decoder->joined, more);
    more -= decoder->n_held;
    memcpy(decoder->held, decoder->joined + more, decoder->n_held);
    *size = loom_utf8_replace(decoder->joined, more, decoder->text);
    return LOOM_OK;
}

void loom_decoder_end(struct loom_decoder *decoder, const char **text, size_t *size) {
    *text = decoder->text;
    *size = loom_utf8_replace(decoder->held, decoder->n_held, decoder->text);
    decoder->n_held = 0;
}
