/* test_count.c - the counting machine: what it counts, that it hands the work on, and that it touches nothing when dry.
 *
 * That every kernel is handed on with its arguments in order is also held by test_kernel_gradients.c, which calls the
 * reference kernels through the counter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/kernel.h"

static void assert_counted(struct loom_counter *counter, double want) {
    if (counter->flops != want)
        fail_msg("counted %.17g, want %.17g", counter->flops, want);
    counter->flops = 0;
}

/* Pairs of a query and a key it sees, one by one. */
static double pairs_one_by_one(const struct loom_attention *a) {
    double pairs = 0;
    for (size_t i = 0; i < a->queries; i++)
        for (size_t j = 0; j < a->keys; j++)
            pairs += j <= a->keys - a->queries + i;
    return pairs * (double)(a->batch * a->heads);
}

/* A dry machine gets addresses that nobody could read. */
static void test_dry(void **state) {
    (void)state;
    struct loom_counter counter;
    loom_counter_init(&counter, NULL);
    const struct loom_kernels *k = &counter.kernels;
    real *nowhere = NULL;
    assert_null(k->alloc(k, 64));
    k->release(k, NULL);
    k->upload(k, NULL, NULL, 64);
    k->download(k, NULL, NULL, 64);
    k->fill(k, nowhere, 1, 7);
    k->copy(k, nowhere, nowhere, 7);
    assert_true(k->count_below(k, nowhere, 1, 7) == 7);
    assert_counted(&counter, 0);
    assert_true(k->sum(k, nowhere, 7) == 0);
    assert_counted(&counter, 7);
    assert_true(k->sum_squares(k, nowhere, 7) == 0);
    assert_counted(&counter, 14);
    k->adamw(k, &(struct loom_adamw){.learning_rate = 1}, nowhere, nowhere, nowhere, nowhere, 7);
    assert_counted(&counter, 16 * 7);
}

static void test_linear(void **state) {
    (void)state;
    struct loom_counter counter;
    loom_counter_init(&counter, NULL);
    const struct loom_kernels *k = &counter.kernels;
    const struct loom_linear s = {.rows = 5, .n_in = 3, .n_out = 2, .groups = 1};
    const struct loom_linear grouped = {.rows = 5, .n_in = 3, .n_out = 2, .groups = 4};
    k->linear(k, &s, NULL, NULL, NULL, false);
    assert_counted(&counter, 2 * 5 * 3 * 2);
    k->linear_input(k, &s, NULL, NULL, NULL, true);
    assert_counted(&counter, 2 * 5 * 3 * 2);
    k->linear_weight(k, &grouped, NULL, NULL, NULL);
    assert_counted(&counter, 2 * 5 * 3 * 2);
}

static void test_attention(void **state) {
    (void)state;
    struct loom_counter counter;
    loom_counter_init(&counter, NULL);
    const struct loom_kernels *k = &counter.kernels;
    const struct loom_attention a = {2, 3, 7, 4, 2, 5, 6, 1, 0, 0, NULL, 0, 0};
    const struct loom_attention apart = {2, 3, 7, 4, 2, 5, 6, 1, 0, 0, (const int[6]){4, 5, 6, 4, 5, 6}, 0, 0};
    const struct loom_view nowhere = {NULL, 0, 0, 0, LOOM_STORAGE_REAL};
    k->attention(k, &a, nowhere, NULL, nowhere, nowhere, nowhere);
    assert_counted(&counter, pairs_one_by_one(&a) * (2 * (5 + 6) + 4));
    k->attention(k, &apart, nowhere, NULL, nowhere, nowhere, nowhere); /* by its shape, whatever it leaves out */
    assert_counted(&counter, pairs_one_by_one(&a) * (2 * (5 + 6) + 4));
    k->attention_backward(k, &a, nowhere, nowhere, nowhere, nowhere, nowhere, NULL, nowhere, nowhere, nowhere);
    assert_counted(&counter, pairs_one_by_one(&a) * (2 * (3 * 5 + 2 * 6) + 6) + 2 * 2 * 4 * 3 * 6);
}

/* Elementwise work: the number of operations for each element, by the convention in count.c. */
static void test_elements(void **state) {
    (void)state;
    struct loom_counter counter;
    loom_counter_init(&counter, NULL);
    const struct loom_kernels *k = &counter.kernels;
    k->add_scaled(k, NULL, 2, NULL, 11);
    assert_counted(&counter, 2 * 11);
    k->copy_columns(k, NULL, 9, NULL, 9, 3, 5, false);
    assert_counted(&counter, 0);
    k->copy_columns(k, NULL, 9, NULL, 9, 3, 5, true);
    assert_counted(&counter, 3 * 5);
    k->rmsnorm(k, NULL, LOOM_STORAGE_REAL, NULL, NULL, NULL, 3, 5, 0);
    assert_counted(&counter, 4 * 3 * 5);
    k->blend(k, NULL, 2, NULL, 3, NULL, 11);
    assert_counted(&counter, 3 * 11);
    k->relu2(k, NULL, LOOM_STORAGE_REAL, NULL, 11);
    assert_counted(&counter, 11);
    const struct loom_muon m = {.blocks = 2, .rows = 3, .cols = 5};
    k->muon(k, &m, NULL, NULL, NULL);
    assert_counted(&counter, 9 * 2 * 3 * 5);
    k->swiglu(k, NULL, LOOM_STORAGE_REAL, NULL, NULL, 11);
    assert_counted(&counter, 4 * 11);
    k->cross_entropy(k, NULL, NULL, NULL, NULL, 1, 3, 5);
    assert_counted(&counter, 3 * 3 * 5);
}

/* With a machine inside, results are that machine's and the counts are those of the dry one. */
static void test_forwarding(void **state) {
    (void)state;
    struct loom_counter dry, wet;
    loom_counter_init(&dry, NULL);
    loom_counter_init(&wet, loom_kernels_ref());
    const struct loom_kernels *k = &wet.kernels;
    assert_string_equal(k->name, "ref");
    const struct loom_linear s = {.rows = 2, .n_in = 2, .n_out = 2, .groups = 1};
    real x[4] = {1, 2, 3, 4}, w[4] = {1, 0, 0, 2}, *y = k->alloc(k, 4 * sizeof *y);
    assert_non_null(y);
    k->linear(k, &s, y, x, w, false);
    dry.kernels.linear(&dry.kernels, &s, NULL, NULL, NULL, false);
    assert_true(y[0] == 1 && y[1] == 4 && y[2] == 3 && y[3] == 8);
    assert_true(k->sum(k, y, 4) == 16);
    assert_true(k->sum_squares(k, y, 4) == 90);
    assert_true(k->count_below(k, y, 4, 4) == 2);
    k->release(k, y);
    dry.kernels.sum(&dry.kernels, NULL, 4);
    dry.kernels.sum_squares(&dry.kernels, NULL, 4);
    assert_counted(&wet, dry.flops);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dry),      cmocka_unit_test(test_linear),     cmocka_unit_test(test_attention),
        cmocka_unit_test(test_elements), cmocka_unit_test(test_forwarding),
    };
    return cmocka_run_group_tests_name("counting machine", tests, NULL, NULL);
}
