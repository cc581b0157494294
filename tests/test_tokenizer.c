/* test_tokenizer.c - byte and char tokenizers: lossless both ways, saved and read back equal, strict about UTF-8 and
 * about what a tokenizer.json may say. */
#include "scratch.h"

#include "base/json.h"
#include "base/utf8.h"
#include "data/tokenizer/tokenizer.h"

/* ---- UTF-8 ------------------------------------------------------------------------------------------------------- */

static void test_utf8_round_trip(void **state) {
    (void)state;
    for (uint32_t point = 0; point < LOOM_UTF8_POINTS; point++) {
        char bytes[LOOM_UTF8_MAX] = {0};
        uint32_t back = UINT32_MAX;
        size_t size = loom_utf8_encode(point, bytes);
        bool valid = point < 0xD800 || point > 0xDFFF;
        if (loom_utf8_decode(bytes, LOOM_UTF8_MAX, &back) != (valid ? size : 0) || (valid && back != point))
            fail_msg("U+%04X", point);
        for (size_t cut = 1; valid && cut < size; cut++)
            if (loom_utf8_decode(bytes, cut, &back) != 0 || loom_utf8_unfinished(bytes, cut) != cut)
                fail_msg("U+%04X cut to %zu bytes", point, cut);
        if (valid && loom_utf8_unfinished(bytes, size) != 0)
            fail_msg("U+%04X is whole", point);
    }
}

static void test_utf8_invalid(void **state) {
    static const char *const invalid[] = {"\x80",
                                          "\xBF",
                                          "\xC0\x80",
                                          "\xC1\xBF",
                                          "\xE0\x9F\xBF",
                                          "\xED\xA0\x80",
                                          "\xF0\x8F\xBF\xBF",
                                          "\xF4\x90\x80\x80",
                                          "\xF5\x80",
                                          "\xFF",
                                          "\xC3(",
                                          "\xE2\x82("};
    uint32_t point;
    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        if (loom_utf8_decode(invalid[i], strlen(invalid[i]), &point) != 0)
            fail_msg("sequence %zu", i);
    assert_int_equal(loom_utf8_decode("", 0, &point), 0);
    assert_int_equal(loom_utf8_unfinished("", 0), 0);
    assert_int_equal(loom_utf8_unfinished("\x80\x80\x80\x80", 4), 0); /* no lead byte in reach */
}

static void test_utf8_check(void **state) {
    char text[64];
    (void)state;
    assert_true(loom_utf8_check("", 0, NULL));
    assert_true(loom_utf8_check("0123456789\xC3\xA9 and \xF0\x9F\x98\x80 more ASCII", 30, NULL));
    for (size_t at = 0; at < sizeof text; at++) {
        size_t offset = SIZE_MAX;
        memset(text, 'a', sizeof text);
        text[at] = '\xA9'; /* never valid behind an ASCII letter */
        assert_false(loom_utf8_check(text, sizeof text, &offset));
        assert_int_equal(offset, at);
        text[at] = '\xC3'; /* begins a character that does not come */
        assert_false(loom_utf8_check(text, sizeof text, &offset));
        assert_int_equal(offset, at);
    }
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static loom_status char_of(const char *text, size_t size, struct loom_tokenizer **tokenizer, struct loom_error *error) {
    struct loom_characters *characters = calloc(1, sizeof *characters);
    const struct loom_piece piece = {text, size, "book.txt", 1000};
    assert_non_null(characters);
    *tokenizer = NULL;
    loom_status status = loom_characters_add(characters, &piece, error);
    if (status == LOOM_OK)
        status = loom_tokenizer_char(characters, tokenizer, error);
    free(characters);
    return status;
}

/* A random text (size bytes at most) over code points of all lengths; returns its size. */
static size_t random_text(uint64_t seed, char *text, size_t size) {
    static const uint32_t alphabet[] = {'\n',  ' ',   '"',    '\\',   'a',     'z',     0x7F,    0xE9,
                                        0x7FF, 0x800, 0x6F22, 0xFFFD, 0x10000, 0x1F600, 0x10FFFF};
    const struct loom_random stream = {seed, LOOM_RANDOM_TEST};
    size_t used = 0;
    for (uint64_t i = 0; used + LOOM_UTF8_MAX <= size; i++)
        used +=
            loom_utf8_encode(alphabet[loom_random_below(stream, i, sizeof alphabet / sizeof *alphabet)], text + used);
    return used;
}

/* Encodes and puts the tokens' bytes together again. */
static void expect_lossless(const struct loom_tokenizer *tokenizer, const char *text, size_t size) {
    int *tokens;
    size_t count, at = 0, step = 0;
    assert_int_equal(loom_tokenizer_encode(tokenizer, text, size, &tokens, &count, NULL), LOOM_OK);
    for (size_t i = 0; i < count; i++, at += step) {
        const char *bytes = loom_tokenizer_token(tokenizer, tokens[i], &step);
        assert_non_null(bytes);
        assert_true(at + step <= size);
        assert_memory_equal(bytes, text + at, step);
    }
    assert_int_equal(at, size);
    free(tokens);
}

static json_t *json_of(const struct loom_tokenizer *tokenizer) {
    size_t size;
    char *text = loom_tokenizer_text(tokenizer, &size);
    assert_non_null(text);
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

/* Text of the tokenizer.json, without spaces; freed with free(). */
static char *dump(const struct loom_tokenizer *tokenizer) {
    json_t *json = json_of(tokenizer);
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    assert_non_null(text);
    return text;
}

/* ---- the kinds --------------------------------------------------------------------------------------------------- */

static void test_byte(void **state) {
    struct loom_tokenizer *tokenizer;
    unsigned char data[4097];
    size_t size;
    (void)state;
    assert_int_equal(loom_tokenizer_open("byte", &tokenizer, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_vocab_size(tokenizer), 256);
    random_bytes(1, data, sizeof data);
    expect_lossless(tokenizer, (const char *)data, sizeof data);
    expect_lossless(tokenizer, "", 0);
    for (int id = 0; id < 256; id++) {
        const char *bytes = loom_tokenizer_token(tokenizer, id, &size);
        assert_true(size == 1 && (unsigned char)bytes[0] == id);
    }
    assert_null(loom_tokenizer_token(tokenizer, -1, &size));
    assert_null(loom_tokenizer_token(tokenizer, 256, &size));
    loom_tokenizer_free(tokenizer);
}

static void test_char(void **state) {
    static const char text[] = "b\xC3\xA9\n\xF0\x9F\x98\x80"
                               "a\xE6\xBC\xA2"
                               "b\xC3\xA9"; /* é, an emoji, 漢 */
    static const int wanted[] = {2, 3, 0, 5, 1, 4, 2, 3};
    struct loom_tokenizer *tokenizer;
    int *tokens;
    size_t count;
    (void)state;
    assert_int_equal(char_of(text, sizeof text - 1, &tokenizer, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_vocab_size(tokenizer), 6);
    assert_int_equal(loom_tokenizer_encode(tokenizer, text, sizeof text - 1, &tokens, &count, NULL), LOOM_OK);
    assert_int_equal(count, 8);
    assert_memory_equal(tokens, wanted, sizeof wanted);
    free(tokens);
    loom_tokenizer_free(tokenizer);
}

static void test_char_random(void **state) {
    enum { SIZE = 3001 };
    char text[SIZE];
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct loom_tokenizer *tokenizer, *back;
        size_t size = random_text(seed, text, SIZE);
        assert_int_equal(char_of(text, size, &tokenizer, NULL), LOOM_OK);
        expect_lossless(tokenizer, text, size);
        char *saved = dump(tokenizer);
        assert_int_equal(loom_tokenizer_parse(saved, strlen(saved), "saved", &back, NULL), LOOM_OK);
        char *again = dump(back);
        assert_string_equal(saved, again);
        expect_lossless(back, text, size);
        free(again);
        free(saved);
        loom_tokenizer_free(back);
        loom_tokenizer_free(tokenizer);
    }
}

static void test_char_errors(void **state) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    int *tokens;
    size_t count;
    (void)state;
    expect(char_of("ab\xC3(", 4, &tokenizer, &error), LOOM_FAILED, &error,
           "book.txt is not UTF-8: byte 0xC3 at offset 1002");
    expect(char_of("", 0, &tokenizer, &error), LOOM_INVALID, &error, "at least one character");
    expect(char_of("a\0b", 3, &tokenizer, &error), LOOM_INVALID, &error, "U+0000");
    assert_int_equal(char_of("ab", 2, &tokenizer, NULL), LOOM_OK);
    expect(loom_tokenizer_encode(tokenizer, "abc", 3, &tokens, &count, &error), LOOM_FAILED, &error,
           "\"c\" (U+0063) at byte 2");
    expect(loom_tokenizer_encode(tokenizer, "a\xF0\x9F\x98\x80", 5, &tokens, &count, &error), LOOM_FAILED, &error,
           "(U+1F600) at byte 1");
    expect(loom_tokenizer_encode(tokenizer, "a\xF0\x9F", 3, &tokens, &count, &error), LOOM_FAILED, &error, "offset 1");
    assert_null(tokens);
    loom_tokenizer_free(tokenizer);
}

/* Pieces are appended apart from each other, with their names and offsets in sentences. */
static void test_encoder(void **state) {
    const struct loom_piece first = {"ba", 2, "a.txt", 0}, second = {"ab", 2, "a.txt", 2}, bad = {"ac", 2, "b.txt", 7};
    static const int wanted[] = {1, 0, 0, 1};
    struct loom_tokenizer *tokenizer;
    struct loom_encoder *encoder;
    struct loom_error error;
    struct loom_ids ids = {NULL, 0, 0};
    (void)state;
    assert_int_equal(char_of("ab", 2, &tokenizer, NULL), LOOM_OK);
    assert_int_equal(loom_encoder_open(tokenizer, &encoder, NULL), LOOM_OK);
    assert_int_equal(loom_encoder_put(encoder, &first, &ids, NULL), LOOM_OK);
    assert_int_equal(loom_encoder_put(encoder, &second, &ids, NULL), LOOM_OK);
    assert_int_equal(ids.count, 4);
    assert_memory_equal(ids.data, wanted, sizeof wanted);
    expect(loom_encoder_put(encoder, &bad, &ids, &error), LOOM_FAILED, &error, "b.txt: the character \"c\"");
    assert_non_null(strstr(error.text, "at byte 8"));
    assert_int_equal(loom_tokenizer_cut(tokenizer, "ab\xC3", 3), 2);
    assert_int_equal(loom_tokenizer_end_of_text(tokenizer), -1);
    free(ids.data);
    loom_encoder_free(encoder);
    loom_tokenizer_free(tokenizer);
}

/* ---- tokenizer.json ---------------------------------------------------------------------------------------------- */

static void test_save(void **state) {
    struct loom_tokenizer *byte, *back;
    struct loom_error error;
    char *path = scratch_path(*state, "tokenizer.json");
    expect(loom_tokenizer_open(*state, &back, &error), LOOM_IO, &error, path);
    assert_int_equal(loom_tokenizer_byte(&byte, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_save(byte, *state, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_open(*state, &back, NULL), LOOM_OK); /* by its folder */
    assert_int_equal(loom_tokenizer_vocab_size(back), 256);
    loom_tokenizer_free(back);
    assert_int_equal(loom_tokenizer_open(path, &back, NULL), LOOM_OK); /* by its path */
    loom_tokenizer_free(back);
    loom_tokenizer_free(byte);
    free(path);
}

/* GPT-2's alphabet, by the rule of its definition: bytes that print are themselves, the others take 256, 257, ... */
static void test_byte_alphabet(void **state) {
    struct loom_tokenizer *byte;
    uint32_t next = 256;
    (void)state;
    assert_int_equal(loom_tokenizer_byte(&byte, NULL), LOOM_OK);
    json_t *json = json_of(byte);
    const json_t *vocabulary = json_object_get(json_object_get(json, "model"), "vocab");
    for (uint32_t i = 0; i < 256; i++) {
        char symbol[LOOM_UTF8_MAX + 1] = "";
        bool prints = (i >= '!' && i <= '~') || (i >= 0xA1 && i <= 0xAC) || i >= 0xAE;
        loom_utf8_encode(prints ? i : next++, symbol);
        assert_int_equal(json_integer_value(json_object_get(vocabulary, symbol)), i);
    }
    assert_int_equal(json_object_size(vocabulary), 256);
    json_decref(json);
    loom_tokenizer_free(byte);
}

/* Replaces `what`, which must be there, in the saved form of a tokenizer; parses; expects a refusal that says `says`.
 */
static void expect_refused(const struct loom_tokenizer *tokenizer, const char *what, const char *by, const char *says) {
    char *text = dump(tokenizer), *at = strstr(text, what);
    char *changed = calloc(1, strlen(text) + strlen(by) + 1);
    struct loom_tokenizer *back;
    struct loom_error error = {""};
    assert_true(at && changed);
    memcpy(changed, text, (size_t)(at - text));
    strcat(strcat(changed, by), at + strlen(what));
    expect(loom_tokenizer_parse(changed, strlen(changed), "t.json", &back, &error), LOOM_FAILED, &error, says);
    assert_non_null(strstr(error.text, "t.json"));
    assert_null(back);
    free(changed);
    free(text);
}

static void test_refusals(void **state) {
    static const char *const cases[][3] = {
        {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "\"normalizer\""},
        {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":4}]", "\"added_tokens\""},
        {"\"Isolated\"", "\"Removed\"", "\"pre_tokenizer\""},
        {"\"Fuse\"", "\"WordPiece\"", "\"decoder\""},
        {"\"unk_token\":\"<unk>\"", "\"unk_token\":\"a\"", "\"model\""},
        {"\"padding\":null", "\"padding\":null,\"extra\":1", "\"extra\""},
        {"\"WordLevel\"", "\"Unigram\"", "\"Unigram\", which is not supported"},
        {"\"vocab\":{", "\"vocab\":{\"ab\":4,", "not one character"},
        {"\"vocab\":{", "\"vocab\":{\"\":4,", "not one character"},
        {"\"c\":2", "\"c\":3", "ids 0 to 2"},
        {"\"c\":2", "\"c\":1", "ids 0 to 2"},
        {"\"c\":2", "\"c\":-1", "ids 0 to 2"},
        {"\"c\":2", "\"c\":\"2\"", "ids 0 to 2"},
        {"\"c\":2", "\"b\":2", "duplicate"},
        {"\"model\"", "\"mode\"", "no \"model\""},
    };
    struct loom_tokenizer *tokenizer, *byte;
    (void)state;
    assert_int_equal(char_of("abc", 3, &tokenizer, NULL), LOOM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(tokenizer, cases[i][0], cases[i][1], cases[i][2]);
    assert_int_equal(loom_tokenizer_byte(&byte, NULL), LOOM_OK);
    expect_refused(byte, "\"merges\":[]", "\"merges\":[[\"a\",\"b\"]]", "\"use_regex\" is not supported");
    expect_refused(byte, "\"use_regex\":false", "\"use_regex\":true", "\"pre_tokenizer\"");
    expect_refused(byte, "\"a\":97", "\"a\":98", "\"model\"");
    loom_tokenizer_free(byte);
    loom_tokenizer_free(tokenizer);
}

/* Ids need not follow the code points in a file from elsewhere. */
static void test_other_order(void **state) {
    struct loom_tokenizer *tokenizer, *back;
    int *tokens;
    size_t count;
    (void)state;
    assert_int_equal(char_of("ab", 2, &tokenizer, NULL), LOOM_OK);
    char *text = dump(tokenizer), *at = strstr(text, "\"a\":0,\"b\":1");
    assert_non_null(at);
    memcpy(at, "\"a\":1,\"b\":0", 11);
    assert_int_equal(loom_tokenizer_parse(text, strlen(text), "t.json", &back, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_encode(back, "a", 1, &tokens, &count, NULL), LOOM_OK);
    assert_int_equal(tokens[0], 1);
    free(tokens);
    free(text);
    loom_tokenizer_free(back);
    loom_tokenizer_free(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_round_trip),
        cmocka_unit_test(test_utf8_invalid),
        cmocka_unit_test(test_utf8_check),
        cmocka_unit_test(test_byte),
        cmocka_unit_test(test_char),
        cmocka_unit_test(test_char_random),
        cmocka_unit_test(test_char_errors),
        cmocka_unit_test(test_encoder),
        cmocka_unit_test_setup_teardown(test_save, scratch_create, scratch_remove),
        cmocka_unit_test(test_byte_alphabet),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_other_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
