/* test_filter.c - conditions on rows: how they may be written, and what they say of values of every kind. */
#include "scratch.h"

#include "data/source/filter.h"

static const char row_text[] =
    "{\"n\":3,\"x\":2.5,\"text\":\"it's \\\"3\\\"\",\"three\":\"3\",\"yes\":true,\"no\":false,"
    "\"null\":null,\"list\":[1],\"a name\":\"en\"}";

static void test_holds(void **state) {
    static const struct {
        const char *condition;
        bool holds;
    } cases[] = {
        {"n=3", true},           {"n == 3", true},          {"n != 3", false},           {"n>=3.0", true},
        {"n < 3e0", false},      {"x > 2", true},           {"x <= 2.5", true},          {"three = \"3\"", true},
        {"three = '3'", true},   {"three != '3'", false},   {"text = it's \"3\"", true}, {"text > it", true},
        {"text < it", false},    {"yes = true", true},      {"yes = false", false},      {"no = false", true},
        {"no != true", true},    {"yes != true", false},    {"null = 3", false},         {"null != 3", false},
        {"missing = x", false},  {"missing != x", false},   {"a name = en", true},       {"\"a name\" = en", true},
        {"a name = 'en'", true}, {" a name  =  en ", true}, {"a name = e'n", false},     {"a name = '", false},
        {"text = ''", false}};
    json_t *row = json_loads(row_text, 0, NULL);
    (void)state;
    assert_non_null(row);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loom_filter filter;
        bool holds;
        assert_int_equal(loom_filter_open(&cases[i].condition, 1, &filter, NULL), LOOM_OK);
        assert_int_equal(loom_filter_json(&filter, row, &holds, NULL), LOOM_OK);
        if (holds != cases[i].holds)
            fail_msg("%s: %d", cases[i].condition, holds);
        loom_filter_free(&filter);
    }
    json_decref(row);
}

/* Values that cannot be compared make the row broken, and the sentence names the column. */
static void test_kinds(void **state) {
    static const char *const conditions[] = {"n = x",   "n = true",  "n = \"3\"", "three = 3",
                                             "yes = 1", "yes = yes", "list = 1"};
    json_t *row = json_loads(row_text, 0, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        struct loom_filter filter;
        struct loom_error error;
        bool holds;
        assert_int_equal(loom_filter_open(&conditions[i], 1, &filter, NULL), LOOM_OK);
        assert_int_equal(loom_filter_json(&filter, row, &holds, &error), LOOM_FAILED);
        assert_non_null(strstr(error.text, filter.items[0].column));
        loom_filter_free(&filter);
    }
    json_decref(row);
}

static void test_refused(void **state) {
    static const char *const conditions[] = {
        "",       "n",     "n 3", "= 3",   "n =",    "n = ",    "\"\" = 3", "n => 3",
        "n <> 3", "n < >", "n !", "n ~ 3", "n =! 3", "n === 3", "n = = 3"};
    (void)state;
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        struct loom_filter filter;
        struct loom_error error;
        if (loom_filter_open(&conditions[i], 1, &filter, &error) != LOOM_INVALID)
            fail_msg("%s was taken", conditions[i]);
        assert_non_null(strstr(error.text, conditions[i]));
    }
}

static void test_sql(void **state) {
    const char *const conditions[] = {"a\"b >= 3", "c != it's", "d = '3'"};
    struct loom_filter filter;
    struct loom_text sql = {.data = NULL};
    (void)state;
    assert_int_equal(loom_filter_open(conditions, 3, &filter, NULL), LOOM_OK);
    loom_filter_sql(&filter, &sql);
    assert_string_equal(sql.data, " AND (\"a\"\"b\" >= 3) AND (\"c\" <> 'it''s') AND (\"d\" = '3')");
    loom_text_free(&sql);
    loom_filter_free(&filter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
