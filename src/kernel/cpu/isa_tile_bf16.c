/* isa_tile_bf16.c - the packed product with its factors rounded to bf16 and its sums in float32; see isa_tile.h.
 *
 * A processor that has the instruction multiplies two neighbours along the depth at once, twice the float32 rate. So
 * both factors are kept as words of two bf16 numbers, elements 2i and 2i+1 of the depth; an odd depth ends with a zero.
 * Panels look as in float32 with words for floats and half the depth. */
#include "kernel/cpu/isa_tile.h"

#if defined(__AVX512BF16__)

#include <immintrin.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_strip.h"
#include "kernel/cpu/isa_transpose.h"

/* The left factor in words: row i's word p is data[i*row + p*column]. */
struct words {
    const uint32_t *data;
    size_t row, column;
};

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* The first n lanes, at most all. */
static inline __mmask16 lanes(size_t n) {
    if (n >= LANES)
        return 0xffff;
    return (__mmask16)((1u << n) - 1);
}

/* 16 words from 32 neighbours along the depth, of which `n` are there. */
static inline __m512i words_along(const float *from, size_t n) {
    const __m512 low = _mm512_maskz_loadu_ps(lanes(n), from);
    const __m512 high = _mm512_maskz_loadu_ps(n > LANES ? lanes(n - LANES) : 0, from + LANES);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* 16 words, each from an element of one row and the element below it; no `below` means zeros. */
static inline __m512i words_across(const float *row, const float *below, __mmask16 mask) {
    const __m512 low = _mm512_maskz_loadu_ps(mask, row);
    const __m512 high = below != NULL ? _mm512_maskz_loadu_ps(mask, below) : _mm512_setzero_ps();
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* Where columns j .. j+LANES-1 lie, and the width of the panel they are in. */
static uint32_t *packed_at(uint32_t *to, size_t j, size_t pairs, size_t columns, size_t *width) {
    const size_t panel = j / PANEL * PANEL;
    *width = columns - panel > LANES ? PANEL : LANES;
    return to + panel * pairs + (j - panel);
}

/* LANES columns that lie as rows of b, ldb apart, of which `columns` are there. */
static void pack_transposed(uint32_t *to, size_t width, const float *b, size_t ldb, size_t depth, size_t columns) {
    const size_t pairs = (depth + 1) / 2;
    for (size_t p = 0; p < pairs; p += LANES) {
        vec block[LANES];
        LOOM_UNROLL
        for (size_t i = 0; i < LANES; i++)
            block[i] = (vec)words_along(b + i * ldb + 2 * p, i < columns ? depth - 2 * p : 0);
        transpose(block);
        for (size_t i = 0; i < least(LANES, pairs - p); i++)
            _mm512_storeu_si512(to + (p + i) * width, (__m512i)block[i]);
    }
}

static void pack_rows(uint32_t *to, struct loom_matrix b, size_t depth, size_t columns) {
    const size_t pairs = (depth + 1) / 2;
    for (size_t p = 0; p < pairs; p++) {
        const float *row = b.data + 2 * p * b.row, *below = 2 * p + 1 < depth ? row + b.row : NULL;
        for (size_t j = 0; j < columns; j += LANES) {
            size_t width;
            uint32_t *start = packed_at(to, j, pairs, columns, &width);
            const float *next = below != NULL ? below + j : NULL;
            if (2 * p + AHEAD + 1 < depth) {
                __builtin_prefetch(row + AHEAD * b.row + j);
                __builtin_prefetch(row + (AHEAD + 1) * b.row + j);
            }
            _mm512_storeu_si512(start + p * width, words_across(row + j, next, lanes(columns - j)));
        }
    }
}

struct loom_panels loom_cpu_pack_bf16(float *to, struct loom_matrix b, size_t depth, size_t columns) {
    uint32_t *words = (uint32_t *)to;
    if (b.column == 1)
        pack_rows(words, b, depth, columns);
    for (size_t j = 0; j < columns && b.column != 1; j += LANES) {
        size_t width;
        uint32_t *start = packed_at(words, j, (depth + 1) / 2, columns, &width);
        pack_transposed(start, width, b.data + j * b.column, b.column, depth, least(LANES, columns - j));
    }
    return (struct loom_panels){to, depth, 0, columns, true};
}

/* ---- the register tile ------------------------------------------------------------------------------------------- */

static inline void store_tile_row(float *to, vec sum, bool accumulate, __mmask16 mask) {
    const __m512 total = accumulate ? _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), (__m512)sum) : (__m512)sum;
    _mm512_mask_storeu_ps(to, mask, total);
}

/* One tile of `rows` by `vectors`, both constants where it is inlined. The last vector keeps the lanes of `mask`. */
static inline __attribute__((always_inline)) void tile(struct loom_target c, struct words a, const uint32_t *b,
                                                       size_t pairs, __mmask16 mask, const int rows,
                                                       const int vectors) {
    __m512 sum[TILE_ROWS][TILE_VECTORS];
    const uint32_t *from[(TILE_ROWS + 2) / 3];
    LOOM_UNROLL
    for (int i = 0; i < rows; i++) {
        LOOM_UNROLL
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = _mm512_setzero_ps();
            __builtin_prefetch(c.data + (size_t)i * c.row + v * LANES, 1);
        }
    }
    LOOM_UNROLL
    for (int i = 0; i < (rows + 2) / 3; i++)
        from[i] = a.data + (size_t)(3 * i) * a.row;
    for (size_t p = 0; p < pairs; p++) {
        __m512bh right[TILE_VECTORS];
        LOOM_UNROLL
        for (int v = 0; v < vectors; v++)
            right[v] = (__m512bh)_mm512_loadu_si512(b + v * LANES);
        b += vectors * LANES;
        LOOM_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m512bh left = (__m512bh)_mm512_set1_epi32((int)from[i / 3][(size_t)(i % 3) * a.row]);
            LOOM_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[i][v] = _mm512_dpbf16_ps(sum[i][v], left, right[v]);
        }
        LOOM_UNROLL
        for (int i = 0; i < (rows + 2) / 3; i++)
            from[i] += a.column;
    }
    LOOM_UNROLL
    for (int i = 0; i < rows; i++) {
        LOOM_UNROLL
        for (int v = 0; v < vectors; v++)
            store_tile_row(c.data + (size_t)i * c.row + v * LANES, (vec)sum[i][v], c.accumulate,
                           v == vectors - 1 ? mask : (__mmask16)0xffff);
    }
}

/* The tile for a number of rows that is known only when running. */
static inline __attribute__((always_inline)) void tile_of(struct loom_target c, struct words a, const uint32_t *b,
                                                          size_t pairs, size_t rows, __mmask16 mask,
                                                          const int vectors) {
    switch (rows) {
    case 1:
        tile(c, a, b, pairs, mask, 1, vectors);
        break;
    case 2:
        tile(c, a, b, pairs, mask, 2, vectors);
        break;
    case 3:
        tile(c, a, b, pairs, mask, 3, vectors);
        break;
    case 4:
        tile(c, a, b, pairs, mask, 4, vectors);
        break;
    case 5:
        tile(c, a, b, pairs, mask, 5, vectors);
        break;
    case 6:
        tile(c, a, b, pairs, mask, 6, vectors);
        break;
    case 7:
        tile(c, a, b, pairs, mask, 7, vectors);
        break;
    case 8:
        tile(c, a, b, pairs, mask, 8, vectors);
        break;
    case 9:
        tile(c, a, b, pairs, mask, 9, vectors);
        break;
    case 10:
        tile(c, a, b, pairs, mask, 10, vectors);
        break;
    case 11:
        tile(c, a, b, pairs, mask, 11, vectors);
        break;
    case 12:
        tile(c, a, b, pairs, mask, 12, vectors);
        break;
    case 13:
        tile(c, a, b, pairs, mask, 13, vectors);
        break;
    default:
        tile(c, a, b, pairs, mask, TILE_ROWS, vectors);
        break;
    }
}

static void tile_any(struct loom_target c, struct words a, const uint32_t *b, size_t pairs, size_t rows,
                     size_t columns) {
    if (columns > LANES)
        tile_of(c, a, b, pairs, rows, lanes(columns - LANES), TILE_VECTORS);
    else
        tile_of(c, a, b, pairs, rows, lanes(columns), 1);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* A tile's rows of the left factor are rounded for as much of the depth as the first cache holds beside a panel. Rows
 * lie apart by no power of two, and both layouts fit. */
enum { STAGED_PAIRS = 768, STAGED_ROW = STAGED_PAIRS + 16, STAGED_WIDTH = 16, STAGED_SIZE = STAGED_WIDTH * STAGED_ROW };

/* One tile, whose rows are contiguous. */
static struct words stage_rows(uint32_t *to, struct loom_matrix a, size_t rows, size_t depth) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < depth; k += 2 * LANES)
            _mm512_storeu_si512(to + i * STAGED_ROW + k / 2, words_along(a.data + i * a.row + k, depth - k));
    }
    return (struct words){to, STAGED_ROW, 1};
}

/* All tiles of a strip whose columns are contiguous; tile t is at to + t * STAGED_SIZE. */
static void stage_columns(uint32_t *to, const struct strip *s) {
    size_t start[STAGED_TILES];
    __mmask16 there[STAGED_TILES];
    for (size_t t = 0; t < s->tiles; t++) {
        start[t] = tile_start(s, t);
        there[t] = lanes(tile_rows(s, t));
    }
    for (size_t k = 0; k < s->depth; k += 2) {
        const float *row = s->a.data + k * s->a.column, *below = k + 1 < s->depth ? row + s->a.column : NULL;
        const float *ahead = k + AHEAD + 1 < s->depth ? row + AHEAD * s->a.column : row;
        uint32_t *words = to + k / 2 * STAGED_WIDTH;
        for (size_t t = 0; t < s->tiles; t++) {
            const size_t i = start[t];
            __builtin_prefetch(ahead + i);
            __builtin_prefetch(ahead + s->a.column + i);
            _mm512_storeu_si512(words + t * STAGED_SIZE,
                                words_across(row + i, below != NULL ? below + i : NULL, there[t]));
        }
    }
}

/* One tile's rows against every panel; `first` is where in the panels' depth they begin. */
static void multiply_rows(struct loom_target c, struct words a, struct loom_panels b, size_t first, size_t rows,
                          size_t depth, struct coming *coming) {
    const size_t pairs = (b.depth + 1) / 2;
    for (size_t j = 0; j < b.columns; j += PANEL) {
        fetch_some(&coming->left);
        fetch_some(&coming->behind);
        const size_t columns = b.columns - j, width = columns > LANES ? PANEL : LANES;
        const uint32_t *right = (const uint32_t *)b.data + j * pairs + first / 2 * width;
        tile_any((struct loom_target){c.data + j, c.row, c.accumulate}, a, right, (depth + 1) / 2, rows,
                 least(columns, PANEL));
    }
}

/* `more` rows of the left factor follow the strip's. */
static void multiply_strip(struct loom_target c, const struct strip *s, struct loom_panels b, size_t first,
                           uint32_t *stage, size_t more, struct coming *coming) {
    const bool along = s->a.column == 1;
    const size_t panels = (b.columns + PANEL - 1) / PANEL;
    if (!along) {
        const struct loom_ahead next = {s->a.data + s->rows, s->a.column, more > 0 ? s->depth : 0,
                                        least(more, s->rows)};
        coming->left = fetch_of(next, panels * s->tiles);
        stage_columns(stage, s);
    }
    for (size_t t = 0; t < s->tiles; t++) {
        const size_t row = tile_start(s, t), rows = tile_rows(s, t);
        const float *data = s->a.data + row * s->a.row;
        struct words left = {stage + t * STAGED_SIZE, 1, STAGED_WIDTH};
        if (along) {
            const size_t behind = s->rows + more - row - rows;
            left = stage_rows(stage, (struct loom_matrix){data, s->a.row, 1}, rows, s->depth);
            coming->left =
                fetch_of((struct loom_ahead){data + rows * s->a.row, s->a.row, least(rows, behind), s->depth}, panels);
        }
        multiply_rows((struct loom_target){c.data + row * c.row, c.row, c.accumulate}, left, b, first, rows, s->depth,
                      coming);
    }
}

/* Strips of at most `most` tiles, and each in as many parts of the depth as are staged at once. */
static void multiply(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows, size_t depth,
                     uint32_t *stage, size_t most, struct loom_ahead next) {
    const size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    struct coming coming = {.behind = fetch_of(next, tiles * ((b.columns + PANEL - 1) / PANEL))};
    for (size_t t = 0, row = 0; t < tiles; t += most) {
        struct strip s = {.tiles = least(most, tiles - t)};
        s.rows = (t + s.tiles) * rows / tiles - row;
        for (size_t k = 0; k == 0 || k < depth; k += 2 * STAGED_PAIRS) { /* a product without depth is zero */
            s.a = (struct loom_matrix){a.data + row * a.row + k * a.column, a.row, a.column};
            s.depth = least(depth - k, 2 * STAGED_PAIRS);
            multiply_strip((struct loom_target){c.data + row * c.row, c.row, c.accumulate || k > 0}, &s, b, b.first + k,
                           stage, rows - row - s.rows, &coming);
        }
        row += s.rows;
    }
}

void loom_cpu_multiply_bf16(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows,
                            size_t depth) {
    _Alignas(64) uint32_t stage[STAGED_SIZE];
    multiply(c, a, b, rows, depth, stage, 1, (struct loom_ahead){NULL, 0, 0, 0});
}

void loom_cpu_multiply_large_bf16(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows,
                                  size_t depth, float *stage, struct loom_ahead next) {
    multiply(c, a, b, rows, depth, (uint32_t *)stage, STAGED_TILES, next);
}

/* ---- the peak ---------------------------------------------------------------------------------------------------- */

/* As loom_cpu_burn: as many independent sums as a tile has, all different. */
double LOOM_ISA_NAME(loom_cpu_burn_bf16)(size_t rounds) {
    const __m512bh factor = (__m512bh)_mm512_set1_epi16(0x3f00); /* 0.5 */
    __m512 sum[TILE_ROWS][TILE_VECTORS];
    LOOM_UNROLL
    for (int i = 0; i < TILE_ROWS; i++) {
        sum[i][0] = _mm512_set1_ps(0.01f * (float)i);
        sum[i][1] = _mm512_set1_ps(0.01f * (float)i + 0.5f);
    }
    for (size_t round = 0; round < rounds; round++) {
        LOOM_UNROLL
        for (int i = 0; i < TILE_ROWS; i++) {
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], factor, factor);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], factor, factor);
        }
    }
    vec total = {0};
    LOOM_UNROLL
    for (int i = 0; i < TILE_ROWS; i++)
        total += (vec)sum[i][0] + (vec)sum[i][1];
    return total[0] < 0 ? 0 : 4.0 * TILE_ROWS * TILE_VECTORS * LANES * (double)rounds;
}

#endif
