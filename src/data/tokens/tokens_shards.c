/* tokens_shards.c - tokens into the shards of a folder in work, see tokens.h. */
#include "data/tokens/tokens_writer.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

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

void loom_shard_abandon(struct loom_open_shard *shard) {
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
    loom_shard_abandon(shard);
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
