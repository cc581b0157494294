/* cpu.h - the inside of the machine "cpu": what loom_kernels_cpu_open allocates and its kernels find in self. */
#ifndef LOOM_KERNEL_CPU_CPU_H
#define LOOM_KERNEL_CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel/kernel.h"

enum loom_cpu_level { LOOM_CPU_GENERIC, LOOM_CPU_AVX2, LOOM_CPU_AVX512, LOOM_CPU_LEVELS };

/* Scratch of one thread, in floats: 1 MiB, which holds every kernel's blocks and suits a level-2 cache. */
enum { LOOM_CPU_SCRATCH = 1 << 18 };

/* Below this many elements (or so many multiply-adds over 32) a second thread costs more than it gives. */
enum { LOOM_CPU_SMALL = 1 << 14 };

struct loom_cpu {
    struct loom_kernels table;
    int threads;
    float *scratch; /* (threads, LOOM_CPU_SCRATCH) */
};

static inline const struct loom_cpu *loom_cpu_self(const struct loom_kernels *k) {
    return k->self;
}

/* How many threads `work` elements deserve. */
static inline int loom_cpu_threads(const struct loom_kernels *k, size_t work) {
    return work < LOOM_CPU_SMALL ? 1 : loom_cpu_self(k)->threads;
}

/* The calling thread's scratch, inside a parallel region of this machine. */
float *loom_cpu_scratch(const struct loom_kernels *k);

/* Whether this processor runs code of that level, and this build has it. */
bool loom_cpu_supports(enum loom_cpu_level level);

/* Opens the machine at a level that the processor supports, not necessarily its best. */
struct loom_kernels *loom_kernels_cpu_open_at(enum loom_cpu_level level, int threads);

/* The overrides, one function an instruction set. */
void loom_cpu_fill_generic(struct loom_kernels *table);
void loom_cpu_fill_avx2(struct loom_kernels *table);
void loom_cpu_fill_avx512(struct loom_kernels *table);

/* Multiplies and adds in registers `rounds` times; returns the floating-point operations done. */
double loom_cpu_burn_generic(size_t rounds);
double loom_cpu_burn_avx2(size_t rounds);
double loom_cpu_burn_avx512(size_t rounds);

#endif
