/* rows.c - arrays of rows, against one value for each column or one for each row. */
#include "kernel/ref/ref.h"

#include <string.h>

void loom_ref_copy_columns(const struct loom_kernels *k, real *y, size_t ldy, const real *x, size_t ldx, size_t rows,
                           size_t cols, bool accumulate) {
    (void)k;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * ldy + c] = x[r * ldx + c] + (accumulate ? y[r * ldy + c] : 0);
}

void loom_ref_copy_heads(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch,
                         size_t rows, size_t heads, size_t width) {
    (void)k;
    for (size_t b = 0; b < batch; b++)
        for (size_t t = 0; t < rows; t++)
            for (size_t h = 0; h < heads; h++)
                memcpy(y.data + b * y.batch + t * y.row + h * y.head, x.data + b * x.batch + t * x.row + h * x.head,
                       width * sizeof *y.data);
}

void loom_ref_add_row(const struct loom_kernels *k, real *y, const real *row, size_t rows, size_t cols) {
    (void)k;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * cols + c] += row[c];
}

/* total[c] += sum over r of a[r][c] * b[r][c], where b == NULL stands for ones. */
static void add_column_sums(real *total, const real *a, const real *b, size_t rows, size_t cols) {
    for (size_t first = 0; first < cols; first += LOOM_REF_CHUNK) {
        size_t width = loom_ref_min(LOOM_REF_CHUNK, cols - first);
        double sum[LOOM_REF_CHUNK] = {0};
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < width; c++) {
                size_t at = r * cols + first + c;
                sum[c] += (double)a[at] * (b != NULL ? (double)b[at] : 1);
            }
        for (size_t c = 0; c < width; c++)
            total[first + c] += (real)sum[c];
    }
}

void loom_ref_sum_rows(const struct loom_kernels *k, real *drow, const void *dy, enum loom_storage format, size_t rows,
                       size_t cols) {
    (void)format;
    (void)k;
    add_column_sums(drow, dy, NULL, rows, cols);
}

void loom_ref_scale_columns(const struct loom_kernels *k, real *y, const real *x, const real *row, size_t rows,
                            size_t cols) {
    (void)k;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * cols + c] = x[r * cols + c] * row[c];
}

void loom_ref_sum_products(const struct loom_kernels *k, real *drow, const real *dy, const real *x, size_t rows,
                           size_t cols) {
    (void)k;
    add_column_sums(drow, dy, x, rows, cols);
}

void loom_ref_add_scaled_rows(const struct loom_kernels *k, real *y, const real *w, const real *x, size_t rows,
                              size_t cols) {
    (void)k;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * cols + c] += w[r] * x[r * cols + c];
}

void loom_ref_dot_rows(const struct loom_kernels *k, real *dw, const real *dy, const real *x, size_t rows,
                       size_t cols) {
    (void)k;
    for (size_t r = 0; r < rows; r++)
        dw[r] = (real)loom_ref_dot(dy + r * cols, x + r * cols, cols);
}
