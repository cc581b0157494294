/* test_model.c - the network against its equations (oracle.h), and against itself: with a cache and without, on one
 * machine and another, with one thread and more, as measured dry and as run. */
#include "oracle.h"

#include "train/objective.h"

enum { BATCH = 2, SEQ = 9, ROWS = BATCH * SEQ, VOCAB = 11, LOGITS = ROWS * VOCAB };

static struct loom_config mythos_grouped(void) {
    return tiny_looped(LOOM_ARCHITECTURE_OPENMYTHOS);
}

static struct loom_config mythos_latent(void) {
    struct loom_config c = tiny_latent(LOOM_ARCHITECTURE_OPENMYTHOS);
    c.n_shared_experts = 2;
    c.n_experts_per_tok = 1;
    return c;
}

static struct loom_config loom_layers(void) {
    struct loom_config c = tiny_latent(LOOM_ARCHITECTURE_LOOM);
    c.core_layers = 2;
    c.n_shared_experts = 0;
    c.prelude_layers = 2;
    c.coda_layers = 0;
    return c;
}

static struct loom_config loom_unhalted(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.halting = LOOM_HALTING_NONE;
    c.n_kv_heads = 1;
    c.dim = 24; /* a loop index of three channels: two sines, one cosine */
    c.expert_dim = 5;
    return c;
}

static struct loom_config gpt_bias(void) {
    return tiny_gpt(true);
}

static struct loom_config gpt_plain(void) {
    return tiny_gpt(false);
}

/* Which loop is a token's last its embedding tells. */
static struct loom_config loom_gated(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.halting = LOOM_HALTING_GATE;
    c.gate_loops = 7;
    c.core_layers = 2;
    return c;
}

/* States that come to rest, some sooner than others. */
static struct loom_config loom_converging(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.halting = LOOM_HALTING_CONVERGE;
    c.converge_threshold = 0.3;
    c.sure_threshold = 0;
    return c;
}

/* Tokens whose next one is clear leave, some after their first loop. */
static struct loom_config loom_sure(void) {
    struct loom_config c = loom_converging();
    c.converge_threshold = 0;
    c.sure_threshold = 1.9;
    return c;
}

static struct loom_config loom_window(void) {
    struct loom_config c = loom_unhalted();
    c.sliding_window = 3;
    return c;
}

/* The first of them have an oracle. */
static struct loom_config (*const configs[])(void) = {mythos_grouped, mythos_latent, loom_layers, loom_unhalted,
                                                      gpt_bias,       gpt_plain,     loom_gated,  loom_converging,
                                                      loom_sure,      loom_window};
enum { ALL_CONFIGS = sizeof configs / sizeof configs[0], CONFIGS = 6 };

static void open_config(struct tiny *m, size_t i, const struct loom_kernels *k) {
    struct loom_config config = configs[i]();
    tiny_open(m, &config, k, 3 + i, BATCH, SEQ);
}

static void open_workspace(struct loom_workspace *ws, const struct tiny *m, size_t seq, size_t capacity, int loops,
                           bool keep) {
    struct loom_error error;
    struct loom_workspace_shape shape = {
        .batch = m->batch, .seq = seq, .capacity = capacity, .loops = loops, .keep = keep};
    assert_int_equal(loom_workspace_open(ws, &m->net, m->k, &shape, &error), LOOM_OK);
    memset(ws->stack.base, 0xFF, ws->stack.size); /* NaN to who reads before writing */
}

static struct loom_forward forward_of(const struct tiny *m, int loops) {
    return (struct loom_forward){
        .weights = m->weights, .ids = m->ids, .batch = m->batch, .seq = m->seq, .loops = loops, .count_loads = true};
}

/* logits (B,T,V) of a pass; the workspace stays open for what the pass left in it. */
static void run(struct loom_workspace *ws, const struct tiny *m, const struct loom_forward *f, real *logits) {
    size_t rows = f->batch * f->seq;
    loom_net_forward(ws, f);
    real *out = loom_workspace_logits(ws, rows);
    loom_net_logits(ws, m->weights, out, ws->hidden, rows);
    memcpy(logits, out, rows * (size_t)m->net.config.vocab_size * sizeof *logits);
}

static void full_logits(const struct tiny *m, int loops, real *logits) {
    struct loom_workspace ws;
    struct loom_forward f = forward_of(m, loops);
    open_workspace(&ws, m, m->seq, 0, loops, false);
    run(&ws, m, &f, logits);
    loom_workspace_close(&ws);
}

static void assert_near(const real *a, const real *b, size_t n, double tolerance, const char *what, size_t config) {
    double distance = tiny_distance(a, b, n);
    if (!(distance <= tolerance))
        fail_msg("config %zu: %s differ by %g", config, what, distance);
}

static void assert_same(const real *a, const real *b, size_t n, const char *what, size_t config) {
    if (memcmp(a, b, n * sizeof *a) != 0)
        fail_msg("config %zu: %s differ by %g, wanted the same bits", config, what, tiny_distance(a, b, n));
}

/* ---- the equations ----------------------------------------------------------------------------------------------- */

/* Loops fewer, as many and more than trained; and which tokens run them. */
static void test_equations(void **state) {
    (void)state;
    real want[LOGITS], got[LOGITS];
    for (size_t i = 0; i < CONFIGS; i++)
        for (int loops = 1; loops <= 5; loops += 2) {
            struct tiny m;
            struct loom_workspace ws;
            size_t running[ORACLE_LOOPS];
            open_config(&m, i, loom_kernels_ref());
            struct loom_forward f = forward_of(&m, loops);
            open_workspace(&ws, &m, SEQ, 0, loops, false);
            run(&ws, &m, &f, got);
            oracle_logits(&m, loops, want, running);
            assert_near(got, want, LOGITS, 2e-6, "logits", i);
            for (int t = 0; ws.loads.running && t < loops; t++)
                assert_int_equal(ws.loads.running[t], running[t]);
            loom_workspace_close(&ws);
            tiny_close(&m);
        }
}

/* The tokens of one sequence do not see another's, nor those that come later. */
static void test_causality(void **state) {
    (void)state;
    real before[LOGITS], after[LOGITS];
    for (size_t i = 0; i < CONFIGS; i++) {
        struct tiny m;
        const size_t changed = SEQ + 4; /* the second sequence's fifth token */
        open_config(&m, i, loom_kernels_ref());
        full_logits(&m, m.loops, before);
        m.ids[changed] = (m.ids[changed] + 1) % VOCAB;
        full_logits(&m, m.loops, after);
        assert_same(after, before, changed * VOCAB, "logits before a changed token", i);
        for (size_t r = changed; r < ROWS; r++)
            assert_true(tiny_distance(after + r * VOCAB, before + r * VOCAB, VOCAB) > 1e-4);
        tiny_close(&m);
    }
}

/* A pass that keeps its activations for a backward gives the same bits as one that does not. */
static void test_keeping(void **state) {
    (void)state;
    real plain[LOGITS], kept[LOGITS];
    for (size_t i = 0; i < CONFIGS; i++) {
        struct tiny m;
        struct loom_workspace ws;
        open_config(&m, i, loom_kernels_ref());
        full_logits(&m, 4, plain);
        open_workspace(&ws, &m, SEQ, 0, 4, true);
        struct loom_forward f = forward_of(&m, 4);
        run(&ws, &m, &f, kept);
        assert_same(kept, plain, LOGITS, "logits", i);
        f.keep = true;
        run(&ws, &m, &f, kept);
        assert_same(kept, plain, LOGITS, "kept logits", i);
        loom_workspace_close(&ws);
        tiny_close(&m);
    }
}

/* ---- the cache --------------------------------------------------------------------------------------------------- */

/* Feeds the batch in pieces of the given sizes, which sum to SEQ; returns the mean of a token's loops. */
static double cached_logits(const struct tiny *m, int loops, bool exit, const size_t *pieces, real *logits) {
    struct loom_workspace ws;
    struct loom_cache cache;
    int ids[ROWS];
    real part[LOGITS];
    open_workspace(&ws, m, SEQ, SEQ + 2, loops, false);
    assert_int_equal(loom_cache_open(&cache, m->k, &m->net.config, loops, BATCH, SEQ + 2, NULL), LOOM_OK);
    for (size_t first = 0; first < SEQ; first += *pieces++) {
        size_t count = *pieces;
        struct loom_forward f = forward_of(m, loops);
        for (size_t b = 0; b < BATCH; b++)
            memcpy(ids + b * count, m->ids + b * SEQ + first, count * sizeof *ids);
        f.ids = ids;
        f.seq = count;
        f.cache = &cache;
        f.exit = exit;
        run(&ws, m, &f, part);
        for (size_t b = 0; b < BATCH; b++)
            memcpy(logits + (b * SEQ + first) * VOCAB, part + b * count * VOCAB, count * VOCAB * sizeof *logits);
    }
    assert_int_equal(cache.length, SEQ);
    double mean = loom_loads_mean_loops(&ws.loads);
    loom_cache_close(&cache);
    loom_workspace_close(&ws);
    return mean;
}

static void test_cache(void **state) {
    (void)state;
    static const size_t pieces[][SEQ] = {{9}, {4, 5}, {3, 1, 5}, {1, 7, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}};
    struct loom_kernels *cpu = loom_kernels_cpu_open(2);
    assert_non_null(cpu);
    real want[LOGITS], got[LOGITS];
    for (size_t i = 0; i < ALL_CONFIGS; i++)
        for (int loops = 2; loops <= 6; loops += 2) {
            struct tiny m;
            open_config(&m, i, loops == 4 ? cpu : loom_kernels_ref());
            full_logits(&m, loops, want);
            for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
                cached_logits(&m, loops, false, pieces[j], got);
                assert_near(got, want, LOGITS, 2e-6, "cached logits", i);
            }
            tiny_close(&m);
        }
    loom_kernels_cpu_close(cpu);
}

/* Tokens that all halt in the first loop end a pass without a cache; with one all loops run, and nothing changes. */
static void test_early_stop(void **state) {
    (void)state;
    static const size_t whole[] = {SEQ};
    real stopped[LOGITS], ran[LOGITS];
    for (size_t i = 0; i < 3; i++) {
        struct tiny m;
        struct loom_workspace ws;
        open_config(&m, i, loom_kernels_ref());
        tiny_set(&m, "recurrent.act.halt.bias", 30);
        struct loom_forward f = forward_of(&m, 4);
        open_workspace(&ws, &m, SEQ, 0, 4, false);
        run(&ws, &m, &f, stopped);
        assert_int_equal(ws.core.run, 1);
        assert_true(loom_loads_mean_loops(&ws.loads) == 1);
        cached_logits(&m, 4, false, whole, ran);
        assert_same(ran, stopped, LOGITS, "logits of all loops", i);
        loom_workspace_close(&ws);
        tiny_close(&m);
    }
}

/* Makes every token run every loop. */
static void never_halt(struct tiny *m) {
    m->net.config.act_threshold = 1e6;
    m->net.config.converge_threshold = m->net.config.sure_threshold = 0;
    if (m->net.config.halting != LOOM_HALTING_GATE)
        return;
    tiny_set(m, "recurrent.gate.weight", 0);
    tiny_tensor(m, m->weights, "recurrent.gate.bias")[m->net.config.gate_loops - 1] = 9;
}

/* With exits a halted token's last keys and values stand for it in later loops, whether its pass goes on for others or
 * ends with it: all tokens at once, and one by one, give the same logits. Without a token that halts early nothing
 * changes, and with some a little does. */
static void test_exit(void **state) {
    (void)state;
    static const size_t pieces[][SEQ] = {{9}, {4, 5}, {1, 7, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}};
    real all[LOGITS], want[LOGITS], got[LOGITS];
    for (size_t i = 0; i < ALL_CONFIGS; i++) {
        struct tiny m;
        open_config(&m, i, loom_kernels_ref());
        if (!loom_config_halts(&m.net.config)) {
            tiny_close(&m);
            continue;
        }
        cached_logits(&m, 5, false, pieces[0], all);
        double mean = cached_logits(&m, 5, true, pieces[0], want);
        assert_true(mean > 1 && mean < 5);
        double change = tiny_distance(want, all, LOGITS);
        assert_true(change > 1e-4 && change < 1);
        for (size_t j = 1; j < sizeof pieces / sizeof pieces[0]; j++) {
            double again = cached_logits(&m, 5, true, pieces[j], got);
            assert_near(got, want, LOGITS, 2e-6, "logits with exits", i);
            assert_true(fabs(again - mean) < 1e-9);
        }
        never_halt(&m);
        cached_logits(&m, 5, false, pieces[0], all);
        assert_true(cached_logits(&m, 5, true, pieces[3], got) >= 5);
        assert_near(got, all, LOGITS, 2e-6, "logits without an exit", i);
        tiny_close(&m);
    }
}

static double entropy_of(const real *logits) {
    double sum = 0, entropy = 0;
    for (size_t v = 0; v < VOCAB; v++)
        sum += exp((double)logits[v]);
    for (size_t v = 0; v < VOCAB; v++)
        entropy -= exp((double)logits[v]) / sum * ((double)logits[v] - log(sum));
    return entropy;
}

/* Loops that the first token of each sequence takes, which sees no other. */
static void first_depths(const struct tiny *m, int loops, int depths[BATCH]) {
    struct loom_workspace ws;
    struct loom_cache cache;
    real logits[LOGITS];
    open_workspace(&ws, m, SEQ, SEQ, loops, false);
    assert_int_equal(loom_cache_open(&cache, m->k, &m->net.config, loops, BATCH, SEQ, NULL), LOOM_OK);
    struct loom_forward f = forward_of(m, loops);
    f.cache = &cache;
    f.exit = true;
    run(&ws, m, &f, logits);
    for (size_t b = 0; b < BATCH; b++)
        depths[b] = ws.exits.depth[b * SEQ];
    loom_cache_close(&cache);
    loom_workspace_close(&ws);
}

/* A token leaves behind the first loop, the very first too, whose read-out's entropy is below the threshold. */
static void test_sure(void **state) {
    (void)state;
    enum { LOOPS = 5 };
    struct loom_config config = loom_sure();
    struct tiny m;
    real logits[LOOPS][LOGITS];
    int depths[BATCH], seen = 0;
    config.coda_layers = 0;
    tiny_open(&m, &config, loom_kernels_ref(), 4, BATCH, SEQ);
    for (int t = 0; t < LOOPS; t++)
        full_logits(&m, t + 1, logits[t]);
    for (int t = 0; t < LOOPS; t++)
        for (size_t b = 0; b < BATCH; b++) {
            size_t place = b * SEQ * VOCAB;
            int want = 1;
            m.net.config.sure_threshold = entropy_of(logits[t] + place) * (1 + 1e-5);
            while (want < LOOPS && !(entropy_of(logits[want - 1] + place) < m.net.config.sure_threshold))
                want++;
            first_depths(&m, LOOPS, depths);
            assert_int_equal(depths[b], want);
            seen |= 1 << want;
        }
    assert_true((seen & 1 << 1) && (seen & (1 << 2 | 1 << 3 | 1 << 4 | 1 << 5)));
    tiny_close(&m);
}

/* Where loops read the prelude's keys, exits change nothing but the work. */
static void test_exit_of_remembered(void **state) {
    (void)state;
    static const size_t pieces[][SEQ] = {{9}, {3, 6}, {1, 1, 1, 1, 1, 1, 1, 1, 1}};
    struct loom_config config = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    struct tiny m;
    real all[LOGITS], got[LOGITS];
    config.loop_keys = LOOM_LOOP_KEYS_PRELUDE;
    tiny_open(&m, &config, loom_kernels_ref(), 3, BATCH, SEQ);
    cached_logits(&m, 5, false, pieces[0], all);
    for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
        double mean = cached_logits(&m, 5, true, pieces[j], got);
        assert_true(mean > 1 && mean < 5);
        assert_near(got, all, LOGITS, 2e-6, "logits with exits", 0);
    }
    tiny_close(&m);
}

/* A window hides what lies before it: a token at its far end changes nothing beyond, layer by layer. */
static void test_window(void **state) {
    (void)state;
    enum { WINDOW = 3, LAYERS = 2 + 2 /* prelude, coda, two loops */, REACH = LAYERS * (WINDOW - 1) };
    struct loom_config config = loom_window();
    struct tiny m;
    real want[LOGITS], got[LOGITS];
    tiny_open(&m, &config, loom_kernels_ref(), 3, BATCH, SEQ);
    full_logits(&m, 2, want);
    m.ids[0] = (m.ids[0] + 1) % VOCAB;
    full_logits(&m, 2, got);
    for (size_t i = 0; i < SEQ; i++) {
        double change = tiny_distance(got + i * VOCAB, want + i * VOCAB, VOCAB);
        assert_true(i > REACH ? !(change > 0) : change > 0);
    }
    tiny_close(&m);
}

/* ---- n-grams ----------------------------------------------------------------------------------------------------- */

/* The house recipe's n-grams, which look back, too. */
static struct loom_config loom_ngrams(void) {
    struct loom_config c = loom_unhalted();
    c.ngram = 3;
    c.ngram_rows = 5;
    return c;
}

enum { MANY = 50, MANY_LOGITS = MANY * SEQ * VOCAB };

/* Logits of MANY rows, or of their tokens one by one, of a pass that keeps for a backward or not. */
static void logits_of_many(const struct tiny *m, bool keep, bool apart, real *logits) {
    struct loom_workspace ws;
    struct loom_forward f = forward_of(m, 1);
    f.keep = keep;
    f.dropout_seed = 21;
    if (apart) {
        f.batch = m->batch * m->seq;
        f.seq = 1;
    }
    struct loom_workspace_shape shape = {.batch = f.batch, .seq = f.seq, .loops = 1, .keep = keep};
    assert_int_equal(loom_workspace_open(&ws, &m->net, m->k, &shape, NULL), LOOM_OK);
    run(&ws, m, &f, logits);
    loom_workspace_close(&ws);
}

/* Tokens that attend to themselves alone know those before them by their pair: a training pass hides about as many
 * pairs as it says, which are then as if their sequence began there, and any other pass hides none. */
static void test_hidden_ngrams(void **state) {
    (void)state;
    static real shown[MANY_LOGITS], apart[MANY_LOGITS], trained[MANY_LOGITS], asked[MANY_LOGITS];
    struct loom_config config = loom_ngrams();
    struct tiny m;
    size_t hidden = 0;
    config.ngram = 2;
    config.sliding_window = 1;
    config.ngram_dropout = 0;
    tiny_open(&m, &config, loom_kernels_ref(), 3, MANY, SEQ);
    logits_of_many(&m, true, false, shown);
    logits_of_many(&m, false, true, apart);
    m.net.config.ngram_dropout = 0.25;
    logits_of_many(&m, true, false, trained);
    logits_of_many(&m, false, false, asked);
    assert_near(asked, shown, MANY_LOGITS, 1e-6, "logits of a pass that is no training", 0);
    for (size_t i = 0; i < MANY_LOGITS; i += VOCAB) {
        bool as_apart = tiny_distance(trained + i, apart + i, VOCAB) <= 1e-6;
        assert_true(as_apart || tiny_distance(trained + i, shown + i, VOCAB) <= 1e-6);
        hidden += as_apart && tiny_distance(shown + i, apart + i, VOCAB) > 1e-6;
    }
    assert_in_range(hidden, 50, 125); /* 0.25 of 400, less the pairs whose hash is that of their token alone: 80 */
    tiny_close(&m);
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

/* Where each token's document begins, in rows of SEQ tokens: two documents, then three, one of a single token. */
static const int documents[ROWS] = {0, 0, 0, 0, 4, 4, 4, 4, 4, 0, 0, 2, 3, 3, 3, 3, 3, 3};

/* The logits of one row's tokens [begin, end), run alone. */
static void logits_alone(const struct tiny *m, size_t row, size_t begin, size_t end, real *logits) {
    struct loom_workspace ws;
    struct loom_forward f = forward_of(m, 4);
    open_workspace(&ws, m, SEQ, 0, 4, false);
    f.ids = m->ids + row * SEQ + begin;
    f.batch = 1;
    f.seq = end - begin;
    run(&ws, m, &f, logits);
    loom_workspace_close(&ws);
}

static size_t document_end(size_t row, size_t begin) {
    size_t end = begin;
    while (end < SEQ && documents[row * SEQ + end] == (int)begin)
        end++;
    return end;
}

/* With rotary positions, which know distances alone, documents packed in a row have the logits that each has alone. */
static void test_documents_alone(void **state) {
    (void)state;
    struct loom_kernels *cpu = loom_kernels_cpu_open(2);
    assert_non_null(cpu);
    static struct loom_config (*const rotary[])(void) = {mythos_grouped, mythos_latent, loom_layers, loom_unhalted,
                                                         loom_ngrams};
    for (size_t i = 0; i < sizeof rotary / sizeof rotary[0]; i++) {
        struct tiny m;
        struct loom_workspace ws;
        real packed[LOGITS], alone[LOGITS];
        struct loom_config config = rotary[i]();
        tiny_open(&m, &config, i % 2 ? cpu : loom_kernels_ref(), 3 + i, BATCH, SEQ);
        struct loom_forward f = forward_of(&m, 4);
        f.first = documents;
        open_workspace(&ws, &m, SEQ, 0, 4, false);
        run(&ws, &m, &f, packed);
        for (size_t row = 0; row < BATCH; row++)
            for (size_t begin = 0, end; begin < SEQ; begin = end) {
                end = document_end(row, begin);
                logits_alone(&m, row, begin, end, alone);
                assert_near(packed + (row * SEQ + begin) * VOCAB, alone, (end - begin) * VOCAB, 2e-6, "packed logits",
                            i);
            }
        loom_workspace_close(&ws);
        tiny_close(&m);
    }
    loom_kernels_cpu_close(cpu);
}

/* Learned positions count from the row's start, so a packed document is not what it is alone; but no token changes
 * another document. */
static void test_documents_apart(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct tiny m;
        struct loom_workspace ws;
        real before[LOGITS], after[LOGITS];
        open_config(&m, i, loom_kernels_ref());
        struct loom_forward f = forward_of(&m, 4);
        f.first = documents;
        open_workspace(&ws, &m, SEQ, 0, 4, false);
        run(&ws, &m, &f, before);
        m.ids[1] = (m.ids[1] + 1) % VOCAB;
        run(&ws, &m, &f, after);
        assert_true(tiny_distance(after + VOCAB, before + VOCAB, 3 * VOCAB) > 1e-4);
        assert_same(after + 4 * VOCAB, before + 4 * VOCAB, LOGITS - 4 * VOCAB, "other documents' logits", i);
        loom_workspace_close(&ws);
        tiny_close(&m);
    }
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* The mean loss; gradients are added to m->gradients. */
static double add_gradients(struct tiny *m, int loops, struct loom_loads *loads) {
    struct loom_workspace ws;
    struct loom_objective_buffers buffers = {0};
    open_workspace(&ws, m, m->seq, 0, loops, true);
    assert_int_equal(loom_objective_open(&buffers, m->k, ROWS, NULL), LOOM_OK);
    struct loom_objective o = {
        .forward = forward_of(m, loops), .targets = m->targets, .scale = (real)1 / ROWS, .gradients = m->gradients};
    o.forward.keep = true;
    o.forward.dropout_seed = 9;
    double loss = loom_objective_run(&ws, &buffers, &o) / ROWS;
    if (loads)
        for (int e = 0; e < loads->experts; e++)
            loads->choices[e] = ws.loads.choices[e];
    loom_objective_close(&buffers, m->k);
    loom_workspace_close(&ws);
    return loss;
}

static bool all_zero(const struct tiny *m, const struct loom_tensor *t) {
    for (size_t j = 0; j < t->count; j++)
        if (m->gradients[t->offset + j] < 0 || m->gradients[t->offset + j] > 0)
            return false;
    return true;
}

/* The selection bias keeps every token from experts 1 and 3. */
static void test_unpicked_expert(void **state) {
    (void)state;
    struct loom_kernels *cpu = loom_kernels_cpu_open(2);
    assert_non_null(cpu);
    for (int machine = 0; machine < 2; machine++) {
        struct tiny m;
        open_config(&m, 0, machine ? cpu : loom_kernels_ref());
        real *bias = tiny_tensor(&m, m.weights, "recurrent.block.ffn.router_bias");
        bias[1] = bias[3] = -100;
        add_gradients(&m, m.loops, NULL);
        for (size_t i = 0; i < m.net.tensors.count; i++) {
            const struct loom_tensor *t = &m.net.tensors.items[i];
            bool unpicked = strstr(t->name, "routed_experts.1.") || strstr(t->name, "routed_experts.3.");
            if (all_zero(&m, t) != (unpicked || t->buffer))
                fail_msg("%s: the gradient of %s is%s zero", m.k->name, t->name, unpicked ? " not" : "");
        }
        tiny_close(&m);
    }
    loom_kernels_cpu_close(cpu);
}

/* Equal scores: the lower ids are chosen, in equal parts. The bias breaks the tie without weighing. */
static void test_routing_ties(void **state) {
    (void)state;
    struct loom_kernels *cpu = loom_kernels_cpu_open(1);
    assert_non_null(cpu);
    for (int i = 0; i < 4; i++) {
        struct tiny m;
        uint64_t choices[5];
        struct loom_loads loads = {.experts = 5, .choices = choices};
        real want[LOGITS], got[LOGITS];
        open_config(&m, 0, i % 2 ? cpu : loom_kernels_ref());
        tiny_set(&m, "recurrent.block.ffn.router.weight", 0);
        tiny_set(&m, "recurrent.block.ffn.router_bias", 0);
        real *bias = tiny_tensor(&m, m.weights, "recurrent.block.ffn.router_bias");
        bias[4] = i < 2 ? 0 : 1;
        add_gradients(&m, 1, &loads);
        assert_int_equal(choices[0], ROWS);
        assert_int_equal(choices[1], i < 2 ? ROWS : 0);
        assert_int_equal(choices[4], i < 2 ? 0 : ROWS);
        full_logits(&m, m.loops, got);
        oracle_logits(&m, m.loops, want, NULL);
        assert_near(got, want, LOGITS, 2e-6, "logits", (size_t)i);
        tiny_close(&m);
    }
    loom_kernels_cpu_close(cpu);
}

/* Two batches' gradients add up. */
static void test_accumulation(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct tiny m;
        open_config(&m, i, loom_kernels_ref());
        size_t n = m.net.tensors.elements;
        real *once = test_calloc(n, sizeof *once);
        add_gradients(&m, m.loops, NULL);
        for (size_t j = 0; j < n; j++)
            once[j] = 2 * m.gradients[j];
        add_gradients(&m, m.loops, NULL);
        assert_near(m.gradients, once, n, 1e-6, "gradients of two batches", i);
        test_free(once);
        tiny_close(&m);
    }
}

/* ---- machines ---------------------------------------------------------------------------------------------------- */

/* A config whose rows and widths leave rests beside every vector width. */
static struct loom_config wide(size_t i) {
    struct loom_config c = configs[i]();
    c.dim = c.n_heads * 22;
    c.expert_dim = 37;
    c.max_seq_len = 40;
    c.dropout = 0.1;
    return c;
}

enum { WIDE_ROWS = BATCH * 37, WIDE_LOGITS = WIDE_ROWS * VOCAB };

struct outcome {
    real logits[WIDE_LOGITS];
    real *gradients;
    size_t n, stack;  /* gradients; bytes of activations */
    uint64_t choices; /* of the first expert */
    double loss;
};

static void open_outcome_as(struct outcome *o, size_t i, const struct loom_kernels *k, bool recompute) {
    struct tiny m;
    struct loom_config config = wide(i);
    tiny_open(&m, &config, k, 11 + i, BATCH, 37);
    full_logits(&m, m.loops, o->logits);
    struct loom_workspace ws;
    struct loom_objective_buffers buffers = {0};
    struct loom_workspace_shape shape = {
        .batch = m.batch, .seq = m.seq, .loops = m.loops, .keep = true, .recompute = recompute};
    assert_int_equal(loom_workspace_open(&ws, &m.net, k, &shape, NULL), LOOM_OK);
    memset(ws.stack.base, 0xFF, ws.stack.size);
    assert_int_equal(loom_objective_open(&buffers, k, WIDE_ROWS, NULL), LOOM_OK);
    struct loom_objective run_all = {.forward = forward_of(&m, m.loops),
                                     .targets = m.targets,
                                     .scale = (real)1 / WIDE_ROWS,
                                     .gradients = m.gradients};
    run_all.forward.keep = true;
    o->loss = loom_objective_run(&ws, &buffers, &run_all);
    o->stack = ws.stack.size;
    o->choices = ws.loads.choices ? loom_loads_choices(&ws.loads, 0, 0) : 0;
    o->n = m.net.tensors.elements;
    o->gradients = test_calloc(o->n, sizeof *o->gradients);
    memcpy(o->gradients, m.gradients, o->n * sizeof *o->gradients);
    loom_objective_close(&buffers, k);
    loom_workspace_close(&ws);
    tiny_close(&m);
}

static void open_outcome(struct outcome *o, size_t i, const struct loom_kernels *k) {
    open_outcome_as(o, i, k, false);
}

/* Loops and blocks that run again in the backward give the same gradients to the bit, dropout and all, count nothing
 * twice, and take less memory. */
static void test_recompute(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct outcome kept, again;
        open_outcome(&kept, i, loom_kernels_ref());
        open_outcome_as(&again, i, loom_kernels_ref(), true);
        assert_same(again.gradients, kept.gradients, kept.n, "gradients of loops that ran again", i);
        assert_true(again.loss == kept.loss);
        assert_int_equal(again.choices, kept.choices);
        assert_true(again.stack < kept.stack);
        test_free(kept.gradients);
        test_free(again.gradients);
    }
}

static void test_machines(void **state) {
    (void)state;
    struct loom_kernels *cpu = loom_kernels_cpu_open(2);
    assert_non_null(cpu);
    for (size_t i = 0; i < CONFIGS; i++) {
        struct outcome ref, fast;
        open_outcome(&ref, i, loom_kernels_ref());
        open_outcome(&fast, i, cpu);
        assert_near(fast.logits, ref.logits, WIDE_LOGITS, 1e-5, "logits of the two machines", i);
        assert_near(fast.gradients, ref.gradients, ref.n, 1e-5, "gradients of the two machines", i);
        assert_true(fabs(fast.loss - ref.loss) <= 1e-6 * ref.loss);
        test_free(ref.gradients);
        test_free(fast.gradients);
    }
    loom_kernels_cpu_close(cpu);
}

static void test_threads(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct outcome first, other;
        for (int threads = 1; threads <= 3; threads++) {
            struct loom_kernels *cpu = loom_kernels_cpu_open(threads);
            assert_non_null(cpu);
            open_outcome(threads == 1 ? &first : &other, i, cpu);
            loom_kernels_cpu_close(cpu);
            if (threads == 1)
                continue;
            assert_same(other.logits, first.logits, WIDE_LOGITS, "logits of more threads", i);
            assert_same(other.gradients, first.gradients, first.n, "gradients of more threads", i);
            test_free(other.gradients);
        }
        test_free(first.gradients);
    }
}

/* ---- what is told before it is taken ----------------------------------------------------------------------------- */

/* A full pass of one shape behind the counting machine, every loop of it: no token halts. */
static void check_measure(size_t i, const struct loom_workspace_shape *shape) {
    struct tiny m;
    struct loom_workspace ws;
    struct loom_counter counter;
    struct loom_cache cache;
    size_t bytes;
    double flops;
    loom_counter_init(&counter, loom_kernels_ref());
    struct loom_config config = configs[i]();
    config.act_threshold = 1e6;
    tiny_open(&m, &config, &counter.kernels, 1, shape->batch, shape->seq);
    int depths[BATCH * SEQ + SEQ] = {0};
    assert_int_equal(loom_workspace_measure(&m.net, shape, &bytes, &flops, NULL), LOOM_OK);
    assert_int_equal(loom_workspace_open(&ws, &m.net, m.k, shape, NULL), LOOM_OK);
    assert_int_equal(loom_cache_open(&cache, m.k, &config, shape->loops, shape->batch, shape->capacity, NULL), LOOM_OK);
    struct loom_forward f = forward_of(&m, shape->loops);
    f.keep = shape->keep;
    f.cache = shape->capacity ? &cache : NULL;
    f.exit = shape->capacity && loom_config_halts(&config);
    f.depths = shape->keep ? depths : NULL;
    never_halt(&m);
    size_t rows = shape->batch * shape->seq, full = shape->capacity ? shape->capacity - shape->seq : 0;
    real *logits = NULL;
    /* Behind nothing, behind one token, and at the full context, which is what FLOPs are told of. */
    const size_t pasts[] = {0, 1, full};
    for (size_t j = shape->capacity ? 0 : 2; j < 3; j++) {
        cache.length = pasts[j];
        counter.flops = 0;
        loom_net_forward(&ws, &f);
        logits = loom_workspace_logits(&ws, rows);
        loom_net_logits(&ws, m.weights, logits, ws.hidden, rows);
    }
    if (shape->keep)
        loom_net_backward(&ws, &f, m.gradients, logits);
    assert_int_equal(ws.stack.peak, bytes);
    if (!(flops > 0) || counter.flops < flops || counter.flops > flops)
        fail_msg("config %zu: %.17g FLOPs counted, %.17g measured", i, counter.flops, flops);
    loom_cache_close(&cache);
    loom_workspace_close(&ws);
    tiny_close(&m);
}

static void test_measure(void **state) {
    (void)state;
    static const struct loom_workspace_shape shapes[] = {
        {.batch = 2, .seq = 9, .loops = 3},
        {.batch = 3, .seq = 7, .loops = 5, .keep = true},
        {.batch = 1, .seq = 4, .loops = 2, .capacity = 11},
        {.batch = 2, .seq = 1, .loops = 1, .capacity = 2},
    };
    for (size_t i = 0; i < ALL_CONFIGS; i++)
        for (size_t j = 0; j < sizeof shapes / sizeof shapes[0]; j++)
            check_measure(i, &shapes[j]);
}

static double token_flops(const struct loom_net *net, size_t capacity) {
    const struct loom_workspace_shape shape = {.batch = 1, .seq = 1, .loops = 3, .capacity = capacity};
    size_t bytes;
    double flops;
    assert_int_equal(loom_workspace_measure(net, &shape, &bytes, &flops, NULL), LOOM_OK);
    return flops;
}

/* A token behind a latent past costs its products with the latents, and nothing is raised again. */
static void test_latent_past(void **state) {
    (void)state;
    struct loom_config config = tiny_latent(LOOM_ARCHITECTURE_LOOM);
    struct loom_net net;
    assert_int_equal(loom_net_open(&net, &config, NULL), LOOM_OK);
    const double each = (token_flops(&net, 300) - token_flops(&net, 100)) / 200;
    const double slots = (double)loom_config_cache_slots(&config, 3);
    const double key = 2.0 * (config.kv_lora_rank + config.qk_rope_head_dim), value = 2.0 * config.kv_lora_rank;
    const double softmax = 8; /* at most: scale, largest, exponential, sum */
    assert_true(each >= slots * config.n_heads * (key + value));
    assert_true(each <= slots * config.n_heads * (key + value + softmax));
    loom_net_close(&net);
}

/* All parameters but those of the experts that a token does not pick; by names, one by one. */
static void test_active_parameters(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++) {
        struct tiny m;
        open_config(&m, i, loom_kernels_ref());
        uint64_t all = 0, routed = 0;
        for (size_t j = 0; j < m.net.tensors.count; j++) {
            const struct loom_tensor *t = &m.net.tensors.items[j];
            all += t->buffer ? 0 : t->count;
            routed += strstr(t->name, "routed_experts") ? t->count : 0;
        }
        uint64_t E = (uint64_t)m.net.config.n_experts, K = (uint64_t)m.net.config.n_experts_per_tok;
        assert_int_equal(loom_tensors_parameters(&m.net.tensors), all);
        assert_int_equal(loom_net_active_parameters(&m.net), all - (E ? routed / E * (E - K) : 0));
        tiny_close(&m);
    }
}

/* The injection's factor is inside (0, 1) whatever its weights. */
static void test_spectral_radius(void **state) {
    (void)state;
    struct tiny m;
    open_config(&m, 0, loom_kernels_ref());
    real *log_a = tiny_tensor(&m, m.weights, "recurrent.injection.log_A");
    tiny_set(&m, "recurrent.injection.log_dt", 0.5);
    tiny_set(&m, "recurrent.injection.log_A", 1);
    log_a[7] = -1;
    assert_true(fabs(loom_net_spectral_radius(&m.net, m.weights) - exp(-exp(-0.5))) < 1e-6);
    log_a[7] = -1e30f;
    assert_true(loom_net_spectral_radius(&m.net, m.weights) < 1);
    tiny_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equations),
        cmocka_unit_test(test_causality),
        cmocka_unit_test(test_keeping),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_latent_past),
        cmocka_unit_test(test_exit),
        cmocka_unit_test(test_sure),
        cmocka_unit_test(test_exit_of_remembered),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_early_stop),
        cmocka_unit_test(test_unpicked_expert),
        cmocka_unit_test(test_routing_ties),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_recompute),
        cmocka_unit_test(test_machines),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_active_parameters),
        cmocka_unit_test(test_spectral_radius),
        cmocka_unit_test(test_hidden_ngrams),
        cmocka_unit_test(test_documents_alone),
        cmocka_unit_test(test_documents_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
