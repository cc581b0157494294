/* isa_fill.c - all overrides of one instruction set; and its register loop, for measuring the machine's peak. */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"

#define loom_cpu_fill LOOM_ISA_NAME(loom_cpu_fill)
#define loom_cpu_burn LOOM_ISA_NAME(loom_cpu_burn)

void loom_cpu_fill(struct loom_kernels *table) {
    LOOM_ISA_NAME(loom_cpu_fill_arrays)(table);
    LOOM_ISA_NAME(loom_cpu_fill_rows)(table);
    LOOM_ISA_NAME(loom_cpu_fill_norm)(table);
    LOOM_ISA_NAME(loom_cpu_fill_loop)(table);
    LOOM_ISA_NAME(loom_cpu_fill_linear)(table);
    LOOM_ISA_NAME(loom_cpu_fill_attention)(table);
    LOOM_ISA_NAME(loom_cpu_fill_attention_backward)(table);
}

double loom_cpu_burn(size_t rounds) {
    /* Enough independent sums to hide the latency of any processor's multiply-add, few enough for 16 registers. */
    enum { SUMS = 12 };
    const vec factor = (vec){0} + 0.999f, term = (vec){0} + 0.001f;
    /* All different, or the compiler finds that one sum is enough. */
    vec sum[SUMS];
    for (int i = 0; i < SUMS; i++)
        sum[i] = (vec){0} + (float)i / SUMS;
    for (size_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++)
            sum[i] = sum[i] * factor + term;
    }
    /* The sums must count for something, or the compiler drops the loop: they never grow beyond 1. */
    vec total = {0};
    for (int i = 0; i < SUMS; i++)
        total += sum[i];
    return total[0] > (float)SUMS ? 0 : 2.0 * SUMS * LANES * (double)rounds;
}
