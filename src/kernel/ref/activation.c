/* activation.c - SwiGLU (Shazeer 2020) and the exact GELU (Hendrycks & Gimpel 2016). */
#include "kernel/ref/ref.h"

void loom_ref_swiglu(const struct loom_kernels *k, real *y, const real *gate, const real *up, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++) {
        double z = (double)gate[i];
        y[i] = (real)(z * loom_ref_sigmoid(z) * (double)up[i]);
    }
}

void loom_ref_swiglu_backward(const struct loom_kernels *k, real *dgate, real *dup, const real *dy, const real *gate,
                              const real *up, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++) {
        double d = (double)dy[i], z = (double)gate[i], s = loom_ref_sigmoid(z);
        dup[i] = (real)(d * z * s);
        dgate[i] = (real)(d * (double)up[i] * s * (1 + z * (1 - s)));
    }
}

/* The standard normal's distribution function. erfc keeps its digits where 1 + erf would cancel. */
static double normal_below(double x) {
    return 0.5 * erfc(-x * 0.70710678118654752440); /* 1/sqrt(2) */
}

static double normal_density(double x) {
    return 0.39894228040143267794 * exp(-0.5 * x * x); /* 1/sqrt(2 pi) */
}

void loom_ref_gelu(const struct loom_kernels *k, real *y, const real *x, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++)
        y[i] = (real)((double)x[i] * normal_below((double)x[i]));
}

void loom_ref_gelu_backward(const struct loom_kernels *k, real *dx, const real *dy, const real *x, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++) {
        double z = (double)x[i];
        dx[i] = (real)((double)dy[i] * (normal_below(z) + z * normal_density(z)));
    }
}
