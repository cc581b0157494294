/* test_task.c - the rules by which answers are judged, the tasks' files, and the figures. The expected verdicts are
 * those of lm-evaluation-harness's own functions on the same texts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/task/answer.h"
#include "data/task/judge.h"
#include "data/task/task.h"
#include "eval/task_score.h"
#include "scratch.h"

static void expect_text(char *found, const char *wanted) {
    if (!found || strcmp(found, wanted) != 0)
        fail_msg("\"%s\" where \"%s\" was wanted", found ? found : "nothing", wanted);
    free(found);
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static void test_gsm8k(void **state) {
    (void)state;
    expect_text(loom_answer_gsm8k_strict("so\n#### 1,200.\nmore #### 7"), "1,200.");
    expect_text(loom_answer_gsm8k_strict("#### $5 #### -3"), "-3");
    expect_text(loom_answer_gsm8k_strict("####5 and 5"), "[invalid]");
    expect_text(loom_answer_gsm8k_flexible("It is -3, then $1,250.50 in all"), "$1,250.50");
    expect_text(loom_answer_gsm8k_flexible("7 of 12."), "12.");
    expect_text(loom_answer_gsm8k_flexible("a 7..."), "7...");
    expect_text(loom_answer_gsm8k_flexible("none"), "[invalid]");
    expect_text(loom_answer_gsm8k_plain("5 * 3 = 15\n#### $1,5. #### 16."), "16");
    expect_text(loom_answer_gsm8k_plain("A.\n"), "a\n");
}

static void test_math(void **state) {
    static const struct {
        const char *a, *b;
        bool equal;
    } pairs[] = {
        {"\\dfrac{1}{2}", "\\frac12", true},
        {"1/2", "\\frac{1}{2}", true},
        {"0.5", "\\frac{1}{2}", true},
        {".5", "0.5", true},
        {"x=3", "3", true},
        {"abc=3", "3", false},
        {"\\sqrt3", "\\sqrt{3}", true},
        {"12\\text{ cm}", "12", true},
        {"5\\%", "5", true},
        {"\\left( 1, 2 \\right)", "(1,2)", true},
        {"90^\\circ", "90", true},
        {"\\frac1{72}", "\\frac{1}{72}", true},
        {"a/b", "a/ b", false}, /* int("a") raises, and then the texts are compared as they are */
        {"a/b", "a/b", true},
        {"03/4", "\\frac{03}{4}", false},
        {"2\\text{ cm} 3\\text{ cm}", "2", false},
        {"\\$5", "5", true},
        {"1,000", "1000", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        bool failed = false;
        if (loom_answer_math_equal(pairs[i].a, pairs[i].b, &failed) != pairs[i].equal || failed)
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
    }
    expect_text(loom_answer_boxed("\\boxed{1} and \\boxed{\\frac{1}{2}}."), "\\frac{1}{2}");
    expect_text(loom_answer_boxed("$\\boxed 7$ is it"), "7");
    assert_null(loom_answer_boxed("no box \\boxed{1"));
    expect_text(loom_answer_between_dollars("so $x=1$ or $y$ ."), "x=1$ or $y");
    expect_text(loom_answer_between_dollars("only $ one"), "only $ one");
}

/* Responses and answers that lm-evaluation-harness 0.4.9 judged alike, but for the two pairs that say otherwise. */
static void test_minerva(void **state) {
    static const struct {
        const char *a, *b;
        bool equal;
    } pairs[] = {
        {"$x = \\dfrac{1}{2}$", "\\frac12", true},
        {"12 cm", "12", true},
        {"$\\text{blue}$", "blue", true},
        {"12,000", "12000", true},
        {"the 5 inches", "5", false},
        {"\\boxed{\\sqrt{2}}", "\\sqrt2", true},
        {"$3$ or $7$", "3", true},
        {"0.5", "\\frac{1}{2}", true},
        {"-0.5", "-1/2", true},
        {"0.3333", "\\frac{1}{3}", false},
        {"\\$5.$", "5", true},
        {"90^\\circ", "90", true},
        {"1/2", "1/3", false},
        {"(1, 2)", "(1,2)", true}, /* there a parser fails, and they are unequal */
        {"1 + x", "x + 1", false}, /* there an algebra system finds them equal */
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        bool failed = false;
        if (loom_answer_minerva_equal(pairs[i].a, pairs[i].b, &failed) != pairs[i].equal || failed)
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
    }
    expect_text(loom_answer_minerva_final("So.\nFinal Answer: The final answer is $5$. I hope it is correct.\nQ"),
                "$5$");
    expect_text(loom_answer_minerva_final("Final Answer: The final answer is 5. "), "5");
    expect_text(loom_answer_minerva_final("Final Answer: The final answer is 5."), "[invalidanswer]");
    expect_text(loom_answer_minerva_final("Final Answer: The final answer is 5\n. I hope it is correct."),
                "[invalidanswer]");
    expect_text(loom_answer_minerva_final("The answer is 5. I hope it is correct."), "[invalidanswer]");
}

static void test_others(void **state) {
    (void)state;
    expect_text(loom_answer_bbh("So the answer is (B).\nthe answer is x."), "(B)");
    expect_text(loom_answer_bbh("the answer is \nthe answer is Yes\xC3\xA9"), "Yes");
    expect_text(loom_answer_bbh("The answer: yes."), "[invalid]");
    assert_int_equal(loom_answer_letter(" B", 4), 1);
    assert_int_equal(loom_answer_letter("Bob chose (D).", 4), 3);
    assert_int_equal(loom_answer_letter("E", 4), -1);
    assert_true(loom_answer_number("from 1,234.50 to -7.") == -7);
    assert_true(loom_answer_number("x-7") == 7);
    assert_true(loom_answer_number("it is 1,234.5") == 1234.5);
    assert_true(isnan(loom_answer_number("none, .")));
    assert_true(loom_answer_same(" a b\n", "a b"));
    assert_false(loom_answer_same("a b", "a  b"));
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static double choose(double n, double k) {
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1));
}

static void test_pass_at_k(void **state) {
    (void)state;
    for (size_t n = 1; n <= 12; n++)
        for (size_t c = 0; c <= n; c++)
            for (size_t k = 1; k <= n; k++) {
                double wanted = n - c < k ? 1 : 1 - choose((double)(n - c), (double)k) / choose((double)n, (double)k);
                assert_true(fabs(loom_pass_at_k(n, c, k) - wanted) < 1e-9);
            }
}

/* The interval's ends p solve (x - p)^2 = z^2 p (1-p) / n. */
static void test_wilson(void **state) {
    (void)state;
    for (double n = 1; n < 2000; n *= 3)
        for (double right = 0; right <= n; right += fmax(floor(n / 5), 1)) {
            double ends[2], x = right / n, z = 1.959963984540054;
            loom_wilson(right, n, &ends[0], &ends[1]);
            assert_true(ends[0] <= x + 1e-12 && x <= ends[1] + 1e-12);
            for (int i = 0; i < 2; i++)
                assert_true(fabs((x - ends[i]) * (x - ends[i]) - z * z * ends[i] * (1 - ends[i]) / n) < 1e-12);
        }
}

static void keep_row(void *user, const struct loom_task_row *row) {
    *(struct loom_task_row *)user = *row;
}

/* Problems that are all alike still have an interval, by several responses as by one. */
static void test_interval_of_likes(void **state) {
    static const struct loom_task_kind kind = {.metrics = {"exact_match"}};
    static char group[] = "";
    struct loom_problem problems[3] = {{.group = group}, {.group = group}, {.group = group}};
    struct loom_tally tallies[3] = {{.responses = 4}, {.responses = 4}, {.responses = 4}};
    const struct loom_task task = {.kind = &kind, .problems = problems, .count = 3};
    struct loom_task_row row;
    double low, high;
    (void)state;
    loom_task_rows(&task, tallies, 3, keep_row, &row);
    loom_wilson(0, 3, &low, &high);
    assert_true(row.value == 0 && row.low == low && row.high == high && high > 0.5);
    tallies[1].right[0] = 2;
    loom_task_rows(&task, tallies, 3, keep_row, &row);
    assert_true(row.low == 0 && row.high > row.value);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void test_read(void **state) {
    static const char rows[] = "{\"question\":\"1+1?\",\"answer\":\"#### 2\"}\n\n"
                               "{\"id\":7,\"question\":\"2+2?\",\"answer\":\"#### 4\"}\n"
                               "{\"question\":\"3+3?\",\"answer\":\"#### 6\"}";
    struct loom_task task;
    struct loom_error error;
    bool right[LOOM_TASK_METRICS];
    char *path = scratch_write(*state, "rows.jsonl", rows, sizeof rows - 1);
    char *indices = scratch_write(*state, "indices.json", "[2, 0]", 6);
    expect(loom_task_open(&task, "gsm8k", path, NULL, &error), LOOM_OK, &error, "");
    assert_int_equal(task.count, 3);
    assert_string_equal(task.problems[1].id, "7");
    assert_string_equal(task.problems[1].prompt, "Question: 2+2?\nAnswer:");
    assert_int_equal(task.kind->judge(&task.problems[1], "2+2=4\n#### 4.", NULL, right, &error), LOOM_OK);
    assert_true(right[0] && right[1]);
    assert_int_equal(task.kind->judge(&task.problems[1], "it is 4", NULL, right, &error), LOOM_OK);
    assert_true(!right[0] && right[1]);
    assert_int_equal(loom_task_cut(task.kind, "4\nQuestion: 5"), 2);
    loom_task_close(&task);
    expect(loom_task_open(&task, "gsm8k", path, indices, &error), LOOM_OK, &error, "");
    assert_int_equal(task.count, 2);
    assert_string_equal(task.problems[0].prompt, "Question: 3+3?\nAnswer:");
    loom_task_close(&task);
    free(path);
    free(indices);
}

/* MMLU's word None comes out of a table as NaN, which is no JSON; text that says NaN stays. Neither is a hash of 64
 * bits beside the text a fault. */
static void test_lack(void **state) {
    static const char rows[] = "{\"hash\":18446744073709551615,\"question\":\"Is NaN "
                               "\\\"NaN\\\"?\",\"options\":[NaN,\"NaN\"],\"answer\":\"A\"}\n";
    struct loom_task task;
    struct loom_error error;
    char *path = scratch_write(*state, "mmlu.jsonl", rows, sizeof rows - 1);
    expect(loom_task_open(&task, "mmlu", path, NULL, &error), LOOM_OK, &error, "");
    assert_non_null(strstr(task.problems[0].prompt, "\n\nIs NaN \"NaN\"?\nA. None\nB. NaN\nAnswer:"));
    loom_task_close(&task);
    free(path);
    path = scratch_write(*state, "broken.jsonl", "{\"question\":NaN NaN}\n", 20);
    expect(loom_task_open(&task, "mmlu", path, NULL, &error), LOOM_FAILED, &error, "row 1 is not valid JSON");
    free(path);
    static const char other[] = "{\"question\":\"x\",\"options\":[\"a\",2],\"answer\":\"A\"}\n";
    path = scratch_write(*state, "other.jsonl", other, sizeof other - 1);
    expect(loom_task_open(&task, "mmlu", path, NULL, &error), LOOM_INVALID, &error, "row 1: option B is no text");
    free(path);
}

static void test_refusals(void **state) {
    struct loom_task task;
    struct loom_error error;
    char *path = scratch_write(*state, "bad.jsonl", "{\"question\":\"x\"}\n", 17);
    expect(loom_task_open(&task, "gsm8k", path, NULL, &error), LOOM_INVALID, &error,
           "row 1: key \"answer\" is missing");
    expect(loom_task_open(&task, "gsm9k", path, NULL, &error), LOOM_INVALID, &error, "there are gsm8k, math");
    free(path);
    path = scratch_write(*state, "list.jsonl", "[1]\n", 4);
    expect(loom_task_open(&task, "gsm8k", path, NULL, &error), LOOM_INVALID, &error, "row 1: not a JSON object");
    free(path);
    path = scratch_write(*state, "math.jsonl", "{\"problem\":\"x\",\"solution\":\"1\"}\n", 31);
    expect(loom_task_open(&task, "math", path, NULL, &error), LOOM_INVALID, &error, "no \\boxed{answer}");
    free(path);
    path = scratch_write(*state, "empty.jsonl", "\n", 1);
    expect(loom_task_open(&task, "gsm8k", path, NULL, &error), LOOM_INVALID, &error, "no problem of task gsm8k");
    free(path);
}

/* Worked examples lie beside the rows of bbh alone; for another task a text of them is named. */
static void test_preface(void **state) {
    static const char text[] = "canary\n-----\nThink.\n\nQ: a\nA: b", rows[] = "{\"examples\":[{\"input\":\"c\","
                                                                               "\"target\":\"Yes\"}]}";
    struct loom_task task;
    struct loom_error error;
    char *path = scratch_write(*state, "walk.json", rows, sizeof rows - 1);
    free(scratch_write(*state, "walk.txt", text, sizeof text - 1));
    expect(loom_task_open(&task, "bbh", path, NULL, &error), LOOM_OK, &error, "");
    assert_string_equal(task.problems[0].prompt, "Think.\n\nQ: a\nA: b\n\nQ: c\nA: Let's think step by step.\n");
    assert_string_equal(task.problems[0].group, "walk");
    loom_task_close(&task);
    free(path);
    static const char shots[] = "Question: 1 + 1\nAnswer: #### 2",
                      row[] = "{\"question\":\"2 + 2\",\"answer\":\"#### 4\"}";
    path = scratch_write(*state, "few.jsonl", row, sizeof row - 1);
    char *beside = scratch_write(*state, "few.txt", shots, sizeof shots - 1);
    expect(loom_task_open(&task, "gsm8k", path, NULL, &error), LOOM_OK, &error, "");
    assert_string_equal(task.problems[0].prompt, "Question: 2 + 2\nAnswer:");
    expect(loom_task_show(&task, path, 0, &error), LOOM_INVALID, &error, "must be said how many");
    expect(loom_task_show(&task, "/missing.txt", 0, &error), LOOM_IO, &error, "missing.txt");
    expect(loom_task_show(&task, beside, 0, &error), LOOM_OK, &error, "");
    assert_string_equal(task.problems[0].prompt, "Question: 1 + 1\nAnswer: #### 2\n\nQuestion: 2 + 2\nAnswer:");
    loom_task_close(&task);
    free(beside);
    free(path);
}

/* The first rows of another file, worked out, go before every prompt. */
static void test_shots(void **state) {
    static const char train[] = "{\"question\":\"1 + 1\",\"answer\":\"Two. #### 2\"}\n{\"question\":\"x\","
                                "\"answer\":\"#### 3\"}\n{\"question\":\"y\",\"answer\":\"4\"}\n",
                      row[] = "{\"question\":\"2 + 2\",\"answer\":\"#### 4\"}",
                      code[] = "{\"text\":\"Add.\",\"test_list\":[\"assert f(1)\"],\"code\":\"def f(x):\\n  x\"}";
    static const char bare[] = "{\"text\":\"t\",\"test_list\":[\"assert 1\"]}";
    struct loom_task task;
    struct loom_error error;
    char *examples = scratch_write(*state, "train.jsonl", train, sizeof train - 1);
    char *path = scratch_write(*state, "asked.jsonl", row, sizeof row - 1);
    expect(loom_task_open(&task, "gsm8k", path, NULL, &error), LOOM_OK, &error, "");
    expect(loom_task_show(&task, examples, 4, &error), LOOM_INVALID, &error, "3 problems, fewer than the 4 examples");
    expect(loom_task_show(&task, examples, 2, &error), LOOM_OK, &error, "");
    assert_string_equal(task.problems[0].prompt, "Question: 1 + 1\nAnswer: Two. #### 2\n\nQuestion: x\nAnswer: #### 3"
                                                 "\n\nQuestion: 2 + 2\nAnswer:");
    loom_task_close(&task);
    free(path);
    path = scratch_write(*state, "mbpp.jsonl", code, sizeof code - 1);
    expect(loom_task_open(&task, "mbpp", path, NULL, &error), LOOM_OK, &error, "");
    expect(loom_task_show(&task, path, 1, &error), LOOM_OK, &error, "");
    assert_non_null(strstr(task.problems[0].prompt, "[BEGIN]\ndef f(x):\n  x\n[DONE]\n\nYou are an expert"));
    loom_task_close(&task);
    free(path);
    path = scratch_write(*state, "bare.jsonl", bare, sizeof bare - 1);
    expect(loom_task_open(&task, "mbpp", path, NULL, &error), LOOM_OK, &error, "");
    expect(loom_task_show(&task, path, 1, &error), LOOM_INVALID, &error, "has no answer to show");
    loom_task_close(&task);
    free(path);
    free(examples);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static void judge_code(struct loom_task *task, const char *response, bool wanted) {
    bool right[LOOM_TASK_METRICS];
    struct loom_sandbox_limits limits = loom_sandbox_default();
    struct loom_error error;
    limits.seconds = strstr(response, "while") ? 1 : 20;
    loom_status status = task->kind->judge(&task->problems[0], response, &limits, right, &error);
    if (status) /* this system grants no sandbox, and says so */
        skip();
    if (right[0] != wanted)
        fail_msg("%s was judged %s", response, right[0] ? "right" : "wrong");
}

static void test_code(void **state) {
    static const char rows[] = "{\"task_id\":\"T/0\",\"prompt\":\"def f(x):\\n\",\"entry_point\":\"f\","
                               "\"test\":\"def check(g):\\n    assert g(2) == 4\\n    assert g(3) == 9\"}";
    struct loom_task task;
    struct loom_error error;
    char *path = scratch_write(*state, "code.jsonl", rows, sizeof rows - 1);
    if (access("/usr/bin/python3", X_OK) != 0)
        skip();
    expect(loom_task_open(&task, "humaneval", path, NULL, &error), LOOM_OK, &error, "");
    judge_code(&task, "    return x * x\n", true);
    judge_code(&task, "    return 2 * x\n", false);
    judge_code(&task, "    return x *\n", false);
    judge_code(&task, "    while True: pass\n", false);
    judge_code(&task, "    import os; os._exit(0)\n", false); /* leaving early is not passing */
    judge_code(&task, "    raise SystemExit(0)\n", false);
    judge_code(&task, "    import os, sys; print(sys.stdin.read() + open(0).read()); os._exit(0)\n", false);
    judge_code(&task, "    import os; os.kill(1, 9); os.fork(); return 0\n", false);
    loom_task_close(&task);
    free(path);
}

/* Programs that run at once have the verdicts that they have alone, in the order in which they were given. */
static void test_programs_at_once(void **state) {
    static const char rows[] = "{\"task_id\":\"T/0\",\"prompt\":\"def f(x):\\n\",\"entry_point\":\"f\","
                               "\"test\":\"def check(g):\\n    assert g(2) == 4\"}";
    static const char *const texts[] = {"    return x * x\n", "    return 5\n", NULL, "    import os; os.close(0)\n",
                                        "    return 4\n"};
    enum { COUNT = 20 };
    struct loom_response responses[COUNT];
    struct loom_sandbox_limits limits = loom_sandbox_default();
    struct loom_task task;
    struct loom_error error;
    char *path = scratch_write(*state, "many.jsonl", rows, sizeof rows - 1);
    if (access("/usr/bin/python3", X_OK) != 0)
        skip();
    limits.seconds = 60;
    expect(loom_task_open(&task, "humaneval", path, NULL, &error), LOOM_OK, &error, "");
    for (size_t i = 0; i < COUNT; i++)
        responses[i] = (struct loom_response){.text = texts[i % 5], .right = {true}};
    if (loom_task_judge(&task, responses, COUNT, &limits, 3, &error)) /* this system grants no sandbox, and says so */
        skip();
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(responses[i].right[0], i % 5 == 0 || i % 5 == 4);
    assert_int_equal(loom_task_judge(&task, responses, 0, &limits, 3, &error), LOOM_OK);
    loom_task_close(&task);
    free(path);
}

/* The first that cannot be judged tells why, whoever comes upon one first. */
static loom_status judge_never(const struct loom_problem *p, const char *response,
                               const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                               struct loom_error *error) {
    (void)p;
    (void)limits;
    (void)right;
    return response[0] == 'x' ? loom_fail(error, LOOM_FAILED, "cannot judge %s", response) : LOOM_OK;
}

static void test_judging_fails(void **state) {
    static const struct loom_task_kind kind = {.judge = judge_never};
    static char test[] = "";
    struct loom_problem problem = {.test = test};
    const struct loom_task task = {.kind = &kind, .problems = &problem, .count = 1};
    struct loom_error error;
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        struct loom_response responses[] = {{0, "a", {0}}, {0, "x1", {0}}, {0, "b", {0}}, {0, "x2", {0}}};
        expect(loom_task_judge(&task, responses, 4, NULL, threads, &error), LOOM_FAILED, &error, "cannot judge x1");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gsm8k),
        cmocka_unit_test(test_math),
        cmocka_unit_test(test_minerva),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_pass_at_k),
        cmocka_unit_test(test_wilson),
        cmocka_unit_test(test_interval_of_likes),
        cmocka_unit_test_setup_teardown(test_read, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_lack, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_refusals, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_preface, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_shots, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_code, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_programs_at_once, scratch_create, scratch_remove),
        cmocka_unit_test(test_judging_fails),
    };
    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
