/* twin.c - see twin.h. Sizes and work are measured by dry runs, so that no formula has to follow the model's code. */
#include "eval/twin.h"

#include <math.h>
#include <stdio.h>

#include "train/measure.h"

enum { WIDTH_MAX = 1 << 20 };

static loom_status open_setup(const struct loom_twin_target *t, struct loom_setup *setup, struct loom_error *error) {
    loom_status status = loom_setup_preset(setup, t->preset, error);
    return status ? status : loom_setup_apply(setup, t->settings, t->n_settings, error);
}

loom_status loom_twin_check(const struct loom_twin_target *target, struct loom_error *error) {
    struct loom_setup setup;
    loom_status status = open_setup(target, &setup, error);
    if (status == LOOM_OK &&
        (setup.config.architecture != LOOM_ARCHITECTURE_LOOM || !loom_config_looped(&setup.config)))
        status = loom_fail(error, LOOM_INVALID,
                           "the preset %s has no dense twin: it is not of the architecture loom with a loop",
                           target->preset);
    return status;
}

static void fill(struct loom_twin *twin, int blocks, int width) {
    snprintf(twin->blocks, sizeof twin->blocks, "%d", blocks);
    snprintf(twin->width, sizeof twin->width, "%d", width);
    const struct loom_setting settings[LOOM_TWIN_SETTINGS] = {
        {"prelude_layers", twin->blocks},
        {"ffn_dim", twin->width},
        {"core_layers", "0"},
        {"coda_layers", "0"},
        {"n_experts", "0"},
        {"max_loop_iters", "1"},
        {"task_loops", "fixed"},
    };
    for (size_t i = 0; i < LOOM_TWIN_SETTINGS; i++)
        twin->settings[i] = settings[i];
}

/* Parameters and work of the twin with so many blocks of this width. */
static loom_status measure(const struct loom_twin_target *t, struct loom_twin *twin, int blocks, int width,
                           struct loom_error *error) {
    struct loom_setup setup;
    struct loom_train_result sizes;
    fill(twin, blocks, width);
    loom_status status = open_setup(t, &setup, error);
    if (status == LOOM_OK)
        status = loom_setup_apply(&setup, twin->settings, LOOM_TWIN_SETTINGS, error);
    setup.config.vocab_size = t->vocab_size;
    setup.recipe.seq_len = (int)t->seq;
    if (status == LOOM_OK)
        status = loom_setup_check(&setup, error);
    if (status == LOOM_OK)
        status = loom_setup_measure(&setup, &sizes, error);
    twin->parameters = sizes.parameters;
    twin->flops_per_step = sizes.flops_per_step;
    return status;
}

/* How far beyond the target the twin is: negative below it. */
static double excess(const struct loom_twin_target *t, const struct loom_twin *twin) {
    return t->parameters > 0 ? (double)twin->parameters - t->parameters : twin->flops_per_step - t->flops_per_step;
}

/* The width that comes nearest the target, by halving; *small tells that even the least is too much. */
static loom_status find_width(const struct loom_twin_target *t, struct loom_twin *twin, int blocks, bool *small,
                              struct loom_error *error) {
    int low = 1, high = 2;
    loom_status status = measure(t, twin, blocks, low, error);
    *small = status == LOOM_OK && excess(t, twin) > 0;
    if (status || *small)
        return status;
    for (; status == LOOM_OK && high < WIDTH_MAX; low = high, high *= 2) {
        status = measure(t, twin, blocks, high, error);
        if (status == LOOM_OK && excess(t, twin) > 0)
            break;
    }
    while (status == LOOM_OK && high - low > 1) {
        int middle = low + (high - low) / 2;
        status = measure(t, twin, blocks, middle, error);
        *(excess(t, twin) > 0 ? &high : &low) = middle;
    }
    if (status == LOOM_OK)
        status = measure(t, twin, blocks, high, error);
    double above = fabs(excess(t, twin));
    if (status == LOOM_OK)
        status = measure(t, twin, blocks, low, error);
    return status == LOOM_OK && above < fabs(excess(t, twin)) ? measure(t, twin, blocks, high, error) : status;
}

loom_status loom_twin_find(const struct loom_twin_target *target, struct loom_twin *twin, struct loom_error *error) {
    struct loom_setup setup;
    loom_status status = open_setup(target, &setup, error);
    const struct loom_config *c = &setup.config;
    int runs = target->parameters > 0 ? 1 : c->max_loop_iters;
    int blocks = status ? 0 : c->prelude_layers + runs * c->core_layers + c->coda_layers;
    bool small = true;
    for (; status == LOOM_OK && small && blocks > 0; blocks--)
        status = find_width(target, twin, blocks, &small, error);
    if (status == LOOM_OK && small)
        status = loom_fail(error, LOOM_FAILED, "no dense twin of %s is small enough", target->preset);
    return status;
}
