/* fft.h - the discrete Fourier transform, for convolving long arrays.
 *
 * Forward leaves the spectrum in bit-reversed order and inverse expects it there: what is multiplied point by point in
 * between does not care, and nothing has to be reordered. Cooley & Tukey 1965; Gentleman & Sande 1966. */
#ifndef LOOM_BASE_FFT_H
#define LOOM_BASE_FFT_H

#include <complex.h>
#include <stddef.h>
#include <string.h>

/* C11's CMPLX, which clang lacks with glibc: a complex number lies in memory as its two parts. */
static inline double complex loom_complex(double real_part, double imaginary_part) {
    const double parts[2] = {real_part, imaginary_part};
    double complex number;
    memcpy(&number, parts, sizeof number);
    return number;
}

struct loom_fft {
    size_t size;             /* n, a power of two, at least 1 */
    double complex *twiddle; /* (n): for each length 2, 4, ... n its half table, one behind the other */
};

/* False when memory is short. */
_Bool loom_fft_open(struct loom_fft *fft, size_t size);
void loom_fft_close(struct loom_fft *fft);

/* X[k] = sum over j of x[j] exp(-2 pi i j k / n), in place. */
void loom_fft_forward(const struct loom_fft *fft, double complex *x /* (n) */);
/* Its inverse times n. */
void loom_fft_inverse(const struct loom_fft *fft, double complex *x /* (n) */);

#endif
