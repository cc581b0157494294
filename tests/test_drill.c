/* test_drill.c - generated problems: every answer is worked out again from the text alone, another way where there is
 * one; what a batch of them asks and hides; how many steps the curriculum allows. */
#include "scratch.h"
#include "tiny.h"

#include "train/drills.h"

enum { PROBLEMS = 60 };

/* The text of one problem between the colon and the newline, cut at its "=": question and answer. */
struct problem {
    struct loom_text text;
    char *question, *answer;
};

static struct problem write_problem(const char *name, uint64_t index, int steps) {
    struct problem p = {.text = {0}};
    loom_drill_write(loom_drill_find(name), 7, index, steps, &p.text);
    assert_false(p.text.failed);
    assert_int_equal(p.text.data[p.text.size - 1], '\n');
    assert_int_equal(atoi(p.text.data), steps);
    p.text.data[p.text.size - 1] = '\0';
    for (const char *c = p.text.data; *c; c++)
        assert_non_null(strchr(LOOM_DRILL_ALPHABET, *c));
    p.question = strchr(p.text.data, ':') + 1;
    p.answer = strchr(p.question, '=') + 1;
    p.answer[-1] = '\0';
    return p;
}

/* Calls `check` for problems of 1 to `most` steps. */
static void for_problems(const char *name, int most, void (*check)(struct problem *p, int steps)) {
    for (uint64_t i = 0; i < PROBLEMS; i++) {
        int steps = 1 + (int)i % most;
        struct problem p = write_problem(name, i, steps);
        check(&p, steps);
        loom_text_free(&p.text);
    }
}

static char follow(const char *pairs, char node, int steps) {
    for (int i = 0; i < steps; i++) {
        const char *pair = pairs;
        while (*pair != node)
            pair += 3;
        node = pair[1];
    }
    return node;
}

/* Behind the 16 pairs come eight questions "x=y", a space apart; the first has been cut at its sign. */
static void check_pointer(struct problem *p, int steps) {
    assert_int_equal(p->answer[0], follow(p->question, p->question[48], steps));
    assert_int_equal(strlen(p->answer), 1 + 7 * 4);
    for (const char *next = p->answer + 1; *next; next += 4) {
        assert_true(next[0] == ' ' && next[2] == '=');
        assert_int_equal(next[3], follow(p->question, next[1], steps));
    }
}

/* Behind the text come three questions " x=y"; the last letter is not asked for. */
static void check_phop(struct problem *p, int steps) {
    char *text = p->question, *end = strchr(text, ' '), *query = end + 1;
    p->answer[-1] = '=';
    for (int asked = 0; asked < 3; asked++, query += 4) {
        const char *at = end;
        char wanted = query[0];
        assert_true(query[1] == '=' && wanted != end[-1] && (asked == 2 ? query[3] == '\0' : query[3] == ' '));
        for (int i = 0; i < steps; i++, wanted = *at) {
            do
                at--;
            while (*at != wanted);
            at++;
        }
        assert_int_equal(query[2], *at);
    }
}

/* Step i's question, " ITEM=ANSWER" behind three characters that say what is before the first. */
static const char *step_of(struct problem *p, int i, int width, int steps) {
    p->answer[-1] = '=';
    assert_int_equal(strlen(p->question), 2 + steps * (width + 3));
    const char *item = p->question + 2 + i * (width + 3) + 1;
    assert_true(item[-1] == ' ' && item[width] == '=');
    return item;
}

/* From the end of the word back to its beginning: what stands at the answer's place came from the thing's. */
static void check_s5(struct problem *p, int steps) {
    static const char *const letters[] = {"21345", "13245", "12435", "12354", "23145", "12453", "23451", "51234"};
    for (int last = 0; last < steps; last++) {
        int place = step_of(p, last, 1, steps)[2] - '1';
        for (int i = last; i >= 0; i--)
            place = letters[step_of(p, i, 1, steps)[0] - 'a'][place] - '1';
        assert_int_equal(p->question[0], '1' + place);
    }
}

static void check_modular(struct problem *p, int steps) {
    long value = p->question[0] - '0';
    for (int i = 0; i < steps; i++) {
        const char *item = step_of(p, i, 2, steps);
        long operand = item[1] - '0';
        value = item[0] == '+' ? value + operand : item[0] == '-' ? value - operand : value * operand;
        value = (value % 10 + 10) % 10;
        assert_int_equal(item[3], '0' + value);
    }
}

/* One column more holds the carry. */
static void check_addition(struct problem *p, int steps) {
    long a = 0, b = 0, sum = 0, ten = 1;
    p->question--; /* one space begins it, where others have a value and a space */
    for (int i = 0; i <= steps; i++, ten *= 10) {
        const char *item = step_of(p, i, 2, steps + 1);
        a += ten * (item[0] - '0');
        b += ten * (item[1] - '0');
        sum += ten * (item[3] - '0');
    }
    assert_true(a < ten / 10 && b < ten / 10);
    assert_int_equal(sum, a + b);
}

/* What an event's words make of a number; "change" is the digit among them. */
static int told(const char *words, int count) {
    const char *digit = strpbrk(words, "0123456789");
    int change = digit ? *digit - '0' : 0;
    if (strstr(words, "doubles"))
        return 2 * count;
    if (strstr(words, "half"))
        return count / 2;
    return strstr(words, "loses") || strstr(words, "sells") || strstr(words, "away") ? count - change : count + change;
}

/* Every number behind an "=" follows from the one before it and the words between; the first "=" has been cut. */
static void check_story(struct problem *p, int steps) {
    char *start = strpbrk(p->question, "0123456789"), *words = strchr(start + 2, ' '), *answer = p->answer;
    int count = *start - '0', asked = 1;
    while (true) {
        count = told(words, count);
        assert_true(count >= 0 && count <= 9 && answer[0] == '0' + count);
        words = answer + 1;
        char *next = strchr(words, '=');
        if (!next)
            break;
        *next = '\0';
        answer = next + 1;
        asked++;
    }
    assert_int_equal(asked, steps);
}

/* Moves from `at` to the goal without going back, or -1. There is one way, so any search finds the shortest. */
static int moves_left(const struct problem *p, int at, int from) {
    const char *marks = p->question, *walls = marks + 49;
    const int neighbours[4] = {at + 1, at + 7, at - 1, at - 7};
    const bool open[4] = {(walls[at] - 'a') & 1, (walls[at] - 'a') & 2, at % 7 > 0 && (walls[at - 1] - 'a') & 1,
                          at >= 7 && (walls[at - 7] - 'a') & 2};
    if (marks[at] == '*')
        return 0;
    for (int move = 0; move < 4; move++) {
        int left = open[move] && neighbours[move] != from ? moves_left(p, neighbours[move], at) : -1;
        if (left >= 0)
            return left + 1;
    }
    return -1;
}

static void check_maze(struct problem *p, int steps) {
    const int start = (int)(strchr(p->question, '+') - p->question);
    const int offset[4] = {1, 7, -1, -7}, move = (int)(strchr("rdlu", p->answer[0]) - "rdlu");
    assert_int_equal(moves_left(p, start, -1), steps);
    assert_int_equal(moves_left(p, start + offset[move], start), steps - 1);
}

static void test_answers(void **state) {
    (void)state;
    for_problems("pointer", 20, check_pointer);
    for_problems("phop", 12, check_phop);
    for_problems("s5", 30, check_s5);
    for_problems("modular", 30, check_modular);
    for_problems("addition", 15, check_addition);
    for_problems("story", 12, check_story);
    for_problems("maze", 12, check_maze);
    assert_null(loom_drill_find("none"));
}

/* A folder of problems of 1 to 4 steps, 40 to train on and 20 to validate on. */
static struct loom_tokens *open_folder(void *folder, const char *drill, struct loom_drills *drills) {
    struct loom_error error;
    struct loom_prepare_result result;
    struct loom_tokens *tokens;
    char *path = scratch_path(folder, drill);
    struct loom_drill_options options = {
        .drill = drill, .out = path, .steps_high = 4, .train_samples = 40, .val_samples = 20, .seed = 3};
    expect(loom_prepare_drill(&options, &result, &error), LOOM_OK, &error, "");
    expect(loom_tokens_open(path, &tokens, &error), LOOM_OK, &error, "");
    expect(loom_drills_open(drills, path, tokens, &error), LOOM_OK, &error, "");
    free(path);
    return tokens;
}

static void test_index(void **state) {
    struct loom_drills drills;
    struct loom_tokens *tokens = open_folder(*state, "modular", &drills);
    assert_int_equal(drills.low, 1);
    assert_int_equal(drills.high, 4);
    assert_true(drills.hides);
    for (int steps = 1; steps <= 4; steps++) {
        assert_int_equal(loom_drills_count(&drills, LOOM_SPLIT_TRAIN, steps), 10);
        assert_int_equal(loom_drills_count(&drills, LOOM_SPLIT_VAL, steps), 5);
    }
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
}

/* Only answers are targets; a batch has problems of one number of steps, within the limit, and both draws agree. */
static void test_batches(void **state) {
    enum { ROWS = 6 };
    struct loom_drills drills;
    struct loom_error error;
    struct loom_tokens *tokens = open_folder(*state, "pointer", &drills);
    size_t seq = drills.length - 1, targets, again;
    struct loom_batch a, b;
    assert_int_equal(loom_batch_open(&a, ROWS, seq, false, &error), LOOM_OK);
    assert_int_equal(loom_batch_open(&b, ROWS, seq, false, &error), LOOM_OK);
    for (uint64_t micro = 0; micro < 20; micro++) {
        int steps, other;
        struct loom_drill_draw draw = {
            .seed = 5, .micro = micro, .most = 2, .half = micro % 2 > 0, .rows = ROWS, .seq = seq, .batch = &a};
        expect(loom_drills_draw(&drills, &draw, &steps, &targets, &error), LOOM_OK, &error, "");
        draw.batch = &b;
        expect(loom_drills_draw(&drills, &draw, &other, &again, &error), LOOM_OK, &error, "");
        assert_true(steps >= 1 && steps <= 2 && steps == other && targets == again);
        assert_int_equal(targets, ROWS * 8);
        assert_memory_equal(a.inputs, b.inputs, ROWS * seq * sizeof *a.inputs);
        for (size_t i = 0; i + 1 < ROWS * seq; i++) {
            assert_true((a.targets[i] >= 0) == (a.inputs[i] == drills.equals));
            if (a.targets[i] >= 0 && (i + 2) % seq != 0) /* the next question, if there is one, does not see it */
                assert_true(a.inputs[i + 1] == drills.mask);
        }
    }
    loom_batch_close(&a);
    loom_batch_close(&b);
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
}

/* A sum is right when all of its digits are. */
static void test_sum(void **state) {
    struct loom_drills drills;
    struct loom_error error;
    struct loom_tokens *tokens = open_folder(*state, "addition", &drills);
    size_t seq = drills.length - 1, targets, row = 0;
    struct loom_batch batch;
    assert_true(drills.hides && drills.counts == LOOM_DRILL_ALL);
    assert_int_equal(loom_batch_open(&batch, 1, seq, false, &error), LOOM_OK);
    expect(loom_drills_get(&drills, LOOM_SPLIT_VAL, 3, &row, 1, seq, &batch, &targets, &error), LOOM_OK, &error, "");
    assert_int_equal(targets, 4); /* three digits and a carry */
    loom_batch_close(&batch);
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
}

/* A gate learns how many steps a problem takes where it is answered, and of some others that they take one loop, or
 * with `whole` the same number. The last rows are for the gate alone. */
static void test_depths(void **state) {
    enum { ROWS = 8, ALONE = 2 };
    struct loom_drills drills;
    struct loom_error error;
    struct loom_tokens *tokens = open_folder(*state, "pointer", &drills);
    size_t seq = drills.length - 1, targets;
    struct loom_batch batch;
    int *depths = test_calloc(ROWS * seq, sizeof *depths), steps, seen = 0;
    assert_int_equal(loom_batch_open(&batch, ROWS, seq, false, &error), LOOM_OK);
    for (uint64_t micro = 0; micro < 20; micro++) {
        const struct loom_drill_draw draw = {.seed = 5,
                                             .micro = micro,
                                             .most = 2,
                                             .rows = ROWS,
                                             .seq = seq,
                                             .batch = &batch,
                                             .depths = depths,
                                             .whole = micro % 2 > 0};
        expect(loom_drills_draw(&drills, &draw, &steps, &targets, &error), LOOM_OK, &error, "");
        assert_int_equal(targets, (ROWS - ALONE) * 8);
        for (size_t i = 0; i < ROWS * seq; i++) {
            bool alone = i / seq >= ROWS - ALONE, asked = batch.inputs[i] == drills.equals;
            assert_true((batch.targets[i] >= 0) == (asked && !alone));
            if (asked && alone)
                seen |= 1 << depths[i];
            else if (asked && !alone)
                assert_int_equal(depths[i], steps - 1);
            else if ((i % seq + micro) % 16 > 0 || (draw.whole && i % seq < 2))
                assert_int_equal(depths[i], -1);
            else if (!draw.whole)
                assert_int_equal(depths[i], 0);
        }
    }
    assert_int_equal(seen, 0xF); /* one to four steps */
    test_free(depths);
    loom_batch_close(&batch);
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
}

/* A story's steps are hidden, each of its questions is learned, and only the last one counts. */
static void test_stepwise(void **state) {
    struct loom_drills drills;
    struct loom_error error;
    struct loom_tokens *tokens = open_folder(*state, "story", &drills);
    size_t seq = drills.length - 1, targets, row = 0;
    struct loom_batch batch;
    assert_true(drills.hides && drills.counts == LOOM_DRILL_LAST);
    assert_int_equal(loom_batch_open(&batch, 1, seq, false, &error), LOOM_OK);
    expect(loom_drills_get(&drills, LOOM_SPLIT_VAL, 3, &row, 1, seq, &batch, &targets, &error), LOOM_OK, &error, "");
    assert_int_equal(targets, 3);
    assert_true(batch.inputs[0] == drills.mask && batch.inputs[1] == drills.mask && batch.inputs[2] != drills.mask);
    loom_batch_close(&batch);
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
}

static void test_refused(void **state) {
    struct loom_error error;
    struct loom_prepare_result result;
    char *path = scratch_path(*state, "refused");
    struct loom_drill_options options = {.drill = "sudoku", .out = path, .train_samples = 1, .val_samples = 1};
    expect(loom_prepare_drill(&options, &result, &error), LOOM_INVALID, &error, "sudoku");
    options.drill = "maze";
    options.steps_high = 30;
    expect(loom_prepare_drill(&options, &result, &error), LOOM_INVALID, &error, "1 to 24 steps, not 1 to 30");
    options.steps_high = 3;
    options.val_samples = 0;
    expect(loom_prepare_drill(&options, &result, &error), LOOM_INVALID, &error, "0 validation");
    assert_false(loom_path_exists(path));
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test_setup_teardown(test_index, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_batches, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_sum, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_depths, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_stepwise, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_refused, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests_name("drills", tests, NULL, NULL);
}
