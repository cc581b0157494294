/* test_bptt_gradients.c - a gradient that goes back through the last loops alone is that of a model whose first loops
 * have been computed before: the state that enters the last ones is its embedding. */
#include "tiny.h"

#include "train/objective.h"

enum { BATCH = 1, SEQ = 5, LOOPS = 4 };

/* A core and nothing else, whose output depends on the state that it begins with alone. */
static struct loom_config bare(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.prelude_layers = c.coda_layers = 0;
    c.max_loop_iters = LOOPS;
    c.halting = LOOM_HALTING_NONE;
    c.injection = LOOM_INJECTION_NONE;
    c.loop_index = false;
    c.lora_rank = 0;
    c.tied = false;
    return c;
}

/* The gradients after `loops` loops, back through the last `bptt`; *ws holds what the pass saved. */
static void differentiate(struct tiny *m, struct loom_workspace *ws, int loops, int bptt) {
    struct loom_objective_buffers buffers;
    struct loom_objective o = {.forward = {.weights = m->weights,
                                           .ids = m->ids,
                                           .batch = BATCH,
                                           .seq = SEQ,
                                           .loops = loops,
                                           .bptt = bptt,
                                           .keep = true},
                               .targets = m->targets,
                               .scale = (real)1 / SEQ,
                               .gradients = m->gradients};
    memset(m->gradients, 0, m->net.tensors.elements * sizeof *m->gradients);
    assert_int_equal(loom_objective_open(&buffers, m->k, BATCH * SEQ, NULL), LOOM_OK);
    loom_objective_run(ws, &buffers, &o);
    loom_objective_close(&buffers, m->k);
}

static void open(struct tiny *m, struct loom_workspace *ws) {
    struct loom_config c = bare();
    const struct loom_workspace_shape shape = {.batch = BATCH, .seq = SEQ, .loops = LOOPS, .keep = true};
    tiny_open(m, &c, loom_kernels_ref(), 3, BATCH, SEQ);
    assert_int_equal(loom_workspace_open(ws, &m->net, m->k, &shape, NULL), LOOM_OK);
    for (int i = 0; i < SEQ; i++)
        m->ids[i] = i;
}

/* Of all tensors but the embedding, which no gradient reaches. */
static void compare(struct tiny *cut, struct tiny *given, int bptt) {
    size_t embedding = loom_tensors_find(&cut->net.tensors, "embed.weight")->offset;
    for (size_t i = 0; i < cut->net.tensors.count; i++) {
        const struct loom_tensor *t = &cut->net.tensors.items[i];
        double largest = 0;
        for (size_t j = t->offset; j < t->offset + t->count; j++) {
            double other = t->offset == embedding ? 0 : (double)given->gradients[j];
            largest = fmax(largest, fabs((double)cut->gradients[j] - other));
        }
        if (!(largest <= 1e-12))
            fail_msg("%s: through %d of %d loops the gradient is off by %g", t->name, bptt, LOOPS, largest);
    }
}

static void test_last_loops(void **state) {
    (void)state;
    for (int bptt = 1; bptt < LOOPS; bptt++) {
        struct tiny cut, given;
        struct loom_workspace cut_ws, given_ws;
        open(&cut, &cut_ws);
        open(&given, &given_ws);
        differentiate(&cut, &cut_ws, LOOPS, bptt);
        real *embedding = tiny_tensor(&given, given.weights, "embed.weight");
        memcpy(embedding, cut_ws.core.loops[LOOPS - bptt].h, SEQ * (size_t)given.net.config.dim * sizeof *embedding);
        differentiate(&given, &given_ws, bptt, 0);
        compare(&cut, &given, bptt);
        loom_workspace_close(&cut_ws);
        loom_workspace_close(&given_ws);
        tiny_close(&cut);
        tiny_close(&given);
    }
}

/* As many loops as there are, or more, are all of them. */
static void test_all_loops(void **state) {
    struct tiny m;
    struct loom_workspace ws;
    (void)state;
    open(&m, &ws);
    size_t bytes = m.net.tensors.elements * sizeof *m.gradients;
    real *all = test_malloc(bytes);
    differentiate(&m, &ws, LOOPS, 0);
    memcpy(all, m.gradients, bytes);
    for (int bptt = LOOPS; bptt <= LOOPS + 1; bptt++) {
        differentiate(&m, &ws, LOOPS, bptt);
        assert_memory_equal(all, m.gradients, bytes);
    }
    test_free(all);
    loom_workspace_close(&ws);
    tiny_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_loops),
        cmocka_unit_test(test_all_loops),
    };
    return cmocka_run_group_tests_name("bptt", tests, NULL, NULL);
}
