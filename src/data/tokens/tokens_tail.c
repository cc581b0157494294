/* tokens_tail.c - the validation split as the end of the training split, see loom_tokens_move_tail in tokens.h.
 *
 * How many tokens there are is only known when all are written. The last ones are copied then; when the copies are
 * durable, progress.json says so, and the training split is cut. A kill before that does the copying again, a kill
 * behind it the cutting. */
#include "data/tokens/tokens_writer.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"

static uint64_t unpack(const unsigned char *data, size_t width) {
    uint64_t value = 0;
    for (size_t byte = 0; byte < width; byte++)
        value |= (uint64_t)data[byte] << (8 * byte);
    return value;
}

/* A complete training shard, mapped; `base` is the position of its first token in the split. */
struct view {
    struct loom_map bin, doc;
    uint64_t base, tokens, documents;
};

static loom_status open_view(const struct loom_tokens_writer *writer, size_t index, uint64_t base, struct view *view,
                             struct loom_error *error) {
    const json_t *entry = json_array_get(writer->closed[LOOM_SPLIT_TRAIN], index);
    char *bin = loom_shard_path(writer, LOOM_SPLIT_TRAIN, index, "bin");
    char *doc = loom_shard_path(writer, LOOM_SPLIT_TRAIN, index, "doc");
    *view = (struct view){.base = base};
    loom_status status = bin && doc ? loom_json_count(entry, "tokens", LOOM_PROGRESS_FILE, &view->tokens, error)
                                    : loom_fail_memory(error, writer->partial, 0);
    if (status == LOOM_OK)
        status = loom_json_count(entry, "documents", LOOM_PROGRESS_FILE, &view->documents, error);
    if (status == LOOM_OK)
        status = loom_map_open(bin, &view->bin, error);
    if (status == LOOM_OK)
        status = loom_map_open(doc, &view->doc, error);
    if (status == LOOM_OK && (view->bin.size / writer->width < view->tokens || view->doc.size / 8 < view->documents))
        status = loom_fail(error, LOOM_FAILED, "%s is shorter than its %" PRIu64 " tokens", bin, view->tokens);
    free(bin);
    free(doc);
    return status;
}

static void close_view(struct view *view) {
    loom_map_close(&view->bin);
    loom_map_close(&view->doc);
}

/* The bytes of text that a token stands for: none for the one that ends a document. */
static uint64_t text_bytes(const struct loom_tokens_writer *writer, int token) {
    size_t size = 0;
    if (token != loom_tokenizer_end_of_text(writer->tokenizer))
        loom_tokenizer_token(writer->tokenizer, token, &size);
    return size;
}

/* Copies the tokens of a view from `position` on to the validation split, with the beginnings of documents. */
static loom_status copy_view(struct loom_tokens_writer *writer, const struct view *view, uint64_t position,
                             struct loom_error *error) {
    loom_status status = LOOM_OK;
    uint64_t document = 0, at = position > view->base ? position - view->base : 0, released = at;
    while (document < view->documents && unpack(view->doc.data + 8 * document, 8) < at)
        document++;
    while (status == LOOM_OK && at < view->tokens) {
        int tokens[LOOM_CHUNK_TOKENS];
        size_t count = 0;
        uint64_t bytes = 0, next = view->tokens;
        if (document < view->documents && unpack(view->doc.data + 8 * document, 8) == at) {
            status = loom_tokens_begin(writer, LOOM_SPLIT_VAL, error);
            document++;
        }
        if (document < view->documents)
            next = unpack(view->doc.data + 8 * document, 8);
        for (; at < next && count < LOOM_CHUNK_TOKENS; at++, count++) {
            tokens[count] = (int)unpack(view->bin.data + at * writer->width, writer->width);
            bytes += text_bytes(writer, tokens[count]);
        }
        if (status == LOOM_OK)
            status = loom_tokens_put(writer, LOOM_SPLIT_VAL, tokens, count, bytes, error);
        if ((at - released) * writer->width >= LOOM_RELEASE_BYTES) {
            loom_map_release(&view->bin, released * writer->width, (at - released) * writer->width);
            released = at;
        }
    }
    return status;
}

static loom_status copy_tail(struct loom_tokens_writer *writer, uint64_t position, struct loom_error *error) {
    uint64_t base = 0;
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < json_array_size(writer->closed[LOOM_SPLIT_TRAIN]); i++) {
        struct view view;
        status = open_view(writer, i, base, &view, error);
        base += view.tokens;
        if (status == LOOM_OK && base > position)
            status = copy_view(writer, &view, position, error);
        close_view(&view);
    }
    if (status == LOOM_OK && writer->shards[LOOM_SPLIT_VAL].open)
        status = loom_shard_close(writer, LOOM_SPLIT_VAL, error);
    return status;
}

/* How many of the shard's documents begin before `end`; the file may have been cut already. */
static loom_status documents_before(const struct loom_tokens_writer *writer, size_t index, uint64_t end,
                                    uint64_t *documents, struct loom_error *error) {
    struct loom_map map = {NULL, 0};
    char *path = loom_shard_path(writer, LOOM_SPLIT_TRAIN, index, "doc");
    loom_status status = path ? loom_map_open(path, &map, error) : loom_fail_memory(error, writer->partial, 0);
    *documents = 0;
    while (*documents < map.size / 8 && unpack(map.data + 8 * *documents, 8) < end)
        (*documents)++;
    loom_map_close(&map);
    free(path);
    return status;
}

/* Cuts a shard to `tokens` and makes it the last: its files are cut by being opened again. */
static loom_status cut_shard(struct loom_tokens_writer *writer, size_t index, uint64_t tokens,
                             struct loom_error *error) {
    json_t *closed = writer->closed[LOOM_SPLIT_TRAIN];
    uint64_t documents;
    loom_status status = documents_before(writer, index, tokens, &documents, error);
    while (json_array_size(closed) > index)
        json_array_remove(closed, json_array_size(closed) - 1);
    if (status == LOOM_OK)
        status = loom_shard_open(writer, LOOM_SPLIT_TRAIN, tokens, documents, error);
    return status == LOOM_OK ? loom_shard_close(writer, LOOM_SPLIT_TRAIN, error) : status;
}

static loom_status remove_shard(const struct loom_tokens_writer *writer, size_t index, struct loom_error *error) {
    loom_status status = LOOM_OK;
    static const char *const endings[] = {"bin", "doc"};
    for (size_t i = 0; status == LOOM_OK && i < 2; i++) {
        char *path = loom_shard_path(writer, LOOM_SPLIT_TRAIN, index, endings[i]);
        status = path ? loom_folder_remove(path, error) : loom_fail_memory(error, writer->partial, 0);
        free(path);
    }
    return status;
}

/* Cuts the training split behind `position`. Done twice, it does the same again: a kill in between is no loss. */
static loom_status cut_tail(struct loom_tokens_writer *writer, uint64_t position, struct loom_error *error) {
    struct loom_totals *train = &writer->totals[LOOM_SPLIT_TRAIN];
    size_t count = json_array_size(writer->closed[LOOM_SPLIT_TRAIN]), keep = 0;
    uint64_t base = 0, tokens = 0;
    loom_status status = LOOM_OK;
    for (; status == LOOM_OK && keep < count; keep++, base += tokens) {
        const json_t *entry = json_array_get(writer->closed[LOOM_SPLIT_TRAIN], keep);
        status = loom_json_count(entry, "tokens", LOOM_PROGRESS_FILE, &tokens, error);
        if (base + tokens >= position)
            break;
    }
    for (size_t i = keep + 1; status == LOOM_OK && i < count; i++)
        status = remove_shard(writer, i, error);
    if (status == LOOM_OK && keep < count)
        status = cut_shard(writer, keep, position - base, error);
    train->tokens = position;
    train->bytes -= writer->totals[LOOM_SPLIT_VAL].bytes;
    train->documents -= writer->totals[LOOM_SPLIT_VAL].documents;
    return status;
}

loom_status loom_tokens_move_tail(struct loom_tokens_writer *writer, uint64_t count, struct loom_error *error) {
    uint64_t position = writer->totals[LOOM_SPLIT_TRAIN].tokens - count;
    loom_status status = LOOM_OK;
    if (writer->tail == 0) {
        if (writer->shards[LOOM_SPLIT_TRAIN].open)
            status = loom_shard_close(writer, LOOM_SPLIT_TRAIN, error);
        if (status == LOOM_OK)
            status = copy_tail(writer, position, error);
        writer->tail = count;
        if (status == LOOM_OK && writer->kept)
            status = loom_progress_write(writer, error);
    }
    return status == LOOM_OK ? cut_tail(writer, position, error) : status;
}
