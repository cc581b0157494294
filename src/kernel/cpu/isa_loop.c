/* isa_loop.c - the injection between loops, out = A h + b e + y per channel (Parcae, arXiv 2604.12946). */
#include <math.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/vector_math.h"

/* A block is ROWS rows of COLUMNS columns: enough rows to make the two exponentials of a channel cheap. */
enum { ROWS = 32, COLUMNS = 128 };

/* The rate u = exp(clamp(log_dt + log_a)) and the factor A = exp(-u) of one channel; dA/d(log_a) = dA/d(log_dt) is
 * -u A inside the clamp. */
struct decay {
    double factor, slope;
};

static struct decay decay_of(float log_a, float log_dt) {
    const double limit = 20, sum = (double)log_dt + (double)log_a;
    const double rate = exp(fmin(fmax(sum, -limit), limit)), factor = exp(-rate);
    return (struct decay){factor, fabs(sum) > limit ? 0 : -rate * factor};
}

/* The factors alone; beyond 20 the clamp makes no difference that a float holds. */
static void factors_of(float *factor, const float *log_a, float log_dt, size_t n) {
#pragma omp simd
    for (size_t c = 0; c < n; c++) {
        const float sum = log_dt + log_a[c], low = sum < -20.0f ? -20.0f : sum;
        factor[c] = vector_exp(-vector_exp(low > 20.0f ? 20.0f : low));
    }
}

struct forward {
    float *out;
    const float *h, *e, *y, *log_a, *log_dt, *b;
    size_t rows, cols;
};

/* Rows row .. row+ROWS-1 of the columns that start at `first`. */
static void forward_block(const struct forward *s, size_t row, size_t first) {
    const size_t width = least(COLUMNS, s->cols - first);
    const float *b = s->b + first;
    float factor[COLUMNS];
    factors_of(factor, s->log_a + first, s->log_dt[0], width);
    for (size_t r = row; r < least(row + ROWS, s->rows); r++) {
        const size_t at = r * s->cols + first;
        float *out = s->out + at;
        const float *h = s->h + at, *e = s->e + at, *y = s->y != NULL ? s->y + at : NULL;
#pragma omp simd
        for (size_t c = 0; c < width; c++)
            out[c] = factor[c] * h[c] + b[c] * e[c] + (y != NULL ? y[c] : 0.0f);
    }
}

static void lti_part(const void *job, struct loom_cpu_part part) {
    const struct forward *s = job;
    for (size_t band = part.first; band < part.end; band++)
        for (size_t first = 0; first < s->cols; first += COLUMNS)
            forward_block(s, band * ROWS, first);
}

static void lti(const struct loom_kernels *k, real *out, const real *h, const real *e, const real *y, const real *log_a,
                const real *log_dt, const real *b, size_t rows, size_t cols) {
    loom_cpu_share(k, (rows + ROWS - 1) / ROWS, ROWS * cols, lti_part,
                   &(struct forward){out, h, e, y, log_a, log_dt, b, rows, cols});
}

/* What one call of the backward reads and adds to. */
struct backward {
    float *dh, *de, *dlog_a, *db;
    const float *dout, *h, *e, *log_a, *log_dt, *b;
    size_t rows, cols, length;
    double *dlog_dt; /* the part of each piece of `length` columns */
};

/* A block is too narrow for the processor to guess its next row: so many rows ahead are asked for. */
enum { AHEAD = 8 };

static void fetch_row(const struct backward *s, size_t at, size_t width) {
    for (size_t c = 0; c < width; c += LINE) {
        __builtin_prefetch(s->dout + at + c);
        __builtin_prefetch(s->h + at + c);
        __builtin_prefetch(s->e + at + c);
        __builtin_prefetch(s->de + at + c, 1);
        __builtin_prefetch(s->dh + at + c, 1);
    }
}

/* One block of columns, all rows; returns its part of dlog_dt. */
static double backward_columns(const struct backward *s, size_t first, size_t width) {
    double sum_a[COLUMNS] = {0}, sum_b[COLUMNS] = {0}, sum_dt = 0;
    float factor[COLUMNS];
    factors_of(factor, s->log_a + first, s->log_dt[0], width);
    for (size_t r = 0; r < s->rows; r++) {
        const size_t at = r * s->cols + first;
        if (r + AHEAD < s->rows)
            fetch_row(s, at + AHEAD * s->cols, width);
#pragma omp simd
        for (size_t c = 0; c < width; c++) {
            const float d = s->dout[at + c];
            sum_a[c] += (double)(d * s->h[at + c]);
            sum_b[c] += (double)(d * s->e[at + c]);
            s->dh[at + c] = factor[c] * d;
            s->de[at + c] += s->b[first + c] * d;
        }
    }
    for (size_t c = 0; c < width && s->dlog_a != NULL; c++) {
        const double slope = sum_a[c] * decay_of(s->log_a[first + c], s->log_dt[0]).slope;
        s->dlog_a[first + c] += (float)slope;
        s->db[first + c] += (float)sum_b[c];
        sum_dt += slope;
    }
    return sum_dt;
}

static void lti_backward_part(const void *job, struct loom_cpu_part part) {
    const struct backward *s = job;
    for (size_t piece = part.first; piece < part.end; piece++) {
        const size_t end = least(s->cols, (piece + 1) * s->length);
        for (size_t first = piece * s->length; first < end; first += COLUMNS)
            s->dlog_dt[piece] += backward_columns(s, first, least(COLUMNS, end - first));
    }
}

/* Threads share the columns, in at most PIECES pieces whose parts of dlog_dt are added in order. */
static void lti_backward(const struct loom_kernels *k, real *dh, real *de, real *dlog_a, real *dlog_dt, real *db,
                         const real *dout, const real *h, const real *e, const real *log_a, const real *log_dt,
                         const real *b, size_t rows, size_t cols) {
    enum { PIECES = 64 };
    double part[PIECES] = {0}, total = 0;
    const size_t length = cols > 0 ? ((cols + PIECES - 1) / PIECES + LANES - 1) / LANES * LANES : 1;
    const struct backward s = {dh, de, dlog_a, db, dout, h, e, log_a, log_dt, b, rows, cols, length, part};
    const size_t pieces = (cols + length - 1) / length;
    loom_cpu_share(k, pieces, rows * length, lti_backward_part, &s);
    for (size_t piece = 0; piece < pieces; piece++)
        total += part[piece];
    if (dlog_dt != NULL)
        dlog_dt[0] += (float)total;
}

void LOOM_ISA_NAME(loom_cpu_fill_loop)(struct loom_kernels *table) {
    table->lti = lti;
    table->lti_backward = lti_backward;
}
