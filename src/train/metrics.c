/* metrics.c - see metrics.h. */
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { METRICS_LIMIT = 1 << 30 };

loom_status loom_metrics_open(struct loom_metrics *metrics, const char *path, struct loom_error *error) {
    metrics->path = strdup(path);
    metrics->stream = metrics->path ? fopen(path, "a") : NULL;
    if (!metrics->path)
        return loom_fail_memory(error, path, strlen(path));
    return metrics->stream ? LOOM_OK : loom_fail_system(error, "cannot write", path);
}

void loom_metrics_close(struct loom_metrics *metrics) {
    if (metrics->stream)
        fclose(metrics->stream);
    free(metrics->path);
    *metrics = (struct loom_metrics){0};
}

/* Whether a line belongs to a run that stands at `step`; one that cannot be read does not. */
static loom_status keeps(const char *line, size_t size, uint64_t step, bool drop_evals, bool *keep,
                         struct loom_error *error) {
    json_t *json;
    *keep = false;
    loom_status status = loom_json_parse(line, size, LOOM_METRICS_FILE, &json, error);
    if (status)
        return status == LOOM_NO_MEMORY ? status : LOOM_OK;
    json_int_t at = json_integer_value(json_object_get(json, "step"));
    const char *event = json_string_value(json_object_get(json, "event"));
    bool is_step = event && strcmp(event, "step") == 0;
    *keep = at >= 0 && ((uint64_t)at < step || ((uint64_t)at == step && (is_step || !drop_evals)));
    json_decref(json);
    return LOOM_OK;
}

loom_status loom_metrics_rewind(const char *path, uint64_t step, bool drop_evals, struct loom_error *error) {
    char *data;
    size_t size, kept = 0;
    if (!loom_path_exists(path))
        return LOOM_OK;
    loom_status status = loom_file_read(path, METRICS_LIMIT, &data, &size, error);
    if (status)
        return status;
    for (char *line = data; line < data + size && status == LOOM_OK;) {
        bool keep;
        char *newline = memchr(line, '\n', (size_t)(data + size - line));
        if (!newline)
            break;
        size_t length = (size_t)(newline - line) + 1;
        status = keeps(line, length - 1, step, drop_evals, &keep, error);
        if (keep) {
            memmove(data + kept, line, length);
            kept += length;
        }
        line = newline + 1;
    }
    if (status == LOOM_OK)
        status = loom_file_replace(path, data, kept, error);
    free(data);
    return status;
}

loom_status loom_metrics_put(struct loom_metrics *metrics, json_t *object, struct loom_error *error) {
    char *line = object ? loom_json_text(object, JSON_COMPACT) : NULL;
    loom_status status = LOOM_OK;
    if (!line)
        status = loom_fail(error, LOOM_NO_MEMORY, "%s: no memory for a line", metrics->path);
    else if (fprintf(metrics->stream, "%s\n", line) < 0 || fflush(metrics->stream) != 0)
        status = loom_fail_system(error, "cannot write", metrics->path);
    free(line);
    json_decref(object);
    return status;
}

json_t *loom_metrics_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* Appends to *array, and drops it when memory is short. */
static void append(json_t **array, json_t *value) {
    if (json_array_append_new(*array, value) != 0) {
        json_decref(*array);
        *array = NULL;
    }
}

static json_t *exit_depth(const struct loom_loads *loads) {
    json_t *array = json_array();
    for (int t = 0; t < loads->loops; t++)
        append(&array, json_real(loom_loads_exit_share(loads, t)));
    return array;
}

/* The share of choices that each expert got in each loop, summed over the core's layers. */
static json_t *expert_load(const struct loom_loads *loads) {
    size_t layers = (size_t)loads->layers, experts = (size_t)loads->experts;
    json_t *rows = json_array();
    for (size_t t = 0; t < (size_t)loads->loops; t++) {
        const uint64_t *cells = loads->choices + t * layers * experts;
        double all = 0;
        for (size_t i = 0; i < layers * experts; i++)
            all += (double)cells[i];
        json_t *row = json_array();
        for (size_t e = 0; e < experts; e++) {
            double load = 0;
            for (size_t l = 0; l < layers; l++)
                load += (double)cells[l * experts + e];
            append(&row, json_real(all > 0 ? load / all : 0));
        }
        append(&rows, row);
    }
    return rows;
}

bool loom_metrics_loads(json_t *object, const struct loom_loads *loads) {
    if (!loads->choices || loads->running[0] == 0)
        return true;
    return json_object_set_new(object, "exit_depth", exit_depth(loads)) == 0 &&
           json_object_set_new(object, "expert_load", expert_load(loads)) == 0;
}
