/* test_privacy.c - the accountants against published values, and the search for noise against the accountants. */
#include <complex.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fft.h"
#include "base/random.h"
#include "train/privacy.h"

static void expect_near(double value, double wanted, double relative) {
    if (!(fabs(value - wanted) <= relative * fabs(wanted)))
        fail_msg("%.12g where %.12g was wanted", value, wanted);
}

/* ---- the transform ----------------------------------------------------------------------------------------------- */

/* Squaring the spectrum convolves: against the sum written out. */
static void test_fft(void **state) {
    enum { N = 64 };
    (void)state;
    struct loom_fft fft;
    double complex x[N], wanted[N];
    struct loom_random stream = {7, LOOM_RANDOM_TEST};
    for (uint64_t i = 0; i < N; i++)
        x[i] = loom_complex(loom_random_normal(stream, 2 * i), loom_random_normal(stream, 2 * i + 1));
    for (size_t i = 0; i < N; i++) {
        wanted[i] = 0;
        for (size_t j = 0; j < N; j++)
            wanted[i] += x[j] * x[(i + N - j) % N];
    }
    assert_true(loom_fft_open(&fft, N));
    loom_fft_forward(&fft, x);
    for (size_t i = 0; i < N; i++)
        x[i] *= x[i] / N;
    loom_fft_inverse(&fft, x);
    for (size_t i = 0; i < N; i++)
        assert_true(cabs(x[i] - wanted[i]) < 1e-12);
    loom_fft_close(&fft);
}

/* ---- Renyi ------------------------------------------------------------------------------------------------------- */

/* The values of Google's dp_accounting for noise 2.5 at rate 0.01 over 50 steps. (For an order between two whole
 * ones it tells an upper bound, so the value at 1.5 is TensorFlow Privacy's, which integrates.) */
static void test_divergence(void **state) {
    (void)state;
    const struct loom_privacy_plan plan = {2.5, 0.01, 50};
    expect_near(loom_privacy_divergence(&plan, 5), 2.18075656e-3, 1e-8);
    expect_near(loom_privacy_divergence(&plan, 50), 2.38460375e-2, 1e-8);
    expect_near(loom_privacy_divergence(&plan, 100), 1.67416308e2, 1e-8);
    expect_near(loom_privacy_divergence(&plan, 1.5), 6.5007e-4, 1e-4);
}

/* Without sampling, a divergence of order a / (2 sigma^2). */
static void test_divergence_gaussian(void **state) {
    (void)state;
    for (double sigma = 0.3; sigma < 10; sigma *= 2)
        for (double order = 1.5; order < 60; order *= 2) {
            const struct loom_privacy_plan whole = {sigma, 1, 3}, nearly = {sigma, 1 - 1e-12, 3};
            expect_near(loom_privacy_divergence(&whole, order), 3 * order / (2 * sigma * sigma), 1e-12);
            expect_near(loom_privacy_divergence(&nearly, order), 3 * order / (2 * sigma * sigma), 1e-8);
        }
}

/* Whole orders have a finite sum: log sum over k of C(a,k) (1-q)^(a-k) q^k exp((k^2-k) / (2 sigma^2)). */
static void test_divergence_sum(void **state) {
    (void)state;
    static const double rates[] = {1e-5, 1e-3, 0.2, 0.9}, noises[] = {0.4, 1, 4};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 3; j++)
            for (int a = 2; a <= 20; a += 6) {
                double q = rates[i], s = noises[j], rest = 0; /* the terms k >= 2; the others make 1 less theirs */
                for (int k = 2; k <= a; k++) {
                    double c = lgamma(a + 1) - lgamma(k + 1) - lgamma(a - k + 1);
                    rest += exp(c + (a - k) * log1p(-q) + k * log(q)) * expm1((k * k - k) / (2 * s * s));
                }
                const struct loom_privacy_plan plan = {s, q, 1};
                expect_near(loom_privacy_divergence(&plan, a), log1p(rest) / (a - 1), 1e-6);
            }
}

static void test_rdp(void **state) {
    (void)state;
    struct loom_privacy_spent spent;
    const struct loom_privacy_plan opacus = {1.5, 0.04, 2250};
    assert_int_equal(loom_privacy_rdp(&opacus, 1e-5, &spent, NULL), LOOM_OK);
    expect_near(spent.upper, 7.32911117143, 1e-6);
    assert_true(spent.order > 3 && spent.order < 5);
    const struct loom_privacy_plan once = {4.530877117, 1, 1}; /* dp_accounting: epsilon 1 exactly */
    assert_int_equal(loom_privacy_rdp(&once, 1e-6, &spent, NULL), LOOM_OK);
    expect_near(spent.upper, 1, 1e-6);
}

/* ---- the privacy loss -------------------------------------------------------------------------------------------- */

struct published {
    double noise, rate, steps, epsilon;
};

/* At delta 1e-6, from the accompanying code of arXiv 2106.02848, which tells the upper bound for an error of 0.01. */
static const struct published table[] = {
    {0.8, 0.001, 100, 0.270403364058018680},   {1.5, 0.001, 100, 0.0393694193095203287},
    {2.0, 0.001, 100, 0.0291045369484074882},  {3.0, 0.001, 100, 0.0215200934390882663},
    {0.8, 0.05, 100, 6.74105193941409996},     {1.5, 0.05, 100, 1.95385313568420015},
    {2.0, 0.05, 100, 1.28363737962406521},     {3.0, 0.05, 100, 0.767933789666825572},
    {0.8, 0.2, 100, 24.3336641779225644},      {1.5, 0.2, 100, 8.49897785912163072},
    {2.0, 0.2, 100, 5.67205560882372950},      {3.0, 0.2, 100, 3.38122051022184422},
    {0.8, 0.001, 1000, 0.477771266184522591},  {1.5, 0.001, 1000, 0.0998206602308474855},
    {2.0, 0.001, 1000, 0.0712187825381152272}, {3.0, 0.001, 1000, 0.0476159308713589302},
    {0.8, 0.05, 1000, 19.5258428053837356},    {1.5, 0.05, 1000, 6.20996924657726712},
    {2.0, 0.05, 1000, 4.17279986668931890},    {3.0, 0.05, 1000, 2.52757432605973830},
    {0.8, 0.001, 20000, 1.29600925757016161},  {1.5, 0.001, 20000, 0.437005108654860807},
    {2.0, 0.001, 20000, 0.305837939762453436}, {3.0, 0.001, 20000, 0.194031030686054706},
    {2.0, 0.05, 20000, 24.4217185703225858},   {3.0, 0.05, 20000, 13.9611146992367061},
    {0.8, 0.001, 50000, 2.03451480771586674},  {1.5, 0.001, 50000, 0.704218384555810095},
    {2.0, 0.001, 50000, 0.491354910211401318}, {3.0, 0.001, 50000, 0.309694161156544023},
    {3.0, 0.05, 50000, 24.9420056431444763},
};

static void test_prv(void **state) {
    (void)state;
    const double allowed = 0.02;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct loom_privacy_spent spent;
        const struct loom_privacy_plan plan = {table[i].noise, table[i].rate, (uint64_t)table[i].steps};
        assert_int_equal(loom_privacy_prv(&plan, 1e-6, allowed, &spent, NULL), LOOM_OK);
        double truth = table[i].epsilon - 0.01;
        if (!(spent.lower <= truth && truth <= spent.upper && spent.upper - spent.lower < 2 * allowed + 4e-3))
            fail_msg("noise %g rate %g steps %g: %.8g to %.8g, not around %.8g", table[i].noise, table[i].rate,
                     table[i].steps, spent.lower, spent.upper, truth);
        if (!(fabs(spent.epsilon - truth) < 2e-3)) /* far better than promised */
            fail_msg("noise %g rate %g steps %g: %.8g, not near %.8g", table[i].noise, table[i].rate, table[i].steps,
                     spent.epsilon, truth);
    }
}

static void test_prv_opacus(void **state) {
    (void)state;
    struct loom_privacy_spent spent;
    const struct loom_privacy_plan plan = {1.5, 0.04, 2249};
    assert_int_equal(loom_privacy_prv(&plan, 1e-5, 0.01, &spent, NULL), LOOM_OK);
    expect_near(spent.upper, 6.777395712150674, 1e-4); /* Opacus too tells the upper bound */
}

/* Without sampling delta has a closed form: Balle & Wang, arXiv 1805.06530, theorem 8. */
static void test_prv_gaussian(void **state) {
    (void)state;
    static const double noises[] = {0.7, 4.530877117, 30};
    for (size_t i = 0; i < 3; i++) {
        struct loom_privacy_spent spent;
        const struct loom_privacy_plan plan = {noises[i], 1, 1};
        assert_int_equal(loom_privacy_prv(&plan, 1e-6, 0.001, &spent, NULL), LOOM_OK);
        double s = noises[i], e = spent.epsilon;
        double delta = 0.5 * erfc((e * s - 0.5 / s) / sqrt(2)) - exp(e) * 0.5 * erfc((e * s + 0.5 / s) / sqrt(2));
        expect_near(delta, 1e-6, 1e-2);
    }
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

/* The promise is kept, and not by much more than the search's 0.1 % of noise. */
static void check_noise(enum loom_accountant accountant, double epsilon, double delta, double rate, uint64_t steps,
                        double reference) {
    struct loom_privacy_spent spent;
    struct loom_privacy_plan plan = {0, rate, steps};
    assert_int_equal(loom_privacy_noise(&plan, accountant, epsilon, delta, &spent, NULL), LOOM_OK);
    assert_true(spent.upper <= epsilon && spent.upper > 0.98 * epsilon);
    if (reference > 0)
        expect_near(plan.noise, reference, 0.005);
}

static void test_noise(void **state) {
    (void)state;
    check_noise(LOOM_ACCOUNTANT_RDP, 8, 1e-5, 0.04, 2250, 1.416); /* Opacus */
    check_noise(LOOM_ACCOUNTANT_RDP, 8, 1e-5, 0.04, 2000, 1.3562);
    check_noise(LOOM_ACCOUNTANT_PRV, 8, 1e-5, 0.04, 2250, 1.34765625);
    check_noise(LOOM_ACCOUNTANT_RDP, 1, 1e-6, 1, 1, 4.530877117);
    check_noise(LOOM_ACCOUNTANT_PRV, 0.5, 1e-7, 0.002, 300, 0);
}

static void test_refusals(void **state) {
    (void)state;
    struct loom_error error;
    struct loom_privacy_spent spent;
    struct loom_privacy_plan plan = {1, 0.01, 100}, bad = plan;
    bad.noise = 0;
    assert_int_equal(loom_privacy_rdp(&bad, 1e-5, &spent, &error), LOOM_INVALID);
    assert_non_null(strstr(error.text, "noise"));
    bad = plan;
    bad.rate = 1.5;
    assert_int_equal(loom_privacy_prv(&bad, 1e-5, 0.01, &spent, &error), LOOM_INVALID);
    assert_non_null(strstr(error.text, "rate"));
    assert_int_equal(loom_privacy_rdp(&plan, 0, &spent, &error), LOOM_INVALID);
    assert_int_equal(loom_privacy_prv(&plan, 1e-14, 0.01, &spent, &error), LOOM_INVALID);
    assert_int_equal(loom_privacy_noise(&plan, LOOM_ACCOUNTANT_PRV, -1, 1e-5, &spent, &error), LOOM_INVALID);
    assert_int_equal(loom_privacy_noise(&plan, LOOM_ACCOUNTANT_PRV, 1e-9, 1e-5, &spent, &error), LOOM_FAILED);
    assert_non_null(strstr(error.text, "no noise"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fft),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_divergence_gaussian),
        cmocka_unit_test(test_divergence_sum),
        cmocka_unit_test(test_rdp),
        cmocka_unit_test(test_prv),
        cmocka_unit_test(test_prv_opacus),
        cmocka_unit_test(test_prv_gaussian),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("privacy", tests, NULL, NULL);
}
