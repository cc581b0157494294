/* fft.c - see fft.h. Depth first: below some length all work of a part stays in the cache. */
#include "base/fft.h"

#include <math.h>
#include <stdlib.h>

static const double pi = 3.14159265358979323846;

/* The table of length n lies at n/2 - 1, behind those of all shorter lengths. */
static const double complex *table(const struct loom_fft *fft, size_t n) {
    return fft->twiddle + n / 2 - 1;
}

_Bool loom_fft_open(struct loom_fft *fft, size_t size) {
    *fft = (struct loom_fft){size, malloc(size * sizeof *fft->twiddle)};
    if (!fft->twiddle)
        return 0;
    for (size_t n = 2, at = 0; n <= size; n *= 2)
        for (size_t k = 0; k < n / 2; k++, at++) {
            double angle = 2 * pi * (double)k / (double)n;
            fft->twiddle[at] = loom_complex(cos(angle), -sin(angle));
        }
    return 1;
}

void loom_fft_close(struct loom_fft *fft) {
    free(fft->twiddle);
    *fft = (struct loom_fft){0};
}

/* Written out: the language's own product looks for infinities. */
static inline double complex product(double complex a, double complex b) {
    return loom_complex(creal(a) * creal(b) - cimag(a) * cimag(b), creal(a) * cimag(b) + cimag(a) * creal(b));
}

static void forward(const struct loom_fft *fft, double complex *x, size_t n) {
    if (n < 2)
        return;
    const double complex *w = table(fft, n);
    for (size_t k = 0; k < n / 2; k++) {
        double complex a = x[k], b = x[k + n / 2];
        x[k] = a + b;
        x[k + n / 2] = product(a - b, w[k]);
    }
    forward(fft, x, n / 2);
    forward(fft, x + n / 2, n / 2);
}

static void inverse(const struct loom_fft *fft, double complex *x, size_t n) {
    if (n < 2)
        return;
    inverse(fft, x, n / 2);
    inverse(fft, x + n / 2, n / 2);
    const double complex *w = table(fft, n);
    for (size_t k = 0; k < n / 2; k++) {
        double complex a = x[k], b = product(x[k + n / 2], conj(w[k]));
        x[k] = a + b;
        x[k + n / 2] = a - b;
    }
}

void loom_fft_forward(const struct loom_fft *fft, double complex *x) {
    forward(fft, x, fft->size);
}

void loom_fft_inverse(const struct loom_fft *fft, double complex *x) {
    inverse(fft, x, fft->size);
}
