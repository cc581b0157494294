/* isa_rows.h - sums along rows and down columns, shared by the kernels that need them. */
#ifndef LOOM_KERNEL_CPU_ISA_ROWS_H
#define LOOM_KERNEL_CPU_ISA_ROWS_H

#include <math.h>

#include "kernel/cpu/isa_transpose.h"

/* Columns that one task sums. */
enum { COLUMN_BLOCK = 64 };

static inline size_t column_blocks(size_t cols) {
    return (cols + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
}

/* Long rows are summed in pieces of this length, so that a sum's error does not grow with the row. */
enum { ROW_PIECE = 512 };

static inline float piece_dot(const float *a, const float *b, size_t n) {
    vec lanes = {0};
    float sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes += vec_load(a + i) * vec_load(b + i);
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum + vec_total(lanes);
}

static inline float row_dot(const float *a, const float *b, size_t n) {
    double total = 0;
    for (size_t i = 0; i < n; i += ROW_PIECE)
        total += (double)piece_dot(a + i, b + i, least(n - i, ROW_PIECE));
    return (float)total;
}

/* The largest element; NaN is passed over, and no elements give -inf. */
static inline float row_largest(const float *x, size_t n) {
    vec lanes = (vec){0} - INFINITY;
    float largest = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes = vec_larger(vec_load(x + i), lanes);
    for (; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    const float rest = vec_largest(lanes);
    return rest > largest ? rest : largest;
}

/* total[c] += sum over r of a[r][c] (b[r][c] - shift[r]) scale[r], for the block of columns that starts at `first`.
 * b NULL stands for ones, shift NULL for zeros, scale NULL for ones: constants where it is inlined. */
static inline __attribute__((always_inline)) void add_column_sums(float *total, const float *a, const float *b,
                                                                  const float *shift, const float *scale, size_t rows,
                                                                  size_t cols, size_t first) {
    const size_t width = least(cols - first, COLUMN_BLOCK);
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
