/* test_lora_gradients.c - adapters: the sum that stands for a weight, and the factors' gradients against finite
 * differences through whole networks: experts, some of them alone, embeddings, positions, routers and all else that is
 * a matrix. */
#include "model/lora.h"
#include "tiny.h"
#include "train/objective.h"

struct adapted {
    struct tiny m;
    struct loom_lora lora;
    struct loom_workspace ws;
    struct loom_objective_buffers buffers;
    real *factors, *dfactors;
};

static void open_adapted(struct adapted *a, struct loom_config config, const char *targets) {
    const struct loom_kernels *k = loom_kernels_ref();
    struct loom_error error;
    tiny_open(&a->m, &config, k, 3, 2, 5);
    struct loom_workspace_shape shape = {.batch = 2, .seq = 5, .loops = a->m.loops, .keep = true, .lora = &a->lora};
    if (loom_lora_open(&a->lora, k, &a->m.net.tensors, targets, 2, 6, &error) ||
        loom_workspace_open(&a->ws, &a->m.net, k, &shape, &error) || loom_objective_open(&a->buffers, k, 10, &error))
        fail_msg("%s", error.text);
    a->factors = test_calloc(a->lora.factors.elements, sizeof(real));
    a->dfactors = test_calloc(a->lora.factors.elements, sizeof(real));
    tiny_fill(&a->lora.factors, a->factors, 4); /* B is not zero here, or A had no gradient */
    loom_lora_keep_base(&a->lora, a->m.weights);
}

static void close_adapted(struct adapted *a) {
    loom_objective_close(&a->buffers, a->m.k);
    loom_workspace_close(&a->ws);
    loom_lora_close(&a->lora);
    test_free(a->factors);
    test_free(a->dfactors);
    tiny_close(&a->m);
}

static double loss(struct adapted *a, real *gradients) {
    loom_lora_apply(&a->lora, a->m.weights, a->factors);
    struct loom_objective o = {.forward = {.weights = a->m.weights,
                                           .ids = a->m.ids,
                                           .batch = 2,
                                           .seq = 5,
                                           .loops = a->m.loops,
                                           .factors = a->factors,
                                           .keep = true},
                               .targets = a->m.targets,
                               .scale = 1,
                               .gradients = gradients};
    return loom_objective_run(&a->ws, &a->buffers, &o);
}

/* The house recipe's own matrices: hashed n-grams, an embedding before, a head of its own, keys from the prelude. */
static struct loom_config house(void) {
    struct loom_config c = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    c.ngram = 3;
    c.ngram_rows = 7;
    c.embed_shift = c.embed_skip = true;
    c.tied = false;
    c.injection = LOOM_INJECTION_ADD;
    c.activation = LOOM_ACTIVATION_RELU2;
    c.loop_keys = LOOM_LOOP_KEYS_PRELUDE;
    return c;
}

static void test_gradients(void **state) {
    const struct {
        struct loom_config config;
        const char *targets;
    } cases[] = {
        {tiny_looped(LOOM_ARCHITECTURE_LOOM), "*"},
        {tiny_looped(LOOM_ARCHITECTURE_LOOM), "*routed_experts*"},
        {tiny_looped(LOOM_ARCHITECTURE_LOOM), "*routed_experts.[13].*,*routed_experts.4.up"},
        {tiny_looped(LOOM_ARCHITECTURE_LOOM), "*attn.wk,*attn.wv"},
        {tiny_looped(LOOM_ARCHITECTURE_LOOM), "embed,*router*"},
        {tiny_latent(LOOM_ARCHITECTURE_OPENMYTHOS), "*"},
        {tiny_gpt(true), "*"},
        {house(), "*"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adapted a;
        open_adapted(&a, cases[i].config, cases[i].targets);
        loss(&a, a.dfactors);
        size_t step = a.lora.factors.elements / 150 + 1;
        for (size_t j = 0; j < a.lora.factors.elements; j += step) {
            const double h = 1e-6;
            real kept = a.factors[j];
            a.factors[j] = (real)((double)kept + h);
            double up = loss(&a, NULL);
            a.factors[j] = (real)((double)kept - h);
            double down = loss(&a, NULL), wanted = (up - down) / (2 * h);
            a.factors[j] = kept;
            if (!(fabs((double)a.dfactors[j] - wanted) < 1e-6 * (1 + fabs(wanted))))
                fail_msg("case %zu, %s, element %zu: %.10g, not %.10g", i, cases[i].targets, j, (double)a.dfactors[j],
                         wanted);
        }
        close_adapted(&a);
    }
}

/* With B zero the weights are the base's bits; with any B, base + s B A; and the base comes back. */
static void test_sum(void **state) {
    (void)state;
    struct adapted a;
    open_adapted(&a, tiny_looped(LOOM_ARCHITECTURE_LOOM), "*attn.wq,*shared_experts*");
    size_t n = a.m.net.tensors.elements;
    real *before = test_calloc(n, sizeof(real)), *zero = test_calloc(a.lora.factors.elements, sizeof(real));
    memcpy(before, a.m.weights, n * sizeof(real));
    loom_lora_apply(&a.lora, a.m.weights, a.factors);
    const struct loom_lora_site *s = &a.lora.sites[0];
    for (size_t i = 0; i < s->n_out; i++)
        for (size_t j = 0; j < s->n_in; j++) {
            double sum = (double)before[s->weight + i * s->n_in + j];
            for (size_t r = 0; r < 2; r++)
                sum += 3 * (double)a.factors[s->b + i * 2 + r] * (double)a.factors[s->a + r * s->n_in + j];
            assert_true(fabs((double)a.m.weights[s->weight + i * s->n_in + j] - sum) < 1e-12);
        }
    loom_lora_apply(&a.lora, a.m.weights, zero);
    assert_memory_equal(before, a.m.weights, n * sizeof(real));
    test_free(before);
    test_free(zero);
    close_adapted(&a);
}

static void test_refusals(void **state) {
    (void)state;
    struct loom_config config = tiny_looped(LOOM_ARCHITECTURE_LOOM);
    struct loom_net net;
    struct loom_lora lora;
    struct loom_error error;
    assert_int_equal(loom_net_open(&net, &config, &error), LOOM_OK);
    assert_int_equal(loom_lora_open(&lora, NULL, &net.tensors, "*attn*,*nonsense*", 2, 2, &error), LOOM_INVALID);
    assert_non_null(strstr(error.text, "no matrix called \"*nonsense*\""));
    loom_lora_close(&lora);
    assert_int_equal(loom_lora_open(&lora, NULL, &net.tensors, "*", 100, 2, &error), LOOM_INVALID);
    assert_non_null(strstr(error.text, "adapter_rank 100 is not below"));
    loom_lora_close(&lora);
    assert_int_equal(loom_lora_open(&lora, NULL, &net.tensors, "", 2, 2, &error), LOOM_INVALID);
    loom_lora_close(&lora);
    loom_net_close(&net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("adapters", tests, NULL, NULL);
}
