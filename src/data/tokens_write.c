/* tokens_write.c - writes a token folder, see tokens.h.
 *
 * OUT.partial holds the work. A lock inside it keeps two writers of one folder apart; what a killed writer left there
 * is removed by the next. */
#include "data/tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { CHUNK_TOKENS = 8192 };
static const char lock_name[] = "lock";

struct loom_tokens_writer {
    char *out, *partial;
    const struct loom_tokenizer *tokenizer;
    size_t width;
    uint64_t train_tokens, shard_tokens;
    uint64_t counts[LOOM_SPLITS], bytes[LOOM_SPLITS], documents_begun[LOOM_SPLITS];
    struct loom_lock lock;
    bool locked, published;
    crypto_hash_sha256_state all_hash; /* of the data of all shards, in order */
    json_t *shards;                    /* the manifest's list of the shards that are complete */
    /* The open shard: */
    struct loom_writer file, documents;
    bool open, documents_open;
    char name[32], documents_name[32];
    bool begins; /* the next token begins a document */
    uint64_t n_documents;
    enum loom_split split;
    uint64_t index, tokens; /* which of its split, from 0; tokens in it */
    crypto_hash_sha256_state hash;
};

const char *loom_split_name(enum loom_split split) {
    return split == LOOM_SPLIT_TRAIN ? "train" : "val";
}

size_t loom_token_width(int vocab_size) {
    return vocab_size <= 65536 ? 2 : 4;
}

const char *loom_token_type(size_t width) {
    return width == 2 ? "uint16" : "uint32";
}

/* ---- the temporary folder ---------------------------------------------------------------------------------------- */

loom_status loom_tokens_check_free(const char *out, struct loom_error *error) {
    if (!loom_path_exists(out))
        return LOOM_OK;
    if (!loom_path_is_folder(out))
        return loom_fail(error, LOOM_INVALID, "%s exists and is not a folder", out);
    char **names;
    size_t count;
    loom_status status = loom_folder_list(out, &names, &count, error);
    loom_names_free(names, count);
    if (status == LOOM_OK && count > 0)
        status =
            loom_fail(error, LOOM_INVALID, "%s exists and is not empty (%zu entries); name a new folder", out, count);
    return status;
}

/* Removes all in the folder but the lock. */
static loom_status clear_folder(const char *folder, struct loom_error *error) {
    char **names;
    size_t count;
    loom_status status = loom_folder_list(folder, &names, &count, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        if (strcmp(names[i], lock_name) == 0)
            continue;
        char *path = loom_path_join(folder, names[i]);
        status = path ? loom_folder_remove(path, error) : loom_fail_memory(error, folder, strlen(names[i]));
        free(path);
    }
    loom_names_free(names, count);
    return status;
}

static loom_status take_folder(struct loom_tokens_writer *writer, struct loom_error *error) {
    loom_status status = loom_tokens_check_free(writer->out, error);
    if (status == LOOM_OK)
        status = loom_folder_create(writer->partial, error);
    if (status != LOOM_OK)
        return status;
    char *path = loom_path_join(writer->partial, lock_name);
    status = path ? loom_lock_take(&writer->lock, path, error) : loom_fail_memory(error, writer->partial, 0);
    free(path);
    writer->locked = status == LOOM_OK;
    return status == LOOM_OK ? clear_folder(writer->partial, error) : status;
}

/* Copies of `out` without its final slashes, and with the temporary suffix. */
static bool name_folders(struct loom_tokens_writer *writer, const char *out) {
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    writer->out = strndup(out, length);
    writer->partial = malloc(length + sizeof ".partial");
    if (!writer->out || !writer->partial)
        return false;
    memcpy(writer->partial, writer->out, length);
    memcpy(writer->partial + length, ".partial", sizeof ".partial");
    return true;
}

loom_status loom_tokens_create(const char *out, const struct loom_tokenizer *tokenizer, uint64_t train_tokens,
                               uint64_t shard_tokens, struct loom_tokens_writer **writer, struct loom_error *error) {
    struct loom_tokens_writer *made = calloc(1, sizeof *made);
    *writer = NULL;
    if (!made)
        return loom_fail_memory(error, out, sizeof *made);
    made->tokenizer = tokenizer;
    made->width = loom_token_width(loom_tokenizer_vocab_size(tokenizer));
    made->train_tokens = train_tokens;
    made->shard_tokens = shard_tokens;
    made->shards = json_array();
    crypto_hash_sha256_init(&made->all_hash);
    loom_status status =
        made->shards && name_folders(made, out) ? take_folder(made, error) : loom_fail_memory(error, out, strlen(out));
    if (status == LOOM_OK)
        status = loom_tokenizer_save(tokenizer, made->partial, error);
    if (status == LOOM_OK)
        *writer = made;
    else
        loom_tokens_close(made);
    return status;
}

void loom_tokens_close(struct loom_tokens_writer *writer) {
    if (!writer)
        return;
    if (writer->open)
        loom_writer_abandon(&writer->file);
    if (writer->documents_open)
        loom_writer_abandon(&writer->documents);
    if (writer->locked && !writer->published)
        loom_folder_remove(writer->partial, NULL);
    if (writer->locked)
        loom_lock_release(&writer->lock);
    json_decref(writer->shards);
    free(writer->out);
    free(writer->partial);
    free(writer);
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

static loom_status open_file(const struct loom_tokens_writer *writer, const char *name, struct loom_writer *file,
                             struct loom_error *error) {
    char *path = loom_path_join(writer->partial, name);
    loom_status status = path ? loom_writer_open(file, path, error) : loom_fail_memory(error, writer->partial, 0);
    free(path);
    return status;
}

static loom_status open_shard(struct loom_tokens_writer *writer, enum loom_split split, struct loom_error *error) {
    writer->index = split == writer->split && json_array_size(writer->shards) > 0 ? writer->index + 1 : 0;
    writer->split = split;
    writer->tokens = writer->n_documents = 0;
    const char *kind = loom_split_name(split);
    snprintf(writer->name, sizeof writer->name, "%s-%05" PRIu64 ".bin", kind, writer->index);
    snprintf(writer->documents_name, sizeof writer->documents_name, "%s-%05" PRIu64 ".doc", kind, writer->index);
    crypto_hash_sha256_init(&writer->hash);
    loom_status status = open_file(writer, writer->name, &writer->file, error);
    writer->open = status == LOOM_OK;
    if (status == LOOM_OK)
        status = open_file(writer, writer->documents_name, &writer->documents, error);
    writer->documents_open = writer->open && status == LOOM_OK;
    return status;
}

static loom_status close_shard(struct loom_tokens_writer *writer, struct loom_error *error) {
    char hash[LOOM_SHA256_TEXT];
    loom_sha256_text(&writer->hash, hash);
    writer->open = false;
    loom_status status = loom_writer_commit(&writer->file, error);
    if (status != LOOM_OK)
        return status;
    writer->documents_open = false;
    status = loom_writer_commit(&writer->documents, error);
    if (status != LOOM_OK)
        return status;
    json_t *entry =
        json_pack("{s:s, s:s, s:I, s:I, s:s}", "file", writer->name, "split", loom_split_name(writer->split), "tokens",
                  (json_int_t)writer->tokens, "documents", (json_int_t)writer->n_documents, "sha256", hash);
    return json_array_append_new(writer->shards, entry) == 0 ? LOOM_OK : loom_fail_memory(error, writer->name, 0);
}

/* A document begins at the open shard's next token. */
static loom_status put_document(struct loom_tokens_writer *writer, struct loom_error *error) {
    unsigned char data[sizeof(uint64_t)];
    for (size_t byte = 0; byte < sizeof data; byte++)
        data[byte] = (unsigned char)(writer->tokens >> (8 * byte));
    writer->begins = false;
    writer->n_documents++;
    writer->documents_begun[writer->split]++;
    loom_status status = loom_writer_put(&writer->documents, data, sizeof data, error);
    writer->documents_open = status == LOOM_OK;
    return status;
}

/* Writes up to CHUNK_TOKENS tokens to the open shard. */
static loom_status put_chunk(struct loom_tokens_writer *writer, const int *tokens, size_t count,
                             struct loom_error *error) {
    unsigned char data[CHUNK_TOKENS * sizeof(uint32_t)], *end = data;
    loom_status status = writer->begins ? put_document(writer, error) : LOOM_OK;
    if (status != LOOM_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        if (!loom_tokenizer_token(writer->tokenizer, tokens[i], &size))
            return loom_fail(error, LOOM_INVALID, "token %d is not among the tokenizer's %d", tokens[i],
                             loom_tokenizer_vocab_size(writer->tokenizer));
        writer->bytes[writer->split] += size;
        for (size_t byte = 0; byte < writer->width; byte++)
            *end++ = (unsigned char)((uint32_t)tokens[i] >> (8 * byte));
    }
    size_t size = (size_t)(end - data);
    crypto_hash_sha256_update(&writer->hash, data, size);
    crypto_hash_sha256_update(&writer->all_hash, data, size);
    writer->tokens += count;
    writer->counts[writer->split] += count;
    status = loom_writer_put(&writer->file, data, size, error);
    writer->open = status == LOOM_OK;
    return status;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

void loom_tokens_begin(struct loom_tokens_writer *writer) {
    writer->begins = true;
}

loom_status loom_tokens_put(struct loom_tokens_writer *writer, const int *tokens, size_t count,
                            struct loom_error *error) {
    loom_status status = LOOM_OK;
    while (status == LOOM_OK && count > 0) {
        uint64_t left = writer->train_tokens - writer->counts[LOOM_SPLIT_TRAIN];
        enum loom_split split = left > 0 ? LOOM_SPLIT_TRAIN : LOOM_SPLIT_VAL;
        if (writer->open && (split != writer->split || writer->tokens == writer->shard_tokens))
            status = close_shard(writer, error);
        if (status == LOOM_OK && !writer->open)
            status = open_shard(writer, split, error);
        if (status != LOOM_OK)
            break;
        uint64_t room = least(writer->shard_tokens - writer->tokens, left > 0 ? left : UINT64_MAX);
        size_t take = (size_t)least(least(count, CHUNK_TOKENS), room);
        status = put_chunk(writer, tokens, take, error);
        tokens += take;
        count -= take;
    }
    return status;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static json_t *sources_json(const struct loom_documents *sources) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < sources->count; i++) {
        const struct loom_document *source = &sources->items[i];
        json_t *entry = json_pack("{s:s, s:I, s:s}", "path", source->path, "bytes", (json_int_t)source->bytes, "sha256",
                                  source->sha256);
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static loom_status write_manifest(struct loom_tokens_writer *writer, const struct loom_documents *sources,
                                  struct loom_error *error) {
    char hash[LOOM_SHA256_TEXT];
    loom_sha256_text(&writer->all_hash, hash);
    json_t *manifest = json_pack(
        "{s:s, s:i, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:O, s:o, s:s}", "format", "loom-tokens", "version",
        LOOM_TOKENS_VERSION, "dtype", loom_token_type(writer->width), "vocab_size",
        loom_tokenizer_vocab_size(writer->tokenizer), "train_tokens", (json_int_t)writer->counts[LOOM_SPLIT_TRAIN],
        "val_tokens", (json_int_t)writer->counts[LOOM_SPLIT_VAL], "train_bytes",
        (json_int_t)writer->bytes[LOOM_SPLIT_TRAIN], "val_bytes", (json_int_t)writer->bytes[LOOM_SPLIT_VAL],
        "train_documents", (json_int_t)writer->documents_begun[LOOM_SPLIT_TRAIN], "val_documents",
        (json_int_t)writer->documents_begun[LOOM_SPLIT_VAL], "shards", writer->shards, "sources", sources_json(sources),
        "sha256", hash);
    char *path = loom_path_join(writer->partial, LOOM_MANIFEST_FILE);
    loom_status status =
        manifest && path ? loom_json_write(path, manifest, error) : loom_fail_memory(error, LOOM_MANIFEST_FILE, 0);
    json_decref(manifest);
    free(path);
    return status;
}

/* The lock travels with the rename and goes last: until then no other writer can clear what is about to be published.
 */
static loom_status publish(struct loom_tokens_writer *writer, struct loom_error *error) {
    loom_status status = loom_folder_rename(writer->partial, writer->out, error);
    if (status != LOOM_OK)
        return status;
    writer->published = true;
    char *lock = loom_path_join(writer->out, lock_name);
    status = lock ? loom_folder_remove(lock, error) : loom_fail_memory(error, writer->out, 0);
    free(lock);
    return status;
}

loom_status loom_tokens_finish(struct loom_tokens_writer *writer, const struct loom_documents *sources,
                               struct loom_error *error) {
    loom_status status = writer->open ? close_shard(writer, error) : LOOM_OK;
    if (status == LOOM_OK)
        status = write_manifest(writer, sources, error);
    return status == LOOM_OK ? publish(writer, error) : status;
}
