/* report_twins.c - the page of a race of twins: what the sides are, and what each answers right. */
#include "eval/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/html.h"
#include "eval/twins_table.h"

enum { CURVES = 6, DENSE = 2, POINTS = 128 };

static double number_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void put_cell(struct loom_text *html, const json_t *value) {
    loom_text_append(html, "<td>");
    loom_html_value(html, value);
    loom_text_append(html, "</td>");
}

/* The settings that make a dense side of the preset. */
static void put_making(struct loom_text *html, const json_t *side) {
    const char *settings = json_string_value(json_object_get(side, "made_by"));
    if (!settings || !settings[0])
        return;
    loom_text_append(html, "<p class=\"sub\">");
    loom_html_value(html, json_object_get(side, "side"));
    loom_text_append(html, ": the preset with ");
    loom_html_value(html, json_object_get(side, "made_by"));
    loom_text_append(html, "</p>\n");
}

static void put_sides(struct loom_text *html, const json_t *sides) {
    loom_text_append(html,
                     "<div class=\"table\"><table><thead><tr><th>Side</th><th>Parameters</th><th>active for a token"
                     "</th><th>Work, whole run</th><th>Time</th><th>Best validation loss</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(sides); i++) {
        const json_t *side = json_array_get(sides, i);
        loom_text_append(html, "<tr>");
        put_cell(html, json_object_get(side, "side"));
        loom_text_append(html, "<td>");
        loom_units_put_count(html, number_of(side, "parameters"));
        loom_text_append(html, "</td><td>");
        loom_units_put_count(html, number_of(side, "active_parameters"));
        loom_text_append(html, "</td><td>");
        loom_units_put(html, LOOM_FLOPS, number_of(side, "flops"));
        loom_text_append(html, "</td><td>");
        loom_units_put(html, LOOM_SECONDS, number_of(side, "seconds"));
        loom_text_append(html, "</td><td>%.4f</td></tr>\n", number_of(side, "best_val_loss"));
    }
    loom_text_append(html, "</tbody></table></div>\n");
    for (size_t i = 0; i < json_array_size(sides); i++)
        put_making(html, json_array_get(sides, i));
}

static void put_rows(struct loom_text *html, const json_t *rows) {
    loom_html_heading(html, "Right answers");
    loom_text_append(html,
                     "<div class=\"table\"><table><thead><tr><th>Side</th><th>Loops</th><th>Problems</th><th>Metric"
                     "</th><th>right</th><th>95 %% interval</th><th>seeds</th><th>number</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        static const char *const keys[] = {"side", "loops", "group", "metric"};
        const json_t *row = json_array_get(rows, i);
        loom_text_append(html, "<tr>");
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            put_cell(html, json_object_get(row, keys[k]));
        loom_text_append(html, "<td>%.1f %%</td><td>%.1f to %.1f %%</td><td>%.1f to %.1f %%</td>",
                         100 * number_of(row, "value"), 100 * number_of(row, "low"), 100 * number_of(row, "high"),
                         100 * number_of(row, "least"), 100 * number_of(row, "most"));
        put_cell(html, json_object_get(row, "problems"));
        loom_text_append(html, "</tr>\n");
    }
    loom_text_append(html, "</tbody></table></div>\n");
}

/* The share right of one side under one number of loops, against the steps of the problems. */
struct line {
    char name[64];
    double steps[POINTS], share[POINTS];
    size_t count;
};

static void name_line(const json_t *row, char name[64]) {
    const json_t *loops = json_object_get(row, "loops");
    const char *side = json_string_value(json_object_get(row, "side"));
    if (json_is_integer(loops))
        snprintf(name, 64, "%s, %d loops", side ? side : "", (int)json_integer_value(loops));
    else
        snprintf(name, 64, "%s, %s", side ? side : "", json_is_string(loops) ? json_string_value(loops) : "");
}

/* The first side's lines, one for each number of loops, leave room for those of the dense sides. */
static size_t lines_allowed(const json_t *rows, const json_t *row) {
    const json_t *first = json_object_get(json_array_get(rows, 0), "side");
    return json_equal(first, json_object_get(row, "side")) ? CURVES - DENSE : CURVES;
}

/* Rows of "N steps" lie side by side for each line. */
static size_t collect(const json_t *rows, struct line *lines, bool *all) {
    size_t count = 0;
    *all = true;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *group = json_string_value(json_object_get(row, "group"));
        char name[64], *end;
        long steps = group ? strtol(group, &end, 10) : 0;
        if (steps < 1 || strncmp(end, " step", 5) != 0)
            continue;
        name_line(row, name);
        if (count == 0 || strcmp(lines[count - 1].name, name) != 0) {
            if (count >= lines_allowed(rows, row)) {
                *all = false;
                continue;
            }
            memcpy(lines[count++].name, name, sizeof name);
        }
        struct line *line = &lines[count - 1];
        if (line->count == POINTS)
            continue;
        line->steps[line->count] = (double)steps;
        line->share[line->count++] = number_of(row, "value");
    }
    return count;
}

static loom_status put_chart(struct loom_text *html, const json_t *rows, struct loom_error *error) {
    struct line *lines = calloc(CURVES, sizeof *lines);
    struct loom_curve curves[CURVES];
    if (!lines)
        return loom_fail_memory(error, "chart", CURVES * sizeof *lines);
    bool all;
    size_t count = collect(rows, lines, &all);
    for (size_t i = 0; i < count; i++)
        curves[i] = (struct loom_curve){.name = lines[i].name,
                                        .x = lines[i].steps,
                                        .y = lines[i].share,
                                        .count = lines[i].count,
                                        .stride = 1,
                                        .color = (int)i,
                                        .marked = true};
    const struct loom_chart chart = {.title = "Share of right answers against a problem's steps",
                                     .x = LOOM_STEPS,
                                     .curves = curves,
                                     .n_curves = count,
                                     .rule = (double)NAN};
    if (count > 0) {
        loom_text_append(html, "<div class=\"charts\">\n");
        loom_svg_chart(html, &chart);
        loom_text_append(html, "</div>\n");
        if (!all)
            loom_text_append(html, "<p class=\"sub\">Further numbers of loops are in the table alone.</p>\n");
    }
    free(lines);
    return LOOM_OK;
}

loom_status loom_report_twins(struct loom_text *html, const char *folder, struct loom_error *error) {
    json_t *json = NULL;
    struct loom_text title = {0};
    char *path = loom_path_join(folder, LOOM_TWINS_FILE);
    loom_status status = path ? loom_json_read(path, &json, error) : loom_fail_memory(error, folder, strlen(folder));
    free(path);
    if (status)
        return status;
    const char *task = json_string_value(json_object_get(json, "task"));
    const char *preset = json_string_value(json_object_get(json, "preset"));
    loom_text_append(&title, "%s and its dense twins: %s", preset ? preset : "", task ? task : "");
    html->failed |= title.failed;
    loom_html_open(html, title.failed ? "" : title.data);
    loom_text_append(html,
                     "<p class=\"sub\">Trained on the same batches in the same number of steps; all %d seeds "
                     "together, each by its best checkpoint.</p>\n",
                     (int)json_integer_value(json_object_get(json, "seeds")));
    put_sides(html, json_object_get(json, "sides"));
    status = put_chart(html, json_object_get(json, "rows"), error);
    put_rows(html, json_object_get(json, "rows"));
    loom_text_free(&title);
    json_decref(json);
    return status;
}
