/* test_mask_gradients.c - attention that keeps documents apart: its gradients against finite differences, after a cache
 * and without, with dropout and without.
 *
 * Compiled in double, with the reference kernels. Keys that no query sees must have gradients of zero. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernel.h"

enum { B = 2, H = 4, G = 2, D = 3, DV = 2, QUERIES_MAX = 5, KEYS_MAX = 7 };
enum { N_Q = B * QUERIES_MAX * H * D, N_K = B * KEYS_MAX * G * D, N_V = B * KEYS_MAX * G * DV };
enum { N_OUT = B * QUERIES_MAX * H * DV, PARTS = 3 };

struct scene {
    struct loom_attention a;
    real x[PARTS][N_Q + N_K + N_V], dx[PARTS][N_Q + N_K + N_V]; /* q, k, v */
    real out[N_OUT], dout[N_OUT], lse[B * H * QUERIES_MAX];
};

static struct loom_view view(real *data, size_t rows, size_t heads, size_t width) {
    return (struct loom_view){data, rows * heads * width, heads * width, width, LOOM_STORAGE_REAL};
}

static void noise(real *x, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++)
        x[i] = (real)loom_random_normal((struct loom_random){seed, LOOM_RANDOM_TEST}, i);
}

static double loss(struct scene *s) {
    const struct loom_attention *a = &s->a;
    const struct loom_kernels *k = loom_kernels_ref();
    double sum = 0;
    k->attention(k, a, view(s->out, a->queries, H, DV), s->lse, view(s->x[0], a->queries, H, D),
                 view(s->x[1], a->keys, G, D), view(s->x[2], a->keys, G, DV));
    for (size_t i = 0; i < B * a->queries * H * DV; i++)
        sum += s->out[i] * s->dout[i];
    return sum;
}

static void backward(struct scene *s) {
    const struct loom_attention *a = &s->a;
    const struct loom_kernels *k = loom_kernels_ref();
    k->attention_backward(k, a, view(s->dx[0], a->queries, H, D), view(s->dx[1], a->keys, G, D),
                          view(s->dx[2], a->keys, G, DV), view(s->dout, a->queries, H, DV),
                          view(s->out, a->queries, H, DV), s->lse, view(s->x[0], a->queries, H, D),
                          view(s->x[1], a->keys, G, D), view(s->x[2], a->keys, G, DV));
}

static void check_part(struct scene *s, int part, size_t n) {
    const real step = 1e-5;
    for (size_t i = 0; i < n; i++) {
        const real x = s->x[part][i];
        s->x[part][i] = x + step;
        double want = loss(s);
        s->x[part][i] = x - step;
        want = (want - loss(s)) / (2 * step);
        s->x[part][i] = x;
        if (!(fabs(s->dx[part][i] - want) <= 1e-8))
            fail_msg("input %d, element %zu: gradient %g, differences give %g", part, i, s->dx[part][i], want);
    }
}

static void check(size_t queries, size_t keys, const int *first, real dropout) {
    struct scene s = {.a = {.batch = B,
                            .queries = queries,
                            .keys = keys,
                            .heads = H,
                            .kv_heads = G,
                            .head_dim = D,
                            .value_dim = DV,
                            .scale = 0.6,
                            .dropout = dropout,
                            .dropout_seed = 5,
                            .first = first}};
    for (int part = 0; part < PARTS; part++) {
        noise(s.x[part], N_Q + N_K + N_V, (uint64_t)part);
        noise(s.dx[part], N_Q + N_K + N_V, 7); /* to be overwritten */
    }
    noise(s.dout, N_OUT, 9);
    loss(&s);
    backward(&s);
    check_part(&s, 0, B * queries * H * D);
    check_part(&s, 1, B * keys * G * D);
    check_part(&s, 2, B * keys * G * DV);
    for (size_t b = 0; b < B; b++)
        for (size_t i = 0; i < (size_t)first[b * queries] * G * D; i++)
            assert_true(fabs(s.dx[1][b * keys * G * D + i]) <= 0);
}

static void test_gradients(void **state) {
    (void)state;
    for (int dropped = 0; dropped < 2; dropped++) {
        check(5, 5, (const int[]){0, 0, 2, 2, 4, 0, 1, 1, 1, 1}, dropped ? 0.4 : 0);
        check(5, 7, (const int[]){1, 1, 4, 4, 4, 2, 2, 2, 2, 6}, dropped ? 0.4 : 0);
        check(1, 7, (const int[]){6, 3}, dropped ? 0.4 : 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
