/* isa_norm.c - RMSNorm, LayerNorm and cross-entropy: kernels that reduce each row.
 *
 * Threads share the rows; the weights' gradients, sums over rows, they share by columns. */
#include <math.h>
#include <string.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_format.h"
#include "kernel/cpu/isa_rows.h"
#include "kernel/cpu/vector_math.h"

/* The arguments of one call; each kernel uses some. */
struct norm {
    struct loom_output y;
    float *dx, *dweight, *dbias;
    const float *dy, *x, *weight, *bias;
    const float *mean, *rstd; /* (rows) */
    float *means, *rstds;     /* the same, when they are outputs */
    float *sums;              /* (chunks, cols) or (chunks, 2 cols): for the weights' gradients */
    size_t rows, cols;
    double eps;
};

static void rmsnorm_part(const void *job, struct loom_cpu_part part) {
    const struct norm *s = job;
    const size_t cols = s->cols;
    _Alignas(64) float room[ROOM];
    for (size_t r = part.first; r < part.end; r++) {
        const float *row = s->x + r * cols, *weight = s->weight;
        const float scale = (float)(1 / sqrt((double)row_dot(row, row, cols) / (double)cols + s->eps));
        for (size_t first = 0; first < cols; first += ROOM) {
            const size_t n = least(ROOM, cols - first);
            float *y = begin_output(s->y, r * cols + first, room);
#pragma omp simd
            for (size_t c = 0; c < n; c++)
                y[c] = row[first + c] * scale * (weight != NULL ? weight[first + c] : 1.0f);
            finish_output(s->y, r * cols + first, room, n);
        }
        s->rstds[r] = scale;
    }
}

static void rmsnorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *rstd, const real *x,
                    const real *weight, size_t rows, size_t cols, real eps) {
    loom_cpu_share(
        k, rows, cols, rmsnorm_part,
        &(struct norm){.y = {y, format}, .rstds = rstd, .x = x, .weight = weight, .cols = cols, .eps = (double)eps});
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

static void layernorm_part(const void *job, struct loom_cpu_part part) {
    const struct norm *s = job;
    const size_t cols = s->cols;
    const float *weight = s->weight, *bias = s->bias;
    _Alignas(64) float room[ROOM];
    for (size_t r = part.first; r < part.end; r++) {
        const float *row = s->x + r * cols, centre = row_mean(row, cols);
        const float scale = (float)(1 / sqrt((double)row_variance(row, centre, cols) + s->eps));
        for (size_t first = 0; first < cols; first += ROOM) {
            const size_t n = least(ROOM, cols - first);
            float *y = begin_output(s->y, r * cols + first, room);
#pragma omp simd
            for (size_t c = 0; c < n; c++)
                y[c] = (row[first + c] - centre) * scale * weight[first + c] + (bias != NULL ? bias[first + c] : 0.0f);
            finish_output(s->y, r * cols + first, room, n);
        }
        s->means[r] = centre;
        s->rstds[r] = scale;
    }
}

static void layernorm(const struct loom_kernels *k, void *y, enum loom_storage format, real *mean, real *rstd,
                      const real *x, const real *weight, const real *bias, size_t rows, size_t cols, real eps) {
    const struct norm job = {.y = {y, format},
                             .means = mean,
                             .rstds = rstd,
                             .x = x,
                             .weight = weight,
                             .bias = bias,
                             .cols = cols,
                             .eps = (double)eps};
    loom_cpu_share(k, rows, cols, layernorm_part, &job);
}

/* The sums over a row of g = dy weight and of g (x - mean). */
static inline void row_sums(float *sum_g, float *sum_gz, const float *dy, const float *x, const float *weight,
                            float mean, size_t cols) {
    vec lanes_g = {0}, lanes_gz = {0};
    size_t c = 0;
    for (; c + LANES <= cols; c += LANES) {
        const vec g = weight != NULL ? vec_load(dy + c) * vec_load(weight + c) : vec_load(dy + c);
        lanes_g += g;
        lanes_gz += g * (vec_load(x + c) - mean);
    }
    *sum_g = vec_total(lanes_g);
    *sum_gz = vec_total(lanes_gz);
    for (; c < cols; c++) {
        const float g = dy[c] * (weight != NULL ? weight[c] : 1.0f);
        *sum_g += g;
        *sum_gz += g * (x[c] - mean);
    }
}

/* One row of dx[c] += rstd (g[c] - [mean(g)] - z[c] mean(g z)) with g = dy weight and z = (x - mean) rstd; the middle
 * term, and a mean, when `centred`. What the row adds to dweight is added to `sums`, unless that is NULL. */
static inline void add_row_gradient(const struct norm *s, size_t r, float *sums, bool centred) {
    const float *dy = s->dy + r * s->cols, *x = s->x + r * s->cols, *weight = s->weight;
    const float mean = centred ? s->mean[r] : 0.0f, rstd = s->rstd[r];
    float *dx = s->dx + r * s->cols, sum_g, sum_gz;
    row_sums(&sum_g, &sum_gz, dy, x, weight, mean, s->cols);
    const float mean_g = centred ? sum_g / (float)s->cols : 0.0f, mean_gz = sum_gz * rstd / (float)s->cols;
#pragma omp simd
    for (size_t c = 0; c < s->cols; c++) {
        const float z = (x[c] - mean) * rstd;
        dx[c] += rstd * (dy[c] * (weight != NULL ? weight[c] : 1.0f) - mean_g - z * mean_gz);
        if (sums != NULL)
            sums[c] += dy[c] * z;
    }
}

/* Rows are summed in chunks of so many, which suit a level-2 cache and depend on the shape alone; chunks' sums for
 * dweight, then for dbias, lie in the shared scratch. */
enum { LEAST_ROWS = 32, MOST_COLUMNS = LOOM_CPU_SCRATCH / 2 };

static size_t sums_size(const struct norm *s) {
    return s->dbias != NULL ? 2 * s->cols : s->cols;
}

static size_t rows_of_chunk(const struct norm *s) {
    const size_t chunks = LOOM_CPU_SCRATCH / sums_size(s), rows = (s->rows + chunks - 1) / chunks;
    return rows > LEAST_ROWS ? rows : LEAST_ROWS;
}

static size_t chunks_of(const struct norm *s) {
    return (s->rows + rows_of_chunk(s) - 1) / rows_of_chunk(s);
}

static void add_chunk_gradient(const struct norm *s, size_t chunk) {
    const size_t rows = rows_of_chunk(s), first = chunk * rows, end = least(s->rows, first + rows);
    float *sums = s->dweight != NULL ? s->sums + chunk * sums_size(s) : NULL;
    if (sums != NULL)
        memset(sums, 0, sums_size(s) * sizeof *sums);
    for (size_t r = first; r < end; r++) {
        if (s->mean != NULL)
            add_row_gradient(s, r, sums, true);
        else
            add_row_gradient(s, r, sums, false);
        const float *dy = s->dy + r * s->cols;
#pragma omp simd
        for (size_t c = 0; c < (s->dbias != NULL ? s->cols : 0); c++)
            sums[s->cols + c] += dy[c];
    }
}

static void gradient_part(const void *job, struct loom_cpu_part part) {
    for (size_t chunk = part.first; chunk < part.end; chunk++)
        add_chunk_gradient(job, chunk);
}

/* dweight and dbias from the chunks' sums, in their order. */
static void total_part(const void *job, struct loom_cpu_part part) {
    const struct norm *s = job;
    const size_t chunks = chunks_of(s);
    for (size_t c = part.first; c < part.end; c++) {
        double total = 0;
        for (size_t chunk = 0; chunk < chunks; chunk++)
            total += (double)s->sums[chunk * sums_size(s) + c];
        *(c < s->cols ? s->dweight + c : s->dbias + c - s->cols) += (float)total;
    }
}

static void norm_backward(const struct loom_kernels *k, struct norm *job) {
    job->sums = loom_cpu_shared_scratch(k);
    loom_cpu_share(k, chunks_of(job), rows_of_chunk(job) * job->cols, gradient_part, job);
    if (job->dweight != NULL)
        loom_cpu_share(k, sums_size(job), chunks_of(job), total_part, job);
}

static void rmsnorm_backward(const struct loom_kernels *k, real *dx, real *dweight, const real *dy, const real *x,
                             const real *weight, const real *rstd, size_t rows, size_t cols) {
    if (cols > MOST_COLUMNS) {
        loom_kernels_ref()->rmsnorm_backward(k, dx, dweight, dy, x, weight, rstd, rows, cols);
        return;
    }
    norm_backward(k, &(struct norm){.dx = dx,
                                    .dweight = dweight,
                                    .dy = dy,
                                    .x = x,
                                    .weight = weight,
                                    .rstd = rstd,
                                    .rows = rows,
                                    .cols = cols});
}

static void layernorm_backward(const struct loom_kernels *k, real *dx, real *dweight, real *dbias, const real *dy,
                               const real *x, const real *weight, const real *mean, const real *rstd, size_t rows,
                               size_t cols) {
    if (cols > MOST_COLUMNS) {
        loom_kernels_ref()->layernorm_backward(k, dx, dweight, dbias, dy, x, weight, mean, rstd, rows, cols);
        return;
    }
    norm_backward(k, &(struct norm){.dx = dx,
                                    .dweight = dweight,
                                    .dbias = dbias,
                                    .dy = dy,
                                    .x = x,
                                    .weight = weight,
                                    .mean = mean,
                                    .rstd = rstd,
                                    .rows = rows,
                                    .cols = cols});
}

/* ---- loss -------------------------------------------------------------------------------------------------------- */

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

struct losses {
    float *loss, *dlogits;
    const float *logits;
    const int *targets;
    float scale;
    size_t cols;
};

static void cross_entropy_part(const void *job, struct loom_cpu_part part) {
    const struct losses *s = job;
    for (size_t r = part.first; r < part.end; r++) {
        const int target = s->targets[r];
        float *drow = s->dlogits != NULL ? s->dlogits + r * s->cols : NULL;
        if (target < 0 && drow != NULL)
            memset(drow, 0, s->cols * sizeof *drow);
        s->loss[r] = target < 0 ? 0 : row_loss(drow, s->logits + r * s->cols, (size_t)target, s->scale, s->cols);
    }
}

static void cross_entropy(const struct loom_kernels *k, real *loss, real *dlogits, const real *logits,
                          const int *targets, real scale, size_t rows, size_t cols) {
    loom_cpu_share(k, rows, cols, cross_entropy_part, &(struct losses){loss, dlogits, logits, targets, scale, cols});
}

void LOOM_ISA_NAME(loom_cpu_fill_norm)(struct loom_kernels *table) {
    table->rmsnorm = rmsnorm;
    table->rmsnorm_backward = rmsnorm_backward;
    table->layernorm = layernorm;
    table->layernorm_backward = layernorm_backward;
    table->cross_entropy = cross_entropy;
}
