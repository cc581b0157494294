/* test_prepare.c - from rows to token folders: every form of a source gives the same tokens, what is broken is named
 * and left out as was asked, and work that is killed at any moment goes on to the same bytes. */
#define _GNU_SOURCE /* memmem */
#include "scratch.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/json.h"
#include "base/text.h"
#include "data/tokens/tokens.h"

enum { ROWS = 300 };

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static struct loom_prepare_options options_for(const char *out, const char *const *inputs, size_t count) {
    return (struct loom_prepare_options){.tokenizer = "byte", .out = out, .inputs = inputs, .n_inputs = count};
}

static loom_status prepare_one(const char *out, const char *input, struct loom_prepare_result *result,
                               struct loom_error *error) {
    struct loom_prepare_options options = options_for(out, &input, 1);
    return loom_prepare(&options, result, error);
}

/* A row's text: a few lines with quotes, escapes and characters of every length. */
static void row_text(struct loom_text *text, int row) {
    static const char *const words[] = {"plain",
                                        "\"quoted\"",
                                        "back\\slash",
                                        "tab\there",
                                        "line\nbreak",
                                        "\xC3\xA9t\xC3\xA9",
                                        "\xE4\xB8\xAD\xE6\x96\x87",
                                        "\xF0\x9F\x98\x80"};
    const struct loom_random stream = {(uint64_t)row, LOOM_RANDOM_TEST};
    for (uint64_t i = 0; i < 5 + loom_random_below(stream, 0, 60); i++)
        loom_text_append(text, "%s%s", i ? " " : "", words[loom_random_below(stream, i + 1, 8)]);
}

static void put_row(struct loom_text *lines, int row) {
    struct loom_text text = {.data = NULL};
    row_text(&text, row);
    json_t *json = json_pack("{s:i, s:s, s:i, s:s}", "id", row, "text", text.data, "int_score", row % 5, "language",
                             row % 3 ? "en" : "de");
    char *line = loom_json_text(json, JSON_COMPACT);
    loom_text_append(lines, "%s\n", line);
    free(line);
    json_decref(json);
    loom_text_free(&text);
}

static struct loom_text make_lines(int first, int end) {
    struct loom_text lines = {.data = NULL};
    for (int row = first; row < end; row++)
        put_row(&lines, row);
    return lines;
}

static char *write_text(void *scratch, const char *name, const struct loom_text *text) {
    return scratch_write(scratch, name, text->data, text->size);
}

static void expect_equal_files(const char *a, const char *b, const char *name) {
    char *left = scratch_path((void *)(uintptr_t)a, name), *right = scratch_path((void *)(uintptr_t)b, name), *x, *y;
    size_t m, n;
    assert_int_equal(loom_file_read(left, SIZE_MAX, &x, &m, NULL), LOOM_OK);
    assert_int_equal(loom_file_read(right, SIZE_MAX, &y, &n, NULL), LOOM_OK);
    assert_int_equal(m, n);
    assert_memory_equal(x, y, m);
    free(left);
    free(right);
    free(x);
    free(y);
}

/* The same tokens and documents; with `manifest` the same sources too. */
static void expect_equal_folders(const char *a, const char *b, bool manifest) {
    char **names;
    size_t count;
    assert_int_equal(loom_folder_list(a, &names, &count, NULL), LOOM_OK);
    assert_int_equal(scratch_count((void *)(uintptr_t)b), count);
    for (size_t i = 0; i < count; i++)
        if (manifest || strcmp(names[i], LOOM_MANIFEST_FILE) != 0)
            expect_equal_files(a, b, names[i]);
    loom_names_free(names, count);
}

static struct loom_tokens *open_tokens(const char *folder) {
    struct loom_tokens *tokens;
    struct loom_error error;
    expect(loom_tokens_open(folder, &tokens, &error), LOOM_OK, &error, "");
    return tokens;
}

/* ---- forms of a source ------------------------------------------------------------------------------------------- */

static char *write_gzip(void *scratch, const char *name, const struct loom_text *text) {
    char *path = scratch_path(scratch, name);
    gzFile file = gzopen(path, "wb");
    assert_int_equal(gzwrite(file, text->data, (unsigned)text->size), (int)text->size);
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

/* Two frames, one behind the other. */
static char *write_zstd(void *scratch, const char *name, const struct loom_text *text) {
    size_t room = 2 * ZSTD_compressBound(text->size), half = text->size / 2;
    char *packed = malloc(room);
    size_t first = ZSTD_compress(packed, room, text->data, half, 3);
    size_t second = ZSTD_compress(packed + first, room - first, text->data + half, text->size - half, 3);
    assert_false(ZSTD_isError(first) || ZSTD_isError(second));
    char *path = scratch_write(scratch, name, packed, first + second);
    free(packed);
    return path;
}

static void test_rows(void **state) {
    struct loom_text lines = make_lines(0, ROWS);
    struct loom_prepare_result result;
    char *input = write_text(*state, "rows.jsonl", &lines), *out = scratch_path(*state, "out");
    assert_int_equal(prepare_one(out, input, &result, NULL), LOOM_OK);
    assert_int_equal(result.documents, ROWS);
    struct loom_tokens *tokens = open_tokens(out);
    assert_int_equal(tokens->documents[LOOM_SPLIT_TRAIN] + tokens->documents[LOOM_SPLIT_VAL], ROWS);
    assert_true(tokens->documents[LOOM_SPLIT_VAL] > ROWS / 20 && tokens->documents[LOOM_SPLIT_VAL] < ROWS / 5);
    uint64_t position[LOOM_SPLITS] = {0};
    for (int row = 0; row < ROWS; row++) { /* each text stands next in one of the splits */
        struct loom_text text = {.data = NULL};
        row_text(&text, row);
        bool found = false;
        for (int split = 0; !found && split < LOOM_SPLITS; split++) {
            if (tokens->counts[split] - position[split] < text.size)
                continue;
            int ids[4096];
            assert_int_equal(loom_tokens_get(tokens, (enum loom_split)split, position[split], text.size, ids, NULL),
                             LOOM_OK);
            found = true;
            for (size_t i = 0; found && i < text.size; i++)
                found = ids[i] == (unsigned char)text.data[i];
            position[split] += found ? text.size : 0;
        }
        assert_true(found);
        loom_text_free(&text);
    }
    loom_tokens_free(tokens);
    loom_text_free(&lines);
    free(input);
    free(out);
}

/* Packed, in a folder, by a pattern, with Windows' line ends, without a last newline: all the same. */
static void test_forms(void **state) {
    struct loom_text lines = make_lines(0, ROWS), other = {.data = NULL};
    struct loom_prepare_result result;
    char *plain = write_text(*state, "rows.jsonl", &lines), *out = scratch_path(*state, "out");
    assert_int_equal(prepare_one(out, plain, &result, NULL), LOOM_OK);
    for (size_t i = 0; i < lines.size; i++)
        loom_text_append(&other, lines.data[i] == '\n' ? "\r\n\n" : "%c", lines.data[i]);
    other.size -= 3;
    char *folder = scratch_path(*state, "folder");
    assert_int_equal(loom_folder_create(folder, NULL), LOOM_OK);
    free(write_text(*state, "folder/x.jsonl", &lines));
    free(scratch_write(*state, "folder/x.md", "no", 2));
    char *forms[] = {write_gzip(*state, "a.jsonl.gz", &lines), write_zstd(*state, "b.jsonl.zst", &lines),
                     write_text(*state, "c.ndjson", &other), folder, scratch_path(*state, "row?.jsonl")};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct loom_error error;
        char *again = scratch_path(*state, "again");
        expect(prepare_one(again, forms[i], &result, &error), LOOM_OK, &error, "");
        expect_equal_folders(out, again, false);
        assert_int_equal(loom_folder_remove(again, NULL), LOOM_OK);
        free(again);
        free(forms[i]);
    }
    loom_text_free(&lines);
    loom_text_free(&other);
    free(plain);
    free(out);
}

static void test_filters(void **state) {
    struct loom_text lines = make_lines(0, ROWS);
    struct loom_error error;
    char *input = write_text(*state, "rows.jsonl", &lines), *out = scratch_path(*state, "out");
    static const struct {
        const char *filters[2];
        size_t count;
        uint64_t documents;
    } cases[] = {{{"int_score >= 3"}, 1, 120},
                 {{"int_score=3"}, 1, 60},
                 {{"int_score!=3"}, 1, 240},
                 {{"int_score < 1"}, 1, 60},
                 {{"language = de"}, 1, 100},
                 {{"language > \"de\""}, 1, 200},
                 {{"int_score > 3", "language=en"}, 2, 40},
                 {{"id <= 9.5"}, 1, 10}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loom_prepare_result result;
        struct loom_prepare_options options = options_for(out, (const char *const *)&input, 1);
        options.filters = cases[i].filters;
        options.n_filters = cases[i].count;
        options.val_fraction = 0.4;
        expect(loom_prepare(&options, &result, &error), LOOM_OK, &error, "");
        assert_int_equal(result.documents, cases[i].documents);
        assert_int_equal(result.filtered, ROWS - cases[i].documents);
        assert_int_equal(loom_folder_remove(out, NULL), LOOM_OK);
    }
    static const char *const bad[][2] = {{"int_score", "not NAME OP VALUE"},
                                         {"= 3", "lacks its column"},
                                         {"a >", "lacks its value"},
                                         {"language > 3", "row 1: \"language\" is text"},
                                         {"missing = 3", "no document is left of 1 source"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct loom_prepare_result result;
        struct loom_prepare_options options = options_for(out, (const char *const *)&input, 1);
        options.filters = &bad[i][0];
        options.n_filters = 1;
        expect(loom_prepare(&options, &result, &error), i == 3 ? LOOM_FAILED : LOOM_INVALID, &error, bad[i][1]);
        assert_false(loom_path_exists(out));
    }
    loom_text_free(&lines);
    free(input);
    free(out);
}

/* ---- which documents --------------------------------------------------------------------------------------------- */

static void test_duplicates(void **state) {
    struct loom_text lines = make_lines(0, 100), twice = {.data = NULL};
    struct loom_prepare_result result;
    loom_text_append(&twice, "%s%s", lines.data, lines.data);
    char *once = write_text(*state, "once.jsonl", &lines), *both = write_text(*state, "twice.jsonl", &twice);
    char *a = scratch_path(*state, "a"), *b = scratch_path(*state, "b");
    struct loom_prepare_options options = options_for(b, (const char *const *)&both, 1);
    options.remove_duplicates = true;
    assert_int_equal(prepare_one(a, once, &result, NULL), LOOM_OK);
    assert_int_equal(loom_prepare(&options, &result, NULL), LOOM_OK);
    assert_int_equal(result.duplicates, 100);
    expect_equal_folders(a, b, false);
    /* Plain texts, longer than one piece, of which two are equal. */
    struct loom_text text = {.data = NULL};
    for (int row = 0; row < 3000; row++)
        row_text(&text, row);
    const char *texts[] = {write_text(*state, "1.txt", &text), write_text(*state, "2.txt", &lines),
                           write_text(*state, "3.txt", &text)};
    assert_int_equal(loom_folder_remove(b, NULL), LOOM_OK);
    options.inputs = texts;
    options.n_inputs = 3;
    assert_int_equal(loom_prepare(&options, &result, NULL), LOOM_OK);
    assert_int_equal(result.duplicates, 1);
    assert_int_equal(result.train_tokens + result.val_tokens, text.size + lines.size);
    for (int i = 0; i < 3; i++)
        free((void *)(uintptr_t)texts[i]);
    loom_text_free(&text);
    loom_text_free(&twice);
    loom_text_free(&lines);
    free(once);
    free(both);
    free(a);
    free(b);
}

/* Adding documents before, between and behind moves none from one split to the other. */
static void test_stable_split(void **state) {
    struct loom_text few = make_lines(100, 200), many = make_lines(0, ROWS);
    struct loom_prepare_result result;
    char *a = scratch_path(*state, "a"), *b = scratch_path(*state, "b");
    char *small = write_text(*state, "few.jsonl", &few), *large = write_text(*state, "many.jsonl", &many);
    assert_int_equal(prepare_one(a, small, &result, NULL), LOOM_OK);
    assert_int_equal(prepare_one(b, large, &result, NULL), LOOM_OK);
    char *left = scratch_path(a, "val-00000.bin"), *right = scratch_path(b, "val-00000.bin"), *x, *y;
    size_t m, n;
    assert_int_equal(loom_file_read(left, SIZE_MAX, &x, &m, NULL), LOOM_OK);
    assert_int_equal(loom_file_read(right, SIZE_MAX, &y, &n, NULL), LOOM_OK);
    assert_true(m < n && m > 0);
    assert_non_null(memmem(y, n, x, m));
    free(x);
    free(y);
    free(left);
    free(right);
    free(small);
    free(large);
    free(a);
    free(b);
    loom_text_free(&few);
    loom_text_free(&many);
}

/* ---- what is broken ---------------------------------------------------------------------------------------------- */

/* `text` alone stops the work with the sentence; among good rows it is skipped and counted, and the manifest says so.
 */
static void check_broken(void *scratch, const char *name, const struct loom_text *text, const char *says,
                         uint64_t good) {
    struct loom_error error;
    struct loom_prepare_result result;
    char *input = write_text(scratch, name, text), *out = scratch_path(scratch, "out");
    struct loom_prepare_options options = options_for(out, (const char *const *)&input, 1);
    expect(loom_prepare(&options, &result, &error), LOOM_FAILED, &error, says);
    assert_non_null(strstr(error.text, name));
    assert_false(loom_path_exists(out));
    options.skip_broken = true;
    options.val_fraction = 0.4;
    if (good == 0) {
        expect(loom_prepare(&options, &result, &error), LOOM_INVALID, &error, "no document is left");
    } else {
        expect(loom_prepare(&options, &result, &error), LOOM_OK, &error, "");
        assert_int_equal(result.documents, good);
        assert_int_equal(result.skipped, 1);
        char *path = scratch_path(out, LOOM_MANIFEST_FILE), *manifest;
        size_t size;
        assert_int_equal(loom_file_read(path, SIZE_MAX, &manifest, &size, NULL), LOOM_OK);
        assert_non_null(strstr(manifest, "\"skipped\": 1,"));
        assert_non_null(strstr(manifest, "\"skipped_first\": ["));
        free(manifest);
        free(path);
        assert_int_equal(loom_folder_remove(out, NULL), LOOM_OK);
    }
    free(input);
    free(out);
}

static void check_broken_row(void *scratch, const char *row, const char *says) {
    struct loom_text lines = make_lines(0, 20);
    loom_text_append(&lines, "%s\n", row);
    for (int i = 20; i < 40; i++)
        put_row(&lines, i);
    check_broken(scratch, "rows.jsonl", &lines, says, 40);
    loom_text_free(&lines);
}

static void test_broken_rows(void **state) {
    check_broken_row(*state, "{\"text\": \"x\"", "row 21: it is not JSON");
    check_broken_row(*state, "{\"text\": \"\xFF\"}", "row 21: it is not JSON");
    check_broken_row(*state, "{\"text\": \"\\ud800\"}", "row 21: it is not JSON");
    check_broken_row(*state, "{\"text\": \"a\", \"text\": \"b\"}", "row 21: it is not JSON");
    check_broken_row(*state, "[1, 2]", "row 21: it is not a JSON object");
    check_broken_row(*state, "{\"body\": \"x\"}", "row 21: it has no text in the column \"text\"");
    check_broken_row(*state, "{\"text\": 7}", "row 21: it has no text in the column \"text\", but something else");
    check_broken_row(*state, "{\"text\": null}", "row 21: its text is null");
}

/* A number that no int64 holds is no fault of a row, and filters know it. */
static void test_large_numbers(void **state) {
    static const char *const filters[] = {"hash > 9223372036854775807", "size < 8"};
    struct loom_text lines = {.data = NULL};
    struct loom_prepare_result result;
    struct loom_error error;
    for (int i = 0; i < 40; i++)
        loom_text_append(&lines, "{\"text\": \"some text %d\", \"hash\": 18446744073709551615, \"size\": %d}\n", i, i);
    char *input = write_text(*state, "rows.jsonl", &lines), *out = scratch_path(*state, "out");
    struct loom_prepare_options options = options_for(out, (const char *const *)&input, 1);
    options.filters = filters;
    options.n_filters = 2;
    options.split = "tail";
    expect(loom_prepare(&options, &result, &error), LOOM_OK, &error, "");
    assert_int_equal(result.documents, 8);
    assert_int_equal(result.filtered, 32);
    loom_text_free(&lines);
    free(input);
    free(out);
}

static void test_broken_files(void **state) {
    struct loom_text lines = make_lines(0, ROWS), part = {.data = NULL};
    char *gzip = write_gzip(*state, "whole.gz", &lines), *zstd = write_zstd(*state, "whole.zst", &lines), *data;
    size_t size;
    assert_int_equal(loom_file_read(gzip, SIZE_MAX, &data, &size, NULL), LOOM_OK);
    loom_text_put(&part, data, size - 9);
    check_broken(*state, "cut.txt.gz", &part, "its gzip data is broken before byte", 0);
    part.size = 0;
    loom_text_put(&part, "\x1F\x8B\x08nothing of the kind", 22);
    check_broken(*state, "bad.jsonl.gz", &part, "its gzip data is broken", 0);
    free(data);
    assert_int_equal(loom_file_read(zstd, SIZE_MAX, &data, &size, NULL), LOOM_OK);
    part.size = 0;
    loom_text_put(&part, data, size - 1);
    check_broken(*state, "cut.txt.zst", &part, "its zstd data is broken before byte", 0);
    part.size = 0;
    loom_text_put(&part, "plain text", 10);
    check_broken(*state, "plain.txt.zst", &part, "its zstd data is broken", 0);
    free(data);
    free(gzip);
    free(zstd);
    loom_text_free(&lines);
    loom_text_free(&part);
}

/* A text whose broken place comes after what is written in pieces: with skip, nothing of it may be left. */
static void test_broken_text(void **state) {
    struct loom_text text = {.data = NULL};
    struct loom_error error;
    struct loom_prepare_result result;
    for (int row = 0; row < 4000; row++)
        row_text(&text, row);
    size_t whole = text.size;
    char *good = write_text(*state, "a.txt", &text);
    loom_text_put(&text, "\xFF", 1);
    char *bad = write_text(*state, "b.txt", &text), *characters = scratch_path(*state, "characters");
    assert_int_equal(prepare_one(characters, good, &result, NULL), LOOM_OK);
    const char *inputs[] = {bad, good};
    char *out = scratch_path(*state, "out");
    struct loom_prepare_options options = options_for(out, inputs, 2);
    options.tokenizer = "char";
    expect(loom_prepare(&options, &result, &error), LOOM_FAILED, &error, "b.txt is not UTF-8: byte 0xFF at offset");
    options.skip_broken = true;
    expect(loom_prepare(&options, &result, &error), LOOM_OK, &error, "");
    assert_int_equal(result.skipped, 1);
    assert_int_equal(result.bytes, whole);
    free(characters);
    free(good);
    free(bad);
    free(out);
    loom_text_free(&text);
}

/* ---- Parquet ----------------------------------------------------------------------------------------------------- */

static bool has_duckdb(void) {
    return system("${LOOM_DUCKDB:-duckdb} -version >/dev/null 2>&1") == 0;
}

/* DuckDB itself writes the Parquet file from the .jsonl; then the file takes a name that needs quoting. */
static void make_parquet(void *scratch, const char *from, const char *to, const char *how) {
    char command[4096], *plain = scratch_path(scratch, "plain.parquet");
    snprintf(command, sizeof command,
             "${LOOM_DUCKDB:-duckdb} -batch -c \"COPY (SELECT * FROM read_json('%s', format='newline_delimited')) "
             "TO '%s' (FORMAT parquet%s)\" >/dev/null",
             from, plain, how);
    assert_int_equal(system(command), 0);
    assert_int_equal(rename(plain, to), 0);
    free(plain);
}

static void test_parquet(void **state) {
    static const char *const ways[] = {"", ", COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 64",
                                       ", COMPRESSION gzip, ROW_GROUP_SIZE 100, DICTIONARY_SIZE_LIMIT 1"};
    static const char *const filters[] = {"int_score >= 1", "language != x\"y'z"};
    struct loom_text lines = make_lines(0, ROWS);
    struct loom_prepare_result by_rows, result;
    struct loom_error error;
    if (!has_duckdb())
        skip();
    char *input = write_text(*state, "rows.jsonl", &lines), *out = scratch_path(*state, "out");
    char *parquet = scratch_path(*state, "it's [a] row*.parquet"), *again = scratch_path(*state, "again");
    struct loom_prepare_options options = options_for(out, (const char *const *)&input, 1);
    options.filters = filters;
    options.n_filters = 2;
    expect(loom_prepare(&options, &by_rows, &error), LOOM_OK, &error, "");
    options.out = again;
    options.inputs = (const char *const *)&parquet;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        make_parquet(*state, input, parquet, ways[i]);
        expect(loom_prepare(&options, &result, &error), LOOM_OK, &error, "");
        expect_equal_folders(out, again, false);
        assert_int_equal(result.filtered, by_rows.filtered);
        assert_int_equal(result.documents, by_rows.documents);
        assert_int_equal(loom_folder_remove(again, NULL), LOOM_OK);
    }
    loom_text_free(&lines);
    free(input);
    free(out);
    free(parquet);
    free(again);
}

/* ---- work that is killed ----------------------------------------------------------------------------------------- */

/* Prepares in a child that is killed after so many microseconds; true when it was done before. */
static bool prepare_killed(const struct loom_prepare_options *options, useconds_t life) {
    pid_t child = fork();
    int state;
    assert_true(child >= 0);
    if (child == 0) {
        struct loom_prepare_result result;
        loom_status status = loom_prepare(options, &result, NULL);
        _exit(status == LOOM_OK || loom_path_exists(options->out) ? 0 : 1); /* it may be through since the last kill */
    }
    usleep(life);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &state, 0), child);
    if (!WIFSIGNALED(state))
        assert_int_equal(WEXITSTATUS(state), 0);
    return !WIFSIGNALED(state);
}

/* Killed at ever later moments until it is through once; what comes out is what an uninterrupted run writes. */
static void check_killed(void *scratch, struct loom_prepare_options options) {
    struct loom_prepare_result result;
    struct loom_error error;
    char *whole = scratch_path(scratch, "whole"), *pieces = scratch_path(scratch, "pieces");
    options.out = whole;
    options.threads = 2;
    expect(loom_prepare(&options, &result, &error), LOOM_OK, &error, "");
    options.out = pieces;
    options.checkpoint_seconds = 1e-6;
    useconds_t life = 500;
    while (!prepare_killed(&options, life))
        life += life / 4;
    expect_equal_folders(whole, pieces, true);
    assert_int_equal(loom_folder_remove(whole, NULL), LOOM_OK);
    assert_int_equal(loom_folder_remove(pieces, NULL), LOOM_OK);
    free(whole);
    free(pieces);
}

static void test_killed(void **state) {
    struct loom_text text = {.data = NULL}, lines = {.data = NULL};
    for (int row = 0; text.size < 9 << 20; row++)
        row_text(&text, row);
    for (int row = 0; lines.size < 6 << 20; row++)
        put_row(&lines, row % 20000);
    loom_text_append(&lines, "not JSON\n");
    const char *inputs[] = {write_text(*state, "a.txt", &text), write_gzip(*state, "b.jsonl.gz", &lines),
                            write_text(*state, "c.txt", &text)};
    struct loom_prepare_options options = options_for(NULL, inputs, 3);
    options.shard_tokens = 1 << 20;
    options.skip_broken = true;
    options.remove_duplicates = true;
    check_killed(*state, options);
    options.split = "tail";
    options.filters = (const char *const[]){"int_score < 4"};
    options.n_filters = 1;
    check_killed(*state, options);
    for (int i = 0; i < 3; i++)
        free((void *)(uintptr_t)inputs[i]);
    loom_text_free(&text);
    loom_text_free(&lines);
}

/* Other options, or another file in the old one's place: the unfinished work is not mixed with it, and not lost. */
static void test_other_work(void **state) {
    struct loom_text lines = {.data = NULL};
    struct loom_prepare_result result;
    struct loom_error error;
    static volatile sig_atomic_t stop = 1;
    for (int row = 0; lines.size < 9 << 20; row++)
        put_row(&lines, row);
    char *input = write_text(*state, "rows.jsonl", &lines), *out = scratch_path(*state, "out");
    char *partial = scratch_path(*state, "out.partial");
    struct loom_prepare_options options = options_for(out, (const char *const *)&input, 1);
    options.stop = &stop;
    expect(loom_prepare(&options, &result, &error), LOOM_STOPPED, &error, "the same command goes on");
    options.stop = NULL;
    options.val_fraction = 0.2;
    expect(loom_prepare(&options, &result, &error), LOOM_INVALID, &error, "unfinished work with other val_fraction");
    options.val_fraction = 0;
    options.shard_tokens = 1000;
    expect(loom_prepare(&options, &result, &error), LOOM_INVALID, &error, "shards of 268435456 tokens, not 1000");
    options.shard_tokens = 0;
    free(write_text(*state, "rows.jsonl", &(struct loom_text){.data = lines.data, .size = lines.size - 2}));
    expect(loom_prepare(&options, &result, &error), LOOM_INVALID, &error, "unfinished work with other sources");
    free(write_text(*state, "rows.jsonl", &lines));
    free(scratch_write(partial, "progress.json", "{}", 2));
    expect(loom_prepare(&options, &result, &error), LOOM_INVALID, &error, "progress.json");
    assert_true(loom_path_exists(partial));
    assert_int_equal(loom_folder_remove(partial, NULL), LOOM_OK);
    expect(loom_prepare(&options, &result, &error), LOOM_OK, &error, "");
    assert_false(result.resumed);
    loom_text_free(&lines);
    free(partial);
    free(input);
    free(out);
}

/* What users meet most often is said in plain words. */
static void test_parquet_columns(void **state) {
    struct loom_text lines = make_lines(0, 10);
    struct loom_prepare_result result;
    struct loom_error error;
    if (!has_duckdb())
        skip();
    char *input = write_text(*state, "rows.jsonl", &lines), *out = scratch_path(*state, "out");
    char *parquet = scratch_path(*state, "rows.parquet");
    make_parquet(*state, input, parquet, "");
    struct loom_prepare_options options = options_for(out, (const char *const *)&parquet, 1);
    options.column = "content";
    expect(loom_prepare(&options, &result, &error), LOOM_FAILED, &error, "rows.parquet has no column \"content\"");
    options.column = "id";
    expect(loom_prepare(&options, &result, &error), LOOM_FAILED, &error, "hold the text is of type BIGINT");
    options.column = NULL;
    setenv("LOOM_DUCKDB_MEMORY", "100KB", 1);
    expect(loom_prepare(&options, &result, &error), LOOM_FAILED, &error, "DuckDB's memory of 100KB; give it more");
    setenv("LOOM_DUCKDB_MEMORY", "", 1);
    options.filters = (const char *const[]){"score > 1"};
    options.n_filters = 1;
    expect(loom_prepare(&options, &result, &error), LOOM_FAILED, &error, "rows.parquet has no column \"score\"");
    options.skip_broken = true;
    expect(loom_prepare(&options, &result, &error), LOOM_INVALID, &error, "1 skipped; the first: ");
    loom_text_free(&lines);
    free(input);
    free(parquet);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_forms, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_filters, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_duplicates, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_stable_split, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_broken_rows, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_large_numbers, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_broken_files, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_broken_text, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_parquet, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_parquet_columns, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_killed, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_other_work, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
