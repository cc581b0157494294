/* vector_math.h - exp and the normal distribution without branches or calls, so that a loop over them becomes vectors.
 *
 * Both keep a relative error of about 1e-7. The coefficients are Chebyshev fits made for these two functions with 40
 * digits and then rounded. */
#ifndef LOOM_KERNEL_CPU_VECTOR_MATH_H
#define LOOM_KERNEL_CPU_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* exp(x); 0 below -87.3, where floats lose their digits, and about 2e38 above 88.3. NaN stays NaN. */
static inline float vector_exp(float x) {
    const float low = -87.3f, high = 88.3f;
    /* Added to a float, this leaves the nearest integer in the lowest bits. */
    const float rounder = 0x1.8p23f;
    const float log2_e = 1.44269504f, ln_2 = 0.693145752f, ln_2_rest = 1.42860677e-6f;
    float z = x < low ? low : x;
    z = z > high ? high : z;
    /* x = n ln 2 + r with |r| <= ln(2)/2; then exp(x) = 2^n exp(r). */
    const float rounded = z * log2_e + rounder, n = rounded - rounder;
    const float r = (z - n * ln_2) - n * ln_2_rest;
    float q = 0.00139269266f;
    q = q * r + 0.00836377387f;
    q = q * r + 0.0416665501f;
    q = q * r + 0.166665734f;
    q = q * r + 0.5f;
    const float exp_r = (q * r) * r + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    bits = (bits + 127u) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < low ? 0.0f : exp_r * power;
}

static inline float vector_sigmoid(float x) {
    return 1.0f / (1.0f + vector_exp(-x));
}

/* Phi(x), the standard normal's distribution function; *bell becomes exp(-x^2/2), which the density is a multiple of.
 * Phi(-a) exp(a^2/2) is smooth in t = 1/(1 + 0.35 a) over all a >= 0. */
static inline float vector_normal(float x, float *bell) {
    const float a = x < 0 ? -x : x, t = 1.0f / (1.0f + 0.35f * a);
    float p = -0.02960979549f;
    p = p * t + 0.1462242065f;
    p = p * t + -0.2603379054f;
    p = p * t + 0.1643917355f;
    p = p * t + -0.02663309792f;
    p = p * t + 0.1069582404f;
    p = p * t + 0.1194794327f;
    p = p * t + 0.139908265f;
    p = p * t + 0.139618902f;
    *bell = vector_exp(-0.5f * x * x);
    const float tail = p * t * *bell;
    return x > 0 ? 1.0f - tail : tail;
}

#endif
