/* test_loops.c - how often the core runs in training, and what it learns from that: sampled loops, loops that start
 * late, and a looped block that answers problems of more steps than it was trained on. */
#include "scratch.h"
#include "tiny.h"

#include "train/trainer.h"

enum { LOOPS = 6, STEPS = 60 };

/* A trainer of a generated task. */
struct bench {
    struct loom_setup setup;
    struct loom_corpus corpus;
    struct loom_trainer trainer;
};

static void set(struct loom_setup *setup, const char *key, const char *value) {
    struct loom_error error;
    expect(loom_setup_set(setup, key, value, &error), LOOM_OK, &error, "");
}

static void prepare(const char *path, int low, int high, uint64_t train, uint64_t val, uint64_t seed) {
    struct loom_error error;
    struct loom_prepare_result result;
    struct loom_drill_options options = {.drill = "pointer",
                                         .out = path,
                                         .steps_low = low,
                                         .steps_high = high,
                                         .train_samples = train,
                                         .val_samples = val,
                                         .seed = seed};
    expect(loom_prepare_drill(&options, &result, &error), LOOM_OK, &error, "");
}

static void open_trainer(struct bench *b, const char *path) {
    struct loom_error error;
    const char *const paths[] = {path};
    expect(loom_corpus_open(paths, NULL, 1, &b->corpus, &error), LOOM_OK, &error, "");
    struct loom_tokenizer *tokenizer = loom_corpus_tokenizer(&b->corpus);
    const struct loom_training_data data = {.corpus = &b->corpus, .tokenizer = tokenizer};
    b->setup.config.vocab_size = loom_tokenizer_vocab_size(tokenizer);
    expect(loom_setup_check(&b->setup, &error), LOOM_OK, &error, "");
    expect(loom_trainer_open(&b->trainer, &b->setup, &data, 1, &error), LOOM_OK, &error, "");
}

static void close_bench(struct bench *b) {
    loom_trainer_close(&b->trainer);
    loom_corpus_close(&b->corpus);
}

/* The loops of each of STEPS training steps of a tiny model. */
static void run(void *folder, const char *sampling, const char *start, int *loops) {
    struct bench b;
    struct loom_step step;
    struct loom_error error;
    char *path = scratch_path(folder, "problems");
    if (!loom_path_exists(path))
        prepare(path, 1, 2, 8, 2, 1);
    expect(loom_setup_preset(&b.setup, "loom-drill", &error), LOOM_OK, &error, "");
    set(&b.setup, "dim", "16");
    set(&b.setup, "ffn_dim", "16");
    set(&b.setup, "batch_size", "1");
    set(&b.setup, "max_loop_iters", "6");
    set(&b.setup, "task_loops", "fixed");
    set(&b.setup, "loop_sampling", sampling);
    set(&b.setup, "loop_start", start);
    open_trainer(&b, path);
    for (int i = 0; i < STEPS; i++) {
        expect(loom_trainer_step(&b.trainer, &step, &error), LOOM_OK, &error, "");
        loops[i] = (int)lround(step.mean_loops);
        assert_true(step.mean_loops == loops[i] && loops[i] >= 1 && loops[i] <= LOOPS);
    }
    close_bench(&b);
    free(path);
}

static int count(const int *loops, int wanted) {
    int found = 0;
    for (int i = 0; i < STEPS; i++)
        found += loops[i] == wanted;
    return found;
}

static void test_fixed(void **state) {
    int loops[STEPS];
    run(*state, "fixed", "0", loops);
    assert_int_equal(count(loops, LOOPS), STEPS);
}

/* One loop each until the step at which all begin. */
static void test_start(void **state) {
    int loops[STEPS];
    run(*state, "fixed", "23", loops);
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(loops[i], i < 23 ? 1 : LOOPS);
}

/* Every number occurs, about as often as any other, and the same numbers again with the same seed. */
static void test_uniform(void **state) {
    int loops[STEPS], again[STEPS];
    run(*state, "uniform", "0", loops);
    run(*state, "uniform", "0", again);
    assert_memory_equal(loops, again, sizeof loops);
    for (int wanted = 1; wanted <= LOOPS; wanted++)
        assert_in_range(count(loops, wanted), 2, 22); /* 10 in the mean, with a standard deviation of 2.9 */
}

/* 1 + Poisson(3), cut at 6: its mean is 3.8 with a standard deviation of 1.45, so that of 60 lies within 0.75. */
static void test_poisson(void **state) {
    int loops[STEPS], sum = 0;
    run(*state, "poisson", "0", loops);
    for (int i = 0; i < STEPS; i++)
        sum += loops[i];
    assert_true(fabs((double)sum / STEPS - 3.8) < 0.75);
    assert_true(count(loops, 1) < 10 && count(loops, LOOPS) > 3);
}

/* The share of problems of so many steps that are answered right with as many loops. */
static double accuracy(struct bench *b, const struct loom_drills *drills, struct loom_workspace *ws,
                       const struct loom_batch *scratch, int steps) {
    struct loom_error error;
    struct loom_drill_score score;
    const struct loom_drill_test test = {.weights = b->trainer.model.weights,
                                         .batch = ws->shape.batch,
                                         .seq = ws->shape.seq,
                                         .steps = steps,
                                         .loops = steps,
                                         .scratch = scratch};
    expect(loom_drills_score(drills, ws, &test, &score, &error), LOOM_OK, &error, "");
    return (double)score.right / (double)score.problems;
}

/* A block that has learned to follow one and two pointers follows six: what it learned is a step. */
static void test_learns_a_step(void **state) {
    enum { TRAINED = 300, DEEP = 6, BATCH = 10 };
    struct bench b;
    struct loom_error error;
    struct loom_step step;
    struct loom_tokens *tokens;
    struct loom_drills drills;
    struct loom_workspace ws;
    struct loom_batch scratch;
    char *path = scratch_path(*state, "short"), *deep = scratch_path(*state, "deep");
    prepare(path, 1, 2, 4000, 2, 1);
    prepare(deep, 1, DEEP, 6, 6 * BATCH, 2);
    expect(loom_setup_preset(&b.setup, "loom-drill", &error), LOOM_OK, &error, "");
    set(&b.setup, "max_iters", "300");
    set(&b.setup, "batch_size", "16");
    set(&b.setup, "precision", "float32");
    open_trainer(&b, path);
    for (int i = 0; i < TRAINED; i++)
        expect(loom_trainer_step(&b.trainer, &step, &error), LOOM_OK, &error, "");
    expect(loom_tokens_open(deep, &tokens, &error), LOOM_OK, &error, "");
    expect(loom_drills_open(&drills, deep, tokens, &error), LOOM_OK, &error, "");
    struct loom_workspace_shape shape = {.batch = BATCH, .seq = drills.length - 1, .loops = DEEP};
    expect(loom_workspace_open(&ws, &b.trainer.model.net, b.trainer.model.k, &shape, &error), LOOM_OK, &error, "");
    expect(loom_batch_open(&scratch, BATCH, shape.seq, false, &error), LOOM_OK, &error, "");
    assert_true(accuracy(&b, &drills, &ws, &scratch, 1) > 0.95);
    assert_true(accuracy(&b, &drills, &ws, &scratch, DEEP) > 0.9);
    loom_batch_close(&scratch);
    loom_workspace_close(&ws);
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
    close_bench(&b);
    free(path);
    free(deep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fixed, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_start, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_uniform, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_poisson, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_learns_a_step, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests_name("loops", tests, NULL, NULL);
}
