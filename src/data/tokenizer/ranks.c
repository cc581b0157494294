/* ranks.c - see ranks.h. */
#include "data/tokenizer/ranks.h"

#include <ctype.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/lines.h"
#include "data/tokenizer/encodings.h"
#include "data/tokenizer/tokenizer_kinds.h"

bool loom_ranks_is(const char *path) {
    size_t length = strlen(path);
    return length >= 9 && strcmp(path + length - 9, ".tiktoken") == 0;
}

/* ---- rank files -------------------------------------------------------------------------------------------------- */

/* A file that is being read: its tokens, with the special ones behind, and their bytes. */
struct reading {
    struct loom_bpe_parts parts;
    char *bytes;
    size_t used;
    char (*reserved)[24]; /* contents of <|reserved_ID|> */
};

static bool read_rank(const char *digits, size_t size, int *rank) {
    *rank = 0;
    for (size_t i = 0; i < size; i++) {
        if (digits[i] < '0' || digits[i] > '9' || *rank > 100000000)
            return false;
        *rank = 10 * *rank + (digits[i] - '0');
    }
    return size > 0;
}

/* Strict: whole groups of four, "=" only at the end, no space. Room for `size` bytes is enough. */
static bool read_base64(const char *text, size_t size, char *out, size_t *bytes) {
    size_t padding = size > 1 && text[size - 1] == '=' ? 1 + (text[size - 2] == '=') : 0;
    if (size == 0 || size % 4 != 0 || size > INT_MAX)
        return false;
    for (size_t i = 0; i < size - padding; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '+' && text[i] != '/')
            return false;
    int got = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)size);
    *bytes = got > 0 ? (size_t)got - padding : 0;
    return got > 0;
}

static loom_status read_rank_line(struct reading *reading, const char *line, size_t size, int number,
                                  struct loom_error *error) {
    struct loom_token token = {.bytes = reading->bytes + reading->used, .line = number};
    const char *space = memchr(line, ' ', size);
    size_t text = space ? (size_t)(space - line) : 0, bytes = 0;
    if (!space || !read_rank(space + 1, size - text - 1, &token.id))
        return loom_fail(error, LOOM_FAILED, "%s, line %d: not a token in base64, a space and its rank: \"%.*s\"",
                         reading->parts.name, number, size < 64 ? (int)size : 64, line);
    if (!read_base64(line, text, reading->bytes + reading->used, &bytes))
        return loom_fail(error, LOOM_FAILED, "%s, line %d: \"%.*s\" is not base64", reading->parts.name, number,
                         text < 64 ? (int)text : 64, line);
    token.size = (uint32_t)bytes;
    reading->used += bytes;
    reading->parts.tokens[reading->parts.n_tokens++] = token;
    return LOOM_OK;
}

static loom_status read_rank_lines(struct reading *reading, const char *text, size_t size, struct loom_error *error) {
    struct loom_lines lines = {text, text + size, 0};
    const char *line;
    loom_status status = LOOM_OK;
    while (status == LOOM_OK && loom_lines_next(&lines, &line, &size))
        if (size > 0)
            status = read_rank_line(reading, line, size, lines.number, error);
    return status;
}

static loom_status fail_encoding(const char *name, size_t ranks, const char *given, struct loom_error *error) {
    char names[160] = "";
    const struct loom_encoding *encoding;
    for (size_t i = 0; (encoding = loom_encoding_at(i)); i++)
        strcat(strcat(names, i > 0 ? ", " : ""), encoding->name);
    if (given)
        return loom_fail(error, LOOM_INVALID, "%s: there is no encoding \"%.64s\"; there are %s", name, given, names);
    return loom_fail(error, LOOM_FAILED,
                     "%s has %zu ranks, which tells no encoding; say which one's split pattern it goes with, as in "
                     "FILE#cl100k_base (%s)",
                     name, ranks, names);
}

static void add_special(struct reading *reading, const char *content, int id) {
    struct loom_bpe_parts *parts = &reading->parts;
    size_t size = strlen(content);
    bool known = parts->n_added > 0 && parts->added[parts->n_added - 1].id == id;
    parts->added[parts->n_added++] = (struct loom_added_token){content, size, id, true, false};
    if (!known) /* a second name of one id only has a meaning in a text */
        parts->tokens[parts->n_tokens++] =
            (struct loom_token){.id = id, .bytes = content, .size = (uint32_t)size, .hidden = true};
}

static bool is_named(const struct loom_encoding *encoding, int id) {
    for (size_t i = 0; i < encoding->n_specials; i++)
        if (encoding->specials[i].id == id)
            return true;
    return false;
}

/* The encoding's special tokens. A file of other ranks than the encoding's has its <|endoftext|> behind the last. */
static void add_specials(struct reading *reading, const struct loom_encoding *encoding) {
    if (reading->parts.n_tokens != encoding->ranks) {
        int last = -1;
        for (size_t i = 0; i < reading->parts.n_tokens; i++)
            last = reading->parts.tokens[i].id > last ? reading->parts.tokens[i].id : last;
        add_special(reading, "<|endoftext|>", last + 1);
        return;
    }
    for (size_t i = 0; i < encoding->n_specials; i++)
        add_special(reading, encoding->specials[i].content, encoding->specials[i].id);
    for (int id = encoding->reserved_from; id > 0 && id <= encoding->reserved_to; id++) {
        char *content = reading->reserved[id - encoding->reserved_from];
        if (is_named(encoding, id))
            continue;
        snprintf(content, sizeof *reading->reserved, "<|reserved_%d|>", id);
        add_special(reading, content, id);
    }
}

/* The encoding that a file's name tells, up to the first full stop, if it has so many ranks; else the first that has.
 */
static const struct loom_encoding *encoding_of_file(const char *path, size_t ranks) {
    const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
    const size_t length = strcspn(stem, ".");
    const struct loom_encoding *encoding;
    for (size_t i = 0; (encoding = loom_encoding_at(i)); i++)
        if (encoding->ranks == ranks && strlen(encoding->name) == length && strncmp(encoding->name, stem, length) == 0)
            return encoding;
    return loom_encoding_of_ranks(ranks);
}

static loom_status read_ranks(struct reading *reading, const char *text, size_t size, const char *encoding_name,
                              struct loom_tokenizer **tokenizer, struct loom_error *error) {
    loom_status status = read_rank_lines(reading, text, size, error);
    if (status != LOOM_OK)
        return status;
    size_t ranks = reading->parts.n_tokens;
    const struct loom_encoding *encoding =
        encoding_name ? loom_encoding_named(encoding_name) : encoding_of_file(reading->parts.name, ranks);
    if (!encoding)
        return fail_encoding(reading->parts.name, ranks, encoding_name, error);
    add_specials(reading, encoding);
    reading->parts.split = encoding->split;
    reading->parts.whole_words = true;
    return loom_tokenizer_bpe(&reading->parts, tokenizer, error);
}

/* Special tokens that an encoding may have. */
enum { SPECIALS_MAX = 2048 };

loom_status loom_ranks_parse(const char *text, size_t size, const char *name, const char *encoding,
                             struct loom_tokenizer **tokenizer, struct loom_error *error) {
    size_t tokens = loom_lines_count(text, size) + SPECIALS_MAX;
    struct reading reading = {.parts = {.name = name, .tokens = malloc(tokens * sizeof *reading.parts.tokens)}};
    reading.parts.added = malloc(SPECIALS_MAX * sizeof *reading.parts.added);
    reading.reserved = malloc(SPECIALS_MAX * sizeof *reading.reserved);
    reading.bytes = malloc(size + 1); /* base64 is longer than what it tells */
    loom_status status = LOOM_NO_MEMORY;
    *tokenizer = NULL;
    if (reading.parts.tokens && reading.parts.added && reading.reserved && reading.bytes)
        status = read_ranks(&reading, text, size, encoding, tokenizer, error);
    else
        loom_fail_memory(error, name, tokens * sizeof *reading.parts.tokens + size);
    free(reading.bytes);
    free(reading.reserved);
    free(reading.parts.added);
    free(reading.parts.tokens);
    return status;
}

loom_status loom_ranks_open(const char *path, const char *encoding, struct loom_tokenizer **tokenizer,
                            struct loom_error *error) {
    char *text;
    size_t size;
    loom_status status = loom_file_read(path, LOOM_TOKENIZER_LIMIT, &text, &size, error);
    if (status != LOOM_OK)
        return status;
    status = loom_ranks_parse(text, size, path, encoding, tokenizer, error);
    free(text);
    return status;
}
