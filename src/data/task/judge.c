/* judge.c - see judge.h. Threads live for one call: a program takes far longer than a thread to start, and the caller
 * sleeps until the last of them ends. */
#include "data/task/judge.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct judging {
    const struct loom_task *task;
    struct loom_response *responses;
    size_t count;
    const struct loom_sandbox_limits *limits;
    atomic_size_t next; /* the first that nobody has taken */
    pthread_mutex_t mutex;
    size_t failed; /* the first that could not be judged, and why; count: none */
    loom_status status;
    struct loom_error error;
};

static void note_failure(struct judging *j, size_t i, loom_status status, const struct loom_error *error) {
    pthread_mutex_lock(&j->mutex);
    if (i < j->failed) {
        j->failed = i;
        j->status = status;
        j->error = *error;
    }
    pthread_mutex_unlock(&j->mutex);
    atomic_store(&j->next, j->count); /* those before it have been taken */
}

static void judge_one(struct judging *j, size_t i) {
    struct loom_response *r = &j->responses[i];
    struct loom_error error;
    for (int m = 0; m < LOOM_TASK_METRICS; m++)
        r->right[m] = false;
    if (!r->text)
        return;
    loom_status status = j->task->kind->judge(&j->task->problems[r->problem], r->text, j->limits, r->right, &error);
    if (status)
        note_failure(j, i, status, &error);
}

static void *judge_some(void *judging) {
    struct judging *j = judging;
    for (size_t i = atomic_fetch_add(&j->next, 1); i < j->count; i = atomic_fetch_add(&j->next, 1))
        judge_one(j, i);
    return NULL;
}

/* The caller judges, too; where the system gives fewer threads, fewer do. */
static void judge_on(struct judging *j, size_t threads) {
    pthread_t *others = calloc(threads, sizeof *others);
    size_t started = 0;
    while (others && started + 1 < threads && pthread_create(&others[started], NULL, judge_some, j) == 0)
        started++;
    judge_some(j);
    for (size_t i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    free(others);
}

loom_status loom_task_judge(const struct loom_task *task, struct loom_response *responses, size_t count,
                            const struct loom_sandbox_limits *limits, int threads, struct loom_error *error) {
    struct judging j = {
        .task = task, .responses = responses, .count = count, .limits = limits, .failed = count, .status = LOOM_OK};
    size_t together = (size_t)threads < count ? (size_t)threads : count;
    bool programs = count > 0 && task->problems[responses[0].problem].test;
    pthread_mutex_init(&j.mutex, NULL);
    if (programs)
        judge_on(&j, together);
    else
        judge_some(&j);
    pthread_mutex_destroy(&j.mutex);
    if (j.status && error)
        *error = j.error;
    return j.status;
}
