/* history.c - see history.h.
 *
 * Lines are parsed one by one. A resumed run goes on from its last checkpoint, so its file may tell some steps twice;
 * the later telling counts. */
#include "eval/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "model/model.h"
#include "train/privacy.h"

static const size_t metrics_limit = (size_t)1 << 30;

static const char *const field_names[LOOM_FIELDS] = {
    "step",       "tokens",           "seconds", "flops", "loss", "val_loss", "lr", "grad_norm", "tokens_per_second",
    "mean_loops", "expert_imbalance",
};

double *loom_rows_add(struct loom_rows *rows) {
    double(*grown)[LOOM_FIELDS] = loom_grow(rows->row, &rows->capacity, rows->count + 1, sizeof *grown);
    if (!grown)
        return NULL;
    rows->row = grown;
    double *row = rows->row[rows->count++];
    for (int field = 0; field < LOOM_FIELDS; field++)
        row[field] = (double)NAN;
    return row;
}

static bool add_event(struct loom_rows *rows, const json_t *event) {
    const json_t *step = json_object_get(event, "step");
    if (!json_is_number(step))
        return true; /* nowhere to put it */
    while (rows->count && rows->row[rows->count - 1][LOOM_FIELD_STEP] >= json_number_value(step))
        rows->count--;
    double *row = loom_rows_add(rows);
    for (int field = 0; row && field < LOOM_FIELDS; field++) {
        const json_t *value = json_object_get(event, field_names[field]);
        if (json_is_number(value))
            row[field] = json_number_value(value);
    }
    return row != NULL;
}

/* Several samples may be drawn at one step; only those of later steps are superseded. */
static bool add_sample(json_t *samples, json_t *event) {
    const double step = json_number_value(json_object_get(event, "step"));
    size_t count = json_array_size(samples);
    while (count && json_number_value(json_object_get(json_array_get(samples, count - 1), "step")) > step)
        json_array_remove(samples, --count);
    return json_array_append(samples, event) == 0;
}

/* Sorts one event into its table; events that this version does not know are passed over. */
static bool take_event(struct loom_history *history, json_t *event, bool with_steps) {
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (!kind)
        return true;
    if (strcmp(kind, "step") == 0)
        return !with_steps || add_event(&history->steps, event);
    if (strcmp(kind, "sample") == 0)
        return add_sample(history->samples, event);
    if (strcmp(kind, "eval") != 0)
        return true;
    json_decref(history->last_eval);
    history->last_eval = json_incref(event);
    return add_event(&history->evals, event);
}

/* A byte model may write a NUL, and any model may be killed in the middle of a line: neither is worth a failure. */
static bool take_lines(struct loom_history *history, const char *text, size_t size, bool with_steps) {
    size_t broken = 0, done = 0;
    bool cut = false, fits = true;
    while (done < size && fits) {
        const char *line = text + done, *newline = memchr(line, '\n', size - done);
        const size_t length = newline ? (size_t)(newline - line) : size - done;
        done += length + 1;
        if (length == 0)
            continue;
        json_error_t fault;
        json_t *event = json_loadb(line, length, JSON_ALLOW_NUL, &fault);
        cut = !event && !newline;
        broken += !event && newline;
        /* Without a line in its error, jansson failed in its first allocation. */
        bool short_memory = !event && (json_error_code(&fault) == json_error_out_of_memory || fault.line < 0);
        fits = event ? take_event(history, event, with_steps) : !short_memory;
        json_decref(event);
    }
    if (cut)
        loom_text_append(&history->notes, "<p class=\"note\">The last line of metrics.jsonl is cut short, as a kill "
                                          "leaves it; it is left out.</p>\n");
    if (broken)
        loom_text_append(&history->notes,
                         "<p class=\"note\">%zu line%s of metrics.jsonl could not be read and %s left out.</p>\n",
                         broken, broken == 1 ? "" : "s", broken == 1 ? "is" : "are");
    return fits;
}

static loom_status read_metrics(struct loom_history *history, const char *path, bool with_steps,
                                struct loom_error *error) {
    char *data;
    size_t size;
    const loom_status status = loom_file_read(path, metrics_limit, &data, &size, error);
    if (status != LOOM_OK)
        return status;
    struct loom_text text = {0};
    loom_text_put_utf8(&text, data, size);
    free(data);
    const bool fits = !text.failed && take_lines(history, text.data, text.size, with_steps);
    loom_text_free(&text);
    return fits ? LOOM_OK : loom_fail_memory(error, path, size);
}

/* A file that cannot be read becomes a note; only short memory stays an error. */
static loom_status note_problem(struct loom_history *history, loom_status status, const struct loom_error *problem,
                                struct loom_error *error) {
    if (status == LOOM_NO_MEMORY)
        return loom_fail(error, status, "%s", problem->text);
    if (status == LOOM_OK)
        return LOOM_OK;
    loom_text_append(&history->notes, "<p class=\"note\">");
    loom_text_put_html(&history->notes, problem->text, strlen(problem->text));
    loom_text_append(&history->notes, ".</p>\n");
    return LOOM_OK;
}

/* A checkpoint's privacy.json, if it has one. */
static loom_status read_promise(struct loom_history *history, const char *checkpoints, const char *name,
                                struct loom_error *error) {
    char *checkpoint = loom_path_join(checkpoints, name);
    char *path = checkpoint ? loom_path_join(checkpoint, LOOM_PRIVACY_FILE) : NULL;
    loom_status status = path ? LOOM_OK : loom_fail_memory(error, checkpoints, strlen(checkpoints));
    if (status == LOOM_OK && loom_path_exists(path))
        status = loom_json_read(path, &history->privacy, error);
    free(checkpoint);
    free(path);
    return status;
}

/* The newest privacy.json of the folder's checkpoints, whose names are in the order of their steps. */
static loom_status read_privacy(struct loom_history *history, const char *folder, struct loom_error *error) {
    char *checkpoints = loom_path_join(folder, LOOM_CHECKPOINTS_FOLDER), **names;
    size_t count;
    if (!checkpoints)
        return loom_fail_memory(error, folder, strlen(folder));
    loom_status status = LOOM_OK;
    if (loom_path_is_folder(checkpoints) &&
        (status = loom_folder_list(checkpoints, &names, &count, error)) == LOOM_OK) {
        for (size_t i = count; status == LOOM_OK && !history->privacy && i-- > 0;)
            status = read_promise(history, checkpoints, names[i], error);
        loom_names_free(names, count);
    }
    free(checkpoints);
    return status;
}

loom_status loom_history_read(const char *folder, bool with_steps, struct loom_history *history,
                              struct loom_error *error) {
    *history = (struct loom_history){.samples = json_array()};
    char *config = loom_path_join(folder, "config.json"), *metrics = loom_path_join(folder, "metrics.jsonl");
    struct loom_error problem = {.text = ""};
    loom_status status = LOOM_NO_MEMORY;
    if (config && metrics && history->samples) {
        status = note_problem(history, loom_json_read(config, &history->config, &problem), &problem, error);
        if (status == LOOM_OK)
            status = note_problem(history, read_metrics(history, metrics, with_steps, &problem), &problem, error);
    } else
        loom_fail_memory(error, folder, strlen(folder));
    if (status == LOOM_OK)
        status = note_problem(history, read_privacy(history, folder, &problem), &problem, error);
    free(config);
    free(metrics);
    return status;
}

void loom_history_free(struct loom_history *history) {
    json_decref(history->config);
    json_decref(history->privacy);
    json_decref(history->samples);
    json_decref(history->last_eval);
    loom_text_free(&history->notes);
    free(history->steps.row);
    free(history->evals.row);
    *history = (struct loom_history){0};
}

bool loom_history_rewarded(const struct loom_history *history) {
    return json_object_get(json_object_get(history->config, "data"), "problems") != NULL;
}

const double *loom_history_best(const struct loom_history *history) {
    const double *best = NULL;
    for (size_t i = 0; i < history->evals.count; i++) {
        const double *row = history->evals.row[i];
        if (isfinite(row[LOOM_FIELD_VAL_LOSS]) && (!best || row[LOOM_FIELD_VAL_LOSS] < best[LOOM_FIELD_VAL_LOSS]))
            best = row;
    }
    return best;
}
