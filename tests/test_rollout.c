/* test_rollout.c - answers drawn together are what each would be alone: the likeliest tokens of a group against those
 * of a session, for a model that looks back at n-grams too; and what the seed decides. */
#include "generate/rollout.h"
#include "generate/session.h"
#include "tiny.h"

enum { GROUP = 3, MOST = 6 };

static void open_model(struct loom_model *model, int ngram) {
    struct loom_config config = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    struct loom_error error;
    config.vocab_size = 256;
    config.max_seq_len = 24;
    config.ngram = ngram;
    config.ngram_rows = ngram > 1 ? 50 : 0;
    if (loom_config_check(&config, &error) || loom_model_create(model, &config, 1, &error))
        fail_msg("%s", error.text);
    assert_int_equal(loom_tokenizer_byte(&model->tokenizer, NULL), LOOM_OK);
    tiny_fill(&model->net.tensors, model->weights, 8);
}

static int likeliest(const float *logits) {
    int best = 0;
    for (int v = 1; v < 256; v++)
        best = logits[v] > logits[best] ? v : best;
    return best;
}

static void check_greedy(int ngram) {
    struct loom_model model;
    struct loom_rollout rollout;
    struct loom_session *session;
    int tokens[8 + MOST] = {5, 250, 9, 77, 3, 1, 200, 12};
    open_model(&model, ngram);
    assert_int_equal(loom_rollout_open(&rollout, &model, model.k, GROUP, MOST, 0, "<|end|>", NULL), LOOM_OK);
    assert_int_equal(loom_session_open(&model, 0, &session, NULL), LOOM_OK);
    assert_int_equal(loom_rollout_run(&rollout, tokens, 8, 1, NULL), LOOM_OK);
    for (size_t i = 0; i < MOST; i++) {
        const float *logits;
        assert_int_equal(loom_session_sync(session, tokens, 8 + i, &logits, NULL), LOOM_OK);
        tokens[8 + i] = likeliest(logits);
        for (size_t g = 0; g < GROUP; g++)
            assert_int_equal(rollout.tokens[g * MOST + i], tokens[8 + i]);
    }
    loom_session_free(session);
    loom_rollout_close(&rollout);
    loom_model_close(&model);
}

static void test_greedy(void **state) {
    (void)state;
    check_greedy(1);
    check_greedy(3);
}

static void test_seed(void **state) {
    struct loom_model model;
    struct loom_rollout rollout;
    int first[GROUP * MOST], prompt[3] = {1, 2, 3};
    (void)state;
    open_model(&model, 1);
    assert_int_equal(loom_rollout_open(&rollout, &model, model.k, GROUP, MOST, 1, "<|end|>", NULL), LOOM_OK);
    assert_int_equal(loom_rollout_run(&rollout, prompt, 3, 1, NULL), LOOM_OK);
    memcpy(first, rollout.tokens, sizeof first);
    assert_int_equal(loom_rollout_run(&rollout, prompt, 3, 2, NULL), LOOM_OK);
    assert_memory_not_equal(first, rollout.tokens, sizeof first);
    assert_int_equal(loom_rollout_run(&rollout, prompt, 3, 1, NULL), LOOM_OK);
    assert_memory_equal(first, rollout.tokens, sizeof first);
    assert_memory_not_equal(first, first + MOST, MOST * sizeof *first); /* and each answer draws for itself */
    struct loom_error error;
    int longer[24] = {0};
    assert_int_equal(loom_rollout_run(&rollout, longer, 24, 1, &error), LOOM_INVALID);
    loom_rollout_close(&rollout);
    loom_model_close(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy), cmocka_unit_test(test_seed)};
    return cmocka_run_group_tests_name("rollouts", tests, NULL, NULL);
}
