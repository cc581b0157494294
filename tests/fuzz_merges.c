/* fuzz_merges.c - libFuzzer target: merges, a NUL byte, and the vocabulary beside them. */
#include "fuzz_tokenizers.h"

#include "data/tokenizer/ranks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    const char *merges = (const char *)data, *end = size > 0 ? memchr(merges, '\0', size) : NULL;
    if (!end)
        return 0;
    size_t merges_size = (size_t)(end - merges);
    if (loom_merges_parse(merges, merges_size, "merges.txt", end + 1, size - merges_size - 1, "vocab.json", NULL,
                          &tokenizer, &error) == LOOM_OK) {
        check_made(tokenizer);
        check_round_trips(tokenizer);
        loom_tokenizer_free(tokenizer);
    }
    return 0;
}
