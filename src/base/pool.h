/* pool.h - threads that share the tasks of one job.
 *
 * A job is a number of tasks; whoever is free takes the next one, the caller among them. The caller never waits for a
 * thread that has not begun: on a busy machine it does the work itself, and a thread that comes late finds nothing to
 * do. Idle threads watch for the next job for a moment and then sleep. What a task computes must not depend on who
 * takes it. */
#ifndef LOOM_BASE_POOL_H
#define LOOM_BASE_POOL_H

#include <stddef.h>

struct loom_pool;

/* One task of a job. `worker` (0 .. threads-1) is who runs it, for scratch memory; two tasks never run at once with the
 * same worker. */
typedef void (*loom_task)(void *job, size_t task, int worker);

/* `threads` counts the caller. Fewer are kept when the system gives fewer. NULL when memory is short. */
struct loom_pool *loom_pool_open(int threads);
void loom_pool_close(struct loom_pool *pool);

/* `wanted`, or where that is 0 one for each processor that the process may use. */
int loom_threads(int wanted);

int loom_pool_threads(const struct loom_pool *pool);

/* Runs task(job, 0) .. task(job, tasks-1) in any order and returns when all are done. One job at a time; not from
 * within a task. */
void loom_pool_run(struct loom_pool *pool, size_t tasks, loom_task task, void *job);

#endif
