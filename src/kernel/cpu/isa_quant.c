/* isa_quant.c - y = x W^T with weights of 8 or 4 bits, for inference.
 *
 * A weight's row is cut into groups of GROUP neighbours that share a scale. A product rounds each group of x to 8 bits
 * in the same way, sums a group in whole numbers, and adds the sums, times both scales, in float32. Weights lie as the
 * instruction reads them: a panel is PANEL_ROWS outputs; for each group, for each four neighbours (eight in 4 bits),
 * the outputs side by side. In 4 bits four panels lie side by side in a block. They are stored without a sign, with
 * ZERO added, which each sum starts by taking off again. Scales are bf16: what they are matters little, as weights are
 * rounded by the scale that is kept.
 */
#include "kernel/cpu/isa_quant.h"

#if defined(__AVX512VNNI__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernel/cpu/cpu.h"

enum { GROUP = LOOM_CPU_GROUP, PANEL_ROWS = LOOM_CPU_QUANT_PANEL, WORDS = GROUP / 4, VECTOR = 64 };

/* A tile's rows of x; and panels that few rows meet at once, so that there are enough sums to wait for. */
enum { TILE = 8, PANELS = LOOM_CPU_QUANT_PANELS };

/* The largest whole number of a format, and what is added to store it without a sign. */
static int largest(bool four) {
    return four ? 7 : 127;
}

static int zero(bool four) {
    return four ? 8 : 128;
}

/* Panels that lie side by side. A row alone meets PANELS of them: in 4 bits they come from memory best as one stream,
 * in 8 bits as streams of their own (measured, and either way by a tenth or more). */
static inline __attribute__((always_inline)) size_t side_of(bool four) {
    return four ? PANELS : 1;
}

static size_t group_bytes(bool four) {
    return (size_t)PANEL_ROWS * GROUP / (four ? 2 : 1);
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* The least bf16 number at which the largest of a group becomes `most` or less; 0 for a group of zeros. */
static uint16_t scale_of(const float *x, int most) {
    float size = 0;
    for (size_t i = 0; i < GROUP; i++)
        size = fmaxf(size, fabsf(x[i]));
    const float exact = size / (float)most;
    uint32_t bits;
    memcpy(&bits, &exact, sizeof bits);
    return (uint16_t)((bits + 0xffff) >> 16);
}

static float scale_value(uint16_t scale) {
    const uint32_t bits = (uint32_t)scale << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int round_to(float x, float scale) {
    return scale > 0 ? (int)lrintf(x / scale) : 0;
}

/* Where the k-th weight of a group goes for output `row`, in bytes; in 4 bits, four neighbours share the low halves of
 * their bytes with the four behind them in the high ones. */
static size_t place_of(size_t k, size_t row, size_t step, bool four) {
    const size_t span = four ? 8 : 4;
    return k / span * step * (PANEL_ROWS * 4) + row * 4 + k % 4;
}

static void quantize_group(uint8_t *to, uint16_t *scale, const float *w, size_t row, size_t step, bool four) {
    *scale = scale_of(w, largest(four));
    for (size_t k = 0; k < GROUP; k++) {
        const unsigned q = (unsigned)(round_to(w[k], scale_value(*scale)) + zero(four));
        uint8_t *place = to + place_of(k, row, step, four);
        *place = (uint8_t)(four && k % 8 >= 4 ? *place | q << 4 : q);
    }
}

/* Where a panel of a matrix begins: its block, in groups of one panel, and its number among the `step` of them. */
struct panel_place {
    size_t block, number, step;
};

static struct panel_place place_of_panel(const struct loom_cpu_quantized *w, size_t panel) {
    const size_t side = side_of(w->four), number = panel % side, block = panel - number;
    return (struct panel_place){block * (w->depth / GROUP), number, least(w->panels - block, side)};
}

void loom_cpu_quantize_panel(const struct loom_cpu_quantized *to, size_t panel, const float *w) {
    const struct panel_place place = place_of_panel(to, panel);
    uint8_t *quants = (uint8_t *)(uintptr_t)to->quants + place.block * group_bytes(to->four) + place.number * VECTOR;
    uint16_t *scales = (uint16_t *)(uintptr_t)to->scales + (place.block + place.number) * PANEL_ROWS;
    for (size_t g = 0; g < to->depth / GROUP; g++)
        for (size_t row = 0; row < PANEL_ROWS; row++)
            quantize_group(quants + g * place.step * group_bytes(to->four), scales + g * place.step * PANEL_ROWS + row,
                           w + (panel * PANEL_ROWS + row) * to->depth + g * GROUP, row, place.step, to->four);
}

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

void loom_cpu_round_row(const struct loom_cpu_rounded *to, size_t row, const float *x, bool four) {
    const size_t groups = to->depth / GROUP;
    for (size_t g = 0; g < groups; g++)
        round_group(x + g * GROUP, to->q + row * to->depth + g * GROUP, to->scale + row * groups + g,
                    to->start + row * groups + g, four);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* Four neighbours of a row of x, for every output. */
static inline __m512i four_neighbours(const int8_t *q) {
    int word;
    memcpy(&word, q, sizeof word);
    return _mm512_set1_epi32(word);
}

/* The weights that meet a group's k-th four neighbours; vectors of one panel are `step` apart. */
static inline __attribute__((always_inline)) __m512i weights_of(const uint8_t *w, size_t k, size_t step,
                                                                const bool four) {
    if (!four)
        return _mm512_loadu_si512(w + k * step * VECTOR);
    const __m512i bytes = _mm512_loadu_si512(w + k / 2 * step * VECTOR);
    return _mm512_and_si512(k % 2 == 0 ? bytes : _mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15));
}

static inline __m512 scales_of(const uint16_t *scales) {
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)scales));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

/* A panel, or all of a block: where its groups begin, and how many panels of one group lie side by side. */
struct panels {
    const uint8_t *quants;
    const uint16_t *scales;
    size_t groups, step;
};

/* sum[p*rows+i] = group g of panel p times that of row i. */
static inline __attribute__((always_inline)) void sum_group(__m512i *sum, const struct panels *w,
                                                            const struct loom_cpu_rounded *x, size_t g, const int rows,
                                                            const int panels, const bool four) {
    const size_t side = side_of(four), step = panels > 1 ? side : w->step, block = w->groups * step * group_bytes(four);
    const uint8_t *from = w->quants + g * step * group_bytes(four);
    LOOM_UNROLL
    for (int i = 0; i < rows; i++) {
        LOOM_UNROLL
        for (int p = 0; p < panels; p++)
            sum[p * rows + i] = _mm512_set1_epi32(x->start[(size_t)i * w->groups + g]);
    }
    LOOM_UNROLL
    for (size_t k = 0; k < WORDS; k++) {
        LOOM_UNROLL
        for (int p = 0; p < panels; p++) {
            const __m512i weights =
                weights_of(from + (size_t)p / side * block + (size_t)p % side * VECTOR, k, step, four);
            LOOM_UNROLL
            for (int i = 0; i < rows; i++)
                sum[p * rows + i] = _mm512_dpbusd_epi32(
                    sum[p * rows + i], weights, four_neighbours(x->q + (size_t)i * x->depth + g * GROUP + 4 * k));
        }
    }
}

/* `panels` panels of outputs for `rows` rows, constants where it is inlined. */
static inline __attribute__((always_inline)) void tile(struct loom_cpu_rows y, const struct panels *w,
                                                       const struct loom_cpu_rounded *x, const int rows,
                                                       const int panels, const bool four) {
    __m512 total[TILE];
    LOOM_UNROLL
    for (int j = 0; j < rows * panels; j++)
        total[j] = y.accumulate ? _mm512_loadu_ps(y.data + (size_t)(j % rows) * y.row + j / rows * PANEL_ROWS)
                                : _mm512_setzero_ps();
    for (size_t g = 0; g < w->groups; g++) {
        __m512i sum[TILE];
        sum_group(sum, w, x, g, rows, panels, four);
        LOOM_UNROLL
        for (int p = 0; p < panels; p++) {
            const size_t side = side_of(four), group = (size_t)p / side * w->groups + g;
            const __m512 scale = scales_of(w->scales + (group * w->step + (size_t)p % side) * PANEL_ROWS);
            LOOM_UNROLL
            for (int i = 0; i < rows; i++) {
                const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[(size_t)i * w->groups + g]));
                total[p * rows + i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[p * rows + i]), both, total[p * rows + i]);
            }
        }
    }
    LOOM_UNROLL
    for (int j = 0; j < rows * panels; j++)
        _mm512_storeu_ps(y.data + (size_t)(j % rows) * y.row + j / rows * PANEL_ROWS, total[j]);
}

/* The tile for a number of rows that is known only when running: as many panels at once as it says. */
static inline __attribute__((always_inline)) void tile_of(struct loom_cpu_rows y, const struct panels *w,
                                                          const struct loom_cpu_rounded *x, size_t rows, bool few,
                                                          const bool four) {
    switch (few ? rows : rows + TILE) {
    case 1:
        tile(y, w, x, 1, PANELS, four);
        break;
    case 2:
        tile(y, w, x, 2, PANELS, four);
        break;
    case TILE + 1:
        tile(y, w, x, 1, 1, four);
        break;
    case TILE + 2:
        tile(y, w, x, 2, 1, four);
        break;
    case TILE + 3:
        tile(y, w, x, 3, 1, four);
        break;
    case TILE + 4:
        tile(y, w, x, 4, 1, four);
        break;
    case TILE + 5:
        tile(y, w, x, 5, 1, four);
        break;
    case TILE + 6:
        tile(y, w, x, 6, 1, four);
        break;
    case TILE + 7:
        tile(y, w, x, 7, 1, four);
        break;
    default:
        tile(y, w, x, TILE, 1, four);
        break;
    }
}

/* One tile's rows against panels first .. end-1. */
static void multiply_rows(const struct loom_cpu_quantized *w, struct loom_cpu_rows y, const struct loom_cpu_rounded *x,
                          size_t rows, size_t first, size_t end) {
    for (size_t panel = first, step; panel < end; panel += step) {
        const bool few = rows <= TILE / PANELS && end - panel >= PANELS;
        const struct panel_place place = place_of_panel(w, panel);
        const struct panels panels = {w->quants + place.block * group_bytes(w->four) + place.number * VECTOR,
                                      w->scales + (place.block + place.number) * PANEL_ROWS, w->depth / GROUP,
                                      place.step};
        const struct loom_cpu_rows to = {y.data + panel * PANEL_ROWS, y.row, y.accumulate};
        step = few ? PANELS : 1;
        if (w->four)
            tile_of(to, &panels, x, rows, few, true);
        else
            tile_of(to, &panels, x, rows, few, false);
    }
}

void loom_cpu_multiply_quantized(const struct loom_cpu_quantized *w, struct loom_cpu_rows y,
                                 const struct loom_cpu_rounded *x, size_t rows, size_t first, size_t end) {
    const size_t groups = w->depth / GROUP, tiles = (rows + TILE - 1) / TILE;
    for (size_t t = 0, row = 0; t < tiles; t++) {
        const size_t count = (rows - row + tiles - t - 1) / (tiles - t);
        const struct loom_cpu_rounded part = {x->q + row * w->depth, x->scale + row * groups, x->start + row * groups,
                                              w->depth};
        multiply_rows(w, (struct loom_cpu_rows){y.data + row * y.row, y.row, y.accumulate}, &part, count, first, end);
        row += count;
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
