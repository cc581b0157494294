/* model.c - see model.h. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- public ------------------------------------------------------------------------------------------------------ */

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
        .cache_bytes_per_token = loom_cache_token_bytes(model->k, c, c->max_loop_iters),
        .flops_per_token = flops_per_token(&model->net),
        .spectral_radius = spectral_radius(model),
        .path = model->path,
    };
}
