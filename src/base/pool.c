/* pool.c - see pool.h.
 *
 * A job is open from the moment its fields are written until the caller finds no task left. A thread counts itself as
 * inside before it looks whether a job is open, and the caller closes the job before it looks who is inside; so either
 * the thread sees a closed job, or the caller sees the thread and waits for its task. Only then are the fields written
 * again. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* How often an idle thread looks for a job before it sleeps: some tens of microseconds. Longer than between the kernels
 * of one pass, shorter than a scheduler's slice. */
enum { WATCH_ROUNDS = 2000 };

/* How often the caller looks for a late task before it offers its processor: the thread may need it. */
enum { YIELD_ROUNDS = 200 };

struct worker {
    struct loom_pool *pool;
    pthread_t thread;
    int index;
};

struct loom_pool {
    struct worker *workers; /* (threads); the first is the caller */
    int threads;
    loom_task task; /* the job's fields */
    void *job;
    size_t tasks;
    atomic_size_t next; /* the first task that nobody has taken */
    atomic_uint jobs;   /* how many jobs have been opened */
    atomic_bool open;   /* there may be tasks left */
    atomic_int inside;  /* threads that may be looking at the job's fields */
    atomic_int sleepers;
    atomic_bool quit;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Takes tasks until none is left. */
static void work(struct loom_pool *pool, int worker) {
    for (;;) {
        size_t task = atomic_fetch_add(&pool->next, 1);
        if (task >= pool->tasks)
            return;
        pool->task(pool->job, task, worker);
    }
}

static void join_job(struct loom_pool *pool, int worker) {
    atomic_fetch_add(&pool->inside, 1);
    if (atomic_load(&pool->open))
        work(pool, worker);
    atomic_fetch_sub(&pool->inside, 1);
}

/* Returns when a job later than `seen` has been opened, or the pool closes. */
static void wait_for_job(struct loom_pool *pool, unsigned seen) {
    for (int i = 0; i < WATCH_ROUNDS; i++) {
        if (atomic_load(&pool->jobs) != seen || atomic_load(&pool->quit))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->jobs) == seen && !atomic_load(&pool->quit))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *live(void *argument) {
    struct worker *worker = argument;
    struct loom_pool *pool = worker->pool;
    unsigned seen = 0;
    while (!atomic_load(&pool->quit)) {
        wait_for_job(pool, seen);
        seen = atomic_load(&pool->jobs);
        join_job(pool, worker->index);
    }
    return NULL;
}

int loom_threads(int wanted) {
    cpu_set_t set;
    if (wanted > 0)
        return wanted;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

struct loom_pool *loom_pool_open(int threads) {
    struct loom_pool *pool = calloc(1, sizeof *pool);
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    if (!pool || !workers) {
        free(pool);
        free(workers);
        return NULL;
    }
    pool->workers = workers;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->threads = 1;
    while (pool->threads < threads) {
        struct worker *worker = &workers[pool->threads];
        *worker = (struct worker){.pool = pool, .index = pool->threads};
        if (pthread_create(&worker->thread, NULL, live, worker) != 0)
            break;
        pool->threads++;
    }
    return pool;
}

static void wake_all(struct loom_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

void loom_pool_close(struct loom_pool *pool) {
    if (!pool)
        return;
    atomic_store(&pool->quit, true);
    wake_all(pool);
    for (int i = 1; i < pool->threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

int loom_pool_threads(const struct loom_pool *pool) {
    return pool->threads;
}

/* Waits for the tasks that other threads have taken. */
static void close_job(struct loom_pool *pool) {
    atomic_store(&pool->open, false);
    for (int i = 0; atomic_load(&pool->inside) > 0; i++)
        if (i < YIELD_ROUNDS)
            pause_briefly();
        else
            sched_yield();
}

void loom_pool_run(struct loom_pool *pool, size_t tasks, loom_task task, void *job) {
    if (pool->threads == 1 || tasks < 2) {
        for (size_t i = 0; i < tasks; i++)
            task(job, i, 0);
        return;
    }
    pool->task = task;
    pool->job = job;
    pool->tasks = tasks;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->open, true);
    atomic_fetch_add(&pool->jobs, 1);
    if (atomic_load(&pool->sleepers) > 0)
        wake_all(pool);
    work(pool, 0);
    close_job(pool);
}
