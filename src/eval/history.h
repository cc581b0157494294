/* history.h - what a run folder tells about its training.
 *
 * Reads config.json and metrics.jsonl into tables of numbers. A folder is read as it is found: a missing or broken
 * file, a line cut short by a kill, a field that is not there lead to a note or a NAN, never to a failure, for the
 * report of a run that died is the one most needed. */
#ifndef LOOM_EVAL_HISTORY_H
#define LOOM_EVAL_HISTORY_H

#include "base/json.h"
#include "base/text.h"

/* The numbers of a "step" or "eval" line, in one order for both; NAN where a line lacks one. */
enum loom_field {
    LOOM_FIELD_STEP,
    LOOM_FIELD_TOKENS,
    LOOM_FIELD_SECONDS,
    LOOM_FIELD_FLOPS,
    LOOM_FIELD_LOSS,
    LOOM_FIELD_VAL_LOSS,
    LOOM_FIELD_LEARNING_RATE,
    LOOM_FIELD_GRADIENT_NORM,
    LOOM_FIELD_SPEED,
    LOOM_FIELD_MEAN_LOOPS,
    LOOM_FIELD_IMBALANCE,
    LOOM_FIELDS
};

struct loom_rows {
    double (*row)[LOOM_FIELDS]; /* (count, LOOM_FIELDS), by step */
    size_t count, capacity;
};

struct loom_history {
    json_t *config;  /* NULL when there is none that can be read */
    json_t *privacy; /* what the newest checkpoint of a private training states; NULL without one */
    struct loom_rows steps, evals;
    json_t *samples;        /* array of the "sample" lines */
    json_t *last_eval;      /* the last "eval" line with all its fields; NULL when there is none */
    struct loom_text notes; /* HTML: a paragraph for each thing that is missing or left out */
};

/* Reads the folder. `with_steps` false leaves `steps` empty, for who needs the evaluations only. Fails when memory is
 * short. loom_history_free is due in either case. */
loom_status loom_history_read(const char *folder, bool with_steps, struct loom_history *history,
                              struct loom_error *error);
void loom_history_free(struct loom_history *history);

/* Whether answers were rewarded: then the losses are shares of wrong answers. */
bool loom_history_rewarded(const struct loom_history *history);

/* The evaluation with the lowest validation loss: its row, or NULL when none is finite. */
const double *loom_history_best(const struct loom_history *history);

/* Adds an empty row (all NAN) at the end; NULL when memory is short. */
double *loom_rows_add(struct loom_rows *rows);

#endif
