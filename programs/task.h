/* task.h - the half of loom eval that scores tasks. */
#ifndef LOOM_PROGRAMS_TASK_H
#define LOOM_PROGRAMS_TASK_H

#include <stdbool.h>

#include <loom/loom.h>

struct task_request {
    struct loom_task_options options; /* all but loops, stop and progress */
    const char *report;               /* NULL, or the page to write */
    const int *loops;                 /* (n_loops); none: as trained */
    int n_loops;
    bool json;
};

/* Prints the figures of each number of loops; returns the exit code. `model` may be NULL for recorded responses. */
int evaluate_task(const struct loom_model *model, const struct task_request *request);

/* Prints the tasks' names and what they are. */
void print_tasks(void);

#endif
