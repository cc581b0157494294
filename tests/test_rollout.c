/* test_rollout.c - answers drawn together are what each would be alone: the likeliest tokens of groups, whose prompts
 * are of several lengths, against those of a session, for a model that looks back at n-grams too; and what the seed
 * decides. */
#include "generate/rollout.h"
#include "generate/session.h"
#include "tiny.h"

enum { GROUP = 5, MOST = 6 };

static void open_config(struct loom_model *model, struct loom_config config, int ngram) {
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

static void open_model(struct loom_model *model, int ngram) {
    open_config(model, tiny_looped(LOOM_ARCHITECTURE_LOOM), ngram);
}

static int likeliest(const float *logits) {
    int best = 0;
    for (int v = 1; v < 256; v++)
        best = logits[v] > logits[best] ? v : best;
    return best;
}

/* What a session answers to a prompt, alone. */
static void answer_alone(const struct loom_model *model, const int *prompt, size_t count, int answer[MOST]) {
    struct loom_session *session;
    int tokens[16 + MOST];
    assert_int_equal(loom_session_open(model, 0, &session, NULL), LOOM_OK);
    memcpy(tokens, prompt, count * sizeof *prompt);
    for (size_t i = 0; i < MOST; i++) {
        const float *logits;
        assert_int_equal(loom_session_sync(session, tokens, count + i, &logits, NULL), LOOM_OK);
        answer[i] = tokens[count + i] = likeliest(logits);
    }
    loom_session_free(session);
}

/* A pass that learns from an answer would have given each of its tokens the most, too: it runs the loops that the
 * answer was drawn with. */
static void check_learned(const struct loom_model *model, const struct loom_prompt *prompt, const int answer[MOST]) {
    const struct loom_workspace_shape shape = {
        .batch = 1, .seq = 24, .loops = model->net.config.max_loop_iters, .keep = true};
    struct loom_workspace ws;
    int tokens[24];
    size_t seq = prompt->count + MOST;
    assert_int_equal(loom_workspace_open(&ws, &model->net, model->k, &shape, NULL), LOOM_OK);
    memcpy(tokens, prompt->tokens, prompt->count * sizeof *tokens);
    memcpy(tokens + prompt->count, answer, MOST * sizeof *tokens);
    loom_net_forward(
        &ws, &(struct loom_forward){
                 .weights = model->weights, .ids = tokens, .batch = 1, .seq = seq, .loops = shape.loops, .keep = true});
    real *logits = loom_workspace_logits(&ws, seq);
    loom_net_logits(&ws, model->weights, logits, ws.hidden, seq);
    for (size_t i = 0; i < MOST; i++)
        assert_int_equal(likeliest(logits + (prompt->count - 1 + i) * 256), answer[i]);
    loom_workspace_close(&ws);
}

/* Prompts of several lengths, asked together, `group` answers to each. */
static void check_greedy(struct loom_config config, int ngram, size_t group) {
    static const int tokens[8] = {5, 250, 9, 77, 3, 1, 200, 12};
    const struct loom_prompt prompts[3] = {{tokens, 8, 1}, {tokens + 1, 3, 2}, {tokens + 2, 6, 3}};
    struct loom_model model;
    struct loom_rollout rollout;
    open_config(&model, config, ngram);
    assert_int_equal(loom_rollout_open(&rollout, &model, model.k, 3, group, MOST, 0, "<|end|>", NULL), LOOM_OK);
    for (size_t count = 1; count <= 3; count += 2) {
        assert_int_equal(loom_rollout_run(&rollout, prompts, count, NULL), LOOM_OK);
        assert_int_equal(rollout.answers, count * group);
        for (size_t a = 0; a < rollout.answers; a++) {
            int alone[MOST];
            answer_alone(&model, prompts[a / group].tokens, prompts[a / group].count, alone);
            assert_int_equal(rollout.lengths[a], MOST);
            assert_memory_equal(rollout.tokens + a * MOST, alone, sizeof alone);
            check_learned(&model, &prompts[a / group], alone);
        }
    }
    loom_rollout_close(&rollout);
    loom_model_close(&model);
}

static void test_greedy(void **state) {
    (void)state;
    check_greedy(tiny_looped(LOOM_ARCHITECTURE_LOOM), 1, GROUP);
    check_greedy(tiny_looped(LOOM_ARCHITECTURE_LOOM), 3, GROUP);
    check_greedy(tiny_looped(LOOM_ARCHITECTURE_LOOM), 1, 1);
    check_greedy(tiny_latent(LOOM_ARCHITECTURE_LOOM), 1, GROUP);
}

/* However tokens halt, drawing and learning run the same loops. */
static void test_halting(void **state) {
    static const int kinds[] = {LOOM_HALTING_NONE, LOOM_HALTING_ACT, LOOM_HALTING_GATE, LOOM_HALTING_CONVERGE};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct loom_config config = tiny_looped(LOOM_ARCHITECTURE_LOOM);
        config.halting = kinds[i];
        check_greedy(config, 1, GROUP);
    }
}

static void test_seed(void **state) {
    static const int tokens[24] = {1, 2, 3};
    const struct loom_prompt one = {tokens, 3, 1}, two = {tokens, 3, 2}, longer = {tokens, 24, 1};
    struct loom_model model;
    struct loom_rollout rollout;
    int first[GROUP * MOST];
    (void)state;
    open_model(&model, 1);
    assert_int_equal(loom_rollout_open(&rollout, &model, model.k, 1, GROUP, MOST, 1, "<|end|>", NULL), LOOM_OK);
    assert_int_equal(loom_rollout_run(&rollout, &one, 1, NULL), LOOM_OK);
    memcpy(first, rollout.tokens, sizeof first);
    assert_int_equal(loom_rollout_run(&rollout, &two, 1, NULL), LOOM_OK);
    assert_memory_not_equal(first, rollout.tokens, sizeof first);
    assert_int_equal(loom_rollout_run(&rollout, &one, 1, NULL), LOOM_OK);
    assert_memory_equal(first, rollout.tokens, sizeof first);
    assert_memory_not_equal(first, first + MOST, MOST * sizeof *first); /* and each answer draws for itself */
    struct loom_error error;
    assert_int_equal(loom_rollout_run(&rollout, &longer, 1, &error), LOOM_INVALID);
    loom_rollout_close(&rollout);
    loom_model_close(&model);
}

/* Where positions are learned, prompts are asked one by one. */
static void test_learned_positions(void **state) {
    struct loom_config config = tiny_gpt(false);
    struct loom_model model;
    struct loom_rollout rollout;
    struct loom_error error;
    (void)state;
    if (loom_config_check(&config, &error) || loom_model_create(&model, &config, 1, &error))
        fail_msg("%s", error.text);
    assert_int_equal(loom_rollout_open(&rollout, &model, model.k, 4, GROUP, MOST, 0, "<|end|>", NULL), LOOM_OK);
    assert_int_equal(rollout.prompts, 1);
    loom_rollout_close(&rollout);
    loom_model_close(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy), cmocka_unit_test(test_halting),
                                       cmocka_unit_test(test_seed), cmocka_unit_test(test_learned_positions)};
    return cmocka_run_group_tests_name("rollouts", tests, NULL, NULL);
}
