/* test_report.c - report.html from run and race folders made here: whole and escaped HTML with the right numbers, and
 * a page, not a failure, for folders that are cut short, empty or incomplete. */
#include "scratch.h"

#include <math.h>

#include "base/text.h"
#include "eval/numbers.h"
#include "eval/svg.h"

static const struct loom_random stream = {.seed = 5, .purpose = LOOM_RANDOM_TEST};

/* ---- folders ----------------------------------------------------------------------------------------------------- */

struct fixture {
    void *folder;
    char *page; /* the last report */
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    return fixture ? scratch_create(&fixture->folder) : -1;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    const int status = scratch_remove(&fixture->folder);
    free(fixture->page);
    free(fixture);
    return status;
}

static void write_text(const struct fixture *fixture, const char *name, const char *text) {
    free(scratch_write(fixture->folder, name, text, strlen(text)));
}

/* Every tag that opens closes in its order, and every "<" begins a tag: what was not escaped would break this. */
static void check_nesting(const char *page) {
    char open[32][16];
    int depth = 0;
    for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<')) {
        const bool closes = at[1] == '/', declares = at[1] == '!';
        char name[16] = "";
        sscanf(at + 1 + closes, "%15[a-z0-9]", name);
        const char *end = strchr(at, '>');
        assert_non_null(end);
        if (declares || end[-1] == '/' || strcmp(name, "meta") == 0)
            continue;
        assert_true(name[0] != '\0');
        if (closes) {
            assert_true(depth > 0);
            assert_string_equal(name, open[--depth]);
        } else {
            assert_true(depth < 32);
            strcpy(open[depth++], name);
        }
    }
    assert_int_equal(depth, 0);
}

/* Writes the report, checks what holds for every page, and returns it. */
static const char *report(struct fixture *fixture) {
    struct loom_error error = {.text = ""};
    size_t size;
    expect(loom_report(fixture->folder, &error), LOOM_OK, &error, "");
    free(fixture->page);
    char *path = scratch_path(fixture->folder, "report.html");
    expect(loom_file_read(path, (size_t)1 << 24, &fixture->page, &size, &error), LOOM_OK, &error, "");
    free(path);
    assert_int_equal(strlen(fixture->page), size);
    check_nesting(fixture->page);
    static const char *const loads[] = {"http://", "https://", "<script", "<link", "<img", "url(", "src=", "@import"};
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++)
        assert_null(strstr(fixture->page, loads[i]));
    assert_non_null(strstr(fixture->page, "default-src 'none'"));
    return fixture->page;
}

static void assert_has(const char *page, const char *text) {
    if (!strstr(page, text))
        fail_msg("the page lacks \"%s\"", text);
}

static size_t count_of(const char *page, const char *text) {
    size_t count = 0;
    for (const char *at = strstr(page, text); at; at = strstr(at + 1, text))
        count++;
    return count;
}

static const char config[] = "{\"loom_version\":\"0.1.0\",\"git_commit\":\"abc123\",\"name\":\"small <one>\","
                             "\"preset\":\"loom-small\",\"seed\":1,\"threads\":2,\"machine\":\"a & b\","
                             "\"parameters\":1234567,\"active_parameters\":345678,\"unknown_field\":[1,{\"a\":2}],"
                             "\"model\":{\"dim\":128,\"tie\":true,\"rope_theta\":10000.5},\"train\":{\"lr\":0.001},"
                             "\"data\":{\"path\":\"/x\",\"sha256\":\"deadbeef\"}}";

/* `steps` step lines with a loss of 4 to 2 and some noise, and an evaluation each `every` steps whose losses fall by
 * 0.1 from `first`. */
static void put_metrics(struct loom_text *text, int steps, int every, double first) {
    for (int step = 1; step <= steps; step++) {
        const double noise = loom_random_uniform(stream, (uint64_t)step);
        loom_text_append(text,
                         "{\"event\":\"step\",\"step\":%d,\"tokens\":%d,\"seconds\":%g,\"flops\":%g,\"loss\":%g,"
                         "\"lr\":0.001,\"grad_norm\":%g,\"tokens_per_second\":64000,\"mean_loops\":%g,"
                         "\"expert_imbalance\":1.5}\n",
                         step, step * 768, step * 0.012, step * 3e9, 2 + 2.0 / step + 0.1 * noise, noise, 3 + noise);
        if (step % every == 0)
            loom_text_append(text,
                             "{\"event\":\"eval\",\"step\":%d,\"tokens\":%d,\"seconds\":%g,\"flops\":%g,"
                             "\"val_loss\":%g,\"exit_depth\":[0.0625,0.25,0.6875],"
                             "\"expert_load\":[[0.125,0.875],[0.5,0.5],[0.0,1.0]]}\n",
                             step, step * 768, step * 0.012, step * 3e9, first - 0.1 * (step / every));
    }
    assert_false(text->failed);
}

/* A run folder inside the fixture's folder, or the folder itself for "". */
static void write_run(const struct fixture *fixture, const char *name, double first) {
    struct loom_text text = {0};
    struct loom_error error;
    char *folder = scratch_path(fixture->folder, name);
    expect(loom_folder_create(folder, &error), LOOM_OK, &error, "");
    put_metrics(&text, 100, 25, first);
    free(scratch_write(folder, "metrics.jsonl", text.data, text.size));
    free(scratch_write(folder, "config.json", config, strlen(config)));
    free(folder);
    loom_text_free(&text);
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static void test_run_numbers(void **state) {
    struct fixture *fixture = *state;
    write_run(fixture, "", 2.5);
    const char *page = report(fixture);
    assert_has(page, "<h1>small &lt;one&gt;</h1>");
    assert_has(page, "a &amp; b");
    assert_has(page, "1,234,567");
    assert_has(page, "345,678 active");
    assert_has(page, "<b>2.1000</b><span>at step 100</span>"); /* the best of 2.4, 2.3, 2.2, 2.1 */
    assert_has(page, "300 GFLOP");
    assert_has(page, "<b>1.2 seconds</b>");
    assert_has(page, "deadbeef");
    assert_has(page, "10000.5");
    assert_has(page, "validation: 2.4 at first, 2.1 at last.");
    /* heat map, as cells and as a table, and exit depth */
    assert_int_equal(count_of(page, "class=\"heat\""), 3 * 2);
    assert_has(page, "loop 1, expert 1: 87.5 %");
    assert_has(page, "<th scope=\"row\">1</th><td>12.50</td><td>87.50</td>");
    assert_int_equal(count_of(page, "class=\"bar\""), 3);
    assert_has(page, "after loop 3: 68.8 %");
    /* three losses, heat map, exits, mean loops, imbalance, learning rate, gradient norm, speed */
    assert_int_equal(count_of(page, "<svg role=\"img\""), 10);
    assert_null(strstr(page, "class=\"note\""));
    assert_null(strstr(page, "nan"));
}

static void test_dense_run_has_no_loops(void **state) {
    struct fixture *fixture = *state;
    write_text(fixture, "metrics.jsonl",
               "{\"event\":\"step\",\"step\":1,\"loss\":3.5,\"mean_loops\":0,\"expert_imbalance\":0}\n"
               "{\"event\":\"eval\",\"step\":1,\"val_loss\":3.25}\n");
    write_text(fixture, "config.json", config);
    const char *page = report(fixture);
    assert_null(strstr(page, "Loops and experts"));
    assert_has(page, "<b>3.2500</b>");
    assert_has(page, "Nothing was recorded for this chart."); /* learning rate */
}

static void test_samples_are_escaped(void **state) {
    struct fixture *fixture = *state;
    static const char lines[] =
        "{\"event\":\"sample\",\"step\":5,\"prompt\":\"A<b>\",\"text\":\"x <script>alert('1')</script> & \\\"y\\\"\"}\n"
        "{\"event\":\"sample\",\"step\":6,\"prompt\":\"\",\"text\":\"bad \xFF\xC3 bytes \\u0000 \\u001b[2J "
        "\xE2\x82\xAC\"}\n";
    write_text(fixture, "config.json", config);
    write_text(fixture, "metrics.jsonl", lines);
    const char *page = report(fixture);
    assert_has(page, "<mark>A&lt;b&gt;</mark>x &lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;y&quot;");
    assert_has(page, "bad \xEF\xBF\xBD\xEF\xBF\xBD bytes \xEF\xBF\xBD \xEF\xBF\xBD[2J \xE2\x82\xAC");
}

static void test_many_samples_are_thinned(void **state) {
    struct fixture *fixture = *state;
    struct loom_text text = {0};
    for (int i = 1; i <= 101; i++)
        loom_text_append(&text, "{\"event\":\"sample\",\"step\":%d,\"text\":\"t\"}\n", i);
    write_text(fixture, "metrics.jsonl", text.data);
    loom_text_free(&text);
    const char *page = report(fixture);
    assert_int_equal(count_of(page, "class=\"sample\""), 8);
    assert_has(page, ">step 1<");
    assert_has(page, ">step 101<");
    assert_has(page, "8 of 101 samples");
}

static void test_truncated_metrics(void **state) {
    struct fixture *fixture = *state;
    write_text(fixture, "config.json", config);
    write_text(fixture, "metrics.jsonl",
               "{\"event\":\"eval\",\"step\":1,\"val_loss\":3.25}\n"
               "{\"event\":\"future\",\"step\":1,\"what\":[]}\n"
               "{\"event\":\"eval\",\"step\":2,\"val_l\n"
               "\n"
               "{\"event\":\"eval\",\"step\":3,\"val_loss\":null}\n"
               "{\"event\":\"eval\",\"step\":4,\"val_loss\":\"1\",\"expert_load\":[[0.5,\"x\"],7,[]]}\n"
               "{\"event\":\"eval\",\"step\":5,\"val_loss\":1.");
    const char *page = report(fixture);
    assert_has(page, "<b>3.2500</b>");
    assert_has(page, "1 line of metrics.jsonl could not be read");
    assert_has(page, "last line of metrics.jsonl is cut short");
}

static void test_resumed_run_counts_once(void **state) {
    struct fixture *fixture = *state;
    write_text(fixture, "config.json", config);
    write_text(fixture, "metrics.jsonl",
               "{\"event\":\"eval\",\"step\":10,\"val_loss\":3.5}\n{\"event\":\"eval\",\"step\":20,\"val_loss\":1.5}\n"
               "{\"event\":\"eval\",\"step\":20,\"val_loss\":2.5}\n");
    const char *page = report(fixture);
    assert_has(page, "<b>2.5000</b>");
    assert_has(page, "validation: 3.5 at first, 2.5 at last.");
}

static void test_little_is_enough(void **state) {
    struct fixture *fixture = *state;
    struct loom_error error = {.text = ""};
    expect(loom_report(fixture->folder, &error), LOOM_FAILED, &error, fixture->folder);
    write_text(fixture, "metrics.jsonl", "");
    const char *page = report(fixture);
    assert_has(page, "config.json: No such file");
    assert_has(page, "none yet");
    write_text(fixture, "config.json", "{\"name\": 7, \"model\": [], \"parameters\": \"many\"");
    assert_has(report(fixture), "is not valid JSON");
    write_text(fixture, "config.json", "{\"name\": 7, \"model\": [], \"parameters\": \"many\"}");
    assert_has(report(fixture), "A training run");
}

/* ---- a race ------------------------------------------------------------------------------------------------------ */

static const char race[] =
    "{\"baseline\":{\"name\":\"nanogpt-small\",\"parameters\":804096,\"best_val_loss\":1.9051,\"best_step\":2000,"
    "\"seconds\":150,\"flops\":6.1e12},\"loom\":{\"name\":\"loom & small\",\"parameters\":801234,"
    "\"best_val_loss\":1.8562,\"best_step\":1750,\"seconds\":61.5,\"flops\":9.6e12},\"ratio_steps\":1.25,"
    "\"ratio_flops\":0.8,\"ratio_seconds\":null,\"seeds\":[1,2,3],\"runs\":["
    "{\"side\":\"baseline\",\"seed\":1,\"folder\":\"baseline-seed-1\",\"best_val_loss\":2.6,\"best_step\":100},"
    "{\"side\":\"loom\",\"seed\":1,\"folder\":\"loom-seed-1\",\"best_val_loss\":2.5,\"best_step\":100},"
    "{\"side\":\"loom\",\"seed\":2,\"folder\":\"loom-seed-2\",\"best_val_loss\":2.1,\"best_step\":100},"
    "{\"side\":\"loom\",\"seed\":3,\"folder\":\"loom-seed-3\",\"best_val_loss\":2.2,\"best_step\":100}]}";

static void test_race(void **state) {
    struct fixture *fixture = *state;
    write_text(fixture, "race.json", race);
    write_run(fixture, "baseline-seed-1", 3.0);
    write_run(fixture, "loom-seed-1", 2.9);
    write_run(fixture, "loom-seed-2", 2.5);
    write_run(fixture, "loom-seed-3", 2.6);
    const char *page = report(fixture);
    assert_has(page, "<h1>loom &amp; small against nanogpt-small</h1>");
    assert_has(page, "<b>1.25\xC3\x97</b>");
    assert_has(page, "with 80\xC2\xA0% of its steps");
    assert_has(page, "with 125\xC2\xA0% of its FLOPs");
    assert_has(page, "Loom did not reach");
    assert_has(page, "<td>804,096</td><td>801,234</td>");
    assert_has(page, "<td>1.9051</td><td>1.8562</td>");
    assert_has(page, "<td>2.5 minutes</td><td>61.5 seconds</td>");
    /* the median of 2.8, 2.4 and 2.5 at step 25, and of 2.5, 2.1 and 2.2 at step 100 */
    assert_has(page, "loom &amp; small: 2.5 at first, 2.2 at last.");
    assert_has(page, "loom &amp; small 2.5 at 25 steps");
    assert_int_equal(count_of(page, "<path class=\"rule\""), 3);
    /* in each of the three charts: three seeds thin, two medians bold */
    const char *end = strstr(page, "Every run");
    assert_non_null(end);
    assert_int_equal(count_of(page, "<path class=\"line k0 faint\"") - count_of(end, "<path class=\"line k0 faint\""),
                     9);
    assert_int_equal(count_of(page, "<path class=\"line k1\""), 3);
    assert_has(page, "loop 1, expert 1: 87.5 %");
    assert_null(strstr(page, "class=\"note\""));
}

static void test_race_without_a_side(void **state) {
    struct fixture *fixture = *state;
    write_text(fixture, "race.json",
               "{\"baseline\":{\"name\":\"nanogpt-small\",\"best_val_loss\":1.9},\"ratio_steps\":\"x\",\"runs\":["
               "{\"side\":\"baseline\",\"seed\":1,\"folder\":\"baseline-seed-1\"},{\"side\":\"other\"},7,"
               "{\"side\":\"loom\",\"seed\":1,\"folder\":\"not-there\"}]}");
    write_run(fixture, "baseline-seed-1", 3.0);
    const char *page = report(fixture);
    assert_has(page, "race.json has nothing about the side \"loom\"");
    assert_has(page, "not-there/metrics.jsonl: No such file");
    assert_has(page, "nanogpt-small: 2.9 at first");
    assert_int_equal(count_of(page, "<span>not recorded</span>"), 3);
    write_text(fixture, "race.json", "[]");
    page = report(fixture);
    assert_has(page, "names no run of the side \"baseline\"");
    assert_int_equal(count_of(page, "Nothing was recorded for this chart."), 3);
}

static void test_broken_race_keeps_the_old_report(void **state) {
    struct fixture *fixture = *state;
    struct loom_error error = {.text = ""};
    write_text(fixture, "race.json", "{\"baseline\":");
    write_text(fixture, "report.html", "old");
    expect(loom_report(fixture->folder, &error), LOOM_FAILED, &error, "race.json");
    char *path = scratch_path(fixture->folder, "report.html"), *data;
    size_t size;
    expect(loom_file_read(path, 100, &data, &size, &error), LOOM_OK, &error, "");
    assert_string_equal(data, "old");
    free(data);
    free(path);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

/* 20,001 points, among them a spike and two dips, the first and the last of a bucket: at most 600 are
 * drawn, and these are. */
static void test_thinning_keeps_spikes(void **state) {
    (void)state;
    enum { COUNT = 20001 };
    double(*points)[2] = calloc(COUNT, sizeof *points);
    assert_non_null(points);
    for (int i = 0; i < COUNT; i++) {
        points[i][0] = i;
        points[i][1] = 1 + loom_random_uniform(stream, (uint64_t)i);
    }
    points[12345][1] = 101;
    points[3333][1] = -99;
    points[6732][1] = -98;
    points[500][1] = (double)NAN;
    const struct loom_curve curve = {.x = points[0], .y = &points[0][1], .count = COUNT, .stride = 2};
    struct loom_chart chart = {.title = "t", .curves = &curve, .n_curves = 1, .rule = (double)NAN};
    struct loom_text html = {0};
    loom_svg_chart(&html, &chart);
    assert_false(html.failed);
    const char *path = strstr(html.data, "<path class=\"line k0\" d=\"");
    assert_non_null(path);
    const size_t length = strcspn(strstr(path, "d=\"") + 3, "\"");
    assert_in_range(length, 1000, 600 * 14);
    /* 101 and -99 on an axis from -109 to 111, 196 units high */
    assert_non_null(strstr(path, " 8.9"));
    assert_non_null(strstr(path, " 187.1"));
    assert_non_null(strstr(path, " 186.2"));
    points[3333][1] = points[6732][1] = 1.5;
    chart.focus = true;
    loom_text_free(&html);
    loom_svg_chart(&html, &chart);
    assert_non_null(strstr(html.data, "highest 101, above the frame"));
    loom_text_free(&html);
    for (int i = 0; i < COUNT; i++)
        points[i][1] = pow(10, -4.0 * i / (COUNT - 1)); /* 1 to 1e-4: each power of ten a quarter of 196 units */
    loom_svg_chart(&html, &chart);
    assert_null(strstr(html.data, "above the frame"));
    assert_non_null(strstr(html.data, ">1e-4</text>"));
    assert_non_null(strstr(html.data, " 0.0L"));
    assert_non_null(strstr(html.data, " 98.0L"));
    loom_text_free(&html);
    free(points);
}

/* One curve ends at 50, the other at 5000, and both begin at 0: the axis goes by powers of ten from the first place
 * above it, 10, and what lies at 0 stands there too; 100 lies at 0.37 of its 338 units. */
static void test_unlike_reaches_are_told_by_powers(void **state) {
    (void)state;
    static const double near[][2] = {{0, 3}, {10, 2}, {50, 1}}, far[][2] = {{0, 3}, {100, 2}, {5000, 1}};
    const struct loom_curve curves[] = {{.x = near[0], .y = &near[0][1], .count = 3, .stride = 2, .color = 0},
                                        {.x = far[0], .y = &far[0][1], .count = 3, .stride = 2, .color = 1}};
    struct loom_chart chart = {.title = "t", .curves = curves, .n_curves = 2, .rule = (double)NAN};
    struct loom_text html = {0};
    loom_svg_chart(&html, &chart);
    assert_non_null(strstr(html.data, "<path class=\"line k1\" d=\"M0.0 "));
    assert_non_null(strstr(html.data, "L125.2 "));
    assert_non_null(strstr(html.data, ">1,000</text>"));
    assert_null(strstr(html.data, ">2,000</text>"));
    loom_text_free(&html);
    chart.n_curves = 1;
    loom_svg_chart(&html, &chart);
    assert_non_null(strstr(html.data, ">40</text>"));
    loom_text_free(&html);
}

static void test_text(void **state) {
    (void)state;
    struct loom_text text = {0};
    loom_text_put_html(&text, "a\x01\n\"'\xED\xA0\x80", 8);
    assert_string_equal(text.data, "a\xEF\xBF\xBD\n&quot;&#39;\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    loom_text_free(&text);
    for (int i = 0; i < 1000; i++)
        loom_text_append(&text, "%d,", i);
    assert_int_equal(text.size, strlen(text.data));
    assert_int_equal(text.size, 10 * 2 + 90 * 3 + 900 * 4);
    text.failed = true;
    loom_text_append(&text, "more");
    assert_int_equal(text.size, 10 * 2 + 90 * 3 + 900 * 4);
    loom_text_free(&text);
}

static void assert_unit(enum loom_quantity quantity, double value, const char *expected) {
    struct loom_text text = {0};
    loom_units_put(&text, quantity, value);
    assert_string_equal(text.data, expected);
    loom_text_free(&text);
}

static void test_units(void **state) {
    (void)state;
    assert_unit(LOOM_SECONDS, 90, "90 seconds");
    assert_unit(LOOM_SECONDS, 150, "2.5 minutes");
    assert_unit(LOOM_SECONDS, 86400, "24 hours");
    assert_unit(LOOM_SECONDS, 259200, "3 days");
    assert_unit(LOOM_FLOPS, 3.214e15, "3.21 PFLOP");
    assert_unit(LOOM_FLOPS, 12, "12 FLOP");
    assert_unit(LOOM_STEPS, 1234567, "1,234,567");
    assert_unit(LOOM_STEPS, (double)NAN, "unknown");
    double values[] = {3, 1, 2, 10};
    assert_true(loom_numbers_median(values, 4) == 2.5);
    assert_true(loom_numbers_median(values, 3) == 2);
    assert_true(isnan(loom_numbers_median(values, 0)));
}

/* Of a looped side asked with more numbers of loops than there are colours, what is drawn leaves room for its twins. */
static void test_twins_drawn(void **state) {
    struct fixture *fixture = *state;
    struct loom_text json = {0};
    loom_text_append(&json, "{\"task\":\"story\",\"preset\":\"p\",\"seeds\":1,\"sides\":[],\"rows\":[");
    for (int line = 0; line < 10; line++)
        for (int steps = 2; steps < 4; steps++)
            loom_text_append(&json,
                             "%s{\"side\":\"%s\",\"loops\":%d,\"group\":\"%d steps\",\"metric\":\"exact_match\","
                             "\"value\":0.5,\"low\":0.4,\"high\":0.6,\"least\":0.5,\"most\":0.5,\"problems\":9}",
                             line + steps > 2 ? "," : "",
                             line < 8   ? "looped"
                             : line < 9 ? "parameters"
                                        : "FLOPs",
                             line < 8 ? line + 1 : 1, steps);
    loom_text_append(&json, "]}");
    assert_false(json.failed);
    write_text(fixture, "twins.json", json.data);
    loom_text_free(&json);
    const char *page = report(fixture);
    assert_has(page, "looped, 4 loops</span>");
    assert_null(strstr(page, "looped, 5 loops"));
    assert_has(page, "parameters, 1 loops</span>");
    assert_has(page, "FLOPs, 1 loops</span>");
    assert_has(page, "Further numbers of loops");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_run_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dense_run_has_no_loops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samples_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_samples_are_thinned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated_metrics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resumed_run_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_little_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race_without_a_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_race_keeps_the_old_report, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twins_drawn, setup, teardown),
        cmocka_unit_test(test_thinning_keeps_spikes),
        cmocka_unit_test(test_unlike_reaches_are_told_by_powers),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
