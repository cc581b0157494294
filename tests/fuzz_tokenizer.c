/* fuzz_tokenizer.c - libFuzzer target: any bytes as a tokenizer.json. What is accepted must keep the reader's promise:
 * what is encoded decodes to the text, and the file is saved as it was read. */
#include "fuzz_tokenizers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    if (loom_tokenizer_parse((const char *)data, size, "input", &tokenizer, &error) == LOOM_OK) {
        check_saved(tokenizer, (const char *)data, size);
        check_round_trips(tokenizer);
        loom_tokenizer_free(tokenizer);
    }
    return 0;
}
