/* tiny.h - models small enough to be checked number by number, with weights large enough that every part of them shows
 * in the output: initial weights as training takes them would leave routing and halting almost without effect. */
#ifndef LOOM_TESTS_TINY_H
#define LOOM_TESTS_TINY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "model/workspace.h"

/* A looped model with grouped queries: 4 heads of 4 channels over 2 key/value heads, 2 of 5 experts, 1 shared. */
static inline struct loom_config tiny_looped(enum loom_architecture architecture) {
    struct loom_config c = loom_config_default(architecture);
    c.vocab_size = 11;
    c.dim = 16;
    c.n_heads = 4;
    c.n_kv_heads = 2;
    c.max_seq_len = 12;
    c.max_loop_iters = 3;
    c.prelude_layers = c.coda_layers = 1;
    c.attn_type = LOOM_ATTENTION_GQA;
    c.n_experts = 5;
    c.n_experts_per_tok = 2;
    c.n_shared_experts = 1;
    c.expert_dim = 6;
    c.act_threshold = 0.9;
    c.lora_rank = 3;
    return c;
}

/* The same with latent attention; every width is another number. */
static inline struct loom_config tiny_latent(enum loom_architecture architecture) {
    struct loom_config c = tiny_looped(architecture);
    c.attn_type = LOOM_ATTENTION_MLA;
    c.n_heads = 3;
    c.kv_lora_rank = 7;
    c.q_lora_rank = 9;
    c.qk_rope_head_dim = 4;
    c.qk_nope_head_dim = 5;
    c.v_head_dim = 6;
    return c;
}

static inline struct loom_config tiny_gpt(bool bias) {
    struct loom_config c = loom_config_default(LOOM_ARCHITECTURE_GPT);
    c.vocab_size = 11;
    c.dim = 12;
    c.n_heads = 3;
    c.prelude_layers = 2;
    c.max_seq_len = 12;
    c.bias = bias;
    return c;
}

/* Matrices keep the size of what they multiply; vectors lie around the value that training starts from. */
static inline void tiny_fill(const struct loom_tensors *table, real *weights, uint64_t seed) {
    for (size_t i = 0; i < table->count; i++) {
        const struct loom_tensor *t = &table->items[i];
        const struct loom_random stream = {seed, LOOM_RANDOM_TEST | (uint64_t)i << 8};
        double std = t->rank == 2 ? 1 / sqrt((double)t->shape[1]) : 0.3;
        for (size_t j = 0; j < t->count; j++)
            weights[t->offset + j] = (real)(t->mean + std * loom_random_normal(stream, j));
    }
}

/* A network on a machine with one batch. Its weights lie on the host, where every machine of these tests computes. */
struct tiny {
    const struct loom_kernels *k;
    struct loom_net net;
    real *weights, *gradients; /* (elements) */
    int *ids, *targets;        /* (B,T) */
    size_t batch, seq;
    int loops;
};

static inline void tiny_open(struct tiny *m, const struct loom_config *config, const struct loom_kernels *k,
                             uint64_t seed, size_t batch, size_t seq) {
    const struct loom_random stream = {seed, LOOM_RANDOM_TEST};
    struct loom_error error;
    *m = (struct tiny){.k = k, .batch = batch, .seq = seq, .loops = config->max_loop_iters};
    assert_int_equal(loom_config_check(config, &error), LOOM_OK);
    assert_int_equal(loom_net_open(&m->net, config, &error), LOOM_OK);
    m->weights = test_calloc(m->net.tensors.elements, sizeof(real));
    m->gradients = test_calloc(m->net.tensors.elements, sizeof(real));
    m->ids = test_calloc(batch * seq, sizeof(int));
    m->targets = test_calloc(batch * seq, sizeof(int));
    tiny_fill(&m->net.tensors, m->weights, seed);
    for (size_t i = 0; i < batch * seq; i++) {
        m->ids[i] = (int)loom_random_below(stream, 2 * i, (uint64_t)config->vocab_size);
        m->targets[i] = (int)loom_random_below(stream, 2 * i + 1, (uint64_t)config->vocab_size);
    }
}

static inline void tiny_close(struct tiny *m) {
    test_free(m->weights);
    test_free(m->gradients);
    test_free(m->ids);
    test_free(m->targets);
    loom_net_close(&m->net);
}

/* The tensor of this name in the block `data`, which must exist. */
static inline real *tiny_tensor(const struct tiny *m, real *data, const char *name) {
    const struct loom_tensor *t = loom_tensors_find(&m->net.tensors, name);
    if (!t)
        fail_msg("there is no tensor %s", name);
    return t ? data + t->offset : data;
}

/* Gives every element of a tensor one value. */
static inline void tiny_set(struct tiny *m, const char *name, double value) {
    real *w = tiny_tensor(m, m->weights, name);
    for (size_t i = 0; i < loom_tensors_find(&m->net.tensors, name)->count; i++)
        w[i] = (real)value;
}

/* |a - b| / |b|, or |a - b| where b is zero. */
static inline double tiny_distance(const real *a, const real *b, size_t n) {
    double difference = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        square += (double)b[i] * (double)b[i];
    }
    return square > 0 ? sqrt(difference / square) : sqrt(difference);
}

#endif
