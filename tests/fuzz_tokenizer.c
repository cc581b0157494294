/* fuzz_tokenizer.c - libFuzzer target: any bytes as a tokenizer.json. What is accepted must keep the reader's promise:
 * every token's bytes encode to that token alone, and the file it saves reads back. */
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tokens(const struct loom_tokenizer *tokenizer) {
    for (int id = 0; id < loom_tokenizer_vocab_size(tokenizer); id++) {
        size_t size = 0, count = 0;
        int *tokens = NULL;
        const char *bytes = loom_tokenizer_token(tokenizer, id, &size);
        if (!bytes || loom_tokenizer_encode(tokenizer, bytes, size, &tokens, &count, NULL) != LOOM_OK)
            abort();
        if (count != 1 || tokens[0] != id)
            abort();
        free(tokens);
    }
}

static void check_saved(const struct loom_tokenizer *tokenizer) {
    struct loom_tokenizer *back;
    size_t size;
    char *text = loom_tokenizer_text(tokenizer, &size);
    if (!text || loom_tokenizer_parse(text, size, "saved", &back, NULL) != LOOM_OK)
        abort();
    loom_tokenizer_free(back);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    if (loom_tokenizer_parse((const char *)data, size, "input", &tokenizer, &error) == LOOM_OK) {
        check_tokens(tokenizer);
        check_saved(tokenizer);
        loom_tokenizer_free(tokenizer);
    }
    return 0;
}
