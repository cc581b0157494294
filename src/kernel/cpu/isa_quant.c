/* isa_quant.c - y = x W^T with weights of 8 or 4 bits, for inference.
 *
 * A weight's row is cut into groups of GROUP neighbours that share a scale. A product rounds each group of x to 8 bits
 * in the same way, sums a group in whole numbers, and adds the sums, times both scales, in float32. Weights lie as the
 * instruction reads them: a panel is PANEL_ROWS outputs; for each group, for each four neighbours (eight in 4 bits),
 * the outputs side by side. They are stored without a sign, with ZERO added, which each sum starts by taking off again.
 */
#include "kernel/cpu/isa_quant.h"

#if defined(__AVX512VNNI__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernel/cpu/cpu.h"

enum { GROUP = LOOM_CPU_GROUP, PANEL_ROWS = 16, TILE = 8 };

/* The largest whole number of a format, and what is added to store it without a sign. */
static int largest(bool four) {
    return four ? 7 : 127;
}

static int zero(bool four) {
    return four ? 8 : 128;
}

static size_t group_bytes(bool four) {
    return (size_t)PANEL_ROWS * GROUP / (four ? 2 : 1);
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* The scale at which the largest of a group becomes `most`; 0 for a group of zeros. */
static float scale_of(const float *x, int most) {
    float size = 0;
    for (size_t i = 0; i < GROUP; i++)
        size = fmaxf(size, fabsf(x[i]));
    return size / (float)most;
}

static int round_to(float x, float scale) {
    return scale > 0 ? (int)lrintf(x / scale) : 0;
}

/* Where the k-th weight of a group goes for output `row`, in bytes; in 4 bits, four neighbours share the low halves of
 * their bytes with the four behind them in the high ones. */
static size_t place_of(size_t k, size_t row, bool four) {
    const size_t span = four ? 8 : 4;
    return k / span * (PANEL_ROWS * 4) + row * 4 + k % 4;
}

static void quantize_group(uint8_t *to, float *scale, const float *w, size_t row, bool four) {
    *scale = scale_of(w, largest(four));
    for (size_t k = 0; k < GROUP; k++) {
        const unsigned q = (unsigned)(round_to(w[k], *scale) + zero(four));
        uint8_t *place = to + place_of(k, row, four);
        *place = (uint8_t)(four && k % 8 >= 4 ? *place | q << 4 : q);
    }
}

/* One panel of w (PANEL_ROWS, depth). */
static void quantize_panel(uint8_t *to, float *scales, const float *w, size_t depth, bool four) {
    for (size_t g = 0; g < depth / GROUP; g++)
        for (size_t row = 0; row < PANEL_ROWS; row++)
            quantize_group(to + g * group_bytes(four), scales + g * PANEL_ROWS + row, w + row * depth + g * GROUP, row,
                           four);
}

/* Rows of x in 8 bits. */
struct rounded {
    int8_t *q;    /* (rows, depth) */
    float *scale; /* (rows, depth/GROUP) */
    int *start;   /* the same: what a group's sum starts with, -ZERO times the sum of q */
};

static void round_group(const float *x, int8_t *q, float *scale, int *start, bool four) {
    const __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
    const float size = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
    const __m512 factor = _mm512_set1_ps(size > 0 ? 127.0f / size : 0.0f);
    const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(low, factor));
    const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(high, factor));
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtsepi32_epi8(a));
    _mm_storeu_si128((__m128i *)(void *)(q + 16), _mm512_cvtsepi32_epi8(b));
    *scale = size / 127.0f;
    *start = -zero(four) * _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
}

static void round_rows(struct rounded *to, const float *x, size_t rows, size_t depth, bool four) {
    const size_t groups = depth / GROUP;
    for (size_t r = 0; r < rows; r++)
        for (size_t g = 0; g < groups; g++)
            round_group(x + r * depth + g * GROUP, to->q + r * depth + g * GROUP, to->scale + r * groups + g,
                        to->start + r * groups + g, four);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

static inline __m512i four_neighbours(const int8_t *q) {
    int word;
    memcpy(&word, q, sizeof word);
    return _mm512_set1_epi32(word);
}

/* sum[i] += a group's weights times row i's numbers. */
static inline __attribute__((always_inline)) void add_group(__m512i *sum, const uint8_t *w, const int8_t *q,
                                                            size_t depth, const int rows, const bool four) {
    const __m512i mask = _mm512_set1_epi8(15);
    LOOM_UNROLL
    for (size_t k = 0; k < GROUP; k += four ? 8 : 4) {
        const __m512i bytes = _mm512_loadu_si512(w + k * PANEL_ROWS / (four ? 2 : 1));
        const __m512i low = four ? _mm512_and_si512(bytes, mask) : bytes;
        LOOM_UNROLL
        for (int i = 0; i < rows; i++)
            sum[i] = _mm512_dpbusd_epi32(sum[i], low, four_neighbours(q + (size_t)i * depth + k));
        if (four) {
            const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask);
            LOOM_UNROLL
            for (int i = 0; i < rows; i++)
                sum[i] = _mm512_dpbusd_epi32(sum[i], high, four_neighbours(q + (size_t)i * depth + k + 4));
        }
    }
}

/* One panel of outputs for `rows` rows, constants where it is inlined; y's rows are ldy apart. */
static inline __attribute__((always_inline)) void tile(float *y, size_t ldy, const struct rounded *x, const uint8_t *w,
                                                       const float *scales, size_t depth, bool accumulate,
                                                       const int rows, const bool four) {
    const size_t groups = depth / GROUP;
    __m512 total[TILE];
    LOOM_UNROLL
    for (int i = 0; i < rows; i++)
        total[i] = accumulate ? _mm512_loadu_ps(y + (size_t)i * ldy) : _mm512_setzero_ps();
    for (size_t g = 0; g < groups; g++) {
        __m512i sum[TILE];
        const __m512 scale = _mm512_loadu_ps(scales + g * PANEL_ROWS);
        LOOM_UNROLL
        for (int i = 0; i < rows; i++)
            sum[i] = _mm512_set1_epi32(x->start[(size_t)i * groups + g]);
        add_group(sum, w + g * group_bytes(four), x->q + g * GROUP, depth, rows, four);
        LOOM_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[(size_t)i * groups + g]));
            total[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[i]), both, total[i]);
        }
    }
    LOOM_UNROLL
    for (int i = 0; i < rows; i++)
        _mm512_storeu_ps(y + (size_t)i * ldy, total[i]);
}

/* The tile for a number of rows that is known only when running. */
static inline __attribute__((always_inline)) void tile_of(float *y, size_t ldy, const struct rounded *x,
                                                          const uint8_t *w, const float *scales, size_t depth,
                                                          bool accumulate, size_t rows, const bool four) {
    switch (rows) {
    case 1:
        tile(y, ldy, x, w, scales, depth, accumulate, 1, four);
        break;
    case 2:
        tile(y, ldy, x, w, scales, depth, accumulate, 2, four);
        break;
    case 3:
        tile(y, ldy, x, w, scales, depth, accumulate, 3, four);
        break;
    case 4:
        tile(y, ldy, x, w, scales, depth, accumulate, 4, four);
        break;
    case 5:
        tile(y, ldy, x, w, scales, depth, accumulate, 5, four);
        break;
    case 6:
        tile(y, ldy, x, w, scales, depth, accumulate, 6, four);
        break;
    case 7:
        tile(y, ldy, x, w, scales, depth, accumulate, 7, four);
        break;
    default:
        tile(y, ldy, x, w, scales, depth, accumulate, TILE, four);
        break;
    }
}

static void panel_times_rows(const struct loom_cpu_quantized *w, size_t panel, float *y, size_t ldy,
                             const struct rounded *x, size_t rows, bool accumulate) {
    const size_t groups = w->depth / GROUP;
    const uint8_t *quants = w->quants + panel * groups * group_bytes(w->four);
    const float *scales = w->scales + panel * groups * PANEL_ROWS;
    for (size_t row = 0; row < rows; row += TILE) {
        const struct rounded part = {x->q + row * w->depth, x->scale + row * groups, x->start + row * groups};
        if (w->four)
            tile_of(y + row * ldy, ldy, &part, quants, scales, w->depth, accumulate, least(rows - row, TILE), true);
        else
            tile_of(y + row * ldy, ldy, &part, quants, scales, w->depth, accumulate, least(rows - row, TILE), false);
    }
}

void loom_cpu_quantize_panel(const struct loom_cpu_quantized *to, size_t panel, const float *w) {
    const size_t groups = to->depth / GROUP;
    quantize_panel((uint8_t *)(uintptr_t)to->quants + panel * groups * group_bytes(to->four),
                   (float *)(uintptr_t)to->scales + panel * groups * PANEL_ROWS, w + panel * PANEL_ROWS * to->depth,
                   to->depth, to->four);
}

void loom_cpu_multiply_quantized(const struct loom_cpu_quantized *w, float *y, size_t ldy, const float *x, size_t rows,
                                 size_t first, size_t end, bool accumulate, float *scratch) {
    /* As many rows as fit the scratch at a time: a byte a number, and a scale and a start a group. */
    const size_t groups = w->depth / GROUP, each = w->depth / 4 + 2 * groups;
    const size_t most = LOOM_CPU_SCRATCH / each / TILE * TILE;
    for (size_t row = 0; row < rows; row += most) {
        const size_t count = least(most, rows - row);
        struct rounded part = {.scale = scratch};
        part.start = (int *)(void *)(scratch + count * groups);
        part.q = (int8_t *)(void *)(scratch + 2 * count * groups);
        round_rows(&part, x + row * w->depth, count, w->depth, w->four);
        for (size_t panel = first; panel < end; panel++)
            panel_times_rows(w, panel, y + row * ldy + panel * PANEL_ROWS, ldy, &part, count, accumulate);
    }
}

/* As loom_cpu_burn, for the peak of whole numbers. */
double LOOM_ISA_NAME(loom_cpu_burn_int8)(size_t rounds) {
    enum { SUMS = 16 };
    __m512i sum[SUMS];
    const __m512i factor = _mm512_set1_epi8(1);
    LOOM_UNROLL
    for (int i = 0; i < SUMS; i++)
        sum[i] = _mm512_set1_epi32(i);
    for (size_t round = 0; round < rounds; round++) {
        LOOM_UNROLL
        for (int i = 0; i < SUMS; i++)
            sum[i] = _mm512_dpbusd_epi32(sum[i], factor, factor);
    }
    __m512i total = _mm512_setzero_si512();
    LOOM_UNROLL
    for (int i = 0; i < SUMS; i++)
        total = _mm512_add_epi32(total, sum[i]);
    return _mm512_cvtsi512_si32(total) == 1 ? 0 : 2.0 * SUMS * 64 * (double)rounds;
}

#endif
