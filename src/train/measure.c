/* measure.c - see measure.h. */
#include "train/measure.h"

#include "model/lora.h"
#include "train/optimizer.h"

struct loom_workspace_shape loom_setup_shape(const struct loom_setup *setup) {
    return (struct loom_workspace_shape){.batch = (size_t)setup->recipe.batch_size,
                                         .seq = (size_t)setup->recipe.seq_len,
                                         .loops = setup->config.max_loop_iters,
                                         .keep = true,
                                         .recompute = setup->recipe.recompute};
}

bool loom_setup_holds(const struct loom_setup *setup) {
    const struct loom_recipe *recipe = &setup->recipe;
    const bool loops = loom_config_looped(&setup->config) && setup->config.max_loop_iters > 1;
    return loops || recipe->gradient_accumulation_steps > 1 || recipe->dp_clip > 0;
}

/* What an update and the gradient's norm compute and hold, by a dry run of them. */
static loom_status measure_update(const struct loom_tensors *table, const struct loom_recipe *recipe, double *flops,
                                  uint64_t *bytes, struct loom_error *error) {
    struct loom_counter counter;
    struct loom_optimizer optimizer;
    loom_counter_init(&counter, NULL);
    loom_status status = loom_optimizer_open(&optimizer, &counter.kernels, table, recipe, error);
    if (status == LOOM_OK) {
        loom_gradient_norm(&counter.kernels, NULL, table->elements, 1);
        loom_optimizer_update(&optimizer, recipe, 0, 1, NULL, NULL);
    }
    *flops = counter.flops;
    *bytes = loom_optimizer_bytes(&optimizer);
    loom_optimizer_close(&optimizer);
    return status;
}

loom_status loom_setup_measure(const struct loom_setup *setup, struct loom_train_result *result,
                               struct loom_error *error) {
    struct loom_net net;
    const struct loom_recipe *recipe = &setup->recipe;
    struct loom_workspace_shape shape = loom_setup_shape(setup);
    size_t stack = 0;
    double pass = 0, update = 0;
    struct loom_lora lora = {0};
    const struct loom_tensors *trained = recipe->adapter_rank ? &lora.factors : &net.tensors;
    loom_status status = loom_net_open(&net, &setup->config, error);
    if (status == LOOM_OK && recipe->adapter_rank)
        status = loom_lora_open(&lora, NULL, &net.tensors, recipe->adapter_targets, recipe->adapter_rank,
                                recipe->adapter_alpha, error);
    shape.lora = recipe->adapter_rank ? &lora : NULL;
    shape.factor = recipe->precision == LOOM_TRAINING_BF16 && !shape.lora ? LOOM_STORAGE_BF16 : LOOM_STORAGE_REAL;
    if (status == LOOM_OK)
        status = loom_workspace_measure(&net, &shape, &stack, &pass, error);
    if (status == LOOM_OK)
        status = measure_update(trained, recipe, &update, &result->bytes_optimizer, error);
    result->trained_parameters = loom_tensors_parameters(trained);
    result->bytes_gradients = trained->elements * sizeof(real);
    loom_lora_close(&lora);
    uint64_t accumulation = (uint64_t)recipe->gradient_accumulation_steps, bytes = net.tensors.elements * sizeof(real);
    result->parameters = loom_tensors_parameters(&net.tensors);
    result->active_parameters = loom_net_active_parameters(&net);
    /* In bf16 the machine keeps two packed copies of half the size, where it keeps any. */
    bool copies = recipe->precision == LOOM_TRAINING_BF16 && loom_setup_holds(setup);
    result->bytes_weights = copies ? 2 * bytes : bytes;
    result->bytes_activations = stack;
    result->tokens_per_step = accumulation * shape.batch * shape.seq;
    result->flops_per_step = (double)accumulation * pass + update;
    result->flops_total = result->flops_per_step * (double)recipe->max_iters;
    loom_net_close(&net);
    return status;
}
