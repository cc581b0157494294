/* tiny_model.h - tiny networks as models: in memory with a tokenizer, and as folders. */
#ifndef LOOM_TESTS_TINY_MODEL_H
#define LOOM_TESTS_TINY_MODEL_H

#include "scratch.h"
#include "tiny.h"

#include "model/model.h"
#include "model/weights.h"

/* A model of one thread with weights by `seed`; 256 tokens of a byte each when the config has that many. */
static inline void tiny_model_open(struct loom_model *model, const struct loom_config *config, uint64_t seed) {
    struct loom_error error;
    expect(loom_model_create(model, config, 1, &error), LOOM_OK, &error, "");
    real *host = test_calloc(model->net.tensors.elements, sizeof *host);
    tiny_fill(&model->net.tensors, host, seed);
    loom_model_upload(model, host);
    test_free(host);
    if (config->vocab_size == 256)
        expect(loom_tokenizer_byte(&model->tokenizer, &error), LOOM_OK, &error, "");
}

/* Writes a model folder's files; `weights` is on the host. */
static inline void tiny_folder_write(const char *folder, const struct loom_net *net, real *weights) {
    struct loom_error error;
    const struct loom_weights_block block = {.prefix = "", .data = weights};
    char *config = loom_path_join(folder, LOOM_CONFIG_FILE), *data = loom_path_join(folder, LOOM_WEIGHTS_FILE);
    assert_true(config && data);
    expect(loom_folder_create(folder, &error), LOOM_OK, &error, "");
    expect(loom_config_write(config, &net->config, &error), LOOM_OK, &error, "");
    expect(loom_weights_write(data, &net->tensors, &block, 1, &error), LOOM_OK, &error, "");
    free(config);
    free(data);
}

/* Adds tokenizer.json of 256 bytes. */
static inline void tiny_folder_tokenizer(const char *folder) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    expect(loom_tokenizer_byte(&tokenizer, &error), LOOM_OK, &error, "");
    expect(loom_tokenizer_save(tokenizer, folder, &error), LOOM_OK, &error, "");
    loom_tokenizer_free(tokenizer);
}

#endif
