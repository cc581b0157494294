/* isa_tile.c - packing, the register tile and the tile of dot products; see isa_tile.h. */
#include "kernel/cpu/isa_tile.h"

#include "kernel/cpu/isa_strip.h"
#include "kernel/cpu/isa_transpose.h"

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* Packs LANES columns that lie as rows of b, ldb apart: to[k*width + column] = b[column*ldb + k]. */
static void pack_transposed(float *to, size_t width, const float *b, size_t ldb, size_t depth, size_t columns) {
    size_t k = 0;
    for (; k + LANES <= depth && columns == LANES; k += LANES) {
        vec block[LANES];
        LOOM_UNROLL
        for (size_t i = 0; i < LANES; i++)
            block[i] = vec_load(b + i * ldb + k);
        transpose(block);
        LOOM_UNROLL
        for (size_t i = 0; i < LANES; i++)
            vec_store(to + (k + i) * width, block[i]);
    }
    for (; k < depth; k++) {
        for (size_t column = 0; column < LANES; column++)
            to[k * width + column] = column < columns ? b[column * ldb + k] : 0.0f;
    }
}

/* Where columns j .. j+LANES-1 of a packed factor lie, and the width of the panel they are in. */
static float *packed_at(float *to, size_t j, size_t depth, size_t columns, size_t *width) {
    const size_t panel = j / PANEL * PANEL;
    *width = columns - panel > LANES ? PANEL : LANES;
    return to + panel * depth + (j - panel);
}

/* Packs a factor whose rows are contiguous, row by row, as memory is read best. */
static void pack_rows(float *to, struct loom_matrix b, size_t depth, size_t columns) {
    size_t width;
    for (size_t k = 0; k < depth; k++) {
        const float *row = b.data + k * b.row;
        size_t j = 0;
        for (; j + LANES <= columns; j += LANES) {
            float *start = packed_at(to, j, depth, columns, &width);
            vec_store(start + k * width, vec_load(row + j));
        }
        if (j < columns) {
            float *start = packed_at(to, j, depth, columns, &width);
            for (size_t i = 0; i < LANES; i++)
                start[k * width + i] = j + i < columns ? row[j + i] : 0.0f;
        }
    }
}

struct loom_panels loom_cpu_pack(float *to, struct loom_matrix b, size_t depth, size_t columns) {
    if (b.column == 1)
        pack_rows(to, b, depth, columns);
    for (size_t j = 0; j < columns && b.column != 1; j += LANES) {
        size_t width;
        float *start = packed_at(to, j, depth, columns, &width);
        pack_transposed(start, width, b.data + j * b.column, b.column, depth, least(LANES, columns - j));
    }
    return (struct loom_panels){to, depth, 0, columns, false};
}

/* ---- the register tile ------------------------------------------------------------------------------------------- */

/* One tile of `rows` by `vectors`, both constants where it is inlined. Rows are reached in threes from one pointer,
 * which keeps the number of pointers within the processor's registers. */
static inline __attribute__((always_inline)) void tile(struct loom_target c, struct loom_matrix a, const float *b,
                                                       size_t depth, const int rows, const int vectors) {
    vec sum[TILE_ROWS][TILE_VECTORS] = {0};
    const float *from[(TILE_ROWS + 2) / 3];
    LOOM_UNROLL
    for (int i = 0; i < (rows + 2) / 3; i++)
        from[i] = a.data + (size_t)(3 * i) * a.row;
    /* The result's lines come while the sums are made. */
    LOOM_UNROLL
    for (int i = 0; i < rows; i++) {
        LOOM_UNROLL
        for (int v = 0; v < vectors; v++)
            __builtin_prefetch(c.data + (size_t)i * c.row + v * LANES, 1);
    }
    for (size_t k = 0; k < depth; k++) {
        vec right[TILE_VECTORS];
        LOOM_UNROLL
        for (int v = 0; v < vectors; v++)
            right[v] = *(const vec *)(b + v * LANES);
        b += vectors * LANES;
        LOOM_UNROLL
        for (int i = 0; i < rows; i++) {
            float left = from[i / 3][(size_t)(i % 3) * a.row];
            LOOM_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[i][v] += left * right[v];
        }
        LOOM_UNROLL
        for (int i = 0; i < (rows + 2) / 3; i++)
            from[i] += a.column;
    }
    LOOM_UNROLL
    for (int i = 0; i < rows; i++) {
        LOOM_UNROLL
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

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* How much of the depth is staged at once; both layouts fit. */
enum { STAGED_DEPTH = 768, STAGED_WIDTH = (TILE_ROWS + LANES - 1) / LANES * LANES };
enum {
    STAGED_SIZE = TILE_ROWS * (STAGED_DEPTH + LANES) > STAGED_DEPTH *STAGED_WIDTH ? TILE_ROWS *(STAGED_DEPTH + LANES)
                                                                                  : STAGED_DEPTH *STAGED_WIDTH
};

/* Rows that lie a multiple of half a way of the first cache apart, 2 KiB, would evict each other from it. */
static bool crowded(size_t row) {
    return row % 512 == 0;
}

/* One tile, whose rows are contiguous. */
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

/* Row k of all tiles of a strip whose columns are contiguous, when whole vectors may be read. */
static inline void stage_row(float *to, const float *row, const size_t *start, size_t tiles) {
    for (size_t t = 0; t < tiles; t++) {
        for (size_t lane = 0; lane < STAGED_WIDTH; lane += LANES)
            vec_store(to + t * STAGED_SIZE + lane, vec_load(row + start[t] + lane));
    }
}

/* All tiles of a strip whose columns are contiguous; tile t is at to + t * STAGED_SIZE. Whole vectors are read as long
 * as they end before the strip's last element does. */
static void stage_columns(float *to, const struct strip *s) {
    size_t start[STAGED_TILES];
    for (size_t t = 0; t < s->tiles; t++)
        start[t] = tile_start(s, t);
    const size_t column = s->a.column, longest = start[s->tiles - 1] + STAGED_WIDTH;
    const size_t end = (s->depth - 1) * column + s->rows;
    const float *row = s->a.data;
    size_t k = 0;
    for (; k < s->depth && k * column + longest <= end; k++, row += column) {
        const float *ahead = k + AHEAD < s->depth ? row + AHEAD * column : row;
        for (size_t i = 0; i < s->rows; i += LINE)
            __builtin_prefetch(ahead + i);
        __builtin_prefetch(ahead + s->rows - 1);
        stage_row(to + k * STAGED_WIDTH, row, start, s->tiles);
    }
    for (; k < s->depth; k++, row += column) {
        for (size_t t = 0; t < s->tiles; t++) {
            for (size_t i = 0; i < tile_rows(s, t); i++)
                to[t * STAGED_SIZE + k * STAGED_WIDTH + i] = row[start[t] + i];
        }
    }
}

/* One tile's rows against every panel. */
static void multiply_rows(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows, size_t depth,
                          struct coming *coming) {
    for (size_t j = 0; j < b.columns; j += PANEL) {
        fetch_some(&coming->left);
        fetch_some(&coming->behind);
        struct loom_target to = {c.data + j, c.row, c.accumulate};
        size_t columns = b.columns - j, width = columns > LANES ? PANEL : LANES;
        const float *right = b.data + j * b.depth + b.first * width;
        if (columns >= width)
            tile_any(to, a, right, depth, rows, width);
        else
            tile_part(to, a, right, depth, rows, width, columns);
    }
}

/* `more` rows of the left factor follow the strip's. Tiles are outermost, so that a's rows stay in the first cache
 * while the panels pass. */
static void multiply_strip(struct loom_target c, const struct strip *s, struct loom_panels b, float *stage, size_t more,
                           struct coming *coming) {
    const bool along = s->a.column == 1, staged = b.columns > PANEL && s->depth > 0 && s->depth <= STAGED_DEPTH;
    const size_t panels = (b.columns + PANEL - 1) / PANEL;
    if (!along && staged) {
        const struct loom_ahead next = {s->a.data + s->rows, s->a.column, more > 0 ? s->depth : 0,
                                        least(more, s->rows)};
        coming->left = fetch_of(next, panels * s->tiles);
        stage_columns(stage, s);
    }
    for (size_t t = 0; t < s->tiles; t++) {
        const size_t row = tile_start(s, t), rows = tile_rows(s, t);
        struct loom_matrix left = {s->a.data + row * s->a.row, s->a.row, s->a.column};
        if (along) {
            const size_t behind = s->rows + more - row - rows;
            coming->left = fetch_of(
                (struct loom_ahead){left.data + rows * left.row, left.row, least(rows, behind), s->depth}, panels);
        }
        if (along && staged && crowded(left.row))
            left = stage_rows(stage, left, rows, s->depth);
        else if (!along && staged)
            left = (struct loom_matrix){stage + t * STAGED_SIZE, 1, STAGED_WIDTH};
        multiply_rows((struct loom_target){c.data + row * c.row, c.row, c.accumulate}, left, b, rows, s->depth, coming);
    }
}

/* Rows are dealt evenly to the fewest tiles: 16 rows are two tiles of 8, not 14 and 2. */
static void multiply(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows, size_t depth,
                     float *stage, size_t most, struct loom_ahead next) {
    const size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    struct coming coming = {.behind = fetch_of(next, tiles * ((b.columns + PANEL - 1) / PANEL))};
    for (size_t t = 0, row = 0; t < tiles; t += most) {
        struct strip s = {{a.data + row * a.row, a.row, a.column}, LOOM_STORAGE_REAL, 0, least(most, tiles - t), depth};
        s.rows = (t + s.tiles) * rows / tiles - row;
        multiply_strip((struct loom_target){c.data + row * c.row, c.row, c.accumulate}, &s, b, stage,
                       rows - row - s.rows, &coming);
        row += s.rows;
    }
}

void loom_cpu_multiply(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows, size_t depth) {
    _Alignas(64) float stage[STAGED_SIZE];
    multiply(c, a, b, rows, depth, stage, 1, (struct loom_ahead){NULL, 0, 0, 0});
}

void loom_cpu_multiply_large(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows,
                             size_t depth, float *stage, struct loom_ahead next) {
    multiply(c, a, b, rows, depth, stage, STAGED_TILES, next);
}

/* ---- dot products ------------------------------------------------------------------------------------------------ */

/* What the elements beyond the last whole vector add to a tile of dot products. */
static void add_rest(float *total, struct loom_matrix x, struct loom_matrix w, size_t depth, size_t rows,
                     size_t columns) {
    for (size_t i = 0; i < rows * columns; i++) {
        const float *left = x.data + i / columns * x.row, *right = w.data + i % columns * w.row;
        for (size_t k = depth / LANES * LANES; k < depth; k++)
            total[i] += left[k] * right[k];
    }
}

/* Writes the first rows * columns totals where they belong. */
static void put_totals(struct loom_target c, size_t c_column, const float *total, size_t rows, size_t columns) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            float *to = c.data + i * c.row + j * c_column;
            *to = c.accumulate ? *to + total[i * columns + j] : total[i * columns + j];
        }
    }
}

/* rows x columns <= LANES dot products at once; both are constants where it is inlined. */
static inline __attribute__((always_inline)) void dot_tile(struct loom_target c, size_t c_column, struct loom_matrix x,
                                                           struct loom_matrix w, size_t depth, const int rows,
                                                           const int columns) {
    vec sum[LANES] = {0};
    for (size_t k = 0; k + LANES <= depth; k += LANES) {
        vec left[DOT_ROWS];
        LOOM_UNROLL
        for (int i = 0; i < rows; i++)
            left[i] = vec_load(x.data + (size_t)i * x.row + k);
        LOOM_UNROLL
        for (int j = 0; j < columns; j++) {
            const vec right = vec_load(w.data + (size_t)j * w.row + k);
            LOOM_UNROLL
            for (int i = 0; i < rows; i++)
                sum[i * columns + j] += left[i] * right;
        }
    }
    _Alignas(64) float total[LANES];
    vec_store(total, vec_totals(sum));
    if (depth % LANES != 0)
        add_rest(total, x, w, depth, (size_t)rows, (size_t)columns);
    put_totals(c, c_column, total, (size_t)rows, (size_t)columns);
}

static void dot_tile_of(struct loom_target c, size_t c_column, struct loom_matrix x, struct loom_matrix w, size_t depth,
                        size_t rows, size_t columns) {
    if (columns == 1) {
        dot_tile(c, c_column, x, w, depth, 1, 1);
    } else if (columns == LANES / 2) {
        if (rows == 1)
            dot_tile(c, c_column, x, w, depth, 1, LANES / 2);
        else
            dot_tile(c, c_column, x, w, depth, 2, LANES / 2);
#if defined(__AVX512F__)
    } else if (rows == 2) {
        dot_tile(c, c_column, x, w, depth, 2, LANES / 4);
    } else if (rows == 3) {
        dot_tile(c, c_column, x, w, depth, 3, LANES / 4);
    } else {
        dot_tile(c, c_column, x, w, depth, 4, LANES / 4);
#endif
    }
}

/* One block of columns for all rows, which are dealt evenly to the fewest tiles. */
static void dot_columns(struct loom_target c, size_t c_column, struct loom_matrix x, struct loom_matrix w, size_t rows,
                        size_t columns, size_t depth) {
    const size_t most = columns == 1 ? 1 : DOT_ROWS, tiles = (rows + most - 1) / most;
    for (size_t t = 0, row = 0; t < tiles; t++) {
        const size_t count = (rows - row + tiles - t - 1) / (tiles - t);
        const struct loom_target to = {c.data + row * c.row, c.row, c.accumulate};
        dot_tile_of(to, c_column, (struct loom_matrix){x.data + row * x.row, x.row, 1}, w, depth, count, columns);
        row += count;
    }
}

/* One row of x, and the columns one after another. A single load walks along w, and behind a row's end along the next:
 * that the processor foresees, and reads at the memory's rate; of 16 loads at 16 places it foresees less (measured: two
 * thirds of that rate, and of four or eight half). Even and odd vectors apart, so that one sum need not wait for the
 * other. */
static void dot_row(struct loom_target c, size_t c_column, const float *x, struct loom_matrix w, size_t columns,
                    size_t depth) {
    for (size_t j = 0; j < columns; j++) {
        const float *column = w.data + j * w.row;
        float *to = c.data + j * c_column, rest = 0;
        vec even = {0}, odd = {0};
        size_t k = 0;
        for (; k + 2 * LANES <= depth; k += 2 * LANES) {
            even += vec_load(x + k) * vec_load(column + k);
            odd += vec_load(x + k + LANES) * vec_load(column + k + LANES);
        }
        for (; k < depth; k++)
            rest += x[k] * column[k];
        const float total = vec_total(even + odd) + rest;
        *to = c.accumulate ? *to + total : total;
    }
}

void loom_cpu_dots(struct loom_target c, size_t c_column, struct loom_matrix x, struct loom_matrix w, size_t rows,
                   size_t columns, size_t depth) {
    /* As many columns as fill a vector of results with those of the tile that has most rows. */
    const size_t block = rows == 2 ? LANES / 2 : LANES / DOT_ROWS;
    if (rows == 1) {
        dot_row(c, c_column, x.data, w, columns, depth);
        return;
    }
    for (size_t j = 0; j < columns;) {
        const size_t step = columns - j >= block ? block : 1;
        const struct loom_target to = {c.data + j * c_column, c.row, c.accumulate};
        dot_columns(to, c_column, x, (struct loom_matrix){w.data + j * w.row, w.row, 1}, rows, step, depth);
        j += step;
    }
}

/* ---- sums of rows ------------------------------------------------------------------------------------------------ */

/* c[j] = the sum over k of a[k] b[k][j], for a few vectors that stay in registers. */
static inline __attribute__((always_inline)) void sum_rows(float *c, bool accumulate, const float *a,
                                                           struct loom_matrix b, size_t depth, const int vectors) {
    vec sum[2 * TILE_VECTORS] = {0};
    LOOM_UNROLL
    for (int v = 0; v < vectors && accumulate; v++)
        sum[v] = vec_load(c + v * LANES);
    for (size_t k = 0; k < depth; k++) {
        LOOM_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] += a[k] * vec_load(b.data + k * b.row + (size_t)v * LANES);
    }
    LOOM_UNROLL
    for (int v = 0; v < vectors; v++)
        vec_store(c + v * LANES, sum[v]);
}

/* The columns left over beyond whole vectors. */
static void sum_rest(float *c, bool accumulate, const float *a, struct loom_matrix b, size_t depth, size_t columns) {
    for (size_t j = 0; j < columns; j++) {
        float sum = accumulate ? c[j] : 0;
        for (size_t k = 0; k < depth; k++)
            sum += a[k] * b.data[k * b.row + j];
        c[j] = sum;
    }
}

void loom_cpu_sums(struct loom_target c, struct loom_matrix a, struct loom_matrix b, size_t rows, size_t depth,
                   size_t columns) {
    for (size_t i = 0; i < rows; i++) {
        float *to = c.data + i * c.row;
        const float *left = a.data + i * a.row;
        struct loom_matrix right = b;
        size_t j = 0;
        for (; j + 2 * PANEL <= columns; j += 2 * PANEL, right.data += 2 * PANEL)
            sum_rows(to + j, c.accumulate, left, right, depth, 2 * TILE_VECTORS);
        for (; j + LANES <= columns; j += LANES, right.data += LANES)
            sum_rows(to + j, c.accumulate, left, right, depth, 1);
        sum_rest(to + j, c.accumulate, left, right, depth, columns - j);
    }
}
