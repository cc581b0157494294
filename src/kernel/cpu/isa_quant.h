/* isa_quant.h - products with weights of 8 or 4 bits; isa_quant.c has how. */
#ifndef LOOM_KERNEL_CPU_ISA_QUANT_H
#define LOOM_KERNEL_CPU_ISA_QUANT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpu/isa.h"

#define loom_cpu_quantize_panel LOOM_ISA_NAME(loom_cpu_quantize_panel)
#define loom_cpu_round_row LOOM_ISA_NAME(loom_cpu_round_row)
#define loom_cpu_multiply_quantized LOOM_ISA_NAME(loom_cpu_multiply_quantized)

/* Neighbours that share a scale; outputs that lie side by side; and panels that are best multiplied together. */
enum { LOOM_CPU_GROUP = 32, LOOM_CPU_QUANT_PANEL = 16, LOOM_CPU_QUANT_PANELS = 4 };

/* One matrix (n_out, depth) in blocks of panels of LOOM_CPU_QUANT_PANEL outputs. */
struct loom_cpu_quantized {
    const uint8_t *quants;
    const uint16_t *scales; /* bf16 */
    size_t depth;           /* whole groups */
    size_t panels;          /* n_out / LOOM_CPU_QUANT_PANEL */
    bool four;              /* 4 bits, else 8 */
};

/* Rows of x in 8 bits. */
struct loom_cpu_rounded {
    int8_t *q;    /* (rows, depth) */
    float *scale; /* (rows, depth/GROUP) */
    int *start;   /* the same: what a group's sum starts with, for weights without a sign */
    size_t depth;
};

/* Where a product goes: row i starts at data + i*row. */
struct loom_cpu_rows {
    float *data;
    size_t row;
    bool accumulate;
};

/* Rounds a panel of w (n_out, depth). */
void loom_cpu_quantize_panel(const struct loom_cpu_quantized *to, size_t panel, const float *w);

/* Rounds row `row` of what x (depth) is one row of, for weights of 4 or 8 bits. */
void loom_cpu_round_row(const struct loom_cpu_rounded *to, size_t row, const float *x, bool four);

/* y's columns of panels first .. end-1 = x w^T, or +=: x (rows, depth). `first` begins a block. */
void loom_cpu_multiply_quantized(const struct loom_cpu_quantized *w, struct loom_cpu_rows y,
                                 const struct loom_cpu_rounded *x, size_t rows, size_t first, size_t end);

#endif
