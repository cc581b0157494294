/* tokens_write.c - the folder around the shards: taken, named, given up or published; see tokens.h.
 *
 * OUT.partial holds the work. A lock on it keeps two writers of one folder apart. */
#include "data/tokens/tokens_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

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
        loom_shard_abandon(&writer->shards[split]);
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
