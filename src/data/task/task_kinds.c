/* task_kinds.c - what is particular to each task: its rows, its prompt, its judge. See task.h.
 *
 * Prompts and rules are those of lm-evaluation-harness where it has the task: gsm8k (Cobbe et al., arXiv 2110.14168),
 * hendrycks_math (2103.03874), minerva_math (2206.14858), humaneval (2107.03374), mbpp (2108.07732), mmlu (2009.03300),
 * bbh with chain of thought (2210.09261). prosqa is of 2412.06769. */
#include "data/task/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "data/task/answer.h"

/* The interpreter that the sandbox can see. */
static const char *const interpreter[] = {"/usr/bin/python3", "-I", "-", NULL};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Takes the finished text; NULL when memory was short. */
static char *take(struct loom_text *text) {
    loom_text_put(text, "", 0);
    char *data = text->failed ? NULL : text->data;
    if (!data)
        loom_text_free(text);
    return data;
}

static loom_status finish(struct loom_problem *p, const char *name, struct loom_error *error) {
    return p->prompt && p->answer ? LOOM_OK : loom_fail_memory(error, name, 1);
}

/* How a worked example goes on behind the prompt. */
static loom_status work_out(struct loom_problem *p, const char *name, const char *lead, const char *answer,
                            struct loom_error *error) {
    struct loom_text worked = {0};
    loom_text_append(&worked, "%s%s", lead, answer);
    p->worked = take(&worked);
    return p->worked ? finish(p, name, error) : loom_fail_memory(error, name, strlen(answer));
}

/* PREFACE BEFORE question AFTER, and the answer as it stands, which follows LEAD in a worked example; no LEAD, none. */
static loom_status read_pair(const json_t *row, const char *name, const char *keys[2], const char *frame[4],
                             struct loom_problem *p, struct loom_error *error) {
    const char *question, *answer;
    struct loom_text prompt = {0};
    loom_status status = loom_json_string(row, keys[0], name, &question, error);
    if (status == LOOM_OK)
        status = loom_json_string(row, keys[1], name, &answer, error);
    if (status)
        return status;
    loom_text_append(&prompt, "%s%s", frame[0] ? frame[0] : "", frame[1]);
    loom_text_put(&prompt, question, strlen(question));
    loom_text_put(&prompt, frame[2], strlen(frame[2]));
    p->prompt = take(&prompt);
    p->answer = strdup(answer);
    return frame[3] ? work_out(p, name, frame[3], answer, error) : finish(p, name, error);
}

static loom_status read_gsm8k(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                              struct loom_error *error) {
    return read_pair(row, name, (const char *[]){"question", "answer"},
                     (const char *[]){preface, "Question: ", "\nAnswer:", " "}, p, error);
}

/* The answer is what the solution puts in a box. */
static loom_status read_boxed(const json_t *row, const char *name, const char *frame[4], struct loom_problem *p,
                              struct loom_error *error) {
    loom_status status = read_pair(row, name, (const char *[]){"problem", "solution"}, frame, p, error);
    if (status)
        return status;
    char *boxed = loom_answer_boxed(p->answer);
    if (!boxed)
        return loom_fail(error, LOOM_INVALID, "%s: the solution has no \\boxed{answer}", name);
    free(p->answer);
    p->answer = boxed;
    return LOOM_OK;
}

static loom_status read_math(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                             struct loom_error *error) {
    return read_boxed(row, name, (const char *[]){preface, "Problem: ", "\nAnswer:", " "}, p, error);
}

static loom_status read_minerva(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                                struct loom_error *error) {
    return read_boxed(row, name, (const char *[]){preface, "Problem:\n", "\n\nSolution:", " "}, p, error);
}

static loom_status read_bbh(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                            struct loom_error *error) {
    return read_pair(row, name, (const char *[]){"input", "target"},
                     (const char *[]){preface, "Q: ", "\nA: Let's think step by step.\n", NULL}, p, error);
}

static loom_status read_prosqa(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                               struct loom_error *error) {
    return read_pair(row, name, (const char *[]){"question", "answer"}, (const char *[]){preface, "", "\n", ""}, p,
                     error);
}

static loom_status read_plain(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                              struct loom_error *error) {
    return read_pair(row, name, (const char *[]){"prompt", "answer"}, (const char *[]){preface, "", "", ""}, p, error);
}

static loom_status read_humaneval(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                                  struct loom_error *error) {
    const char *test, *entry;
    struct loom_text program = {0};
    loom_status status =
        read_pair(row, name, (const char *[]){"prompt", "test"}, (const char *[]){preface, "", "", NULL}, p, error);
    if (status == LOOM_OK)
        status = loom_json_string(row, "test", name, &test, error);
    if (status == LOOM_OK)
        status = loom_json_string(row, "entry_point", name, &entry, error);
    if (status)
        return status;
    loom_text_append(&program, "\n%s\ncheck(%s)", test, entry);
    p->test = take(&program);
    return p->test ? LOOM_OK : loom_fail_memory(error, name, strlen(test));
}

static loom_status read_mbpp(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                             struct loom_error *error) {
    const json_t *tests = json_object_get(row, "test_list");
    const char *task;
    struct loom_text prompt = {0}, program = {0}, worked = {0};
    loom_status status = loom_json_string(row, "text", name, &task, error);
    if (status)
        return status;
    if (!json_is_array(tests) || json_array_size(tests) == 0)
        return loom_fail(error, LOOM_INVALID, "%s: key \"test_list\" must be an array of tests", name);
    loom_text_append(&prompt,
                     "%sYou are an expert Python programmer, and here is your task: %s Your code should pass these "
                     "tests:\n\n",
                     preface ? preface : "", task);
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const char *test = json_string_value(json_array_get(tests, i));
        if (!test)
            return loom_fail(error, LOOM_INVALID, "%s: test %zu is no string", name, i);
        loom_text_append(&prompt, "%s\n", test);
        loom_text_append(&program, "\n%s", test);
    }
    loom_text_append(&prompt, "[BEGIN]\n");
    p->prompt = take(&prompt);
    p->test = take(&program);
    p->answer = strdup("");
    if (!p->test)
        return loom_fail_memory(error, name, 1);
    const char *code = json_string_value(json_object_get(row, "code"));
    if (!code)
        return finish(p, name, error);
    loom_text_append(&worked, "%s\n[DONE]", code);
    p->worked = take(&worked);
    return p->worked ? finish(p, name, error) : loom_fail_memory(error, name, 1);
}

/* Underscores of a subject's name become spaces. */
static void put_subject(struct loom_text *text, const char *subject) {
    for (; *subject; subject++)
        loom_text_put(text, *subject == '_' ? " " : subject, 1);
}

static loom_status read_mmlu(const json_t *row, const char *name, const char *preface, struct loom_problem *p,
                             struct loom_error *error) {
    const char *question, *answer, *subject = json_string_value(json_object_get(row, "topic"));
    const json_t *options = json_object_get(row, "options");
    struct loom_text prompt = {0};
    loom_status status = loom_json_string(row, "question", name, &question, error);
    if (status == LOOM_OK)
        status = loom_json_string(row, "answer", name, &answer, error);
    if (status)
        return status;
    size_t count = json_is_array(options) ? json_array_size(options) : 0;
    if (count < 2 || count > 26)
        return loom_fail(error, LOOM_INVALID, "%s: key \"options\" must be an array of 2 to 26 texts", name);
    if (strlen(answer) != 1 || answer[0] < 'A' || answer[0] >= 'A' + (int)count)
        return loom_fail(error, LOOM_INVALID, "%s: the answer \"%.16s\" is none of the %zu letters", name, answer,
                         count);
    loom_text_append(&prompt, "%sThe following are multiple choice questions (with answers) about ",
                     preface ? preface : "");
    put_subject(&prompt, subject ? subject : "various subjects");
    loom_text_append(&prompt, ".\n\n%s\n", question);
    for (size_t i = 0; i < count; i++) {
        const json_t *option = json_array_get(options, i);
        bool none = json_is_null(option); /* tables take MMLU's own word None for a lack */
        if (!none && !json_is_string(option)) {
            loom_text_free(&prompt);
            return loom_fail(error, LOOM_INVALID, "%s: option %c is no text", name, (char)('A' + i));
        }
        loom_text_append(&prompt, "%c. %s\n", (char)('A' + i), none ? "None" : json_string_value(option));
    }
    loom_text_append(&prompt, "Answer:");
    p->prompt = take(&prompt);
    p->answer = strdup(answer);
    p->choices = (int)count;
    if (subject) {
        free(p->group);
        p->group = strdup(subject);
    }
    return p->group ? work_out(p, name, " ", answer, error) : loom_fail_memory(error, name, 1);
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static loom_status judge_gsm8k(const struct loom_problem *p, const char *response,
                               const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                               struct loom_error *error) {
    (void)limits;
    char *found[2] = {loom_answer_gsm8k_strict(response), loom_answer_gsm8k_flexible(response)};
    char *gold = loom_answer_gsm8k_plain(p->answer);
    bool failed = !gold;
    for (int i = 0; i < 2; i++) {
        char *plain = found[i] ? loom_answer_gsm8k_plain(found[i]) : NULL;
        failed = failed || !plain;
        right[i] = !failed && strcmp(plain, gold) == 0;
        free(plain);
        free(found[i]);
    }
    free(gold);
    return failed ? loom_fail_memory(error, p->id, strlen(response)) : LOOM_OK;
}

static loom_status judge_math(const struct loom_problem *p, const char *response,
                              const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                              struct loom_error *error) {
    (void)limits;
    char *answer = loom_answer_between_dollars(response);
    bool failed = !answer;
    right[0] = answer && loom_answer_math_equal(answer, p->answer, &failed);
    free(answer);
    return failed ? loom_fail_memory(error, p->id, strlen(response)) : LOOM_OK;
}

static loom_status judge_minerva(const struct loom_problem *p, const char *response,
                                 const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                                 struct loom_error *error) {
    (void)limits;
    char *answer = loom_answer_minerva_final(response);
    bool failed = !answer;
    right[0] = answer && loom_answer_minerva_equal(answer, p->answer, &failed);
    free(answer);
    return failed ? loom_fail_memory(error, p->id, strlen(response)) : LOOM_OK;
}

static loom_status judge_bbh(const struct loom_problem *p, const char *response,
                             const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                             struct loom_error *error) {
    (void)limits;
    char *answer = loom_answer_bbh(response);
    right[0] = answer && strcmp(answer, p->answer) == 0;
    bool failed = !answer;
    free(answer);
    return failed ? loom_fail_memory(error, p->id, strlen(response)) : LOOM_OK;
}

static loom_status judge_letter(const struct loom_problem *p, const char *response,
                                const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                                struct loom_error *error) {
    (void)limits;
    (void)error;
    right[0] = loom_answer_letter(response, p->choices) == p->answer[0] - 'A';
    return LOOM_OK;
}

static loom_status judge_same(const struct loom_problem *p, const char *response,
                              const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                              struct loom_error *error) {
    (void)limits;
    (void)error;
    right[0] = loom_answer_same(response, p->answer);
    return LOOM_OK;
}

static loom_status judge_number(const struct loom_problem *p, const char *response,
                                const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                                struct loom_error *error) {
    double gold = loom_answer_number(p->answer), answer = loom_answer_number(response);
    (void)limits;
    if (isnan(gold))
        return loom_fail(error, LOOM_INVALID, "problem %s: its answer \"%.64s\" holds no number", p->id, p->answer);
    right[0] = answer == gold;
    return LOOM_OK;
}

/* A word that no response can know beforehand. One that looks for it in its own interpreter will find it, as it can
 * make what it returns equal to all that a test compares with: tests that run beside an answer trust it that far. */
static loom_status draw_word(char word[2 * 16 + 1], struct loom_error *error) {
    unsigned char bytes[16];
    if (getentropy(bytes, sizeof bytes) != 0)
        return loom_fail_system(error, "cannot draw", "a word for the sandbox");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(word + 2 * i, 3, "%02x", bytes[i]);
    return LOOM_OK;
}

/* The program is right when it comes to its end without an error: the last line says so with a word that is drawn each
 * time, so that leaving early does not count. */
static loom_status run_program(const struct loom_problem *p, const char *before, const char *response,
                               const struct loom_sandbox_limits *limits, bool *right, struct loom_error *error) {
    struct loom_text program = {0};
    struct loom_sandbox_result result;
    char word[2 * 16 + 1];
    loom_status status = draw_word(word, error);
    if (status)
        return status;
    loom_text_append(&program, "%s%s%s\nprint('\\n%s')\n", before, response, p->test, word);
    if (program.failed) {
        loom_text_free(&program);
        return loom_fail_memory(error, p->id, strlen(response));
    }
    status = loom_sandbox_run(interpreter, program.data, program.size, limits, &result, error);
    size_t size = strlen(word) + 1; /* and the line's end */
    *right = status == LOOM_OK && !result.timed_out && result.code == 0 && result.size >= size &&
             memcmp(result.output + result.size - size, word, size - 1) == 0;
    free(result.output);
    loom_text_free(&program);
    return status;
}

static loom_status judge_humaneval(const struct loom_problem *p, const char *response,
                                   const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                                   struct loom_error *error) {
    return run_program(p, p->prompt, response, limits, &right[0], error);
}

static loom_status judge_mbpp(const struct loom_problem *p, const char *response,
                              const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                              struct loom_error *error) {
    return run_program(p, "", response, limits, &right[0], error);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct loom_task_kind kinds[] = {
    {"gsm8k",
     "grade-school word problems",
     read_gsm8k,
     judge_gsm8k,
     {"exact_match,strict", "exact_match,flexible"},
     {"Question:", "</s>", "<|im_end|>"},
     320,
     false},
    {"math",
     "competition mathematics, MATH and MATH-500",
     read_math,
     judge_math,
     {"exact_match"},
     {"Problem:"},
     512,
     false},
    {"minerva",
     "the same, asked and judged as Minerva was",
     read_minerva,
     judge_minerva,
     {"exact_match"},
     {"Problem:"},
     512,
     false},
    {"humaneval",
     "Python functions from their docstrings",
     read_humaneval,
     judge_humaneval,
     {"pass"},
     {"\nclass", "\ndef", "\n#", "\nif", "\nprint"},
     512,
     false},
    {"mbpp", "short Python programs", read_mbpp, judge_mbpp, {"pass"}, {"[DONE]"}, 512, false},
    {"mmlu", "multiple choice, by the likeliest letter", read_mmlu, judge_letter, {"acc"}, {"\n"}, 4, false},
    {"bbh",
     "BIG-Bench Hard with chain of thought",
     read_bbh,
     judge_bbh,
     {"exact_match"},
     {"</s>", "Q", "\n\n"},
     512,
     true},
    {"prosqa", "paths through a graph, in words", read_prosqa, judge_same, {"exact_match"}, {"\n"}, 64, false},
    {"exact", "rows of prompt and answer: the same text", read_plain, judge_same, {"exact_match"}, {"\n"}, 256, false},
    {"number",
     "rows of prompt and answer: the same last number",
     read_plain,
     judge_number,
     {"exact_match"},
     {NULL},
     256,
     false},
};

const struct loom_task_kind *loom_task_kind_at(size_t index) {
    return index < sizeof kinds / sizeof kinds[0] ? &kinds[index] : NULL;
}

loom_status loom_task_kind_find(const char *name, const struct loom_task_kind **kind, struct loom_error *error) {
    struct loom_text names = {0};
    for (size_t i = 0; (*kind = loom_task_kind_at(i)); i++) {
        if (strcmp((*kind)->name, name) == 0)
            break;
        loom_text_append(&names, "%s%s", i ? ", " : "", (*kind)->name);
    }
    loom_status status = *kind ? LOOM_OK
                               : loom_fail(error, LOOM_INVALID, "there is no task \"%.64s\"; there are %s", name,
                                           names.data ? names.data : "");
    loom_text_free(&names);
    return status;
}
