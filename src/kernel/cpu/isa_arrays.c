/* isa_arrays.c - plain arrays, activations and the optimizer: each element by itself, and sums over all.
 *
 * Threads share the elements. Elementwise kernels read an element before they write it, so an output may be one of its
 * inputs, if it is as large. */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_format.h"
#include "kernel/cpu/isa_random.h"
#include "kernel/cpu/vector_math.h"

/* The arguments of one call; each kernel uses some. */
struct arrays {
    float *y;
    const float *a, *b;
    float s, t;
    uint64_t seed;
};

static void fill_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    float *y = s->y;
    const float value = s->s;
#pragma omp simd
    for (size_t i = part.first; i < part.end; i++)
        y[i] = value;
}

static void fill(const struct loom_kernels *k, real *y, real value, size_t n) {
    loom_cpu_share(k, n, 1, fill_part, &(struct arrays){.y = y, .s = value});
}

static void copy_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    memcpy(s->y + part.first, s->a + part.first, (part.end - part.first) * sizeof *s->y);
}

static void copy(const struct loom_kernels *k, real *y, const real *x, size_t n) {
    loom_cpu_share(k, n, 1, copy_part, &(struct arrays){.y = y, .a = x});
}

struct conversion {
    struct loom_output y;
    const float *x;
};

static void convert_part(const void *job, struct loom_cpu_part part) {
    const struct conversion *s = job;
    if (s->y.format == LOOM_STORAGE_REAL)
        memcpy((float *)s->y.data + part.first, s->x + part.first, (part.end - part.first) * sizeof *s->x);
    finish_output(s->y, part.first, s->x + part.first, part.end - part.first);
}

static void convert(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    loom_cpu_share(k, n, 1, convert_part, &(struct conversion){{y, format}, x});
}

static void add_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    float *y = s->y;
    const float *a = s->a, *b = s->b;
#pragma omp simd
    for (size_t i = part.first; i < part.end; i++)
        y[i] = a[i] + b[i];
}

static void add(const struct loom_kernels *k, real *y, const real *a, const real *b, size_t n) {
    loom_cpu_share(k, n, 1, add_part, &(struct arrays){.y = y, .a = a, .b = b});
}

static void add_scaled_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    float *y = s->y;
    const float *x = s->a, scale = s->s;
#pragma omp simd
    for (size_t i = part.first; i < part.end; i++)
        y[i] += scale * x[i];
}

static void add_scaled(const struct loom_kernels *k, real *y, real s, const real *x, size_t n) {
    loom_cpu_share(k, n, 1, add_scaled_part, &(struct arrays){.y = y, .a = x, .s = s});
}

static void blend_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    float *y = s->y;
    const float *x = s->a, *z = s->b, a = s->s, b = s->t;
#pragma omp simd
    for (size_t i = part.first; i < part.end; i++)
        y[i] = a * x[i] + b * z[i];
}

static void blend(const struct loom_kernels *k, real *y, real a, const real *x, real b, const real *z, size_t n) {
    loom_cpu_share(k, n, 1, blend_part, &(struct arrays){.y = y, .a = x, .b = z, .s = a, .t = b});
}

static void dropout_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    float *y = s->y, factor[CHUNK];
    const float *x = s->a;
    for (size_t first = part.first; first < part.end; first += CHUNK) {
        const size_t end = chunk_end(first, part.end);
        dropout_factors(factor, s->s, s->seed, first, end - first);
#pragma omp simd
        for (size_t i = first; i < end; i++)
            y[i] = factor[i - first] > 0 ? factor[i - first] * x[i] : 0.0f;
    }
}

static void dropout(const struct loom_kernels *k, real *y, const real *x, real rate, uint64_t seed, size_t n) {
    loom_cpu_share(k, n, 1, dropout_part, &(struct arrays){.y = y, .a = x, .s = rate, .seed = seed});
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

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

/* One call: an array in pieces of `length` elements, and each piece's sum. */
struct pieces {
    double *part;
    const float *x;
    size_t n, length;
    double (*chunk)(const float *x, size_t n);
};

static void sum_part(const void *job, struct loom_cpu_part part) {
    const struct pieces *s = job;
    for (size_t piece = part.first; piece < part.end; piece++) {
        const size_t end = least(s->n, (piece + 1) * s->length);
        for (size_t first = piece * s->length; first < end; first += CHUNK)
            s->part[piece] += s->chunk(s->x + first, chunk_end(first, end) - first);
    }
}

/* At most PIECES pieces, whose sums are added in order. */
static double sum_pieces(const struct loom_kernels *k, const float *x, size_t n,
                         double (*chunk)(const float *x, size_t n)) {
    enum { PIECES = 256 };
    double part[PIECES] = {0}, total = 0;
    const size_t chunks = (n + CHUNK - 1) / CHUNK, length = (chunks + PIECES - 1) / PIECES * CHUNK;
    const size_t pieces = n > 0 ? (n + length - 1) / length : 0;
    loom_cpu_share(k, pieces, length, sum_part, &(struct pieces){part, x, n, length, chunk});
    for (size_t piece = 0; piece < pieces; piece++)
        total += part[piece];
    return total;
}

static double sum(const struct loom_kernels *k, const real *x, size_t n) {
    return sum_pieces(k, x, n, sum_chunk);
}

static double sum_squares(const struct loom_kernels *k, const real *x, size_t n) {
    return sum_pieces(k, x, n, square_chunk);
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

/* Where the elements of one part are read and made; each activation and its backward uses some. */
struct activated {
    float *y, *dgate, *dup;
    const float *dy, *gate, *up; /* without a gate, up is the input */
};

/* A call: outputs in their format, a gradient in floats, and what the activation reads in a format of its own. */
struct activation {
    struct loom_output y, dgate, dup;
    const float *dy;
    const void *gate, *up;
    enum loom_storage format; /* of gate and up */
    void (*make)(const struct activated *s, size_t n);
};

static void activation_part(const void *job, struct loom_cpu_part part) {
    const struct activation *s = job;
    _Alignas(64) float room[5][ROOM];
    for (size_t first = part.first; first < part.end; first += ROOM) {
        const size_t n = least(ROOM, part.end - first);
        const struct activated elements = {
            begin_output(s->y, first, room[0]),
            begin_output(s->dgate, first, room[1]),
            begin_output(s->dup, first, room[2]),
            s->dy != NULL ? s->dy + first : NULL,
            s->gate != NULL ? read_input(s->gate, s->format, first, room[3], n) : NULL,
            read_input(s->up, s->format, first, room[4], n),
        };
        s->make(&elements, n);
        finish_output(s->y, first, room[0], n);
        finish_output(s->dgate, first, room[1], n);
        finish_output(s->dup, first, room[2], n);
    }
}

static void activate(const struct loom_kernels *k, const struct activation *job, size_t n) {
    loom_cpu_share(k, n, 1, activation_part, job);
}

static void make_swiglu(const struct activated *s, size_t n) {
    float *y = s->y;
    const float *gate = s->gate, *up = s->up;
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] * vector_sigmoid(gate[i]) * up[i];
}

static void swiglu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *gate, const real *up,
                   size_t n) {
    activate(k, &(struct activation){.y = {y, format}, .gate = gate, .up = up, .make = make_swiglu}, n);
}

static void make_swiglu_backward(const struct activated *s, size_t n) {
    float *dgate = s->dgate, *dup = s->dup, *y = s->y;
    const float *dy = s->dy, *gate = s->gate, *up = s->up;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const float d = dy[i], z = gate[i], u = up[i], sigmoid = vector_sigmoid(z);
        const float dz = d * u * sigmoid * (1.0f + z * (1.0f - sigmoid)), silu = z * sigmoid;
        dup[i] = d * silu;
        dgate[i] = dz;
        y[i] = silu * u;
    }
}

static void swiglu_backward(const struct loom_kernels *k, void *dgate, void *dup, void *y, enum loom_storage format,
                            const real *dy, const real *gate, const real *up, size_t n) {
    activate(k,
             &(struct activation){.y = {y, format},
                                  .dgate = {dgate, format},
                                  .dup = {dup, format},
                                  .dy = dy,
                                  .gate = gate,
                                  .up = up,
                                  .make = make_swiglu_backward},
             n);
}

static void make_relu2(const struct activated *s, size_t n) {
    float *y = s->y;
    const float *x = s->up;
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] * x[i] : 0.0f;
}

static void relu2(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    activate(k, &(struct activation){.y = {y, format}, .up = x, .make = make_relu2}, n);
}

static void make_relu2_backward(const struct activated *s, size_t n) {
    float *dx = s->dup, *y = s->y;
    const float *dy = s->dy, *x = s->up;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        const float z = x[i] > 0 ? x[i] : 0.0f;
        dx[i] = 2.0f * z * dy[i];
        y[i] = z * z;
    }
}

static void relu2_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                           const real *x, size_t n) {
    const struct activation job = {
        .y = {y, format}, .dup = {dx, format}, .dy = dy, .up = x, .make = make_relu2_backward};
    activate(k, &job, n);
}

static void make_gelu(const struct activated *s, size_t n) {
    float *y = s->y;
    const float *x = s->up;
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float bell;
        y[i] = x[i] * vector_normal(x[i], &bell);
    }
}

static void gelu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    activate(k, &(struct activation){.y = {y, format}, .up = x, .make = make_gelu}, n);
}

static void make_gelu_backward(const struct activated *s, size_t n) {
    float *dx = s->dup, *y = s->y;
    const float *dy = s->dy, *x = s->up, density = 0.3989422804f; /* 1/sqrt(2 pi) */
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float bell;
        const float z = x[i], below = vector_normal(z, &bell);
        dx[i] = dy[i] * (below + z * density * bell);
        y[i] = z * below;
    }
}

static void gelu_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                          const void *x, size_t n) {
    const struct activation job = {
        .y = {y, format}, .dup = {dx, format}, .dy = dy, .up = x, .format = format, .make = make_gelu_backward};
    activate(k, &job, n);
}

/* tanh(z) = 1 - 2/(exp(2z) + 1). */
static void softcap_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    float *y = s->y;
    const float *x = s->a, cap = s->s, twice = 2.0f / s->s;
#pragma omp simd
    for (size_t i = part.first; i < part.end; i++)
        y[i] = cap - 2.0f * cap / (vector_exp(twice * x[i]) + 1.0f);
}

static void softcap(const struct loom_kernels *k, real *y, const real *x, real cap, size_t n) {
    loom_cpu_share(k, n, 1, softcap_part, &(struct arrays){.y = y, .a = x, .s = cap});
}

static void softcap_backward_part(const void *job, struct loom_cpu_part part) {
    const struct arrays *s = job;
    float *dx = s->y;
    const float *dy = s->a, *y = s->b, rate = 1.0f / s->s;
#pragma omp simd
    for (size_t i = part.first; i < part.end; i++)
        dx[i] = dy[i] * (1.0f - y[i] * rate * (y[i] * rate));
}

static void softcap_backward(const struct loom_kernels *k, real *dx, const real *dy, const real *y, real cap,
                             size_t n) {
    loom_cpu_share(k, n, 1, softcap_backward_part, &(struct arrays){.y = dx, .a = dy, .b = y, .s = cap});
}

/* ---- optimizer --------------------------------------------------------------------------------------------------- */

struct update {
    const struct loom_adamw *o;
    float *p, *m, *v;
    const float *g;
};

/* The decay is subtracted and not multiplied by 1 - lr*wd, of which a float would keep only a few digits. */
static void adamw_part(const void *job, struct loom_cpu_part part) {
    const struct update *s = job;
    const struct loom_adamw *o = s->o;
    const float beta1 = (float)o->beta1, beta2 = (float)o->beta2, rest1 = (float)(1 - o->beta1);
    const float rest2 = (float)(1 - o->beta2), epsilon = (float)o->epsilon, scale = (float)o->gradient_scale;
    const float decay = (float)(o->learning_rate * o->weight_decay);
    const float step = (float)(o->learning_rate / o->correction1);
    const float root = (float)(1 / sqrt(o->correction2));
    float *p = s->p, *m = s->m, *v = s->v;
    const float *g = s->g;
#pragma omp simd
    for (size_t i = part.first; i < part.end; i++) {
        const float gradient = g[i] * scale;
        const float mean = beta1 * m[i] + rest1 * gradient;
        const float square = beta2 * v[i] + rest2 * gradient * gradient;
        m[i] = mean;
        v[i] = square;
        p[i] -= decay * p[i] + step * mean / (sqrtf(square) * root + epsilon);
    }
}

static void adamw(const struct loom_kernels *k, const struct loom_adamw *o, real *p, real *m, real *v, const real *g,
                  size_t n) {
    loom_cpu_share(k, n, 1, adamw_part, &(struct update){o, p, m, v, g});
}

struct directions {
    const struct loom_muon *o;
    float *w, *v;
    const float *u;
};

/* The factor of a row whose running mean square is v. */
static float row_factor(const struct loom_muon *o, float v) {
    return o->beta2 > 0 ? (float)(1 / (sqrt((double)v / o->correction2) + 1e-10)) : 1.0f;
}

/* Moves the rows' mean squares on; returns what brings the rows, each times its factor, back to the block's length. */
static float observe_rows(const struct loom_muon *o, float *v, const float *u) {
    double before = 0, after = 0;
    for (size_t r = 0; r < o->rows; r++) {
        const double square = square_chunk(u + r * o->cols, o->cols);
        v[r] = (float)(o->beta2 * (double)v[r] + (1 - o->beta2) * square / (double)o->cols);
        const double factor = (double)row_factor(o, v[r]);
        before += square;
        after += square * factor * factor;
    }
    return after > 0 ? (float)sqrt(before / after) : 1.0f;
}

static void move_row(const struct loom_muon *o, float *w, const float *u, float factor) {
    const float step = (float)o->learning_rate * factor, decay = (float)(o->learning_rate * o->weight_decay);
    const float slack = o->cautious ? 0.0f : INFINITY; /* decay where w u > -slack */
#pragma omp simd
    for (size_t c = 0; c < o->cols; c++)
        w[c] -= step * u[c] + (w[c] * u[c] > -slack ? decay * w[c] : 0.0f);
}

static void muon_part(const void *job, struct loom_cpu_part part) {
    const struct directions *s = job;
    const struct loom_muon *o = s->o;
    for (size_t block = part.first; block < part.end; block++) {
        const size_t first = block * o->rows;
        const float size = observe_rows(o, s->v + first, s->u + first * o->cols);
        for (size_t r = first; r < first + o->rows; r++)
            move_row(o, s->w + r * o->cols, s->u + r * o->cols, size * row_factor(o, s->v[r]));
    }
}

static void muon(const struct loom_kernels *k, const struct loom_muon *o, real *w, real *v, const real *u) {
    loom_cpu_share(k, o->blocks, 2 * o->rows * o->cols, muon_part, &(struct directions){o, w, v, u});
}

void LOOM_ISA_NAME(loom_cpu_fill_arrays)(struct loom_kernels *table) {
    table->fill = fill;
    table->copy = copy;
    table->convert = convert;
    table->add = add;
    table->add_scaled = add_scaled;
    table->dropout = dropout;
    table->blend = blend;
    table->sum = sum;
    table->sum_squares = sum_squares;
    table->swiglu = swiglu;
    table->swiglu_backward = swiglu_backward;
    table->relu2 = relu2;
    table->relu2_backward = relu2_backward;
    table->softcap = softcap;
    table->softcap_backward = softcap_backward;
    table->gelu = gelu;
    table->gelu_backward = gelu_backward;
    table->adamw = adamw;
    table->muon = muon;
}
