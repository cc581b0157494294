/* embed.c - rows of a table by token id. */
#include "kernel/ref/ref.h"

void loom_ref_embed(const struct loom_kernels *k, real *y, const real *table, const int *ids, size_t rows,
                    size_t cols) {
    for (size_t r = 0; r < rows; r++)
        loom_ref_copy(k, y + r * cols, table + (size_t)ids[r] * cols, cols);
}

void loom_ref_embed_backward(const struct loom_kernels *k, real *dtable, const real *dy, const int *ids, size_t rows,
                             size_t cols) {
    for (size_t r = 0; r < rows; r++) {
        real *row = dtable + (size_t)ids[r] * cols;
        loom_ref_add(k, row, row, dy + r * cols, cols);
    }
}
