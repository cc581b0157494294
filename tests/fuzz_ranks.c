/* fuzz_ranks.c - libFuzzer target: the first byte picks an encoding, the rest is a rank file. */
#include "fuzz_tokenizers.h"

#include "data/tokenizer/encodings.h"
#include "data/tokenizer/ranks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    const struct loom_encoding *encoding = size > 0 ? loom_encoding_at(data[0]) : NULL;
    if (size > 0 && loom_ranks_parse((const char *)data + 1, size - 1, "input", encoding ? encoding->name : NULL,
                                     &tokenizer, &error) == LOOM_OK) {
        check_made(tokenizer);
        check_round_trips(tokenizer);
        loom_tokenizer_free(tokenizer);
    }
    return 0;
}
