/* test_tokens.c - reading token folders: windows and documents across shards, whatever their sizes; and folders that
 * are broken in any one place, which are refused with a sentence or harmless, never followed into memory that is not
 * theirs. */
#include "token_folder.h"

static struct loom_tokenizer *byte_tokenizer(void) {
    struct loom_tokenizer *tokenizer;
    assert_int_equal(loom_tokenizer_byte(&tokenizer, NULL), LOOM_OK);
    return tokenizer;
}

static struct loom_tokens *open_tokens(const char *folder) {
    struct loom_tokens *tokens;
    struct loom_error error;
    expect(loom_tokens_open(folder, &tokens, &error), LOOM_OK, &error, "");
    return tokens;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static void check_window(const struct loom_tokens *tokens, enum loom_split split, const struct token_text *text,
                         size_t position, size_t count) {
    int ids[512], first[512];
    assert_int_equal(loom_tokens_get(tokens, split, position, count, ids, NULL), LOOM_OK);
    loom_tokens_first(tokens, split, position, count, first);
    for (size_t i = 0, begin = 0; i < count; i++) {
        begin = text->begins[position + i] ? i : begin;
        assert_int_equal(ids[i], text->ids[position + i]);
        assert_int_equal(first[i], begin);
    }
}

/* Every window of a few lengths, and all of the split. */
static void check_windows(const struct loom_tokens *tokens, enum loom_split split, const struct token_text *text) {
    static const size_t counts[] = {1, 2, 33, 200};
    assert_int_equal(tokens->counts[split], text->count);
    assert_int_equal(tokens->documents[split], token_documents(text));
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t at = 0; at + counts[c] <= text->count; at++)
            check_window(tokens, split, text, at, counts[c]);
    check_window(tokens, split, text, 0, text->count);
    check_window(tokens, split, text, text->count, 0);
}

static void test_windows(void **state) {
    static const size_t shards[] = {1, 2, 7, 64, 201, 1000};
    static const double begins[] = {0, 0.05, 0.7};
    struct loom_tokenizer *byte = byte_tokenizer();
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++)
        for (size_t j = 0; j < sizeof begins / sizeof *begins; j++) {
            struct token_text train = token_text_random(i, 401, 256, begins[j]);
            struct token_text val = token_text_random(i + 10, 113, 256, begins[j]);
            val.begins[0] = false; /* goes on from the other split */
            char *folder = token_folder_write(*state, "tokens", byte, &train, &val, shards[i]);
            struct loom_tokens *tokens = open_tokens(folder);
            check_windows(tokens, LOOM_SPLIT_TRAIN, &train);
            check_windows(tokens, LOOM_SPLIT_VAL, &val);
            loom_tokens_free(tokens);
            assert_int_equal(loom_folder_remove(folder, NULL), LOOM_OK);
            free(folder);
            token_text_free(&train);
            token_text_free(&val);
        }
    loom_tokenizer_free(byte);
}

/* ---- broken folders ---------------------------------------------------------------------------------------------- */

static void expect_broken(const char *folder, const char *says) {
    struct loom_tokens *tokens;
    struct loom_error error = {""};
    expect(loom_tokens_open(folder, &tokens, &error), LOOM_FAILED, &error, says);
    assert_null(tokens);
}

static void write_places(const char *folder, const uint64_t *places, size_t count, size_t bytes) {
    unsigned char data[64], *at = data;
    for (size_t i = 0; i < count; i++)
        at = token_bytes(at, places[i], 8);
    free(scratch_write((void *)(uintptr_t)folder, "train-00000.doc", data, bytes));
}

static void test_broken_documents(void **state) {
    struct loom_tokenizer *byte = byte_tokenizer();
    struct token_text train = token_text_random(1, 40, 256, 0), val = token_text_random(2, 10, 256, 0);
    train.begins[5] = train.begins[30] = true;
    char *folder = token_folder_write(*state, "tokens", byte, &train, &val, 100);
    char *path = scratch_path(folder, "train-00000.doc");
    loom_tokens_free(open_tokens(folder));
    write_places(folder, (const uint64_t[]){0, 5, 5}, 3, 24);
    expect_broken(folder, "train-00000.bin: document 2 begins at token 5, after one at 5 and among 40 tokens");
    write_places(folder, (const uint64_t[]){0, 30, 5}, 3, 24);
    expect_broken(folder, "document 2 begins at token 5, after one at 30");
    write_places(folder, (const uint64_t[]){0, 5, 40}, 3, 24);
    expect_broken(folder, "document 2 begins at token 40");
    write_places(folder, (const uint64_t[]){0, 5, UINT64_MAX}, 3, 24);
    expect_broken(folder, "document 2 begins at token 18446744073709551615");
    write_places(folder, (const uint64_t[]){0, 5}, 2, 16);
    expect_broken(folder, "train-00000.doc has 16 bytes, but its 3 places of documents need 24");
    write_places(folder, (const uint64_t[]){0, 5, 30}, 3, 23);
    expect_broken(folder, "train-00000.doc has 23 bytes");
    write_places(folder, (const uint64_t[]){0, 5, 30}, 3, 24);
    loom_tokens_free(open_tokens(folder));
    assert_int_equal(remove(path), 0);
    struct loom_tokens *tokens;
    struct loom_error error;
    expect(loom_tokens_open(folder, &tokens, &error), LOOM_IO, &error, "train-00000.doc");
    free(path);
    free(folder);
    token_text_free(&train);
    token_text_free(&val);
    loom_tokenizer_free(byte);
}

/* Whatever a manifest says, the folder is refused or every window of it can be read. */
static void open_any(const char *folder, size_t *opened) {
    struct loom_tokens *tokens;
    struct loom_error error = {""};
    if (loom_tokens_open(folder, &tokens, &error)) {
        assert_null(tokens);
        assert_true(strlen(error.text) > 0);
        return;
    }
    for (enum loom_split split = LOOM_SPLIT_TRAIN; split < LOOM_SPLITS; split++) {
        size_t count = (size_t)tokens->counts[split];
        int *out = calloc(count + 1, sizeof *out);
        assert_int_equal(loom_tokens_get(tokens, split, 0, count, out, NULL), LOOM_OK);
        loom_tokens_first(tokens, split, 0, count, out);
        for (size_t i = 0; i < count; i++)
            assert_true(out[i] >= 0 && (size_t)out[i] <= i && (i == 0 || out[i] >= out[i - 1]));
        free(out);
    }
    loom_tokens_free(tokens);
    ++*opened;
}

/* Changes single bytes of a file to others that its format knows, and cuts and doubles pieces of it. */
static void mutate_file(const char *folder, const char *name, const char *alphabet, size_t size_of_alphabet,
                        int trials) {
    const struct loom_random stream = {77, LOOM_RANDOM_TEST};
    char *path = loom_path_join(folder, name), *data;
    size_t size, opened = 0;
    uint64_t drawn = 0;
    assert_int_equal(loom_file_read(path, SIZE_MAX, &data, &size, NULL), LOOM_OK);
    char *changed = malloc(2 * size);
    assert_non_null(changed);
    for (int trial = 0; trial < trials; trial++) {
        size_t from = (size_t)loom_random_below(stream, drawn++, size), length = size;
        size_t other = (size_t)loom_random_below(stream, drawn++, size);
        memcpy(changed, data, size);
        if (trial % 3 == 0)
            changed[from] = alphabet[loom_random_below(stream, drawn++, size_of_alphabet)];
        else /* what follows `from` goes to `other`: a cut or a repetition */
            memcpy(changed + other, data + from, length = size - from), length += other;
        assert_int_equal(remove(path), 0); /* writing over it would wait for the disk */
        free(scratch_write((void *)(uintptr_t)folder, name, changed, length));
        open_any(folder, &opened);
    }
    free(scratch_write((void *)(uintptr_t)folder, name, data, size));
    loom_tokens_free(open_tokens(folder));
    assert_true(opened < (size_t)trials); /* something was noticed */
    free(changed);
    free(data);
    free(path);
}

static void test_broken_anywhere(void **state) {
    struct loom_tokenizer *byte = byte_tokenizer();
    struct token_text train = token_text_random(1, 40, 256, 0.2), val = token_text_random(2, 10, 256, 0.2);
    char *folder = token_folder_write(*state, "tokens", byte, &train, &val, 16);
    static const char json[] = "0123456789-.eE\"{}[],: tfn\\/";
    mutate_file(folder, "manifest.json", json, sizeof json - 1, 3000);
    mutate_file(folder, "train-00000.doc", "\0\1\17\20\200\377", 6, 600);
    mutate_file(folder, "train-00001.bin", "\0\1\377", 3, 600);
    free(folder);
    token_text_free(&train);
    token_text_free(&val);
    loom_tokenizer_free(byte);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_windows, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_broken_documents, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_broken_anywhere, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
