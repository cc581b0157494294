/* twins_table.c - see twins_table.h. */
#include "eval/twins_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/task_score.h"

static const char *const side_names[LOOM_TWINS] = {"looped", "equal parameters", "equal FLOPs"};

const char *loom_twins_side_name(int side) {
    return side >= 0 && side < LOOM_TWINS ? side_names[side] : NULL;
}

void loom_twins_table_free(struct loom_twins_table *table) {
    free(table->rows);
    free(table->right);
    *table = (struct loom_twins_table){0};
}

static bool grow(struct loom_twins_table *t) {
    size_t capacity = t->capacity ? 2 * t->capacity : 64;
    struct loom_twins_row *rows = realloc(t->rows, capacity * sizeof *rows);
    t->rows = rows ? rows : t->rows;
    double *right = realloc(t->right, capacity * sizeof *right);
    t->right = right ? right : t->right;
    if (rows && right)
        t->capacity = capacity;
    return rows && right;
}

static bool same(const struct loom_twins_row *a, const struct loom_twins_row *b) {
    return a->side == b->side && a->loops == b->loops && strcmp(a->group, b->group) == 0 &&
           strcmp(a->metric, b->metric) == 0;
}

void loom_twins_table_add(struct loom_twins_table *table, const struct loom_twins_row *name, double right,
                          double problems) {
    struct loom_twins_table *t = table;
    size_t i = 0;
    while (i < t->count && !same(&t->rows[i], name))
        i++;
    if (i == t->count) {
        if (t->count == t->capacity && !grow(t)) {
            t->failed = true;
            return;
        }
        t->rows[t->count] = *name;
        t->rows[t->count].problems = 0;
        t->rows[t->count].least = HUGE_VAL;
        t->rows[t->count].most = 0;
        t->right[t->count++] = 0;
    }
    struct loom_twins_row *row = &t->rows[i];
    double share = right / problems;
    row->problems += (uint64_t)problems;
    row->least = share < row->least ? share : row->least;
    row->most = share > row->most ? share : row->most;
    t->right[i] += right;
}

void loom_twins_table_finish(struct loom_twins_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        struct loom_twins_row *row = &table->rows[i];
        row->value = table->right[i] / (double)row->problems;
        loom_wilson(table->right[i], (double)row->problems, &row->low, &row->high);
    }
}

static json_t *row_json(const struct loom_twins_row *row) {
    json_t *loops = row->loops == LOOM_LOOPS_GIVEN    ? json_string("given")
                    : row->loops == LOOM_LOOPS_CHOSEN ? json_string("chosen")
                    : row->loops == 0                 ? json_string("as trained")
                                                      : json_integer(row->loops);
    return json_pack("{s:s,s:o,s:s,s:s,s:f,s:f,s:f,s:f,s:f,s:I}", "side", loom_twins_side_name(row->side), "loops",
                     loops, "group", row->group, "metric", row->metric, "value", row->value, "low", row->low, "high",
                     row->high, "least", row->least, "most", row->most, "problems", (json_int_t)row->problems);
}

json_t *loom_twins_table_json(const struct loom_twins_table *table) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < table->count; i++)
        if (json_array_append_new(list, row_json(&table->rows[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}
