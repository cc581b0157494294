/* test_model_gradients.c - the gradient of the whole network's loss, tensor by tensor, against finite differences.
 *
 * Compiled in double. For each tensor some elements are moved one at a time (all of them where there are few), and then
 * the whole tensor along a random direction, so that no element escapes. Halting and routing make the loss a function
 * with steps; seeds are fixed, so that no difference here crosses one. Gradients are "+=": they start from a number
 * that must be there afterwards. */
#include "tiny.h"

#include "train/objective.h"

enum { SAMPLES = 12, SMALL = 16 };

static const double step_size = 1e-5;
static const real gradient_before = (real)0.25;

/* How many tokens run each loop. */
enum halting_shape {
    ALL_RUN,    /* every loop */
    SOME_LEAVE, /* fewer and fewer, some to the end */
    ALL_LEAVE   /* nobody reaches the last loop: the pass ends early */
};

struct network_case {
    const char *name;
    struct loom_config (*config)(void);
    int loops; /* 0: as trained */
    double halt_bias;
    enum halting_shape halting;
    bool documents; /* two in each row */
};

/* (B,T) */
static const int first_keys[] = {0, 0, 2, 2, 2, 0, 1, 1, 1, 1};

/* (B,T): what a gate learns; of two tokens nothing. */
static const int depths[] = {0, 4, 2, -1, 1, 3, 3, 0, -1, 2};

struct scene {
    struct tiny m;
    struct loom_workspace ws;
    struct loom_objective_buffers buffers;
    const struct network_case *c;
    bool gate; /* its loss is part of the loss */
};

/* The mean loss; gradients are added when `gradients` is not NULL. One target is not to be predicted. */
static double loss(struct scene *s, real *gradients) {
    size_t rows = s->m.batch * s->m.seq;
    struct loom_objective o = {.forward = {.weights = s->m.weights,
                                           .ids = s->m.ids,
                                           .first = s->c->documents ? first_keys : NULL,
                                           .batch = s->m.batch,
                                           .seq = s->m.seq,
                                           .loops = s->m.loops,
                                           .depths = depths,
                                           .gate_scale = (real)0.3,
                                           .keep = true,
                                           .dropout_seed = 77,
                                           .count_loads = gradients != NULL},
                               .targets = s->m.targets,
                               .scale = 1 / (real)(rows - 1),
                               .gradients = gradients};
    return loom_objective_run(&s->ws, &s->buffers, &o) / (double)(rows - 1) + (s->gate ? s->ws.core.halting.loss : 0);
}

static double difference(struct scene *s, real *w, const real *direction, size_t n) {
    double along[2];
    for (int side = 0; side < 2; side++) {
        double step = side ? -step_size : step_size;
        for (size_t i = 0; i < n; i++)
            w[i] += (real)step * direction[i];
        along[side] = loss(s, NULL);
        for (size_t i = 0; i < n; i++)
            w[i] -= (real)step * direction[i];
    }
    return (along[0] - along[1]) / (2 * step_size);
}

/* The floor is the rounding of the differences themselves. */
static void check(const struct scene *s, const struct loom_tensor *t, const char *what, double error, double norm) {
    if (!(error <= 1e-6 * norm + 2e-10))
        fail_msg("%s: %s, %s: gradient off by %g of %g", s->c->name, t->name, what, error, norm);
}

static void check_elements(struct scene *s, const struct loom_tensor *t, struct loom_random stream) {
    const real one = 1;
    double error = 0, norm = 0;
    size_t samples = t->count <= SMALL ? t->count : SAMPLES;
    for (size_t i = 0; i < samples; i++) {
        size_t j = t->offset + (t->count <= SMALL ? i : loom_random_below(stream, i, t->count));
        double want = difference(s, s->m.weights + j, &one, 1);
        error += pow(s->m.gradients[j] - gradient_before - want, 2);
        norm += want * want;
    }
    check(s, t, "by element", sqrt(error), sqrt(norm));
}

/* Along a direction of length 1; the error is held against the length of the whole gradient. */
static void check_direction(struct scene *s, const struct loom_tensor *t, struct loom_random stream) {
    real *direction = test_calloc(t->count, sizeof *direction);
    double length = 0, got = 0, norm = 0;
    for (size_t i = 0; i < t->count; i++) {
        direction[i] = (real)loom_random_normal(stream, SAMPLES + i);
        length += direction[i] * direction[i];
    }
    for (size_t i = 0; i < t->count; i++) {
        real d = s->m.gradients[t->offset + i] - gradient_before;
        direction[i] /= sqrt(length);
        got += d * direction[i];
        norm += d * d;
    }
    double want = difference(s, s->m.weights + t->offset, direction, t->count);
    test_free(direction);
    check(s, t, "along a direction", fabs(got - want), sqrt(norm / (double)t->count));
}

static void check_untouched(const struct scene *s, const struct loom_tensor *t) {
    for (size_t i = 0; i < t->count; i++)
        if (s->m.gradients[t->offset + i] < gradient_before || s->m.gradients[t->offset + i] > gradient_before)
            fail_msg("%s: %s has a gradient", s->c->name, t->name);
}

/* A case must be what its name says, or it tests something else. */
static void check_halting(const struct scene *s) {
    const uint64_t *running = s->ws.loads.running, rows = s->m.batch * s->m.seq;
    int loops = s->m.loops;
    if (!running || loops == 0 || s->m.net.config.core_layers == 0)
        return;
    assert_true(running[0] == rows);
    if (s->c->halting == ALL_RUN)
        assert_true(running[loops - 1] == rows && s->ws.core.run == loops);
    if (s->c->halting == SOME_LEAVE)
        assert_true(running[1] < rows && running[loops - 1] < running[1] && running[loops - 1] > 0);
    if (s->c->halting == ALL_LEAVE)
        assert_true(running[loops - 1] == 0 && s->ws.core.run < loops);
}

static void open_scene(struct scene *s, const struct network_case *c) {
    struct loom_config config = c->config();
    struct loom_error error;
    *s = (struct scene){.c = c};
    tiny_open(&s->m, &config, loom_kernels_ref(), 5, 2, 5);
    s->m.targets[3] = -1;
    if (c->loops)
        s->m.loops = c->loops;
    if (loom_tensors_find(&s->m.net.tensors, "recurrent.act.halt.bias"))
        tiny_set(&s->m, "recurrent.act.halt.bias", c->halt_bias);
    struct loom_workspace_shape shape = {.batch = 2, .seq = 5, .loops = s->m.loops, .keep = true};
    assert_int_equal(loom_workspace_open(&s->ws, &s->m.net, s->m.k, &shape, &error), LOOM_OK);
    memset(s->ws.stack.base, 0xFF, s->ws.stack.size); /* NaN to who reads before writing */
    assert_int_equal(loom_objective_open(&s->buffers, s->m.k, 10, &error), LOOM_OK);
}

static void test_network(void **state) {
    struct scene s;
    open_scene(&s, *state);
    s.m.k->fill(s.m.k, s.m.gradients, gradient_before, s.m.net.tensors.elements);
    loss(&s, s.m.gradients);
    check_halting(&s);
    for (size_t i = 0; i < s.m.net.tensors.count; i++) {
        const struct loom_tensor *t = &s.m.net.tensors.items[i];
        const struct loom_random stream = {i, LOOM_RANDOM_TEST};
        if (t->buffer) {
            check_untouched(&s, t);
            continue;
        }
        s.gate = strncmp(t->name, "recurrent.gate.", 15) == 0; /* no other tensor feels it */
        check_elements(&s, t, stream);
        check_direction(&s, t, stream);
    }
    loom_objective_close(&s.buffers, s.m.k);
    loom_workspace_close(&s.ws);
    tiny_close(&s.m);
}

/* ---- the networks ------------------------------------------------------------------------------------------------ */

static struct loom_config gpt(void) {
    return tiny_gpt(true);
}

static struct loom_config gpt_dropout(void) {
    struct loom_config c = tiny_gpt(false);
    c.dropout = 0.2;
    return c;
}

static struct loom_config grouped(void) {
    return tiny_looped(LOOM_ARCHITECTURE_OPENMYTHOS);
}

/* One expert for each token, whose gate is always 1; two shared ones. */
static struct loom_config latent_switch(void) {
    struct loom_config c = tiny_latent(LOOM_ARCHITECTURE_OPENMYTHOS);
    c.n_experts_per_tok = 1;
    c.n_shared_experts = 2;
    return c;
}

/* Every expert for each token, none shared; nothing after the core; more loops than are trained. */
static struct loom_config dense(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_OPENMYTHOS);
    c.n_experts = c.n_experts_per_tok = 3;
    c.n_shared_experts = 0;
    c.coda_layers = 0;
    c.max_loop_iters = 2;
    c.n_kv_heads = 1;
    return c;
}

static struct loom_config two_layers(void) {
    struct loom_config c = tiny_latent(LOOM_ARCHITECTURE_LOOM);
    c.core_layers = 2;
    c.dropout = 0.15;
    return c;
}

static struct loom_config unhalted(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.halting = LOOM_HALTING_NONE;
    c.prelude_layers = 0;
    c.coda_layers = 2;
    return c;
}

/* A threshold that no sum of three probabilities reaches: nobody halts, and the weights sum to anything. */
static struct loom_config unreachable(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_OPENMYTHOS);
    c.act_threshold = 5;
    return c;
}

static struct loom_config mended(void) {
    return tiny_looped(LOOM_ARCHITECTURE_LOOM);
}

/* Every choice of the house recipe at once, around a loop of plain blocks. */
static struct loom_config modern(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.halting = LOOM_HALTING_NONE;
    c.activation = LOOM_ACTIVATION_RELU2;
    c.ffn_dim = 10;
    c.n_experts = 0;
    c.core_layers = 2;
    c.injection = LOOM_INJECTION_NONE;
    c.loop_index = false;
    c.lora_rank = 0;
    c.norm_gain = false;
    c.qk_norm = 1.2;
    c.embed_skip = c.embed_shift = true;
    c.tied = false;
    c.softcap = 2;
    c.ngram = 3;
    c.ngram_rows = 4;
    c.ngram_dropout = 0.4;
    return c;
}

/* No loop at all: the dense model that a looped one is held against. */
static struct loom_config dense_modern(void) {
    struct loom_config c = modern();
    c.core_layers = 0;
    c.prelude_layers = 2;
    c.coda_layers = 0;
    return c;
}

static struct loom_config injected_add(void) {
    struct loom_config c = modern();
    c.injection = LOOM_INJECTION_ADD;
    c.norm_gain = true;
    c.tied = true;
    c.softcap = 0;
    return c;
}

/* Experts of ReLU squared under Parcae's injection, with the depth LoRA and the loop's number. */
static struct loom_config injected_parcae(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.injection = LOOM_INJECTION_PARCAE;
    c.activation = LOOM_ACTIVATION_RELU2;
    return c;
}

/* Every loop attends to the prelude's output, and the state is normalised. */
static struct loom_config remembering(void) {
    struct loom_config c = modern();
    c.loop_keys = LOOM_LOOP_KEYS_PRELUDE;
    c.loop_norm = true;
    c.n_kv_heads = 1;
    return c;
}

/* The same inside OpenMythos's injection, with experts, gains and dropout. */
static struct loom_config remembering_openmythos(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.loop_keys = LOOM_LOOP_KEYS_PRELUDE;
    c.loop_norm = true;
    c.halting = LOOM_HALTING_NONE;
    c.dropout = 0.15;
    return c;
}

/* The same with every loop's state in the output. */
static struct loom_config remembering_act(void) {
    struct loom_config c = remembering();
    c.halting = LOOM_HALTING_ACT;
    return c;
}

/* A gate that learns numbers of loops beside the loss, more than the pass runs. */
static struct loom_config gated(void) {
    struct loom_config c = remembering();
    c.halting = LOOM_HALTING_GATE;
    c.gate_loops = 5;
    return c;
}

static struct loom_config gated_openmythos(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.halting = LOOM_HALTING_GATE;
    c.gate_loops = 5;
    return c;
}

static struct loom_config window(void) {
    struct loom_config c = modern();
    c.sliding_window = 3;
    return c;
}

static struct network_case cases[] = {
    {"gpt", gpt, 0, 0, ALL_RUN, false},
    {"gpt without biases, with dropout", gpt_dropout, 0, 0, ALL_RUN, false},
    {"grouped queries, tokens leave at every loop", grouped, 0, 0, SOME_LEAVE, false},
    {"grouped queries, nobody leaves", unreachable, 0, 0, ALL_RUN, false},
    {"latent attention, top-1", latent_switch, 0, 0, SOME_LEAVE, false},
    {"latent attention, everybody leaves early", latent_switch, 4, 4, ALL_LEAVE, false},
    {"all experts, more loops than trained", dense, 5, 0, SOME_LEAVE, false},
    {"two core layers with dropout", two_layers, 0, 0, SOME_LEAVE, false},
    {"no halting", unhalted, 0, 0, ALL_RUN, false},
    {"the last loop takes the remainder", mended, 0, 0, SOME_LEAVE, false},
    {"gpt, documents apart", gpt, 0, 0, ALL_RUN, true},
    {"grouped queries, documents apart", unhalted, 0, 0, ALL_RUN, true},
    {"latent attention with dropout, documents apart", two_layers, 0, 0, SOME_LEAVE, true},
    {"every choice of the recipe", modern, 0, 0, ALL_RUN, false},
    {"every choice of the recipe, documents apart", modern, 0, 0, ALL_RUN, true},
    {"no loop", dense_modern, 0, 0, ALL_RUN, false},
    {"the prelude's output added", injected_add, 5, 0, ALL_RUN, false},
    {"the prelude's output attended to", remembering, 5, 0, ALL_RUN, false},
    {"the prelude's output attended to, documents apart", remembering, 0, 0, ALL_RUN, true},
    {"the prelude's output attended to by experts", remembering_openmythos, 0, 0, ALL_RUN, false},
    {"the prelude's output attended to, tokens leave at every loop", remembering_act, 3, 0, SOME_LEAVE, false},
    {"a gate", gated, 0, 0, ALL_RUN, false},
    {"a gate before experts", gated_openmythos, 0, 0, ALL_RUN, false},
    {"a window", window, 0, 0, ALL_RUN, false},
    {"a window, documents apart", window, 0, 0, ALL_RUN, true},
    {"the prelude's output mixed in", injected_parcae, 0, 0, SOME_LEAVE, false},
};
enum { CASES = sizeof cases / sizeof cases[0] };

int main(void) {
    struct CMUnitTest tests[CASES];
    for (size_t i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, test_network, NULL, NULL, &cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
