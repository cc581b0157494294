/* tokens_progress.c - the checkpoints of a token folder in work, see tokens.h.
 *
 * A checkpoint makes the shards durable, then replaces progress.json, which says how long each of them was. A writer
 * that was killed leaves longer files: the next one cuts them to that length and goes on. */
#include "data/tokens/tokens_writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const char progress_format[] = "loom-prepare";

static json_t *split_json(const struct loom_tokens_writer *writer, enum loom_split split) {
    const struct loom_open_shard *shard = &writer->shards[split];
    const struct loom_totals *totals = &writer->totals[split];
    return json_pack("{s:O, s:b, s:I, s:I, s:I, s:I, s:I}", "closed", writer->closed[split], "open", shard->open,
                     "open_tokens", (json_int_t)shard->tokens, "open_documents", (json_int_t)shard->documents, "tokens",
                     (json_int_t)totals->tokens, "documents", (json_int_t)totals->documents, "bytes",
                     (json_int_t)totals->bytes);
}

loom_status loom_progress_write(struct loom_tokens_writer *writer, struct loom_error *error) {
    json_t *json = json_pack("{s:s, s:i, s:I, s:I, s:o, s:o, s:O?}", "format", progress_format, "version", 1,
                             "shard_tokens", (json_int_t)writer->shard_tokens, "tail", (json_int_t)writer->tail,
                             "train", split_json(writer, LOOM_SPLIT_TRAIN), "val", split_json(writer, LOOM_SPLIT_VAL),
                             "work", writer->progress);
    char *path = loom_path_join(writer->partial, LOOM_PROGRESS_FILE);
    loom_status status =
        json && path ? loom_json_write(path, json, error) : loom_fail_memory(error, LOOM_PROGRESS_FILE, 0);
    json_decref(json);
    free(path);
    writer->kept = writer->kept || status == LOOM_OK;
    return status;
}

loom_status loom_tokens_checkpoint(struct loom_tokens_writer *writer, json_t *progress, struct loom_error *error) {
    json_decref(writer->progress);
    writer->progress = progress;
    if (!progress)
        return loom_fail_memory(error, LOOM_PROGRESS_FILE, 0);
    loom_status status = LOOM_OK;
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++)
        status = loom_shard_sync(&writer->shards[split], error);
    return status == LOOM_OK ? loom_progress_write(writer, error) : status;
}

/* Takes a split up where the checkpoint left it. The width of a token follows from the tokenizer in the folder, which
 * is known when the caller has set it: shards are opened then. */
static loom_status read_split(struct loom_tokens_writer *writer, enum loom_split split, const json_t *json,
                              const char *name, struct loom_error *error) {
    struct loom_totals *totals = &writer->totals[split];
    struct loom_open_shard *shard = &writer->shards[split];
    json_t *closed = json_object_get(json, "closed");
    if (!json_is_array(closed))
        return loom_fail(error, LOOM_FAILED, "%s: \"%s\" has no list of shards", name, loom_split_name(split));
    json_decref(writer->closed[split]);
    writer->closed[split] = json_incref(closed);
    shard->open = json_is_true(json_object_get(json, "open"));
    loom_status status = loom_json_count(json, "open_tokens", name, &shard->tokens, error);
    if (status == LOOM_OK)
        status = loom_json_count(json, "open_documents", name, &shard->documents, error);
    if (status == LOOM_OK)
        status = loom_json_count(json, "tokens", name, &totals->tokens, error);
    if (status == LOOM_OK)
        status = loom_json_count(json, "documents", name, &totals->documents, error);
    return status == LOOM_OK ? loom_json_count(json, "bytes", name, &totals->bytes, error) : status;
}

static loom_status read_state(struct loom_tokens_writer *writer, const json_t *json, const char *name,
                              struct loom_error *error) {
    const char *format;
    int64_t version;
    uint64_t shard_tokens = 0;
    loom_status status = loom_json_string(json, "format", name, &format, error);
    if (status == LOOM_OK && strcmp(format, progress_format) != 0)
        status =
            loom_fail(error, LOOM_FAILED, "%s: \"format\" is \"%.64s\", not \"%s\"", name, format, progress_format);
    if (status == LOOM_OK)
        status = loom_json_integer(json, "version", name, 1, 1, &version, error);
    if (status == LOOM_OK)
        status = loom_json_count(json, "shard_tokens", name, &shard_tokens, error);
    if (status == LOOM_OK && shard_tokens != writer->shard_tokens)
        status = loom_fail(error, LOOM_INVALID,
                           "%s holds work with shards of %" PRIu64 " tokens, not %" PRIu64
                           "; go on with those, or remove the folder",
                           writer->partial, shard_tokens, writer->shard_tokens);
    if (status == LOOM_OK)
        status = loom_json_count(json, "tail", name, &writer->tail, error);
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++)
        status = read_split(writer, split, json_object_get(json, loom_split_name(split)), name, error);
    json_t *work = json_object_get(json, "work");
    if (status == LOOM_OK && !work)
        status = loom_fail(error, LOOM_FAILED, "%s has no \"work\"", name);
    writer->progress = status == LOOM_OK ? json_incref(work) : NULL;
    writer->kept = true; /* what cannot be read is not removed either */
    return status;
}

loom_status loom_progress_read(struct loom_tokens_writer *writer, const char *path, struct loom_error *error) {
    json_t *json;
    loom_status status = loom_json_read(path, &json, error);
    if (status != LOOM_OK) {
        writer->kept = true;
        return status;
    }
    status = read_state(writer, json, path, error);
    json_decref(json);
    return status;
}
