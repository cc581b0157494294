/* report.c - report.html for a run folder or a race folder: one file that opens offline.
 *
 * Everything shown is read back from the folder's files, so that a report can be written at any time, for a run that
 * goes on, was killed, or came from another machine. */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/html.h"
#include "eval/twins_table.h"

/* The last row of the steps or of the evaluations, whichever is further; NULL when there is neither. */
static const double *last_row(const struct loom_history *history) {
    const struct loom_rows *steps = &history->steps, *evals = &history->evals;
    const double *step = steps->count ? steps->row[steps->count - 1] : NULL;
    const double *eval = evals->count ? evals->row[evals->count - 1] : NULL;
    if (!step || !eval)
        return step ? step : eval;
    return step[LOOM_FIELD_STEP] > eval[LOOM_FIELD_STEP] ? step : eval;
}

static void put_size_card(struct loom_text *html, const json_t *config) {
    struct loom_text value = {0}, under = {0};
    const json_t *all = json_object_get(config, "parameters"), *active = json_object_get(config, "active_parameters");
    loom_units_put_count(&value, json_is_number(all) ? json_number_value(all) : (double)NAN);
    if (json_is_number(active) && json_number_value(active) < json_number_value(all)) {
        loom_units_put_count(&under, json_number_value(active));
        loom_text_append(&under, " active for a token");
    }
    loom_html_card(html, "Parameters", &value, &under);
}

static void put_loss_card(struct loom_text *html, const struct loom_history *history) {
    struct loom_text value = {0}, under = {0};
    const double *best = loom_history_best(history);
    const bool rewarded = loom_history_rewarded(history);
    if (best) {
        if (rewarded)
            loom_text_append(&value, "%.1f %%", 100 * best[LOOM_FIELD_VAL_LOSS]);
        else
            loom_text_append(&value, "%.4f", best[LOOM_FIELD_VAL_LOSS]);
        loom_text_append(&under, "at step ");
        loom_units_put_count(&under, best[LOOM_FIELD_STEP]);
    } else
        loom_text_append(&value, "none yet");
    loom_html_card(html, rewarded ? "Fewest wrong answers" : "Best validation loss", &value, &under);
}

static void put_cost_cards(struct loom_text *html, const double *last) {
    struct loom_text value = {0}, under = {0};
    loom_units_put_short(&value, last[LOOM_FIELD_TOKENS]);
    loom_text_append(&under, "in ");
    loom_units_put_count(&under, last[LOOM_FIELD_STEP]);
    loom_text_append(&under, " steps");
    loom_html_card(html, "Training tokens", &value, &under);

    const double speed = last[LOOM_FIELD_TOKENS] / last[LOOM_FIELD_SECONDS];
    loom_units_put(&value, LOOM_SECONDS, last[LOOM_FIELD_SECONDS]);
    if (isfinite(speed)) {
        loom_units_put_count(&under, speed);
        loom_text_append(&under, " tokens/s on average");
    }
    loom_html_card(html, "Training time", &value, &under);

    loom_units_put(&value, LOOM_FLOPS, last[LOOM_FIELD_FLOPS]);
    loom_html_card(html, "Work done", &value, &under);
}

/* "Preset loom-small, seed 1, Loom 0.1.0 at commit 1a2b3c, on 2 threads of ...": what ran, in one line. */
static void put_origin(struct loom_text *html, const json_t *config) {
    static const struct {
        const char *before, *key, *after;
    } parts[] = {{"Preset ", "preset", ""},     {"seed ", "seed", ""},       {"Loom ", "loom_version", ""},
                 {"commit ", "git_commit", ""}, {"", "threads", " threads"}, {"", "machine", ""}};
    const char *between = "";
    loom_text_append(html, "<p class=\"sub\">");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const json_t *value = json_object_get(config, parts[i].key);
        if (!value || json_is_null(value))
            continue;
        loom_text_append(html, "%s%s", between, parts[i].before);
        loom_html_value(html, value);
        loom_text_append(html, "%s", parts[i].after);
        between = " \xC2\xB7 ";
    }
    loom_text_append(html, "</p>\n");
}

static loom_status put_run(struct loom_text *html, const char *folder, struct loom_error *error) {
    struct loom_history history;
    const loom_status status = loom_history_read(folder, true, &history, error);
    if (status == LOOM_OK) {
        const char *name = json_string_value(json_object_get(history.config, "name"));
        const double *last = last_row(&history);
        loom_html_open(html, name && *name ? name : "A training run");
        put_origin(html, history.config);
        loom_report_notes(html, &history);
        loom_text_append(html, "<div class=\"cards\">\n");
        put_size_card(html, history.config);
        put_loss_card(html, &history);
        if (last)
            put_cost_cards(html, last);
        loom_text_append(html, "</div>\n");
        loom_report_loss(html, &history);
        loom_report_inside(html, &history);
        loom_report_numbers(html, &history);
    }
    loom_history_free(&history);
    return status;
}

static loom_status find_file(const char *folder, const char *name, bool *found, struct loom_error *error) {
    char *path = loom_path_join(folder, name);
    if (!path)
        return loom_fail_memory(error, name, strlen(folder) + strlen(name));
    *found = loom_path_exists(path);
    free(path);
    return LOOM_OK;
}

static loom_status put_page(struct loom_text *html, const char *folder, struct loom_error *error) {
    bool race, twins, config, metrics;
    loom_status status = find_file(folder, "race.json", &race, error);
    if (status == LOOM_OK)
        status = find_file(folder, LOOM_TWINS_FILE, &twins, error);
    if (status == LOOM_OK)
        status = find_file(folder, "config.json", &config, error);
    if (status == LOOM_OK)
        status = find_file(folder, "metrics.jsonl", &metrics, error);
    if (status != LOOM_OK)
        return status;
    if (race)
        return loom_report_race(html, folder, error);
    if (twins)
        return loom_report_twins(html, folder, error);
    if (config || metrics)
        return put_run(html, folder, error);
    return loom_fail(
        error, LOOM_FAILED,
        "%s is neither a run folder (config.json, metrics.jsonl) nor a race folder (race.json, twins.json)", folder);
}

loom_status loom_report(const char *folder, struct loom_error *error) {
    struct loom_text html = {0};
    char *path = loom_path_join(folder, "report.html");
    loom_status status = path ? put_page(&html, folder, error) : loom_fail_memory(error, folder, strlen(folder));
    if (status == LOOM_OK)
        loom_html_close(&html);
    if (status == LOOM_OK && html.failed)
        status = loom_fail_memory(error, path, html.size);
    if (status == LOOM_OK)
        status = loom_file_replace(path, html.data, html.size, error);
    free(path);
    loom_text_free(&html);
    return status;
}
