/* test_census.c - which experts were chosen, as loom_evaluate counts them. */
#include <loom/loom.h>

#include "tiny_model.h"
#include "token_folder.h"

enum { SEQ = 8, WINDOWS = 16, TOKENS = SEQ * WINDOWS, LOOPS = 3, LAYERS = 2, EXPERTS = 5, TOP_K = 2 };
enum { LETTER = 0, DIGIT = 2 }; /* places among the kinds */

static struct loom_config routed(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.vocab_size = 256;
    c.max_seq_len = SEQ;
    c.core_layers = LAYERS;
    c.halting = LOOM_HALTING_NONE;
    return c;
}

/* A text of letters and digits alone, whole windows long, and the token that the last one predicts. */
static char *write_text(void **state, size_t *letters) {
    struct token_text text = token_text_random(7, TOKENS + 1, 2, 0.1);
    struct loom_tokenizer *tokenizer;
    assert_int_equal(loom_tokenizer_byte(&tokenizer, NULL), LOOM_OK);
    *letters = 0;
    for (size_t i = 0; i <= TOKENS; i++) {
        *letters += i < TOKENS && text.ids[i] == 0;
        text.ids[i] = text.ids[i] == 0 ? 'a' : '7';
    }
    char *folder = token_folder_write(*state, "text", tokenizer, &text, &text, TOKENS + 1);
    loom_tokenizer_free(tokenizer);
    token_text_free(&text);
    return folder;
}

static uint64_t chosen(const struct loom_choices *c, int kind, int loop, int layer, int expert) {
    return c->choices[((kind * LOOPS + loop) * LAYERS + layer) * EXPERTS + expert];
}

static uint64_t chosen_by(const struct loom_choices *c, int kind, int loop, int layer) {
    uint64_t sum = 0;
    for (int e = 0; e < EXPERTS; e++)
        sum += chosen(c, kind, loop, layer, e);
    return sum;
}

static void evaluate(const struct loom_model *model, const char *folder, struct loom_choices *choices) {
    struct loom_evaluate_result result;
    struct loom_error error;
    const struct loom_evaluate_options options = {.data = folder, .choices = choices};
    expect(loom_evaluate(model, &options, &result, &error), LOOM_OK, &error, "");
    assert_int_equal(result.tokens, TOKENS);
}

/* Every token makes TOP_K choices in each loop and layer, and is counted as what it is. */
static void test_counts(void **state) {
    const struct loom_config config = routed();
    struct loom_model model;
    struct loom_choices choices;
    size_t letters;
    char *folder = write_text(state, &letters);
    tiny_model_open(&model, &config, 3);
    evaluate(&model, folder, &choices);
    assert_int_equal(choices.loops, LOOPS);
    assert_int_equal(choices.layers, LAYERS);
    assert_int_equal(choices.experts, EXPERTS);
    assert_string_equal(choices.kind_names[LETTER], "letter");
    assert_string_equal(choices.kind_names[DIGIT], "digit");
    for (int loop = 0; loop < LOOPS; loop++)
        for (int layer = 0; layer < LAYERS; layer++)
            for (int kind = 0; kind < choices.kinds; kind++) {
                size_t tokens = kind == LETTER ? letters : kind == DIGIT ? TOKENS - letters : 0;
                assert_int_equal(chosen_by(&choices, kind, loop, layer), tokens * TOP_K);
            }
    assert_true(choices.by_loop >= 0 && choices.by_loop < 1 && choices.by_kind > 0 && choices.by_kind < 1);
    assert_true(choices.again[0] == 0 && choices.again[1] > 0 && choices.again[1] <= 1);
    loom_choices_free(&choices);
    loom_model_close(&model);
    free(folder);
}

/* Routers that see nothing send every token to the first experts, in every loop. */
static void test_blind(void **state) {
    const struct loom_config config = routed();
    struct loom_model model;
    struct loom_choices choices;
    size_t letters;
    char *folder = write_text(state, &letters);
    tiny_model_open(&model, &config, 3);
    for (int layer = 0; layer < LAYERS; layer++) {
        const struct loom_router *router = &model.net.core.blocks[layer].router;
        memset(model.weights + router->weight, 0, router->experts * router->dim * sizeof(real));
        memset(model.weights + router->bias, 0, router->experts * sizeof(real));
    }
    evaluate(&model, folder, &choices);
    for (int loop = 0; loop < LOOPS; loop++) {
        assert_int_equal(chosen(&choices, LETTER, loop, 1, 0), letters);
        assert_int_equal(chosen(&choices, LETTER, loop, 1, 1), letters);
        assert_true(choices.again[loop] == (loop > 0));
    }
    assert_true(fabs(choices.by_loop) < 1e-12 && fabs(choices.by_kind) < 1e-12);
    loom_choices_free(&choices);
    loom_model_close(&model);
    free(folder);
}

static void test_refusals(void **state) {
    struct loom_config dense = tiny_gpt(true), config = routed();
    struct loom_model model;
    struct loom_choices choices;
    struct loom_evaluate_result result;
    struct loom_error error;
    size_t letters;
    char *folder = write_text(state, &letters);
    struct loom_evaluate_options options = {.data = folder, .choices = &choices};
    dense.vocab_size = 256;
    tiny_model_open(&model, &dense, 3);
    expect(loom_evaluate(&model, &options, &result, &error), LOOM_INVALID, &error, "no routed experts");
    loom_model_close(&model);
    config.halting = LOOM_HALTING_ACT;
    options.exit = true;
    tiny_model_open(&model, &config, 3);
    expect(loom_evaluate(&model, &options, &result, &error), LOOM_INVALID, &error, "whole loops");
    loom_model_close(&model);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_blind, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_refusals, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
