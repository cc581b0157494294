/* isa_rows.h - sums along rows and down columns, shared by the kernels that need them. */
#ifndef LOOM_KERNEL_CPU_ISA_ROWS_H
#define LOOM_KERNEL_CPU_ISA_ROWS_H

#include "kernel/cpu/isa.h"

/* Columns that one task sums. */
enum { COLUMN_BLOCK = 64 };

static inline float row_dot(const float *a, const float *b, size_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* total[c] += sum over r of a[r][c] (b[r][c] - shift[r]) scale[r], for the block of columns that starts at `first`.
 * b NULL stands for ones, shift NULL for zeros, scale NULL for ones: constants where it is inlined. */
static inline __attribute__((always_inline)) void add_column_sums(float *total, const float *a, const float *b,
                                                                  const float *shift, const float *scale, size_t rows,
                                                                  size_t cols, size_t first) {
    const size_t width = cols - first < COLUMN_BLOCK ? cols - first : COLUMN_BLOCK;
    double sum[COLUMN_BLOCK] = {0};
    for (size_t r = 0; r < rows; r++) {
        const float *left = a + r * cols + first, *right = b != NULL ? b + r * cols + first : NULL;
        const float centre = shift != NULL ? shift[r] : 0.0f, factor = scale != NULL ? scale[r] : 1.0f;
#pragma omp simd
        for (size_t c = 0; c < width; c++)
            sum[c] += (double)(left[c] * (right != NULL ? (right[c] - centre) * factor : 1.0f));
    }
    for (size_t c = 0; c < width; c++)
        total[first + c] += (float)sum[c];
}

#endif
