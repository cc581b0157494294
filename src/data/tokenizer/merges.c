/* merges.c - GPT-2's vocab.bpe with encoder.json, to Hugging Face merges.txt with vocab.json; see ranks.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lines.h"
#include "data/tokenizer/encodings.h"
#include "data/tokenizer/ranks.h"
#include "data/tokenizer/tokenizer_kinds.h"
#include "data/tokenizer/vocabulary.h"

/* ---- names ------------------------------------------------------------------------------------------------------- */

enum { PAIRS = 2 };
static const char *const merges_names[PAIRS] = {"vocab.bpe", "merges.txt"};
static const char *const vocabulary_names[PAIRS] = {"encoder.json", "vocab.json"};

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_one_of(const char *name, const char *const *names) {
    return strcmp(name, names[0]) == 0 || strcmp(name, names[1]) == 0;
}

bool loom_merges_is(const char *path) {
    return is_one_of(base_name(path), merges_names) || is_one_of(base_name(path), vocabulary_names);
}

/* The file of this kind: `path` itself, or what stands beside it, by the first name that is there, or else by the first
 * name. NULL when memory is short. */
static char *find_beside(const char *path, const char *const *names) {
    if (is_one_of(base_name(path), names))
        return strdup(path);
    size_t folder = (size_t)(base_name(path) - path);
    char *found = malloc(folder + 16);
    for (size_t i = 0; found && i <= PAIRS; i++) {
        memcpy(found, path, folder);
        strcpy(found + folder, names[i % PAIRS]);
        if (loom_path_exists(found))
            break;
    }
    return found;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Reads the lines "LEFT RIGHT" behind the first, "#version: 0.2", which older files lack. */
static loom_status read_merges(struct loom_bpe_parts *parts, const struct loom_vocabulary *vocabulary, const char *text,
                               size_t size, struct loom_error *error) {
    struct loom_lines lines = {text, text + size, 0};
    const char *line;
    loom_status status = LOOM_OK;
    while (status == LOOM_OK && loom_lines_next(&lines, &line, &size)) {
        bool version = lines.number == 1 && size >= 8 && memcmp(line, "#version", 8) == 0;
        if (version || (size == 0 && lines.at == lines.end))
            continue;
        if (parts->n_merges == 0)
            parts->merges_line = lines.number;
        status = loom_vocabulary_merge(vocabulary, line, size, parts->name, "line", (size_t)lines.number,
                                       &parts->merges[parts->n_merges++], error);
    }
    return status;
}

static loom_status build(struct loom_bpe_parts *parts, struct loom_vocabulary *vocabulary, const char *merges,
                         size_t merges_size, struct loom_tokenizer **tokenizer, struct loom_error *error) {
    size_t lines = loom_lines_count(merges, merges_size);
    parts->merges = malloc(lines * sizeof *parts->merges);
    if (!parts->merges)
        return loom_fail_memory(error, parts->name, lines * sizeof *parts->merges);
    loom_status status = read_merges(parts, vocabulary, merges, merges_size, error);
    parts->tokens = vocabulary->tokens;
    parts->n_tokens = vocabulary->count;
    if (status == LOOM_OK)
        status = loom_tokenizer_bpe(parts, tokenizer, error);
    free(parts->merges);
    return status;
}

/* The split pattern is not in these files. GPT-2's own is meant unless the caller knows better. */
static loom_status choose_split(struct loom_bpe_parts *parts, const char *encoding_name, struct loom_error *error) {
    const struct loom_encoding *encoding = loom_encoding_named(encoding_name ? encoding_name : "gpt2");
    if (!encoding)
        return loom_fail(error, LOOM_INVALID, "%s: there is no encoding \"%.64s\"", parts->name, encoding_name);
    parts->split = encoding->split;
    return LOOM_OK;
}

loom_status loom_merges_parse(const char *merges, size_t merges_size, const char *merges_name, const char *words,
                              size_t words_size, const char *words_name, const char *encoding,
                              struct loom_tokenizer **tokenizer, struct loom_error *error) {
    struct loom_added_token end = {"<|endoftext|>", 13, 0, true, false};
    struct loom_bpe_parts parts = {.name = merges_name, .added = &end};
    struct loom_vocabulary vocabulary = {.words = NULL};
    json_t *json;
    *tokenizer = NULL;
    loom_status status = choose_split(&parts, encoding, error);
    if (status == LOOM_OK)
        status = loom_json_parse(words, words_size, words_name, &json, error);
    if (status != LOOM_OK)
        return status;
    const json_t *id = json_object_get(json, end.content);
    end.id = (int)json_integer_value(id);
    parts.n_added = json_is_integer(id) && json_integer_value(id) <= INT32_MAX ? 1 : 0;
    if (json_object_size(json) == 0)
        status = loom_fail(error, LOOM_FAILED, "%s: not a vocabulary of words and their ids", words_name);
    if (status == LOOM_OK)
        status = loom_vocabulary_open(&vocabulary, json, words_name, parts.added, parts.n_added, error);
    if (status == LOOM_OK)
        status = build(&parts, &vocabulary, merges, merges_size, tokenizer, error);
    loom_vocabulary_close(&vocabulary);
    json_decref(json);
    return status;
}

loom_status loom_merges_open(const char *path, const char *encoding, struct loom_tokenizer **tokenizer,
                             struct loom_error *error) {
    char *merges_path = find_beside(path, merges_names), *words_path = find_beside(path, vocabulary_names);
    char *merges = NULL, *words = NULL;
    size_t merges_size, words_size;
    loom_status status = merges_path && words_path ? LOOM_OK : loom_fail_memory(error, path, strlen(path));
    if (status == LOOM_OK)
        status = loom_file_read(merges_path, LOOM_TOKENIZER_LIMIT, &merges, &merges_size, error);
    if (status == LOOM_OK)
        status = loom_file_read(words_path, LOOM_TOKENIZER_LIMIT, &words, &words_size, error);
    if (status == LOOM_OK)
        status = loom_merges_parse(merges, merges_size, merges_path, words, words_size, words_path, encoding, tokenizer,
                                   error);
    free(words);
    free(merges);
    free(words_path);
    free(merges_path);
    return status;
}
