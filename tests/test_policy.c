/* test_policy.c - advantages, and the weights of each objective against finite differences of the loss they stand for.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "train/policy.h"

enum { N = 7 };

static void test_advantages(void **state) {
    (void)state;
    const double rewards[4] = {1, 0, 0, 1}, same[3] = {1, 1, 1};
    double a[4];
    assert_true(loom_policy_advantages(LOOM_POLICY_GRPO, rewards, 4, a));
    assert_true(fabs(a[0] - 1) < 1e-5 && fabs(a[1] + 1) < 1e-5); /* mean 1/2, deviation 1/2 */
    assert_true(loom_policy_advantages(LOOM_POLICY_DR_GRPO, rewards, 4, a));
    assert_true(fabs(a[0] - 0.5) < 1e-12 && fabs(a[2] + 0.5) < 1e-12);
    assert_false(loom_policy_advantages(LOOM_POLICY_GRPO, same, 3, a));
    for (int i = 0; i < 3; i++)
        assert_true(fabs(a[i]) < 1e-12);
}

/* The loss of one answer as the papers write it; cispo's ratio is a constant there. */
static double loss(const struct loom_policy *p, double advantage, const double *now, const double *drawn,
                   const double *held, const double *reference) {
    double sum = 0, mean = 0;
    for (int i = 0; i < N; i++)
        mean += (now[i] - drawn[i]) / N;
    for (int i = 0; i < N; i++) {
        double ratio = exp(p->kind == LOOM_POLICY_GSPO ? mean : now[i] - drawn[i]);
        double clipped = fmin(fmax(ratio, 1 - p->clip_low), 1 + p->clip_high);
        double constant = fmin(fmax(exp(held[i] - drawn[i]), 1 - p->clip_low), 1 + p->clip_high);
        double term =
            p->kind == LOOM_POLICY_CISPO ? constant * advantage * now[i] : fmin(ratio * advantage, clipped * advantage);
        double divisor = p->kind == LOOM_POLICY_DR_GRPO ? (double)(p->max_tokens * p->answers)
                         : p->kind == LOOM_POLICY_DAPO || p->kind == LOOM_POLICY_CISPO ? (double)p->all_tokens
                                                                                       : (double)(N * p->answers);
        double q = exp(reference[i] - now[i]);
        sum -= (term - p->kl * (q - log(q) - 1)) / divisor;
    }
    return sum;
}

static void test_weights(void **state) {
    (void)state;
    for (int kind = 0; kind <= LOOM_POLICY_CISPO; kind++)
        for (int trial = 0; trial < 20; trial++) {
            const struct loom_random stream = {(uint64_t)(100 * kind + trial), LOOM_RANDOM_TEST};
            const struct loom_policy p = {kind, 0.2, 0.28, 6, 50, 12, trial % 3 ? 0.4 : 0};
            double now[N], drawn[N], held[N], reference[N], weights[N], advantage = trial % 2 ? 0.7 : -1.3;
            for (int i = 0; i < N; i++) {
                drawn[i] = held[i] = -1 - loom_random_uniform(stream, (uint64_t)i);
                reference[i] = drawn[i] + 0.3 * loom_random_normal(stream, (uint64_t)(80 + i));
                held[i] = now[i] = drawn[i] + 0.3 * loom_random_normal(stream, (uint64_t)(50 + i));
            }
            const struct loom_policy_tokens tokens = {now, drawn, p.kl > 0 ? reference : NULL, N};
            loom_policy_weights(&p, advantage, &tokens, weights);
            for (int i = 0; i < N; i++) {
                const double h = 1e-7;
                double kept = now[i];
                now[i] = kept + h;
                double up = loss(&p, advantage, now, drawn, held, reference);
                now[i] = kept - h;
                double down = loss(&p, advantage, now, drawn, held, reference), slope = (up - down) / (2 * h);
                now[i] = kept;
                /* The weight multiplies d(-log p). */
                if (!(fabs(weights[i] + slope) < 1e-6))
                    fail_msg("kind %d, token %d: %g, not %g", kind, i, weights[i], -slope);
            }
        }
}

static void test_overlong(void **state) {
    (void)state;
    assert_true(fabs(loom_policy_overlong(6, true, 10, 4)) < 1e-12);
    assert_true(fabs(loom_policy_overlong(9, true, 10, 4) + 0.75) < 1e-12);
    assert_true(fabs(loom_policy_overlong(10, true, 10, 4) + 1) < 1e-12);
    assert_true(fabs(loom_policy_overlong(10, false, 10, 4) + 1) < 1e-12);
    assert_true(fabs(loom_policy_overlong(10, false, 10, 0)) < 1e-12); /* not asked for */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_advantages), cmocka_unit_test(test_weights),
                                       cmocka_unit_test(test_overlong)};
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
