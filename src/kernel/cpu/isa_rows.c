/* isa_rows.c - arrays of rows: against one value for each column or one for each row, by token id, and to the experts
 * and back. Threads share the rows; sums over rows are shared by columns, so that each is one sum in row order. */
#include "kernel/cpu/isa_rows.h"

#include <string.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"

/* y[c] += factor * x[c]. */
static void add_row_scaled(float *y, float factor, const float *x, size_t cols) {
#pragma omp simd
    for (size_t c = 0; c < cols; c++)
        y[c] += factor * x[c];
}

static void add_one_row(float *y, const float *x, size_t cols) {
#pragma omp simd
    for (size_t c = 0; c < cols; c++)
        y[c] += x[c];
}

static void copy_columns(const struct loom_kernels *k, real *y, size_t ldy, const real *x, size_t ldx, size_t rows,
                         size_t cols, bool accumulate) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        if (accumulate)
            add_one_row(y + r * ldy, x + r * ldx, cols);
        else
            memcpy(y + r * ldy, x + r * ldx, cols * sizeof *y);
    }
}

static void add_row(const struct loom_kernels *k, real *y, const real *row, size_t rows, size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++)
        add_one_row(y + r * cols, row, cols);
}

static void sum_rows(const struct loom_kernels *k, real *drow, const real *dy, size_t rows, size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t first = 0; first < cols; first += COLUMN_BLOCK)
        add_column_sums(drow, dy, NULL, NULL, NULL, rows, cols, first);
}

static void scale_columns(const struct loom_kernels *k, real *y, const real *x, const real *row, size_t rows,
                          size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++) {
#pragma omp simd
        for (size_t c = 0; c < cols; c++)
            y[r * cols + c] = x[r * cols + c] * row[c];
    }
}

static void sum_products(const struct loom_kernels *k, real *drow, const real *dy, const real *x, size_t rows,
                         size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t first = 0; first < cols; first += COLUMN_BLOCK)
        add_column_sums(drow, dy, x, NULL, NULL, rows, cols, first);
}

static void add_scaled_rows(const struct loom_kernels *k, real *y, const real *w, const real *x, size_t rows,
                            size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++)
        add_row_scaled(y + r * cols, w[r], x + r * cols, cols);
}

static void dot_rows(const struct loom_kernels *k, real *dw, const real *dy, const real *x, size_t rows, size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++)
        dw[r] = row_dot(dy + r * cols, x + r * cols, cols);
}

/* ---- embedding ------------------------------------------------------------------------------------------------------
 */

static void embed(const struct loom_kernels *k, real *y, const real *table, const int *ids, size_t rows, size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++)
        memcpy(y + r * cols, table + (size_t)ids[r] * cols, cols * sizeof *y);
}

/* Two rows may have the same id, so threads share the columns. */
static void embed_backward(const struct loom_kernels *k, real *dtable, const real *dy, const int *ids, size_t rows,
                           size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t first = 0; first < cols; first += COLUMN_BLOCK) {
        const size_t width = cols - first < COLUMN_BLOCK ? cols - first : COLUMN_BLOCK;
        for (size_t r = 0; r < rows; r++)
            add_one_row(dtable + (size_t)ids[r] * cols + first, dy + r * cols + first, width);
    }
}

/* ---- experts --------------------------------------------------------------------------------------------------------
 */

static void gather(const struct loom_kernels *k, const struct loom_route *r, real *y, const real *x, const int *source,
                   size_t cols) {
    const size_t choices = r->rows * r->top_k;
#pragma omp parallel for num_threads(loom_cpu_threads(k, choices *cols)) schedule(static)
    for (size_t i = 0; i < choices; i++)
        memcpy(y + i * cols, x + (size_t)source[i] / r->top_k * cols, cols * sizeof *y);
}

static void gather_backward(const struct loom_kernels *k, const struct loom_route *r, real *dx, const real *dy,
                            const int *slot, size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, r->rows * r->top_k * cols)) schedule(static)
    for (size_t row = 0; row < r->rows; row++) {
        for (size_t i = row * r->top_k; i < (row + 1) * r->top_k; i++)
            add_one_row(dx + row * cols, dy + (size_t)slot[i] * cols, cols);
    }
}

static void combine(const struct loom_kernels *k, const struct loom_route *r, real *y, const real *x, const real *gates,
                    const int *slot, size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, r->rows * r->top_k * cols)) schedule(static)
    for (size_t row = 0; row < r->rows; row++) {
        for (size_t i = row * r->top_k; i < (row + 1) * r->top_k; i++)
            add_row_scaled(y + row * cols, gates[i], x + (size_t)slot[i] * cols, cols);
    }
}

static void combine_backward(const struct loom_kernels *k, const struct loom_route *r, real *dx, real *dgates,
                             const real *dy, const real *x, const real *gates, const int *slot, size_t cols) {
    const size_t choices = r->rows * r->top_k;
#pragma omp parallel for num_threads(loom_cpu_threads(k, choices *cols)) schedule(static)
    for (size_t i = 0; i < choices; i++) {
        const size_t at = (size_t)slot[i] * cols;
        const float *row = dy + i / r->top_k * cols;
        dgates[i] = row_dot(row, x + at, cols); /* first, because dx may be x */
#pragma omp simd
        for (size_t c = 0; c < cols; c++)
            dx[at + c] = gates[i] * row[c];
    }
}

void LOOM_ISA_NAME(loom_cpu_fill_rows)(struct loom_kernels *table) {
    table->copy_columns = copy_columns;
    table->add_row = add_row;
    table->sum_rows = sum_rows;
    table->scale_columns = scale_columns;
    table->sum_products = sum_products;
    table->add_scaled_rows = add_scaled_rows;
    table->dot_rows = dot_rows;
    table->embed = embed;
    table->embed_backward = embed_backward;
    table->gather = gather;
    table->gather_backward = gather_backward;
    table->combine = combine;
    table->combine_backward = combine_backward;
}
