/* task_score.h - from right and wrong responses to figures with confidence intervals. */
#ifndef LOOM_EVAL_TASK_SCORE_H
#define LOOM_EVAL_TASK_SCORE_H

#include "data/task/task.h"

/* How many responses to a problem there were, and how many were right by each metric. */
struct loom_tally {
    size_t responses, right[LOOM_TASK_METRICS];
};

/* The chance that of k responses, drawn from n of which c are right, at least one is: 1 - C(n-c, k) / C(n, k). The
 * unbiased estimator of Chen et al., arXiv 2107.03374; k <= n. */
double loom_pass_at_k(size_t n, size_t c, size_t k);

/* Wilson's score interval of `right` among n, 95 %. */
void loom_wilson(double right, double n, double *low, double *high);

/* Gives the rows of each group, where there are several, and of all. */
void loom_task_rows(const struct loom_task *task, const struct loom_tally *tallies, size_t count,
                    void (*on_row)(void *user, const struct loom_task_row *row), void *user);

#endif
