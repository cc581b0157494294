/* isa_format.h - arrays in another format than float: bf16, where this instruction set has it; see kernel.h. */
#ifndef LOOM_KERNEL_CPU_ISA_FORMAT_H
#define LOOM_KERNEL_CPU_ISA_FORMAT_H

#include <string.h>

#include "kernel/cpu/isa.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

/* An array that a kernel writes; NULL: none. */
struct loom_output {
    void *data;
    enum loom_storage format;
};

/* A kernel makes so many elements at a time, where they are to be rounded. */
enum { ROOM = 512 };

/* Rounds n elements, to the nearest, to even between two. */
static inline void round_to_bf16(uint16_t *to, const float *from, size_t n) {
#if defined(__AVX512BF16__)
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const __m512 low = _mm512_loadu_ps(from + i), high = _mm512_loadu_ps(from + i + LANES);
        _mm512_storeu_si512(to + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    for (; i < n; i += LANES) {
        const __mmask16 mask = (__mmask16)(n - i >= LANES ? 0xffff : (1u << (n - i)) - 1);
        const __m512 rest = _mm512_maskz_loadu_ps(mask, from + i);
        _mm256_mask_storeu_epi16(to + i, mask, (__m256i)_mm512_cvtneps_pbh(rest));
    }
#else
    (void)to;
    (void)from;
    (void)n; /* no array has this format here */
#endif
}

/* n elements as floats. */
static inline void widen_bf16(float *to, const uint16_t *from, size_t n) {
    size_t i = 0;
#if defined(__AVX512BF16__)
    for (; i + LANES <= n; i += LANES) {
        const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(from + i)));
        _mm512_storeu_si512(to + i, _mm512_slli_epi32(low, 16));
    }
#endif
    for (; i < n; i++) {
        const uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(to + i, &bits, sizeof bits);
    }
}

/* Where elements first .. first+n-1 are made: in their place, or in `room`, which has ROOM elements, and from there
 * `finish_output` takes them to their place. */
static inline float *begin_output(struct loom_output y, size_t first, float *room) {
    return y.format == LOOM_STORAGE_REAL && y.data != NULL ? (float *)y.data + first : room;
}

static inline void finish_output(struct loom_output y, size_t first, const float *room, size_t n) {
    if (y.format == LOOM_STORAGE_BF16)
        round_to_bf16((uint16_t *)y.data + first, room, n);
}

/* Elements first .. first+n-1 as floats: in their place, or widened into `room`. */
static inline const float *read_input(const void *x, enum loom_storage format, size_t first, float *room, size_t n) {
    if (format == LOOM_STORAGE_REAL)
        return (const float *)x + first;
    widen_bf16(room, (const uint16_t *)x + first, n);
    return room;
}

#endif
