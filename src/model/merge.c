/* merge.c - loom_model_save: an opened model, its adapter added to its weights, as a model folder. See loom.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/chat/chat.h"
#include "model/model.h"
#include "model/weights.h"

/* Files that go with a model and hold no weight. */
static const char *const companions[] = {LOOM_CHAT_FILE, "generation_config.json", "README.md"};

static loom_status save_weights(const struct loom_model *model, const char *path, struct loom_error *error) {
    const struct loom_weights_block block = {.prefix = "", .data = model->weights, .k = model->k};
    return loom_weights_write(path, &model->net.tensors, &block, 1, error);
}

static loom_status copy_file(const char *from, const char *to, const char *name, struct loom_error *error) {
    char *source = loom_path_join(from, name), *target = loom_path_join(to, name), *data = NULL;
    size_t size;
    loom_status status = source && target ? LOOM_OK : loom_fail_memory(error, to, strlen(name));
    if (status == LOOM_OK && loom_path_exists(source)) {
        status = loom_file_read(source, (size_t)64 << 20, &data, &size, error);
        if (status == LOOM_OK)
            status = loom_file_replace(target, data, size, error);
        free(data);
    }
    free(source);
    free(target);
    return status;
}

loom_status loom_model_save(const struct loom_model *model, const char *folder, struct loom_error *error) {
    char *weights = loom_path_join(folder, LOOM_WEIGHTS_FILE), *config = loom_path_join(folder, LOOM_CONFIG_FILE);
    loom_status status = weights && config ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder));
    if (status == LOOM_OK && loom_path_exists(weights))
        status = loom_fail(error, LOOM_INVALID, "%s already holds a model: name another folder", folder);
    if (status == LOOM_OK)
        status = loom_folder_create(folder, error);
    if (status == LOOM_OK && model->tokenizer)
        status = loom_tokenizer_save(model->tokenizer, folder, error);
    for (size_t i = 0; i < sizeof companions / sizeof companions[0] && status == LOOM_OK && model->path; i++)
        status = copy_file(model->path, folder, companions[i], error);
    if (status == LOOM_OK)
        status = loom_config_write(config, &model->net.config, error);
    if (status == LOOM_OK) /* last: without it the folder is no model */
        status = save_weights(model, weights, error);
    free(weights);
    free(config);
    return status;
}
