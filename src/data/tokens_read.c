/* tokens_read.c - opens a token folder and copies windows out of it, see tokens.h.
 *
 * All that training leans on is checked here once, so that drawing a batch cannot fail. */
#include "data/tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* ---- the manifest ------------------------------------------------------------------------------------------------ */

static loom_status read_count(const json_t *json, const char *key, const char *name, uint64_t *count,
                              struct loom_error *error) {
    int64_t value = 0;
    loom_status status = loom_json_integer(json, key, name, 0, INT64_MAX, &value, error);
    *count = (uint64_t)value;
    return status;
}

static loom_status read_counts(struct loom_tokens *tokens, const json_t *manifest, const char *name,
                               struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++) {
        bool is_train = split == LOOM_SPLIT_TRAIN;
        status = read_count(manifest, is_train ? "train_tokens" : "val_tokens", name, &tokens->counts[split], error);
        if (status == LOOM_OK)
            status = read_count(manifest, is_train ? "train_bytes" : "val_bytes", name, &tokens->bytes[split], error);
    }
    return status;
}

static loom_status read_hash(struct loom_tokens *tokens, const json_t *manifest, const char *name,
                             struct loom_error *error) {
    const char *hash;
    loom_status status = loom_json_string(manifest, "sha256", name, &hash, error);
    if (status != LOOM_OK)
        return status;
    if (strlen(hash) != sizeof tokens->sha256 - 1)
        return loom_fail(error, LOOM_FAILED, "%s: \"sha256\" has %zu digits, not %zu", name, strlen(hash),
                         sizeof tokens->sha256 - 1);
    memcpy(tokens->sha256, hash, sizeof tokens->sha256);
    return LOOM_OK;
}

static loom_status check_format(const json_t *manifest, const char *name, struct loom_error *error) {
    const char *format;
    int64_t version;
    loom_status status = loom_json_string(manifest, "format", name, &format, error);
    if (status == LOOM_OK && strcmp(format, "loom-tokens") != 0)
        status = loom_fail(error, LOOM_FAILED, "%s: \"format\" is \"%.64s\", not \"loom-tokens\"", name, format);
    return status == LOOM_OK ? loom_json_integer(manifest, "version", name, 1, 1, &version, error) : status;
}

/* The width in bytes of the manifest's dtype, which must be the one that the vocabulary asks for. */
static loom_status read_width(const json_t *manifest, const char *name, int vocab_size, size_t *width,
                              struct loom_error *error) {
    const char *type;
    loom_status status = loom_json_string(manifest, "dtype", name, &type, error);
    if (status != LOOM_OK)
        return status;
    *width = loom_token_width(vocab_size);
    if (strcmp(type, loom_token_type(*width)) == 0)
        return LOOM_OK;
    return loom_fail(error, LOOM_FAILED, "%s: \"dtype\" is \"%.64s\", but a vocabulary of %d is kept as %s", name, type,
                     vocab_size, loom_token_type(*width));
}

/* The manifest's numbers, held against the tokenizer. */
static loom_status read_numbers(struct loom_tokens *tokens, const json_t *manifest, const char *name,
                                struct loom_error *error) {
    int64_t vocab_size = 0;
    int expected = loom_tokenizer_vocab_size(tokens->tokenizer);
    loom_status status = check_format(manifest, name, error);
    if (status == LOOM_OK)
        status = loom_json_integer(manifest, "vocab_size", name, 1, INT32_MAX, &vocab_size, error);
    if (status == LOOM_OK && vocab_size != expected)
        status = loom_fail(error, LOOM_FAILED, "%s: \"vocab_size\" is %" PRId64 ", but %s beside it has %d tokens",
                           name, vocab_size, LOOM_TOKENIZER_FILE, expected);
    if (status == LOOM_OK)
        status = read_width(manifest, name, expected, &tokens->width, error);
    if (status == LOOM_OK)
        status = read_counts(tokens, manifest, name, error);
    if (status == LOOM_OK)
        status = read_hash(tokens, manifest, name, error);
    return status;
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

static uint32_t load(const unsigned char *data, size_t width, uint64_t index) {
    const unsigned char *at = data + index * width;
    uint32_t low = at[0] | (uint32_t)at[1] << 8;
    return width == 2 ? low : low | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The largest id first, in a loop that the compiler vectorises; only a bad shard is walked a second time. */
static loom_status check_ids(const struct loom_shard *shard, size_t width, uint32_t vocab_size, const char *path,
                             struct loom_error *error) {
    uint32_t largest = 0;
    for (uint64_t i = 0; i < shard->tokens; i++) {
        uint32_t id = load(shard->map.data, width, i);
        largest = id > largest ? id : largest;
    }
    if (shard->tokens == 0 || largest < vocab_size)
        return LOOM_OK;
    uint64_t at = 0;
    while (load(shard->map.data, width, at) < vocab_size)
        at++;
    return loom_fail(error, LOOM_FAILED, "%s: token %" PRIu64 " is %" PRIu32 ", outside the vocabulary of %" PRIu32,
                     path, at, load(shard->map.data, width, at), vocab_size);
}

static loom_status map_shard(const struct loom_tokens *tokens, struct loom_shard *shard, const char *path,
                             struct loom_error *error) {
    loom_status status = loom_map_open(path, &shard->map, error);
    if (status != LOOM_OK)
        return status;
    if (shard->map.size % tokens->width != 0 || shard->map.size / tokens->width != shard->tokens)
        return loom_fail(error, LOOM_FAILED, "%s has %zu bytes, but its %" PRIu64 " tokens of %s need %" PRIu64, path,
                         shard->map.size, shard->tokens, loom_token_type(tokens->width), shard->tokens * tokens->width);
    return check_ids(shard, tokens->width, (uint32_t)loom_tokenizer_vocab_size(tokens->tokenizer), path, error);
}

static loom_status read_split(const json_t *entry, const char *name, enum loom_split *split, struct loom_error *error) {
    const char *text;
    loom_status status = loom_json_string(entry, "split", name, &text, error);
    if (status != LOOM_OK)
        return status;
    for (*split = LOOM_SPLIT_TRAIN; *split < LOOM_SPLITS; (*split)++)
        if (strcmp(text, loom_split_name(*split)) == 0)
            return LOOM_OK;
    return loom_fail(error, LOOM_FAILED, "%s: a shard's \"split\" is \"%.64s\", neither train nor val", name, text);
}

static loom_status open_shard(const struct loom_tokens *tokens, const char *folder, const json_t *entry,
                              const char *name, struct loom_shard *shard, struct loom_error *error) {
    const char *file;
    loom_status status = loom_json_string(entry, "file", name, &file, error);
    if (status == LOOM_OK && (strchr(file, '/') || file[0] == '\0' || file[0] == '.'))
        status = loom_fail(error, LOOM_FAILED, "%s: the shard \"%.64s\" is not a file of this folder", name, file);
    if (status == LOOM_OK)
        status = read_split(entry, name, &shard->split, error);
    if (status == LOOM_OK)
        status = read_count(entry, "tokens", name, &shard->tokens, error);
    if (status != LOOM_OK)
        return status;
    char *path = loom_path_join(folder, file);
    status = path ? map_shard(tokens, shard, path, error) : loom_fail_memory(error, folder, strlen(file));
    free(path);
    return status;
}

static loom_status check_sum(const struct loom_tokens *tokens, enum loom_split split, const char *name,
                             struct loom_error *error) {
    uint64_t sum = 0;
    for (size_t i = 0; i < tokens->n_shards; i++)
        sum += tokens->shards[i].split == split ? tokens->shards[i].tokens : 0;
    if (sum == tokens->counts[split])
        return LOOM_OK;
    return loom_fail(error, LOOM_FAILED, "%s: \"%s_tokens\" is %" PRIu64 ", but its shards have %" PRIu64, name,
                     loom_split_name(split), tokens->counts[split], sum);
}

static loom_status open_shards(struct loom_tokens *tokens, const char *folder, const json_t *manifest, const char *name,
                               struct loom_error *error) {
    const json_t *list = json_object_get(manifest, "shards");
    size_t count = json_array_size(list);
    if (count == 0)
        return loom_fail(error, LOOM_FAILED, "%s: \"shards\" is not a list of at least one shard", name);
    tokens->shards = calloc(count, sizeof *tokens->shards);
    if (!tokens->shards)
        return loom_fail_memory(error, name, count * sizeof *tokens->shards);
    tokens->n_shards = count;
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < count; i++)
        status = open_shard(tokens, folder, json_array_get(list, i), name, &tokens->shards[i], error);
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++)
        status = check_sum(tokens, split, name, error);
    return status;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

/* The manifest is read first: without it a folder is no token folder, and the error should say so. */
static loom_status open_folder(struct loom_tokens *tokens, const char *folder, const char *manifest_path,
                               struct loom_error *error) {
    json_t *manifest;
    loom_status status = loom_json_read(manifest_path, &manifest, error);
    if (status != LOOM_OK)
        return status;
    status = loom_tokenizer_open(folder, &tokens->tokenizer, error);
    if (status == LOOM_OK)
        status = read_numbers(tokens, manifest, manifest_path, error);
    if (status == LOOM_OK)
        status = open_shards(tokens, folder, manifest, manifest_path, error);
    json_decref(manifest);
    return status;
}

loom_status loom_tokens_open(const char *folder, struct loom_tokens **tokens, struct loom_error *error) {
    *tokens = NULL;
    if (!loom_path_is_folder(folder))
        return loom_fail(error, LOOM_IO, "%s is not a folder of tokens: %s", folder,
                         loom_path_exists(folder) ? "it is a file" : "there is no such folder");
    struct loom_tokens *made = calloc(1, sizeof *made);
    char *path = loom_path_join(folder, LOOM_MANIFEST_FILE);
    loom_status status =
        made && path ? open_folder(made, folder, path, error) : loom_fail_memory(error, folder, sizeof *made);
    free(path);
    if (status == LOOM_OK)
        *tokens = made;
    else
        loom_tokens_free(made);
    return status;
}

void loom_tokens_free(struct loom_tokens *tokens) {
    if (!tokens)
        return;
    for (size_t i = 0; i < tokens->n_shards; i++)
        loom_map_close(&tokens->shards[i].map);
    loom_tokenizer_free(tokens->tokenizer);
    free(tokens->shards);
    free(tokens);
}

void loom_tokens_get(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t count,
                     int *out) {
    for (size_t i = 0; i < tokens->n_shards && count > 0; i++) {
        const struct loom_shard *shard = &tokens->shards[i];
        if (shard->split != split)
            continue;
        for (; position < shard->tokens && count > 0; position++, count--)
            *out++ = (int)load(shard->map.data, tokens->width, position);
        position = position < shard->tokens ? 0 : position - shard->tokens;
    }
}
