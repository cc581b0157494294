/* isa_tile.c - packing, the register tile and the tile of dot products; see isa_tile.h. */
#include "kernel/cpu/isa_tile.h"

/* ---- packing ------------------------------------------------------------------------------------------------------
 */

/* The lower and the upper halves of two vectors, alternating: a0 b0 a1 b1 ... */
static inline vec interleave_low(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}

static inline vec interleave_high(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

/* Transposes LANES x LANES: each round is a perfect shuffle of all elements, and log2(LANES) of them swap the row's
 * bits of an element's position with the column's. */
static inline void transpose(vec block[LANES]) {
#pragma GCC unroll 4
    for (int round = 1; round < LANES; round *= 2) {
        vec next[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = interleave_low(block[i], block[i + LANES / 2]);
            next[2 * i + 1] = interleave_high(block[i], block[i + LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            block[i] = next[i];
    }
}

/* Packs LANES columns that lie as rows of b, ldb apart: to[k*width + column] = b[column*ldb + k]. */
static void pack_transposed(float *to, size_t width, const float *b, size_t ldb, size_t depth, size_t columns) {
    size_t k = 0;
    for (; k + LANES <= depth && columns == LANES; k += LANES) {
        vec block[LANES];
#pragma GCC unroll 16
        for (size_t i = 0; i < LANES; i++)
            block[i] = vec_load(b + i * ldb + k);
        transpose(block);
#pragma GCC unroll 16
        for (size_t i = 0; i < LANES; i++)
            vec_store(to + (k + i) * width, block[i]);
    }
    for (; k < depth; k++) {
        for (size_t column = 0; column < LANES; column++)
            to[k * width + column] = column < columns ? b[column * ldb + k] : 0.0f;
    }
}

/* Packs LANES columns that are contiguous in b's rows, ldb apart. */
static void pack_copied(float *to, size_t width, const float *b, size_t ldb, size_t depth, size_t columns) {
    for (size_t k = 0; k < depth && columns == LANES; k++)
        vec_store(to + k * width, vec_load(b + k * ldb));
    for (size_t k = 0; k < depth && columns < LANES; k++) {
        for (size_t column = 0; column < LANES; column++)
            to[k * width + column] = column < columns ? b[k * ldb + column] : 0.0f;
    }
}

struct loom_panels loom_cpu_pack(float *to, struct loom_matrix b, size_t depth, size_t columns) {
    for (size_t j = 0; j < columns; j += LANES) {
        size_t panel = j / PANEL * PANEL, left = columns - j;
        size_t width = columns - panel > LANES ? PANEL : LANES;
        float *start = to + panel * depth + (j - panel);
        size_t part = left < LANES ? left : LANES;
        if (b.column == 1)
            pack_copied(start, width, b.data + j, b.row, depth, part);
        else
            pack_transposed(start, width, b.data + j * b.column, b.column, depth, part);
    }
    return (struct loom_panels){to, depth, 0, columns};
}

/* ---- the register tile ---------------------------------------------------------------------------------------------
 */

/* One tile of `rows` by `vectors`, both constants where it is inlined. Rows are reached in threes from one pointer,
 * which keeps the number of pointers within the processor's registers. */
static inline __attribute__((always_inline)) void tile(struct loom_target c, struct loom_matrix a, const float *b,
                                                       size_t depth, const int rows, const int vectors) {
    vec sum[TILE_ROWS][TILE_VECTORS] = {0};
    const float *from[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 5
    for (int i = 0; i < (rows + 2) / 3; i++)
        from[i] = a.data + (size_t)(3 * i) * a.row;
    for (size_t k = 0; k < depth; k++) {
        vec right[TILE_VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            right[v] = *(const vec *)(b + v * LANES);
        b += vectors * LANES;
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            float left = from[i / 3][(size_t)(i % 3) * a.row];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                sum[i][v] += left * right[v];
        }
#pragma GCC unroll 5
        for (int i = 0; i < (rows + 2) / 3; i++)
            from[i] += a.column;
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            float *to = c.data + (size_t)i * c.row + v * LANES;
            vec_store(to, c.accumulate ? vec_load(to) + sum[i][v] : sum[i][v]);
        }
    }
}

/* The tile for a number of rows that is known only when running. */
static inline __attribute__((always_inline)) void tile_of(struct loom_target c, struct loom_matrix a, const float *b,
                                                          size_t depth, size_t rows, const int vectors) {
    switch (rows) {
    case 1:
        tile(c, a, b, depth, 1, vectors);
        break;
    case 2:
        tile(c, a, b, depth, 2, vectors);
        break;
    case 3:
        tile(c, a, b, depth, 3, vectors);
        break;
    case 4:
        tile(c, a, b, depth, 4, vectors);
        break;
    case 5:
        tile(c, a, b, depth, 5, vectors);
        break;
#if defined(__AVX512F__)
    case 6:
        tile(c, a, b, depth, 6, vectors);
        break;
    case 7:
        tile(c, a, b, depth, 7, vectors);
        break;
    case 8:
        tile(c, a, b, depth, 8, vectors);
        break;
    case 9:
        tile(c, a, b, depth, 9, vectors);
        break;
    case 10:
        tile(c, a, b, depth, 10, vectors);
        break;
    case 11:
        tile(c, a, b, depth, 11, vectors);
        break;
    case 12:
        tile(c, a, b, depth, 12, vectors);
        break;
    case 13:
        tile(c, a, b, depth, 13, vectors);
        break;
#endif
    default:
        tile(c, a, b, depth, TILE_ROWS, vectors);
        break;
    }
}

/* One tile of `width` columns, LANES or PANEL. */
static void tile_any(struct loom_target c, struct loom_matrix a, const float *b, size_t depth, size_t rows,
                     size_t width) {
    if (width == PANEL)
        tile_of(c, a, b, depth, rows, TILE_VECTORS);
    else
        tile_of(c, a, b, depth, rows, 1);
}

/* A tile of which only some columns belong to c. */
static void tile_part(struct loom_target c, struct loom_matrix a, const float *b, size_t depth, size_t rows,
                      size_t width, size_t columns) {
    _Alignas(64) float whole[TILE_ROWS * PANEL];
    tile_any((struct loom_target){whole, width, false}, a, b, depth, rows, width);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            float *to = c.data + i * c.row + j;
            *to = c.accumulate ? *to + whole[i * width + j] : whole[i * width + j];
        }
    }
}

/* ---- blocks --------------------------------------------------------------------------------------------------------
 */

/* A tile's rows of the left factor are copied when several panels will read them: rows that lie a power of two apart
 * would evict each other from the first cache. */
enum { STAGED_DEPTH = 512, STAGED_WIDTH = (TILE_ROWS + LANES - 1) / LANES * LANES };
enum {
    STAGED_SIZE = TILE_ROWS * (STAGED_DEPTH + LANES) > STAGED_DEPTH *STAGED_WIDTH ? TILE_ROWS *(STAGED_DEPTH + LANES)
                                                                                  : STAGED_DEPTH *STAGED_WIDTH
};

static struct loom_matrix stage_rows(float *to, struct loom_matrix a, size_t rows, size_t depth) {
    const size_t row = (depth + LANES - 1) / LANES * LANES + LANES;
    for (size_t i = 0; i < rows; i++) {
        const float *from = a.data + i * a.row;
        size_t k = 0;
        for (; k + LANES <= depth; k += LANES)
            vec_store(to + i * row + k, vec_load(from + k));
        for (; k < depth; k++)
            to[i * row + k] = from[k];
    }
    return (struct loom_matrix){to, row, 1};
}

/* The same for a transposed left factor. Whole vectors are read as long as they end before a's last element does. */
static struct loom_matrix stage_columns(float *to, struct loom_matrix a, size_t rows, size_t depth) {
    const size_t end = (depth - 1) * a.column + rows;
    size_t k = 0;
    for (; k < depth && k * a.column + STAGED_WIDTH <= end; k++) {
        for (size_t i = 0; i < STAGED_WIDTH; i += LANES)
            vec_store(to + k * STAGED_WIDTH + i, vec_load(a.data + k * a.column + i));
    }
    for (; k < depth; k++) {
        for (size_t i = 0; i < rows; i++)
            to[k * STAGED_WIDTH + i] = a.data[k * a.column + i];
    }
    return (struct loom_matrix){to, 1, STAGED_WIDTH};
}

/* One tile's rows against every panel. */
static void multiply_rows(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows, size_t depth) {
    for (size_t j = 0; j < b.columns; j += PANEL) {
        struct loom_target to = {c.data + j, c.row, c.accumulate};
        size_t columns = b.columns - j, width = columns > LANES ? PANEL : LANES;
        const float *right = b.data + j * b.depth + b.first * width;
        if (columns >= width)
            tile_any(to, a, right, depth, rows, width);
        else
            tile_part(to, a, right, depth, rows, width, columns);
    }
}

/* Rows are dealt evenly to the fewest tiles: 16 rows are two tiles of 8, not 14 and 2. Tiles are outermost, so that a's
 * rows stay in the first cache while the panels pass. */
void loom_cpu_multiply(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows, size_t depth) {
    _Alignas(64) float staged[STAGED_SIZE];
    const bool stage = b.columns > PANEL && depth > 0 && depth <= STAGED_DEPTH;
    const size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (size_t t = 0, row = 0; t < tiles; t++) {
        size_t count = (rows - row + tiles - t - 1) / (tiles - t);
        struct loom_matrix left = {a.data + row * a.row, a.row, a.column};
        if (stage)
            left = a.column == 1 ? stage_rows(staged, left, count, depth) : stage_columns(staged, left, count, depth);
        multiply_rows((struct loom_target){c.data + row * c.row, c.row, c.accumulate}, left, b, count, depth);
        row += count;
    }
}

/* ---- dot products --------------------------------------------------------------------------------------------------
 */

/* Adds up the lanes of the sums and the products beyond the last full vector. */
static void dot_finish(struct loom_target c, const float *sums, const float *x, size_t ldx, const float *w, size_t ldw,
                       size_t depth, size_t rows, size_t columns) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            const float *lane = sums + (i * columns + j) * LANES;
            float total = 0;
#pragma omp simd reduction(+ : total)
            for (size_t l = 0; l < LANES; l++)
                total += lane[l];
            for (size_t k = depth / LANES * LANES; k < depth; k++)
                total += x[i * ldx + k] * w[j * ldw + k];
            float *to = c.data + i * c.row + j;
            *to = c.accumulate ? *to + total : total;
        }
    }
}

/* c (rows, columns) of dot products along the depth; rows and columns are constants where it is inlined. */
static inline __attribute__((always_inline)) void dot_tile(struct loom_target c, const float *x, size_t ldx,
                                                           const float *w, size_t ldw, size_t depth, const int rows,
                                                           const int columns) {
    vec sum[DOT_ROWS][DOT_COLUMNS] = {0};
    for (size_t k = 0; k + LANES <= depth; k += LANES) {
        vec left[DOT_ROWS];
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++)
            left[i] = vec_load(x + (size_t)i * ldx + k);
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++) {
            vec right = vec_load(w + (size_t)j * ldw + k);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++)
                sum[i][j] += left[i] * right;
        }
    }
    _Alignas(64) float lanes[DOT_ROWS * DOT_COLUMNS * LANES];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++)
            vec_store(lanes + (i * columns + j) * LANES, sum[i][j]);
    }
    dot_finish(c, lanes, x, ldx, w, ldw, depth, (size_t)rows, (size_t)columns);
}

static inline __attribute__((always_inline)) void dot_tile_of(struct loom_target c, const float *x, size_t ldx,
                                                              const float *w, size_t ldw, size_t depth, size_t rows,
                                                              const int columns) {
    switch (rows) {
    case 1:
        dot_tile(c, x, ldx, w, ldw, depth, 1, columns);
        break;
    case 2:
        dot_tile(c, x, ldx, w, ldw, depth, 2, columns);
        break;
#if defined(__AVX512F__)
    case 3:
        dot_tile(c, x, ldx, w, ldw, depth, 3, columns);
        break;
    case 4:
        dot_tile(c, x, ldx, w, ldw, depth, 4, columns);
        break;
    case 5:
        dot_tile(c, x, ldx, w, ldw, depth, 5, columns);
        break;
#endif
    default:
        dot_tile(c, x, ldx, w, ldw, depth, DOT_ROWS, columns);
        break;
    }
}

void loom_cpu_dots(struct loom_target c, const float *x, size_t ldx, const float *w, size_t ldw, size_t rows,
                   size_t columns, size_t depth) {
    size_t tiles = (rows + DOT_ROWS - 1) / DOT_ROWS;
    for (size_t j = 0; j < columns;) {
        bool full = columns - j >= DOT_COLUMNS;
        for (size_t t = 0, row = 0; t < tiles; t++) {
            size_t count = (rows - row + tiles - t - 1) / (tiles - t);
            struct loom_target to = {c.data + row * c.row + j, c.row, c.accumulate};
            if (full)
                dot_tile_of(to, x + row * ldx, ldx, w + j * ldw, ldw, depth, count, DOT_COLUMNS);
            else
                dot_tile_of(to, x + row * ldx, ldx, w + j * ldw, ldw, depth, count, 1);
            row += count;
        }
        j += full ? DOT_COLUMNS : 1;
    }
}
