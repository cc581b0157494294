/* cpu.h - the inside of the machine "cpu": what loom_kernels_cpu_open allocates and its kernels find in self. */
#ifndef LOOM_KERNEL_CPU_CPU_H
#define LOOM_KERNEL_CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "kernel/kernel.h"

/* LOOM_CPU_AVX512BF16 is what Zen 4 and Cooper Lake brought: products of bf16 and of int8 beside AVX-512. */
enum loom_cpu_level { LOOM_CPU_GENERIC, LOOM_CPU_AVX2, LOOM_CPU_AVX512, LOOM_CPU_AVX512BF16, LOOM_CPU_LEVELS };

/* Scratch of one thread, in floats: 1 MiB, which holds every kernel's blocks and suits a level-2 cache. */
enum { LOOM_CPU_SCRATCH = 1 << 18 };

/* Work of fewer elements (or so many multiply-adds over 32) than this stays with the caller; of more, a task gets about
 * so many: some 10 microseconds, against the one that handing it out may take. */
enum { LOOM_CPU_SMALL = 1 << 14 };

/* The two factors that a weight matrix can be: of y = x W^T and of dx = dy W. */
enum loom_cpu_side { LOOM_CPU_FORWARD, LOOM_CPU_INPUT, LOOM_CPU_SIDES };

/* Packed copies of a block of weights, in bf16, or rounded to whole numbers with their scales; hold.c. */
struct loom_cpu_held {
    const float *weights; /* NULL: none */
    size_t capacity;
    uint32_t now; /* how often the weights have changed */
    enum loom_precision precision;
    uint32_t *words[LOOM_CPU_SIDES];
    uint8_t *quants;
    uint16_t *scales;               /* bf16 */
    uint32_t *mark[LOOM_CPU_SIDES]; /* at each matrix's start, when it was packed */
};

struct loom_cpu {
    struct loom_kernels table;
    struct loom_pool *pool;
    enum loom_cpu_level level;
    enum loom_precision precision; /* of products */
    float *scratch;                /* (threads + 1, LOOM_CPU_SCRATCH): the last is shared */
    struct loom_cpu_held held;
};

/* Items first .. end-1 of a kernel's work, and scratch that nobody else uses meanwhile. */
struct loom_cpu_part {
    size_t first, end;
    float *scratch;
};

/* Does one part of what `job`, the kernel's arguments, says. */
typedef void (*loom_cpu_run)(const void *job, struct loom_cpu_part part);

/* Runs `items` items, each worth `cost` elements of work. Where they are cut into parts depends on these two numbers
 * alone, and parts run in any order. */
void loom_cpu_share(const struct loom_kernels *k, size_t items, size_t cost, loom_cpu_run run, const void *job);

/* Whether products that are not exact round to bf16. */
static inline bool loom_cpu_bf16(const struct loom_kernels *k) {
    return ((const struct loom_cpu *)k->self)->precision == LOOM_PRECISION_BF16;
}

/* Scratch for what a kernel's parts share with each other; the caller's parts and calls follow each other. */
float *loom_cpu_shared_scratch(const struct loom_kernels *k);

/* How many threads will share so much work. */
size_t loom_cpu_threads(const struct loom_kernels *k, size_t work);

/* Memory as the machine's alloc gives it, but with anything in it: what nobody writes costs nothing. */
void *loom_cpu_take(size_t bytes);

/* hold.c: `hold` of kernel.h; what it took, given back; and where a matrix's copy is, NULL when it has none. When the
 * copy is stale the caller packs all of it. */
bool loom_cpu_hold(const struct loom_kernels *k, const real *weights, size_t count);
void loom_cpu_let_go(const struct loom_kernels *k);
uint32_t *loom_cpu_held_copy(const struct loom_kernels *k, enum loom_cpu_side side, const struct loom_linear *s,
                             const real *w, bool *stale);
/* The same for whole numbers. */
uint8_t *loom_cpu_held_quants(const struct loom_kernels *k, const struct loom_linear *s, const real *w,
                              uint16_t **scales, bool *stale);

/* Whether this processor runs code of that level, and this build has it. */
bool loom_cpu_supports(enum loom_cpu_level level);

/* The level to open: the environment's where it names one, so that every command can be run as on an older processor.
 */
enum loom_cpu_level loom_cpu_chosen_level(void);

/* Opens the machine at a level that the processor supports, not necessarily its best. */
struct loom_kernels *loom_kernels_cpu_open_at(enum loom_cpu_level level, int threads);

/* The overrides, one function an instruction set. */
void loom_cpu_fill_generic(struct loom_kernels *table);
void loom_cpu_fill_avx2(struct loom_kernels *table);
void loom_cpu_fill_avx512(struct loom_kernels *table);
void loom_cpu_fill_avx512bf16(struct loom_kernels *table);

/* Multiplies and adds in registers `rounds` times; returns the floating-point operations done. */
double loom_cpu_burn_generic(size_t rounds);
double loom_cpu_burn_avx2(size_t rounds);
double loom_cpu_burn_avx512(size_t rounds);
double loom_cpu_burn_avx512bf16(size_t rounds);
double loom_cpu_burn_bf16_avx512bf16(size_t rounds);
double loom_cpu_burn_int8_avx512bf16(size_t rounds);

/* Reads n floats, whole cache lines; returns a sum that keeps the compiler from leaving it out. */
float loom_cpu_scan_generic(const float *x, size_t n);
float loom_cpu_scan_avx2(const float *x, size_t n);
float loom_cpu_scan_avx512(const float *x, size_t n);
float loom_cpu_scan_avx512bf16(const float *x, size_t n);

#endif
