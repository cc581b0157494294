/* fuzz_manifest.c - libFuzzer target: any bytes as the manifest of a token folder whose other files are whole. Whatever
 * opens must give every window of both splits: ids of the vocabulary, and first tokens that never lie ahead.
 *
 * The folder is made once and stays for the process; a start from a true manifest is in its file "seed". */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "data/tokens/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS = 40 };

/* FOLDER/NAME written in place, without a flush to the disk. */
static void put(const char *folder, const char *name, const void *data, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(data, 1, size, stream) != size || fclose(stream) != 0)
        abort();
}

static const char *make_folder(void) {
    static const char seed[] =
        "{\"format\":\"loom-tokens\",\"version\":2,\"dtype\":\"uint16\",\"vocab_size\":256,\"train_tokens\":40,"
        "\"val_tokens\":40,\"train_bytes\":40,\"val_bytes\":40,\"train_documents\":2,\"val_documents\":2,\"shards\":["
        "{\"file\":\"train-00000.bin\",\"split\":\"train\",\"tokens\":40,\"documents\":2,\"sha256\":\"\"},"
        "{\"file\":\"val-00000.bin\",\"split\":\"val\",\"tokens\":40,\"documents\":2,\"sha256\":\"\"}],\"sha256\":"
        "\"0000000000000000000000000000000000000000000000000000000000000000\"}";
    static char folder[] = "/tmp/loom-fuzz-XXXXXX";
    static const uint64_t places[] = {0, 17};
    uint16_t ids[TOKENS];
    struct loom_tokenizer *tokenizer;
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (uint16_t)(6 * i);
    if (!mkdtemp(folder) || loom_tokenizer_byte(&tokenizer, NULL) || loom_tokenizer_save(tokenizer, folder, NULL))
        abort();
    loom_tokenizer_free(tokenizer);
    put(folder, "train-00000.bin", ids, sizeof ids);
    put(folder, "train-00000.doc", places, sizeof places);
    put(folder, "val-00000.bin", ids, sizeof ids);
    put(folder, "val-00000.doc", places, sizeof places);
    put(folder, "seed", seed, sizeof seed - 1);
    return folder;
}

static void check_split(const struct loom_tokens *tokens, enum loom_split split) {
    size_t count = (size_t)tokens->counts[split];
    int *out = calloc(count + 1, sizeof *out);
    if (!out || loom_tokens_get(tokens, split, 0, count, out, NULL))
        abort();
    for (size_t i = 0; i < count; i++)
        if (out[i] < 0 || out[i] > 255)
            abort();
    loom_tokens_first(tokens, split, 0, count, out);
    for (size_t i = 0; i < count; i++)
        if (out[i] < 0 || (size_t)out[i] > i || (i > 0 && out[i] < out[i - 1]))
            abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *folder;
    struct loom_tokens *tokens;
    struct loom_error error;
    if (!folder)
        folder = make_folder();
    put(folder, LOOM_MANIFEST_FILE, data, size);
    if (loom_tokens_open(folder, &tokens, &error) == LOOM_OK) {
        check_split(tokens, LOOM_SPLIT_TRAIN);
        check_split(tokens, LOOM_SPLIT_VAL);
        loom_tokens_free(tokens);
    }
    return 0;
}
