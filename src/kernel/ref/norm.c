/* norm.c - RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016), forward and backward.
 *
 * With z = (x - mean) * rstd, both are y = z * weight (+ bias); RMSNorm is the case mean = 0. The backward of z has one
 * term for the scale and, for LayerNorm, one more for the mean. */
#include "kernel/ref/ref.h"

/* A weight that is not there is 1. */
static double weight_of(const real *weight, size_t c) {
    return weight != NULL ? (double)weight[c] : 1;
}

void loom_ref_rmsnorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *rstd, const real *x,
                      const real *weight, size_t rows, size_t cols, real eps) {
    real *to = y;
    (void)format;
    (void)k;
    for (size_t r = 0; r < rows; r++) {
        const real *row = x + r * cols;
        double scale = 1 / sqrt(loom_ref_dot(row, row, cols) / (double)cols + (double)eps);
        for (size_t c = 0; c < cols; c++)
            to[r * cols + c] = (real)((double)row[c] * scale * weight_of(weight, c));
        rstd[r] = (real)scale;
    }
}

static double row_mean(const real *x, size_t cols) {
    double sum = 0;
    for (size_t c = 0; c < cols; c++)
        sum += (double)x[c];
    return sum / (double)cols;
}

/* Around the mean, not as mean(x^2) - mean^2: that difference loses everything when the mean is large. */
static double row_variance(const real *x, double mean, size_t cols) {
    double sum = 0;
    for (size_t c = 0; c < cols; c++)
        sum += ((double)x[c] - mean) * ((double)x[c] - mean);
    return sum / (double)cols;
}

void loom_ref_layernorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *mean, real *rstd,
                        const real *x, const real *weight, const real *bias, size_t rows, size_t cols, real eps) {
    real *to = y;
    (void)format;
    (void)k;
    for (size_t r = 0; r < rows; r++) {
        const real *row = x + r * cols;
        double centre = row_mean(row, cols);
        double scale = 1 / sqrt(row_variance(row, centre, cols) + (double)eps);
        for (size_t c = 0; c < cols; c++) {
            double shift = bias != NULL ? (double)bias[c] : 0;
            to[r * cols + c] = (real)(((double)row[c] - centre) * scale * (double)weight[c] + shift);
        }
        mean[r] = (real)centre;
        rstd[r] = (real)scale;
    }
}

/* dx[c] += rstd * (g[c] - [mean(g)] - z[c] * mean(g z)) with g = dy * weight; the middle term when `centred`. */
static void add_input_gradient(real *dx, const real *dy, const real *x, const real *weight, double mean, double rstd,
                               size_t cols, bool centred) {
    double sum_g = 0, sum_gz = 0;
    for (size_t c = 0; c < cols; c++) {
        double g = (double)dy[c] * weight_of(weight, c);
        sum_g += g;
        sum_gz += g * ((double)x[c] - mean) * rstd;
    }
    double mean_g = centred ? sum_g / (double)cols : 0, mean_gz = sum_gz / (double)cols;
    for (size_t c = 0; c < cols; c++) {
        double g = (double)dy[c] * weight_of(weight, c), z = ((double)x[c] - mean) * rstd;
        dx[c] += (real)(rstd * (g - mean_g - z * mean_gz));
    }
}

/* dweight[c] += sum over r of dy[r][c] * z[r][c]; mean == NULL stands for zeros. */
static void add_weight_gradient(real *dweight, const real *dy, const real *x, const real *mean, const real *rstd,
                                size_t rows, size_t cols) {
    for (size_t first = 0; first < cols; first += LOOM_REF_CHUNK) {
        size_t width = loom_ref_min(LOOM_REF_CHUNK, cols - first);
        double sum[LOOM_REF_CHUNK] = {0};
        for (size_t r = 0; r < rows; r++) {
            double centre = mean != NULL ? (double)mean[r] : 0;
            for (size_t c = 0; c < width; c++) {
                size_t at = r * cols + first + c;
                sum[c] += (double)dy[at] * ((double)x[at] - centre) * (double)rstd[r];
            }
        }
        for (size_t c = 0; c < width; c++)
            dweight[first + c] += (real)sum[c];
    }
}

void loom_ref_rmsnorm_backward(const struct loom_kernels *k, real *dx, real *dweight, const real *dy, const real *x,
                               const real *weight, const real *rstd, size_t rows, size_t cols) {
    (void)k;
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * cols;
        add_input_gradient(dx + at, dy + at, x + at, weight, 0, (double)rstd[r], cols, false);
    }
    if (dweight != NULL)
        add_weight_gradient(dweight, dy, x, NULL, rstd, rows, cols);
}

void loom_ref_layernorm_backward(const struct loom_kernels *k, real *dx, real *dweight, real *dbias, const real *dy,
                                 const real *x, const real *weight, const real *mean, const real *rstd, size_t rows,
                                 size_t cols) {
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * cols;
        add_input_gradient(dx + at, dy + at, x + at, weight, (double)mean[r], (double)rstd[r], cols, true);
    }
    if (dweight != NULL)
        add_weight_gradient(dweight, dy, x, mean, rstd, rows, cols);
    if (dbias != NULL)
        loom_ref_sum_rows(k, dbias, dy, LOOM_STORAGE_REAL, rows, cols);
}
