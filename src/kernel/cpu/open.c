/* open.c - the machine "cpu": which instruction set this processor has, its table, its threads' scratch, its memory. */
#define _DEFAULT_SOURCE
#include "kernel/cpu/cpu.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Blocks of this many bytes and more are aligned to pages of that size, which make long reads cheaper. */
static const size_t huge_page = (size_t)2 << 20;
static const size_t cache_line = 64;

bool loom_cpu_supports(enum loom_cpu_level level) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (level == LOOM_CPU_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
    if (level == LOOM_CPU_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return level == LOOM_CPU_GENERIC;
}

static enum loom_cpu_level best_level(void) {
    enum loom_cpu_level level = LOOM_CPU_GENERIC;
    for (int i = 0; i < LOOM_CPU_LEVELS; i++)
        level = loom_cpu_supports((enum loom_cpu_level)i) ? (enum loom_cpu_level)i : level;
    return level;
}

static void fill_table(struct loom_kernels *table, enum loom_cpu_level level) {
    switch (level) {
#if defined(__x86_64__)
    case LOOM_CPU_AVX512:
        table->name = "cpu-avx512";
        loom_cpu_fill_avx512(table);
        break;
    case LOOM_CPU_AVX2:
        table->name = "cpu-avx2";
        loom_cpu_fill_avx2(table);
        break;
#endif
    default:
        table->name = "cpu-generic";
        loom_cpu_fill_generic(table);
        break;
    }
}

static size_t round_up(size_t value, size_t unit) {
    return (value + unit - 1) / unit * unit;
}

static void *cpu_alloc(const struct loom_kernels *k, size_t bytes) {
    (void)k;
    const size_t unit = bytes < huge_page ? cache_line : huge_page;
    if (bytes > SIZE_MAX - unit)
        return NULL;
    const size_t size = bytes == 0 ? unit : round_up(bytes, unit);
    void *memory = aligned_alloc(unit, size);
    if (memory == NULL)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* Only a wish: without huge pages the memory is as good, and slower. */
    if (unit == huge_page)
        (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
    memset(memory, 0, size);
    return memory;
}

static void cpu_release(const struct loom_kernels *k, void *memory) {
    (void)k;
    free(memory);
}

float *loom_cpu_scratch(const struct loom_kernels *k) {
    return loom_cpu_self(k)->scratch + (size_t)omp_get_thread_num() * LOOM_CPU_SCRATCH;
}

struct loom_kernels *loom_kernels_cpu_open_at(enum loom_cpu_level level, int threads) {
    struct loom_cpu *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL)
        return NULL;
    cpu->threads = threads > 0 ? threads : omp_get_num_procs();
    cpu->table = *loom_kernels_ref();
    cpu->table.self = cpu;
    cpu->table.alloc = cpu_alloc;
    cpu->table.release = cpu_release;
    fill_table(&cpu->table, level);
    cpu->scratch = cpu_alloc(&cpu->table, (size_t)cpu->threads * LOOM_CPU_SCRATCH * sizeof(float));
    if (cpu->scratch == NULL) {
        free(cpu);
        return NULL;
    }
    return &cpu->table;
}

struct loom_kernels *loom_kernels_cpu_open(int threads) {
    return loom_kernels_cpu_open_at(best_level(), threads);
}

void loom_kernels_cpu_close(struct loom_kernels *k) {
    if (k == NULL)
        return;
    struct loom_cpu *cpu = k->self;
    cpu_release(k, cpu->scratch);
    free(cpu);
}

static double burn(enum loom_cpu_level level, size_t rounds) {
    switch (level) {
#if defined(__x86_64__)
    case LOOM_CPU_AVX512:
        return loom_cpu_burn_avx512(rounds);
    case LOOM_CPU_AVX2:
        return loom_cpu_burn_avx2(rounds);
#endif
    default:
        return loom_cpu_burn_generic(rounds);
    }
}

/* The best of several short windows: other programs on the machine only ever take away. */
double loom_kernels_cpu_peak(int threads) {
    enum { WINDOWS = 10, ROUNDS = 2000 };
    const double window = 0.005;
    const enum loom_cpu_level level = best_level();
    const int count = threads > 0 ? threads : omp_get_num_procs();
    double best = 0;
    for (int i = 0; i < WINDOWS; i++) {
        double flops = 0;
        const double start = omp_get_wtime();
#pragma omp parallel num_threads(count) reduction(+ : flops)
        while (omp_get_wtime() - start < window)
            flops += burn(level, ROUNDS);
        const double rate = flops / (omp_get_wtime() - start);
        best = rate > best ? rate : best;
    }
    return best;
}
