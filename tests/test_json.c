/* test_json.c - JSON is read strictly, and what is wrong is said with the name of the file and the key. */
#include "scratch.h"

#include <limits.h>

#include "base/json.h"

static loom_status parse(const char *text, struct loom_error *error) {
    json_t *json;
    loom_status status = loom_json_parse(text, strlen(text), "the file", &json, error);
    json_decref(json);
    return status;
}

static void test_strict(void **state) {
    static const char *const refused[] = {
        "",
        "{",
        "{\"a\":1,\"a\":2}",                 /* a duplicate key */
        "{\"a\":{\"b\":1,\"c\":2,\"b\":1}}", /* and a nested one */
        "{} x",
        "{}{}",
        "{\"a\":\"\xC3\"}",             /* not UTF-8 */
        "{\"a\":99999999999999999999}", /* larger than an int64 */
        "{\"a\":1e999}",
        "{\"a\":NaN}",
        "{\"a\":1,}",
        "{'a':1}",
        "[1] // comment",
        "{\"a\":\"line\nbreak\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct loom_error error = {""};
        expect(parse(refused[i], &error), LOOM_FAILED, &error, "the file is not valid JSON: line ");
        assert_null(strchr(error.text, '\n'));
    }
    assert_int_equal(parse(" {\"a\": [1, 2.5, \"\\u00e9\xF0\x9F\x98\x80\", null, true]} \n", NULL), LOOM_OK);
}

static void test_depth(void **state) {
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 1);
    struct loom_error error;
    (void)state;
    assert_non_null(text);
    memset(text, '[', DEPTH);
    text[DEPTH] = '\0';
    expect(parse(text, &error), LOOM_FAILED, &error, "depth");
    free(text);
}

static void test_getters(void **state) {
    static const char text[] = "{\"i\":-7,\"r\":2.5,\"s\":\"word\",\"b\":true,\"o\":{}}";
    json_t *json;
    struct loom_error error;
    int64_t integer;
    double number;
    const char *string;
    (void)state;
    assert_int_equal(loom_json_parse(text, sizeof text - 1, "f", &json, NULL), LOOM_OK);
    assert_int_equal(loom_json_integer(json, "i", "f", -7, -7, &integer, NULL), LOOM_OK);
    assert_int_equal(integer, -7);
    assert_int_equal(loom_json_number(json, "i", "f", &number, NULL), LOOM_OK);
    assert_true(number == -7.0);
    assert_int_equal(loom_json_number(json, "r", "f", &number, NULL), LOOM_OK);
    assert_true(number == 2.5);
    assert_int_equal(loom_json_string(json, "s", "f", &string, NULL), LOOM_OK);
    assert_string_equal(string, "word");
    expect(loom_json_integer(json, "i", "f", 0, 9, &integer, &error), LOOM_INVALID, &error,
           "f: key \"i\" must be from 0 to 9, not -7");
    expect(loom_json_integer(json, "r", "f", 0, 9, &integer, &error), LOOM_INVALID, &error,
           "f: key \"r\" must be an integer, not a number");
    expect(loom_json_integer(json, "x", "f", 0, 9, &integer, &error), LOOM_INVALID, &error, "key \"x\" is missing");
    expect(loom_json_number(json, "s", "f", &number, &error), LOOM_INVALID, &error, "a number, not a string");
    expect(loom_json_string(json, "b", "f", &string, &error), LOOM_INVALID, &error, "a string, not true");
    expect(loom_json_string(json, "o", "f", &string, &error), LOOM_INVALID, &error, "a string, not an object");
    expect(loom_json_string(NULL, "o", "f", &string, &error), LOOM_INVALID, &error, "not a JSON object");
    json_decref(json);
}

static void test_files(void **state) {
    char *path = scratch_path(*state, "x.json");
    json_t *json = json_pack("{s:s, s:f, s:[i, i]}", "text", "\xC3\xA9\n\"", "number", 0.1, "list", 1, INT_MAX), *back;
    struct loom_error error;
    assert_int_equal(loom_json_write(path, json, NULL), LOOM_OK);
    assert_int_equal(loom_json_read(path, &back, NULL), LOOM_OK);
    assert_true(json_equal(json, back)); /* 0.1 to the last bit */
    json_decref(back);
    limit_file_size(10);
    loom_status status = loom_json_write(path, json, &error);
    limit_file_size(RLIM_INFINITY);
    expect(status, LOOM_IO, &error, path);
    assert_int_equal(loom_json_read(path, &back, NULL), LOOM_OK);
    json_decref(back);
    json_decref(json);
    free(scratch_write(*state, "x.json", "{\"a\":", 5));
    expect(loom_json_read(path, &back, &error), LOOM_FAILED, &error, path);
    assert_null(back);
    expect(loom_json_read("/no/such", &back, &error), LOOM_IO, &error, "/no/such");
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_getters),
        cmocka_unit_test_setup_teardown(test_files, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
