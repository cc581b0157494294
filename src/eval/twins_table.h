/* twins_table.h - the answers of a twin race: right ones of each side, by loops and kind of problem, over seeds. */
#ifndef LOOM_EVAL_TWINS_TABLE_H
#define LOOM_EVAL_TWINS_TABLE_H

#include "base/json.h"
#include <loom/loom.h>

#define LOOM_TWINS_FILE "twins.json"

struct loom_twins_table {
    struct loom_twins_row *rows;
    double *right; /* answers, beside each row */
    size_t count, capacity;
    bool failed; /* memory was short */
};

void loom_twins_table_free(struct loom_twins_table *table);

/* Adds one seed's `right` answers among `problems` to the row of this name. */
void loom_twins_table_add(struct loom_twins_table *table, const struct loom_twins_row *name, double right,
                          double problems);

/* Shares and intervals, once all is added. */
void loom_twins_table_finish(struct loom_twins_table *table);

/* A list of objects, one for each row; NULL when memory is short. */
json_t *loom_twins_table_json(const struct loom_twins_table *table);

#endif
