/* isa_tile_bf16.c - the packed product with its factors rounded to bf16 and its sums in float32; see isa_tile.h.
 *
 * A processor that has the instruction multiplies two neighbours along the depth at once, twice the float32 rate. So
 * both factors are kept as words of two bf16 numbers, elements 2i and 2i+1 of the depth; an odd depth ends with a zero.
 * Panels look as in float32 with words for floats and half the depth. A factor that lies in memory in bf16 has nothing
 * left to round: as rows it is made of words already, and a tile reads it where it lies. */
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

/* An element's place. */
static inline const float *place(struct loom_matrix m, enum loom_storage format, size_t row, size_t column) {
    return loom_storage_at(m.data, format, row * m.row + column * m.column);
}

/* 16 words from 32 neighbours along the depth, of which `n` are there. */
static inline __m512i words_along(const float *from, enum loom_storage format, size_t n) {
    if (format == LOOM_STORAGE_BF16)
        return _mm512_maskz_loadu_epi16(n >= 2 * LANES ? 0xffffffff : (1u << n) - 1, from);
    const __m512 low = _mm512_maskz_loadu_ps(lanes(n), from);
    const __m512 high = _mm512_maskz_loadu_ps(n > LANES ? lanes(n - LANES) : 0, from + LANES);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* 16 words, each from an element of one row and the element below it; no `below` means zeros. */
static inline __m512i words_across(const float *row, const float *below, enum loom_storage format, __mmask16 mask) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    if (format == LOOM_STORAGE_BF16) {
        const __m256i low = _mm256_maskz_loadu_epi16(mask, row);
        const __m256i high = below != NULL ? _mm256_maskz_loadu_epi16(mask, below) : _mm256_setzero_si256();
        return _mm512_permutexvar_epi16(order, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
    }
    const __m512 low = _mm512_maskz_loadu_ps(mask, row);
    const __m512 high = below != NULL ? _mm512_maskz_loadu_ps(mask, below) : _mm512_setzero_ps();
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* Asks for `columns` elements of a row. */
static inline void fetch_row(struct loom_matrix m, enum loom_storage format, size_t row, size_t columns) {
    const size_t line = 64 / loom_storage_size(format);
    for (size_t j = 0; j < columns; j += line)
        __builtin_prefetch(place(m, format, row, j));
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* Where columns j .. j+LANES-1 lie, and the width of the panel they are in. */
static uint32_t *packed_at(uint32_t *to, size_t j, size_t pairs, size_t columns, size_t *width) {
    const size_t panel = j / PANEL * PANEL;
    *width = columns - panel > LANES ? PANEL : LANES;
    return to + panel * pairs + (j - panel);
}

/* LANES columns that lie as rows of b, of which `columns` are there, and `more` behind them, which come meanwhile. */
static void pack_transposed(uint32_t *to, size_t width, struct loom_matrix b, enum loom_storage format, size_t depth,
                            size_t columns, size_t more) {
    const size_t pairs = (depth + 1) / 2;
    for (size_t p = 0; p < pairs; p += LANES) {
        vec block[LANES];
        LOOM_UNROLL
        for (size_t i = 0; i < LANES; i++)
            block[i] = (vec)words_along(place(b, format, 2 * p, i), format, i < columns ? depth - 2 * p : 0);
        for (size_t i = 0; i < least(LANES, more); i++)
            __builtin_prefetch(place(b, format, 2 * p, LANES + i));
        transpose(block);
        for (size_t i = 0; i < least(LANES, pairs - p); i++)
            _mm512_storeu_si512(to + (p + i) * width, (__m512i)block[i]);
    }
}

static inline __attribute__((always_inline)) void pack_rows(uint32_t *to, struct loom_matrix b,
                                                            enum loom_storage format, size_t depth, size_t columns) {
    const size_t pairs = (depth + 1) / 2;
    for (size_t p = 0; p < pairs; p++) {
        const bool whole = 2 * p + 1 < depth, ahead = 2 * p + AHEAD + 1 < depth;
        fetch_row(b, format, 2 * p + AHEAD, ahead ? columns : 0);
        fetch_row(b, format, 2 * p + AHEAD + 1, ahead ? columns : 0);
        for (size_t j = 0; j < columns; j += PANEL) {
            const size_t rest = columns - j, width = rest > LANES ? PANEL : LANES;
            uint32_t *start = to + j * pairs + p * width;
            for (size_t lane = 0; lane < width; lane += LANES) {
                const float *below = whole ? place(b, format, 2 * p + 1, j + lane) : NULL;
                _mm512_storeu_si512(start + lane,
                                    words_across(place(b, format, 2 * p, j + lane), below, format, lanes(rest - lane)));
            }
        }
    }
}

struct loom_panels loom_cpu_pack_bf16(float *to, struct loom_matrix b, enum loom_storage format, size_t depth,
                                      size_t columns) {
    uint32_t *words = (uint32_t *)to;
    if (b.column == 1 && format == LOOM_STORAGE_BF16)
        pack_rows(words, b, LOOM_STORAGE_BF16, depth, columns);
    else if (b.column == 1)
        pack_rows(words, b, LOOM_STORAGE_REAL, depth, columns);
    for (size_t j = 0; j < columns && b.column != 1; j += LANES) {
        size_t width;
        uint32_t *start = packed_at(words, j, (depth + 1) / 2, columns, &width);
        const struct loom_matrix from = {place(b, format, 0, j), b.row, b.column};
        const size_t there = least(LANES, columns - j);
        pack_transposed(start, width, from, format, depth, there, columns - j - there);
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

/* Tiles of a transposed left factor are staged together, as many as there is room for, so that memory is read along
 * whole rows. */
enum { STAGED_TOGETHER = 40 };

/* Rows that lie a multiple of half a way of the first cache apart, 2 KiB, would evict each other from it. */
enum { CROWDED = 1024 };

/* One tile, whose rows are contiguous: where it lies, if that is in words, or rounded or copied. */
static struct words stage_rows(uint32_t *to, const struct strip *s, size_t first, size_t rows) {
    const struct loom_matrix a = {place(s->a, s->format, first, 0), s->a.row, 1};
    if (s->format == LOOM_STORAGE_BF16 && a.row % 2 == 0 && a.row % CROWDED != 0 && s->depth % 2 == 0 &&
        (uintptr_t)a.data % sizeof *to == 0)
        return (struct words){(const uint32_t *)a.data, a.row / 2, 1};
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < s->depth; k += 2 * LANES)
            _mm512_storeu_si512(to + i * STAGED_ROW + k / 2,
                                words_along(place(a, s->format, i, k), s->format, s->depth - k));
    }
    return (struct words){to, STAGED_ROW, 1};
}

/* Words that a tile takes whose columns are contiguous; tiles lie apart by no power of two. */
static size_t staged_tile(size_t depth) {
    return ((depth + 1) / 2 + 1) * STAGED_WIDTH;
}

/* All tiles of a strip whose columns are contiguous, one behind another. */
static inline __attribute__((always_inline)) void stage_columns_of(uint32_t *to, const struct strip *s,
                                                                   enum loom_storage format) {
    size_t start[STAGED_TOGETHER];
    __mmask16 there[STAGED_TOGETHER];
    const size_t size = staged_tile(s->depth);
    const struct loom_matrix columns = {s->a.data, s->a.column, s->a.row}; /* s->a, turned */
    for (size_t t = 0; t < s->tiles; t++) {
        start[t] = tile_start(s, t);
        there[t] = lanes(tile_rows(s, t));
    }
    for (size_t k = 0; k < s->depth; k += 2) {
        const bool whole = k + 1 < s->depth;
        const size_t ahead = k + AHEAD + 1 < s->depth ? k + AHEAD : k;
        uint32_t *words = to + k / 2 * STAGED_WIDTH;
        fetch_row(columns, format, ahead, s->rows);
        fetch_row(columns, format, ahead + 1, s->rows);
        for (size_t t = 0; t < s->tiles; t++) {
            const size_t i = start[t];
            _mm512_storeu_si512(words + t * size,
                                words_across(place(s->a, format, i, k), whole ? place(s->a, format, i, k + 1) : NULL,
                                             format, there[t]));
        }
    }
}

static void stage_columns(uint32_t *to, const struct strip *s) {
    if (s->format == LOOM_STORAGE_BF16)
        stage_columns_of(to, s, LOOM_STORAGE_BF16);
    else
        stage_columns_of(to, s, LOOM_STORAGE_REAL);
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

/* `count` rows, or columns where the rows are not contiguous, of a strip's matrix from `first` on, to be asked for. */
static struct loom_ahead lines_of(const struct strip *s, size_t first, size_t count) {
    const bool along = s->a.column == 1;
    const size_t row = along ? s->a.row : s->a.column, share = sizeof(float) / loom_storage_size(s->format);
    const size_t rows = along ? count : s->depth, length = along ? s->depth : count;
    return (struct loom_ahead){place(s->a, s->format, first, 0), row / share, count > 0 ? rows : 0, length / share};
}

/* `more` rows of the left factor follow the strip's. */
static void multiply_strip(struct loom_target c, const struct strip *s, struct loom_panels b, size_t first,
                           uint32_t *stage, size_t more, struct coming *coming) {
    const bool along = s->a.column == 1;
    const size_t panels = (b.columns + PANEL - 1) / PANEL;
    if (!along) {
        coming->left = fetch_of(lines_of(s, s->rows, least(more, s->rows)), panels * s->tiles);
        stage_columns(stage, s);
    }
    for (size_t t = 0; t < s->tiles; t++) {
        const size_t row = tile_start(s, t), rows = tile_rows(s, t);
        struct words left = {stage + t * staged_tile(s->depth), 1, STAGED_WIDTH};
        if (along) {
            left = stage_rows(stage, s, row, rows);
            coming->left = fetch_of(lines_of(s, row + rows, least(rows, s->rows + more - row - rows)), panels);
        }
        multiply_rows((struct loom_target){c.data + row * c.row, c.row, c.accumulate}, left, b, first, rows, s->depth,
                      coming);
    }
}

/* Strips of as many tiles, and each in as many parts of the depth, as are staged at once in `room` words. */
static void multiply(struct loom_target c, struct loom_matrix a, enum loom_storage format, struct loom_panels b,
                     size_t rows, size_t depth, uint32_t *stage, size_t room, struct loom_ahead next) {
    const size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const size_t most =
        a.column == 1 ? STAGED_TILES : least(room / staged_tile(least(depth, 2 * STAGED_PAIRS)), STAGED_TOGETHER);
    struct coming coming = {.behind = fetch_of(next, tiles * ((b.columns + PANEL - 1) / PANEL))};
    for (size_t t = 0, row = 0; t < tiles; t += most) {
        struct strip s = {.format = format, .tiles = least(most, tiles - t)};
        s.rows = (t + s.tiles) * rows / tiles - row;
        for (size_t k = 0; k == 0 || k < depth; k += 2 * STAGED_PAIRS) { /* a product without depth is zero */
            s.a = (struct loom_matrix){place(a, format, row, k), a.row, a.column};
            s.depth = least(depth - k, 2 * STAGED_PAIRS);
            multiply_strip((struct loom_target){c.data + row * c.row, c.row, c.accumulate || k > 0}, &s, b, b.first + k,
                           stage, rows - row - s.rows, &coming);
        }
        row += s.rows;
    }
}

void loom_cpu_multiply_bf16(struct loom_target c, struct loom_matrix a, enum loom_storage format, struct loom_panels b,
                            size_t rows, size_t depth) {
    _Alignas(64) uint32_t stage[STAGED_SIZE];
    multiply(c, a, format, b, rows, depth, stage, STAGED_SIZE, (struct loom_ahead){NULL, 0, 0, 0});
}

void loom_cpu_multiply_large_bf16(struct loom_target c, struct loom_matrix a, enum loom_storage format,
                                  struct loom_panels b, size_t rows, size_t depth, float *stage,
                                  struct loom_ahead next) {
    multiply(c, a, format, b, rows, depth, (uint32_t *)stage, LOOM_CPU_STAGE, next);
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
