/* test_kernel_ref.c - what each kernel means, in float, where a gradient check cannot see it: definitions against loops
 * written out here, ties, empty groups, huge numbers, and outputs that may be inputs. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernel.h"

/* Enough for every array below. */
enum { MANY = 512 };

static void noise(real *x, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++)
        x[i] = (real)loom_random_normal((struct loom_random){seed, LOOM_RANDOM_TEST}, i);
}

static void assert_near(double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("got %.9g, want %.9g", got, want);
}

static void assert_same(const real *got, const real *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("element %zu: got %.9g, want %.9g", i, (double)got[i], (double)want[i]);
}

/* ---- memory and arrays ------------------------------------------------------------------------------------------- */

static void test_memory(void **state) {
    const struct loom_kernels *k = *state;
    static const size_t sizes[] = {0, 1, 64, 65, 4000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *memory = k->alloc(k, sizes[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(memory[b], 0);
        k->release(k, memory);
    }
    assert_null(k->alloc(k, SIZE_MAX));
    k->release(k, NULL);
}

static void test_transfer(void **state) {
    const struct loom_kernels *k = *state;
    real host[3] = {1, 2, 3}, back[3] = {0};
    real *memory = k->alloc(k, sizeof host);
    assert_non_null(memory);
    k->upload(k, memory, host, sizeof host);
    k->upload(k, NULL, NULL, 0);
    k->download(k, back, memory, sizeof back);
    assert_same(back, host, 3);
    k->release(k, memory);
}

static void test_arrays(void **state) {
    const struct loom_kernels *k = *state;
    real y[3], x[3] = {1, -2, 4};
    k->fill(k, y, (real)0.5, 3);
    k->add(k, y, y, x, 3);
    assert_same(y, (real[]){1.5F, -1.5F, 4.5F}, 3);
    k->add_scaled(k, y, 2, x, 3);
    assert_same(y, (real[]){3.5F, -5.5F, 12.5F}, 3);
    k->copy(k, y, x, 3);
    assert_same(y, x, 3);
    assert_near(k->sum(k, x, 3), 3, 0);
    assert_near(k->sum_squares(k, x, 3), 21, 0);
    assert_int_equal(k->count_below(k, x, 1, 3), 1);
}

/* Float alone would stop growing at 2^24. */
static void test_sum_in_double(void **state) {
    const struct loom_kernels *k = *state;
    real x[3] = {16777216, 1, 1};
    assert_near(k->sum(k, x, 3), 16777218, 0);
}

static void test_dropout(void **state) {
    const struct loom_kernels *k = *state;
    real x[MANY], y[MANY];
    noise(x, MANY, 1);
    k->dropout(k, y, x, (real)0.25, 7, MANY);
    size_t dropped = 0;
    for (size_t i = 0; i < MANY; i++) {
        bool keep = loom_random_uniform((struct loom_random){7, LOOM_RANDOM_DROPOUT}, i) >= 0.25;
        assert_near((double)y[i], keep ? (double)x[i] / 0.75 : 0, 1e-6);
        dropped += !keep;
    }
    assert_in_range(dropped, MANY / 4 - 40, MANY / 4 + 40);
    k->dropout(k, x, x, (real)0.25, 7, MANY);
    assert_same(x, y, MANY);
}

/* ---- rows and matrix products ------------------------------------------------------------------------------------ */

/* The kernels that add keep what was there. */
static void test_accumulation(void **state) {
    const struct loom_kernels *k = *state;
    real x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {10, 10, 10, 10, 10, 10}, row[3] = {1, 0, -1}, w[2] = {2, -1};
    k->add_row(k, y, row, 2, 3);
    assert_same(y, (real[]){11, 10, 9, 11, 10, 9}, 6);
    k->add_scaled_rows(k, y, w, x, 2, 3);
    assert_same(y, (real[]){13, 14, 15, 7, 5, 3}, 6);
    k->copy_columns(k, y + 1, 3, x, 2, 2, 2, true);
    assert_same(y, (real[]){13, 15, 17, 7, 8, 7}, 6);
    k->copy_columns(k, y, 3, x, 2, 2, 1, false);
    assert_same(y, (real[]){1, 15, 17, 3, 8, 7}, 6);
    const struct loom_route r = {1, 2, 2, LOOM_ROUTER_SOFTMAX};
    k->combine(k, &r, y, x, w, (int[]){1, 0}, 3);
    assert_same(y, (real[]){1 + 2 * 4 - 1, 15 + 2 * 5 - 2, 17 + 2 * 6 - 3}, 3);
}

static void test_linear(void **state) {
    const struct loom_kernels *k = *state;
    enum { ROWS = 5, IN = 23, OUT = 19 };
    const struct loom_linear s = {.rows = ROWS, .n_in = IN, .n_out = OUT, .groups = 1};
    real x[ROWS * IN], w[OUT * IN], y[ROWS * OUT], twice[ROWS * OUT];
    noise(x, ROWS * IN, 1);
    noise(w, OUT * IN, 2);
    k->linear(k, &s, y, x, w, false);
    memcpy(twice, y, sizeof y);
    k->linear(k, &s, twice, x, w, true);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t o = 0; o < OUT; o++) {
            double sum = 0;
            for (size_t i = 0; i < IN; i++)
                sum += (double)x[r * IN + i] * (double)w[o * IN + i];
            assert_near((double)y[r * OUT + o], sum, 1e-6);
            assert_near((double)twice[r * OUT + o], 2 * sum, 1e-6);
        }
}

/* Three experts, nobody picks the second: its gradient keeps its bits, and the others' come from their own rows. */
static void test_linear_unused_group(void **state) {
    const struct loom_kernels *k = *state;
    const struct loom_linear s = {.rows = 3, .n_in = 2, .n_out = 1, .groups = 3, .offset = (int[]){0, 2, 2, 3}};
    real x[6] = {1, 2, 3, 4, 5, 6}, dy[3] = {1, 10, 100}, dw[6] = {0, 0, 0.1F, -0.0F, 0, 0}, before[6];
    memcpy(before, dw, sizeof dw);
    k->linear_weight(k, &s, dw, dy, x);
    assert_memory_equal(dw + 2, before + 2, 2 * sizeof(real));
    assert_same(dw, (real[]){31, 42, 0.1F, -0.0F, 500, 600}, 6);
    real y[3], w[6] = {1, 0, 7, 7, 0, 1};
    k->linear(k, &s, y, x, w, false);
    assert_same(y, (real[]){1, 3, 6}, 3);
}

/* ---- normalisation, activations ---------------------------------------------------------------------------------- */

static void test_norms(void **state) {
    const struct loom_kernels *k = *state;
    real x[4] = {10001, 10002, 10003, 10006}, one[4] = {1, 1, 1, 1}, bias[4] = {0, 0, 0, 5}, y[4], mean, rstd;
    k->layernorm(k, y, LOOM_STORAGE_REAL, &mean, &rstd, x, one, bias, 1, 4, 0);
    assert_near((double)mean, 10003, 0);
    assert_near((double)rstd, 1 / sqrt(3.5), 1e-7);
    assert_near((double)y[0], -2 / sqrt(3.5), 1e-6);
    assert_near((double)y[3], 5 + 3 / sqrt(3.5), 1e-6);
    k->rmsnorm(k, y, LOOM_STORAGE_REAL, &rstd, (real[]){1, -2, 3, 4}, (real[]){1, 2, 3, 4}, 1, 4, (real)1.5);
    assert_near((double)rstd, 1 / 3.0, 1e-7);
    assert_near((double)y[1], -4 / 3.0, 1e-6);
}

/* Values of x/2 (1 + erf(x/sqrt 2)); the tail loses its digits unless it is computed with erfc. */
static void test_activations(void **state) {
    const struct loom_kernels *k = *state;
    real x[4] = {1, -1, -5, 100}, up[4] = {2, 2, 2, 2}, y[4];
    k->gelu(k, y, LOOM_STORAGE_REAL, x, 4);
    assert_near((double)y[0], 0.84134474606854, 1e-7);
    assert_near((double)y[1], -0.15865525393146, 1e-7);
    assert_near((double)y[2] * 1e6, -1.43325785937267, 1e-6);
    assert_near((double)y[3], 100, 0);
    k->swiglu(k, y, LOOM_STORAGE_REAL, (real[]){1, -1, -1000, 1000}, up, 4);
    assert_near((double)y[0], 1.46211715726001, 1e-7);
    assert_near((double)y[1], -0.53788284273999, 1e-7);
    assert_near((double)y[2], 0, 0);
    assert_near((double)y[3], 2000, 0);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

enum { BATCH = 2, QUERIES = 3, KEYS = 5, HEADS = 4, KV_HEADS = 2, D = 3, DV = 2 };

static struct loom_attention small_attention(void) {
    return (struct loom_attention){BATCH, QUERIES, KEYS, HEADS, KV_HEADS, D, DV, (real)0.7, 0, 0, NULL, 0, 0};
}

static struct loom_view heads_of(real *data, size_t rows, size_t heads, size_t dim) {
    return (struct loom_view){data, rows * heads * dim, heads * dim, dim, LOOM_STORAGE_REAL};
}

/* One output channel of one query, and the log of its softmax's sum, straight from the definition. */
static double attention_by_hand(const struct loom_attention *a, const real *q, const real *key, const real *value,
                                size_t b, size_t h, size_t i, size_t c, double *lse) {
    double sum = 0, out = 0;
    for (size_t j = a->first ? (size_t)a->first[b * QUERIES + i] : 0; j <= KEYS - QUERIES + i; j++) {
        double score = 0;
        for (size_t d = 0; d < D; d++)
            score += (double)q[((b * QUERIES + i) * HEADS + h) * D + d] *
                     (double)key[((b * KEYS + j) * KV_HEADS + h / 2) * D + d];
        double weight = exp((double)a->scale * score), kept = 1;
        if (a->dropout > 0) {
            uint64_t index = ((b * HEADS + h) * QUERIES + i) * KEYS + j;
            double u = loom_random_uniform((struct loom_random){a->dropout_seed, LOOM_RANDOM_DROPOUT}, index);
            kept = u >= (double)a->dropout ? 1 / (1 - (double)a->dropout) : 0;
        }
        sum += weight;
        out += weight * kept * (double)value[((b * KEYS + j) * KV_HEADS + h / 2) * DV + c];
    }
    *lse = log(sum);
    return out / sum;
}

static void check_attention(const struct loom_kernels *k, const struct loom_attention *a) {
    real q[BATCH * QUERIES * HEADS * D], key[BATCH * KEYS * KV_HEADS * D], value[BATCH * KEYS * KV_HEADS * DV];
    real out[BATCH * QUERIES * HEADS * DV], lse[BATCH * HEADS * QUERIES];
    noise(q, sizeof q / sizeof *q, 1);
    noise(key, sizeof key / sizeof *key, 2);
    noise(value, sizeof value / sizeof *value, 3);
    k->attention(k, a, heads_of(out, QUERIES, HEADS, DV), lse, heads_of(q, QUERIES, HEADS, D),
                 heads_of(key, KEYS, KV_HEADS, D), heads_of(value, KEYS, KV_HEADS, DV));
    for (size_t n = 0; n < sizeof out / sizeof *out; n++) {
        size_t c = n % DV, h = n / DV % HEADS, i = n / DV / HEADS % QUERIES, b = n / DV / HEADS / QUERIES;
        double want_lse, want = attention_by_hand(a, q, key, value, b, h, i, c, &want_lse);
        assert_near((double)out[n], want, 1e-6);
        assert_near((double)lse[(b * HEADS + h) * QUERIES + i], want_lse, 1e-6);
    }
}

static void test_attention(void **state) {
    struct loom_attention a = small_attention();
    check_attention(*state, &a);
    a.dropout = (real)0.5;
    a.dropout_seed = 9;
    check_attention(*state, &a);
    a.first = (const int[BATCH * QUERIES]){1, 1, 4, 0, 3, 3};
    check_attention(*state, &a);
}

/* Keys that sequences share lie in the first of their group; what lies in the others' place is not read. */
static void test_attention_shared(void **state) {
    enum { ALL = 4, ROWS = 5, SHARED = 3, GROUP = 2 };
    const struct loom_kernels *k = *state;
    struct loom_attention a = {ALL, 1, ROWS, HEADS, KV_HEADS, D, DV, (real)0.7, 0, 0, NULL, 0, 0};
    real q[ALL * HEADS * D], key[ALL * ROWS * KV_HEADS * D], value[ALL * ROWS * KV_HEADS * DV];
    real out[2][ALL * HEADS * DV], lse[2][ALL * HEADS];
    noise(q, sizeof q / sizeof *q, 1);
    noise(key, sizeof key / sizeof *key, 2);
    noise(value, sizeof value / sizeof *value, 3);
    for (int shared = 1; shared >= 0; shared--) {
        a.shared = shared ? SHARED : 0;
        a.group = GROUP;
        for (size_t b = 0; b < ALL && !shared; b++) { /* the same, each with its own */
            memcpy(key + b * ROWS * KV_HEADS * D, key + b / GROUP * GROUP * ROWS * KV_HEADS * D,
                   SHARED * KV_HEADS * D * sizeof *key);
            memcpy(value + b * ROWS * KV_HEADS * DV, value + b / GROUP * GROUP * ROWS * KV_HEADS * DV,
                   SHARED * KV_HEADS * DV * sizeof *value);
        }
        k->attention(k, &a, heads_of(out[shared], 1, HEADS, DV), lse[shared], heads_of(q, 1, HEADS, D),
                     heads_of(key, ROWS, KV_HEADS, D), heads_of(value, ROWS, KV_HEADS, DV));
    }
    for (size_t i = 0; i < sizeof out[0] / sizeof *out[0]; i++)
        assert_near((double)out[1][i], (double)out[0][i], 1e-6);
    for (size_t i = 0; i < sizeof lse[0] / sizeof *lse[0]; i++)
        assert_near((double)lse[1][i], (double)lse[0][i], 1e-6);
}

/* Scores near 1e6 must not overflow: the softmax becomes the largest one's value. */
static void test_attention_huge(void **state) {
    const struct loom_kernels *k = *state;
    const struct loom_attention a = {1, 1, 3, 1, 1, 1, 1, 1, 0, 0, NULL, 0, 0};
    real q = 1000, key[3] = {-1000, 1000, 999}, value[3] = {1, 2, 3}, out, lse;
    k->attention(k, &a, heads_of(&out, 1, 1, 1), &lse, heads_of(&q, 1, 1, 1), heads_of(key, 3, 1, 1),
                 heads_of(value, 3, 1, 1));
    assert_near((double)out, 2, 0);
    assert_near((double)lse, 1e6, 0);
}

/* Turned by the angles of positions m and n, a product depends on m - n alone; channels past the pairs stay. */
static void test_rope(void **state) {
    const struct loom_kernels *k = *state;
    real table[8 * 2], x[3] = {1, 2, 9}, y[3] = {3, -1, 9};
    for (size_t p = 0; p < 8; p++) {
        table[2 * p] = (real)cos(0.3 * (double)p);
        table[2 * p + 1] = (real)sin(0.3 * (double)p);
    }
    k->rope(k, heads_of(x, 1, 1, 3), heads_of(x, 1, 1, 3), 1, 1, 1, 1, table, 5, false);
    k->rope(k, heads_of(y, 1, 1, 3), heads_of(y, 1, 1, 3), 1, 1, 1, 1, table, 7, false);
    assert_near((double)x[0], cos(1.5) - 2 * sin(1.5), 1e-6);
    assert_near((double)x[1], sin(1.5) + 2 * cos(1.5), 1e-6);
    assert_near((double)(x[0] * y[0] + x[1] * y[1]), 1 * cos(0.6) + 7 * sin(0.6), 1e-6);
    assert_near((double)x[2] + (double)y[2], 18, 0);
    k->rope(k, heads_of(x, 1, 1, 3), heads_of(x, 1, 1, 3), 1, 1, 1, 1, table, 5, true);
    assert_near((double)x[0], 1, 1e-6);
    assert_near((double)x[1], 2, 1e-6);
}

/* ---- router and experts ------------------------------------------------------------------------------------------ */

static void test_route(void **state) {
    const struct loom_kernels *k = *state;
    const struct loom_route r = {2, 4, 2, LOOM_ROUTER_SOFTMAX};
    const real logits[8] = {1, 3, 3, 3, 0, 1, 2, 3}, bias[4] = {0, 0, 0, 0};
    real scores[8], gates[4];
    int ids[4];
    k->route(k, &r, scores, ids, gates, logits, bias);
    assert_memory_equal(ids, ((int[]){1, 2, 3, 2}), sizeof ids);
    assert_near((double)gates[0], 0.5, 1e-7);
    assert_near((double)gates[2], 1 / (1 + exp(-1)), 1e-7);
    assert_near((double)scores[0], exp(1) / (exp(1) + 3 * exp(3)), 1e-7);
    assert_near((double)(scores[4] + scores[5] + scores[6] + scores[7]), 1, 1e-6);
}

/* The bias chooses expert 0 and then leaves its weight to the logits. */
static void test_route_bias(void **state) {
    const struct loom_kernels *k = *state;
    const struct loom_route r = {1, 3, 2, LOOM_ROUTER_SOFTMAX};
    real scores[3], gates[2];
    int ids[2];
    k->route(k, &r, scores, ids, gates, (real[]){0, 2, 1}, (real[]){5, 0, 0});
    assert_memory_equal(ids, ((int[]){0, 1}), sizeof ids);
    assert_near((double)gates[0], 1 / (1 + exp(2)), 1e-7);
    assert_near((double)gates[0] / (double)gates[1], (double)scores[0] / (double)scores[1], 1e-6);
}

/* A sigmoid's gates are its scores over their sum, and the bias moves scores; switch keeps the softmax's scores;
 * mixtral's are softmax's. */
static void test_route_kinds(void **state) {
    const struct loom_kernels *k = *state;
    const real logits[] = {-1, 2, 0.5F}, bias[] = {0.7F, 0, 0};
    struct loom_route r = {1, 3, 2, LOOM_ROUTER_SIGMOID};
    real scores[3], gates[2], others[2];
    int ids[2];
    k->route(k, &r, scores, ids, gates, logits, bias);
    assert_memory_equal(ids, ((int[]){0, 1}), sizeof ids); /* 0.27 + 0.7 is more than 0.88; as logits it would not be */
    assert_near((double)scores[0], 1 / (1 + exp(1)), 1e-7);
    assert_near((double)gates[0], (double)scores[0] / ((double)scores[0] + (double)scores[1]), 1e-6);
    k->route(k, &r, scores, ids, gates, (real[]){-1e4F, -1e4F, -2e4F}, (real[]){0, 0, 0});
    assert_same(gates, (real[]){0.5F, 0.5F}, 2); /* although both scores are 0 */
    r.kind = LOOM_ROUTER_SWITCH;
    k->route(k, &r, scores, ids, gates, logits, NULL);
    assert_memory_equal(ids, ((int[]){1, 2}), sizeof ids);
    assert_near((double)gates[0], exp(2) / (exp(-1) + exp(2) + exp(0.5)), 1e-7);
    r.kind = LOOM_ROUTER_SOFTMAX;
    k->route(k, &r, scores, ids, gates, logits, bias);
    r.kind = LOOM_ROUTER_MIXTRAL;
    k->route(k, &r, scores, ids, others, logits, bias);
    assert_same(others, gates, 2);
}

/* Huge logits stay finite even when the bias picks experts whose scores are zero; not-a-number still gives valid ids,
 * so that it reaches the loss and not a wild address. */
static void test_route_extremes(void **state) {
    const struct loom_kernels *k = *state;
    const struct loom_route r = {1, 4, 2, LOOM_ROUTER_SOFTMAX};
    real scores[4], gates[2];
    int ids[2];
    k->route(k, &r, scores, ids, gates, (real[]){1e30F, -1e30F, -1e30F, 0}, (real[]){0, 3e30F, 3e30F, 0});
    assert_memory_equal(ids, ((int[]){1, 2}), sizeof ids);
    assert_same(gates, (real[]){0.5F, 0.5F}, 2);
    assert_same(scores, (real[]){1, 0, 0, 0}, 4);
    const real nan = (real)NAN;
    k->route(k, &r, scores, ids, gates, (real[]){nan, nan, nan, nan}, (real[]){0, 0, 0, 0});
    assert_memory_equal(ids, ((int[]){0, 1}), sizeof ids);
    assert_true(isnan(gates[0]));
}

static void test_group(void **state) {
    const struct loom_kernels *k = *state;
    enum { ROWS = 37, EXPERTS = 7, TOP_K = 3, CHOICES = ROWS * TOP_K };
    const struct loom_route r = {ROWS, EXPERTS, TOP_K, LOOM_ROUTER_SOFTMAX};
    int ids[CHOICES], offset[EXPERTS + 1], slot[CHOICES], source[CHOICES], count[EXPERTS] = {0};
    for (size_t i = 0; i < CHOICES; i++) { /* nobody picks expert 4 */
        ids[i] = (int)loom_random_below((struct loom_random){1, LOOM_RANDOM_TEST}, i, EXPERTS - 1);
        ids[i] += ids[i] >= 4;
        count[ids[i]]++;
    }
    k->group(k, &r, offset, slot, source, ids);
    assert_int_equal(offset[0], 0);
    for (int e = 0; e < EXPERTS; e++) {
        assert_int_equal(offset[e + 1] - offset[e], count[e]);
        for (int i = offset[e]; i < offset[e + 1]; i++) {
            assert_int_equal(ids[source[i]], e);
            assert_int_equal(slot[source[i]], i);
            assert_true(i == offset[e] || source[i - 1] < source[i]);
        }
    }
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Outside the clamp the factor no longer depends on log_a, and its gradient is exactly zero. */
static void test_lti(void **state) {
    const struct loom_kernels *k = *state;
    const real log_a[3] = {0, 30, -30}, log_dt = 0, b[3] = {2, 2, 2}, h[3] = {1, 1, 1}, e[3] = {1, 2, 3};
    real out[3], y[3] = {10, 10, 10}, dh[3], de[3] = {0}, dlog_a[3] = {0}, dlog_dt = 0, db[3] = {0};
    k->lti(k, out, h, e, y, log_a, &log_dt, b, 1, 3);
    assert_near((double)out[0], exp(-1) + 2 + 10, 1e-7);
    assert_near((double)out[1], 14, 0);
    assert_near((double)out[2], 17, 1e-7);
    k->lti_backward(k, dh, de, dlog_a, &dlog_dt, db, y, h, e, log_a, &log_dt, b, 1, 3);
    assert_near((double)dlog_a[0], -10 * exp(-1), 1e-7);
    assert_same(dlog_a + 1, (real[]){0, 0}, 2);
    assert_same(&dlog_dt, dlog_a, 1);
}

/* Four tokens: halted before, halting now, running, running with no weight left. */
static void test_halt(void **state) {
    const struct loom_kernels *k = *state;
    const real cum[4] = {0.95F, 0.5F, 0.25F, 1.25F}, logit[4] = {0, 0, 0, 0};
    real p[4], w[4], out[4];
    k->halt(k, &(struct loom_halt){4, 0.9F, false}, p, w, out, cum, logit);
    assert_same(p, (real[]){0, 0.5F, 0.5F, 0}, 4);
    assert_same(w, (real[]){0, 0.5F, 0.5F, 0}, 4);
    assert_same(out, (real[]){0.95F, 1, 0.75F, 1.25F}, 4);
    k->halt(k, &(struct loom_halt){4, 1.5F, false}, p, w, out, cum, logit);
    assert_same(w, (real[]){0.5F, 0.5F, 0.5F, 0}, 4);
    k->halt(k, &(struct loom_halt){4, 0.9F, true}, p, w, out, cum, logit);
    assert_same(w, (real[]){0, 0.5F, 0.75F, 0}, 4);
    assert_same(out, (real[]){0.95F, 1, 0.75F, 1.25F}, 4);
}

/* ---- loss and optimizer ------------------------------------------------------------------------------------------ */

static void test_cross_entropy(void **state) {
    const struct loom_kernels *k = *state;
    real logits[9] = {1, 1, 1, 1e30F, -1e30F, 0, 5, 6, 7}, loss[3];
    const int targets[3] = {2, 0, -1};
    k->cross_entropy(k, loss, NULL, logits, targets, 3, 3, 3);
    assert_near((double)loss[0], log(3), 1e-7);
    assert_same(loss + 1, (real[]){0, 0}, 2);
    k->cross_entropy(k, loss, logits, logits, targets, 3, 3, 3);
    assert_near((double)loss[0], log(3), 1e-7);
    assert_near((double)logits[0], 1, 1e-6);
    assert_near((double)logits[2], -2, 1e-6);
    assert_same(logits + 3, (real[]){0, 0, 0, 0, 0, 0}, 6);
}

/* Algorithm 2 of the paper, in double, with the learning rate also on the decay as PyTorch has it. */
static void test_adamw(void **state) {
    const struct loom_kernels *k = *state;
    struct loom_adamw o = {0.01, 0.9, 0.999, 1e-8, 0.1, 0, 0, (real)0.5};
    real p[7], m[7] = {0}, v[7] = {0}, g[7];
    double theta[7], first[7] = {0}, second[7] = {0};
    noise(p, 7, 1);
    for (size_t i = 0; i < 7; i++)
        theta[i] = (double)p[i];
    for (int t = 1; t <= 20; t++) {
        noise(g, 7, (uint64_t)t + 1);
        o.correction1 = 1 - pow(o.beta1, t);
        o.correction2 = 1 - pow(o.beta2, t);
        k->adamw(k, &o, p, m, v, g, 7);
        for (size_t i = 0; i < 7; i++) {
            double gradient = 0.5 * (double)g[i];
            first[i] = 0.9 * first[i] + 0.1 * gradient;
            second[i] = 0.999 * second[i] + 0.001 * gradient * gradient;
            theta[i] -= 0.01 * 0.1 * theta[i];
            theta[i] -= 0.01 * (first[i] / (1 - pow(0.9, t))) / (sqrt(second[i] / (1 - pow(0.999, t))) + 1e-8);
            assert_near((double)p[i], theta[i], 1e-6);
            assert_near((double)v[i] * 1e3, second[i] * 1e3, 1e-6);
        }
    }
}

/* ---- outputs that may be inputs ---------------------------------------------------------------------------------- */

static void test_overlap_elements(void **state) {
    const struct loom_kernels *k = *state;
    enum { N = 21 };
    real dy[N], gate[N], up[N], apart[N], dup[N], act[N], again[N], copies[3][N];
    noise(dy, N, 1);
    noise(gate, N, 2);
    noise(up, N, 3);
    k->swiglu(k, act, LOOM_STORAGE_REAL, gate, up, N);
    k->swiglu_backward(k, apart, dup, again, LOOM_STORAGE_REAL, dy, gate, up, N);
    assert_same(again, act, N);
    memcpy(copies[0], dy, sizeof dy);
    memcpy(copies[1], gate, sizeof gate);
    memcpy(copies[2], up, sizeof up);
    k->swiglu_backward(k, copies[0], copies[1], copies[2], LOOM_STORAGE_REAL, copies[0], copies[1], copies[2], N);
    assert_same(copies[0], apart, N);
    assert_same(copies[1], dup, N);
    assert_same(copies[2], act, N);
    k->gelu(k, act, LOOM_STORAGE_REAL, gate, N);
    k->gelu_backward(k, apart, again, LOOM_STORAGE_REAL, dy, gate, N);
    assert_same(again, act, N);
    memcpy(copies[0], dy, sizeof dy);
    memcpy(copies[1], gate, sizeof gate);
    k->gelu_backward(k, copies[0], copies[1], LOOM_STORAGE_REAL, copies[0], copies[1], N);
    assert_same(copies[0], apart, N);
    assert_same(copies[1], act, N);
    k->scale_columns(k, apart, gate, up, 3, 7);
    k->scale_columns(k, gate, gate, up, 3, 7);
    assert_same(gate, apart, N);
}

static void test_overlap_rows(void **state) {
    const struct loom_kernels *k = *state;
    enum { ROWS = 3, COLS = 5, N = ROWS * 2 * COLS };
    const struct loom_route r = {ROWS, 4, 2, LOOM_ROUTER_SOFTMAX};
    const int slot[ROWS * 2] = {3, 0, 5, 1, 2, 4};
    real x[N], dy[N], gates[ROWS * 2], apart[N], dgates[ROWS * 2], again[ROWS * 2];
    noise(x, N, 1);
    noise(dy, N, 2);
    noise(gates, ROWS * 2, 3);
    k->lti(k, apart, x, dy, dy, x, gates, dy, ROWS, COLS);
    real y[N];
    memcpy(y, dy, sizeof y);
    k->lti(k, y, x, dy, y, x, gates, dy, ROWS, COLS);
    assert_same(y, apart, ROWS * COLS);
    k->combine_backward(k, &r, apart, LOOM_STORAGE_REAL, dgates, dy, x, gates, slot, COLS);
    k->combine_backward(k, &r, x, LOOM_STORAGE_REAL, again, dy, x, gates, slot, COLS);
    assert_same(x, apart, N);
    assert_same(again, dgates, ROWS * 2);
}

static void test_overlap_halt(void **state) {
    const struct loom_kernels *k = *state;
    enum { ROWS = 9 };
    const struct loom_halt s = {ROWS, (real)0.6, false};
    real logit[ROWS], cum[ROWS], p[ROWS], w[ROWS], out[ROWS], dlogit[ROWS], again[ROWS], dcum[ROWS];
    noise(logit, ROWS, 1);
    for (size_t i = 0; i < ROWS; i++)
        cum[i] = (real)0.1 * (real)i;
    k->halt(k, &s, p, w, out, cum, logit);
    k->halt_backward(k, &s, dlogit, dcum, w, out, p, cum);
    k->halt_backward(k, &s, again, out, w, out, p, cum);
    assert_same(again, dlogit, ROWS);
    assert_same(out, dcum, ROWS);
}

int main(void) {
    void *k = (void *)(uintptr_t)loom_kernels_ref(); /* cmocka's state is not const */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_memory, k),         cmocka_unit_test_prestate(test_transfer, k),
        cmocka_unit_test_prestate(test_arrays, k),         cmocka_unit_test_prestate(test_sum_in_double, k),
        cmocka_unit_test_prestate(test_dropout, k),        cmocka_unit_test_prestate(test_accumulation, k),
        cmocka_unit_test_prestate(test_linear, k),         cmocka_unit_test_prestate(test_linear_unused_group, k),
        cmocka_unit_test_prestate(test_norms, k),          cmocka_unit_test_prestate(test_activations, k),
        cmocka_unit_test_prestate(test_attention, k),      cmocka_unit_test_prestate(test_attention_shared, k),
        cmocka_unit_test_prestate(test_attention_huge, k), cmocka_unit_test_prestate(test_rope, k),
        cmocka_unit_test_prestate(test_route, k),          cmocka_unit_test_prestate(test_route_bias, k),
        cmocka_unit_test_prestate(test_route_kinds, k),    cmocka_unit_test_prestate(test_route_extremes, k),
        cmocka_unit_test_prestate(test_group, k),          cmocka_unit_test_prestate(test_lti, k),
        cmocka_unit_test_prestate(test_halt, k),           cmocka_unit_test_prestate(test_cross_entropy, k),
        cmocka_unit_test_prestate(test_adamw, k),          cmocka_unit_test_prestate(test_overlap_elements, k),
        cmocka_unit_test_prestate(test_overlap_rows, k),   cmocka_unit_test_prestate(test_overlap_halt, k),
    };
    return cmocka_run_group_tests_name("reference kernels", tests, NULL, NULL);
}
