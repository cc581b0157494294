/* isa_random.h - dropout's factors for a run of indices: base/random's numbers (Philox4x32-10, Salmon et al. 2011),
 * several indices at once. */
#ifndef LOOM_KERNEL_CPU_ISA_RANDOM_H
#define LOOM_KERNEL_CPU_ISA_RANDOM_H

#include <math.h>

#include "base/random.h"
#include "kernel/cpu/isa.h"

/* loom_random_bits of the stream (seed, dropout). */
static inline uint64_t dropout_bits(uint64_t seed, uint64_t index) {
    uint32_t x0 = (uint32_t)index, x1 = (uint32_t)(index >> 32), x2 = LOOM_RANDOM_DROPOUT, x3 = 0;
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    LOOM_UNROLL
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * x0, b = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(b >> 32) ^ x1 ^ key0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ key1;
        x3 = (uint32_t)a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return (uint64_t)x0 << 32 | x1;
}

/* factor[i] = 1/(1-rate) where index first+i is kept, which is where its uniform number reaches the rate; else 0. */
static inline void dropout_factors(float *factor, float rate, uint64_t seed, uint64_t first, size_t n) {
    const uint64_t threshold = (uint64_t)ceil((double)rate * 0x1p53);
    const float kept = 1.0f / (1.0f - rate);
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        factor[i] = dropout_bits(seed, first + i) >> 11 >= threshold ? kept : 0.0f;
}

#endif
