/* report_race.c - the page of a race: the ratios, both sides' validation loss over every seed, and a look inside the
 * first Loom run. */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/html.h"
#include "eval/numbers.h"

enum { BASELINE, LOOM, SIDES };

struct side {
    const char *key, *word; /* in race.json; on the page */
    const json_t *summary;  /* borrowed from race.json; NULL when it is missing */
    struct loom_history runs[LOOM_RACE_SEEDS_MAX];
    size_t n_runs;
    struct loom_rows median; /* over the seeds, evaluation by evaluation */
};

struct race {
    const char *folder;
    json_t *json;
    struct side sides[SIDES];
};

static double number_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Step lines are read for the one run that is shown from inside; the others are here for their evaluations. */
static loom_status read_run(struct race *race, const json_t *run, struct loom_error *error) {
    const char *word = json_string_value(json_object_get(run, "side"));
    const char *name = json_string_value(json_object_get(run, "folder"));
    for (int s = 0; word && name && s < SIDES; s++) {
        struct side *side = &race->sides[s];
        if (strcmp(word, side->key) != 0 || side->n_runs == LOOM_RACE_SEEDS_MAX)
            continue;
        char *path = loom_path_join(race->folder, name);
        if (!path)
            return loom_fail_memory(error, name, strlen(name));
        const bool inside = s == LOOM && side->n_runs == 0;
        const loom_status status = loom_history_read(path, inside, &side->runs[side->n_runs++], error);
        free(path);
        return status;
    }
    return LOOM_OK;
}

static double median_field(const struct side *side, size_t evaluation, int field) {
    double values[LOOM_RACE_SEEDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < side->n_runs; i++)
        if (evaluation < side->runs[i].evals.count && isfinite(side->runs[i].evals.row[evaluation][field]))
            values[count++] = side->runs[i].evals.row[evaluation][field];
    return loom_numbers_median(values, count);
}

/* The runs of a side evaluate at the same steps, so that the i-th evaluations belong together. */
static bool find_median(struct side *side) {
    size_t evaluations = 0;
    for (size_t i = 0; i < side->n_runs; i++)
        evaluations = side->runs[i].evals.count > evaluations ? side->runs[i].evals.count : evaluations;
    for (size_t i = 0; i < evaluations; i++) {
        double *row = loom_rows_add(&side->median);
        if (!row)
            return false;
        for (int field = 0; field < LOOM_FIELDS; field++)
            row[field] = median_field(side, i, field);
    }
    return true;
}

static loom_status race_open(struct race *race, struct loom_error *error) {
    char *path = loom_path_join(race->folder, "race.json");
    loom_status status =
        path ? loom_json_read(path, &race->json, error) : loom_fail_memory(error, race->folder, strlen(race->folder));
    free(path);
    const json_t *runs = json_object_get(race->json, "runs");
    for (size_t i = 0; status == LOOM_OK && i < json_array_size(runs); i++)
        status = read_run(race, json_array_get(runs, i), error);
    for (int s = 0; status == LOOM_OK && s < SIDES; s++) {
        race->sides[s].summary = json_object_get(race->json, race->sides[s].key);
        if (!find_median(&race->sides[s]))
            status = loom_fail_memory(error, "the race's medians", sizeof(struct loom_rows));
    }
    return status;
}

static void race_close(struct race *race) {
    for (int s = 0; s < SIDES; s++) {
        for (size_t i = 0; i < race->sides[s].n_runs; i++)
            loom_history_free(&race->sides[s].runs[i]);
        free(race->sides[s].median.row);
    }
    json_decref(race->json);
}

/* ---- headline ---------------------------------------------------------------------------------------------------- */

static const char *side_name(const struct side *side) {
    const char *name = json_string_value(json_object_get(side->summary, "name"));
    return name ? name : side->word;
}

static void put_ratio_card(struct loom_text *html, const struct race *race, const char *key, const char *label,
                           const char *cost) {
    struct loom_text value = {0}, under = {0};
    const double ratio = number_of(race->json, key);
    if (ratio > 0) {
        loom_text_append(&value, "%.2f\xC3\x97", ratio);
        const double share = 100 / ratio;
        loom_text_append(&under, "Loom reached the baseline's best loss with %.*f\xC2\xA0%% of its %s",
                         share < 1 ? 2 : share < 10, share, cost);
    } else {
        loom_text_append(&value, "\xE2\x80\x93");
        loom_text_append(&under, json_is_null(json_object_get(race->json, key))
                                     ? "Loom did not reach the baseline's best loss"
                                     : "not recorded");
    }
    loom_html_card(html, label, &value, &under);
}

static void put_number(struct loom_text *html, const struct side *side, const char *key) {
    const double value = number_of(side->summary, key);
    loom_text_append(html, "<td>");
    if (strcmp(key, "seconds") == 0)
        loom_units_put(html, LOOM_SECONDS, value);
    else if (strcmp(key, "flops") == 0)
        loom_units_put(html, LOOM_FLOPS, value);
    else if (strcmp(key, "best_val_loss") == 0 && isfinite(value))
        loom_text_append(html, "%.4f", value);
    else
        loom_units_put_count(html, value);
    loom_text_append(html, "</td>");
}

static void put_table(struct loom_text *html, const struct race *race) {
    static const char *const rows[][2] = {{"parameters", "Parameters"},
                                          {"best_val_loss", "Best validation loss"},
                                          {"best_step", "Step of the best"},
                                          {"seconds", "Training time, whole run"},
                                          {"flops", "Work, whole run"}};
    loom_text_append(html, "<div class=\"table\"><table><thead><tr><td></td>");
    for (int s = 0; s < SIDES; s++) {
        loom_text_append(html, "<th scope=\"col\">%s: ", race->sides[s].word);
        loom_html_text(html, side_name(&race->sides[s]));
        loom_text_append(html, "</th>");
    }
    loom_text_append(html, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        loom_text_append(html, "<tr><th scope=\"row\">%s</th>", rows[i][1]);
        for (int s = 0; s < SIDES; s++)
            put_number(html, &race->sides[s], rows[i][0]);
        loom_text_append(html, "</tr>\n");
    }
    loom_text_append(html, "</tbody></table></div>\n");
}

static void put_headline(struct loom_text *html, const struct race *race) {
    const size_t seeds = json_array_size(json_object_get(race->json, "seeds"));
    struct loom_text title = {0};
    loom_text_append(&title, "%s against %s", side_name(&race->sides[LOOM]), side_name(&race->sides[BASELINE]));
    html->failed |= title.failed;
    loom_html_open(html, title.failed ? "" : title.data);
    loom_text_free(&title);
    loom_text_append(html,
                     "<p class=\"sub\">A race on the same tokens, batch and context, %zu seed%s. A ratio is the "
                     "baseline's cost to its best validation loss over Loom's cost to first reach that loss: "
                     "above 1, Loom is ahead.%s</p>\n",
                     seeds, seeds == 1 ? "" : "s", seeds > 1 ? " Numbers are medians over the seeds." : "");
    loom_text_append(html, "<div class=\"cards\">\n");
    put_ratio_card(html, race, "ratio_steps", "Ratio in steps", "steps");
    put_ratio_card(html, race, "ratio_flops", "Ratio in work (FLOP)", "FLOPs");
    put_ratio_card(html, race, "ratio_seconds", "Ratio in time", "time");
    loom_text_append(html, "</div>\n");
    for (int s = 0; s < SIDES; s++)
        if (!race->sides[s].summary)
            loom_text_append(html, "<p class=\"note\">race.json has nothing about the side \"%s\".</p>\n",
                             race->sides[s].key);
    put_table(html, race);
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

/* The side's curves: with several seeds each of them thin, then the median; with one, only that. */
static size_t side_curves(const struct side *side, enum loom_quantity x, int color, struct loom_curve *curves) {
    size_t count = 0;
    for (size_t i = 0; side->n_runs > 1 && i < side->n_runs; i++) {
        curves[count] = loom_report_curve(&side->runs[i].evals, x, LOOM_FIELD_VAL_LOSS);
        curves[count].color = color;
        curves[count++].faint = true;
    }
    if (side->n_runs == 0)
        return 0;
    curves[count] = loom_report_curve(&side->median, x, LOOM_FIELD_VAL_LOSS);
    curves[count].name = side_name(side);
    curves[count].color = color;
    curves[count++].marked = true;
    return count;
}

static void put_curves(struct loom_text *html, const struct race *race) {
    static const char *const titles[] = {[LOOM_STEPS] = "Validation loss against steps",
                                         [LOOM_FLOPS] = "Validation loss against work",
                                         [LOOM_SECONDS] = "Validation loss against time"};
    static const enum loom_quantity order[] = {LOOM_STEPS, LOOM_FLOPS, LOOM_SECONDS};
    struct loom_curve curves[SIDES * (LOOM_RACE_SEEDS_MAX + 1)];
    const bool many = race->sides[BASELINE].n_runs > 1 || race->sides[LOOM].n_runs > 1;
    loom_html_heading(html, "Validation loss (nats per token)");
    if (many)
        loom_text_append(html, "<p class=\"missing\">Each seed thin, the median over the seeds bold.</p>\n");
    loom_text_append(html, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        size_t count = side_curves(&race->sides[BASELINE], order[i], 1, curves);
        count += side_curves(&race->sides[LOOM], order[i], 0, curves + count);
        const struct loom_chart chart = {.title = titles[order[i]],
                                         .x = order[i],
                                         .curves = curves,
                                         .n_curves = count,
                                         .rule = number_of(race->sides[BASELINE].summary, "best_val_loss"),
                                         .rule_name = "the baseline's best",
                                         .focus = true};
        loom_svg_chart(html, &chart);
    }
    loom_text_append(html, "</div>\n");
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static void put_run_row(struct loom_text *html, const json_t *run) {
    static const char *const keys[] = {"folder", "side", "seed", "best_val_loss", "best_step"};
    loom_text_append(html, "<tr>");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *value = json_object_get(run, keys[i]);
        loom_text_append(html, "<td>");
        if (json_is_real(value))
            loom_text_append(html, "%.4f", json_real_value(value));
        else
            loom_html_value(html, value);
        loom_text_append(html, "</td>");
    }
    loom_text_append(html, "</tr>\n");
}

static void put_runs(struct loom_text *html, const struct race *race) {
    const json_t *runs = json_object_get(race->json, "runs");
    loom_html_heading(html, "Every run");
    for (int s = 0; s < SIDES; s++) {
        if (race->sides[s].n_runs == 0)
            loom_text_append(html, "<p class=\"note\">race.json names no run of the side \"%s\".</p>\n",
                             race->sides[s].key);
        for (size_t i = 0; i < race->sides[s].n_runs; i++)
            loom_report_notes(html, &race->sides[s].runs[i]);
    }
    if (json_array_size(runs) == 0)
        return;
    loom_text_append(html, "<div class=\"table\"><table><thead><tr><th>Folder</th><th>Side</th><th>Seed</th>"
                           "<th>Best validation loss</th><th>at step</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(runs); i++)
        put_run_row(html, json_array_get(runs, i));
    loom_text_append(html, "</tbody></table></div>\n");
}

static void put_inside(struct loom_text *html, const struct side *side) {
    if (side->n_runs == 0)
        return;
    const char *name = json_string_value(json_object_get(side->runs[0].config, "name"));
    loom_text_append(html, "<h2 class=\"part\">Inside one Loom run");
    if (name) {
        loom_text_append(html, ": ");
        loom_html_text(html, name);
    }
    loom_text_append(html, "</h2>\n");
    loom_report_inside(html, &side->runs[0]);
    loom_report_numbers(html, &side->runs[0]);
}

loom_status loom_report_race(struct loom_text *html, const char *folder, struct loom_error *error) {
    struct race *race = calloc(1, sizeof *race);
    if (!race)
        return loom_fail_memory(error, folder, sizeof *race);
    race->folder = folder;
    race->sides[BASELINE] = (struct side){.key = "baseline", .word = "Baseline"};
    race->sides[LOOM] = (struct side){.key = "loom", .word = "Loom"};
    const loom_status status = race_open(race, error);
    if (status == LOOM_OK) {
        put_headline(html, race);
        put_curves(html, race);
        put_runs(html, race);
        put_inside(html, &race->sides[LOOM]);
    }
    race_close(race);
    free(race);
    return status;
}
