/* folder.c - see folder.h. */
#include "model/folder.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/adapter.h"

/* ---- a model folder ---------------------------------------------------------------------------------------------- */

static loom_status read_config(const char *folder, struct loom_config *config, struct loom_error *error) {
    char *path = loom_path_join(folder, LOOM_CONFIG_FILE);
    loom_status status = path ? loom_config_read(path, config, error) : loom_fail_memory(error, folder, strlen(folder));
    free(path);
    return status;
}

static loom_status read_weights(struct loom_model *model, const char *folder, struct loom_error *error) {
    bool adapter;
    loom_status status = loom_adapter_in(folder, &adapter, error);
    if (status || adapter)
        return status ? status : loom_adapter_load(model, folder, error);
    char *path = loom_path_join(folder, LOOM_WEIGHTS_FILE);
    status = path ? loom_model_load(model, path, error) : loom_fail_memory(error, folder, strlen(folder));
    free(path);
    return status;
}

static loom_status read_tokenizer(struct loom_model *model, const char *folder, struct loom_error *error) {
    char *path = loom_path_join(folder, LOOM_TOKENIZER_FILE);
    loom_status status = path ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder));
    if (path && loom_path_exists(path))
        status = loom_tokenizer_open(path, &model->tokenizer, error);
    if (status == LOOM_OK && model->tokenizer &&
        loom_tokenizer_vocab_size(model->tokenizer) != model->net.config.vocab_size)
        status = loom_fail(error, LOOM_FAILED, "%s: %d tokens where the model has a vocabulary of %d", path,
                           loom_tokenizer_vocab_size(model->tokenizer), model->net.config.vocab_size);
    free(path);
    return status;
}

loom_status loom_model_read(struct loom_model *model, const char *folder, int threads, struct loom_error *error) {
    struct loom_config config;
    *model = (struct loom_model){0};
    loom_status status = read_config(folder, &config, error);
    if (status)
        return status;
    status = loom_model_create(model, &config, threads, error);
    if (status == LOOM_OK)
        status = read_weights(model, folder, error);
    if (status == LOOM_OK)
        status = read_tokenizer(model, folder, error);
    if (status == LOOM_OK && !(model->path = strdup(folder)))
        status = loom_fail_memory(error, folder, strlen(folder));
    if (status)
        loom_model_close(model);
    return status;
}

/* ---- run folders ------------------------------------------------------------------------------------------------- */

/* Whether the folder holds a file of that name. */
static loom_status holds(const char *folder, const char *name, bool *there, struct loom_error *error) {
    char *path = loom_path_join(folder, name);
    *there = path && loom_path_exists(path);
    free(path);
    return path ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder) + strlen(name));
}

/* Whether a checkpoint has its last-written marker. */
static loom_status complete(const char *checkpoints, const char *name, bool *whole, struct loom_error *error) {
    *whole = false;
    if (strncmp(name, "step-", 5) != 0 || strchr(name, '/'))
        return LOOM_OK;
    char *path = loom_path_join(checkpoints, name);
    loom_status status =
        path ? holds(path, LOOM_COMPLETE_FILE, whole, error) : loom_fail_memory(error, checkpoints, strlen(name));
    free(path);
    return status;
}

/* The checkpoint that a readable best.json names, when it is whole; *best is a new string, or NULL. */
static loom_status read_best(const char *path, const char *checkpoints, char **best, struct loom_error *error) {
    json_t *json;
    const char *name;
    bool whole = false;
    loom_status status = loom_json_read(path, &json, error);
    if (status)
        return status;
    status = loom_json_string(json, "checkpoint", path, &name, error);
    if (status == LOOM_OK)
        status = complete(checkpoints, name, &whole, error);
    if (whole && !(*best = strdup(name)))
        status = loom_fail_memory(error, path, strlen(name));
    json_decref(json);
    return status;
}

/* A best.json that is missing or broken names nothing: the newest checkpoint will do. */
static loom_status best_name(const char *checkpoints, char **best, struct loom_error *error) {
    char *path = loom_path_join(checkpoints, LOOM_BEST_FILE);
    loom_status status = path ? LOOM_OK : loom_fail_memory(error, checkpoints, strlen(checkpoints));
    if (path && loom_path_exists(path))
        status = read_best(path, checkpoints, best, error);
    free(path);
    return status == LOOM_NO_MEMORY ? status : LOOM_OK;
}

/* *newest is NULL when there is none. */
static loom_status newest_name(const char *checkpoints, char **newest, struct loom_error *error) {
    char **names;
    size_t count;
    *newest = NULL;
    if (!loom_path_is_folder(checkpoints))
        return LOOM_OK;
    loom_status status = loom_folder_list(checkpoints, &names, &count, error);
    if (status)
        return status;
    for (size_t i = count; i-- > 0 && status == LOOM_OK && !*newest;) {
        bool whole;
        status = complete(checkpoints, names[i], &whole, error);
        if (whole && !(*newest = strdup(names[i])))
            status = loom_fail_memory(error, checkpoints, strlen(names[i]));
    }
    loom_names_free(names, count);
    return status;
}

/* The best checkpoint when it is wanted and known, else the newest; *folder is NULL when there is none. */
static loom_status choose(const char *run, bool best, char **folder, struct loom_error *error) {
    char *checkpoints = loom_path_join(run, LOOM_CHECKPOINTS_FOLDER), *name = NULL;
    *folder = NULL;
    loom_status status = checkpoints ? LOOM_OK : loom_fail_memory(error, run, strlen(run));
    if (status == LOOM_OK && best)
        status = best_name(checkpoints, &name, error);
    if (status == LOOM_OK && !name)
        status = newest_name(checkpoints, &name, error);
    if (name && !(*folder = loom_path_join(checkpoints, name)))
        status = loom_fail_memory(error, checkpoints, strlen(name));
    free(name);
    free(checkpoints);
    return status;
}

loom_status loom_checkpoint_newest(const char *run, char **folder, struct loom_error *error) {
    return choose(run, false, folder, error);
}

/* ---- any folder -------------------------------------------------------------------------------------------------- */

loom_status loom_model_resolve(const char *path, char **folder, struct loom_error *error) {
    *folder = NULL;
    if (!loom_path_is_folder(path))
        return loom_fail(error, LOOM_IO, "%s: there is no such folder", path);
    bool run; /* a run folder is told by its metrics; a model folder has none */
    loom_status status = holds(path, LOOM_METRICS_FILE, &run, error);
    if (status)
        return status;
    if (!run)
        return (*folder = strdup(path)) ? LOOM_OK : loom_fail_memory(error, path, strlen(path));
    status = choose(path, true, folder, error);
    if (status == LOOM_OK && !*folder)
        status = loom_fail(error, LOOM_FAILED, "%s: the run has no complete checkpoint yet", path);
    return status;
}

loom_status loom_model_open(const char *path, int threads, struct loom_model **model, struct loom_error *error) {
    char *folder;
    *model = NULL;
    loom_status status = loom_model_resolve(path, &folder, error);
    if (status)
        return status;
    struct loom_model *opened = calloc(1, sizeof *opened);
    status =
        opened ? loom_model_read(opened, folder, threads, error) : loom_fail_memory(error, "model", sizeof *opened);
    free(folder);
    if (status) {
        free(opened);
        return status;
    }
    *model = opened;
    return LOOM_OK;
}
