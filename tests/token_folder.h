/* token_folder.h - token folders made by hand, byte by byte as tokens.h describes them, so that reading is not tested
 * against this project's own writing. */
#ifndef LOOM_TESTS_TOKEN_FOLDER_H
#define LOOM_TESTS_TOKEN_FOLDER_H

#include "scratch.h"

#include "base/json.h"
#include "data/tokens/tokens.h"

/* One split: ids, and where documents begin. */
struct token_text {
    size_t count;
    int *ids;
    bool *begins;
};

/* Random ids below `vocab`; the first token begins a document, and each other one with this probability. */
static inline struct token_text token_text_random(uint64_t seed, size_t count, uint64_t vocab, double begins) {
    const struct loom_random stream = {seed, LOOM_RANDOM_TEST};
    struct token_text text = {count, calloc(count + 1, sizeof(int)), calloc(count + 1, sizeof(bool))};
    assert_true(text.ids && text.begins);
    for (size_t i = 0; i < count; i++) {
        text.ids[i] = (int)loom_random_below(stream, 2 * i, vocab);
        text.begins[i] = i == 0 || loom_random_uniform(stream, 2 * i + 1) < begins;
    }
    return text;
}

static inline void token_text_free(struct token_text *text) {
    free(text->ids);
    free(text->begins);
}

static inline unsigned char *token_bytes(unsigned char *to, uint64_t value, size_t width) {
    for (size_t byte = 0; byte < width; byte++)
        *to++ = (unsigned char)(value >> (8 * byte));
    return to;
}

/* Writes tokens [first, first + count) as shard `index`; returns its entry in the manifest. */
static inline json_t *token_shard_write(const char *folder, const struct token_text *text, const char *split,
                                        size_t width, size_t index, size_t first, size_t count) {
    char name[32], documents[32];
    unsigned char *data = malloc(count * width + 1), *at = data, *places = malloc(count * 8 + 1), *place = places;
    assert_true(data && places);
    for (size_t i = 0; i < count; i++) {
        at = token_bytes(at, (uint64_t)text->ids[first + i], width);
        if (text->begins[first + i])
            place = token_bytes(place, i, 8);
    }
    snprintf(name, sizeof name, "%s-%05zu.bin", split, index);
    snprintf(documents, sizeof documents, "%s-%05zu.doc", split, index);
    free(scratch_write((void *)(uintptr_t)folder, name, data, (size_t)(at - data)));
    free(scratch_write((void *)(uintptr_t)folder, documents, places, (size_t)(place - places)));
    json_t *entry = json_pack("{s:s,s:s,s:I,s:I,s:s}", "file", name, "split", split, "tokens", (json_int_t)count,
                              "documents", (json_int_t)((place - places) / 8), "sha256", "");
    assert_non_null(entry);
    free(data);
    free(places);
    return entry;
}

static inline json_int_t token_documents(const struct token_text *text) {
    json_int_t count = 0;
    for (size_t i = 0; i < text->count; i++)
        count += text->begins[i];
    return count;
}

/* SCRATCH/NAME with shards of `shard` tokens; its path is freed with free(). The two splits' shards are listed in turn.
 */
static inline char *token_folder_write(void *scratch, const char *name, const struct loom_tokenizer *tokenizer,
                                       const struct token_text *train, const struct token_text *val, size_t shard) {
    char *folder = scratch_path(scratch, name), *path, hash[LOOM_SHA256_TEXT];
    int vocab = loom_tokenizer_vocab_size(tokenizer);
    size_t width = vocab <= 65536 ? 2 : 4;
    json_t *shards = json_array();
    assert_int_equal(loom_folder_create(folder, NULL), LOOM_OK);
    assert_int_equal(loom_tokenizer_save(tokenizer, folder, NULL), LOOM_OK);
    for (size_t index = 0; index * shard < train->count || index * shard < val->count; index++)
        for (int split = 0; split < 2; split++) {
            const struct token_text *text = split ? val : train;
            size_t first = index * shard, left = first < text->count ? text->count - first : 0;
            if (left > 0)
                json_array_append_new(shards, token_shard_write(folder, text, split ? "val" : "train", width, index,
                                                                first, left < shard ? left : shard));
        }
    struct loom_digest digest;
    assert_int_equal(loom_digest_open(&digest, NULL), LOOM_OK);
    loom_digest_put(&digest, train->ids, train->count * sizeof *train->ids);
    loom_digest_put(&digest, val->ids, val->count * sizeof *val->ids);
    loom_digest_text(&digest, hash);
    loom_digest_close(&digest);
    json_t *manifest = json_pack("{s:s,s:i,s:s,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:[],s:s}", "format", "loom-tokens",
                                 "version", 2, "dtype", width == 2 ? "uint16" : "uint32", "vocab_size", vocab,
                                 "train_tokens", (json_int_t)train->count, "val_tokens", (json_int_t)val->count,
                                 "train_bytes", (json_int_t)train->count, "val_bytes", (json_int_t)val->count,
                                 "train_documents", token_documents(train), "val_documents", token_documents(val),
                                 "shards", shards, "sources", "sha256", hash);
    path = scratch_path(folder, "manifest.json");
    assert_non_null(manifest);
    assert_int_equal(json_dump_file(manifest, path, JSON_INDENT(2)), 0);
    json_decref(manifest);
    free(path);
    return folder;
}

#endif
