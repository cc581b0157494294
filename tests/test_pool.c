/* test_pool.c - every task runs once, workers never share an index at a time, jobs follow one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/pool.h"

enum { TASKS = 300, THREADS = 5 };

struct job {
    atomic_int runs[TASKS];
    atomic_int busy[THREADS]; /* tasks that run now with each worker's index */
    atomic_int faults;
    int threads;
};

static void count(void *argument, size_t task, int worker) {
    struct job *job = argument;
    if (worker < 0 || worker >= job->threads || atomic_fetch_add(&job->busy[worker], 1) != 0)
        atomic_fetch_add(&job->faults, 1);
    atomic_fetch_add(&job->runs[task], 1);
    atomic_fetch_sub(&job->busy[worker], 1);
}

static void check_all_once(int threads, size_t tasks, int jobs) {
    struct loom_pool *pool = loom_pool_open(threads);
    assert_non_null(pool);
    struct job job = {.threads = threads};
    for (int i = 0; i < jobs; i++)
        loom_pool_run(pool, tasks, count, &job);
    for (size_t t = 0; t < TASKS; t++)
        assert_int_equal(atomic_load(&job.runs[t]), t < tasks ? jobs : 0);
    assert_int_equal(atomic_load(&job.faults), 0);
    loom_pool_close(pool);
}

static void test_every_task_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= THREADS; threads++) {
        check_all_once(threads, 0, 3);
        check_all_once(threads, 1, 50);
        check_all_once(threads, 2, 500);
        check_all_once(threads, TASKS, 200);
    }
}

/* Long enough between jobs for the threads to fall asleep. */
static void test_wakes_from_sleep(void **state) {
    (void)state;
    struct loom_pool *pool = loom_pool_open(3);
    assert_non_null(pool);
    struct job job = {.threads = 3};
    for (int i = 0; i < 20; i++) {
        struct timespec nap = {0, 3000000};
        nanosleep(&nap, NULL);
        loom_pool_run(pool, TASKS, count, &job);
    }
    for (size_t t = 0; t < TASKS; t++)
        assert_int_equal(atomic_load(&job.runs[t]), 20);
    assert_int_equal(atomic_load(&job.faults), 0);
    loom_pool_close(pool);
    loom_pool_close(NULL);
}

/* Both threads get work when tasks are long. */
static void note_worker(void *argument, size_t task, int worker) {
    atomic_uint *workers = argument;
    struct timespec nap = {0, 2000000};
    (void)task;
    atomic_fetch_or(workers, 1u << worker);
    nanosleep(&nap, NULL);
}

static void test_work_is_shared(void **state) {
    (void)state;
    struct loom_pool *pool = loom_pool_open(2);
    atomic_uint workers = 0;
    assert_non_null(pool);
    assert_int_equal(loom_pool_threads(pool), 2);
    loom_pool_run(pool, 20, note_worker, &workers);
    assert_int_equal(atomic_load(&workers), 3);
    loom_pool_close(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once),
        cmocka_unit_test(test_wakes_from_sleep),
        cmocka_unit_test(test_work_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
