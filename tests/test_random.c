/* test_random.c - the counter-based random numbers: Philox's published vectors, and the shape of what is drawn. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

enum { DRAWS = 200000 };

static const struct loom_random stream = {1234, LOOM_RANDOM_TEST};

/* The first two words of a block are its bits; the normal number uses all four. */
static void check_block(struct loom_random s, uint64_t index, uint64_t high, uint64_t low) {
    assert_int_equal(loom_random_bits(s, index), high);
    double u = (double)(high >> 11) * 0x1p-53, v = (double)(low >> 11) * 0x1p-53;
    double want = sqrt(-2 * log1p(-u)) * cos(2 * acos(-1) * v);
    assert_true(fabs(loom_random_normal(s, index) - want) < 1e-12);
}

/* Known answers of Random123 for philox4x32-10. The counter's words are index (low, high) and purpose (low, high). */
static void test_known_answers(void **state) {
    (void)state;
    check_block((struct loom_random){0, 0}, 0, 0x6627e8d5e169c58du, 0xbc57ac4c9b00dbd8u);
    check_block((struct loom_random){UINT64_MAX, UINT64_MAX}, UINT64_MAX, 0x408f276d41c83b0eu, 0xa20bc7c66d5451fdu);
    check_block((struct loom_random){0x299f31d0a4093822u, 0x0370734413198a2eu}, 0x85a308d3243f6a88u, 0xd16cfe0994fdcceb,
                0x5001e42024126ea1u);
}

static void test_uniform(void **state) {
    (void)state;
    double sum = 0, squares = 0;
    int bins[10] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = loom_random_uniform(stream, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
        bins[(int)(10 * u)]++;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 0.003);
    assert_true(fabs(squares / DRAWS - 1.0 / 3) < 0.003);
    for (int b = 0; b < 10; b++)
        assert_in_range(bins[b], DRAWS / 10 - 700, DRAWS / 10 + 700);
}

/* The first four moments: 0, 1, 0, 3. */
static void test_normal(void **state) {
    (void)state;
    double sum[5] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = loom_random_normal(stream, i), power = 1;
        for (int n = 1; n <= 4; n++)
            sum[n] += power *= x;
    }
    assert_true(fabs(sum[1] / DRAWS) < 0.01);
    assert_true(fabs(sum[2] / DRAWS - 1) < 0.015);
    assert_true(fabs(sum[3] / DRAWS) < 0.04);
    assert_true(fabs(sum[4] / DRAWS - 3) < 0.1);
}

static void test_below(void **state) {
    (void)state;
    int seen[7] = {0};
    for (uint64_t i = 0; i < 7000; i++) {
        uint64_t x = loom_random_below(stream, i, 7);
        assert_true(x < 7);
        seen[x]++;
    }
    for (int b = 0; b < 7; b++)
        assert_in_range(seen[b], 850, 1150);
    assert_int_equal(loom_random_below(stream, 3, 1), 0);
}

/* Another seed, purpose or index draws another number. */
static void test_streams_differ(void **state) {
    (void)state;
    uint64_t bits = loom_random_bits(stream, 5);
    assert_int_equal(loom_random_bits((struct loom_random){1234, LOOM_RANDOM_TEST}, 5), bits);
    assert_int_not_equal(loom_random_bits((struct loom_random){1235, LOOM_RANDOM_TEST}, 5), bits);
    assert_int_not_equal(loom_random_bits((struct loom_random){1234, LOOM_RANDOM_INIT}, 5), bits);
    assert_int_not_equal(loom_random_bits((struct loom_random){1234, LOOM_RANDOM_TEST + 256}, 5), bits);
    assert_int_not_equal(loom_random_bits((struct loom_random){1234 + (1ull << 32), LOOM_RANDOM_TEST}, 5), bits);
    assert_int_not_equal(loom_random_bits(stream, 6), bits);
    assert_int_not_equal(loom_random_bits(stream, 5 + (1ull << 32)), bits);
}

static uint64_t permutation_of(uint64_t seed, uint64_t epoch, uint64_t index, uint64_t count) {
    return loom_random_permute((struct loom_random){seed, LOOM_RANDOM_SHUFFLE | epoch << 24}, index, count);
}

/* Every size up to some hundreds, and squares and their neighbours: a permutation each time. */
static void test_permutation(void **state) {
    (void)state;
    static char seen[10201];
    for (uint64_t count = 1; count < 10201; count += count < 300 || count == 9999 || count == 10000 ? 1 : 97) {
        memset(seen, 0, count);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t to = permutation_of(count, 0, i, count);
            assert_true(to < count && !seen[to]);
            seen[to] = 1;
        }
    }
    for (uint64_t i = 0; i < 1000; i++) /* of sizes that nobody can walk: inside, and no two alike */
        for (uint64_t bits = 33; bits <= 56; bits += 23) {
            uint64_t count = ((uint64_t)1 << bits) + 12345, to = permutation_of(1, 0, count - 1 - i, count);
            assert_true(to < count);
            assert_true(to != permutation_of(1, 0, i, count));
        }
}

/* All orders of four come equally often, and each place of a thousand is met by each part of the indices. */
static void test_permutation_is_even(void **state) {
    (void)state;
    enum { STREAMS = 24000 };
    int orders[256] = {0}, kinds = 0;
    for (uint64_t epoch = 0; epoch < STREAMS; epoch++) {
        uint64_t order = 0;
        for (uint64_t i = 0; i < 4; i++)
            order = order << 2 | permutation_of(9, epoch, i, 4);
        orders[order]++;
    }
    for (int i = 0; i < 256; i++) {
        kinds += orders[i] > 0;
        if (orders[i] > 0) /* 1000 are expected: seven standard deviations */
            assert_in_range(orders[i], 780, 1220);
    }
    assert_int_equal(kinds, 24);
    double sum = 0, products = 0;
    for (uint64_t i = 0; i < 1000; i++) { /* neighbours do not stay neighbours */
        double a = (double)permutation_of(3, 1, i, 1000) - 499.5,
               b = (double)permutation_of(3, 1, (i + 1) % 1000, 1000);
        sum += a;
        products += a * (b - 499.5);
    }
    assert_true(fabs(sum) < 1e-6);
    assert_true(fabs(products) / 1000 < 83333 * 0.15); /* of the variance */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_permutation_is_even),
    };
    return cmocka_run_group_tests_name("random numbers", tests, NULL, NULL);
}
