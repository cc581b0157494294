/* adapter.c - see adapter.h. */
#include "model/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/weights.h"

static loom_status join(const char *folder, const char *name, char **path, struct loom_error *error) {
    *path = loom_path_join(folder, name);
    return *path ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder));
}

/* ---- adapter_config.json ----------------------------------------------------------------------------------------- */

loom_status loom_adapter_write(const char *path, const struct loom_adapter *adapter, struct loom_error *error) {
    json_t *targets = json_array();
    for (const char *at = adapter->targets; *at;) {
        size_t size = strcspn(at, ",");
        json_array_append_new(targets, json_stringn(at, size));
        at += size + (at[size] == ',');
    }
    json_t *json =
        json_pack("{s:s,s:s,s:s,s:i,s:f,s:o,s:s,s:s,s:b}", "peft_type", "LORA", "base_model_name_or_path",
                  adapter->base, "base_sha256", adapter->base_sha256, "r", adapter->rank, "lora_alpha", adapter->alpha,
                  "target_modules", targets, "bias", "none", "task_type", "CAUSAL_LM", "inference_mode", 1);
    loom_status status = json ? loom_json_write(path, json, error) : loom_fail_memory(error, path, sizeof *adapter);
    json_decref(json);
    return status;
}

static loom_status read_targets(struct loom_adapter *adapter, const json_t *json, const char *path,
                                struct loom_error *error) {
    const json_t *list = json_object_get(json, "target_modules");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *target = json_string_value(json_array_get(list, i));
        size_t used = strlen(adapter->targets);
        if (!target || used + strlen(target) + 2 > sizeof adapter->targets)
            return loom_fail(error, LOOM_FAILED, "%s: target_modules are no patterns of this library", path);
        strcat(adapter->targets, i ? "," : "");
        strcat(adapter->targets, target);
    }
    return LOOM_OK;
}

static loom_status read_config(const char *path, struct loom_adapter *adapter, struct loom_error *error) {
    const char *base, *sha256;
    int64_t rank;
    json_t *json;
    *adapter = (struct loom_adapter){0};
    loom_status status = loom_json_read(path, &json, error);
    if (status)
        return status;
    status = loom_json_string(json, "base_model_name_or_path", path, &base, error);
    if (status == LOOM_OK)
        status = loom_json_string(json, "base_sha256", path, &sha256, error);
    if (status == LOOM_OK)
        status = loom_json_integer(json, "r", path, 1, 1 << 20, &rank, error);
    if (status == LOOM_OK)
        status = loom_json_number(json, "lora_alpha", path, &adapter->alpha, error);
    if (status == LOOM_OK)
        status = read_targets(adapter, json, path, error);
    if (status == LOOM_OK) {
        adapter->rank = (int)rank;
        strncpy(adapter->base_sha256, sha256, sizeof adapter->base_sha256 - 1);
        adapter->base = strdup(base);
        status = adapter->base ? LOOM_OK : loom_fail_memory(error, path, strlen(base));
    }
    json_decref(json);
    return status;
}

/* ---- the base ---------------------------------------------------------------------------------------------------- */

loom_status loom_adapter_hash(const char *folder, char sha256[LOOM_SHA256_TEXT], struct loom_error *error) {
    unsigned char hash[LOOM_SHA256_BYTES];
    struct loom_map map;
    char *path;
    bool adapter;
    loom_status status = loom_adapter_in(folder, &adapter, error);
    if (status)
        return status;
    status = join(folder, LOOM_WEIGHTS_FILE, &path, error);
    if (status == LOOM_OK && adapter)
        status = loom_fail(error, LOOM_INVALID, "%s is an adapter itself: merge it first (loom merge)", folder);
    if (status == LOOM_OK)
        status = loom_map_open(path, &map, error);
    if (status == LOOM_OK) {
        loom_sha256(map.data, map.size, hash);
        loom_sha256_text(hash, sha256);
        loom_map_close(&map);
    }
    free(path);
    return status;
}

loom_status loom_adapter_in(const char *folder, bool *there, struct loom_error *error) {
    char *path;
    loom_status status = join(folder, LOOM_ADAPTER_CONFIG_FILE, &path, error);
    *there = path && loom_path_exists(path);
    free(path);
    return status;
}

static loom_status load_base(struct loom_model *model, const struct loom_adapter *adapter, const char *folder,
                             struct loom_error *error) {
    char sha256[LOOM_SHA256_TEXT], *path;
    if (!loom_path_is_folder(adapter->base))
        return loom_fail(error, LOOM_FAILED, "%s: the model that it adapts, %s, is not there", folder, adapter->base);
    loom_status status = loom_adapter_hash(adapter->base, sha256, error);
    if (status == LOOM_OK && strcmp(sha256, adapter->base_sha256) != 0)
        status = loom_fail(error, LOOM_FAILED, "%s: the adapter was made for other weights than those of %s", folder,
                           adapter->base);
    if (status)
        return status;
    status = join(adapter->base, LOOM_WEIGHTS_FILE, &path, error);
    if (status == LOOM_OK)
        status = loom_model_load(model, path, error);
    free(path);
    return status;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static loom_status add_factors(struct loom_model *model, struct loom_lora *lora, const char *folder,
                               struct loom_error *error) {
    size_t bytes = lora->factors.elements * sizeof(real);
    struct loom_weights_block block = {.prefix = "", .data = calloc(1, bytes)};
    real *factors = model->k->alloc(model->k, bytes);
    char *path;
    loom_status status = join(folder, LOOM_ADAPTER_FILE, &path, error);
    if (status == LOOM_OK && !(block.data && factors))
        status = loom_fail_memory(error, path, bytes);
    if (status == LOOM_OK)
        status = loom_weights_read(path, &lora->factors, &block, 1, error);
    if (status == LOOM_OK) {
        model->k->upload(model->k, factors, block.data, bytes);
        loom_lora_keep_base(lora, model->weights);
        loom_lora_apply(lora, model->weights, factors);
    }
    model->k->release(model->k, factors);
    free(block.data);
    free(path);
    return status;
}

loom_status loom_adapter_load(struct loom_model *model, const char *folder, struct loom_error *error) {
    struct loom_adapter adapter = {0};
    struct loom_lora lora = {0};
    char *path;
    loom_status status = join(folder, LOOM_ADAPTER_CONFIG_FILE, &path, error);
    if (status == LOOM_OK)
        status = read_config(path, &adapter, error);
    if (status == LOOM_OK)
        status = load_base(model, &adapter, folder, error);
    if (status == LOOM_OK)
        status =
            loom_lora_open(&lora, model->k, &model->net.tensors, adapter.targets, adapter.rank, adapter.alpha, error);
    if (status == LOOM_OK)
        status = add_factors(model, &lora, folder, error);
    loom_lora_close(&lora);
    free(adapter.base);
    free(path);
    return status;
}
