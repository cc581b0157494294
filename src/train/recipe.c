/* recipe.c - see recipe.h. */
#include "train/recipe.h"

#include "base/json.h"

static const char *const sampling_names[] = {"random", "shuffle", NULL};
static const char *const decay_names[] = {"matrices", "all", NULL};
static const char *const precision_names[] = {"float32", "bf16", "auto", NULL};
static const char *const task_loops_names[] = {"fixed", "given", NULL};
static const char *const loop_sampling_names[] = {"fixed", "uniform", "poisson", NULL};
static const char *const optimizer_names[] = {"adamw", "muon", NULL};
static const char *const schedule_names[] = {"cosine", "linear", NULL};
static const char *const objective_names[] = {"grpo", "dr_grpo", "dapo", "gspo", "cispo", NULL};
static const char *const credit_names[] = {"last", "loops", NULL};
static const double steps_big = 1e15, whole_big = 9007199254740992.0 /* 2^53 */;

#define PLACE(field) offsetof(struct loom_recipe, field)
static const struct loom_key keys[] = {
    {"batch_size", LOOM_KEY_INT, PLACE(batch_size), 1, 1 << 20, NULL, 0},
    {"gradient_accumulation_steps", LOOM_KEY_INT, PLACE(gradient_accumulation_steps), 1, 1 << 20, NULL, 0},
    {"seq_len", LOOM_KEY_INT, PLACE(seq_len), 0, 1 << 24, NULL, 0},
    {"sampling", LOOM_KEY_CHOICE, PLACE(sampling), 0, 0, sampling_names, 0},
    {"document_mask", LOOM_KEY_BOOL, PLACE(document_mask), 0, 0, NULL, 0},
    {"max_iters", LOOM_KEY_UINT64, PLACE(max_iters), 1, steps_big, NULL, 0},
    {"learning_rate", LOOM_KEY_REAL, PLACE(learning_rate), 0, 1e3, NULL, 0},
    {"min_lr", LOOM_KEY_REAL, PLACE(min_lr), 0, 1e3, NULL, 0},
    {"warmup_iters", LOOM_KEY_UINT64, PLACE(warmup_iters), 0, steps_big, NULL, 0},
    {"lr_decay_iters", LOOM_KEY_UINT64, PLACE(lr_decay_iters), 0, steps_big, NULL, 0},
    {"schedule", LOOM_KEY_CHOICE, PLACE(schedule), 0, 0, schedule_names, 0},
    {"cooldown", LOOM_KEY_REAL, PLACE(cooldown), 0, 1, NULL, 0},
    {"optimizer", LOOM_KEY_CHOICE, PLACE(optimizer), 0, 0, optimizer_names, 0},
    {"embedding_lr", LOOM_KEY_REAL, PLACE(embedding_lr), 0, 1e3, NULL, 0},
    {"head_lr", LOOM_KEY_REAL, PLACE(head_lr), 0, 1e3, NULL, 0},
    {"muon_lr", LOOM_KEY_REAL, PLACE(muon_lr), 0, 1e3, NULL, 0},
    {"muon_momentum", LOOM_KEY_REAL, PLACE(muon_momentum), 0, 0.999999, NULL, 0},
    {"muon_momentum_start", LOOM_KEY_REAL, PLACE(muon_momentum_start), 0, 0.999999, NULL, 0},
    {"muon_momentum_warmup", LOOM_KEY_UINT64, PLACE(muon_momentum_warmup), 0, steps_big, NULL, 0},
    {"muon_beta2", LOOM_KEY_REAL, PLACE(muon_beta2), 0, 0.999999, NULL, 0},
    {"muon_decay", LOOM_KEY_REAL, PLACE(muon_decay), 0, 1e3, NULL, 0},
    {"muon_cautious", LOOM_KEY_BOOL, PLACE(muon_cautious), 0, 0, NULL, 0},
    {"muon_iterations", LOOM_KEY_INT, PLACE(muon_iterations), 1, LOOM_MUON_ITERATIONS_MAX, NULL, 0},
    {"muon_block", LOOM_KEY_INT, PLACE(muon_block), 0, 1 << 24, NULL, 0},
    {"beta1", LOOM_KEY_REAL, PLACE(beta1), 0, 0.999999, NULL, 0},
    {"beta2", LOOM_KEY_REAL, PLACE(beta2), 0, 0.999999, NULL, 0},
    {"epsilon", LOOM_KEY_REAL, PLACE(epsilon), 0, 1, NULL, 0},
    {"weight_decay", LOOM_KEY_REAL, PLACE(weight_decay), 0, 1e3, NULL, 0},
    {"decay", LOOM_KEY_CHOICE, PLACE(decay), 0, 0, decay_names, 0},
    {"grad_clip", LOOM_KEY_REAL, PLACE(grad_clip), 0, 1e9, NULL, 0},
    {"recompute", LOOM_KEY_BOOL, PLACE(recompute), 0, 0, NULL, 0},
    {"precision", LOOM_KEY_CHOICE, PLACE(precision), 0, 0, precision_names, 0},
    {"task_loops", LOOM_KEY_CHOICE, PLACE(task_loops), 0, 0, task_loops_names, 0},
    {"answer_steps", LOOM_KEY_INT, PLACE(answer_steps), 0, 99, NULL, 0},
    {"curriculum", LOOM_KEY_REAL, PLACE(curriculum), 0, 1e3, NULL, 0},
    {"loop_start", LOOM_KEY_UINT64, PLACE(loop_start), 0, steps_big, NULL, 0},
    {"loop_sampling", LOOM_KEY_CHOICE, PLACE(loop_sampling), 0, 0, loop_sampling_names, 0},
    {"bptt_loops", LOOM_KEY_INT, PLACE(bptt_loops), 0, 4096, NULL, 0},
    {"router_bias_rate", LOOM_KEY_REAL, PLACE(router_bias_rate), 0, 1, NULL, 0},
    {"router_sequence_loss", LOOM_KEY_REAL, PLACE(router_sequence_loss), 0, 1e3, NULL, 0},
    {"router_z_loss", LOOM_KEY_REAL, PLACE(router_z_loss), 0, 1e3, NULL, 0},
    {"adapter_rank", LOOM_KEY_INT, PLACE(adapter_rank), 0, 1 << 20, NULL, 0},
    {"adapter_alpha", LOOM_KEY_REAL, PLACE(adapter_alpha), 0, 1e6, NULL, 0},
    {"adapter_targets", LOOM_KEY_TEXT, PLACE(adapter_targets), 0, LOOM_ADAPTER_TARGETS - 1, NULL, 0},
    {"dp_clip", LOOM_KEY_REAL, PLACE(dp_clip), 0, 1e9, NULL, 0},
    {"dp_noise", LOOM_KEY_REAL, PLACE(dp_noise), 0, 1e5, NULL, 0},
    {"dp_epsilon", LOOM_KEY_REAL, PLACE(dp_epsilon), 0, 1e6, NULL, 0},
    {"dp_delta", LOOM_KEY_REAL, PLACE(dp_delta), 0, 1, NULL, 0},
    {"rl_objective", LOOM_KEY_CHOICE, PLACE(rl_objective), 0, 0, objective_names, 0},
    {"rl_credit", LOOM_KEY_CHOICE, PLACE(rl_credit), 0, 0, credit_names, 0},
    {"rl_prompts", LOOM_KEY_INT, PLACE(rl_prompts), 1, 1 << 16, NULL, 0},
    {"rl_group", LOOM_KEY_INT, PLACE(rl_group), 2, 1 << 12, NULL, 0},
    {"rl_max_tokens", LOOM_KEY_INT, PLACE(rl_max_tokens), 1, 1 << 20, NULL, 0},
    {"rl_updates", LOOM_KEY_INT, PLACE(rl_updates), 1, 1 << 12, NULL, 0},
    {"rl_temperature", LOOM_KEY_REAL, PLACE(rl_temperature), 1e-3, 100, NULL, 0},
    {"rl_clip_low", LOOM_KEY_REAL, PLACE(rl_clip_low), 0, 1, NULL, 0},
    {"rl_clip_high", LOOM_KEY_REAL, PLACE(rl_clip_high), 0, 1e3, NULL, 0},
    {"rl_kl", LOOM_KEY_REAL, PLACE(rl_kl), 0, 1e3, NULL, 0},
    {"rl_resample", LOOM_KEY_INT, PLACE(rl_resample), 0, 1 << 10, NULL, 0},
    {"rl_seconds", LOOM_KEY_REAL, PLACE(rl_seconds), 0.01, 3600, NULL, 0},
    {"rl_overlong", LOOM_KEY_INT, PLACE(rl_overlong), 0, 1 << 20, NULL, 0},
    {"eval_interval", LOOM_KEY_UINT64, PLACE(eval_interval), 1, steps_big, NULL, 0},
    {"keep_checkpoints", LOOM_KEY_INT, PLACE(keep_checkpoints), 1, 1 << 20, NULL, 0},
    {"sample_tokens", LOOM_KEY_INT, PLACE(sample_tokens), 0, 1 << 20, NULL, 0},
    {"seed", LOOM_KEY_UINT64, PLACE(seed), 0, whole_big, NULL, 0},
};
#undef PLACE
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

loom_status loom_recipe_set(struct loom_recipe *recipe, const char *key, const char *value, struct loom_error *error) {
    const struct loom_key *found = loom_key_find(keys, KEY_COUNT, 0, key);
    return found ? loom_key_set_text(found, recipe, value, error)
                 : loom_fail(error, LOOM_INVALID, "there is no setting \"%.64s\"", key);
}

json_t *loom_recipe_json(const struct loom_recipe *recipe) {
    json_t *json = json_object();
    if (json && loom_keys_write(keys, KEY_COUNT, 0, recipe, json))
        return json;
    json_decref(json);
    return NULL;
}

loom_status loom_recipe_read(struct loom_recipe *recipe, const json_t *json, const char *path,
                             struct loom_error *error) {
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const json_t *value = json_object_get(json, keys[i].name);
        if (!value)
            return loom_fail(error, LOOM_FAILED, "%s: train.%s is missing", path, keys[i].name);
        loom_status status = loom_key_set_json(&keys[i], recipe, value, path, error);
        if (status)
            return status;
    }
    return LOOM_OK;
}

loom_status loom_recipe_refuse_unheeded(const struct loom_recipe *recipe, const char *training,
                                        struct loom_error *error) {
    const struct {
        const char *key;
        double value;
    } settings[] = {
        {"router_sequence_loss", recipe->router_sequence_loss},
        {"router_z_loss", recipe->router_z_loss},
        {"loop_start", (double)recipe->loop_start},
        {"bptt_loops", recipe->bptt_loops},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (settings[i].value > 0)
            return loom_fail(error, LOOM_INVALID, "%s %g has no part in %s: set it to 0", settings[i].key,
                             settings[i].value, training);
    if (recipe->loop_sampling != LOOM_SAMPLING_FIXED)
        return loom_fail(error, LOOM_INVALID, "loop_sampling=%s has no part in %s, which runs every loop: set it to %s",
                         loop_sampling_names[recipe->loop_sampling], training,
                         loop_sampling_names[LOOM_SAMPLING_FIXED]);
    return LOOM_OK;
}
