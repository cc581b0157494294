/* tokens_read.c - opens a token folder and copies windows out of it, see tokens.h.
 *
 * What a manifest says is checked before anything leans on it. Ids are checked whenever they are read, so that none
 * outside the vocabulary reaches a model; a small folder is read through at once. */
#include "data/tokens/tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* ---- the manifest ------------------------------------------------------------------------------------------------ */

static loom_status read_counts(struct loom_tokens *tokens, const json_t *manifest, const char *name,
                               struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++) {
        bool is_train = split == LOOM_SPLIT_TRAIN;
        status =
            loom_json_count(manifest, is_train ? "train_tokens" : "val_tokens", name, &tokens->counts[split], error);
        if (status == LOOM_OK)
            status =
                loom_json_count(manifest, is_train ? "train_bytes" : "val_bytes", name, &tokens->bytes[split], error);
        if (status == LOOM_OK)
            status = loom_json_count(manifest, is_train ? "train_documents" : "val_documents", name,
                                     &tokens->documents[split], error);
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
    if (status == LOOM_OK)
        status = loom_json_integer(manifest, "version", name, 1, INT32_MAX, &version, error);
    if (status == LOOM_OK && version != LOOM_TOKENS_VERSION)
        status = loom_fail(error, LOOM_FAILED,
                           "%s: \"version\" is %" PRId64 ", and this program reads %d: prepare the text again", name,
                           version, LOOM_TOKENS_VERSION);
    return status;
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
    tokens->vocab_size = (uint32_t)expected;
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

uint64_t loom_shard_document(const struct loom_shard *shard, uint64_t index) {
    const unsigned char *at = shard->documents.data + index * sizeof(uint64_t);
    uint64_t offset = 0;
    for (size_t byte = 0; byte < sizeof offset; byte++)
        offset |= (uint64_t)at[byte] << (8 * byte);
    return offset;
}

/* Maps a file that must hold `count` items of `width` bytes. */
static loom_status map_file(const char *path, uint64_t count, size_t width, const char *items, struct loom_map *map,
                            struct loom_error *error) {
    loom_status status = loom_map_open(path, map, error);
    if (status == LOOM_OK && (map->size % width != 0 || map->size / width != count))
        status = loom_fail(error, LOOM_FAILED, "%s has %zu bytes, but its %" PRIu64 " %s need %" PRIu64, path,
                           map->size, count, items, count * width);
    return status;
}

/* "train-00000.doc" for "train-00000.bin"; NULL when memory is short. */
static char *documents_path(const char *path) {
    size_t length = strlen(path) - strlen(LOOM_SHARD_SUFFIX);
    char *made = malloc(length + sizeof LOOM_DOCUMENTS_SUFFIX);
    if (made) {
        memcpy(made, path, length);
        memcpy(made + length, LOOM_DOCUMENTS_SUFFIX, sizeof LOOM_DOCUMENTS_SUFFIX);
    }
    return made;
}

static loom_status map_shard(const struct loom_tokens *tokens, struct loom_shard *shard, struct loom_error *error) {
    const char *items = tokens->width == 2 ? "tokens of uint16" : "tokens of uint32";
    loom_status status = map_file(shard->path, shard->tokens, tokens->width, items, &shard->map, error);
    if (status != LOOM_OK)
        return status;
    char *path = documents_path(shard->path);
    status = path
                 ? map_file(path, shard->n_documents, sizeof(uint64_t), "places of documents", &shard->documents, error)
                 : loom_fail_memory(error, shard->path, strlen(shard->path));
    free(path);
    return status;
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

/* A name of a file right in the folder, "NAME.bin". */
static bool is_shard_name(const char *file) {
    size_t length = strlen(file), suffix = strlen(LOOM_SHARD_SUFFIX);
    return length > suffix && file[0] != '.' && !strchr(file, '/') &&
           strcmp(file + length - suffix, LOOM_SHARD_SUFFIX) == 0;
}

static loom_status open_shard(const struct loom_tokens *tokens, const char *folder, const json_t *entry,
                              const char *name, struct loom_shard *shard, struct loom_error *error) {
    const char *file;
    loom_status status = loom_json_string(entry, "file", name, &file, error);
    if (status == LOOM_OK && !is_shard_name(file))
        status = loom_fail(error, LOOM_FAILED, "%s: the shard \"%.64s\" is not a file of this folder", name, file);
    if (status == LOOM_OK)
        status = loom_json_count(entry, "tokens", name, &shard->tokens, error);
    if (status == LOOM_OK)
        status = loom_json_count(entry, "documents", name, &shard->n_documents, error);
    if (status != LOOM_OK)
        return status;
    shard->path = loom_path_join(folder, file);
    return shard->path ? map_shard(tokens, shard, error) : loom_fail_memory(error, folder, strlen(file));
}

static loom_status check_total(const char *name, const char *key, uint64_t total, uint64_t sum,
                               struct loom_error *error) {
    if (sum == total)
        return LOOM_OK;
    return loom_fail(error, LOOM_FAILED, "%s: \"%s\" is %" PRIu64 ", but its shards have %" PRIu64, name, key, total,
                     sum);
}

/* Opens the shards of one split, which lie behind those of the split before; counts them. */
static loom_status open_split(struct loom_tokens *tokens, enum loom_split split, const char *folder, const json_t *list,
                              const char *name, struct loom_error *error) {
    bool is_train = split == LOOM_SPLIT_TRAIN;
    uint64_t sum = 0, documents = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct loom_shard shard = {.first = sum};
        const json_t *entry = json_array_get(list, i);
        loom_status status = read_split(entry, name, &shard.split, error);
        if (status == LOOM_OK && shard.split != split)
            continue;
        if (status == LOOM_OK)
            status = open_shard(tokens, folder, entry, name, &shard, error);
        tokens->shards[tokens->n_shards++] = shard; /* also a half-open one, to be closed */
        if (status != LOOM_OK)
            return status;
        sum += shard.tokens;
        documents += shard.n_documents;
    }
    tokens->begin[split + 1] = tokens->n_shards;
    loom_status status = check_total(name, is_train ? "train_tokens" : "val_tokens", tokens->counts[split], sum, error);
    if (status == LOOM_OK)
        status = check_total(name, is_train ? "train_documents" : "val_documents", tokens->documents[split], documents,
                             error);
    return status;
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
    loom_status status = LOOM_OK;
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++)
        status = open_split(tokens, split, folder, list, name, error);
    return status;
}

/* How the training shards are going to be read. What a window drawn at random needs are a page or two; the system would
 * read dozens. */
static void expect_order(const struct loom_tokens *tokens, enum loom_map_order order) {
    for (size_t i = tokens->begin[LOOM_SPLIT_TRAIN]; i < tokens->begin[LOOM_SPLIT_TRAIN + 1]; i++)
        loom_map_expect(&tokens->shards[i].map, order);
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
    tokens->large = tokens->counts[LOOM_SPLIT_TRAIN] + tokens->counts[LOOM_SPLIT_VAL] > LOOM_TOKENS_CHECKED;
    if (status == LOOM_OK && !tokens->large)
        status = loom_tokens_check(tokens, error);
    else if (status == LOOM_OK)
        expect_order(tokens, LOOM_MAP_RANDOM);
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
    for (size_t i = 0; i < tokens->n_shards; i++) {
        loom_map_close(&tokens->shards[i].map);
        loom_map_close(&tokens->shards[i].documents);
        free(tokens->shards[i].path);
    }
    loom_tokenizer_free(tokens->tokenizer);
    free(tokens->shards);
    free(tokens);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* LOOM_FAILED with the first of the shard's ids from `at` on that is outside the vocabulary: there is one. */
static loom_status fail_id(const struct loom_tokens *tokens, const struct loom_shard *shard, uint64_t at,
                           struct loom_error *error) {
    while (load(shard->map.data, tokens->width, at) < tokens->vocab_size)
        at++;
    return loom_fail(error, LOOM_FAILED, "%s: token %" PRIu64 " is %" PRIu32 ", outside the vocabulary of %" PRIu32,
                     shard->path, at, load(shard->map.data, tokens->width, at), tokens->vocab_size);
}

/* The largest id, in a loop that the compiler vectorises; only a bad shard is walked a second time. */
static loom_status check_ids(const struct loom_tokens *tokens, const struct loom_shard *shard,
                             struct loom_error *error) {
    uint32_t largest = 0;
    for (uint64_t i = 0; i < shard->tokens; i++) {
        uint32_t id = load(shard->map.data, tokens->width, i);
        largest = id > largest ? id : largest;
    }
    return shard->tokens == 0 || largest < tokens->vocab_size ? LOOM_OK : fail_id(tokens, shard, 0, error);
}

static loom_status check_documents(const struct loom_shard *shard, struct loom_error *error) {
    for (uint64_t i = 0; i < shard->n_documents; i++) {
        uint64_t at = loom_shard_document(shard, i), before = i > 0 ? loom_shard_document(shard, i - 1) : 0;
        if (at >= shard->tokens || (i > 0 && at <= before))
            return loom_fail(error, LOOM_FAILED,
                             "%s: document %" PRIu64 " begins at token %" PRIu64 ", after one at %" PRIu64
                             " and among %" PRIu64 " tokens",
                             shard->path, i, at, before, shard->tokens);
    }
    return LOOM_OK;
}

loom_status loom_tokens_check(const struct loom_tokens *tokens, struct loom_error *error) {
    loom_status status = LOOM_OK;
    expect_order(tokens, LOOM_MAP_SEQUENTIAL);
    for (size_t i = 0; status == LOOM_OK && i < tokens->n_shards; i++) {
        status = check_ids(tokens, &tokens->shards[i], error);
        if (status == LOOM_OK)
            status = check_documents(&tokens->shards[i], error);
    }
    expect_order(tokens, tokens->large ? LOOM_MAP_RANDOM : LOOM_MAP_ANY);
    return status;
}

loom_status loom_tokens_check_tokenizer(const struct loom_tokens *tokens, const char *name,
                                        const struct loom_tokenizer *tokenizer, const char *whose,
                                        struct loom_error *error) {
    int size = loom_tokenizer_vocab_size(tokens->tokenizer), expected = loom_tokenizer_vocab_size(tokenizer);
    if (size != expected)
        return loom_fail(error, LOOM_INVALID, "%s: its vocabulary of %d tokens is not the %d of %s", name, size,
                         expected, whose);
    for (int id = 0; id < size; id++) {
        size_t theirs_size, ours_size;
        const char *theirs = loom_tokenizer_token(tokens->tokenizer, id, &theirs_size);
        const char *ours = loom_tokenizer_token(tokenizer, id, &ours_size);
        if (theirs_size != ours_size || memcmp(theirs, ours, ours_size) != 0)
            return loom_fail(error, LOOM_INVALID, "%s: its token %d is another text than in %s", name, id, whose);
    }
    return LOOM_OK;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* The shard that holds a position of its split: the last that begins at or before it. */
static const struct loom_shard *find_shard(const struct loom_tokens *tokens, enum loom_split split, uint64_t position) {
    size_t low = tokens->begin[split], high = tokens->begin[split + 1];
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (tokens->shards[middle].first <= position)
            low = middle;
        else
            high = middle;
    }
    return &tokens->shards[low];
}

static size_t least(size_t count, uint64_t room) {
    return room < count ? (size_t)room : count;
}

void loom_tokens_fetch(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t count) {
    for (const struct loom_shard *shard = find_shard(tokens, split, position); count > 0; shard++) {
        uint64_t at = position - shard->first;
        size_t take = least(count, shard->tokens - at);
        loom_map_fetch(&shard->map, at * tokens->width, take * tokens->width);
        position += take;
        count -= take;
    }
}

loom_status loom_tokens_get(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t count,
                            int *out, struct loom_error *error) {
    for (const struct loom_shard *shard = find_shard(tokens, split, position); count > 0; shard++) {
        uint64_t at = position - shard->first;
        size_t take = least(count, shard->tokens - at);
        uint32_t largest = 0;
        for (size_t i = 0; i < take; i++) {
            uint32_t id = load(shard->map.data, tokens->width, at + i);
            largest = id > largest ? id : largest;
            out[i] = (int)id;
        }
        if (take > 0 && largest >= tokens->vocab_size)
            return fail_id(tokens, shard, at, error);
        position += take;
        count -= take;
        out += take;
    }
    return LOOM_OK;
}

/* The first of the shard's documents that begins at token `at` or behind it. */
static uint64_t find_document(const struct loom_shard *shard, uint64_t at) {
    uint64_t low = 0, high = shard->n_documents;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (loom_shard_document(shard, middle) < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void loom_tokens_first(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t count,
                       int *first) {
    const struct loom_shard *shard = find_shard(tokens, split, position);
    size_t begin = 0, done = 0;
    for (; done < count; shard++) {
        uint64_t at = position + done - shard->first, next = find_document(shard, at);
        for (size_t take = least(count - done, shard->tokens - at); take > 0; take--, at++, done++) {
            if (next < shard->n_documents && loom_shard_document(shard, next) == at) {
                begin = done;
                next++;
            }
            first[done] = (int)begin;
        }
    }
}
