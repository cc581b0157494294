/* private_step.c - see private_step.h. */
#include "train/private_step.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "train/privacy.h"

static size_t examples_of(const struct loom_chat_set *chat) {
    return chat->count - chat->n_val;
}

static double expected_batch(const struct loom_recipe *recipe) {
    return (double)recipe->batch_size * recipe->gradient_accumulation_steps;
}

/* ---- the promise ------------------------------------------------------------------------------------------------- */

static struct loom_privacy_plan plan_of(const struct loom_recipe *recipe, const struct loom_chat_set *chat,
                                        uint64_t steps) {
    return (struct loom_privacy_plan){recipe->dp_noise, expected_batch(recipe) / (double)examples_of(chat), steps};
}

static loom_status check_plan(const struct loom_setup *setup, const struct loom_chat_set *chat,
                              struct loom_error *error) {
    const struct loom_recipe *recipe = &setup->recipe;
    if (!chat)
        return loom_fail(error, LOOM_INVALID,
                         "a private training (dp_clip) needs conversations: its promise is to each "
                         "of them");
    if (recipe->router_bias_rate > 0)
        return loom_fail(error, LOOM_INVALID,
                         "router_bias_rate %g follows counts over examples, which are not private: "
                         "set it to 0",
                         recipe->router_bias_rate);
    if (loom_config_looped(&setup->config) && setup->config.halting == LOOM_HALTING_GATE)
        return loom_fail(error, LOOM_INVALID,
                         "halting=gate cannot be trained privately: conversations teach the gate nothing, and noise "
                         "would drown what it knows");
    loom_status status = loom_recipe_refuse_unheeded(recipe, "a private training", error);
    if (status)
        return status;
    if (expected_batch(recipe) > (double)examples_of(chat))
        return loom_fail(error, LOOM_INVALID, "an expected batch of %g is more than the %zu examples to learn from",
                         expected_batch(recipe), examples_of(chat));
    if (!(recipe->dp_noise > 0 || recipe->dp_epsilon > 0))
        return loom_fail(error, LOOM_INVALID, "a private training needs dp_noise, or dp_epsilon to find it for");
    return LOOM_OK;
}

/* By PRV where it can say, which is less; else by RDP. */
static loom_status spend(const struct loom_privacy_plan *plan, const struct loom_recipe *recipe,
                         struct loom_privacy_spent *spent, const char **accountant, struct loom_error *error) {
    double promised = recipe->dp_epsilon > 0 ? recipe->dp_epsilon : 1;
    *accountant = "prv";
    *spent = (struct loom_privacy_spent){0};
    if (plan->steps == 0 ||
        loom_privacy_prv(plan, recipe->dp_delta, loom_privacy_error(promised), spent, NULL) == LOOM_OK)
        return LOOM_OK;
    *accountant = "rdp";
    return loom_privacy_rdp(plan, recipe->dp_delta, spent, error);
}

/* Noise and epsilon both: of the command, or of a run that goes on, which may be longer than its noise was found for.
 */
static loom_status check_promise(const struct loom_recipe *recipe, const struct loom_privacy_plan *plan,
                                 struct loom_error *error) {
    struct loom_privacy_spent spent;
    const char *accountant;
    loom_status status = loom_privacy_check(plan, recipe->dp_delta, error);
    if (status == LOOM_OK && recipe->dp_epsilon > 0)
        status = spend(plan, recipe, &spent, &accountant, error);
    if (status == LOOM_OK && recipe->dp_epsilon > 0 && spent.upper > recipe->dp_epsilon)
        status = loom_fail(error, LOOM_INVALID,
                           "%llu steps with noise %g would spend epsilon %.4g, more than the dp_epsilon of %g that is "
                           "promised",
                           (unsigned long long)plan->steps, plan->noise, spent.upper, recipe->dp_epsilon);
    return status;
}

loom_status loom_private_plan(struct loom_setup *setup, const struct loom_chat_set *chat, struct loom_error *error) {
    struct loom_recipe *recipe = &setup->recipe;
    struct loom_privacy_spent spent;
    if (recipe->dp_clip <= 0 && (recipe->dp_noise > 0 || recipe->dp_epsilon > 0))
        return loom_fail(error, LOOM_INVALID,
                         "dp_noise and dp_epsilon need dp_clip, the largest norm of an example's "
                         "gradient");
    if (recipe->dp_clip <= 0)
        return LOOM_OK;
    loom_status status = check_plan(setup, chat, error);
    if (status)
        return status;
    struct loom_privacy_plan plan = plan_of(recipe, chat, recipe->max_iters);
    if (recipe->dp_noise > 0)
        return check_promise(recipe, &plan, error);
    status = loom_privacy_noise(&plan, LOOM_ACCOUNTANT_PRV, recipe->dp_epsilon, recipe->dp_delta, &spent, error);
    recipe->dp_noise = plan.noise;
    return status;
}

loom_status loom_privacy_write(const struct loom_trainer *trainer, const char *path, struct loom_error *error) {
    const struct loom_recipe *recipe = &trainer->setup.recipe;
    struct loom_privacy_plan plan = plan_of(recipe, trainer->data.chat, trainer->progress.step);
    struct loom_privacy_spent spent;
    const char *accountant;
    loom_status status = spend(&plan, recipe, &spent, &accountant, error);
    if (status)
        return status;
    json_t *json = json_pack("{s:f,s:f,s:s,s:s,s:s,s:f,s:f,s:f,s:I,s:[s,s,s]}", "epsilon", spent.upper, "delta",
                             recipe->dp_delta, "accountant", accountant, "unit", "one conversation, added or removed",
                             "sampling", "poisson", "sampling_rate", plan.rate, "noise_multiplier", plan.noise, "clip",
                             recipe->dp_clip, "steps", (json_int_t)plan.steps, "not_private",
                             "loss and grad_norm in metrics.jsonl, which are of the examples without noise",
                             "the held-out conversations, whose loss chooses the best checkpoint",
                             "the number of examples, and the model that training started from");
    /* The usual bound: at one over their number, giving one example away whole would keep the promise. */
    if (json && recipe->dp_delta * (double)examples_of(trainer->data.chat) >= 1)
        json_array_append_new(json_object_get(json, "not_private"),
                              json_string("delta, which is not below one over the number of examples"));
    status = json ? loom_json_write(path, json, error) : loom_fail_memory(error, path, sizeof *json);
    json_decref(json);
    return status;
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

/* Adds one example's clipped gradient; returns the sum of its tokens' losses. */
static double add_example(struct loom_trainer *t, size_t index, uint64_t dropout, size_t *tokens) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    const struct loom_kernels *k = t->ws.k;
    size_t elements = loom_trainer_table(t)->elements, seq = 0, count = 0;
    loom_chat_set_example(t->data.chat, index, &t->batch, 0);
    for (size_t i = 0; i < (size_t)recipe->seq_len; i++)
        if (t->batch.targets[i] >= 0) {
            count++;
            seq = i + 1; /* what is behind the last target is padding */
        }
    k->fill(k, t->example, 0, elements);
    struct loom_objective o = {.forward = {.weights = t->model.weights,
                                           .ids = t->batch.inputs,
                                           .first = t->batch.first,
                                           .batch = 1,
                                           .seq = seq,
                                           .loops = t->setup.config.max_loop_iters,
                                           .factors = t->factors,
                                           .keep = true,
                                           .dropout_seed = dropout,
                                           .count_loads = true},
                               .targets = t->batch.targets,
                               .scale = (real)(1 / (double)count),
                               .gradients = t->example};
    double loss = loom_objective_run(&t->ws, &t->buffers, &o);
    double norm = loom_gradient_norm(k, t->example, elements, 1);
    k->add_scaled(k, t->gradients, (real)fmin(1, recipe->dp_clip / (norm + 1e-12)), t->example, elements);
    *tokens += count;
    return loss;
}

/* Adds N(0, (sigma C)^2) to every element, drawn from the step's own stream. */
static loom_status add_noise(struct loom_trainer *t, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    const struct loom_kernels *k = t->ws.k;
    size_t elements = loom_trainer_table(t)->elements;
    const struct loom_random stream = {recipe->seed, LOOM_RANDOM_PRIVACY | (2 * t->progress.step + 1) << 8};
    real *noise = malloc(elements * sizeof *noise);
    if (!noise)
        return loom_fail_memory(error, "noise", elements * sizeof *noise);
    for (size_t i = 0; i < elements; i++)
        noise[i] = (real)loom_random_normal(stream, i);
    k->upload(k, t->example, noise, elements * sizeof *noise);
    k->add_scaled(k, t->gradients, (real)(recipe->dp_noise * recipe->dp_clip), t->example, elements);
    free(noise);
    return LOOM_OK;
}

loom_status loom_private_gradient(struct loom_trainer *trainer, double *loss, double *factor,
                                  struct loom_error *error) {
    struct loom_trainer *t = trainer;
    const struct loom_recipe *recipe = &t->setup.recipe;
    const struct loom_kernels *k = t->ws.k;
    size_t examples = examples_of(t->data.chat), tokens = 0;
    double rate = expected_batch(recipe) / (double)examples, sum = 0;
    const struct loom_random stream = {recipe->seed, LOOM_RANDOM_PRIVACY | (2 * t->progress.step) << 8};
    const struct loom_random dropout = {recipe->seed, LOOM_RANDOM_DROPOUT | (t->progress.step + 1) << 8};
    k->fill(k, t->gradients, 0, loom_trainer_table(t)->elements);
    loom_loads_clear(&t->ws.loads);
    for (size_t i = 0; i < examples; i++)
        if (loom_random_uniform(stream, i) < rate)
            sum += add_example(t, i, loom_random_bits(dropout, i), &tokens);
    if (tokens > 0)
        t->last_loss = sum / (double)tokens;
    *loss = t->last_loss;
    *factor = 1 / expected_batch(recipe);
    return add_noise(t, error);
}
