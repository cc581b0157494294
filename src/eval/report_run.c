/* report_run.c - the sections of a report about one run, see report.h. */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>

#include "eval/html.h"

enum { SAMPLES_MAX = 8, EVALUATIONS_MAX = 200, LOAD_TABLE_MAX = 64 };

struct loom_curve loom_report_curve(const struct loom_rows *rows, enum loom_quantity x, enum loom_field y) {
    static const enum loom_field fields[] = {
        [LOOM_STEPS] = LOOM_FIELD_STEP, [LOOM_SECONDS] = LOOM_FIELD_SECONDS, [LOOM_FLOPS] = LOOM_FIELD_FLOPS};
    struct loom_curve curve = {.count = rows->count, .stride = LOOM_FIELDS};
    if (rows->count) {
        curve.x = &rows->row[0][fields[x]];
        curve.y = &rows->row[0][y];
    }
    return curve;
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

void loom_report_loss(struct loom_text *html, const struct loom_history *history) {
    static const char *const titles[2][3] = {{[LOOM_STEPS] = "Loss (nats per token) against steps",
                                              [LOOM_FLOPS] = "Loss (nats per token) against work",
                                              [LOOM_SECONDS] = "Loss (nats per token) against time"},
                                             {[LOOM_STEPS] = "Share of wrong answers against steps",
                                              [LOOM_FLOPS] = "Share of wrong answers against work",
                                              [LOOM_SECONDS] = "Share of wrong answers against time"}};
    static const enum loom_quantity order[] = {LOOM_STEPS, LOOM_FLOPS, LOOM_SECONDS};
    const bool rewarded = loom_history_rewarded(history);
    loom_html_heading(html, rewarded ? "Answers" : "Loss");
    loom_text_append(html, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct loom_curve curves[] = {loom_report_curve(&history->steps, order[i], LOOM_FIELD_LOSS),
                                      loom_report_curve(&history->evals, order[i], LOOM_FIELD_VAL_LOSS)};
        curves[0].name = "training, each step";
        curves[0].color = 5;
        curves[0].faint = true;
        curves[1].name = "validation";
        curves[1].marked = true;
        const struct loom_chart chart = {.title = titles[rewarded][order[i]],
                                         .x = order[i],
                                         .curves = curves,
                                         .n_curves = 2,
                                         .rule = (double)NAN,
                                         .focus = true};
        loom_svg_chart(html, &chart);
    }
    loom_text_append(html, "</div>\n");
}

/* One field of the step lines over the steps; of a noisy one the mean too, bold over each step's value. */
static void put_field(struct loom_text *html, const struct loom_history *history, enum loom_field field,
                      const char *title, bool noisy) {
    struct loom_curve curves[2];
    curves[0] = curves[1] = loom_report_curve(&history->steps, LOOM_STEPS, field);
    curves[0].faint = curves[1].smooth = noisy;
    const struct loom_chart chart = {.title = title,
                                     .x = LOOM_STEPS,
                                     .curves = curves,
                                     .n_curves = noisy ? 2 : 1,
                                     .rule = (double)NAN,
                                     .focus = noisy};
    loom_svg_chart(html, &chart);
}

static void put_training(struct loom_text *html, const struct loom_history *history) {
    loom_html_heading(html, "Training");
    loom_text_append(html, "<div class=\"charts\">\n");
    put_field(html, history, LOOM_FIELD_LEARNING_RATE, "Learning rate", false);
    put_field(html, history, LOOM_FIELD_GRADIENT_NORM, "Gradient norm before clipping", true);
    put_field(html, history, LOOM_FIELD_SPEED, "Tokens per second", true);
    loom_text_append(html, "</div>\n");
}

/* ---- loops and experts ------------------------------------------------------------------------------------------- */

/* Whether any step has a value above zero: what a model does not have, it reports as zero or not at all. */
static bool has_field(const struct loom_rows *rows, enum loom_field field) {
    for (size_t i = 0; i < rows->count; i++)
        if (rows->row[i][field] > 0)
            return true;
    return false;
}

static double number_at(const json_t *array, size_t i) {
    const json_t *value = json_array_get(array, i);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* The array of arrays `load` as one (rows, columns) block, short rows filled with NAN; freed by the caller. */
static double *load_block(struct loom_text *html, const json_t *load, size_t *columns) {
    const size_t rows = json_array_size(load);
    *columns = 0;
    for (size_t row = 0; row < rows; row++) {
        const size_t size = json_array_size(json_array_get(load, row));
        *columns = size > *columns ? size : *columns;
    }
    double *block = rows && *columns ? calloc(rows * *columns, sizeof *block) : NULL;
    html->failed |= rows && *columns && !block;
    for (size_t i = 0; block && i < rows * *columns; i++)
        block[i] = number_at(json_array_get(load, i / *columns), i % *columns);
    return block;
}

/* The numbers of the heat map, for who cannot see it or wants to copy them. */
static void put_load_table(struct loom_text *html, const struct loom_heat *heat) {
    if (heat->columns > LOAD_TABLE_MAX || !heat->share)
        return;
    loom_text_append(html, "<details><summary>Expert load in numbers (%% of the choices)</summary>"
                           "<div class=\"table\"><table><thead><tr><th>Loop</th>");
    for (size_t column = 0; column < heat->columns; column++)
        loom_text_append(html, "<th>%zu</th>", column);
    loom_text_append(html, "</tr></thead><tbody>\n");
    for (size_t row = 0; row < heat->rows; row++) {
        loom_text_append(html, "<tr><th scope=\"row\">%zu</th>", row + 1);
        for (size_t column = 0; column < heat->columns; column++)
            loom_text_append(html, "<td>%.2f</td>", 100 * heat->share[row * heat->columns + column]);
        loom_text_append(html, "</tr>\n");
    }
    loom_text_append(html, "</tbody></table></div></details>\n");
}

static void put_load(struct loom_text *html, const struct loom_history *history) {
    const json_t *load = json_object_get(history->last_eval, "expert_load");
    struct loom_heat heat = {.title = "Expert load in each loop (% of the loop's choices) at the last evaluation",
                             .row_name = "loop",
                             .column_name = "expert",
                             .rows = json_array_size(load)};
    double *block = load_block(html, load, &heat.columns);
    heat.share = block;
    if (!block)
        heat.rows = 0;
    loom_svg_heat(html, &heat);
    put_load_table(html, &heat);
    free(block);
}

static void put_exit_depth(struct loom_text *html, const struct loom_history *history) {
    const json_t *depth = json_object_get(history->last_eval, "exit_depth");
    const size_t count = json_array_size(depth);
    double *share = count ? calloc(count, sizeof *share) : NULL;
    html->failed |= count && !share;
    for (size_t i = 0; share && i < count; i++)
        share[i] = number_at(depth, i);
    const struct loom_bars bars = {.title = "Share of tokens that leave after each loop",
                                   .x_name = "after loop",
                                   .share = share,
                                   .count = share ? count : 0};
    loom_svg_bars(html, &bars);
    free(share);
}

static void put_loops(struct loom_text *html, const struct loom_history *history) {
    const json_t *eval = history->last_eval;
    const bool experts = json_object_get(eval, "expert_load") || has_field(&history->steps, LOOM_FIELD_IMBALANCE);
    const bool loops = json_object_get(eval, "exit_depth") || has_field(&history->steps, LOOM_FIELD_MEAN_LOOPS);
    if (!experts && !loops)
        return;
    loom_html_heading(html, "Loops and experts");
    if (experts)
        put_load(html, history);
    loom_text_append(html, "<div class=\"charts\">\n");
    if (loops) {
        put_exit_depth(html, history);
        put_field(html, history, LOOM_FIELD_MEAN_LOOPS, "Mean loops a token runs", true);
    }
    if (experts)
        put_field(html, history, LOOM_FIELD_IMBALANCE, "Busiest expert's load over the mean", true);
    loom_text_append(html, "</div>\n");
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static void put_sample(struct loom_text *html, const json_t *sample) {
    const json_t *prompt = json_object_get(sample, "prompt"), *text = json_object_get(sample, "text");
    loom_text_append(html, "<figure class=\"sample\"><figcaption>step ");
    loom_units_put_count(html, json_number_value(json_object_get(sample, "step")));
    loom_text_append(html, "</figcaption><pre>\n"); /* HTML drops this newline, so that one in the text stays */
    if (json_string_length(prompt)) {
        loom_text_append(html, "<mark>");
        loom_html_value(html, prompt);
        loom_text_append(html, "</mark>");
    }
    if (json_is_string(text))
        loom_html_value(html, text);
    loom_text_append(html, "</pre></figure>\n");
}

static void put_samples(struct loom_text *html, const struct loom_history *history) {
    const size_t count = json_array_size(history->samples);
    const size_t shown = count < SAMPLES_MAX ? count : SAMPLES_MAX;
    loom_html_heading(html, "Samples as training went");
    if (count == 0)
        loom_text_append(html, "<p class=\"missing\">No sample was recorded.</p>\n");
    else if (shown < count)
        loom_text_append(html, "<p class=\"missing\">%zu of %zu samples.</p>\n", shown, count);
    loom_text_append(html, "<div class=\"pair\">\n");
    for (size_t i = 0; i < shown; i++)
        put_sample(html, json_array_get(history->samples, shown < 2 ? i : i * (count - 1) / (shown - 1)));
    loom_text_append(html, "</div>\n");
}

void loom_report_inside(struct loom_text *html, const struct loom_history *history) {
    put_loops(html, history);
    put_samples(html, history);
    put_training(html, history);
}

/* ---- numbers and settings ---------------------------------------------------------------------------------------- */

static void put_evaluation(struct loom_text *html, const double *row, bool best) {
    loom_text_append(html, "<tr><td>");
    loom_units_put_count(html, row[LOOM_FIELD_STEP]);
    loom_text_append(html, "</td><td>");
    loom_units_put_count(html, row[LOOM_FIELD_TOKENS]);
    loom_text_append(html, "</td><td>");
    loom_units_put(html, LOOM_SECONDS, row[LOOM_FIELD_SECONDS]);
    loom_text_append(html, "</td><td>");
    loom_units_put(html, LOOM_FLOPS, row[LOOM_FIELD_FLOPS]);
    loom_text_append(html, best ? "</td><td><b>%.4f</b> (best)</td></tr>\n" : "</td><td>%.4f</td></tr>\n",
                     row[LOOM_FIELD_VAL_LOSS]);
}

static void put_evaluations(struct loom_text *html, const struct loom_history *history) {
    const size_t count = history->evals.count;
    const double *best = loom_history_best(history);
    const size_t every = count / EVALUATIONS_MAX + 1;
    if (count == 0)
        return;
    loom_text_append(html, "<details><summary>Evaluations in numbers</summary><div class=\"table\"><table><thead><tr>"
                           "<th>Step</th><th>Tokens</th><th>Time</th><th>Work</th><th>Validation loss</th></tr>"
                           "</thead><tbody>\n");
    for (size_t i = 0; i < count; i++) {
        const double *row = history->evals.row[i];
        if (i % every == 0 || row == best || i == count - 1)
            put_evaluation(html, row, row == best);
    }
    loom_text_append(html, "</tbody></table></div></details>\n");
}

static void put_settings(struct loom_text *html, const struct loom_history *history) {
    loom_text_append(html, "<div class=\"columns\">\n");
    loom_html_settings(html, "Privacy, as the newest checkpoint has it", history->privacy);
    loom_html_settings(html, "Run", history->config);
    const json_t *data = json_object_get(history->config, "data"), *folders = json_object_get(data, "folders");
    loom_html_settings(html, "Data", data);
    for (size_t i = 0; i < json_array_size(folders); i++)
        loom_html_settings(html, "Token folder", json_array_get(folders, i));
    loom_html_settings(html, "Model", json_object_get(history->config, "model"));
    loom_html_settings(html, "Training", json_object_get(history->config, "train"));
    loom_text_append(html, "</div>\n");
}

void loom_report_numbers(struct loom_text *html, const struct loom_history *history) {
    loom_html_heading(html, "Numbers and settings");
    put_evaluations(html, history);
    put_settings(html, history);
}

void loom_report_notes(struct loom_text *html, const struct loom_history *history) {
    html->failed |= history->notes.failed;
    loom_text_put(html, history->notes.data, history->notes.size);
}
