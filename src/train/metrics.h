/* metrics.h - metrics.jsonl: one JSON object a line, appended and flushed as training goes.
 *
 * After a kill the file may run ahead of the newest checkpoint; a resumed run first cuts it back to that step. */
#ifndef LOOM_TRAIN_METRICS_H
#define LOOM_TRAIN_METRICS_H

#include <stdio.h>

#include "base/json.h"
#include "model/model.h"

struct loom_metrics {
    FILE *stream;
    char *path;
};

/* Opens for appending. */
loom_status loom_metrics_open(struct loom_metrics *metrics, const char *path, struct loom_error *error);
void loom_metrics_close(struct loom_metrics *metrics);

/* Drops the lines that are later than `step`, a line that a kill cut short, and, when `drop_evals`, what was evaluated
 * at `step` only because the run ended there. A file that is not there is fine. */
loom_status loom_metrics_rewind(const char *path, uint64_t step, bool drop_evals, struct loom_error *error);

/* Writes one object as a line and releases it. A NULL object means that memory was short. */
loom_status loom_metrics_put(struct loom_metrics *metrics, json_t *object, struct loom_error *error);

/* A number, or null where it is not finite. */
json_t *loom_metrics_number(double value);

/* Adds "exit_depth" and "expert_load" of a looped model to an eval object; false when memory is short. */
bool loom_metrics_loads(json_t *object, const struct loom_loads *loads);

#endif
