/* linear.c - matrix products over groups of rows.
 *
 * y = x W^T, dx = dy W and dW = dy^T x are one product c = a b with other strides, so there is one loop. */
#include "kernel/ref/ref.h"

/* Columns of the result that are summed side by side, so that the sums do not wait for each other. */
enum { TILE = 16 };

/* Element (i,j) of a matrix, or of its transpose, is data[i*row + j*column]. */
struct matrix {
    const real *data;
    size_t row, column;
};

/* One row of up to TILE elements of the result: sum[j] = sum over t of a[t] * b[t][j]. `a` is one row, `b` starts at
 * the first of the columns. */
static void multiply_tile(double sum[TILE], struct matrix a, struct matrix b, size_t inner, size_t width) {
    for (size_t j = 0; j < width; j++)
        sum[j] = 0;
    for (size_t t = 0; t < inner; t++) {
        double factor = (double)a.data[t * a.column];
        const real *row = b.data + t * b.row;
        for (size_t j = 0; j < width; j++)
            sum[j] += factor * (double)row[j * b.column];
    }
}

/* c (rows, cols) = a (rows, inner) b (inner, cols), or += when `accumulate`. */
static void multiply(real *c, struct matrix a, struct matrix b, size_t rows, size_t inner, size_t cols,
                     bool accumulate) {
    double sum[TILE];
    for (size_t first = 0; first < cols; first += TILE) {
        size_t width = loom_ref_min(TILE, cols - first);
        struct matrix right = {b.data + first * b.column, b.row, b.column};
        for (size_t i = 0; i < rows; i++) {
            struct matrix left = {a.data + i * a.row, a.row, a.column};
            multiply_tile(sum, left, right, inner, width);
            real *row = c + i * cols + first;
            for (size_t j = 0; j < width; j++)
                row[j] = (real)sum[j] + (accumulate ? row[j] : 0);
        }
    }
}

void loom_ref_linear(const struct loom_kernels *k, const struct loom_linear *s, real *y, const void *x, const real *w,
                     bool accumulate) {
    (void)k;
    for (size_t g = 0; g < s->groups; g++) {
        size_t start = loom_linear_start(s, g), rows = loom_linear_start(s, g + 1) - start;
        struct matrix a = {(const real *)x + start * s->n_in, s->n_in, 1};
        struct matrix b = {w + g * loom_linear_stride(s), 1, s->n_in};
        multiply(y + start * s->n_out, a, b, rows, s->n_in, s->n_out, accumulate);
    }
}

void loom_ref_linear_input(const struct loom_kernels *k, const struct loom_linear *s, real *dx, const void *dy,
                           const real *w, bool accumulate) {
    (void)k;
    for (size_t g = 0; g < s->groups; g++) {
        size_t start = loom_linear_start(s, g), rows = loom_linear_start(s, g + 1) - start;
        struct matrix a = {(const real *)dy + start * s->n_out, s->n_out, 1};
        struct matrix b = {w + g * loom_linear_stride(s), s->n_in, 1};
        multiply(dx + start * s->n_in, a, b, rows, s->n_out, s->n_in, accumulate);
    }
}

void loom_ref_linear_weight(const struct loom_kernels *k, const struct loom_linear *s, real *dw, const void *dy,
                            const void *x) {
    (void)k;
    for (size_t g = 0; g < s->groups; g++) {
        size_t start = loom_linear_start(s, g), rows = loom_linear_start(s, g + 1) - start;
        struct matrix a = {(const real *)dy + start * s->n_out, 1, s->n_out};
        struct matrix b = {(const real *)x + start * s->n_in, s->n_in, 1};
        if (rows > 0) /* adding 0 to -0 would change it */
            multiply(dw + g * loom_linear_stride(s), a, b, s->n_out, rows, s->n_in, true);
    }
}
