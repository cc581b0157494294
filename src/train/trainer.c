/* trainer.c - see trainer.h. */
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"
#include "train/measure.h"
#include "train/micro_batch.h"
#include "train/policy_step.h"
#include "train/private_step.h"
#include "train/schedule.h"

static loom_status init_weights(struct loom_trainer *t, struct loom_error *error) {
    const struct loom_tensors *table = &t->model.net.tensors;
    real *host = calloc(table->elements, sizeof *host);
    if (!host)
        return loom_fail_memory(error, "initial weights", table->elements * sizeof *host);
    loom_tensors_init(table, host, t->setup.recipe.seed);
    loom_model_upload(&t->model, host);
    free(host);
    return LOOM_OK;
}

/* Adapters; B is zero, so that nothing changes yet. */
static loom_status open_adapters(struct loom_trainer *t, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    const struct loom_kernels *k = &t->counter.kernels;
    if (!recipe->adapter_rank)
        return LOOM_OK;
    loom_status status = loom_lora_open(&t->lora, k, &t->model.net.tensors, recipe->adapter_targets,
                                        recipe->adapter_rank, recipe->adapter_alpha, error);
    if (status)
        return status;
    size_t bytes = t->lora.factors.elements * sizeof(real);
    real *host = calloc(1, bytes);
    t->factors = k->alloc(k, bytes);
    if (host && t->factors) {
        loom_tensors_init(&t->lora.factors, host, recipe->seed);
        k->upload(k, t->factors, host, bytes);
    } else
        status = loom_fail_memory(error, "adapters", bytes);
    free(host);
    return status;
}

static loom_status open_parts(struct loom_trainer *t, int threads, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    struct loom_workspace_shape shape = loom_setup_shape(&t->setup);
    size_t rows = shape.batch * shape.seq;
    loom_status status = loom_model_create(&t->model, &t->setup.config, threads, error);
    if (status)
        return status;
    status = loom_model_set_precision(&t->model, (enum loom_precision)recipe->precision, error);
    if (status)
        return status;
    size_t bytes = t->model.net.tensors.elements * sizeof *t->model.weights;
    loom_counter_init(&t->counter, t->model.k);
    const struct loom_kernels *k = &t->counter.kernels;
    /* Borrowed, for samples; given back before the model closes. */
    t->model.tokenizer = t->data.tokenizer;
    status = init_weights(t, error); /* while its copy on the host is all there is beside */
    if (status == LOOM_OK)
        status = open_adapters(t, error);
    if (status == LOOM_OK)
        status = loom_optimizer_open(&t->optimizer, k, loom_trainer_table(t), recipe, error);
    size_t trained = loom_trainer_table(t)->elements * sizeof *t->example;
    if (status == LOOM_OK && recipe->dp_clip > 0 && !(t->example = k->alloc(k, trained)))
        status = loom_fail_memory(error, "an example's gradients", trained);
    if (status == LOOM_OK && !(t->gradients = k->alloc(k, trained)))
        status = loom_fail_memory(error, "gradients", trained);
    shape.lora = t->factors ? &t->lora : NULL;
    if (status == LOOM_OK)
        status = loom_workspace_open(&t->ws, &t->model.net, k, &shape, error);
    if (status == LOOM_OK)
        status = loom_objective_open(&t->buffers, k, rows, error);
    if (status == LOOM_OK)
        status = loom_batch_open(&t->batch, shape.batch, shape.seq, recipe->document_mask || t->data.chat, error);
    t->val_losses = calloc(t->data.corpus ? t->data.corpus->n_folders : 1, sizeof *t->val_losses);
    t->bias = calloc((size_t)t->setup.config.n_experts + 1, sizeof *t->bias);
    if (status == LOOM_OK && !(t->val_losses && t->bias))
        status = loom_fail_memory(error, "training", sizeof *t);
    if (status == LOOM_OK && !loom_trainer_hold(t))
        status = loom_fail_memory(error, "packed weights", bytes);
    return status == LOOM_OK && t->data.task ? loom_policy_open(&t->policy, t, error) : status;
}

/* A generated task must fit the sequence, and the core's runs the workspace. */
static loom_status open_drills(struct loom_trainer *t, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    const struct loom_corpus_folder *folder = &t->data.corpus->folders[0];
    loom_status status = loom_drills_open(&t->drills, folder->path, folder->tokens, error);
    if (status || t->drills.length == 0)
        return status;
    if (t->drills.length > (size_t)recipe->seq_len + 1)
        return loom_fail(error, LOOM_INVALID, "%s: its problems have %zu tokens, more than seq_len %d and one",
                         folder->path, t->drills.length, recipe->seq_len);
    int most = loom_most_answered(&t->setup.recipe, &t->drills), gate = loom_config_gate_loops(&t->setup.config);
    if (recipe->task_loops == LOOM_TASK_LOOPS_GIVEN && most > t->setup.config.max_loop_iters)
        return loom_fail(error, LOOM_INVALID, "%s: problems of %d steps need max_loop_iters %d, not %d", folder->path,
                         most, most, t->setup.config.max_loop_iters);
    if (most < t->drills.low)
        return loom_fail(error, LOOM_INVALID, "%s: problems of %d steps and more, and answer_steps %d", folder->path,
                         t->drills.low, most);
    if (t->setup.config.halting != LOOM_HALTING_GATE || !loom_config_looped(&t->setup.config))
        return LOOM_OK;
    if (t->drills.high > gate)
        return loom_fail(error, LOOM_INVALID, "%s: problems of %d steps need gate_loops %d, not %d", folder->path,
                         t->drills.high, t->drills.high, gate);
    size_t rows = (size_t)recipe->batch_size * (size_t)recipe->seq_len;
    t->depths = calloc(rows, sizeof *t->depths);
    return t->depths ? LOOM_OK : loom_fail_memory(error, "the gate's targets", rows * sizeof *t->depths);
}

loom_status loom_trainer_open(struct loom_trainer *trainer, const struct loom_setup *setup,
                              const struct loom_training_data *data, int threads, struct loom_error *error) {
    const struct loom_recipe *recipe = &setup->recipe;
    *trainer = (struct loom_trainer){
        .setup = *setup,
        .data = *data,
        .threads = loom_threads(threads),
        .progress = {.val_loss = (double)NAN, .best_val_loss = (double)NAN, .accuracy = (double)NAN}};
    loom_status status = data->corpus ? loom_batches_check(data->corpus, (size_t)recipe->seq_len, error) : LOOM_OK;
    if (status == LOOM_OK && data->corpus)
        loom_batches_init(&trainer->batches, data->corpus, (size_t)recipe->seq_len, recipe->sampling, recipe->seed);
    if (status == LOOM_OK && data->corpus)
        status = open_drills(trainer, error);
    if (status == LOOM_OK)
        status = open_parts(trainer, threads, error);
    if (status)
        loom_trainer_close(trainer);
    return status;
}

void loom_trainer_close(struct loom_trainer *trainer) {
    struct loom_trainer *t = trainer;
    if (t->model.k) {
        loom_policy_close(t->policy, t->model.k);
        loom_objective_close(&t->buffers, t->model.k);
        t->model.k->release(t->model.k, t->gradients);
        t->model.k->release(t->model.k, t->factors);
        t->model.k->release(t->model.k, t->example);
    }
    loom_lora_close(&t->lora);
    loom_optimizer_close(&t->optimizer);
    loom_workspace_close(&t->ws);
    t->model.tokenizer = NULL;
    loom_model_close(&t->model);
    loom_batch_close(&t->batch);
    loom_drills_close(&t->drills);
    free(t->val_losses);
    free(t->bias);
    free(t->depths);
    *t = (struct loom_trainer){0};
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

/* A router's loss is the mean over a step's sequences, or tokens: the weight of each. */
static real balance_weight(double weight, uint64_t parts, size_t count) {
    return (real)(weight / ((double)parts * (double)count));
}

/* A gate's loss beside an answer's. More would take the clipped gradient over while the first step is learned. */
static const double GATE_WEIGHT = 0.1;

/* Adds the gradients of all micro-batches; *loss is the mean. */
static loom_status accumulate(struct loom_trainer *t, double *loss, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    const struct loom_kernels *k = t->ws.k;
    uint64_t parts = (uint64_t)recipe->gradient_accumulation_steps;
    *loss = 0;
    k->fill(k, t->gradients, 0, loom_trainer_table(t)->elements);
    (void)loom_trainer_hold(t);
    loom_loads_clear(&t->ws.loads);
    for (uint64_t i = 0; i < parts; i++) {
        uint64_t micro = t->progress.step * parts + i;
        struct loom_random dropout = {recipe->seed, LOOM_RANDOM_DROPOUT};
        struct loom_micro_batch m;
        loom_status status = loom_micro_batch_draw(t, micro, &m, error);
        if (status)
            return status;
        double tokens = (double)parts * m.targets;
        struct loom_objective o = {
            .forward = {.weights = t->model.weights,
                        .ids = t->batch.inputs,
                        .first = t->drills.length ? NULL : t->batch.first,
                        .batch = (size_t)recipe->batch_size,
                        .seq = m.seq,
                        .loops = m.loops,
                        .depths = t->depths,
                        .gate_scale = (real)(GATE_WEIGHT / tokens),
                        .bptt = recipe->bptt_loops,
                        .factors = t->factors,
                        .keep = true,
                        .dropout_seed = loom_random_bits(dropout, micro),
                        .sequence_loss =
                            balance_weight(recipe->router_sequence_loss, parts, (size_t)recipe->batch_size),
                        .z_loss = balance_weight(recipe->router_z_loss, parts, (size_t)recipe->batch_size * m.seq),
                        .count_loads = true},
            .targets = t->batch.targets,
            .scale = (real)(1 / tokens),
            .gradients = t->gradients};
        double sum = loom_objective_run(&t->ws, &t->buffers, &o);
        *loss += sum / tokens;
        loom_curriculum_go_on(t, &m, sum / m.targets);
    }
    return LOOM_OK;
}

/* Moves each expert's selection bias a fixed step towards an even load over the loops. DeepSeek-V3, arXiv 2412.19437.
 */
static void balance(struct loom_trainer *t) {
    const struct loom_core *core = &t->model.net.core;
    const struct loom_loads *loads = &t->ws.loads;
    const struct loom_kernels *k = t->model.k;
    size_t experts = (size_t)loads->experts;
    real rate = (real)t->setup.recipe.router_bias_rate;
    for (size_t l = 0; rate > 0 && experts > 0 && l < core->layers; l++) {
        real *place = t->model.weights + core->blocks[l].router.bias;
        uint64_t all = 0;
        for (size_t e = 0; e < experts; e++)
            all += loom_loads_choices(loads, l, e);
        k->download(k, t->bias, place, experts * sizeof *t->bias);
        for (size_t e = 0; e < experts; e++) {
            uint64_t load = loom_loads_choices(loads, l, e) * experts;
            t->bias[e] += load < all ? rate : load > all ? -rate : 0;
        }
        k->upload(k, place, t->bias, experts * sizeof *t->bias);
    }
}

static loom_status check_finite(const struct loom_trainer *t, const struct loom_step *step, struct loom_error *error) {
    unsigned long long at = (unsigned long long)t->progress.step + 1;
    if (!isfinite(step->loss))
        return loom_fail(error, LOOM_FAILED, "step %llu: the loss is %g, not a finite number; learning rate %g", at,
                         step->loss, step->learning_rate);
    if (!isfinite(step->gradient_norm))
        return loom_fail(error, LOOM_FAILED, "step %llu: the gradient's norm is %g, not a finite number; loss %g", at,
                         step->gradient_norm, step->loss);
    return LOOM_OK;
}

/* Clips the gradients, multiplied by `factor`, and moves what is trained. */
static loom_status move(struct loom_trainer *t, struct loom_step *step, double factor, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    step->gradient_norm = loom_gradient_norm(t->ws.k, t->gradients, loom_trainer_table(t)->elements, factor);
    loom_status status = check_finite(t, step, error);
    if (status)
        return status;
    factor *= loom_clip_factor(step->gradient_norm, recipe->grad_clip);
    loom_optimizer_update(&t->optimizer, recipe, step->learning_rate, factor, loom_trainer_trained(t), t->gradients);
    loom_trainer_adapt(t, false);
    (void)loom_trainer_hold(t);
    return LOOM_OK;
}

static loom_status find_gradient(struct loom_trainer *t, struct loom_step *step, double *factor,
                                 struct loom_error *error) {
    *factor = 1;
    if (t->data.task)
        return loom_policy_gradient(t, step, move, error);
    if (t->setup.recipe.dp_clip > 0)
        return loom_private_gradient(t, &step->loss, factor, error);
    return accumulate(t, &step->loss, error);
}

/* Tokens that a step learns from. */
static uint64_t step_tokens(const struct loom_trainer *t) {
    const struct loom_recipe *r = &t->setup.recipe;
    return t->data.task ? loom_policy_tokens(t->policy)
                        : (uint64_t)r->gradient_accumulation_steps * (uint64_t)r->batch_size * (uint64_t)r->seq_len;
}

loom_status loom_trainer_step(struct loom_trainer *trainer, struct loom_step *step, struct loom_error *error) {
    struct loom_trainer *t = trainer;
    double begin = loom_clock(), factor;
    t->counter.flops = 0;
    *step = (struct loom_step){.learning_rate = loom_learning_rate(&t->setup.recipe, t->progress.step)};
    loom_status status = find_gradient(t, step, &factor, error);
    if (status == LOOM_OK)
        status = move(t, step, factor, error);
    if (status)
        return status;
    if (t->ws.loads.choices) {
        balance(t);
        step->mean_loops = loom_loads_mean_loops(&t->ws.loads);
        step->imbalance = loom_loads_imbalance(&t->ws.loads);
    }
    step->seconds = loom_clock() - begin;
    step->flops = t->counter.flops;
    t->progress.step++;
    t->progress.tokens += step_tokens(t);
    t->progress.seconds += step->seconds;
    t->progress.flops += step->flops;
    return LOOM_OK;
}
