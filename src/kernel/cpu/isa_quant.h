/* isa_quant.h - products with weights of 8 or 4 bits; isa_quant.c has how. */
#ifndef LOOM_KERNEL_CPU_ISA_QUANT_H
#define LOOM_KERNEL_CPU_ISA_QUANT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpu/isa.h"

#define loom_cpu_quantize_panel LOOM_ISA_NAME(loom_cpu_quantize_panel)
#define loom_cpu_multiply_quantized LOOM_ISA_NAME(loom_cpu_multiply_quantized)

/* Neighbours that share a scale; and outputs that lie side by side. */
enum { LOOM_CPU_GROUP = 32, LOOM_CPU_QUANT_PANEL = 16 };

/* One matrix (n_out, depth) in panels of LOOM_CPU_QUANT_PANEL outputs. */
struct loom_cpu_quantized {
    const uint8_t *quants;
    const float *scales;
    size_t depth; /* whole groups */
    bool four;    /* 4 bits, else 8 */
};

/* Rounds a panel of w (n_out, depth). */
void loom_cpu_quantize_panel(const struct loom_cpu_quantized *to, size_t panel, const float *w);

/* y's columns of panels first .. end-1 = x w^T, or +=: x (rows, depth), y's rows ldy apart; LOOM_CPU_SCRATCH floats. */
void loom_cpu_multiply_quantized(const struct loom_cpu_quantized *w, float *y, size_t ldy, const float *x, size_t rows,
                                 size_t first, size_t end, bool accumulate, float *scratch);

#endif
