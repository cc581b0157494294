/* isa_transpose.h - elements change lanes: a square of vectors turned on its diagonal, and all lanes of one joined. */
#ifndef LOOM_KERNEL_CPU_ISA_TRANSPOSE_H
#define LOOM_KERNEL_CPU_ISA_TRANSPOSE_H

#include "kernel/cpu/isa.h"

/* The lower and the upper halves of two vectors, alternating: a0 b0 a1 b1 ... */
static inline vec interleave_low(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}

static inline vec interleave_high(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

/* Of each pair of neighbours the first twice, the second twice, and both in the other order. */
static inline vec first_twice(vec a) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, a, 0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, a, 0, 0, 2, 2, 4, 4, 6, 6);
#else
    return __builtin_shufflevector(a, a, 0, 0, 2, 2);
#endif
}

static inline vec second_twice(vec a) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, a, 1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, a, 1, 1, 3, 3, 5, 5, 7, 7);
#else
    return __builtin_shufflevector(a, a, 1, 1, 3, 3);
#endif
}

static inline vec swap_neighbours(vec a) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6);
#else
    return __builtin_shufflevector(a, a, 1, 0, 3, 2);
#endif
}

/* The sum of all lanes, and the largest: each round joins two halves, and both halves of the result are the same. */
static inline float vec_total(vec x) {
    LOOM_UNROLL
    for (int round = 1; round < LANES; round *= 2)
        x = interleave_low(x, x) + interleave_high(x, x);
    return x[0];
}

static inline float vec_largest(vec x) {
    LOOM_UNROLL
    for (int round = 1; round < LANES; round *= 2)
        x = vec_larger(interleave_low(x, x), interleave_high(x, x));
    return x[0];
}

/* Lane i of the result is the sum of vector i's lanes. Each round adds the upper half of every vector to its lower one,
 * two vectors in one. */
static inline vec vec_totals(vec sum[LANES]) {
    LOOM_UNROLL
    for (int count = LANES / 2; count > 0; count /= 2) {
        LOOM_UNROLL
        for (int i = 0; i < count; i++)
            sum[i] = interleave_low(sum[i], sum[i + count]) + interleave_high(sum[i], sum[i + count]);
    }
    return sum[0];
}

/* The same of the largest lane. */
static inline vec vec_largests(vec most[LANES]) {
    LOOM_UNROLL
    for (int count = LANES / 2; count > 0; count /= 2) {
        LOOM_UNROLL
        for (int i = 0; i < count; i++)
            most[i] = vec_larger(interleave_low(most[i], most[i + count]), interleave_high(most[i], most[i + count]));
    }
    return most[0];
}

/* Transposes LANES x LANES: each round is a perfect shuffle of all elements, and log2(LANES) of them swap the row's
 * bits of an element's position with the column's. */
static inline void transpose(vec block[LANES]) {
    LOOM_UNROLL
    for (int round = 1; round < LANES; round *= 2) {
        vec next[LANES];
        LOOM_UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = interleave_low(block[i], block[i + LANES / 2]);
            next[2 * i + 1] = interleave_high(block[i], block[i + LANES / 2]);
        }
        LOOM_UNROLL
        for (int i = 0; i < LANES; i++)
            block[i] = next[i];
    }
}

#endif
