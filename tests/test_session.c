/* test_session.c - what a session reuses must not show in its logits; and what the sampler draws from them. */
#include "tiny_model.h"

#include "generate/sampler.h"
#include "generate/session.h"

enum { VOCAB = 11, LONG = 300 };

static struct loom_config grouped(void) {
    return tiny_looped(LOOM_ARCHITECTURE_OPENMYTHOS);
}

static struct loom_config latent(void) {
    return tiny_latent(LOOM_ARCHITECTURE_LOOM);
}

static struct loom_config gpt(void) {
    return tiny_gpt(true);
}

/* N-grams look back into the cache; normalised keys lie in it. */
static struct loom_config modern(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.halting = LOOM_HALTING_NONE;
    c.n_experts = 0;
    c.activation = LOOM_ACTIVATION_RELU2;
    c.injection = LOOM_INJECTION_ADD;
    c.qk_norm = 1.2;
    c.norm_gain = c.tied = false;
    c.softcap = 5;
    c.embed_skip = c.embed_shift = true;
    c.ngram = 4;
    c.ngram_rows = 7;
    return c;
}

/* One slot of the cache serves every loop. */
static struct loom_config remembering(void) {
    struct loom_config c = modern();
    c.loop_keys = LOOM_LOOP_KEYS_PRELUDE;
    c.loop_norm = true;
    return c;
}

/* Tokens take the loops that a gate gives them, and see three tokens at most. */
static struct loom_config gated(void) {
    struct loom_config c = modern();
    c.halting = LOOM_HALTING_GATE;
    c.gate_loops = 2;
    c.sliding_window = 3;
    return c;
}

static struct loom_config converging(void) {
    struct loom_config c = grouped();
    c.architecture = LOOM_ARCHITECTURE_LOOM;
    c.halting = LOOM_HALTING_CONVERGE;
    c.converge_threshold = 1.0;
    return c;
}

static struct loom_config (*const configs[])(void) = {grouped, latent, gpt, modern, remembering, gated, converging};
enum { CONFIGS = sizeof configs / sizeof configs[0] };

static struct loom_session *open_session(const struct loom_model *model, int loops) {
    struct loom_session *session;
    struct loom_error error;
    expect(loom_session_open(model, loops, &session, &error), LOOM_OK, &error, "");
    return session;
}

static const float *sync_tokens(struct loom_session *session, const int *tokens, size_t count) {
    const float *logits = NULL;
    struct loom_error error;
    expect(loom_session_sync(session, tokens, count, &logits, &error), LOOM_OK, &error, "");
    return logits;
}

/* The session's logits of a sequence against those of a session that has seen nothing else. */
static void check_sync(struct loom_session *session, int loops, const int *tokens, size_t count) {
    struct loom_session *fresh = open_session(session->model, loops);
    const float *want = sync_tokens(fresh, tokens, count), *got = sync_tokens(session, tokens, count);
    double distance = tiny_distance(got, want, VOCAB);
    if (!(distance <= 2e-6)) /* sums are cut elsewhere; five loops make more of it */
        fail_msg("%zu tokens: logits differ by %g from a fresh session's", count, distance);
    loom_session_free(fresh);
}

/* Longer, the same again, shorter, another ending, another beginning, and back. */
static void test_reuse(void **state) {
    static const int a[] = {1, 5, 0, 10, 3, 3, 7, 2, 9, 4, 6, 8}, b[] = {1, 5, 0, 2, 2, 2, 7}, c[] = {4, 5, 0, 10, 3};
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++)
        for (int loops = 0; loops <= (configs[i] == gpt ? 0 : 5); loops += 5) {
            struct loom_model model;
            struct loom_config config = configs[i]();
            tiny_model_open(&model, &config, 20 + i);
            struct loom_session *session = open_session(&model, loops);
            static const size_t lengths[] = {3, 4, 12, 12, 5, 1, 12};
            for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++)
                check_sync(session, loops, a, lengths[j]);
            check_sync(session, loops, b, 7);
            check_sync(session, loops, c, 5);
            check_sync(session, loops, a, 12);
            loom_session_free(session);
            loom_model_close(&model);
        }
}

/* A prompt longer than one pass of a session, against one pass over all of it. */
static void test_long_prompt(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct loom_model model;
        struct loom_workspace ws;
        struct loom_config config = configs[i]();
        int tokens[LONG];
        real want[VOCAB];
        config.max_seq_len = LONG;
        tiny_model_open(&model, &config, 30 + i);
        for (size_t t = 0; t < LONG; t++)
            tokens[t] = (int)loom_random_below((struct loom_random){i, LOOM_RANDOM_TEST}, t, VOCAB);
        struct loom_workspace_shape shape = {.batch = 1, .seq = LONG, .loops = config.max_loop_iters};
        struct loom_forward f = {
            .weights = model.weights, .ids = tokens, .batch = 1, .seq = LONG, .loops = config.max_loop_iters};
        assert_int_equal(loom_workspace_open(&ws, &model.net, model.k, &shape, NULL), LOOM_OK);
        loom_net_forward(&ws, &f);
        loom_net_logits(&ws, model.weights, want, ws.hidden + (LONG - 1) * (size_t)config.dim, 1);
        struct loom_session *session = open_session(&model, 0);
        const float *got = sync_tokens(session, tokens, LONG);
        assert_true(tiny_distance(got, want, VOCAB) <= 2e-6);
        loom_session_free(session);
        loom_workspace_close(&ws);
        loom_model_close(&model);
    }
}

/* The cache takes memory as the text grows, at least doubling, and never more than the context's; what it held stays.
 */
static void test_growth(void **state) {
    static const size_t lengths[] = {3, 63, 64, 65, 66, 128, 129, 140, 299, 300, 20};
    static const size_t rooms[] = {64, 64, 64, 128, 128, 128, 256, 256, 300, 300, 300};
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct loom_model model;
        struct loom_config config = configs[i]();
        int tokens[LONG];
        config.max_seq_len = LONG;
        tiny_model_open(&model, &config, 40 + i);
        for (size_t t = 0; t < LONG; t++)
            tokens[t] = (int)loom_random_below((struct loom_random){i, LOOM_RANDOM_TEST}, t, VOCAB);
        const int loops = configs[i] == gpt ? 0 : 2;
        struct loom_session *session = open_session(&model, loops);
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            check_sync(session, loops, tokens, lengths[j]);
            assert_int_equal(session->cache.capacity, rooms[j]);
        }
        loom_session_free(session);
        loom_model_close(&model);
    }
}

/* What a session reuses does not show with exits either; changing them forgets the past; a model without halting
 * refuses.
 */
static void test_session_exit(void **state) {
    static const int tokens[] = {1, 5, 0, 10, 3, 3, 7, 2, 9, 4, 6, 8}, other[] = {1, 5, 0, 2, 2, 2, 7};
    struct loom_error error;
    float all[VOCAB], left[VOCAB];
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct loom_model model;
        struct loom_config config = configs[i]();
        tiny_model_open(&model, &config, 50 + i);
        struct loom_session *session = open_session(&model, 0), *fresh = open_session(&model, 0);
        if (!loom_config_halts(&config)) {
            expect(loom_session_exit(session, true, &error), LOOM_INVALID, &error, "no halting");
        } else {
            memcpy(all, sync_tokens(session, tokens, 12), sizeof all);
            expect(loom_session_exit(session, true, &error), LOOM_OK, &error, "");
            expect(loom_session_exit(fresh, true, &error), LOOM_OK, &error, "");
            memcpy(left, sync_tokens(session, tokens, 12), sizeof left);
            assert_true(tiny_distance(left, all, VOCAB) > 1e-5);
            for (size_t count = 1; count <= 12; count++)
                sync_tokens(fresh, tokens, count);
            assert_true(tiny_distance(sync_tokens(fresh, tokens, 12), left, VOCAB) <= 1e-6);
            sync_tokens(session, other, 7);
            assert_true(tiny_distance(sync_tokens(session, tokens, 12), left, VOCAB) <= 1e-6);
            expect(loom_session_exit(session, false, &error), LOOM_OK, &error, "");
            assert_true(tiny_distance(sync_tokens(session, tokens, 12), all, VOCAB) <= 1e-6);
        }
        loom_session_free(session);
        loom_session_free(fresh);
        loom_model_close(&model);
    }
}

/* A model that chooses its loops may choose more than it was trained with; one that cannot choose refuses. */
static void test_chosen(void **state) {
    static const int tokens[] = {1, 5, 0, 10, 3, 3, 7, 2, 9, 4, 6, 8};
    struct loom_config config = gated(), fixed = modern();
    config.gate_loops = 6;
    struct loom_model model;
    struct loom_error error;
    float want[VOCAB];
    (void)state;
    tiny_model_open(&model, &config, 5);
    struct loom_session *six = open_session(&model, 6), *chosen = open_session(&model, LOOM_LOOPS_CHOSEN);
    expect(loom_session_exit(six, true, &error), LOOM_OK, &error, "");
    memcpy(want, sync_tokens(six, tokens, 12), sizeof want);
    assert_true(tiny_distance(sync_tokens(chosen, tokens, 12), want, VOCAB) <= 1e-9);
    loom_session_free(six);
    loom_session_free(chosen);
    loom_model_close(&model);
    tiny_model_open(&model, &fixed, 5);
    expect(loom_session_open(&model, LOOM_LOOPS_CHOSEN, &chosen, &error), LOOM_INVALID, &error, "no halting");
    loom_model_close(&model);
}

/* A refused sequence leaves the session as it was. */
static void test_refused(void **state) {
    static const int good[] = {1, 2, 3}, high[] = {1, 2, 11}, low[] = {-1, 2, 3}, many[13] = {0};
    struct loom_model model;
    struct loom_config config = grouped();
    struct loom_error error;
    const float *logits;
    (void)state;
    tiny_model_open(&model, &config, 1);
    struct loom_session *session = open_session(&model, 0);
    check_sync(session, 0, good, 3);
    expect(loom_session_sync(session, high, 3, &logits, &error), LOOM_INVALID, &error, "token 11 at position 2");
    expect(loom_session_sync(session, low, 3, &logits, &error), LOOM_INVALID, &error, "token -1 at position 0");
    expect(loom_session_sync(session, many, 13, &logits, &error), LOOM_INVALID, &error, "13 tokens");
    expect(loom_session_sync(session, many, 0, &logits, &error), LOOM_INVALID, &error, "0 tokens");
    check_sync(session, 0, good, 3);
    check_sync(session, 0, many, 12);
    loom_session_free(session);
    expect(loom_session_open(&model, -1, &session, &error), LOOM_INVALID, &error, "loops -1");
    assert_null(session);
    expect(loom_session_open(&model, 1000000, &session, &error), LOOM_INVALID, &error, "loops 1000000");
    loom_session_free(NULL);
    loom_model_close(&model);
    config = gpt();
    tiny_model_open(&model, &config, 1);
    expect(loom_session_open(&model, 2, &session, &error), LOOM_INVALID, &error, "no loop");
    loom_model_close(&model);
}

/* ---- the sampler ------------------------------------------------------------------------------------------------- */

enum { DRAWS = 20000, CHOICES = 6 };

static const float odds[CHOICES] = {0.5f, 2.0f, -1.0f, 1.0f, 2.5f, -3.0f};

static int draw(const struct loom_sampler *sampler, const float *logits, uint64_t position) {
    struct loom_error error;
    int token = -1;
    expect(loom_sampler_draw(sampler, logits, position, &token, &error), LOOM_OK, &error, "");
    return token;
}

/* Frequencies of many draws against the probabilities wanted: within five standard deviations, and exactly none where
 * none is wanted. */
static void check_frequencies(struct loom_sampler sampler, const double *wanted) {
    size_t counts[CHOICES] = {0};
    double sum = 0;
    sampler.vocab_size = CHOICES;
    assert_int_equal(loom_sampler_open(&sampler, NULL), LOOM_OK);
    for (uint64_t i = 0; i < DRAWS; i++)
        counts[draw(&sampler, odds, i)]++;
    for (size_t i = 0; i < CHOICES; i++)
        sum += wanted[i];
    for (size_t i = 0; i < CHOICES; i++) {
        double p = wanted[i] / sum, slack = 5 * sqrt(p * (1 - p) * DRAWS);
        if (fabs((double)counts[i] - p * DRAWS) > slack)
            fail_msg("token %zu: drawn %zu times, wanted about %g", i, counts[i], p * DRAWS);
    }
    loom_sampler_close(&sampler);
}

static void test_frequencies(void **state) {
    double wanted[CHOICES];
    (void)state;
    for (size_t i = 0; i < CHOICES; i++)
        wanted[i] = exp((double)odds[i]);
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = 1, .seed = 3}, wanted);
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = 1, .top_k = CHOICES + 9, .seed = 4}, wanted);
    for (size_t i = 0; i < CHOICES; i++)
        wanted[i] = exp((double)odds[i] / 0.4);
    check_frequencies((struct loom_sampler){.temperature = 0.4, .top_p = 1, .seed = 5}, wanted);
    for (size_t i = 0; i < CHOICES; i++)
        wanted[i] = exp((double)odds[i] / 9);
    check_frequencies((struct loom_sampler){.temperature = 9, .top_p = 1, .seed = 6}, wanted);
}

/* Of the sorted odds 4, 1, 3, 0, 2, 5 the first few remain. */
static void test_narrowing(void **state) {
    double three[CHOICES] = {0, exp(2.0), 0, exp(1.0), exp(2.5), 0}, one[CHOICES] = {0, 0, 0, 0, 1, 0};
    double all = 0;
    (void)state;
    for (size_t i = 0; i < CHOICES; i++)
        all += exp((double)odds[i]);
    double two_share = (exp(2.5) + exp(2.0)) / all;
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = 1, .top_k = 3, .seed = 1}, three);
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = 1, .top_k = 1, .seed = 1}, one);
    /* The smallest set whose share reaches top-p: two are just short of it. */
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = two_share + 1e-3, .seed = 2}, three);
    three[3] = 0;
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = two_share - 1e-3, .seed = 2}, three);
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = 1e-9, .seed = 2}, one);
    /* top-p after top-k: the share is of what top-k left. */
    three[1] = three[3] = 0;
    check_frequencies((struct loom_sampler){.temperature = 1, .top_p = 0.6, .top_k = 2, .seed = 2}, three);
    check_frequencies((struct loom_sampler){.temperature = 0, .top_p = 1, .seed = 2}, one);
}

/* A draw is a function of seed, position and logits. */
static void test_seeds(void **state) {
    struct loom_sampler a = {.temperature = 1, .top_p = 1, .seed = 1, .vocab_size = CHOICES}, b = a, c = a;
    size_t same = 0, repeats = 0;
    (void)state;
    c.seed = 2;
    assert_true(!loom_sampler_open(&a, NULL) && !loom_sampler_open(&b, NULL) && !loom_sampler_open(&c, NULL));
    for (uint64_t i = 0; i < 1000; i++) {
        int token = draw(&a, odds, i);
        assert_int_equal(token, draw(&b, odds, i));
        same += token == draw(&c, odds, i);
        repeats += token == draw(&a, odds, i + 1);
    }
    assert_true(same < 600 && repeats < 600);
    loom_sampler_close(&a);
    loom_sampler_close(&b);
    loom_sampler_close(&c);
}

/* Equal logits: the lowest id. What is not a finite number is never drawn. */
static void test_odd_logits(void **state) {
    const float nan = (float)NAN, inf = (float)INFINITY;
    const float ties[CHOICES] = {1, 7, 7, 0, 7, 2}, some[CHOICES] = {nan, -inf, 3, nan, -1e30f, nan};
    const float none[CHOICES] = {nan, -inf, nan, nan, nan, nan}, minus[CHOICES] = {-inf, -inf, -inf, -inf, -inf, -inf};
    struct loom_sampler greedy = {.temperature = 0, .top_p = 1, .vocab_size = CHOICES}, warm = greedy;
    struct loom_error error;
    int token;
    (void)state;
    warm.temperature = 1e-3;
    assert_true(!loom_sampler_open(&greedy, NULL) && !loom_sampler_open(&warm, NULL));
    assert_int_equal(draw(&greedy, ties, 0), 1);
    assert_int_equal(draw(&greedy, some, 0), 2);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(draw(&warm, some, i), 2);
    expect(loom_sampler_draw(&greedy, none, 5, &token, &error), LOOM_FAILED, &error, "position 5");
    expect(loom_sampler_draw(&warm, none, 6, &token, &error), LOOM_FAILED, &error, "position 6");
    expect(loom_sampler_draw(&warm, minus, 7, &token, &error), LOOM_FAILED, &error, "position 7");
    loom_sampler_close(&greedy);
    loom_sampler_close(&warm);
}

static void test_sampler_refused(void **state) {
    static const struct {
        struct loom_sampler sampler;
        const char *says;
    } bad[] = {
        {{.temperature = -1, .top_p = 1, .vocab_size = 2}, "temperature -1"},
        {{.temperature = (double)NAN, .top_p = 1, .vocab_size = 2}, "temperature"},
        {{.temperature = (double)INFINITY, .top_p = 1, .vocab_size = 2}, "temperature"},
        {{.temperature = 1, .top_k = -1, .top_p = 1, .vocab_size = 2}, "top-k -1"},
        {{.temperature = 1, .top_p = 0, .vocab_size = 2}, "top-p 0"},
        {{.temperature = 1, .top_p = 1.5, .vocab_size = 2}, "top-p 1.5"},
        {{.temperature = 1, .top_p = (double)NAN, .vocab_size = 2}, "top-p"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct loom_sampler sampler = bad[i].sampler;
        struct loom_error error;
        expect(loom_sampler_open(&sampler, &error), LOOM_INVALID, &error, bad[i].says);
    }
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

struct heard {
    char text[256];
    size_t size;
    volatile sig_atomic_t stop;
    size_t stop_after;
};

static void hear(void *user, int token, const char *bytes, size_t size) {
    struct heard *heard = user;
    assert_true(loom_utf8_check(bytes, size, NULL)); /* though a byte model writes any bytes */
    if (token < 0)
        return;
    assert_true(heard->size < sizeof heard->text);
    heard->text[heard->size++] = (char)token; /* of a byte tokenizer */
    heard->stop = heard->size == heard->stop_after;
}

static void open_byte_model(struct loom_model *model) {
    struct loom_config config = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    config.vocab_size = 256;
    config.max_seq_len = 16;
    tiny_model_open(model, &config, 8);
}

static struct loom_generate_result generate(const struct loom_model *model, struct loom_generate_options options,
                                            struct heard *heard) {
    struct loom_generate_result result;
    struct loom_error error;
    *heard = (struct heard){.stop_after = heard->stop_after};
    options.on_token = hear;
    options.user = heard;
    options.stop = &heard->stop;
    expect(loom_generate(model, &options, &result, &error), heard->stop_after ? LOOM_STOPPED : LOOM_OK, &error,
           "stopped");
    assert_int_equal(result.completion_tokens, heard->size);
    return result;
}

/* Greedy text is the argmax of each next logits; it goes on beyond the context. */
static void test_greedy_text(void **state) {
    struct loom_model model;
    struct heard heard = {.stop_after = 0};
    (void)state;
    open_byte_model(&model);
    struct loom_generate_options options = {
        .prompt = "ab\0c", .prompt_size = 4, .max_tokens = 40, .has_temperature = true};
    struct loom_generate_result result = generate(&model, options, &heard);
    assert_int_equal(result.prompt_tokens, 4);
    assert_int_equal(heard.size, 40);
    int tokens[64] = {'a', 'b', 0, 'c'};
    struct loom_session *session = open_session(&model, 0);
    for (size_t count = 4; count < 16; count++) {
        const float *logits = sync_tokens(session, tokens, count);
        int best = 0;
        for (int i = 1; i < 256; i++)
            best = logits[i] > logits[best] ? i : best;
        tokens[count] = best;
        assert_int_equal((unsigned char)heard.text[count - 4], best);
    }
    loom_session_free(session);
    loom_model_close(&model);
}

static void test_text(void **state) {
    struct loom_model model;
    struct heard one = {.stop_after = 0}, two = one, stopped = {.stop_after = 7};
    (void)state;
    open_byte_model(&model);
    struct loom_generate_options options = {.prompt = "hello", .max_tokens = 50, .seed = 5, .top_k = 50};
    generate(&model, options, &one);
    generate(&model, options, &two);
    assert_memory_equal(one.text, two.text, 50);
    generate(&model, options, &stopped);
    assert_int_equal(stopped.size, 7);
    assert_memory_equal(one.text, stopped.text, 7);
    options.seed = 6;
    generate(&model, options, &two);
    assert_memory_not_equal(one.text, two.text, 50);
    /* A prompt that no context holds, and none. */
    options.prompt = "a prompt of many more bytes than sixteen";
    assert_int_equal(generate(&model, options, &two).prompt_tokens, strlen(options.prompt));
    options.prompt = NULL;
    assert_int_equal(generate(&model, options, &one).prompt_tokens, 1);
    options.prompt = "\n";
    generate(&model, options, &two);
    assert_memory_equal(one.text, two.text, 50);
    loom_model_close(&model);
}

static void test_text_refused(void **state) {
    struct loom_model model;
    struct loom_generate_result result;
    struct loom_error error;
    (void)state;
    open_byte_model(&model);
    struct loom_generate_options options = {.max_tokens = -1};
    expect(loom_generate(&model, &options, &result, &error), LOOM_INVALID, &error, "max-tokens -1");
    options = (struct loom_generate_options){.temperature = -2, .has_temperature = true};
    expect(loom_generate(&model, &options, &result, &error), LOOM_INVALID, &error, "temperature -2");
    options = (struct loom_generate_options){.loops = -3};
    expect(loom_generate(&model, &options, &result, &error), LOOM_INVALID, &error, "loops -3");
    options = (struct loom_generate_options){.top_p = -0.5};
    expect(loom_generate(&model, &options, &result, &error), LOOM_INVALID, &error, "top-p -0.5");
    loom_tokenizer_free(model.tokenizer);
    model.tokenizer = NULL;
    options = (struct loom_generate_options){.prompt = "a"};
    expect(loom_generate(&model, &options, &result, &error), LOOM_FAILED, &error, "tokenizer.json");
    loom_model_close(&model);
}

/* Weights that are not finite end in a sentence and not in a token. */
static void test_broken_weights(void **state) {
    struct loom_model model;
    struct loom_generate_result result;
    struct loom_error error;
    (void)state;
    open_byte_model(&model);
    for (size_t i = 0; i < model.net.tensors.elements; i++)
        model.weights[i] = (real)NAN;
    struct loom_generate_options options = {.prompt = "a", .max_tokens = 3};
    expect(loom_generate(&model, &options, &result, &error), LOOM_FAILED, &error, "finite");
    assert_int_equal(result.completion_tokens, 0);
    loom_model_close(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_long_prompt),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_session_exit),
        cmocka_unit_test(test_chosen),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_narrowing),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_odd_logits),
        cmocka_unit_test(test_sampler_refused),
        cmocka_unit_test(test_greedy_text),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_refused),
        cmocka_unit_test(test_broken_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
