/* judge.h - many responses judged together: programs several at once, each in a sandbox of its own. */
#ifndef LOOM_DATA_TASK_JUDGE_H
#define LOOM_DATA_TASK_JUDGE_H

#include "data/task/task.h"

struct loom_response {
    size_t problem;
    const char *text;              /* NULL: there is none, which is wrong */
    bool right[LOOM_TASK_METRICS]; /* the verdict */
};

/* Fills the verdicts. Programs run on `threads` threads in any order, anything else on the caller's; what is right does
 * not depend on that, unless more programs run than the machine has processors and their time gets short. Fails as the
 * first of those that could not be judged. */
loom_status loom_task_judge(const struct loom_task *task, struct loom_response *responses, size_t count,
                            const struct loom_sandbox_limits *limits, int threads, struct loom_error *error);

#endif
