/* test_data.c - from text files to token folders: the split is nanoGPT's, a folder of tokens is whole or not there, and
 * a corrupt one is refused with the place. */
#include "scratch.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "base/json.h"
#include "data/tokens/tokens.h"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static loom_status prepare(const char *tokenizer, const char *out, double fraction, const char *const *inputs,
                           size_t n_inputs, struct loom_prepare_result *result, struct loom_error *error) {
    const struct loom_prepare_options options = {
        .tokenizer = tokenizer, .out = out, .inputs = inputs, .n_inputs = n_inputs, .val_fraction = fraction};
    return loom_prepare(&options, result, error);
}

static loom_status prepare_one(const char *tokenizer, const char *out, const char *input, struct loom_error *error) {
    struct loom_prepare_result result;
    return prepare(tokenizer, out, 0, &input, 1, &result, error);
}

/* Byte tokens of `size` random bytes in SCRATCH/out; fills `text` and returns the folder's path. */
static char *byte_folder(void *scratch, unsigned char *text, size_t size) {
    char *out = scratch_path(scratch, "out");
    random_bytes(3, text, size);
    char *input = scratch_write(scratch, "in.txt", text, size);
    assert_int_equal(prepare_one("byte", out, input, NULL), LOOM_OK);
    free(input);
    return out;
}

static struct loom_tokens *open_tokens(const char *folder) {
    struct loom_tokens *tokens;
    struct loom_error error;
    expect(loom_tokens_open(folder, &tokens, &error), LOOM_OK, &error, "");
    return tokens;
}

static void expect_tokens(const struct loom_tokens *tokens, enum loom_split split, const unsigned char *text,
                          size_t size) {
    int *ids = malloc((size + 1) * sizeof *ids);
    assert_non_null(ids);
    assert_int_equal(tokens->counts[split], size);
    assert_int_equal(loom_tokens_get(tokens, split, 0, size, ids, NULL), LOOM_OK);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(ids[i], text[i]);
    free(ids);
}

/* ---- prepare ----------------------------------------------------------------------------------------------------- */

static void test_byte(void **state) {
    enum { SIZE = 10007, TRAIN = 9006 }; /* int(10007 * 0.9) */
    unsigned char text[SIZE];
    char *out = byte_folder(*state, text, SIZE);
    struct loom_tokens *tokens = open_tokens(out);
    assert_int_equal(tokens->width, 2);
    assert_int_equal(tokens->bytes[LOOM_SPLIT_TRAIN], TRAIN);
    assert_int_equal(tokens->bytes[LOOM_SPLIT_VAL], SIZE - TRAIN);
    expect_tokens(tokens, LOOM_SPLIT_TRAIN, text, TRAIN);
    expect_tokens(tokens, LOOM_SPLIT_VAL, text + TRAIN, SIZE - TRAIN);
    loom_tokens_free(tokens);
    assert_int_equal(scratch_count(out), 6);    /* two shards and their documents, tokenizer, manifest; no lock */
    assert_int_equal(scratch_count(*state), 2); /* nothing beside it */
    free(out);
}

/* The size of tiny Shakespeare and nanoGPT's numbers for it; other shares and sizes. */
static void test_split(void **state) {
    static const struct {
        size_t size;
        double fraction;
        uint64_t train;
    } cases[] = {{1115394, 0.1, 1003854}, {10, 0.9, 1}, {10, 0.3, 7}, {7, 0.5, 3}, {1000, 0.001, 999}, {30, 0.7, 9}};
    char *text = malloc(cases[0].size), *out = scratch_path(*state, "out");
    assert_non_null(text);
    memset(text, 'x', cases[0].size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loom_prepare_result result;
        char *input = scratch_write(*state, "in", text, cases[i].size);
        const char *inputs[] = {input};
        assert_int_equal(prepare("char", out, cases[i].fraction, inputs, 1, &result, NULL), LOOM_OK);
        assert_int_equal(result.train_tokens, cases[i].train);
        assert_int_equal(result.val_tokens, cases[i].size - cases[i].train);
        assert_int_equal(result.bytes, cases[i].size);
        assert_int_equal(result.vocab_size, 1);
        assert_int_equal(loom_folder_remove(out, NULL), LOOM_OK);
        free(input);
    }
    free(out);
    free(text);
}

/* Tiny Shakespeare itself, where it is at hand. */
static void test_shakespeare(void **state) {
    const char *shared = getenv("LOOM_SHARED");
    char *input = loom_path_join(shared ? shared : "../shared", "data/tinyshakespeare/input.txt");
    char *out = scratch_path(*state, "out");
    const char *inputs[] = {input};
    struct loom_prepare_result result = {0};
    bool there = loom_path_exists(input);
    if (there)
        assert_int_equal(prepare("char", out, 0, inputs, 1, &result, NULL), LOOM_OK);
    free(out);
    free(input);
    if (!there)
        skip();
    assert_int_equal(result.vocab_size, 65);
    assert_int_equal(result.train_tokens, 1003854);
    assert_int_equal(result.val_tokens, 111540);
}

/* A text of 2- and 4-byte characters longer than one piece, so that pieces must end between characters. */
static void test_pieces(void **state) {
    enum { CHARACTERS = 500000 };
    static const char *const characters[] = {"\xC3\xA9", "\xF0\x9F\x98\x80", "a"};
    const struct loom_random stream = {4, LOOM_RANDOM_TEST};
    char *text = malloc(4 * CHARACTERS), *out = scratch_path(*state, "out");
    static const int id[] = {1, 2, 0};
    size_t size = 0, bytes = 0;
    assert_non_null(text);
    for (uint64_t i = 0; i < CHARACTERS; i++) {
        const char *character = characters[loom_random_below(stream, i, 3)];
        memcpy(text + size, character, strlen(character));
        size += strlen(character);
    }
    char *input = scratch_write(*state, "in", text, size);
    assert_int_equal(prepare_one("char", out, input, NULL), LOOM_OK);
    struct loom_tokens *tokens = open_tokens(out);
    assert_int_equal(tokens->counts[LOOM_SPLIT_TRAIN], CHARACTERS * 9 / 10);
    for (uint64_t i = 0; i < CHARACTERS * 9 / 10; i++) {
        int got;
        uint64_t which = loom_random_below(stream, i, 3);
        assert_int_equal(loom_tokens_get(tokens, LOOM_SPLIT_TRAIN, i, 1, &got, NULL), LOOM_OK);
        assert_int_equal(got, id[which]);
        bytes += strlen(characters[which]);
    }
    assert_int_equal(tokens->bytes[LOOM_SPLIT_TRAIN], bytes);
    assert_int_equal(tokens->bytes[LOOM_SPLIT_VAL], size - bytes);
    loom_tokens_free(tokens);
    free(input);
    free(out);
    free(text);
}

/* Files and folders in the order given; a folder's .txt files by name, other files left out; sources in the manifest.
 */
static void test_documents(void **state) {
    char *folder = scratch_path(*state, "folder"), *out = scratch_path(*state, "out");
    assert_int_equal(loom_folder_create(folder, NULL), LOOM_OK);
    char *last = scratch_write(*state, "last", "6789", 4);
    free(scratch_write(*state, "folder/b.txt", "45", 2));
    free(scratch_write(*state, "folder/a.txt", "23", 2));
    free(scratch_write(*state, "folder/c.md", "no", 2));
    char *first = scratch_write(*state, "first", "01", 2);
    const char *inputs[] = {first, folder, last};
    struct loom_prepare_result result;
    assert_int_equal(prepare("byte", out, 0.1, inputs, 3, &result, NULL), LOOM_OK);
    struct loom_tokens *tokens = open_tokens(out);
    expect_tokens(tokens, LOOM_SPLIT_TRAIN, (const unsigned char *)"012345678", 9);
    expect_tokens(tokens, LOOM_SPLIT_VAL, (const unsigned char *)"9", 1);
    loom_tokens_free(tokens);
    json_t *manifest;
    char *path = scratch_path(out, LOOM_MANIFEST_FILE);
    assert_int_equal(loom_json_read(path, &manifest, NULL), LOOM_OK);
    const json_t *sources = json_object_get(manifest, "sources"), *source = json_array_get(sources, 1);
    assert_int_equal(json_array_size(sources), 4);
    assert_non_null(strstr(json_string_value(json_object_get(source, "path")), "folder/a.txt"));
    assert_int_equal(json_integer_value(json_object_get(source, "bytes")), 2);
    assert_string_equal(json_string_value(json_object_get(source, "sha256")), /* printf 23 | sha256sum */
                        "535fa30d7e25dd8a49f1536779734ec8286108d115da5045d77f3b4185d8f790");
    json_decref(manifest);
    free(path);
    free(first);
    free(last);
    free(out);
    free(folder);
}

static void test_input_errors(void **state) {
    struct loom_error error;
    struct loom_prepare_result result;
    char *out = scratch_path(*state, "out"), *missing = scratch_path(*state, "missing");
    char *empty = scratch_write(*state, "empty.txt", "", 0), *bad = scratch_write(*state, "bad.txt", "ab\xFFz", 4);
    char *cut = scratch_write(*state, "cut.txt", "ab\xC3", 3), *one = scratch_write(*state, "one.txt", "a", 1);
    char *packed = scratch_write(*state, "x.xz", "abc", 3), *folder = scratch_path(*state, "folder");
    assert_int_equal(loom_folder_create(folder, NULL), LOOM_OK);
    const char *inputs[] = {bad};
    expect(prepare_one("byte", out, missing, &error), LOOM_IO, &error, missing);
    expect(prepare_one("byte", out, empty, &error), LOOM_INVALID, &error, "empty.txt is empty");
    expect(prepare_one("byte", out, packed, &error), LOOM_INVALID, &error, ".xz files are not supported");
    expect(prepare_one("byte", out, folder, &error), LOOM_INVALID, &error, "has no .txt, .jsonl or .parquet file");
    expect(prepare_one("byte", out, one, &error), LOOM_INVALID, &error, "1 tokens");
    expect(prepare_one("char", out, bad, &error), LOOM_FAILED, &error, "bad.txt is not UTF-8: byte 0xFF at offset 2");
    expect(prepare_one("char", out, cut, &error), LOOM_FAILED, &error, "cut.txt is not UTF-8: byte 0xC3 at offset 2");
    expect(prepare_one(missing, out, bad, &error), LOOM_IO, &error, missing);
    expect(prepare("byte", out, 0, NULL, 0, &result, &error), LOOM_INVALID, &error, "no input");
    expect(prepare("byte", out, 1.0, inputs, 1, &result, &error), LOOM_INVALID, &error, "not 1");
    expect(prepare("byte", out, -0.1, inputs, 1, &result, &error), LOOM_INVALID, &error, "not -0.1");
    assert_int_equal(chmod(bad, 0), 0);
    assert_int_equal(chmod(*state, 0755), 0);
    bool as_other = become_other();
    loom_status status = prepare_one("byte", out, bad, &error);
    if (as_other)
        become_root();
    expect(status, LOOM_IO, &error, "Permission denied");
    assert_false(loom_path_exists(out));
    assert_int_equal(scratch_count(*state), 6); /* the five files and the folder: no attempt left anything */
    free(folder);
    free(packed);
    free(one);
    free(cut);
    free(bad);
    free(empty);
    free(missing);
    free(out);
}

static void test_out(void **state) {
    struct loom_error error;
    char *input = scratch_write(*state, "in", "0123456789", 10), *out = scratch_path(*state, "out/deep/");
    char *partial = scratch_path(*state, "out/deep.partial"), *stale = NULL;
    expect(prepare_one("byte", input, input, &error), LOOM_INVALID, &error, "not a folder");
    assert_int_equal(loom_folder_create(out, NULL), LOOM_OK); /* an empty folder is fine */
    assert_int_equal(loom_folder_create(partial, NULL), LOOM_OK);
    stale = scratch_write(partial, "train-00007.bin", "x", 1); /* what a killed writer left */
    assert_int_equal(prepare_one("byte", out, input, NULL), LOOM_OK);
    assert_int_equal(scratch_count(out), 6);
    assert_false(loom_path_exists(partial));
    expect(prepare_one("byte", out, input, &error), LOOM_INVALID, &error, "not empty (6 entries)");
    loom_tokens_free(open_tokens(out));
    free(stale);
    free(partial);
    free(out);
    free(input);
}

/* Two writers of one folder; and a tokenizer read from an earlier folder. */
static void test_two_writers(void **state) {
    struct loom_error error;
    struct loom_tokens_writer *writer;
    char *input = scratch_write(*state, "in", "0123456789", 10), *out = scratch_path(*state, "out");
    char *second = scratch_path(*state, "second");
    assert_int_equal(loom_tokens_create(out, 100, &writer, NULL), LOOM_OK);
    expect(prepare_one("byte", out, input, &error), LOOM_FAILED, &error, "is locked");
    loom_tokens_close(writer); /* unfinished: all it wrote goes */
    assert_int_equal(scratch_count(*state), 1);
    assert_int_equal(prepare_one("byte", out, input, NULL), LOOM_OK);
    assert_int_equal(prepare_one(out, second, input, NULL), LOOM_OK);
    loom_tokens_free(open_tokens(second));
    free(second);
    free(out);
    free(input);
}

static void test_full_disk(void **state) {
    enum { SIZE = 100000 };
    struct loom_error error;
    char *text = calloc(1, SIZE), *out = scratch_path(*state, "out");
    assert_non_null(text);
    char *input = scratch_write(*state, "in", text, SIZE);
    limit_file_size(50000); /* room for tokenizer.json, not for the shard */
    loom_status status = prepare_one("byte", out, input, &error);
    limit_file_size(RLIM_INFINITY);
    expect(status, LOOM_IO, &error, "train-00000.bin");
    assert_int_equal(scratch_count(*state), 1);
    free(input);
    free(out);
    free(text);
}

/* A writer that is killed leaves no folder, and does not stand in the way of the next. */
static void test_kill(void **state) {
    char *input = scratch_write(*state, "in", "0123456789", 10), *out = scratch_path(*state, "out");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const int tokens[] = {1, 2, 3};
        struct loom_tokenizer *byte;
        struct loom_tokens_writer *writer;
        loom_tokenizer_byte(&byte, NULL);
        loom_tokens_create(out, 100, &writer, NULL);
        loom_tokens_set_tokenizer(writer, byte, NULL);
        loom_tokens_put(writer, LOOM_SPLIT_TRAIN, tokens, 3, 3, NULL);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(loom_path_exists(out));
    assert_int_equal(scratch_count(*state), 2); /* the unfinished work is there */
    assert_int_equal(prepare_one("byte", out, input, NULL), LOOM_OK);
    assert_int_equal(scratch_count(*state), 2); /* and gone, with the folder in its place */
    loom_tokens_free(open_tokens(out));
    free(out);
    free(input);
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

/* Puts random tokens in uneven pieces, each a document, with shards of `shard` tokens, and makes the last ones the
 * validation split; reads all windows and documents back across shard ends. */
static void check_shards(void *scratch, const struct loom_tokenizer *tokenizer, size_t shard) {
    enum { TOTAL = 101, TRAIN = 67 };
    json_t *about = json_object();
    int begun[TOTAL] = {0}, first[TOTAL]; /* where each token's document begins */
    size_t width;                         /* bytes of text of every token */
    assert_non_null(loom_tokenizer_token(tokenizer, 0, &width));
    const struct loom_random stream = {shard, LOOM_RANDOM_TEST};
    struct loom_tokens_writer *writer;
    char *out = scratch_path(scratch, "out");
    int tokens[TOTAL], got[TOTAL];
    for (uint64_t i = 0; i < TOTAL; i++)
        tokens[i] = (int)loom_random_below(stream, i, (uint64_t)loom_tokenizer_vocab_size(tokenizer));
    assert_int_equal(loom_tokens_create(out, shard, &writer, NULL), LOOM_OK);
    assert_int_equal(loom_tokens_set_tokenizer(writer, tokenizer, NULL), LOOM_OK);
    for (size_t at = 0, step = 1; at < TOTAL; at += step, step = (step * 2 < TOTAL - at) ? step * 2 : TOTAL - at) {
        assert_int_equal(loom_tokens_begin(writer, LOOM_SPLIT_TRAIN, NULL), LOOM_OK);
        assert_int_equal(loom_tokens_put(writer, LOOM_SPLIT_TRAIN, tokens + at, step, step * width, NULL), LOOM_OK);
        for (size_t i = at; i < at + step; i++)
            begun[i] = (int)at;
    }
    assert_int_equal(loom_tokens_move_tail(writer, TOTAL - TRAIN, NULL), LOOM_OK);
    assert_int_equal(loom_tokens_finish(writer, about, NULL), LOOM_OK);
    loom_tokens_close(writer);
    json_decref(about);
    struct loom_tokens *back = open_tokens(out);
    assert_int_equal(back->n_shards, (TRAIN + shard - 1) / shard + (TOTAL - TRAIN + shard - 1) / shard);
    for (size_t at = 0; at < TRAIN; at++) {
        assert_int_equal(loom_tokens_get(back, LOOM_SPLIT_TRAIN, at, TRAIN - at, got, NULL), LOOM_OK);
        assert_memory_equal(got, tokens + at, (TRAIN - at) * sizeof *got);
    }
    assert_int_equal(loom_tokens_get(back, LOOM_SPLIT_VAL, 0, TOTAL - TRAIN, got, NULL), LOOM_OK);
    assert_memory_equal(got, tokens + TRAIN, (TOTAL - TRAIN) * sizeof *got);
    loom_tokens_first(back, LOOM_SPLIT_TRAIN, 0, TRAIN, first);
    assert_memory_equal(first, begun, TRAIN * sizeof *first);
    loom_tokens_first(back, LOOM_SPLIT_VAL, 0, TOTAL - TRAIN, first);
    for (size_t i = TRAIN; i < TOTAL; i++)
        assert_int_equal(first[i - TRAIN], begun[i] < TRAIN ? 0 : begun[i] - TRAIN);
    loom_tokens_free(back);
    assert_int_equal(loom_folder_remove(out, NULL), LOOM_OK);
    free(out);
}

/* A char tokenizer of `size` characters from U+10000 on. */
static struct loom_tokenizer *large_tokenizer(uint32_t size) {
    struct loom_characters *characters = calloc(1, sizeof *characters);
    struct loom_tokenizer *tokenizer;
    assert_non_null(characters);
    for (uint32_t i = 0; i < size; i++)
        characters->bits[(0x10000 + i) / 64] |= (uint64_t)1 << (i % 64);
    assert_int_equal(loom_tokenizer_char(characters, &tokenizer, NULL), LOOM_OK);
    free(characters);
    return tokenizer;
}

static void test_shards(void **state) {
    static const size_t shards[] = {1, 7, 67, 68, 1000};
    struct loom_tokenizer *byte;
    assert_int_equal(loom_tokenizer_byte(&byte, NULL), LOOM_OK);
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++)
        check_shards(*state, byte, shards[i]);
    loom_tokenizer_free(byte);
}

static void test_wide(void **state) {
    assert_int_equal(loom_token_width(65536), 2);
    assert_int_equal(loom_token_width(65537), 4);
    struct loom_tokenizer *wide = large_tokenizer(70001);
    check_shards(*state, wide, 10);
    loom_tokenizer_free(wide);
}

/* ---- corrupt folders --------------------------------------------------------------------------------------------- */

static void expect_corrupt(const char *out, loom_status wanted, const char *says) {
    struct loom_tokens *tokens;
    struct loom_error error = {""};
    expect(loom_tokens_open(out, &tokens, &error), wanted, &error, says);
    assert_null(tokens);
}

/* Replaces `what` in the file by `by`, expects the sentence, and puts the file back. */
static void corrupt(const char *out, const char *file, const char *what, const char *by, loom_status wanted,
                    const char *says) {
    char *text, *path = loom_path_join(out, file), *changed;
    size_t size;
    assert_int_equal(loom_file_read(path, SIZE_MAX, &text, &size, NULL), LOOM_OK);
    char *at = strstr(text, what);
    changed = calloc(1, size + strlen(by) + 1);
    assert_true(at && changed);
    memcpy(changed, text, (size_t)(at - text));
    strcat(strcat(changed, by), at + strlen(what));
    assert_int_equal(loom_file_replace(path, changed, strlen(changed), NULL), LOOM_OK);
    expect_corrupt(out, wanted, says);
    assert_int_equal(loom_file_replace(path, text, size, NULL), LOOM_OK);
    free(changed);
    free(text);
    free(path);
}

static void test_corrupt_manifest(void **state) {
    static const struct {
        const char *what, *by;
        loom_status status;
        const char *says;
    } cases[] = {
        {"\"format\": \"loom-tokens\"", "\"format\": \"other\"", LOOM_FAILED, "\"format\" is \"other\""},
        {"\"version\": 2", "\"version\": 1", LOOM_FAILED, "\"version\" is 1, and this program reads 2"},
        {"\"version\": 2", "\"version\": 0", LOOM_INVALID, "\"version\" must be from 1"},
        {"\"uint16\"", "\"uint32\"", LOOM_FAILED, "\"dtype\" is \"uint32\", but a vocabulary of 256"},
        {"\"uint16\"", "16", LOOM_INVALID, "\"dtype\" must be a string"},
        {"\"vocab_size\": 256", "\"vocab_size\": 257", LOOM_FAILED, "\"vocab_size\" is 257"},
        {"\"vocab_size\": 256", "\"vocab_size\": -1", LOOM_INVALID, "\"vocab_size\" must be from 1"},
        {"\"train_tokens\": 90,", "", LOOM_INVALID, "\"train_tokens\" is missing"},
        {"\"train_tokens\": 90", "\"train_tokens\": 91", LOOM_FAILED, "is 91, but its shards have 90"},
        {"\"train_tokens\": 90", "\"train_tokens\": 90.0", LOOM_INVALID, "must be an integer"},
        {"\"val_bytes\": 10", "\"val_bytes\": null", LOOM_INVALID, "\"val_bytes\" must be an integer"},
        {"\"tokens\": 90", "\"tokens\": 89", LOOM_FAILED, "train-00000.bin has 180 bytes, but its 89 tokens"},
        {"\"tokens\": 90", "\"tokens\": 9223372036854775807", LOOM_FAILED, "has 180 bytes"},
        {"\"split\": \"val\"", "\"split\": \"test\"", LOOM_FAILED, "\"test\", neither train nor val"},
        {"\"split\": \"val\"", "\"split\": \"train\"", LOOM_FAILED, "its shards have 100"},
        {"\"val-00000.bin\"", "\"../val-00000.bin\"", LOOM_FAILED, "not a file of this folder"},
        {"\"val-00000.bin\"", "\"gone.bin\"", LOOM_IO, "gone.bin"},
        {"\"shards\"", "\"shard\"", LOOM_FAILED, "\"shards\" is not a list"},
        {"\"version\": 2", "\"version\": 2, \"version\": 2", LOOM_FAILED, "duplicate"},
        {"\"format\"", "format", LOOM_FAILED, "not valid JSON"},
    };
    unsigned char text[100];
    char *out = byte_folder(*state, text, sizeof text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        corrupt(out, LOOM_MANIFEST_FILE, cases[i].what, cases[i].by, cases[i].status, cases[i].says);
    corrupt(out, LOOM_TOKENIZER_FILE, "\"BPE\"", "\"Unigram\"", LOOM_FAILED, "Unigram");
    loom_tokens_free(open_tokens(out));
    free(out);
}

static void test_corrupt_shard(void **state) {
    unsigned char text[100], data[181] = {0};
    char *out = byte_folder(*state, text, sizeof text), *path = scratch_path(out, "train-00000.bin");
    for (int i = 0; i < 90; i++) {
        data[2 * i] = text[i];
        data[2 * i + 1] = 0;
    }
    data[2 * 77 + 1] = 1; /* token 77 becomes 256 + its byte */
    char says[64];
    snprintf(says, sizeof says, "train-00000.bin: token 77 is %d, outside the vocabulary of 256", 256 + text[77]);
    free(scratch_write(out, "train-00000.bin", data, 180));
    expect_corrupt(out, LOOM_FAILED, says);
    data[2 * 77 + 1] = 0;
    free(scratch_write(out, "train-00000.bin", data, 181));
    expect_corrupt(out, LOOM_FAILED, "has 181 bytes"); /* 90 tokens and a half */
    free(scratch_write(out, "train-00000.bin", data, 178));
    expect_corrupt(out, LOOM_FAILED, "has 178 bytes");
    free(scratch_write(out, "train-00000.bin", data, 0));
    expect_corrupt(out, LOOM_FAILED, "has 0 bytes");
    free(scratch_write(out, "train-00000.bin", data, 180));
    loom_tokens_free(open_tokens(out));
    assert_int_equal(remove(path), 0);
    expect_corrupt(out, LOOM_IO, "train-00000.bin");
    expect_corrupt("/no/such/folder", LOOM_IO, "no such folder");
    expect_corrupt(*state, LOOM_IO, "manifest.json");
    free(path);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_byte, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_split, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_shakespeare, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_pieces, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_documents, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_input_errors, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_out, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_two_writers, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_full_disk, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_kill, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_shards, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_wide, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_corrupt_manifest, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_corrupt_shard, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
