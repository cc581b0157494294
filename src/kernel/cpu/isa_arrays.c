/* isa_arrays.c - plain arrays, activations and the optimizer: each element by itself, and sums over all.
 *
 * Chunks of fixed length are dealt to the threads. Elementwise kernels read an element before they write it, so an
 * output may be one of its inputs. */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_random.h"
#include "kernel/cpu/vector_math.h"

static void fill(const struct loom_kernels *k, real *y, real value, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++)
            y[i] = value;
    }
}

static void copy(const struct loom_kernels *k, real *y, const real *x, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK)
        memcpy(y + first, x + first, (chunk_end(first, n) - first) * sizeof *y);
}

static void add(const struct loom_kernels *k, real *y, const real *a, const real *b, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++)
            y[i] = a[i] + b[i];
    }
}

static void add_scaled(const struct loom_kernels *k, real *y, real s, const real *x, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++)
            y[i] += s * x[i];
    }
}

static void dropout(const struct loom_kernels *k, real *y, const real *x, real rate, uint64_t seed, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
        float factor[CHUNK];
        const size_t end = chunk_end(first, n);
        dropout_factors(factor, rate, seed, first, end - first);
#pragma omp simd
        for (size_t i = first; i < end; i++)
            y[i] = factor[i - first] > 0 ? factor[i - first] * x[i] : 0.0f;
    }
}

/* ---- sums ----------------------------------------------------------------------------------------------------------
 */

static double sum_chunk(const float *x, size_t n) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

static double square_chunk(const float *x, size_t n) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

/* A fixed number of pieces, whose sums are added in order. */
static double sum_pieces(const struct loom_kernels *k, const float *x, size_t n,
                         double (*chunk)(const float *x, size_t n)) {
    enum { PIECES = 256 };
    double part[PIECES] = {0}, total = 0;
    const size_t chunks = (n + CHUNK - 1) / CHUNK, length = (chunks + PIECES - 1) / PIECES * CHUNK;
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t piece = 0; piece < PIECES; piece++) {
        const size_t start = piece * length, end = n < start + length ? n : start + length;
        for (size_t first = start; first < end; first += CHUNK)
            part[piece] += chunk(x + first, chunk_end(first, end) - first);
    }
    for (size_t piece = 0; piece < PIECES; piece++)
        total += part[piece];
    return total;
}

static double sum(const struct loom_kernels *k, const real *x, size_t n) {
    return sum_pieces(k, x, n, sum_chunk);
}

static double sum_squares(const struct loom_kernels *k, const real *x, size_t n) {
    return sum_pieces(k, x, n, square_chunk);
}

/* ---- activations ---------------------------------------------------------------------------------------------------
 */

static void swiglu(const struct loom_kernels *k, real *y, const real *gate, const real *up, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++)
            y[i] = gate[i] * vector_sigmoid(gate[i]) * up[i];
    }
}

static void swiglu_backward(const struct loom_kernels *k, real *dgate, real *dup, const real *dy, const real *gate,
                            const real *up, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++) {
            const float d = dy[i], z = gate[i], s = vector_sigmoid(z);
            const float dz = d * up[i] * s * (1.0f + z * (1.0f - s));
            dup[i] = d * z * s;
            dgate[i] = dz;
        }
    }
}

static void gelu(const struct loom_kernels *k, real *y, const real *x, size_t n) {
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++) {
            float bell;
            y[i] = x[i] * vector_normal(x[i], &bell);
        }
    }
}

static void gelu_backward(const struct loom_kernels *k, real *dx, const real *dy, const real *x, size_t n) {
    const float density = 0.3989422804f; /* 1/sqrt(2 pi) */
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++) {
            float bell;
            const float below = vector_normal(x[i], &bell);
            dx[i] = dy[i] * (below + x[i] * density * bell);
        }
    }
}

/* ---- optimizer -----------------------------------------------------------------------------------------------------
 */

/* The decay is subtracted and not multiplied by 1 - lr*wd, of which a float would keep only a few digits. */
static void adamw(const struct loom_kernels *k, const struct loom_adamw *o, real *p, real *m, real *v, const real *g,
                  size_t n) {
    const float beta1 = (float)o->beta1, beta2 = (float)o->beta2, rest1 = (float)(1 - o->beta1);
    const float rest2 = (float)(1 - o->beta2), epsilon = (float)o->epsilon, scale = (float)o->gradient_scale;
    const float decay = (float)(o->learning_rate * o->weight_decay);
    const float step = (float)(o->learning_rate / o->correction1);
    const float root = (float)(1 / sqrt(o->correction2));
#pragma omp parallel for num_threads(loom_cpu_threads(k, n)) schedule(static)
    for (size_t first = 0; first < n; first += CHUNK) {
#pragma omp simd
        for (size_t i = first; i < chunk_end(first, n); i++) {
            const float gradient = g[i] * scale;
            const float mean = beta1 * m[i] + rest1 * gradient;
            const float square = beta2 * v[i] + rest2 * gradient * gradient;
            m[i] = mean;
            v[i] = square;
            p[i] -= decay * p[i] + step * mean / (sqrtf(square) * root + epsilon);
        }
    }
}

void LOOM_ISA_NAME(loom_cpu_fill_arrays)(struct loom_kernels *table) {
    table->fill = fill;
    table->copy = copy;
    table->add = add;
    table->add_scaled = add_scaled;
    table->dropout = dropout;
    table->sum = sum;
    table->sum_squares = sum_squares;
    table->swiglu = swiglu;
    table->swiglu_backward = swiglu_backward;
    table->gelu = gelu;
    table->gelu_backward = gelu_backward;
    table->adamw = adamw;
}
