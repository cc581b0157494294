/* tokens_write.c - writes a token folder, see tokens.h.
 *
 * OUT.partial holds the work. A lock on it keeps two writers of one folder apart. */
#include "data/tokens/tokens_writer.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

const char *loom_split_name(enum loom_split split) {
    return split == LOOM_SPLIT_TRAIN ? "train" : "val";
}

size_t loom_token_width(int vocab_size) {
    return vocab_size <= 65536 ? 2 : 4;
}

const char *loom_token_type(size_t width) {
    return width == 2 ? "uint16" : "uint32";
}

char *loom_shard_path(const struct loom_tokens_writer *writer, enum loom_split split, size_t index,
                      const char *ending) {
    char name[64];
    snprintf(name, sizeof name, "%s-%05zu.%s", loom_split_name(split), index, ending);
    return loom_path_join(writer->partial, name);
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

/* Hashes what a shard already holds. */
static loom_status hash_tokens(struct loom_open_shard *shard, struct loom_error *error) {
    struct loom_map map;
    loom_status status = loom_map_open(shard->tokens_file.path, &map, error);
    for (size_t at = 0, step; at < map.size; at += step) {
        step = map.size - at < LOOM_RELEASE_BYTES ? map.size - at : LOOM_RELEASE_BYTES;
        loom_digest_put(&shard->digest, map.data + at, step);
        loom_map_release(&map, at, step);
    }
    loom_map_close(&map);
    return status;
}

loom_status loom_shard_open(struct loom_tokens_writer *writer, enum loom_split split, uint64_t tokens,
                            uint64_t documents, struct loom_error *error) {
    struct loom_open_shard *shard = &writer->shards[split];
    size_t index = json_array_size(writer->closed[split]);
    char *bin = loom_shard_path(writer, split, index, "bin"), *doc = loom_shard_path(writer, split, index, "doc");
    loom_status status = bin && doc ? LOOM_OK : loom_fail_memory(error, writer->partial, 0);
    *shard = (struct loom_open_shard){.open = true, .tokens = tokens, .documents = documents};
    if (status == LOOM_OK)
        status = loom_append_open(&shard->tokens_file, bin, tokens * writer->width, error);
    if (status == LOOM_OK)
        status = loom_append_open(&shard->documents_file, doc, documents * sizeof(uint64_t), error);
    if (status == LOOM_OK)
        status = loom_digest_open(&shard->digest, error);
    if (status == LOOM_OK && tokens > 0)
        status = hash_tokens(shard, error);
    free(bin);
    free(doc);
    return status;
}

static void abandon_shard(struct loom_open_shard *shard) {
    loom_append_close(&shard->tokens_file);
    loom_append_close(&shard->documents_file);
    loom_digest_close(&shard->digest);
    shard->open = false;
}

loom_status loom_shard_sync(struct loom_open_shard *shard, struct loom_error *error) {
    loom_status status = shard->open ? loom_append_sync(&shard->tokens_file, error) : LOOM_OK;
    return status == LOOM_OK && shard->open ? loom_append_sync(&shard->documents_file, error) : status;
}

static json_t *shard_json(enum loom_split split, size_t index, const struct loom_open_shard *shard) {
    char hash[LOOM_SHA256_TEXT], name[64];
    loom_digest_text(&shard->digest, hash);
    snprintf(name, sizeof name, "%s-%05zu" LOOM_SHARD_SUFFIX, loom_split_name(split), index);
    return json_pack("{s:s, s:s, s:I, s:I, s:s}", "file", name, "split", loom_split_name(split), "tokens",
                     (json_int_t)shard->tokens, "documents", (json_int_t)shard->documents, "sha256", hash);
}

loom_status loom_shard_close(struct loom_tokens_writer *writer, enum loom_split split, struct loom_error *error) {
    struct loom_open_shard *shard = &writer->shards[split];
    loom_status status = loom_shard_sync(shard, error);
    if (status == LOOM_OK &&
        json_array_append_new(writer->closed[split], shard_json(split, json_array_size(writer->closed[split]), shard)))
        status = loom_fail_memory(error, writer->partial, 0);
    abandon_shard(shard);
    return status;
}

/* An open shard with room for a token. */
static loom_status need_shard(struct loom_tokens_writer *writer, enum loom_split split, struct loom_error *error) {
    loom_status status = LOOM_OK;
    if (writer->shards[split].open && writer->shards[split].tokens == writer->shard_tokens)
        status = loom_shard_close(writer, split, error);
    if (status == LOOM_OK && !writer->shards[split].open)
        status = loom_shard_open(writer, split, 0, 0, error);
    return status;
}

loom_status loom_tokens_begin(struct loom_tokens_writer *writer, enum loom_split split, struct loom_error *error) {
    loom_status status = need_shard(writer, split, error);
    if (status != LOOM_OK)
        return status;
    struct loom_open_shard *shard = &writer->shards[split];
    const uint64_t entry = htole64(shard->tokens);
    shard->documents++;
    writer->totals[split].documents++;
    return loom_append_put(&shard->documents_file, &entry, sizeof entry, error);
}

/* Little-endian, whatever the machine; returns the largest token, and a negative one is larger than any. Four bytes are
 * stored for each, and the next overwrites those beyond `width`: `out` has room for four of the last one too. */
static unsigned pack(const int *tokens, size_t count, size_t width, unsigned char *out) {
    unsigned most = 0;
    for (size_t i = 0; i < count; i++, out += width) {
        const unsigned token = (unsigned)tokens[i];
        const uint32_t bytes = htole32(token);
        memcpy(out, &bytes, sizeof bytes);
        most = token > most ? token : most;
    }
    return most;
}

/* Writes up to LOOM_CHUNK_TOKENS tokens to the open shard. */
static loom_status put_chunk(struct loom_tokens_writer *writer, struct loom_open_shard *shard, const int *tokens,
                             size_t count, struct loom_error *error) {
    unsigned char data[LOOM_CHUNK_TOKENS * sizeof(uint32_t)];
    const int vocab_size = loom_tokenizer_vocab_size(writer->tokenizer);
    const unsigned most = pack(tokens, count, writer->width, data);
    if (most >= (unsigned)vocab_size)
        return loom_fail(error, LOOM_INVALID, "token %d is not among the tokenizer's %d", (int)most, vocab_size);
    loom_digest_put(&shard->digest, data, count * writer->width);
    shard->tokens += count;
    return loom_append_put(&shard->tokens_file, data, count * writer->width, error);
}

static size_t least(size_t a, uint64_t b) {
    return a < b ? a : (size_t)b;
}

loom_status loom_tokens_put(struct loom_tokens_writer *writer, enum loom_split split, const int *tokens, size_t count,
                            uint64_t bytes, struct loom_error *error) {
    loom_status status = LOOM_OK;
    writer->totals[split].bytes += bytes;
    writer->totals[split].tokens += count;
    while (status == LOOM_OK && count > 0) {
        status = need_shard(writer, split, error);
        if (status != LOOM_OK)
            break;
        struct loom_open_shard *shard = &writer->shards[split];
        size_t take = least(least(count, LOOM_CHUNK_TOKENS), writer->shard_tokens - shard->tokens);
        status = put_chunk(writer, shard, tokens, take, error);
        tokens += take;
        count -= take;
    }
    return status;
}

uint64_t loom_tokens_written(const struct loom_tokens_writer *writer, enum loom_split split) {
    return writer->totals[split].tokens;
}

/* ---- the temporary folder ---------------------------------------------------------------------------------------- */

static loom_status remove_name(const char *folder, const char *name, struct loom_error *error) {
    char *path = loom_path_join(folder, name);
    loom_status status = path ? loom_folder_remove(path, error) : loom_fail_memory(error, folder, 0);
    free(path);
    return status;
}

/* Removes what belongs to the work and not to the result. */
static loom_status remove_work(const char *folder, struct loom_error *error) {
    loom_status status = remove_name(folder, LOOM_HASHES_FILE, error);
    return status == LOOM_OK ? remove_name(folder, LOOM_PROGRESS_FILE, error) : status;
}

/* Takes up a publication that was killed between giving the folder its name and its last act. */
static loom_status finish_publishing(const char *out, struct loom_error *error) {
    char *manifest = loom_path_join(out, LOOM_MANIFEST_FILE);
    loom_status status = manifest ? LOOM_OK : loom_fail_memory(error, out, 0);
    if (status == LOOM_OK && loom_path_exists(manifest))
        status = remove_work(out, error);
    free(manifest);
    return status;
}

loom_status loom_tokens_check_free(const char *out, struct loom_error *error) {
    if (!loom_path_exists(out))
        return LOOM_OK;
    if (!loom_path_is_folder(out))
        return loom_fail(error, LOOM_INVALID, "%s exists and is not a folder", out);
    char **names = NULL;
    size_t count = 0;
    loom_status status = finish_publishing(out, error);
    if (status == LOOM_OK)
        status = loom_folder_list(out, &names, &count, error);
    loom_names_free(names, count);
    if (status == LOOM_OK && count > 0)
        status =
            loom_fail(error, LOOM_INVALID, "%s exists and is not empty (%zu entries); name a new folder", out, count);
    return status;
}

/* Removes all in the folder. */
static loom_status clear_folder(const char *folder, struct loom_error *error) {
    char **names;
    size_t count;
    loom_status status = loom_folder_list(folder, &names, &count, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++)
        status = remove_name(folder, names[i], error);
    loom_names_free(names, count);
    return status;
}

/* Takes the lock; then either there is a checkpoint to go on from, or what lies there is worth nothing. */
static loom_status take_folder(struct loom_tokens_writer *writer, struct loom_error *error) {
    loom_status status = loom_tokens_check_free(writer->out, error);
    if (status == LOOM_OK)
        status = loom_folder_create(writer->partial, error);
    if (status == LOOM_OK)
        status = loom_lock_take_folder(&writer->lock, writer->partial, error);
    if (status != LOOM_OK)
        return status;
    writer->locked = true;
    char *progress = loom_path_join(writer->partial, LOOM_PROGRESS_FILE);
    if (!progress)
        status = loom_fail_memory(error, writer->out, 0);
    else if (!loom_path_exists(progress))
        status = clear_folder(writer->partial, error);
    else {
        status = loom_folder_sweep(writer->partial, error);
        if (status == LOOM_OK)
            status = loom_progress_read(writer, progress, error);
    }
    free(progress);
    return status;
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

loom_status loom_tokens_create(const char *out, uint64_t shard_tokens, struct loom_tokens_writer **writer,
                               struct loom_error *error) {
    struct loom_tokens_writer *made = calloc(1, sizeof *made);
    *writer = NULL;
    if (!made)
        return loom_fail_memory(error, out, sizeof *made);
    made->shard_tokens = shard_tokens;
    made->closed[LOOM_SPLIT_TRAIN] = json_array();
    made->closed[LOOM_SPLIT_VAL] = json_array();
    bool whole = made->closed[LOOM_SPLIT_TRAIN] && made->closed[LOOM_SPLIT_VAL] && name_folders(made, out);
    loom_status status = whole ? take_folder(made, error) : loom_fail_memory(error, out, strlen(out));
    if (status == LOOM_OK)
        *writer = made;
    else
        loom_tokens_close(made);
    return status;
}

const json_t *loom_tokens_progress(const struct loom_tokens_writer *writer) {
    return writer->progress;
}

const char *loom_tokens_folder(const struct loom_tokens_writer *writer) {
    return writer->partial;
}

loom_status loom_tokens_set_tokenizer(struct loom_tokens_writer *writer, const struct loom_tokenizer *tokenizer,
                                      struct loom_error *error) {
    writer->tokenizer = tokenizer;
    writer->width = loom_token_width(loom_tokenizer_vocab_size(tokenizer));
    if (!writer->progress)
        return loom_tokenizer_save(tokenizer, writer->partial, error);
    loom_status status = LOOM_OK;
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++)
        if (writer->shards[split].open)
            status =
                loom_shard_open(writer, split, writer->shards[split].tokens, writer->shards[split].documents, error);
    return status;
}

void loom_tokens_close(struct loom_tokens_writer *writer) {
    if (!writer)
        return;
    for (enum loom_split split = LOOM_SPLIT_TRAIN; split < LOOM_SPLITS; split++) {
        abandon_shard(&writer->shards[split]);
        json_decref(writer->closed[split]);
    }
    if (writer->locked && !writer->published && !writer->kept)
        loom_folder_remove(writer->partial, NULL);
    if (writer->locked)
        loom_lock_release(&writer->lock);
    json_decref(writer->progress);
    free(writer->out);
    free(writer->partial);
    free(writer);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* The hash of the shards' hashes, in order: it names the tokens as a whole. */
static void hash_shards(const json_t *shards, char text[LOOM_SHA256_TEXT]) {
    struct loom_digest digest;
    size_t index;
    json_t *entry;
    text[0] = '\0';
    if (loom_digest_open(&digest, NULL) != LOOM_OK)
        return;
    json_array_foreach(shards, index, entry) {
        const char *hash = json_string_value(json_object_get(entry, "sha256"));
        loom_digest_put(&digest, hash, hash ? strlen(hash) : 0);
    }
    loom_digest_text(&digest, text);
    loom_digest_close(&digest);
}

static json_t *manifest_json(const struct loom_tokens_writer *writer, json_t *about) {
    const struct loom_totals *train = &writer->totals[LOOM_SPLIT_TRAIN], *val = &writer->totals[LOOM_SPLIT_VAL];
    json_t *shards = json_copy(writer->closed[LOOM_SPLIT_TRAIN]);
    char hash[LOOM_SHA256_TEXT];
    if (!shards || json_array_extend(shards, writer->closed[LOOM_SPLIT_VAL]) != 0) {
        json_decref(shards);
        return NULL;
    }
    hash_shards(shards, hash);
    json_t *manifest =
        json_pack("{s:s, s:i, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s}", "format", "loom-tokens", "version",
                  LOOM_TOKENS_VERSION, "dtype", loom_token_type(writer->width), "vocab_size",
                  loom_tokenizer_vocab_size(writer->tokenizer), "train_tokens", (json_int_t)train->tokens, "val_tokens",
                  (json_int_t)val->tokens, "train_documents", (json_int_t)train->documents, "val_documents",
                  (json_int_t)val->documents, "train_bytes", (json_int_t)train->bytes, "val_bytes",
                  (json_int_t)val->bytes, "shards", shards, "sha256", hash);
    if (manifest && json_object_update(manifest, about) != 0) {
        json_decref(manifest);
        manifest = NULL;
    }
    return manifest;
}

static loom_status write_manifest(const struct loom_tokens_writer *writer, json_t *about, struct loom_error *error) {
    json_t *manifest = manifest_json(writer, about);
    char *path = loom_path_join(writer->partial, LOOM_MANIFEST_FILE);
    loom_status status =
        manifest && path ? loom_json_write(path, manifest, error) : loom_fail_memory(error, LOOM_MANIFEST_FILE, 0);
    json_decref(manifest);
    free(path);
    return status;
}

/* The lock is on the folder itself and goes with it: no other writer can clear what is about to be published. */
static loom_status publish(struct loom_tokens_writer *writer, struct loom_error *error) {
    loom_status status = loom_folder_rename(writer->partial, writer->out, error);
    if (status != LOOM_OK)
        return status;
    writer->published = true;
    return remove_work(writer->out, error);
}

loom_status loom_tokens_finish(struct loom_tokens_writer *writer, json_t *about, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++)
        if (writer->shards[split].open)
            status = loom_shard_close(writer, split, error);
    if (status == LOOM_OK)
        status = write_manifest(writer, about, error);
    return status == LOOM_OK ? publish(writer, error) : status;
}
