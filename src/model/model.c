/* model.c - see model.h. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/adapter.h"
#include "model/weights.h"

/* ---- the object -------------------------------------------------------------------------------------------------- */

loom_status loom_machine_check(enum loom_precision precision, struct loom_error *error) {
    const char *machine = getenv("LOOM_MACHINE");
    if (!loom_kernels_cpu_has(machine))
        return loom_fail(error, LOOM_INVALID, "LOOM_MACHINE=%.32s: this processor has %s", machine,
                         loom_kernels_cpu_names());
    if (!loom_kernels_cpu_multiplies(precision))
        return loom_fail(error, LOOM_INVALID, "precision bf16: the machine \"%.40s\" has products in float32 only",
                         machine ? machine : loom_kernels_cpu_names());
    return LOOM_OK;
}

loom_status loom_model_create(struct loom_model *model, const struct loom_config *config, int threads,
                              struct loom_error *error) {
    *model = (struct loom_model){0};
    loom_status status = loom_machine_check(LOOM_PRECISION_FLOAT32, error);
    if (status)
        return status;
    model->k = loom_kernels_cpu_open(threads);
    if (!model->k)
        return loom_fail(error, LOOM_NO_MEMORY, "the machine's scratch: no memory");
    status = loom_net_open(&model->net, config, error);
    if (status)
        return status;
    size_t bytes = model->net.tensors.elements * sizeof *model->weights;
    model->weights = model->k->alloc(model->k, bytes);
    return model->weights ? LOOM_OK : loom_fail_memory(error, "weights", bytes);
}

loom_status loom_model_set_precision(struct loom_model *model, enum loom_precision precision,
                                     struct loom_error *error) {
    if (model->k->set_precision(model->k, precision))
        return LOOM_OK;
    return loom_fail(error, LOOM_INVALID, "the machine %s has products in float32 only", model->k->name);
}

void loom_model_close(struct loom_model *model) {
    loom_net_close(&model->net);
    if (model->k)
        model->k->release(model->k, model->weights);
    loom_kernels_cpu_close(model->k);
    loom_tokenizer_free(model->tokenizer);
    free(model->path);
    *model = (struct loom_model){0};
}

void loom_model_upload(struct loom_model *model, const real *host) {
    model->k->upload(model->k, model->weights, host, model->net.tensors.elements * sizeof *host);
}

void loom_model_download(const struct loom_model *model, real *host) {
    model->k->download(model->k, host, model->weights, model->net.tensors.elements * sizeof *host);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static loom_status read_config(const char *folder, struct loom_config *config, struct loom_error *error) {
    char *path = loom_path_join(folder, LOOM_CONFIG_FILE);
    loom_status status = path ? loom_config_read(path, config, error) : loom_fail_memory(error, folder, strlen(folder));
    free(path);
    return status;
}

static void put_tensor(void *user, const struct loom_tensor *tensor, const real *data) {
    const struct loom_model *model = user;
    model->k->upload(model->k, model->weights + tensor->offset, data, tensor->count * sizeof *data);
}

/* Tensor by tensor: the host never holds all of a large model. */
loom_status loom_model_load(struct loom_model *model, const char *path, struct loom_error *error) {
    const struct loom_tensors *table = &model->net.tensors;
    size_t largest = 1;
    for (size_t i = 0; i < table->count; i++)
        largest = table->items[i].count > largest ? table->items[i].count : largest;
    struct loom_weights_block block = {
        .prefix = "", .data = calloc(largest, sizeof(real)), .put = put_tensor, .user = model};
    loom_status status = block.data ? loom_weights_read(path, table, &block, 1, error)
                                    : loom_fail_memory(error, path, largest * sizeof(real));
    free(block.data);
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

/* ---- public ------------------------------------------------------------------------------------------------------ */

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

loom_status loom_model_use_precision(struct loom_model *model, const char *precision, struct loom_error *error) {
    static const char *const names[] = {"float32", "bf16", "int8", "int4"};
    size_t i = 0;
    while (i < 4 && strcmp(precision, names[i]) != 0)
        i++;
    if (i == 4)
        return loom_fail(error, LOOM_INVALID, "the precision \"%.32s\" is none of float32, bf16, int8, int4",
                         precision);
    loom_status status = loom_model_set_precision(model, (enum loom_precision)i, error);
    if (status == LOOM_OK && !model->k->hold(model->k, model->weights, model->net.tensors.elements))
        status = loom_fail_memory(error, "rounded weights", model->net.tensors.elements);
    return status;
}

void loom_model_free(struct loom_model *model) {
    if (model)
        loom_model_close(model);
    free(model);
}

/* FLOPs of one forward at full context and the trained loops, for each of its tokens; 0 when memory is short. */
static double flops_per_token(const struct loom_net *net) {
    const struct loom_config *c = &net->config;
    struct loom_workspace_shape shape = {.batch = 1, .seq = (size_t)c->max_seq_len, .loops = c->max_loop_iters};
    size_t bytes;
    double flops;
    if (loom_workspace_measure(net, &shape, &bytes, &flops, NULL))
        return 0;
    return flops / c->max_seq_len;
}

/* The injection's weights come to the host whole with the others: this is no hot path. */
static double spectral_radius(const struct loom_model *model) {
    if (!loom_config_looped(&model->net.config))
        return 0;
    real *host = calloc(model->net.tensors.elements, sizeof *host);
    if (!host)
        return 0;
    loom_model_download(model, host);
    double radius = loom_net_spectral_radius(&model->net, host);
    free(host);
    return radius;
}

void loom_model_info(const struct loom_model *model, struct loom_model_info *info) {
    const struct loom_config *c = &model->net.config;
    bool looped = loom_config_looped(c), routed = loom_config_routed(c);
    *info = (struct loom_model_info){
        .architecture = loom_architecture_name(c->architecture),
        .parameters = loom_tensors_parameters(&model->net.tensors),
        .active_parameters = loom_net_active_parameters(&model->net),
        .vocab_size = c->vocab_size,
        .context = c->max_seq_len,
        .dim = c->dim,
        .loops = looped ? c->max_loop_iters : 0,
        .experts = routed ? c->n_experts : 0,
        .experts_per_token = routed ? c->n_experts_per_tok : 0,
        .weight_bytes = model->net.tensors.elements * sizeof(real),
        .cache_bytes_per_token = loom_cache_token_bytes(c, c->max_loop_iters),
        .flops_per_token = flops_per_token(&model->net),
        .spectral_radius = spectral_radius(model),
        .path = model->path,
    };
}
