/* loss.c - cross-entropy of the next token. */
#include "kernel/ref/ref.h"

struct loom_ref_softmax loom_ref_softmax(const real *x, size_t n) {
    struct loom_ref_softmax s = {-HUGE_VAL, 0};
    for (size_t i = 0; i < n; i++)
        s.largest = fmax(s.largest, (double)x[i]);
    for (size_t i = 0; i < n; i++)
        s.sum += exp((double)x[i] - s.largest);
    return s;
}

/* scale * (softmax(logits) - one-hot(target)). */
static void row_gradient(real *dlogits, const real *logits, struct loom_ref_softmax s, size_t target, double scale,
                         size_t cols) {
    for (size_t c = 0; c < cols; c++) {
        double p = exp((double)logits[c] - s.largest) / s.sum;
        dlogits[c] = (real)(scale * (p - (c == target)));
    }
}

void loom_ref_cross_entropy(const struct loom_kernels *k, real *loss, real *dlogits, const real *logits,
                            const int *targets, real scale, size_t rows, size_t cols) {
    for (size_t r = 0; r < rows; r++) {
        const real *row = logits + r * cols;
        real *drow = dlogits != NULL ? dlogits + r * cols : NULL;
        if (targets[r] < 0) {
            loss[r] = 0;
            if (drow != NULL)
                loom_ref_fill(k, drow, 0, cols);
            continue;
        }
        struct loom_ref_softmax softmax = loom_ref_softmax(row, cols);
        loss[r] = (real)(softmax.largest - (double)row[targets[r]] + log(softmax.sum));
        if (drow != NULL)
            row_gradient(drow, row, softmax, (size_t)targets[r], (double)scale, cols);
    }
}
