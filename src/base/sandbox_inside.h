/* sandbox_inside.h - the sandbox from within, between its two files: what the forked child does until it becomes the
 * program. Another thread may have held a lock at the fork, so that nothing here allocates or uses stdio. */
#ifndef LOOM_BASE_SANDBOX_INSIDE_H
#define LOOM_BASE_SANDBOX_INSIDE_H

#include "base/sandbox.h"

/* What a step that failed writes to the report's pipe. */
struct loom_sandbox_refusal {
    char step[56];
    int number; /* errno */
};

struct loom_sandbox_child {
    const char *const *argv;
    const struct loom_sandbox_limits *limits;
    int input, output, report; /* descriptors; report closes when all is over */
};

_Noreturn void loom_sandbox_enter(const struct loom_sandbox_child *child);

#endif
