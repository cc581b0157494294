/* test_grow.c - arrays that grow. */
#include "scratch.h"

#include <stdint.h>

#include "base/grow.h"

static void test_grows_by_doubling(void **state) {
    int *numbers = NULL;
    size_t capacity = 0, moves = 0;
    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        const size_t before = capacity;
        int *grown = loom_grow(numbers, &capacity, i + 1, sizeof *numbers);
        assert_non_null(grown);
        assert_true(capacity > i);
        moves += capacity != before;
        numbers = grown;
        numbers[i] = (int)i;
    }
    for (int i = 0; i < 10000; i++)
        assert_int_equal(numbers[i], i);
    assert_true(moves < 16);
    free(numbers);
}

static void test_keeps_what_has_room(void **state) {
    size_t capacity = 0;
    (void)state;
    char *bytes = loom_grow(NULL, &capacity, 100, 1);
    const size_t before = capacity;
    assert_non_null(bytes);
    assert_ptr_equal(loom_grow(bytes, &capacity, before, 1), bytes);
    assert_int_equal(capacity, before);
    free(bytes);
}

/* More than there can be: the array stays as it was. */
static void test_refuses_the_impossible(void **state) {
    size_t capacity = 0;
    (void)state;
    uint64_t *numbers = loom_grow(NULL, &capacity, 1, sizeof *numbers);
    const size_t before = capacity;
    assert_non_null(numbers);
    numbers[0] = 7;
    assert_null(loom_grow(numbers, &capacity, SIZE_MAX, sizeof *numbers));
    assert_null(loom_grow(numbers, &capacity, SIZE_MAX / sizeof *numbers, sizeof *numbers));
    assert_int_equal(capacity, before);
    assert_int_equal(numbers[0], 7);
    free(numbers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_by_doubling),
        cmocka_unit_test(test_keeps_what_has_room),
        cmocka_unit_test(test_refuses_the_impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
