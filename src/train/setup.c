/* setup.c - see setup.h. */
#include "train/setup.h"

#include <string.h>

#include "base/json.h"
#include "model/model.h"
#include "train/preset.h"

/* One "key=value" of `length` bytes. */
static loom_status set_pair(struct loom_setup *setup, const char *pair, size_t length, struct loom_error *error) {
    char text[128];
    if (length >= sizeof text)
        return loom_fail(error, LOOM_INVALID, "the preset's setting \"%.64s\" is too long", pair);
    memcpy(text, pair, length);
    text[length] = '\0';
    char *equals = strchr(text, '=');
    if (!equals)
        return loom_fail(error, LOOM_INVALID, "the preset's setting \"%s\" has no value", text);
    *equals = '\0';
    return loom_setup_set(setup, text, equals + 1, error);
}

loom_status loom_setup_preset(struct loom_setup *setup, const char *name, struct loom_error *error) {
    const struct loom_preset *preset = loom_preset_find(name);
    if (!preset)
        return loom_fail(error, LOOM_INVALID, "there is no preset \"%.64s\"; `loom help train` lists them", name);
    *setup = (struct loom_setup){.config = loom_config_default(preset->architecture), .preset = preset->name};
    loom_status status = LOOM_OK;
    for (const char *at = preset->settings; *at && status == LOOM_OK;) {
        size_t length = strcspn(at, " ");
        status = set_pair(setup, at, length, error);
        at += length + strspn(at + length, " ");
    }
    return status;
}

loom_status loom_setup_set(struct loom_setup *setup, const char *key, const char *value, struct loom_error *error) {
    return loom_config_has_key(key) ? loom_config_set(&setup->config, key, value, error)
                                    : loom_recipe_set(&setup->recipe, key, value, error);
}

loom_status loom_setup_apply(struct loom_setup *setup, const struct loom_setting *settings, size_t count,
                             struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t i = 0; i < count && status == LOOM_OK; i++)
        status = loom_setup_set(setup, settings[i].key, settings[i].value, error);
    return status;
}

loom_status loom_setup_check(struct loom_setup *setup, struct loom_error *error) {
    struct loom_recipe *r = &setup->recipe;
    loom_status status = loom_config_check(&setup->config, error);
    if (status)
        return status;
    if (r->seq_len == 0)
        r->seq_len = setup->config.max_seq_len;
    if (r->lr_decay_iters == 0)
        r->lr_decay_iters = r->max_iters;
    if (r->precision == LOOM_TRAINING_AUTO)
        r->precision = loom_kernels_cpu_multiplies(LOOM_PRECISION_BF16) ? LOOM_TRAINING_BF16 : LOOM_TRAINING_FLOAT32;
    status = loom_machine_check((enum loom_precision)r->precision, error);
    if (status)
        return status;
    if (r->seq_len > setup->config.max_seq_len)
        return loom_fail(error, LOOM_INVALID, "seq_len %d is more than the model's longest sequence %d", r->seq_len,
                         setup->config.max_seq_len);
    /* Rows of a batch, and of its tokens' chosen experts, are counted in ints. */
    double rows = (double)r->batch_size * r->seq_len, picks = setup->config.n_experts_per_tok;
    if (rows * (picks > 1 ? picks : 1) > 1 << 30)
        return loom_fail(error, LOOM_INVALID, "batch_size %d x seq_len %d is too much for one micro-batch",
                         r->batch_size, r->seq_len);
    /* The papers' own clips, by objective. */
    static const double clips[][2] = {{0.2, 0.2}, {0.2, 0.2}, {0.2, 0.28}, {3e-4, 4e-4}, {1, 0.28}};
    r->rl_clip_low = r->rl_clip_low > 0 ? r->rl_clip_low : clips[r->rl_objective][0];
    r->rl_clip_high = r->rl_clip_high > 0 ? r->rl_clip_high : clips[r->rl_objective][1];
    if (r->rl_overlong > r->rl_max_tokens)
        return loom_fail(error, LOOM_INVALID, "rl_overlong %d is more than rl_max_tokens %d", r->rl_overlong,
                         r->rl_max_tokens);
    if (r->min_lr > r->learning_rate)
        return loom_fail(error, LOOM_INVALID, "min_lr %g is more than learning_rate %g", r->min_lr, r->learning_rate);
    return LOOM_OK;
}

loom_status loom_setup_read(struct loom_setup *setup, const json_t *json, const char *path, struct loom_error *error) {
    const char *architecture, *preset;
    loom_status status = loom_json_string(json, "architecture", path, &architecture, error);
    if (status == LOOM_OK)
        status = loom_json_string(json, "preset", path, &preset, error);
    if (status)
        return status;
    int kind = loom_architecture_find(architecture);
    if (kind < 0)
        return loom_fail(error, LOOM_FAILED, "%s: the architecture \"%.64s\" is not known", path, architecture);
    *setup = (struct loom_setup){.config = loom_config_default((enum loom_architecture)kind)};
    const struct loom_preset *known = loom_preset_find(preset);
    if (!known)
        return loom_fail(error, LOOM_FAILED, "%s: the preset \"%.64s\" is not known", path, preset);
    setup->preset = known->name;
    status = loom_config_read_keys(&setup->config, json_object_get(json, "model"), path, error);
    return status ? status : loom_recipe_read(&setup->recipe, json_object_get(json, "train"), path, error);
}
