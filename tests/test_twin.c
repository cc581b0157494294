/* test_twin.c - dense twins: no other width is nearer the looped model's parameters, or its work, and what is no looped
 * preset has none. */
#include "scratch.h"
#include "tiny.h"

#include "eval/twin.h"
#include "train/measure.h"

enum { VOCAB = 50, SEQ = 40 };

static const struct loom_setting small[] = {{"dim", "32"}, {"n_heads", "2"}, {"n_kv_heads", "2"}};

/* A model's parameters and work: of the preset and small, behind those of the twin if there is one, with a width if
 * there is one. */
static struct loom_train_result measure(const char *preset, const struct loom_twin *twin, const char *width) {
    struct loom_setup setup;
    struct loom_train_result sizes;
    struct loom_error error;
    expect(loom_setup_preset(&setup, preset, &error), LOOM_OK, &error, "");
    expect(loom_setup_apply(&setup, small, 3, &error), LOOM_OK, &error, "");
    if (twin)
        expect(loom_setup_apply(&setup, twin->settings, LOOM_TWIN_SETTINGS, &error), LOOM_OK, &error, "");
    if (width)
        expect(loom_setup_set(&setup, "ffn_dim", width, &error), LOOM_OK, &error, "");
    setup.config.vocab_size = VOCAB;
    setup.recipe.seq_len = SEQ;
    expect(loom_setup_check(&setup, &error), LOOM_OK, &error, "");
    expect(loom_setup_measure(&setup, &sizes, &error), LOOM_OK, &error, "");
    return sizes;
}

static double miss(const struct loom_train_result *looped, const struct loom_train_result *dense, bool parameters) {
    return parameters ? fabs((double)dense->parameters - (double)looped->parameters)
                      : fabs(dense->flops_per_step - looped->flops_per_step);
}

static void check_nearest(const char *preset, bool parameters) {
    struct loom_train_result looped = measure(preset, NULL, NULL);
    struct loom_twin_target target = {.preset = preset,
                                      .settings = small,
                                      .n_settings = 3,
                                      .vocab_size = VOCAB,
                                      .seq = SEQ,
                                      .parameters = parameters ? (double)looped.parameters : 0,
                                      .flops_per_step = looped.flops_per_step};
    struct loom_twin twin;
    struct loom_error error;
    expect(loom_twin_check(&target, &error), LOOM_OK, &error, "");
    expect(loom_twin_find(&target, &twin, &error), LOOM_OK, &error, "");
    struct loom_train_result dense = measure(preset, &twin, NULL);
    assert_int_equal(dense.parameters, twin.parameters);
    assert_int_equal(dense.active_parameters, dense.parameters);
    for (int step = -1; step <= 1; step += 2) {
        char width[16];
        snprintf(width, sizeof width, "%d", atoi(twin.width) + step);
        struct loom_train_result other = measure(preset, &twin, width);
        assert_true(miss(&looped, &dense, parameters) <= miss(&looped, &other, parameters));
    }
}

static void test_nearest(void **state) {
    static const char *const presets[] = {"loom-small", "loom-story", "loom-drill"};
    (void)state;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        check_nearest(presets[i], true);
        check_nearest(presets[i], false);
    }
}

static void test_refused(void **state) {
    struct loom_error error;
    struct loom_twin twin;
    struct loom_twin_target target = {.preset = "nanogpt-small", .vocab_size = VOCAB, .seq = SEQ};
    (void)state;
    expect(loom_twin_check(&target, &error), LOOM_INVALID, &error, "nanogpt-small has no dense twin");
    target.preset = "dense-small";
    expect(loom_twin_check(&target, &error), LOOM_INVALID, &error, "dense-small has no dense twin");
    target.preset = "loom-small";
    target.parameters = 1000;
    expect(loom_twin_find(&target, &twin, &error), LOOM_FAILED, &error, "small enough");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nearest), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests_name("dense twins", tests, NULL, NULL);
}
