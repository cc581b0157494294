/* isa_norm.c - RMSNorm, LayerNorm and cross-entropy: kernels that reduce each row.
 *
 * Rows are shared by the threads; the weights' gradients, sums over rows, are shared by columns. */
#include <math.h>
#include <string.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_rows.h"
#include "kernel/cpu/vector_math.h"

static void rmsnorm(const struct loom_kernels *k, real *y, real *rstd, const real *x, const real *weight, size_t rows,
                    size_t cols, real eps) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * cols;
        const float scale = (float)(1 / sqrt((double)row_dot(row, row, cols) / (double)cols + (double)eps));
#pragma omp simd
        for (size_t c = 0; c < cols; c++)
            y[r * cols + c] = row[c] * scale * weight[c];
        rstd[r] = scale;
    }
}

static float piece_sum(const float *x, size_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t c = 0; c < n; c++)
        sum += x[c];
    return sum;
}

static float piece_squares(const float *x, float mean, size_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t c = 0; c < n; c++)
        sum += (x[c] - mean) * (x[c] - mean);
    return sum;
}

static float row_mean(const float *x, size_t cols) {
    double sum = 0;
    for (size_t c = 0; c < cols; c += ROW_PIECE)
        sum += (double)piece_sum(x + c, least(cols - c, ROW_PIECE));
    return (float)(sum / (double)cols);
}

static float row_variance(const float *x, float mean, size_t cols) {
    double sum = 0;
    for (size_t c = 0; c < cols; c += ROW_PIECE)
        sum += (double)piece_squares(x + c, mean, least(cols - c, ROW_PIECE));
    return (float)(sum / (double)cols);
}

static void layernorm(const struct loom_kernels *k, real *y, real *mean, real *rstd, const real *x, const real *weight,
                      const real *bias, size_t rows, size_t cols, real eps) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * cols;
        const float centre = row_mean(row, cols);
        const float scale = (float)(1 / sqrt((double)row_variance(row, centre, cols) + (double)eps));
#pragma omp simd
        for (size_t c = 0; c < cols; c++)
            y[r * cols + c] = (row[c] - centre) * scale * weight[c] + (bias != NULL ? bias[c] : 0.0f);
        mean[r] = centre;
        rstd[r] = scale;
    }
}

/* One row of dx[c] += rstd (g[c] - [mean(g)] - z[c] mean(g z)) with g = dy weight and z = (x - mean) rstd; the middle
 * term when `centred`. */
static void add_input_gradient(float *dx, const float *dy, const float *x, const float *weight, float mean, float rstd,
                               size_t cols, bool centred) {
    float sum_g = 0, sum_gz = 0;
#pragma omp simd reduction(+ : sum_g, sum_gz)
    for (size_t c = 0; c < cols; c++) {
        const float g = dy[c] * weight[c];
        sum_g += g;
        sum_gz += g * (x[c] - mean);
    }
    const float mean_g = centred ? sum_g / (float)cols : 0.0f, mean_gz = sum_gz * rstd / (float)cols;
#pragma omp simd
    for (size_t c = 0; c < cols; c++)
        dx[c] += rstd * (dy[c] * weight[c] - mean_g - (x[c] - mean) * rstd * mean_gz);
}

static void rmsnorm_backward(const struct loom_kernels *k, real *dx, real *dweight, const real *dy, const real *x,
                             const real *weight, const real *rstd, size_t rows, size_t cols) {
#pragma omp parallel num_threads(loom_cpu_threads(k, rows *cols))
    {
#pragma omp for schedule(static) nowait
        for (size_t r = 0; r < rows; r++)
            add_input_gradient(dx + r * cols, dy + r * cols, x + r * cols, weight, 0, rstd[r], cols, false);
#pragma omp for schedule(static)
        for (size_t first = 0; first < cols; first += COLUMN_BLOCK)
            add_column_sums(dweight, dy, x, NULL, rstd, rows, cols, first);
    }
}

static void layernorm_backward(const struct loom_kernels *k, real *dx, real *dweight, real *dbias, const real *dy,
                               const real *x, const real *weight, const real *mean, const real *rstd, size_t rows,
                               size_t cols) {
#pragma omp parallel num_threads(loom_cpu_threads(k, rows *cols))
    {
#pragma omp for schedule(static) nowait
        for (size_t r = 0; r < rows; r++)
            add_input_gradient(dx + r * cols, dy + r * cols, x + r * cols, weight, mean[r], rstd[r], cols, true);
#pragma omp for schedule(static)
        for (size_t first = 0; first < cols; first += COLUMN_BLOCK) {
            add_column_sums(dweight, dy, x, mean, rstd, rows, cols, first);
            if (dbias != NULL)
                add_column_sums(dbias, dy, NULL, NULL, NULL, rows, cols, first);
        }
    }
}

/* ---- loss -----------------------------------------------------------------------------------------------------------
 */

/* The sum of exp(x - largest). The terms are kept in `terms`, which may be x, unless it is NULL. */
static double row_exp(float *terms, const float *x, float largest, size_t cols) {
    double total = 0;
    for (size_t first = 0; first < cols; first += CHUNK) {
        const size_t end = chunk_end(first, cols);
        float sum = 0;
        if (terms != NULL) {
#pragma omp simd reduction(+ : sum)
            for (size_t c = first; c < end; c++) {
                terms[c] = vector_exp(x[c] - largest);
                sum += terms[c];
            }
        } else {
#pragma omp simd reduction(+ : sum)
            for (size_t c = first; c < end; c++)
                sum += vector_exp(x[c] - largest);
        }
        total += (double)sum;
    }
    return total;
}

/* One row's loss; dlogits becomes scale (softmax(logits) - one-hot(target)), when it is wanted. */
static float row_loss(float *dlogits, const float *logits, size_t target, float scale, size_t cols) {
    const float largest = row_largest(logits, cols), chosen = logits[target];
    const double total = row_exp(dlogits, logits, largest, cols);
    if (dlogits != NULL) {
        const float factor = (float)((double)scale / total);
#pragma omp simd
        for (size_t c = 0; c < cols; c++)
            dlogits[c] *= factor;
        /* Where the target is nearly certain, p - 1 cancels: in double it is rounded once. */
        dlogits[target] = (float)((double)scale * (exp((double)chosen - (double)largest) / total - 1));
    }
    return (float)((double)largest - (double)chosen + log(total));
}

static void cross_entropy(const struct loom_kernels *k, real *loss, real *dlogits, const real *logits,
                          const int *targets, real scale, size_t rows, size_t cols) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, rows *cols)) schedule(static)
    for (size_t r = 0; r < rows; r++) {
        float *drow = dlogits != NULL ? dlogits + r * cols : NULL;
        if (targets[r] >= 0) {
            loss[r] = row_loss(drow, logits + r * cols, (size_t)targets[r], scale, cols);
        } else {
            loss[r] = 0;
            if (drow != NULL)
                memset(drow, 0, cols * sizeof *drow);
        }
    }
}

void LOOM_ISA_NAME(loom_cpu_fill_norm)(struct loom_kernels *table) {
    table->rmsnorm = rmsnorm;
    table->rmsnorm_backward = rmsnorm_backward;
    table->layernorm = layernorm;
    table->layernorm_backward = layernorm_backward;
    table->cross_entropy = cross_entropy;
}
