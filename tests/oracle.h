/* oracle.h - the models' equations once more, as directly as they can be written.
 *
 * One sequence, one number at a time, in double, no kernels, no cache, no stack, weights looked up by the reference's
 * names. It shares the tensor table with the library and nothing else: where the two agree, a model is its equations.
 */
#ifndef LOOM_TESTS_ORACLE_H
#define LOOM_TESTS_ORACLE_H

#include <stdio.h>

#include "tiny.h"

enum { ORACLE_ROWS = 12, ORACLE_WIDTH = 64, ORACLE_LOOPS = 8 };

/* (T, channels) of one sequence. */
struct oracle_rows {
    double at[ORACLE_ROWS][ORACLE_WIDTH];
};

struct oracle {
    const struct tiny *m;
    const struct loom_config *c;
    size_t seq;
    size_t running[ORACLE_LOOPS]; /* tokens that entered each loop, over all sequences */
};

static inline const real *oracle_weight(const struct oracle *o, const char *prefix, const char *name) {
    char full[4 * LOOM_NAME_MAX];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return tiny_tensor(o->m, o->m->weights, full);
}

/* ---- one vector -------------------------------------------------------------------------------------------------- */

static inline void oracle_product(double *y, const real *w, const double *x, size_t n_out, size_t n_in) {
    for (size_t r = 0; r < n_out; r++) {
        y[r] = 0;
        for (size_t i = 0; i < n_in; i++)
            y[r] += (double)w[r * n_in + i] * x[i];
    }
}

/* W x + b, the names being PREFIX + NAME + ".weight" and ".bias". */
static inline void oracle_affine(const struct oracle *o, double *y, const double *x, const char *prefix,
                                 const char *name, size_t n_out, size_t n_in) {
    char full[LOOM_NAME_MAX];
    snprintf(full, sizeof full, "%s.weight", name);
    oracle_product(y, oracle_weight(o, prefix, full), x, n_out, n_in);
    snprintf(full, sizeof full, "%s.bias", name);
    for (size_t r = 0; o->c->bias && r < n_out; r++)
        y[r] += (double)oracle_weight(o, prefix, full)[r];
}

static inline void oracle_rms(const struct oracle *o, double *y, const double *x, const char *prefix, const char *name,
                              size_t n) {
    const real *w = oracle_weight(o, prefix, name);
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / sqrt(square / (double)n + 1e-6) * (double)w[i];
}

static inline void oracle_layer(const struct oracle *o, double *y, const double *x, const char *prefix,
                                const char *name, size_t n) {
    char full[LOOM_NAME_MAX];
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    snprintf(full, sizeof full, "%s.weight", name);
    const real *w = oracle_weight(o, prefix, full);
    snprintf(full, sizeof full, "%s.bias", name);
    for (size_t i = 0; i < n; i++) {
        y[i] = (x[i] - mean) / sqrt(variance + 1e-5) * (double)w[i];
        y[i] += o->c->bias ? (double)oracle_weight(o, prefix, full)[i] : 0;
    }
}

static inline void oracle_rotate(const struct oracle *o, double *x, size_t width, size_t position) {
    for (size_t i = 0; i < width / 2; i++) {
        double angle = (double)position * pow(o->c->rope_theta, -2.0 * (double)i / (double)width);
        double a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos(angle) - b * sin(angle);
        x[2 * i + 1] = a * sin(angle) + b * cos(angle);
    }
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* out (T, H*Dv) of q (T, H*D), k (T, G*D), v (T, G*Dv). */
static inline void oracle_attend(const struct oracle *o, struct oracle_rows *out, const struct oracle_rows *q,
                                 const struct oracle_rows *k, const struct oracle_rows *v, size_t kv_heads, size_t D,
                                 size_t Dv) {
    size_t heads = (size_t)o->c->n_heads;
    for (size_t t = 0; t < o->seq; t++)
        for (size_t h = 0; h < heads; h++) {
            size_t g = h / (heads / kv_heads);
            double weight[ORACLE_ROWS], sum = 0;
            for (size_t s = 0; s <= t; s++) {
                double score = 0;
                for (size_t d = 0; d < D; d++)
                    score += q->at[t][h * D + d] * k->at[s][g * D + d];
                sum += weight[s] = exp(score / sqrt((double)D));
            }
            for (size_t d = 0; d < Dv; d++) {
                out->at[t][h * Dv + d] = 0;
                for (size_t s = 0; s <= t; s++)
                    out->at[t][h * Dv + d] += weight[s] / sum * v->at[s][g * Dv + d];
            }
        }
}

static inline void oracle_gqa(const struct oracle *o, struct oracle_rows *out, const struct oracle_rows *x,
                              const char *prefix) {
    size_t dim = (size_t)o->c->dim, H = (size_t)o->c->n_heads, G = (size_t)o->c->n_kv_heads, D = dim / H;
    struct oracle_rows q, k, v;
    for (size_t t = 0; t < o->seq; t++) {
        oracle_product(q.at[t], oracle_weight(o, prefix, "wq.weight"), x->at[t], H * D, dim);
        oracle_product(k.at[t], oracle_weight(o, prefix, "wk.weight"), x->at[t], G * D, dim);
        oracle_product(v.at[t], oracle_weight(o, prefix, "wv.weight"), x->at[t], G * D, dim);
        for (size_t h = 0; h < H; h++)
            oracle_rotate(o, q.at[t] + h * D, D, t);
        for (size_t g = 0; g < G; g++)
            oracle_rotate(o, k.at[t] + g * D, D, t);
    }
    oracle_attend(o, out, &q, &k, &v, G, D, D);
}

static inline void oracle_mla(const struct oracle *o, struct oracle_rows *out, const struct oracle_rows *x,
                              const char *prefix) {
    const struct loom_config *c = o->c;
    size_t dim = (size_t)c->dim, H = (size_t)c->n_heads, rank = (size_t)c->kv_lora_rank;
    size_t q_rank = (size_t)c->q_lora_rank, nope = (size_t)c->qk_nope_head_dim, rope = (size_t)c->qk_rope_head_dim;
    size_t Dv = (size_t)c->v_head_dim, D = nope + rope;
    struct oracle_rows q, k, v;
    for (size_t t = 0; t < o->seq; t++) {
        double down[ORACLE_WIDTH], latent[ORACLE_WIDTH], part[ORACLE_WIDTH], turned[ORACLE_WIDTH];
        oracle_product(down, oracle_weight(o, prefix, "q_down.weight"), x->at[t], q_rank, dim);
        oracle_rms(o, latent, down, prefix, "q_norm.weight", q_rank);
        oracle_product(part, oracle_weight(o, prefix, "q_up_nope.weight"), latent, H * nope, q_rank);
        oracle_product(turned, oracle_weight(o, prefix, "q_up_rope.weight"), latent, H * rope, q_rank);
        for (size_t h = 0; h < H; h++) {
            oracle_rotate(o, turned + h * rope, rope, t);
            memcpy(q.at[t] + h * D, part + h * nope, nope * sizeof *part);
            memcpy(q.at[t] + h * D + nope, turned + h * rope, rope * sizeof *part);
        }
        oracle_product(down, oracle_weight(o, prefix, "kv_down.weight"), x->at[t], rank + rope, dim);
        oracle_rotate(o, down + rank, rope, t);
        oracle_rms(o, latent, down, prefix, "kv_norm.weight", rank);
        oracle_product(part, oracle_weight(o, prefix, "kv_up.weight"), latent, H * (nope + Dv), rank);
        for (size_t h = 0; h < H; h++) {
            memcpy(k.at[t] + h * D, part + h * (nope + Dv), nope * sizeof *part);
            memcpy(k.at[t] + h * D + nope, down + rank, rope * sizeof *part);
            memcpy(v.at[t] + h * Dv, part + h * (nope + Dv) + nope, Dv * sizeof *part);
        }
    }
    oracle_attend(o, out, &q, &k, &v, H, D, Dv);
}

static inline void oracle_fused(const struct oracle *o, struct oracle_rows *out, const struct oracle_rows *x,
                                const char *prefix) {
    size_t dim = (size_t)o->c->dim, H = (size_t)o->c->n_heads;
    struct oracle_rows part[3];
    for (size_t t = 0; t < o->seq; t++) {
        double qkv[3 * ORACLE_WIDTH];
        oracle_affine(o, qkv, x->at[t], prefix, "c_attn", 3 * dim, dim);
        for (size_t i = 0; i < 3; i++)
            memcpy(part[i].at[t], qkv + i * dim, dim * sizeof *qkv);
    }
    oracle_attend(o, out, &part[0], &part[1], &part[2], H, dim / H, dim / H);
}

/* ---- feed-forward ------------------------------------------------------------------------------------------------ */

/* y += factor * down(silu(gate x) * up x). */
static inline void oracle_swiglu(const struct oracle *o, double *y, const double *x, double factor, const char *prefix,
                                 size_t width) {
    size_t dim = (size_t)o->c->dim;
    double gate[ORACLE_WIDTH], up[ORACLE_WIDTH], down[ORACLE_WIDTH];
    oracle_product(gate, oracle_weight(o, prefix, "gate.weight"), x, width, dim);
    oracle_product(up, oracle_weight(o, prefix, "up.weight"), x, width, dim);
    for (size_t i = 0; i < width; i++)
        up[i] *= gate[i] / (1 + exp(-gate[i]));
    oracle_product(down, oracle_weight(o, prefix, "down.weight"), up, dim, width);
    for (size_t i = 0; i < dim; i++)
        y[i] += factor * down[i];
}

static inline void oracle_experts(const struct oracle *o, double *y, const double *x, const char *prefix) {
    size_t E = (size_t)o->c->n_experts, K = (size_t)o->c->n_experts_per_tok, F = (size_t)o->c->expert_dim;
    const real *bias = oracle_weight(o, prefix, "router_bias");
    double logits[ORACLE_WIDTH], sum = 0;
    bool chosen[ORACLE_WIDTH] = {false};
    char name[3 * LOOM_NAME_MAX];
    oracle_product(logits, oracle_weight(o, prefix, "router.weight"), x, E, (size_t)o->c->dim);
    for (size_t j = 0; j < K; j++) {
        size_t best = E;
        for (size_t e = 0; e < E; e++)
            if (!chosen[e] && (best == E || logits[e] + (double)bias[e] > logits[best] + (double)bias[best]))
                best = e;
        chosen[best] = true;
        sum += exp(logits[best]);
    }
    for (size_t e = 0; e < E; e++)
        if (chosen[e]) {
            snprintf(name, sizeof name, "%srouted_experts.%zu.", prefix, e);
            oracle_swiglu(o, y, x, exp(logits[e]) / sum, name, F);
        }
    for (int s = 0; s < o->c->n_shared_experts; s++) {
        snprintf(name, sizeof name, "%sshared_experts.%d.", prefix, s);
        oracle_swiglu(o, y, x, 1, name, F * K);
    }
}

static inline void oracle_mlp(const struct oracle *o, double *y, const double *x, const char *prefix) {
    size_t dim = (size_t)o->c->dim;
    double wide[4 * ORACLE_WIDTH], out[ORACLE_WIDTH];
    oracle_affine(o, wide, x, prefix, "c_fc", 4 * dim, dim);
    for (size_t i = 0; i < 4 * dim; i++)
        wide[i] *= 0.5 * (1 + erf(wide[i] / sqrt(2)));
    oracle_affine(o, out, wide, prefix, "c_proj", dim, 4 * dim);
    for (size_t i = 0; i < dim; i++)
        y[i] += out[i];
}

/* ---- the network ------------------------------------------------------------------------------------------------- */

/* x += attention(norm(x)), then x += feed-forward(norm(x)). */
static inline void oracle_block(const struct oracle *o, struct oracle_rows *x, const char *prefix, bool experts) {
    bool gpt = o->c->architecture == LOOM_ARCHITECTURE_GPT, latent = o->c->attn_type == LOOM_ATTENTION_MLA;
    size_t dim = (size_t)o->c->dim;
    char attention[2 * LOOM_NAME_MAX], feed[2 * LOOM_NAME_MAX];
    struct oracle_rows normed, out;
    snprintf(attention, sizeof attention, "%sattn.", prefix);
    snprintf(feed, sizeof feed, gpt ? "%smlp." : "%sffn.", prefix);
    for (size_t t = 0; t < o->seq; t++)
        if (gpt)
            oracle_layer(o, normed.at[t], x->at[t], prefix, "ln_1", dim);
        else
            oracle_rms(o, normed.at[t], x->at[t], prefix, "attn_norm.weight", dim);
    (gpt ? oracle_fused : latent ? oracle_mla : oracle_gqa)(o, &out, &normed, attention);
    for (size_t t = 0; t < o->seq; t++) {
        double y[ORACLE_WIDTH];
        oracle_affine(o, y, out.at[t], attention, gpt ? "c_proj" : "wo", dim,
                      (size_t)o->c->n_heads * loom_config_value_dim(o->c));
        for (size_t i = 0; i < dim; i++)
            x->at[t][i] += y[i];
        if (gpt)
            oracle_layer(o, y, x->at[t], prefix, "ln_2", dim);
        else
            oracle_rms(o, y, x->at[t], prefix, "ffn_norm.weight", dim);
        if (gpt)
            oracle_mlp(o, x->at[t], y, feed);
        else if (experts)
            oracle_experts(o, x->at[t], y, feed);
        else
            oracle_swiglu(o, x->at[t], y, 1, feed, dim * 4 / 3);
    }
}

static inline double oracle_index(size_t dim, size_t channel, int t) {
    size_t n = dim / 8, half = (n + 1) / 2;
    double angle = t * pow(10000, -2.0 * (double)(channel % (half ? half : 1)) / (double)n);
    return channel >= n ? 0 : channel < half ? sin(angle) : cos(angle);
}

/* y += ((y down^T) * scale[t]) B, then h = A h + b e + y, for one token. */
static inline void oracle_update(const struct oracle *o, double *h, const double *e, double *y, int t) {
    size_t dim = (size_t)o->c->dim, rank = (size_t)o->c->lora_rank;
    int row = t < o->c->max_loop_iters ? t : o->c->max_loop_iters - 1;
    const real *scale = oracle_weight(o, "recurrent.", "lora.scale.weight") + (size_t)row * rank;
    const real *up = oracle_weight(o, "recurrent.", "lora.B");
    const real *log_a = oracle_weight(o, "recurrent.", "injection.log_A");
    const real *log_dt = oracle_weight(o, "recurrent.", "injection.log_dt");
    const real *b = oracle_weight(o, "recurrent.", "injection.B");
    double low[ORACLE_WIDTH];
    oracle_product(low, oracle_weight(o, "recurrent.", "lora.down.weight"), y, rank, dim);
    for (size_t i = 0; i < dim; i++) {
        for (size_t r = 0; r < rank; r++)
            y[i] += low[r] * (double)scale[r] * (double)up[r * dim + i];
        h[i] = exp(-exp((double)log_dt[0] + (double)log_a[i])) * h[i] + (double)b[i] * e[i] + y[i];
    }
}

/* out += w h for one token; cum is its sum of probabilities so far. */
static inline void oracle_halt(const struct oracle *o, double *out, const double *h, double *cum, bool last) {
    double p = (double)oracle_weight(o, "recurrent.", "act.halt.bias")[0];
    const real *w = oracle_weight(o, "recurrent.", "act.halt.weight");
    if (*cum >= o->c->act_threshold)
        return;
    for (int i = 0; i < o->c->dim; i++)
        p += (double)w[i] * h[i];
    p = 1 / (1 + exp(-p));
    bool rest = *cum + p >= o->c->act_threshold || (last && o->c->architecture == LOOM_ARCHITECTURE_LOOM);
    for (int i = 0; i < o->c->dim; i++)
        out[i] += (rest ? fmax(1 - *cum, 0) : p) * h[i];
    *cum += p;
}

static inline void oracle_core(struct oracle *o, struct oracle_rows *x, int loops) {
    struct oracle_rows h = *x, e = *x, u, sum;
    bool act = o->c->halting == LOOM_HALTING_ACT;
    double cum[ORACLE_ROWS] = {0}, out[ORACLE_ROWS][ORACLE_WIDTH] = {{0}};
    for (int t = 0; t < loops; t++) {
        for (size_t r = 0; r < o->seq; r++) {
            o->running[t] += cum[r] < o->c->act_threshold;
            for (size_t i = 0; i < (size_t)o->c->dim; i++)
                sum.at[r][i] = h.at[r][i] + e.at[r][i] + oracle_index((size_t)o->c->dim, i, t);
            oracle_rms(o, u.at[r], sum.at[r], "recurrent.", "norm.weight", (size_t)o->c->dim);
        }
        for (int i = 0; i < o->c->core_layers; i++) {
            char prefix[LOOM_NAME_MAX] = "recurrent.block.";
            if (o->c->core_layers > 1)
                snprintf(prefix, sizeof prefix, "recurrent.block.%d.", i);
            oracle_block(o, &u, prefix, true);
        }
        for (size_t r = 0; r < o->seq; r++) {
            oracle_update(o, h.at[r], e.at[r], u.at[r], t);
            if (act)
                oracle_halt(o, out[r], h.at[r], &cum[r], t == loops - 1);
        }
    }
    memcpy(x->at, act ? out : h.at, sizeof out);
}

static inline void oracle_blocks(struct oracle *o, struct oracle_rows *x, const char *stage, int count) {
    for (int i = 0; i < count; i++) {
        char prefix[LOOM_NAME_MAX];
        snprintf(prefix, sizeof prefix, "%s.%d.", stage, i);
        oracle_block(o, x, prefix, false);
    }
}

static inline void oracle_sequence(struct oracle *o, const int *ids, int loops, real *logits) {
    bool gpt = o->c->architecture == LOOM_ARCHITECTURE_GPT;
    size_t dim = (size_t)o->c->dim, vocab = (size_t)o->c->vocab_size;
    const real *embed = oracle_weight(o, gpt ? "transformer.wte." : "embed.", "weight");
    const real *positions = gpt ? oracle_weight(o, "transformer.wpe.", "weight") : NULL;
    struct oracle_rows x = {0};
    for (size_t t = 0; t < o->seq; t++)
        for (size_t i = 0; i < dim; i++)
            x.at[t][i] = (double)embed[(size_t)ids[t] * dim + i] + (gpt ? (double)positions[t * dim + i] : 0);
    oracle_blocks(o, &x, gpt ? "transformer.h" : "prelude", o->c->prelude_layers);
    if (!gpt)
        oracle_core(o, &x, loops);
    oracle_blocks(o, &x, "coda", o->c->coda_layers);
    for (size_t t = 0; t < o->seq; t++) {
        double y[ORACLE_WIDTH], row[ORACLE_WIDTH];
        if (gpt)
            oracle_layer(o, y, x.at[t], "transformer.", "ln_f", dim);
        else
            oracle_rms(o, y, x.at[t], "", "norm.weight", dim);
        oracle_product(row, embed, y, vocab, dim);
        for (size_t i = 0; i < vocab; i++)
            logits[t * vocab + i] = (real)row[i];
    }
}

/* logits (B,T,V) of the model's batch in any number of loops; `running` (ORACLE_LOOPS), when not NULL, becomes the
 * tokens that entered each. */
static inline void oracle_logits(const struct tiny *m, int loops, real *logits, size_t *running) {
    struct oracle o = {.m = m, .c = &m->net.config, .seq = m->seq};
    assert_true(m->seq <= ORACLE_ROWS && loops <= ORACLE_LOOPS);
    for (size_t b = 0; b < m->batch; b++)
        oracle_sequence(&o, m->ids + b * m->seq, loops, logits + b * m->seq * (size_t)o.c->vocab_size);
    if (running)
        memcpy(running, o.running, sizeof o.running);
}

#endif
