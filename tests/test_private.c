/* test_private.c - a private step's gradient against per-example gradients computed one by one another way:
 * in a batch of two whose other row predicts nothing, so that weights used in every loop, experts, norms and the shared
 * embedding are all in the norm that is clipped. Then sampling and noise. */
#include "data/chat/chat_set.h"
#include "scratch.h"
#include "tiny.h"
#include "train/private_step.h"
#include "train/trainer.h"

enum { EXAMPLES = 12, SEQ = 48 };

struct bench {
    struct loom_tokenizer *tokenizer;
    struct loom_chat_set chat;
    struct loom_setup setup;
    struct loom_trainer trainer;
};

static void set(struct loom_setup *setup, const char *key, const char *value) {
    struct loom_error error;
    if (loom_setup_set(setup, key, value, &error))
        fail_msg("%s", error.text);
}

static void open_bench(struct bench *b, void *folder, const char *clip, const char *noise, const char *rank,
                       const char *batch) {
    struct loom_text rows = {0};
    struct loom_error error;
    for (int i = 0; i < EXAMPLES; i++)
        loom_text_append(&rows, "{\"prompt\":\"q%.*s\",\"completion\":\"A%02d\"}\n", i % 7, "abcdefgh", i);
    char *path = scratch_write(folder, "rows.jsonl", rows.data, rows.size);
    const char *const paths[] = {path};
    assert_int_equal(loom_tokenizer_byte(&b->tokenizer, &error), LOOM_OK);
    expect(loom_chat_set_open(&b->chat, paths, 1, b->tokenizer, SEQ, 0.1, &error), LOOM_OK, &error, "");
    assert_int_equal(loom_setup_preset(&b->setup, "finetune", &error), LOOM_OK);
    b->setup.config = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    b->setup.config.vocab_size = 256;
    b->setup.config.max_seq_len = SEQ;
    set(&b->setup, "dp_clip", clip);
    set(&b->setup, "dp_noise", noise);
    set(&b->setup, "adapter_rank", rank);
    set(&b->setup, "batch_size", batch);
    set(&b->setup, "precision", "float32");
    const struct loom_training_data data = {.chat = &b->chat, .tokenizer = b->tokenizer};
    expect(loom_setup_check(&b->setup, &error), LOOM_OK, &error, "");
    expect(loom_trainer_open(&b->trainer, &b->setup, &data, 1, &error), LOOM_OK, &error, "");
    tiny_fill(&b->trainer.model.net.tensors, b->trainer.model.weights, 5);
    loom_trainer_adapt(&b->trainer, true);
    if (b->trainer.factors) {
        tiny_fill(&b->trainer.lora.factors, b->trainer.factors, 6);
        loom_trainer_adapt(&b->trainer, false);
    }
    loom_text_free(&rows);
    free(path);
}

static void close_bench(struct bench *b) {
    loom_trainer_close(&b->trainer);
    loom_chat_set_close(&b->chat);
    loom_tokenizer_free(b->tokenizer);
}

/* dfactors = those of the adapters, by the definition: dA = s B^T dW, dB = s dW A^T. */
static void factor_gradients(const struct loom_trainer *t, real *dfactors, const real *dweights) {
    double scale = t->lora.alpha / (double)t->lora.rank;
    for (size_t i = 0; i < t->lora.n_sites; i++) {
        const struct loom_lora_site *s = &t->lora.sites[i];
        for (size_t o = 0; o < s->n_out; o++)
            for (size_t j = 0; j < s->n_in; j++)
                for (size_t r = 0; r < t->lora.rank; r++) {
                    const real d = (real)scale * dweights[s->weight + o * s->n_in + j];
                    dfactors[s->a + r * s->n_in + j] += d * t->factors[s->b + o * t->lora.rank + r];
                    dfactors[s->b + o * t->lora.rank + r] += d * t->factors[s->a + r * s->n_in + j];
                }
    }
}

/* The sum of the clipped gradients of all training examples, each from a pass of its own through all three loops, into
 * `sum`; returns how many were clipped. */
static size_t one_by_one(struct bench *b, double clip, real *sum) {
    struct loom_trainer *t = &b->trainer;
    const struct loom_tensors *table = loom_trainer_table(t);
    size_t weights = t->model.net.tensors.elements, clipped = 0;
    real *whole = test_calloc(weights, sizeof(real)), *factors = test_calloc(table->elements, sizeof(real));
    for (size_t e = 0; e < b->chat.count - b->chat.n_val; e++) {
        loom_chat_set_example(&b->chat, (e + 1) % 3, &t->batch, 0);
        loom_chat_set_example(&b->chat, e, &t->batch, 1);
        double count = 0, square = 0;
        for (size_t i = 0; i < SEQ; i++) {
            t->batch.targets[i] = -1;
            count += t->batch.targets[SEQ + i] >= 0;
        }
        memset(whole, 0, weights * sizeof(real));
        memset(factors, 0, table->elements * sizeof(real));
        struct loom_objective o = {.forward = {.weights = t->model.weights,
                                               .ids = t->batch.inputs,
                                               .first = t->batch.first,
                                               .batch = 2,
                                               .seq = SEQ,
                                               .loops = 3,
                                               .keep = true},
                                   .targets = t->batch.targets,
                                   .scale = (real)(1 / count),
                                   .gradients = whole};
        loom_objective_run(&t->ws, &t->buffers, &o);
        if (t->factors)
            factor_gradients(t, factors, whole);
        const real *g = t->factors ? factors : whole;
        for (size_t i = 0; i < table->elements; i++)
            square += (double)g[i] * (double)g[i];
        clipped += sqrt(square) > clip;
        for (size_t i = 0; i < table->elements; i++)
            sum[i] += (real)((double)g[i] * fmin(1, clip / sqrt(square)));
    }
    test_free(whole);
    test_free(factors);
    return clipped;
}

static void check(void *folder, const char *clip, const char *rank, bool all_clipped) {
    struct bench b;
    double loss, factor;
    open_bench(&b, folder, clip, "1e-12", rank, "11"); /* all 11 training examples are expected: rate 1 */
    size_t n = loom_trainer_table(&b.trainer)->elements;
    real *sum = test_calloc(n, sizeof(real));
    assert_int_equal(loom_private_gradient(&b.trainer, &loss, &factor, NULL), LOOM_OK);
    size_t clipped = one_by_one(&b, strtod(clip, NULL), sum);
    assert_int_equal(clipped, all_clipped ? 11 : 0);
    assert_true(tiny_distance(b.trainer.gradients, sum, n) < 1e-5);
    assert_true(fabs(factor - 1.0 / 11) < 1e-12);
    assert_true(isfinite(loss));
    test_free(sum);
    close_bench(&b);
}

static void test_clipping_equals_gradients_one_by_one_over_loops(void **state) {
    check(*state, "0.01", "0", true);
    check(*state, "1e6", "0", false);
    check(*state, "0.01", "3", true); /* adapters: their factors' norm is clipped, no other */
    check(*state, "1e6", "3", false);
}

/* With a clip near zero only noise is left: its size, and another draw in another step. */
static void test_noise(void **state) {
    struct bench b;
    double loss, factor, square = 0;
    open_bench(&b, *state, "1e-9", "2.5", "0", "4");
    size_t n = loom_trainer_table(&b.trainer)->elements;
    assert_int_equal(loom_private_gradient(&b.trainer, &loss, &factor, NULL), LOOM_OK);
    real *first = test_calloc(n, sizeof(real));
    memcpy(first, b.trainer.gradients, n * sizeof(real));
    for (size_t i = 0; i < n; i++)
        square += (double)first[i] * (double)first[i];
    double deviation = sqrt(square / (double)n) / 1e-9;
    assert_true(fabs(deviation - 2.5) < 0.1);
    b.trainer.progress.step++;
    assert_int_equal(loom_private_gradient(&b.trainer, &loss, &factor, NULL), LOOM_OK);
    assert_true(tiny_distance(b.trainer.gradients, first, n) > 1);
    test_free(first);
    close_bench(&b);
}

static void test_plan(void **state) {
    struct bench b;
    struct loom_error error;
    open_bench(&b, *state, "1", "1", "0", "4");
    struct loom_setup setup = b.setup;
    setup.recipe.dp_noise = 0;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "needs dp_noise, or dp_epsilon");
    setup.recipe.dp_noise = 1e-9; /* no accountant would come to an end */
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "must be at least 0.01");
    setup.recipe.dp_noise = 0;
    setup.recipe.dp_epsilon = 8;
    setup.recipe.max_iters = 50;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_OK, &error, "");
    assert_true(setup.recipe.dp_noise > 0.5);
    expect(loom_private_plan(&setup, NULL, &error), LOOM_INVALID, &error, "needs conversations");
    setup.recipe.router_bias_rate = 0.1;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "router_bias_rate 0.1");
    setup.recipe.router_bias_rate = 0;
    setup.recipe.router_sequence_loss = 0.01;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error,
           "router_sequence_loss 0.01 has no part in a private training");
    setup.recipe.router_sequence_loss = 0;
    setup.recipe.router_z_loss = 0.001;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "router_z_loss 0.001 has no part");
    setup.recipe.router_z_loss = 0;
    setup.recipe.loop_sampling = LOOM_SAMPLING_POISSON;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "loop_sampling=poisson has no part");
    setup.recipe.loop_sampling = LOOM_SAMPLING_FIXED;
    setup.recipe.batch_size = 12;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "more than the 11 examples");
    setup.recipe.batch_size = 4;
    setup.recipe.max_iters = 5000; /* with the noise that was found for 50 */
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "5000 steps with noise");
    setup.recipe.max_iters = 50;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_OK, &error, "");
    setup.config.halting = LOOM_HALTING_GATE;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "halting=gate");
    setup.config.halting = LOOM_HALTING_NONE;
    setup.recipe.dp_clip = 0;
    expect(loom_private_plan(&setup, &b.chat, &error), LOOM_INVALID, &error, "need dp_clip");
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_clipping_equals_gradients_one_by_one_over_loops, scratch_create,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(test_noise, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_plan, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests_name("private steps", tests, NULL, NULL);
}
