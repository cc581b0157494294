/* limits.c - what the processor can do at most: multiply-adds from registers, reads from each level of memory. */
#include <stdlib.h>

#include "base/clock.h"
#include "kernel/cpu/cpu.h"

/* One piece of work of one thread: multiply-adds of a format, or a pass over a block. Returns how much it was. */
struct limit {
    enum loom_cpu_level level;
    enum loom_precision precision;
    float *blocks; /* (threads, length); NULL: multiply */
    size_t length; /* floats */
};

static double multiply(const struct limit *l) {
    enum { ROUNDS = 2000 };
#if defined(__x86_64__)
    if (l->precision == LOOM_PRECISION_BF16)
        return loom_cpu_burn_bf16_avx512bf16(ROUNDS);
    if (l->precision == LOOM_PRECISION_INT8)
        return loom_cpu_burn_int8_avx512bf16(ROUNDS);
    if (l->level == LOOM_CPU_AVX512BF16)
        return loom_cpu_burn_avx512bf16(ROUNDS);
    if (l->level == LOOM_CPU_AVX512)
        return loom_cpu_burn_avx512(ROUNDS);
    if (l->level == LOOM_CPU_AVX2)
        return loom_cpu_burn_avx2(ROUNDS);
#endif
    return loom_cpu_burn_generic(ROUNDS);
}

static float scan(const struct limit *l, const float *block) {
#if defined(__x86_64__)
    if (l->level >= LOOM_CPU_AVX512)
        return loom_cpu_scan_avx512(block, l->length);
    if (l->level == LOOM_CPU_AVX2)
        return loom_cpu_scan_avx2(block, l->length);
#endif
    return loom_cpu_scan_generic(block, l->length);
}

/* A small block is read many times between two looks at the clock. */
static double read_block(const struct limit *l, size_t task) {
    enum { LEAST = 1 << 20 };
    double bytes = 0;
    for (size_t done = 0; done < LEAST; done += l->length) {
        /* The blocks are zero: a sum that is not would be wrong, and counts nothing. */
        if (!(scan(l, l->blocks + task * l->length) > 0))
            bytes += (double)(l->length * sizeof(float));
    }
    return bytes;
}

/* A task works for the window's length, and tells its rate by the time that its thread ran meanwhile: what other
 * programs take is no limit of the machine. */
struct window {
    const struct limit *limit;
    double length;
    double *rate; /* (tasks) */
};

static void run_window(void *job, size_t task, int worker) {
    const struct window *w = job;
    const double start = loom_clock_thread();
    double done = 0, ran = 0;
    (void)worker;
    for (; ran < w->length; ran = loom_clock_thread() - start)
        done += w->limit->blocks != NULL ? read_block(w->limit, task) : multiply(w->limit);
    w->rate[task] = done / ran;
}

/* Work a second over one window of all threads. */
static double rate_of(struct loom_pool *pool, const struct limit *limit, double *rate) {
    const size_t threads = (size_t)loom_pool_threads(pool);
    struct window w = {limit, 0.005, rate};
    double total = 0;
    loom_pool_run(pool, threads, run_window, &w);
    for (size_t i = 0; i < threads; i++)
        total += rate[i];
    return total;
}

/* The best of several short windows: other programs on the machine only ever take away. */
static double best_rate(struct loom_pool *pool, const struct limit *limit) {
    enum { WINDOWS = 10 };
    double *each = pool != NULL ? calloc((size_t)loom_pool_threads(pool), sizeof *each) : NULL;
    double best = 0;
    for (int i = 0; each != NULL && i < WINDOWS; i++) {
        const double rate = rate_of(pool, limit, each);
        best = rate > best ? rate : best;
    }
    free(each);
    return best;
}

double loom_kernels_cpu_peak(int threads, enum loom_precision precision) {
    struct loom_pool *pool = loom_pool_open(loom_threads(threads));
    const double best = best_rate(pool, &(struct limit){loom_cpu_chosen_level(), precision, NULL, 0});
    loom_pool_close(pool);
    return best;
}

double loom_kernels_cpu_read_rate(int threads, size_t bytes) {
    struct loom_kernels *k = loom_kernels_cpu_open(threads);
    if (k == NULL)
        return 0;
    struct loom_pool *pool = ((struct loom_cpu *)k->self)->pool;
    struct limit limit = {.level = loom_cpu_chosen_level(), .length = bytes / sizeof(float)};
    limit.blocks = k->alloc(k, (size_t)loom_pool_threads(pool) * bytes);
    const double best = limit.blocks != NULL ? best_rate(pool, &limit) : 0;
    k->release(k, limit.blocks);
    loom_kernels_cpu_close(k);
    return best;
}
