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

float LOOM_ISA_NAME(loom_cpu_scan)(const float *x, size_t n) {
    enum { SUMS = 8 };
    vec sum[SUMS] = {0};
    for (size_t i = 0; i + SUMS * LANES <= n; i += SUMS * LANES) {
        LOOM_UNROLL
        for (int j = 0; j < SUMS; j++)
            sum[j] += vec_load(x + i + (size_t)j * LANES);
    }
    vec total = {0};
    LOOM_UNROLL
    for (int j = 0; j < SUMS; j++)
        total += sum[j];
    return total[0];
}

double loom_cpu_burn(size_t rounds) {
    const vec factor = (vec){0} + 0.999f, term = (vec){0} + 0.001f;
    /* As many independent sums as a product's tile has: enough to hide the latency of the multiply-add. All different,
     * or the compiler finds that one is enough. */
    vec sum[TILE_ROWS][TILE_VECTORS];
    LOOM_UNROLL
    for (int i = 0; i < TILE_ROWS; i++) {
        sum[i][0] = (vec){0} + 0.01f * (float)i;
        sum[i][1] = sum[i][0] + 0.5f;
    }
    for (size_t round = 0; round < rounds; round++) {
        LOOM_UNROLL
        for (int i = 0; i < TILE_ROWS; i++) {
            sum[i][0] = sum[i][0] * factor + term;
            sum[i][1] = sum[i][1] * factor + term;
        }
    }
    /* The sums must count for something, or the compiler drops the loop: they never grow beyond 1. */
    vec total = {0};
    LOOM_UNROLL
    for (int i = 0; i < TILE_ROWS; i++)
        total += sum[i][0] + sum[i][1];
    const double flops = 2.0 * TILE_ROWS * TILE_VECTORS * LANES * (double)rounds;
    return total[0] > 2.0f * TILE_ROWS ? 0 : flops;
}
