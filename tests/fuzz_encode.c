/* fuzz_encode.c - libFuzzer target: the first byte picks a family of split patterns, the rest is a text. */
#include "fuzz_tokenizers.h"

#include "data/tokenizer/tokenizer_kinds.h"

/* 256 bytes and merges of common pairs. */
static struct loom_tokenizer *open_small(struct loom_split split) {
    static const char pairs[][2] = {{'a', 'b'},  {' ', 'a'},   {'e', 'r'}, {'a', 'a'},
                                    {' ', ' '},  {'\n', '\n'}, {'1', '2'}, {(char)0xCC, (char)0x81},
                                    {'\'', 's'}, {'A', 'B'}};
    enum { N = sizeof pairs / sizeof *pairs };
    struct loom_token tokens[256 + N];
    struct loom_merge merges[N];
    char bytes[256];
    struct loom_tokenizer *tokenizer;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[i] = (struct loom_token){.id = i, .bytes = &bytes[i], .size = 1};
    }
    for (int i = 0; i < N; i++) {
        tokens[256 + i] = (struct loom_token){.id = 256 + i, .bytes = pairs[i], .size = 2};
        merges[i] = (struct loom_merge){.left = (unsigned char)pairs[i][0], .right = (unsigned char)pairs[i][1]};
    }
    struct loom_bpe_parts parts = {
        .name = "small", .tokens = tokens, .n_tokens = 256 + N, .merges = merges, .n_merges = N, .split = split};
    if (loom_tokenizer_bpe(&parts, &tokenizer, NULL) != LOOM_OK)
        abort();
    return tokenizer;
}

/* Cut where it may be cut, the parts encode as the whole. */
static void check_cut(const struct loom_tokenizer *tokenizer, const char *text, size_t size) {
    struct loom_ids whole = {NULL, 0, 0}, parts = {NULL, 0, 0};
    struct loom_encoder *encoder;
    size_t at = loom_tokenizer_cut(tokenizer, text, size);
    if (at >= size && size > 0)
        abort();
    if (loom_encoder_open(tokenizer, &encoder, NULL) != LOOM_OK)
        return;
    const struct loom_piece pieces[] = {{text, size, "", 0}, {text, at, "", 0}, {text + at, size - at, "", at}};
    if (loom_encoder_put(encoder, &pieces[0], &whole, NULL) != LOOM_OK ||
        loom_encoder_put(encoder, &pieces[1], &parts, NULL) != LOOM_OK ||
        loom_encoder_put(encoder, &pieces[2], &parts, NULL) != LOOM_OK)
        abort();
    if (whole.count != parts.count ||
        (whole.count > 0 && memcmp(whole.data, parts.data, whole.count * sizeof *whole.data) != 0))
        abort();
    free(whole.data);
    free(parts.data);
    loom_encoder_free(encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct loom_split splits[] = {{LOOM_SPLIT_GPT2, 0, false},
                                               {LOOM_SPLIT_GPT4, 3, false},
                                               {LOOM_SPLIT_GPT4, 1, true},
                                               {LOOM_SPLIT_O200K, 3, false}};
    if (size == 0)
        return 0;
    struct loom_tokenizer *tokenizer = open_small(splits[data[0] % (sizeof splits / sizeof *splits)]);
    check_round_trip(tokenizer, (const char *)data + 1, size - 1);
    check_cut(tokenizer, (const char *)data + 1, size - 1);
    loom_tokenizer_free(tokenizer);
    return 0;
}
