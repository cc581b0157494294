/* isa.h - what the instruction sets differ in.
 *
 * Every isa_*.c file is compiled once for each instruction set, with LOOM_ISA set to generic, avx2, avx512 or
 * avx512bf16 and the compiler's flags for it. The code is the same: it is written with vectors of LANES floats and
 * loops that the compiler turns into such vectors. Only the names of what a file exports carry the instruction set. The
 * whole machine computes in float.
 */
#ifndef LOOM_KERNEL_CPU_ISA_H
#define LOOM_KERNEL_CPU_ISA_H

#include <stddef.h>

#include "kernel/kernel.h"

#ifdef LOOM_DOUBLE
#error "the cpu machine computes in float only"
#endif

/* LOOM_ISA_NAME(loom_cpu_fill) is loom_cpu_fill_avx2 in the files compiled for avx2. */
#define LOOM_ISA_JOIN(stem, isa) stem##_##isa
#define LOOM_ISA_EXPAND(stem, isa) LOOM_ISA_JOIN(stem, isa)
#define LOOM_ISA_NAME(stem) LOOM_ISA_EXPAND(stem, LOOM_ISA)

/* Before a short loop with constant bounds: unroll all of it, so that its arrays become registers. */
#if defined(__clang__)
#define LOOM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LOOM_UNROLL _Pragma("GCC unroll 16")
#endif

/* A tile of the product's result, TILE_ROWS rows by TILE_VECTORS vectors, stays in registers: with the vectors of the
 * right factor and one broadcast element it just fits 32 registers (avx512) or 16 (the others). A tile of dot products
 * is LANES sums, of at most DOT_ROWS rows. */
#if defined(__AVX512F__)
enum { LANES = 16, TILE_ROWS = 14, DOT_ROWS = 4 };
#elif defined(__AVX2__)
enum { LANES = 8, TILE_ROWS = 6, DOT_ROWS = 2 };
#else
enum { LANES = 4, TILE_ROWS = 6, DOT_ROWS = 2 };
#endif
enum { TILE_VECTORS = 2, PANEL = TILE_VECTORS * LANES };

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
/* The same vector at any address that suits a float. */
typedef float vec_loose __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* Arrays are cut into chunks at fixed places, so that where a vector loop ends never depends on the threads. */
enum { CHUNK = 2048 };

static inline size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline size_t chunk_end(size_t first, size_t n) {
    return n - first < CHUNK ? n : first + CHUNK;
}

/* Floats of a line of the caches. */
enum { LINE = 16 };

/* Asks for the lines of what will be read soon, or written: callers know which when they are compiled. */
static inline __attribute__((always_inline)) void fetch_lines(const void *place, size_t bytes, bool write) {
    for (size_t byte = 0; byte < bytes; byte += LINE * sizeof(float))
        if (write)
            __builtin_prefetch((const char *)place + byte, 1);
        else
            __builtin_prefetch((const char *)place + byte);
}

static inline vec vec_load(const float *from) {
    return *(const vec_loose *)from;
}

static inline void vec_store(float *to, vec value) {
    *(vec_loose *)to = value;
}

typedef int vec_mask __attribute__((vector_size(LANES * sizeof(int))));

/* The larger of each pair; b where they do not compare. */
static inline vec vec_larger(vec a, vec b) {
    const vec_mask more = a > b;
    return (vec)((more & (vec_mask)a) | (~more & (vec_mask)b));
}

#endif
