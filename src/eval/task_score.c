/* task_score.c - see task_score.h. */
#include "eval/task_score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double z95 = 1.959963984540054;

double loom_pass_at_k(size_t n, size_t c, size_t k) {
    double none = 1;
    if (n - c < k)
        return 1;
    for (size_t i = n - c + 1; i <= n; i++)
        none *= 1 - (double)k / (double)i;
    return 1 - none;
}

void loom_wilson(double right, double n, double *low, double *high) {
    double p = right / n, z2 = z95 * z95 / n, middle = (p + z2 / 2) / (1 + z2);
    double half = z95 * sqrt(p * (1 - p) / n + z2 / (4 * n)) / (1 + z2);
    *low = fmax(middle - half, 0);
    *high = fmin(middle + half, 1);
}

/* Of which problems, by which metric. */
struct selection {
    const struct loom_task *task;
    const struct loom_tally *tallies;
    size_t count;
    const char *group; /* "": all */
    int metric;
    size_t k; /* 0: the share of right responses */
};

static bool selects(const struct selection *s, size_t i) {
    return s->group[0] == '\0' || strcmp(s->task->problems[i].group, s->group) == 0;
}

/* A problem's value, between 0 and 1. */
static double value_of(const struct selection *s, size_t i) {
    const struct loom_tally *t = &s->tallies[i];
    return s->k ? loom_pass_at_k(t->responses, t->right[s->metric], s->k)
                : (double)t->right[s->metric] / (double)t->responses;
}

static struct loom_task_row figure(const struct selection *s, const char *name) {
    struct loom_task_row row = {.group = s->group, .metric = name};
    double sum = 0, squares = 0;
    bool single = true;
    for (size_t i = 0; i < s->count; i++)
        if (selects(s, i)) {
            double value = value_of(s, i);
            sum += value;
            squares += value * value;
            single = single && s->tallies[i].responses == 1;
            row.problems++;
        }
    double n = (double)row.problems;
    row.value = sum / n;
    double variance = n > 1 ? fmax(squares - n * row.value * row.value, 0) / (n - 1) : 0;
    row.low = fmax(row.value - z95 * sqrt(variance / n), 0);
    row.high = fmin(row.value + z95 * sqrt(variance / n), 1);
    if (single || !(variance > 0)) /* problems that are all alike do not say how they vary */
        loom_wilson(sum, n, &row.low, &row.high);
    return row;
}

static size_t fewest_responses(const struct selection *s) {
    size_t fewest = SIZE_MAX;
    for (size_t i = 0; i < s->count; i++)
        if (selects(s, i) && s->tallies[i].responses < fewest)
            fewest = s->tallies[i].responses;
    return fewest;
}

static void give_rows(struct selection *s, void (*on_row)(void *user, const struct loom_task_row *row), void *user) {
    static const size_t ks[] = {1, 5, 10, 100};
    for (s->metric = 0; s->task->kind->metrics[s->metric]; s->metric++) {
        const char *name = s->task->kind->metrics[s->metric];
        bool pass = strcmp(name, "pass") == 0;
        for (size_t i = 0; i < sizeof ks / sizeof ks[0] && (pass || i == 0); i++) {
            char label[32];
            s->k = pass ? ks[i] : 0;
            if (pass && ks[i] > fewest_responses(s))
                break;
            snprintf(label, sizeof label, pass ? "%s@%zu" : "%s", name, ks[i]);
            struct loom_task_row row = figure(s, label);
            on_row(user, &row);
        }
    }
}

/* Whether problem i is the first of its group. */
static bool begins_group(const struct loom_task *task, size_t i) {
    size_t first = 0;
    while (strcmp(task->problems[first].group, task->problems[i].group) != 0)
        first++;
    return first == i;
}

void loom_task_rows(const struct loom_task *task, const struct loom_tally *tallies, size_t count,
                    void (*on_row)(void *user, const struct loom_task_row *row), void *user) {
    struct selection s = {.task = task, .tallies = tallies, .count = count};
    size_t groups = 0;
    for (size_t i = 0; i < count; i++)
        groups += begins_group(task, i);
    for (size_t i = 0; i < count && groups > 1; i++)
        if (begins_group(task, i)) {
            s.group = task->problems[i].group;
            give_rows(&s, on_row, user);
        }
    s.group = "";
    give_rows(&s, on_row, user);
}
