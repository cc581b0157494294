/* fuzz_tokenizers.h - what must hold of any tokenizer that a reader has accepted; abort() when it does not. */
#ifndef LOOM_TESTS_FUZZ_TOKENIZERS_H
#define LOOM_TESTS_FUZZ_TOKENIZERS_H

#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes tokens one by one; they must give `text`, of which `size` bytes are valid UTF-8. */
static inline void check_decoded(const struct loom_tokenizer *tokenizer, const int *tokens, size_t count,
                                 const char *text, size_t size) {
    struct loom_decoder *decoder;
    const char *part;
    size_t step, at = 0;
    if (loom_decoder_open(tokenizer, &decoder, NULL) != LOOM_OK)
        return;
    for (size_t i = 0; i <= count; i++) {
        if (i == count)
            loom_decoder_end(decoder, &part, &step);
        else if (loom_decoder_put(decoder, tokens[i], &part, &step, NULL) != LOOM_OK)
            abort();
        if (step > size - at || memcmp(part, text + at, step) != 0)
            abort();
        at += step;
    }
    if (at != size)
        abort();
    loom_decoder_free(decoder);
}

/* What is encoded decodes to the text, with U+FFFD for what is not UTF-8. A char tokenizer may lack a character. */
static inline void check_round_trip(const struct loom_tokenizer *tokenizer, const char *text, size_t size) {
    int *tokens;
    size_t count;
    struct loom_error error;
    loom_status status = loom_tokenizer_encode(tokenizer, text, size, &tokens, &count, &error);
    if (status == LOOM_FAILED)
        return;
    char *valid = malloc(3 * size + 1);
    if (status != LOOM_OK || !valid)
        abort();
    check_decoded(tokenizer, tokens, count, valid, loom_utf8_replace(text, size, valid));
    free(valid);
    free(tokens);
}

/* Every token's own bytes, and a text with some of everything. */
static inline void check_round_trips(const struct loom_tokenizer *tokenizer) {
    static const char text[] =
        "It's a TEST: 1234  x\n\n \xC3\xA9\xE6\xBC\xA2\xF0\x9F\x98\x80\xFF\xE2\x82 <|endoftext|>\0ab";
    int size = loom_tokenizer_vocab_size(tokenizer);
    check_round_trip(tokenizer, text, sizeof text - 1);
    for (int id = 0; id < size && id < 2000; id++) {
        size_t bytes;
        const char *token = loom_tokenizer_token(tokenizer, id, &bytes);
        if (!token)
            abort();
        check_round_trip(tokenizer, token, bytes);
    }
}

/* It is saved byte for byte as it was read. */
static inline void check_saved(const struct loom_tokenizer *tokenizer, const char *text, size_t size) {
    size_t saved_size;
    char *saved = loom_tokenizer_text(tokenizer, &saved_size);
    if (!saved || saved_size != size || memcmp(saved, text, size) != 0)
        abort();
    free(saved);
}

/* The tokenizer.json that is made of it reads back, with the same tokens. */
static inline void check_made(const struct loom_tokenizer *tokenizer) {
    struct loom_tokenizer *back;
    struct loom_error error;
    size_t size, ours, theirs;
    char *text = loom_tokenizer_text(tokenizer, &size);
    if (!text || loom_tokenizer_parse(text, size, "made", &back, &error) != LOOM_OK)
        abort();
    for (int id = 0; id < loom_tokenizer_vocab_size(tokenizer); id++) {
        const char *a = loom_tokenizer_token(tokenizer, id, &ours), *b = loom_tokenizer_token(back, id, &theirs);
        if (!a || !b || ours != theirs || memcmp(a, b, ours) != 0)
            abort();
    }
    loom_tokenizer_free(back);
    free(text);
}

#endif
