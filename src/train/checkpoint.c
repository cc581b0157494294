/* checkpoint.c - see checkpoint.h. */
#include "train/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "model/adapter.h"
#include "model/folder.h"
#include "model/weights.h"
#include "train/card.h"
#include "train/metrics.h"
#include "train/private_step.h"

#define MOMENTS_FILE "training.safetensors"
#define PROGRESS_FILE "training.json"
#define TEMPORARY_FOLDER ".partial"

/* A path inside a folder, built for the length of one call. */
static loom_status with_path(const char *folder, const char *name, char **path, struct loom_error *error) {
    *path = loom_path_join(folder, name);
    return *path ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder));
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static loom_status save_weights(const struct loom_trainer *t, const char *path, struct loom_error *error) {
    const struct loom_weights_block block = {.prefix = "", .data = loom_trainer_trained(t), .k = t->model.k};
    return loom_weights_write(path, loom_trainer_table(t), &block, 1, error);
}

/* What the adapters are for. */
static loom_status save_adapter(const struct loom_trainer *t, const char *path, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    struct loom_adapter adapter = {.rank = recipe->adapter_rank, .alpha = recipe->adapter_alpha};
    strcpy(adapter.targets, recipe->adapter_targets);
    strcpy(adapter.base_sha256, t->data.init_sha256);
    adapter.base = realpath(t->data.init, NULL);
    loom_status status =
        adapter.base ? loom_adapter_write(path, &adapter, error) : loom_fail_system(error, "cannot find", t->data.init);
    free(adapter.base);
    return status;
}

static loom_status save_moments(const struct loom_trainer *t, const char *path, struct loom_error *error) {
    const struct loom_weights_block blocks[2] = {{.prefix = "adam_m.", .data = t->optimizer.m, .k = t->model.k},
                                                 {.prefix = "adam_v.", .data = t->optimizer.v, .k = t->model.k}};
    return loom_weights_write(path, loom_trainer_table(t), blocks, 2, error);
}

static loom_status save_json(json_t *json, const char *path, struct loom_error *error) {
    loom_status status = json ? loom_json_write(path, json, error) : loom_fail_memory(error, path, sizeof *json);
    json_decref(json);
    return status;
}

static loom_status save_progress(const struct loom_trainer *t, const char *path, struct loom_error *error) {
    const struct loom_progress *p = &t->progress;
    json_t *json = json_pack("{s:I,s:I,s:f,s:f,s:o,s:o,s:I,s:I,s:I,s:I}", "step", (json_int_t)p->step, "tokens",
                             (json_int_t)p->tokens, "seconds", p->seconds, "flops", p->flops, "val_loss",
                             loom_metrics_number(p->val_loss), "best_val_loss", loom_metrics_number(p->best_val_loss),
                             "best_step", (json_int_t)p->best_step, "val_step", (json_int_t)p->val_step, "longest",
                             (json_int_t)p->longest, "updates", (json_int_t)t->optimizer.updates);
    return save_json(json, path, error);
}

static loom_status save_config(const struct loom_trainer *t, const char *path, struct loom_error *error) {
    return loom_config_write(path, &t->setup.config, error);
}

static loom_status save_generation(const struct loom_trainer *t, const char *path, struct loom_error *error) {
    (void)t; /* no choice of the run reaches this file yet */
    return save_json(json_pack("{s:b,s:f,s:i}", "do_sample", 1, "temperature", 1.0, "max_new_tokens", 256), path,
                     error);
}

static loom_status save_marker(const struct loom_trainer *t, const char *path, struct loom_error *error) {
    (void)t; /* its being there is all it says */
    return loom_file_replace(path, "", 0, error);
}

/* The template that the model has learned to answer in. */
static loom_status save_chat(const struct loom_trainer *t, const char *folder, struct loom_error *error) {
    char *path;
    loom_status status = with_path(folder, LOOM_CHAT_FILE, &path, error);
    if (status == LOOM_OK)
        status = save_json(loom_chat_config(t->setup.config.max_seq_len), path, error);
    free(path);
    return status;
}

static loom_status save_files(const struct loom_trainer *t, const char *folder, struct loom_error *error) {
    /* In this order: the marker comes last. */
    static const struct {
        const char *name;
        loom_status (*save)(const struct loom_trainer *t, const char *path, struct loom_error *error);
        enum { ALWAYS, WHOLE, ADAPTED, PRIVATE } when;
    } files[] = {{LOOM_CONFIG_FILE, save_config, ALWAYS},          {LOOM_WEIGHTS_FILE, save_weights, WHOLE},
                 {LOOM_ADAPTER_FILE, save_weights, ADAPTED},       {LOOM_ADAPTER_CONFIG_FILE, save_adapter, ADAPTED},
                 {LOOM_PRIVACY_FILE, loom_privacy_write, PRIVATE}, {MOMENTS_FILE, save_moments, ALWAYS},
                 {PROGRESS_FILE, save_progress, ALWAYS},           {"generation_config.json", save_generation, ALWAYS},
                 {"README.md", loom_card_write, ALWAYS},           {LOOM_COMPLETE_FILE, save_marker, ALWAYS}};
    bool saved[] = {true, !t->factors, t->factors != NULL, t->setup.recipe.dp_clip > 0}; /* by when */
    loom_status status = loom_tokenizer_save(t->data.tokenizer, folder, error);
    if (status == LOOM_OK && !t->data.corpus)
        status = save_chat(t, folder, error);
    for (size_t i = 0; i < sizeof files / sizeof files[0] && status == LOOM_OK; i++) {
        char *path;
        if (!saved[files[i].when])
            continue;
        status = with_path(folder, files[i].name, &path, error);
        if (status == LOOM_OK)
            status = files[i].save(t, path, error);
        free(path);
    }
    return status;
}

static loom_status save_best(const struct loom_trainer *t, const char *checkpoints, const char *name,
                             struct loom_error *error) {
    char *path;
    if (t->progress.best_step != t->progress.step || isnan(t->progress.best_val_loss))
        return LOOM_OK;
    loom_status status = with_path(checkpoints, LOOM_BEST_FILE, &path, error);
    if (status == LOOM_OK)
        status =
            save_json(json_pack("{s:s,s:f}", "checkpoint", name, "val_loss", t->progress.best_val_loss), path, error);
    free(path);
    return status;
}

static void step_name(char name[32], uint64_t step) {
    snprintf(name, 32, "step-%08" PRIu64, step);
}

/* Removes all checkpoints but the newest `keep` and the best. */
static loom_status prune(const struct loom_trainer *t, const char *checkpoints, struct loom_error *error) {
    char **names, best[32];
    size_t count;
    int kept = 0;
    step_name(best, t->progress.best_step);
    loom_status status = loom_folder_list(checkpoints, &names, &count, error);
    if (status)
        return status;
    for (size_t i = count; i-- > 0 && status == LOOM_OK;) {
        char *path;
        if (strncmp(names[i], "step-", 5) != 0 || kept++ < t->setup.recipe.keep_checkpoints ||
            strcmp(names[i], best) == 0)
            continue;
        status = with_path(checkpoints, names[i], &path, error);
        if (status == LOOM_OK)
            status = loom_folder_remove(path, error);
        free(path);
    }
    loom_names_free(names, count);
    return status;
}

/* Gives the temporary folder its name. A checkpoint of the same step makes way under a name that is found as well, so
 * that a kill at any moment leaves one of them. */
static loom_status take_name(const char *temporary, const char *target, struct loom_error *error) {
    struct loom_text old = {0};
    loom_text_append(&old, "%s.old", target);
    loom_status status = old.failed ? loom_fail_memory(error, target, strlen(target)) : LOOM_OK;
    if (status == LOOM_OK && loom_path_exists(target)) {
        status = loom_folder_remove(old.data, error);
        if (status == LOOM_OK)
            status = loom_folder_rename(target, old.data, error);
    }
    if (status == LOOM_OK)
        status = loom_folder_rename(temporary, target, error);
    if (status == LOOM_OK)
        status = loom_folder_remove(old.data, error);
    loom_text_free(&old);
    return status;
}

/* Fills the temporary folder and gives it its name. */
static loom_status save_folder(const struct loom_trainer *t, const char *temporary, const char *target,
                               struct loom_error *error) {
    loom_status status = loom_folder_remove(temporary, error);
    if (status == LOOM_OK)
        status = loom_folder_create(temporary, error);
    if (status == LOOM_OK)
        status = save_files(t, temporary, error);
    if (status == LOOM_OK)
        status = take_name(temporary, target, error);
    if (status)
        loom_folder_remove(temporary, NULL);
    return status;
}

loom_status loom_checkpoint_save(const struct loom_trainer *trainer, const char *run, char **saved,
                                 struct loom_error *error) {
    char name[32], *checkpoints = loom_path_join(run, LOOM_CHECKPOINTS_FOLDER);
    char *temporary = checkpoints ? loom_path_join(checkpoints, TEMPORARY_FOLDER) : NULL;
    step_name(name, trainer->progress.step);
    *saved = checkpoints ? loom_path_join(checkpoints, name) : NULL;
    loom_status status =
        temporary && *saved ? loom_folder_create(checkpoints, error) : loom_fail_memory(error, run, strlen(run));
    if (status == LOOM_OK)
        status = save_folder(trainer, temporary, *saved, error);
    if (status == LOOM_OK)
        status = save_best(trainer, checkpoints, name, error);
    if (status == LOOM_OK)
        status = prune(trainer, checkpoints, error);
    free(temporary);
    free(checkpoints);
    if (status) {
        free(*saved);
        *saved = NULL;
    }
    return status;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static loom_status load_progress(struct loom_trainer *t, const char *path, struct loom_error *error) {
    struct loom_progress *p = &t->progress;
    int64_t step = 0, tokens = 0, best = 0, last_step = 0, longest = 0, updates = 0;
    json_t *json;
    loom_status status = loom_json_read(path, &json, error);
    if (status)
        return status;
    const struct {
        const char *key;
        int64_t *value;
    } counters[] = {{"step", &step},          {"tokens", &tokens},   {"best_step", &best},
                    {"val_step", &last_step}, {"longest", &longest}, {"updates", &updates}};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0] && status == LOOM_OK; i++)
        status = loom_json_integer(json, counters[i].key, path, 0, INT64_MAX, counters[i].value, error);
    if (status == LOOM_OK)
        status = loom_json_number(json, "seconds", path, &p->seconds, error);
    if (status == LOOM_OK)
        status = loom_json_number(json, "flops", path, &p->flops, error);
    const json_t *last = json_object_get(json, "val_loss"), *lowest = json_object_get(json, "best_val_loss");
    p->val_loss = json_is_number(last) ? json_number_value(last) : (double)NAN;
    p->best_val_loss = json_is_number(lowest) ? json_number_value(lowest) : (double)NAN;
    p->step = (uint64_t)step;
    p->tokens = (uint64_t)tokens;
    p->best_step = (uint64_t)best;
    p->val_step = (uint64_t)last_step;
    p->longest = (uint64_t)longest;
    t->optimizer.updates = (uint64_t)updates;
    json_decref(json);
    return status;
}

static loom_status load_adapters(struct loom_trainer *t, const char *path, struct loom_error *error) {
    size_t bytes = t->lora.factors.elements * sizeof(real);
    struct loom_weights_block block = {.prefix = "", .data = calloc(1, bytes)};
    loom_status status =
        block.data ? loom_weights_read(path, &t->lora.factors, &block, 1, error) : loom_fail_memory(error, path, bytes);
    if (status == LOOM_OK) {
        t->model.k->upload(t->model.k, t->factors, block.data, bytes);
        loom_trainer_adapt(t, false);
    }
    free(block.data);
    return status;
}

static loom_status load_weights(struct loom_trainer *t, const char *path, struct loom_error *error) {
    if (t->factors)
        return load_adapters(t, path, error);
    return loom_model_load(&t->model, path, error);
}

static loom_status load_moments(struct loom_trainer *t, const char *path, struct loom_error *error) {
    const struct loom_tensors *table = loom_trainer_table(t);
    const struct loom_kernels *k = t->model.k;
    size_t bytes = table->elements * sizeof(real);
    struct loom_weights_block blocks[2] = {{.prefix = "adam_m.", .data = calloc(1, bytes)},
                                           {.prefix = "adam_v.", .data = calloc(1, bytes)}};
    loom_status status = blocks[0].data && blocks[1].data ? loom_weights_read(path, table, blocks, 2, error)
                                                          : loom_fail_memory(error, path, 2 * bytes);
    if (status == LOOM_OK) {
        k->upload(k, t->optimizer.m, blocks[0].data, bytes);
        k->upload(k, t->optimizer.v, blocks[1].data, bytes);
    }
    free(blocks[0].data);
    free(blocks[1].data);
    return status;
}

loom_status loom_checkpoint_load(struct loom_trainer *trainer, const char *run, struct loom_error *error) {
    const struct {
        const char *name;
        loom_status (*load)(struct loom_trainer *t, const char *path, struct loom_error *error);
    } files[] = {{trainer->factors ? LOOM_ADAPTER_FILE : LOOM_WEIGHTS_FILE, load_weights},
                 {MOMENTS_FILE, load_moments},
                 {PROGRESS_FILE, load_progress}};
    char *folder;
    loom_status status = loom_checkpoint_newest(run, &folder, error);
    for (size_t i = 0; folder && i < sizeof files / sizeof files[0] && status == LOOM_OK; i++) {
        char *path;
        status = with_path(folder, files[i].name, &path, error);
        if (status == LOOM_OK)
            status = files[i].load(trainer, path, error);
        free(path);
    }
    free(folder);
    return status;
}
