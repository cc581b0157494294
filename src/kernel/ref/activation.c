/* activation.c - SwiGLU (Shazeer 2020), ReLU squared (So et al. 2021), the exact GELU (Hendrycks & Gimpel 2016), and
 * the cap of logits (Gemma 2, 2024). */
#include "kernel/ref/ref.h"

void loom_ref_swiglu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *gate, const real *up,
                     size_t n) {
    real *to = y;
    (void)format;
    (void)k;
    for (size_t i = 0; i < n; i++) {
        double z = (double)gate[i];
        to[i] = (real)(z * loom_ref_sigmoid(z) * (double)up[i]);
    }
}

void loom_ref_swiglu_backward(const struct loom_kernels *k, void *dgate, void *dup, void *y, enum loom_storage format,
                              const real *dy, const real *gate, const real *up, size_t n) {
    real *to_gate = dgate, *to_up = dup, *to = y;
    (void)format;
    (void)k;
    for (size_t i = 0; i < n; i++) {
        double d = (double)dy[i], z = (double)gate[i], u = (double)up[i], s = loom_ref_sigmoid(z);
        to_up[i] = (real)(d * z * s);
        to_gate[i] = (real)(d * u * s * (1 + z * (1 - s)));
        to[i] = (real)(z * s * u);
    }
}

void loom_ref_relu2(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    real *to = y;
    (void)format;
    (void)k;
    for (size_t i = 0; i < n; i++)
        to[i] = x[i] > 0 ? x[i] * x[i] : 0;
}

void loom_ref_relu2_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                             const real *x, size_t n) {
    real *to_x = dx, *to = y;
    (void)format;
    (void)k;
    for (size_t i = 0; i < n; i++) {
        real z = x[i] > 0 ? x[i] : 0;
        to_x[i] = 2 * z * dy[i];
        to[i] = z * z;
    }
}

void loom_ref_softcap(const struct loom_kernels *k, real *y, const real *x, real cap, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++)
        y[i] = (real)((double)cap * tanh((double)x[i] / (double)cap));
}

void loom_ref_softcap_backward(const struct loom_kernels *k, real *dx, const real *dy, const real *y, real cap,
                               size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++) {
        double share = (double)y[i] / (double)cap;
        dx[i] = (real)((double)dy[i] * (1 - share * share));
    }
}

/* The standard normal's distribution function. erfc keeps its digits where 1 + erf would cancel. */
static double normal_below(double x) {
    return 0.5 * erfc(-x * 0.70710678118654752440); /* 1/sqrt(2) */
}

static double normal_density(double x) {
    return 0.39894228040143267794 * exp(-0.5 * x * x); /* 1/sqrt(2 pi) */
}

void loom_ref_gelu(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    real *to = y;
    (void)format;
    (void)k;
    for (size_t i = 0; i < n; i++)
        to[i] = (real)((double)x[i] * normal_below((double)x[i]));
}

void loom_ref_gelu_backward(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                            const void *x, size_t n) {
    const real *of = x;
    real *to_x = dx, *to = y;
    (void)format;
    (void)k;
    for (size_t i = 0; i < n; i++) {
        double z = (double)of[i], below = normal_below(z);
        to_x[i] = (real)((double)dy[i] * (below + z * normal_density(z)));
        to[i] = (real)(z * below);
    }
}
