/* tokenizer_file.c - the files that tokenizers are opened from and saved to; see tokenizer.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "data/tokenizer/ranks.h"
#include "data/tokenizer/tokenizer_kinds.h"

/* ---- tokenizer.json ---------------------------------------------------------------------------------------------- */

char *loom_tokenizer_text(const struct loom_tokenizer *tokenizer, size_t *size) {
    char *text = NULL;
    *size = 0;
    if (tokenizer->file) {
        text = malloc(tokenizer->file_size + 1);
        if (text)
            memcpy(text, tokenizer->file, *size = tokenizer->file_size);
    } else if (tokenizer->kind == LOOM_TOKENIZER_BPE) {
        text = loom_tokenizer_bpe_text(tokenizer, size);
    } else {
        json_t *json = loom_tokenizer_char_json(tokenizer);
        text = json ? loom_json_text(json, JSON_INDENT(2)) : NULL;
        json_decref(json);
        if (text)
            text[ *size = strlen(text)] = '\n', ++*size;
    }
    return text;
}

loom_status loom_tokenizer_save(const struct loom_tokenizer *tokenizer, const char *folder, struct loom_error *error) {
    char *path = loom_path_join(folder, LOOM_TOKENIZER_FILE);
    size_t size;
    char *text = loom_tokenizer_text(tokenizer, &size);
    loom_status status =
        path && text ? loom_file_replace(path, text, size, error) : loom_fail_memory(error, folder, size);
    free(text);
    free(path);
    return status;
}

/* Builds the tokenizer that the file describes. */
static loom_status read_json(json_t *json, const char *name, struct loom_tokenizer **tokenizer,
                             struct loom_error *error) {
    const json_t *model = json_object_get(json, "model");
    if (!json_is_object(model))
        return loom_fail(error, LOOM_FAILED, "%s: not a tokenizer: it has no \"model\" object", name);
    const char *type = json_string_value(json_object_get(model, "type"));
    /* The byte tokenizer is written as a BPE with neither; files from before the key "type" came have merges. */
    bool more_than_bytes = json_array_size(json_object_get(model, "merges")) > 0 ||
                           json_array_size(json_object_get(json, "added_tokens")) > 0;
    if (more_than_bytes && (!type || strcmp(type, "BPE") == 0))
        return loom_tokenizer_bpe_read(json, name, tokenizer, error);
    if (type && (strcmp(type, "WordLevel") == 0 || strcmp(type, "BPE") == 0))
        return loom_tokenizer_char_read(json, name, tokenizer, error);
    return loom_fail(
        error, LOOM_FAILED,
        "%s: its \"model\" is of the type \"%.64s\", which is not supported; byte-level BPE, byte and char "
        "tokenizers are",
        name, type ? type : "");
}

loom_status loom_tokenizer_parse(const char *text, size_t size, const char *name, struct loom_tokenizer **tokenizer,
                                 struct loom_error *error) {
    json_t *json;
    *tokenizer = NULL;
    loom_status status = loom_json_parse(text, size, name, &json, error);
    if (status != LOOM_OK)
        return status;
    status = read_json(json, name, tokenizer, error);
    json_decref(json);
    if (status == LOOM_OK) {
        (*tokenizer)->file = malloc(size + 1);
        if ((*tokenizer)->file)
            memcpy((*tokenizer)->file, text, (*tokenizer)->file_size = size);
        else
            status = loom_fail_memory(error, name, size);
    }
    if (status != LOOM_OK) {
        loom_tokenizer_free(*tokenizer);
        *tokenizer = NULL;
    }
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static loom_status open_json(const char *path, struct loom_tokenizer **tokenizer, struct loom_error *error) {
    char *text;
    size_t size;
    loom_status status = loom_file_read(path, LOOM_TOKENIZER_LIMIT, &text, &size, error);
    if (status != LOOM_OK)
        return status;
    status = loom_tokenizer_parse(text, size, path, tokenizer, error);
    free(text);
    return status;
}

/* Splits FILE#ENCODING; a file whose name has the mark itself is taken as it is. */
static const char *split_encoding(char *path) {
    char *mark = loom_path_exists(path) ? NULL : strrchr(path, '#');
    if (!mark)
        return NULL;
    *mark = '\0';
    return mark + 1;
}

/* The tokenizer's file in a folder: tokenizer.json, or where there is none what stood for it before; freed with free().
 */
static char *find_in_folder(const char *folder) {
    static const char *const names[] = {LOOM_TOKENIZER_FILE, "merges.txt", "vocab.bpe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = loom_path_join(folder, names[i]);
        if (!path || loom_path_exists(path))
            return path;
        free(path);
    }
    return loom_path_join(folder, LOOM_TOKENIZER_FILE);
}

static loom_status open_file(const char *path, const char *encoding, struct loom_tokenizer **tokenizer,
                             struct loom_error *error) {
    if (loom_ranks_is(path))
        return loom_ranks_open(path, encoding, tokenizer, error);
    if (loom_merges_is(path))
        return loom_merges_open(path, encoding, tokenizer, error);
    if (encoding)
        return loom_fail(error, LOOM_INVALID,
                         "%s: a tokenizer.json says itself how it encodes; \"#%.64s\" goes with a rank file", path,
                         encoding);
    char *file = loom_path_is_folder(path) ? find_in_folder(path) : strdup(path);
    if (!file)
        return loom_fail_memory(error, path, strlen(path));
    loom_status status =
        loom_merges_is(file) ? loom_merges_open(file, NULL, tokenizer, error) : open_json(file, tokenizer, error);
    free(file);
    return status;
}

loom_status loom_tokenizer_open(const char *path, struct loom_tokenizer **tokenizer, struct loom_error *error) {
    *tokenizer = NULL;
    if (strcmp(path, "byte") == 0)
        return loom_tokenizer_byte(tokenizer, error);
    char *file = strdup(path);
    if (!file)
        return loom_fail_memory(error, path, strlen(path));
    const char *encoding = split_encoding(file);
    loom_status status = open_file(file, encoding, tokenizer, error);
    free(file);
    return status;
}
