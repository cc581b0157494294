/* test_until.c - a text that ends before a mark, however the tokens cut both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "generate/until.h"

struct seen {
    char text[256];
    size_t size;
};

static void on_token(void *user, int token, const char *bytes, size_t size) {
    struct seen *seen = user;
    assert_int_equal(token, (int)size);
    memcpy(seen->text + seen->size, bytes, size);
    seen->size += size;
}

/* Puts the text in tokens of `step` bytes; the rest is what was handed on. */
static bool run(const char *mark, const char *text, size_t step, const char *wanted) {
    struct seen seen = {"", 0};
    struct loom_until until = {.mark = mark, .on_token = on_token, .user = &seen};
    bool ended = false;
    for (size_t at = 0, size = strlen(text); at < size && !ended; at += step) {
        size_t part = size - at < step ? size - at : step;
        ended = loom_until_put(&until, (int)part, text + at, part);
    }
    loom_until_flush(&until);
    seen.text[seen.size] = '\0';
    assert_string_equal(seen.text, wanted);
    return ended;
}

static void test_until(void **state) {
    (void)state;
    for (size_t step = 1; step <= 20; step++) {
        assert_false(run(NULL, "all of <|end|> it", step, "all of <|end|> it"));
        assert_false(run("<|end|>", "no mark <|en", step, "no mark <|en"));
    }
    assert_true(run("<|end|>", "yes<|end|>no", 1, "yes"));
    assert_true(run("<|end|>", "yes<|<<|end|>no", 1, "yes<|<"));
    assert_true(run("aab", "aaab", 1, "a"));
    assert_true(run("aab", "aabaab", 3, ""));
    assert_true(run("abab", "abaabab", 1, "aba"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_until)};
    return cmocka_run_group_tests_name("until", tests, NULL, NULL);
}
