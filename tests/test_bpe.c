/* test_bpe.c - byte-level BPE: words, tokens and their bytes as tiktoken and tokenizers have them (vectors made by
 * tests/peer_tokenizers.py), long words, places to cut, threads, the decoder, and files that are refused. */
#include "scratch.h"

#include "base/file.h"
#include "base/json.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/encodings.h"
#include "data/tokenizer/ranks.h"
#include "data/tokenizer/tokenizer_kinds.h"

static const char vectors_path[] = "tests/vectors/tokenizers.json";

static json_t *vectors(void) {
    struct loom_error error;
    char *text;
    size_t size;
    assert_int_equal(loom_file_read(vectors_path, 1 << 24, &text, &size, &error), LOOM_OK);
    json_t *json = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

static struct loom_tokenizer *small_tokenizer(const json_t *all) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error = {""};
    char *text = json_dumps(json_object_get(all, "tokenizer"), 0);
    expect(loom_tokenizer_parse(text, strlen(text), "small.json", &tokenizer, &error), LOOM_OK, &error, "");
    free(text);
    return tokenizer;
}

/* ---- vectors ----------------------------------------------------------------------------------------------------- */

static void check_words(const struct loom_split *split, const char *text, size_t size, const json_t *sizes,
                        const char *name) {
    size_t word = 0;
    for (size_t at = 0, end; at < size; at = end, word++) {
        end = loom_split_next(split, text, size, at);
        if (end <= at || end > size || (json_int_t)(end - at) != json_integer_value(json_array_get(sizes, word)))
            fail_msg("%s: word %zu of \"%s\" ends at byte %zu", name, word, text, end);
    }
    assert_int_equal(word, json_array_size(sizes));
}

static void test_words(void **state) {
    json_t *all = vectors(), *texts = json_object_get(all, "texts"), *family;
    const char *name;
    (void)state;
    json_object_foreach(json_object_get(all, "words"), name, family) {
        struct loom_split split, again;
        const json_t *sizes = json_object_get(family, "sizes");
        if (!loom_split_recognise(json_string_value(json_object_get(family, "pattern")), &split))
            fail_msg("the pattern of %s is not known", name);
        for (size_t i = 0; i < json_array_size(texts); i++) {
            const json_t *text = json_array_get(texts, i);
            check_words(&split, json_string_value(text), json_string_length(text), json_array_get(sizes, i), name);
        }
        char *pattern = loom_split_pattern(&split);
        assert_true(loom_split_recognise(pattern, &again));
        assert_memory_equal(&split, &again, sizeof split);
        free(pattern);
    }
    json_decref(all);
}

static void check_tokens(const struct loom_tokenizer *tokenizer, const json_t *text, const json_t *wanted) {
    int *tokens;
    size_t count, at = 0;
    const char *data = json_string_value(text);
    assert_int_equal(loom_tokenizer_encode(tokenizer, data, json_string_length(text), &tokens, &count, NULL), LOOM_OK);
    for (size_t i = 0; i < count; i++) {
        size_t size;
        const char *bytes = loom_tokenizer_token(tokenizer, tokens[i], &size);
        if (tokens[i] != json_integer_value(json_array_get(wanted, i)))
            fail_msg("token %zu of \"%s\" is %d", i, data, tokens[i]);
        assert_memory_equal(bytes, data + at, size);
        at += size;
    }
    assert_int_equal(count, json_array_size(wanted));
    assert_int_equal(at, json_string_length(text));
    free(tokens);
}

static void check_all_tokens(const struct loom_tokenizer *tokenizer, const json_t *texts, const json_t *tokens) {
    for (size_t i = 0; i < json_array_size(texts); i++)
        check_tokens(tokenizer, json_array_get(texts, i), json_array_get(tokens, i));
}

static void test_tokens(void **state) {
    json_t *all = vectors();
    (void)state;
    struct loom_tokenizer *tokenizer = small_tokenizer(all), *back;
    check_all_tokens(tokenizer, json_object_get(all, "texts"), json_object_get(all, "tokens"));
    assert_int_equal(loom_tokenizer_end_of_text(tokenizer), 0);
    /* What Loom would write itself encodes the same. */
    size_t size;
    char *text = loom_tokenizer_bpe_text(tokenizer, &size);
    assert_int_equal(loom_tokenizer_parse(text, size, "made", &back, NULL), LOOM_OK);
    check_all_tokens(back, json_object_get(all, "texts"), json_object_get(all, "tokens"));
    free(text);
    loom_tokenizer_free(back);
    loom_tokenizer_free(tokenizer);
    json_decref(all);
}

/* The published rank files, where they are there. */
static void test_published(void **state) {
    json_t *all = vectors(), *encoding;
    const char *name;
    size_t found = 0;
    (void)state;
    json_object_foreach(json_object_get(all, "encodings"), name, encoding) {
        char path[256];
        struct loom_tokenizer *tokenizer;
        const char *file = json_string_value(json_object_get(encoding, "file"));
        snprintf(path, sizeof path, "../shared/data/tiktoken/%s", file);
        if (!loom_path_exists(path))
            continue;
        snprintf(path, sizeof path, "../shared/data/tiktoken/%s#%s", file, name);
        assert_int_equal(loom_tokenizer_open(path, &tokenizer, NULL), LOOM_OK);
        check_all_tokens(tokenizer, json_object_get(all, "texts"), json_object_get(encoding, "tokens"));
        loom_tokenizer_free(tokenizer);
        found++;
    }
    json_decref(all);
    if (found == 0)
        skip();
}

static void put_base64(struct loom_text *text, const char *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = 0;
        for (size_t j = 0; j < 3; j++)
            three = three << 8 | (i + j < size ? (unsigned char)bytes[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            loom_text_put(text, i + j <= size ? &digits[three >> (18 - 6 * j) & 63] : "=", 1);
    }
}

/* Rank files of one number of ranks are told apart by the file's name. */
static void test_named_ranks(void **state) {
    static const struct {
        const char *name;
        int vocab_size;
    } cases[] = {{"a/p50k_edit.tiktoken", 50284},
                 {"p50k_base.tiktoken", 50281},
                 {"p50k_edit/ranks", 50281},
                 {"r50k_base.tiktoken", 50281},
                 {"p50k_edit", 50284}};
    struct loom_text ranks = {.data = NULL};
    (void)state;
    for (int rank = 0; rank < 50281; rank++) { /* the 256 bytes, then three bytes each; 50256 is <|endoftext|> */
        const char bytes[3] = {(char)(rank < 256 ? rank : rank >> 16), (char)(rank >> 8), (char)rank};
        if (rank == 50256)
            continue;
        put_base64(&ranks, bytes, rank < 256 ? 1 : 3);
        loom_text_append(&ranks, " %d\n", rank);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loom_tokenizer *tokenizer;
        struct loom_error error;
        expect(loom_ranks_parse(ranks.data, ranks.size, cases[i].name, NULL, &tokenizer, &error), LOOM_OK, &error, "");
        assert_int_equal(loom_tokenizer_vocab_size(tokenizer), cases[i].vocab_size);
        loom_tokenizer_free(tokenizer);
    }
    loom_text_free(&ranks);
}

/* ---- words of any length ----------------------------------------------------------------------------------------- */

/* Long words take another way through the same merges. */
static void test_long_is_short(void **state) {
    json_t *all = vectors();
    struct loom_tokenizer *tokenizer = small_tokenizer(all);
    struct loom_bpe_scratch scratch = {.parts = NULL};
    const struct loom_random stream = {3, LOOM_RANDOM_TEST};
    static const char letters[] = "aaabeinrst ";
    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        char word[LOOM_BPE_SHORT];
        int shorts[LOOM_BPE_SHORT], longs[LOOM_BPE_SHORT];
        size_t size = 1 + loom_random_below(stream, 2 * i, sizeof word), n_short, n_long;
        uint64_t kinds = 1 + i % (sizeof letters - 1);
        for (size_t j = 0; j < size; j++)
            word[j] = letters[loom_random_below(stream, i << 20 | j, kinds)];
        assert_int_equal(loom_bpe_encode(&tokenizer->bpe, &scratch, word, size, shorts, &n_short, NULL), LOOM_OK);
        assert_int_equal(loom_bpe_encode_long(&tokenizer->bpe, &scratch, word, size, longs, &n_long, NULL), LOOM_OK);
        assert_int_equal(n_short, n_long);
        assert_memory_equal(shorts, longs, n_short * sizeof *shorts);
    }
    loom_bpe_scratch_free(&scratch);
    loom_tokenizer_free(tokenizer);
    json_decref(all);
}

/* Merges out of order: "bc" makes a pair of lesser rank than its own, which has to come before its next. */
static void test_unordered_merges(void **state) {
    enum { A = 'a', B = 'b', C = 'c', BC = 256, ABC = 257, CA = 258 };
    const struct loom_merge merges[] = {{A, BC, 0, ABC}, {B, C, 1, BC}, {C, A, 2, CA}};
    struct loom_bpe bpe = {.table = NULL};
    struct loom_bpe_scratch scratch = {.parts = NULL};
    const struct loom_merge *clash;
    int shorts[64], longs[64];
    size_t n_short, n_long;
    (void)state;
    for (int i = 0; i < 256; i++)
        bpe.bytes[i] = i;
    assert_int_equal(loom_bpe_open(&bpe, merges, 3, &clash, NULL), LOOM_OK);
    assert_null(clash);
    static const char word[] = "abcabcacabbcabcccabcbca";
    loom_bpe_encode(&bpe, &scratch, word, sizeof word - 1, shorts, &n_short, NULL);
    loom_bpe_encode_long(&bpe, &scratch, word, sizeof word - 1, longs, &n_long, NULL);
    assert_int_equal(n_short, n_long);
    assert_memory_equal(shorts, longs, n_short * sizeof *shorts);
    assert_int_equal(shorts[0], ABC);
    loom_bpe_scratch_free(&scratch);
    loom_bpe_close(&bpe);
    const struct loom_merge twice[] = {{A, B, 0, 256}, {A, B, 1, 257}};
    assert_int_equal(loom_bpe_open(&bpe, twice, 2, &clash, NULL), LOOM_OK);
    assert_ptr_equal(clash, &twice[1]);
}

/* A word of 5 MB, marks, NULs: every byte comes back, on however many threads. */
static void test_hostile(void **state) {
    enum { SIZE = 5 << 20 };
    json_t *all = vectors();
    struct loom_tokenizer *tokenizer = small_tokenizer(all);
    const struct loom_random stream = {4, LOOM_RANDOM_TEST};
    char *text = malloc(SIZE);
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        for (size_t i = 0; i < SIZE; i++)
            text[i] = kind == 0   ? (char)('a' + loom_random_below(stream, i, 26))
                      : kind == 1 ? 'a'
                      : kind == 2 ? "\xCC\x81"[i % 2]
                                  : '\0';
        const struct loom_encode_options options = {.threads = 1 + kind};
        int *tokens;
        size_t count, at = 0, size;
        assert_int_equal(loom_tokenizer_encode_with(tokenizer, text, SIZE, &options, &tokens, &count, NULL), LOOM_OK);
        for (size_t i = 0; i < count; i++, at += size) {
            const char *bytes = loom_tokenizer_token(tokenizer, tokens[i], &size);
            if (memcmp(bytes, text + at, size) != 0)
                fail_msg("kind %d: token %zu", kind, i);
        }
        assert_int_equal(at, SIZE);
        free(tokens);
    }
    free(text);
    loom_tokenizer_free(tokenizer);
    json_decref(all);
}

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

static void put(struct loom_encoder *encoder, const char *text, size_t size, struct loom_ids *ids) {
    const struct loom_piece piece = {text, size, "text", 0};
    assert_int_equal(loom_encoder_put(encoder, &piece, ids, NULL), LOOM_OK);
}

/* A random text of characters that the patterns treat in different ways. */
static size_t random_text(uint64_t seed, char *text, size_t limit) {
    static const char *const parts[] = {" ", "  ", "\n",       "\r\n",     "a",        "Bc",          "'s",
                                        "1", "23", "\xC3\xA9", "\xCC\x81", "\xE4\xB8", "\x80",        "!",
                                        "/", "\t", "\xC2\xA0", "foo bar",  "\xE2\x80", "\xE4\xB8\x80"};
    const struct loom_random stream = {seed, LOOM_RANDOM_TEST};
    size_t used = 0;
    for (uint64_t i = 0; used + 8 < limit; i++) {
        const char *part = parts[loom_random_below(stream, i, sizeof parts / sizeof *parts)];
        memcpy(text + used, part, strlen(part));
        used += strlen(part);
    }
    return used;
}

static void check_cut(const struct loom_tokenizer *tokenizer, struct loom_encoder *encoder, const char *text,
                      size_t size, size_t known) {
    struct loom_ids whole = {NULL, 0, 0}, parts = {NULL, 0, 0};
    size_t at = loom_tokenizer_cut(tokenizer, text, known);
    assert_true(at < known);
    if (at == 0)
        return;
    put(encoder, text, size, &whole);
    put(encoder, text, at, &parts);
    put(encoder, text + at, size - at, &parts);
    if (whole.count != parts.count || memcmp(whole.data, parts.data, whole.count * sizeof *whole.data) != 0)
        fail_msg("cut at %zu of %zu: \"%.*s\"", at, size, (int)size, text);
    free(whole.data);
    free(parts.data);
}

static void test_cut(void **state) {
    static const struct loom_split splits[] = {{LOOM_SPLIT_GPT2, 0, false},
                                               {LOOM_SPLIT_GPT4, 3, false},
                                               {LOOM_SPLIT_GPT4, 1, true},
                                               {LOOM_SPLIT_O200K, 3, false}};
    json_t *all = vectors();
    struct loom_tokenizer *tokenizer = small_tokenizer(all);
    struct loom_added_token added = {"foo bar", 7, 5, false, false};
    struct loom_encoder *encoder;
    char text[64];
    (void)state;
    loom_added_close(&tokenizer->added);
    assert_int_equal(loom_added_open(&tokenizer->added, &added, 1, NULL), LOOM_OK);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        tokenizer->split = splits[i];
        assert_int_equal(loom_encoder_open(tokenizer, &encoder, NULL), LOOM_OK);
        for (uint64_t seed = 0; seed < 3000; seed++) {
            size_t size = random_text(seed, text, sizeof text);
            for (size_t known = 1; known <= size; known += 5)
                check_cut(tokenizer, encoder, text, size, known);
        }
        loom_encoder_free(encoder);
    }
    assert_int_equal(loom_tokenizer_cut(tokenizer, "one two", 7), 3);
    assert_int_equal(loom_tokenizer_cut(tokenizer, "foo bar", 7), 0); /* an added token */
    assert_int_equal(loom_tokenizer_cut(tokenizer, "foobar", 6), 0);
    loom_tokenizer_free(tokenizer);
    json_decref(all);
}

/* ---- special tokens and decoding --------------------------------------------------------------------------------- */

static void test_special(void **state) {
    json_t *all = vectors();
    struct loom_tokenizer *tokenizer = small_tokenizer(all);
    static const char text[] = "a<|endoftext|>";
    static const char *const names[] = {"<|endoftext|>"}, *const unknown[] = {"<|other|>"};
    struct loom_encode_options options = {.special = names, .n_special = 1, .threads = 1};
    struct loom_error error;
    int *tokens;
    size_t count;
    (void)state;
    assert_int_equal(loom_tokenizer_encode(tokenizer, text, sizeof text - 1, &tokens, &count, NULL), LOOM_OK);
    assert_true(count > 2);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(tokens[i], 0);
    free(tokens);
    assert_int_equal(loom_tokenizer_encode_with(tokenizer, text, sizeof text - 1, &options, &tokens, &count, NULL),
                     LOOM_OK);
    assert_int_equal(count, 2);
    assert_int_equal(tokens[1], 0);
    free(tokens);
    options.special = unknown;
    expect(loom_tokenizer_encode_with(tokenizer, text, sizeof text - 1, &options, &tokens, &count, &error),
           LOOM_INVALID, &error, "\"<|other|>\" is none");
    loom_tokenizer_free(tokenizer);
    json_decref(all);
}

/* Whatever bytes the tokens have, what comes out is whole at every moment, and in all what Python's errors="replace"
 * would make of the bytes. */
static void test_decoder(void **state) {
    struct loom_tokenizer *byte;
    struct loom_decoder *decoder;
    char data[512], wanted[3 * sizeof data], got[3 * sizeof data];
    static const char bytes[] = "a \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xFF\xED\xA0\xC0\xF4\x90";
    (void)state;
    assert_int_equal(loom_tokenizer_byte(&byte, NULL), LOOM_OK);
    assert_int_equal(loom_decoder_open(byte, &decoder, NULL), LOOM_OK);
    for (uint64_t seed = 0; seed < 200; seed++) {
        const struct loom_random stream = {seed, LOOM_RANDOM_TEST};
        size_t used = 0, size;
        const char *text;
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = bytes[loom_random_below(stream, i, sizeof bytes - 1)];
        for (size_t i = 0; i <= sizeof data; i++) {
            if (i < sizeof data)
                assert_int_equal(loom_decoder_put(decoder, (unsigned char)data[i], &text, &size, NULL), LOOM_OK);
            else
                loom_decoder_end(decoder, &text, &size);
            assert_true(loom_utf8_check(text, size, NULL));
            memcpy(got + used, text, size);
            used += size;
        }
        assert_int_equal(used, loom_utf8_replace(data, sizeof data, wanted));
        assert_memory_equal(got, wanted, used);
    }
    static const char bad[] = "\xE2\x82 \xED\xA0\x80 \xF0\x9F\x98";
    size_t size = loom_utf8_replace(bad, sizeof bad - 1, got); /* as Python: 1, 3 and 1 */
    assert_int_equal(size, 5 * 3 + 2);
    loom_decoder_free(decoder);
    loom_tokenizer_free(byte);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Replaces `what` in the small tokenizer's file. */
static void expect_refused(const char *text, const char *what, const char *by, const char *says) {
    const char *at = strstr(text, what);
    char *changed = calloc(1, strlen(text) + strlen(by) + 1);
    struct loom_tokenizer *tokenizer;
    struct loom_error error = {""};
    assert_true(at && changed);
    memcpy(changed, text, (size_t)(at - text));
    strcat(strcat(changed, by), at + strlen(what));
    expect(loom_tokenizer_parse(changed, strlen(changed), "t.json", &tokenizer, &error), LOOM_FAILED, &error, says);
    assert_null(tokenizer);
    free(changed);
}

static void test_refusals(void **state) {
    static const char *const cases[][3] = {
        {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "\"normalizer\" \"NFC\" is not supported"},
        {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "\"add_prefix_space\" is not supported"},
        {"\"use_regex\":false", "\"use_regex\":true", "\"use_regex\" is not supported"},
        {"\"behavior\":\"Isolated\"", "\"behavior\":\"Removed\"", "\"behavior\" \"Removed\" is not supported"},
        {"\\\\p{N}{1,3}", "\\\\p{N}{1,3}x", "split pattern is none"},
        {"\"dropout\":null", "\"dropout\":0.1", "\"dropout\" is not supported"},
        {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", "\"Unigram\", which is not supported"},
        {"\"lstrip\":false", "\"lstrip\":true", "\"lstrip\" is not supported"},
        {"\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", "\"end_of_word_suffix\" \"</w>\""},
        {"\"truncation\":null", "\"truncation\":null,\"extra\":1", "\"extra\" is not known"},
        {"\"<|endoftext|>\":0", "\"<|endoftext|>\":700", "the id 0, and as a word of the vocabulary 700"},
        {"\"!\":1", "\"!\":2", "is there twice"},
        {"\"!\":1", "\"!\":9999", "no token has the id 1"},
        {"\"\xC3\x80\":", "\"\xC3\x80\xC3\x80\":", "no token for the byte 0xC0"},
        {"\"!\":1", "\"\xE6\xBC\xA2\":1", "not written in the symbols of bytes"},
        {"\"merges\":[[", "\"merges\":[[\"zq\",\"q\"],[", "merge 0: \"zq\" is not in the vocabulary"},
        {"\"merges\":[[", "\"merges\":[[\"~\",\"}\"],[", "makes no token of the vocabulary"},
        {"\"merges\":[[", "\"merges\":[\"a b c\",[", "not two words"},
        {"\"merges\":[[", "\"merges\":[7,[", "not a text and not a list of two"},
    };
    json_t *all = vectors();
    char *text = json_dumps(json_object_get(all, "tokenizer"), JSON_COMPACT);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(text, cases[i][0], cases[i][1], cases[i][2]);
    free(text);
    json_decref(all);
}

/* A file that was read is saved byte for byte, spaces and all. */
static void test_saved_as_read(void **state) {
    json_t *all = vectors();
    char *text = json_dumps(json_object_get(all, "tokenizer"), JSON_INDENT(7)), *saved;
    char *path = scratch_path(*state, "tokenizer.json");
    struct loom_tokenizer *tokenizer;
    size_t size;
    assert_int_equal(loom_tokenizer_parse(text, strlen(text), "t", &tokenizer, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_save(tokenizer, *state, NULL), LOOM_OK);
    assert_int_equal(loom_file_read(path, 1 << 24, &saved, &size, NULL), LOOM_OK);
    assert_string_equal(text, saved);
    free(saved);
    free(path);
    free(text);
    loom_tokenizer_free(tokenizer);
    json_decref(all);
}

/* As merges.txt has them. */
static void put_merges(struct loom_text *text, const json_t *merges) {
    size_t i;
    json_t *merge;
    loom_text_append(text, "#version: 0.2\r\n");
    json_array_foreach(merges, i, merge) loom_text_append(
        text, "%s %s\r\n", json_string_value(json_array_get(merge, 0)), json_string_value(json_array_get(merge, 1)));
}

/* A folder without tokenizer.json is one of merges.txt and vocab.json. */
static void test_folder(void **state) {
    json_t *all = vectors(), *model = json_object_get(json_object_get(all, "tokenizer"), "model");
    struct loom_text merges = {0};
    struct loom_tokenizer *small = small_tokenizer(all), *found;
    struct loom_error error;
    int *ids, *wanted;
    size_t count, n_wanted;
    expect(loom_tokenizer_open(*state, &found, &error), LOOM_IO, &error, "tokenizer.json");
    put_merges(&merges, json_object_get(model, "merges"));
    char *words = json_dumps(json_object_get(model, "vocab"), 0);
    free(scratch_write(*state, "merges.txt", merges.data, merges.size));
    free(scratch_write(*state, "vocab.json", words, strlen(words)));
    expect(loom_tokenizer_open(*state, &found, &error), LOOM_OK, &error, "");
    assert_int_equal(loom_tokenizer_encode(found, "the house", 9, &ids, &count, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_encode(small, "the house", 9, &wanted, &n_wanted, NULL), LOOM_OK);
    assert_int_equal(count, n_wanted);
    assert_memory_equal(ids, wanted, count * sizeof *ids);
    free(ids);
    free(wanted);
    free(words);
    loom_text_free(&merges);
    loom_tokenizer_free(small);
    loom_tokenizer_free(found);
    json_decref(all);
}

/* The small tokenizer as merges.txt and vocab.json, and as ranks, encodes equally. */
static void test_other_files(void **state) {
    json_t *all = vectors(), *model = json_object_get(json_object_get(all, "tokenizer"), "model");
    const json_t *texts = json_object_get(all, "texts");
    struct loom_text merges = {0}, ranks = {0};
    struct loom_tokenizer *small = small_tokenizer(all), *other;
    struct loom_error error = {""};
    size_t i;
    (void)state;
    put_merges(&merges, json_object_get(model, "merges"));
    char *words = json_dumps(json_object_get(model, "vocab"), 0);
    expect(loom_merges_parse(merges.data, merges.size, "merges.txt", words, strlen(words), "vocab.json", "o200k_base",
                             &other, &error),
           LOOM_OK, &error, "");
    check_all_tokens(other, texts, json_object_get(all, "tokens"));
    loom_tokenizer_free(other);
    for (int id = 1; id < loom_tokenizer_vocab_size(small); id++) { /* 0 is the special token: ranks move by one */
        size_t size;
        const char *bytes = loom_tokenizer_token(small, id, &size);
        put_base64(&ranks, bytes, size);
        loom_text_append(&ranks, " %d\n", id - 1);
    }
    expect(loom_ranks_parse(ranks.data, ranks.size, "small.tiktoken", "o200k_base", &other, &error), LOOM_OK, &error,
           "");
    assert_int_equal(loom_tokenizer_end_of_text(other), loom_tokenizer_vocab_size(small) - 1);
    for (i = 0; i < json_array_size(texts); i++) {
        json_t *moved = json_array(), *wanted = json_array_get(json_object_get(all, "tokens"), i), *id;
        size_t j;
        json_array_foreach(wanted, j, id) json_array_append_new(moved, json_integer(json_integer_value(id) - 1));
        check_tokens(other, json_array_get(texts, i), moved);
        json_decref(moved);
    }
    loom_tokenizer_free(other);
    expect(loom_ranks_parse(ranks.data, ranks.size, "small.tiktoken", NULL, &other, &error), LOOM_FAILED, &error,
           "small.tiktoken has 599 ranks");
    loom_tokenizer_free(small);
    loom_text_free(&merges);
    loom_text_free(&ranks);
    free(words);
    json_decref(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_named_ranks),
        cmocka_unit_test_setup_teardown(test_folder, scratch_create, scratch_remove),
        cmocka_unit_test(test_long_is_short),
        cmocka_unit_test(test_unordered_merges),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_decoder),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test_setup_teardown(test_saved_as_read, scratch_create, scratch_remove),
        cmocka_unit_test(test_other_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
