/* attention.c - rotary positions and causal attention.
 *
 * Nothing is stored for each pair of query and key: a pair's weight exp(score - lse) is computed again wherever it is
 * needed. That costs time and needs no scratch, and every result is one sum in a fixed order. */
#include "kernel/ref/ref.h"

#include "base/random.h"

static real *head_at(struct loom_view v, size_t b, size_t t, size_t h) {
    return v.data + b * v.batch + t * v.row + h * v.head;
}

/* Key or value j as head g of sequence b reads it. */
static real *past_at(const struct loom_attention *a, struct loom_view v, size_t b, size_t j, size_t g) {
    return head_at(v, j < a->shared ? b / a->group * a->group : b, j, g);
}

static void rotate(real *y, const real *x, const real *table, size_t pairs, bool inverse) {
    for (size_t p = 0; p < pairs; p++) {
        real cosine = table[2 * p], sine = inverse ? -table[2 * p + 1] : table[2 * p + 1];
        real even = x[2 * p], odd = x[2 * p + 1];
        y[2 * p] = even * cosine - odd * sine;
        y[2 * p + 1] = even * sine + odd * cosine;
    }
}

void loom_ref_rope(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch, size_t rows,
                   size_t heads, size_t pairs, const real *table, size_t first, bool inverse) {
    (void)k;
    for (size_t b = 0; b < batch; b++)
        for (size_t t = 0; t < rows; t++)
            for (size_t h = 0; h < heads; h++)
                rotate(head_at(y, b, t, h), head_at(x, b, t, h), table + (first + t) * pairs * 2, pairs, inverse);
}

/* How many keys query i sees. */
static size_t keys_seen(const struct loom_attention *a, size_t i) {
    return a->keys - a->queries + i + 1;
}

/* The first key that query i sees. */
static size_t first_key(const struct loom_attention *a, size_t b, size_t i) {
    return a->first != NULL ? (size_t)a->first[b * a->queries + i] : 0;
}

static double score(const struct loom_attention *a, const real *q, const real *key) {
    return (double)a->scale * loom_ref_dot(q, key, a->head_dim);
}

/* What dropout multiplies the weight of (query i, key j) by: 0, or what keeps the mean. */
static double dropout_factor(const struct loom_attention *a, size_t b, size_t h, size_t i, size_t j) {
    if (a->dropout <= 0)
        return 1;
    const struct loom_random stream = {a->dropout_seed, LOOM_RANDOM_DROPOUT};
    uint64_t index = ((b * a->heads + h) * a->queries + i) * a->keys + j;
    return loom_random_uniform(stream, index) >= (double)a->dropout ? 1 / (1 - (double)a->dropout) : 0;
}

/* sum[c] += factor * x[c]. */
static void add_scaled(double *sum, double factor, const real *x, size_t n) {
    for (size_t c = 0; c < n; c++)
        sum[c] += factor * (double)x[c];
}

static void round_to(real *y, const double *sum, size_t n) {
    for (size_t c = 0; c < n; c++)
        y[c] = (real)sum[c];
}

/* The log of the sum of exp(score) over the keys that query i sees, from the largest score down. */
static double log_sum_exp(const struct loom_attention *a, const real *q, struct loom_view key, size_t b, size_t g,
                          size_t i) {
    double largest = -HUGE_VAL, sum = 0;
    for (size_t j = first_key(a, b, i); j < keys_seen(a, i); j++)
        largest = fmax(largest, score(a, q, past_at(a, key, b, j, g)));
    for (size_t j = first_key(a, b, i); j < keys_seen(a, i); j++)
        sum += exp(score(a, q, past_at(a, key, b, j, g)) - largest);
    return largest + log(sum);
}

/* One query of one head; returns its log of the softmax's sum. */
static double attend(const struct loom_attention *a, struct loom_view out, struct loom_view q, struct loom_view key,
                     struct loom_view value, size_t b, size_t h, size_t i) {
    const size_t g = h / (a->heads / a->kv_heads);
    const real *query = head_at(q, b, i, h);
    const double lse = log_sum_exp(a, query, key, b, g, i);
    for (size_t first = 0; first < a->value_dim; first += LOOM_REF_CHUNK) {
        size_t width = loom_ref_min(LOOM_REF_CHUNK, a->value_dim - first);
        double sum[LOOM_REF_CHUNK] = {0};
        for (size_t j = first_key(a, b, i); j < keys_seen(a, i); j++) {
            double weight = exp(score(a, query, past_at(a, key, b, j, g)) - lse) * dropout_factor(a, b, h, i, j);
            add_scaled(sum, weight, past_at(a, value, b, j, g) + first, width);
        }
        round_to(head_at(out, b, i, h) + first, sum, width);
    }
    return lse;
}

void loom_ref_attention(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view out, real *lse,
                        struct loom_view q, struct loom_view key, struct loom_view value) {
    (void)k;
    for (size_t b = 0; b < a->batch; b++)
        for (size_t h = 0; h < a->heads; h++)
            for (size_t i = 0; i < a->queries; i++)
                lse[(b * a->heads + h) * a->queries + i] = (real)attend(a, out, q, key, value, b, h, i);
}

/* What the backward reads. */
struct saved {
    const struct loom_attention *a;
    struct loom_view dout, out, q, key, value;
    const real *lse;
};

/* One pair of query and key: its weight after dropout, and the loss's derivative by q . k. */
struct pair {
    double weight, slope;
};

/* With p = exp(score - lse), m the dropout factor and dp = m (dout . v): dscore = p (dp - sum over keys of p dp), and
 * that sum is dout . out. */
static struct pair pair_at(const struct saved *s, size_t b, size_t h, size_t i, size_t j) {
    const struct loom_attention *a = s->a;
    const size_t g = h / (a->heads / a->kv_heads);
    const real *dout = head_at(s->dout, b, i, h);
    double lse = (double)s->lse[(b * a->heads + h) * a->queries + i];
    double p = exp(score(a, head_at(s->q, b, i, h), head_at(s->key, b, j, g)) - lse);
    double factor = dropout_factor(a, b, h, i, j);
    double dp = factor * loom_ref_dot(dout, head_at(s->value, b, j, g), a->value_dim);
    double mean = loom_ref_dot(dout, head_at(s->out, b, i, h), a->value_dim);
    return (struct pair){p * factor, (double)a->scale * p * (dp - mean)};
}

/* dq of query i: the sum over the keys it sees of slope * key. */
static void query_gradient(const struct saved *s, real *dq, size_t b, size_t h, size_t i) {
    const struct loom_attention *a = s->a;
    const size_t g = h / (a->heads / a->kv_heads);
    for (size_t first = 0; first < a->head_dim; first += LOOM_REF_CHUNK) {
        size_t width = loom_ref_min(LOOM_REF_CHUNK, a->head_dim - first);
        double sum[LOOM_REF_CHUNK] = {0};
        for (size_t j = first_key(a, b, i); j < keys_seen(a, i); j++)
            add_scaled(sum, pair_at(s, b, h, i, j).slope, head_at(s->key, b, j, g) + first, width);
        round_to(dq + first, sum, width);
    }
}

/* dk of key j: the sum of slope * q over the queries that see it and the heads that read it. dv, when `of_value`: the
 * same sum of weight * dout. */
static void key_gradient(const struct saved *s, real *dkv, size_t b, size_t g, size_t j, bool of_value) {
    const struct loom_attention *a = s->a;
    const struct loom_view from = of_value ? s->dout : s->q;
    const size_t dim = of_value ? a->value_dim : a->head_dim, share = a->heads / a->kv_heads;
    const size_t cached = a->keys - a->queries, start = j > cached ? j - cached : 0;
    for (size_t first = 0; first < dim; first += LOOM_REF_CHUNK) {
        size_t width = loom_ref_min(LOOM_REF_CHUNK, dim - first);
        double sum[LOOM_REF_CHUNK] = {0};
        for (size_t h = g * share; h < (g + 1) * share; h++)
            for (size_t i = start; i < a->queries && first_key(a, b, i) <= j; i++) {
                struct pair pair = pair_at(s, b, h, i, j);
                add_scaled(sum, of_value ? pair.weight : pair.slope, head_at(from, b, i, h) + first, width);
            }
        round_to(dkv + first, sum, width);
    }
}

void loom_ref_attention_backward(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view dq,
                                 struct loom_view dk, struct loom_view dv, struct loom_view dout, struct loom_view out,
                                 const real *lse, struct loom_view q, struct loom_view key, struct loom_view value) {
    (void)k;
    const struct saved s = {a, dout, out, q, key, value, lse};
    for (size_t b = 0; b < a->batch; b++) {
        for (size_t h = 0; h < a->heads; h++)
            for (size_t i = 0; i < a->queries; i++)
                query_gradient(&s, head_at(dq, b, i, h), b, h, i);
        for (size_t g = 0; g < a->kv_heads; g++)
            for (size_t j = 0; j < a->keys; j++) {
                key_gradient(&s, head_at(dk, b, j, g), b, g, j, false);
                key_gradient(&s, head_at(dv, b, j, g), b, g, j, true);
            }
    }
}
