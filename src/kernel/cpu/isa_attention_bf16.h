/* isa_attention_bf16.h - one query against keys and values in bf16, which are multiplied as they lie: neighbours of a
 * key in pairs, and each channel of two neighbouring values. */
#ifndef LOOM_KERNEL_CPU_ISA_ATTENTION_BF16_H
#define LOOM_KERNEL_CPU_ISA_ATTENTION_BF16_H

#include "kernel/cpu/isa_attention.h"

#if defined(__AVX512BF16__)

#include <immintrin.h>

/* The first of 2 * LANES elements that are there. */
static inline __m512i words_there(const uint16_t *from, size_t n) {
    const __mmask32 mask = n >= 2 * LANES ? UINT32_MAX : (UINT32_C(1) << n) - 1;
    return _mm512_maskz_loadu_epi16(mask, from);
}

/* scores[j] = query . key j, for LANES keys at a time; those beyond the last are as the last. A key's sum goes through
 * memory, so that one load walks over all keys, which the processor foresees. What lies `ahead` bytes behind each key
 * is read next. */
static inline void score_words(float *scores, const uint16_t *query, const uint16_t *keys, size_t row, size_t width,
                               size_t depth, ptrdiff_t ahead) {
    for (size_t j = 0; j < width; j += LANES) {
        vec sum[LANES];
        for (size_t i = 0; i < LANES; i++) {
            const uint16_t *key = keys + least(j + i, width - 1) * row;
            __m512 total = _mm512_setzero_ps();
            for (size_t d = 0; d < depth; d += 2 * LANES) {
                __builtin_prefetch((const char *)(key + d) + ahead);
                total = _mm512_dpbf16_ps(total, (__m512bh)words_there(query + d, depth - d),
                                         (__m512bh)words_there(key + d, depth - d));
            }
            sum[i] = (vec)total;
        }
        vec_store(scores + j, vec_totals(sum));
    }
}

/* Two values as pairs of each channel: of the first half of each eight channels, and of the second. */
static inline void add_pairs(__m512 sum[2], const uint16_t *weights, __m512i first, __m512i second) {
    uint32_t pair;
    memcpy(&pair, weights, sizeof pair);
    const __m512bh both = (__m512bh)_mm512_set1_epi32((int)pair);
    sum[0] = _mm512_dpbf16_ps(sum[0], both, (__m512bh)_mm512_unpacklo_epi16(first, second));
    sum[1] = _mm512_dpbf16_ps(sum[1], both, (__m512bh)_mm512_unpackhi_epi16(first, second));
}

/* The first n of LANES totals = sum, or += . */
static inline void put_words(float *total, bool begun, vec sum, size_t n) {
    const __mmask16 mask = (__mmask16)(n >= LANES ? 0xffff : (1u << n) - 1);
    const __m512 before = begun ? _mm512_maskz_loadu_ps(mask, total) : _mm512_setzero_ps();
    _mm512_mask_storeu_ps(total, mask, _mm512_add_ps(before, (__m512)sum));
}

/* total[c] = the sum over keys of weight[j] * value[j][c], or += . There are weights for whole fours of keys, zero
 * beyond the last. Every other pair of keys apart, so that one sum need not wait for the other. */
static inline void sum_words(float *total, bool begun, const uint16_t *weight, const uint16_t *values, size_t row,
                             size_t width, size_t depth, ptrdiff_t ahead) {
    for (size_t c = 0; c < depth; c += 2 * LANES) {
        const size_t n = depth - c, last = width - 1;
        __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
        for (size_t j = 0; j < width; j += 4) {
            const uint16_t *value = values + c;
            LOOM_UNROLL
            for (size_t i = 0; i < 4; i++)
                __builtin_prefetch((const char *)(value + (j + i) * row) + ahead);
            add_pairs(sum, weight + j, words_there(value + j * row, n),
                      words_there(value + least(j + 1, last) * row, n));
            add_pairs(sum + 2, weight + j + 2, words_there(value + least(j + 2, last) * row, n),
                      words_there(value + least(j + 3, last) * row, n));
        }
        const vec low = (vec)sum[0] + (vec)sum[2], high = (vec)sum[1] + (vec)sum[3];
        put_words(total + c, begun,
                  __builtin_shufflevector(low, high, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23), n);
        if (n > LANES)
            put_words(total + c + LANES, begun,
                      __builtin_shufflevector(low, high, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31),
                      n - LANES);
    }
}

#endif
#endif
