/* isa_tile.h - products of small blocks, the parts that linear layers and attention are made of.
 *
 * c = a b is computed in tiles of TILE_ROWS x PANEL that stay in registers. The right factor is packed in panels of
 * PANEL columns, so that a tile reads it as one stream; the left factor is read where it lies, one element broadcast at
 * a time, with any two strides, so that the same code multiplies x W^T, dy W and dy^T x. Goto & van de Geijn 2008.
 */
#ifndef LOOM_KERNEL_CPU_ISA_TILE_H
#define LOOM_KERNEL_CPU_ISA_TILE_H

#include <stdint.h>

#include "kernel/cpu/isa.h"

#define loom_cpu_pack LOOM_ISA_NAME(loom_cpu_pack)
#define loom_cpu_multiply LOOM_ISA_NAME(loom_cpu_multiply)
#define loom_cpu_multiply_large LOOM_ISA_NAME(loom_cpu_multiply_large)
#define loom_cpu_dots LOOM_ISA_NAME(loom_cpu_dots)
#define loom_cpu_sums LOOM_ISA_NAME(loom_cpu_sums)
#define loom_cpu_pack_bf16 LOOM_ISA_NAME(loom_cpu_pack_bf16)
#define loom_cpu_multiply_bf16 LOOM_ISA_NAME(loom_cpu_multiply_bf16)
#define loom_cpu_multiply_large_bf16 LOOM_ISA_NAME(loom_cpu_multiply_large_bf16)

/* Element (i,j) is data[i*row + j*column]. Where a function is told another format than float, `data` is only where the
 * elements lie. */
struct loom_matrix {
    const float *data;
    size_t row, column;
};

/* A packed right factor. Panel p is at data + p*depth*PANEL and is (depth, PANEL); the last one is (depth, LANES) when
 * that many columns are enough. Columns beyond `columns` are zero. A product may use only a part of the depth: rows
 * `first` onwards. */
struct loom_panels {
    const float *data;
    size_t depth, first, columns;
    bool bf16; /* an element is a word of two; `first` is even */
};

/* Where a product goes: row i starts at data + i*row. */
struct loom_target {
    float *data;
    size_t row;
    bool accumulate;
};

/* Floats that the panels of (depth, columns) take. */
static inline size_t loom_cpu_packed_size(size_t depth, size_t columns) {
    return depth * ((columns + LANES - 1) / LANES * LANES);
}

/* Packs b (depth, columns), one of whose strides is 1, into `to`, which has loom_cpu_packed_size floats, aligned to a
 * vector. */
struct loom_panels loom_cpu_pack(float *to, struct loom_matrix b, size_t depth, size_t columns);

/* c = a b or += : c (rows, b.columns), a (rows, depth), b's rows b.first .. b.first+depth-1. Each element is one sum in
 * the order of the depth. */
void loom_cpu_multiply(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows, size_t depth);

/* `rows` rows of `length` floats, `row` floats apart, that are read behind a product: they are asked for meanwhile. */
struct loom_ahead {
    const float *data;
    size_t row, rows, length;
};

/* The same for many rows, with LOOM_CPU_STAGE floats of scratch for the left factor. */
enum { LOOM_CPU_STAGE = 1 << 16 };
void loom_cpu_multiply_large(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows,
                             size_t depth, float *stage, struct loom_ahead next);

/* The same three with both factors rounded to bf16, where this instruction set has it. */
struct loom_panels loom_cpu_pack_bf16(float *to, struct loom_matrix b, enum loom_storage format, size_t depth,
                                      size_t columns);
void loom_cpu_multiply_bf16(struct loom_target c, struct loom_matrix a, enum loom_storage format, struct loom_panels b,
                            size_t rows, size_t depth);
void loom_cpu_multiply_large_bf16(struct loom_target c, struct loom_matrix a, enum loom_storage format,
                                  struct loom_panels b, size_t rows, size_t depth, float *stage,
                                  struct loom_ahead next);

/* Panels of one of the two formats, from a matrix in either; in bf16 only for such panels. */
static inline struct loom_panels loom_cpu_pack_from(bool bf16, float *to, struct loom_matrix b,
                                                    enum loom_storage format, size_t depth, size_t columns) {
#if defined(__AVX512BF16__)
    if (bf16)
        return loom_cpu_pack_bf16(to, b, format, depth, columns);
#endif
    (void)bf16;
    (void)format;
    return loom_cpu_pack(to, b, depth, columns);
}

static inline struct loom_panels loom_cpu_pack_as(bool bf16, float *to, struct loom_matrix b, size_t depth,
                                                  size_t columns) {
    return loom_cpu_pack_from(bf16, to, b, LOOM_STORAGE_REAL, depth, columns);
}

/* In the format of b; a's may be another than float only where b's is. */
static inline void loom_cpu_multiply_from(struct loom_target c, struct loom_matrix a, enum loom_storage format,
                                          struct loom_panels b, size_t rows, size_t depth) {
#if defined(__AVX512BF16__)
    if (b.bf16) {
        loom_cpu_multiply_bf16(c, a, format, b, rows, depth);
        return;
    }
#endif
    (void)format;
    loom_cpu_multiply(c, a, b, rows, depth);
}

static inline void loom_cpu_multiply_as(struct loom_target c, struct loom_matrix a, struct loom_panels b, size_t rows,
                                        size_t depth) {
    loom_cpu_multiply_from(c, a, LOOM_STORAGE_REAL, b, rows, depth);
}

static inline void loom_cpu_multiply_large_as(struct loom_target c, struct loom_matrix a, enum loom_storage format,
                                              struct loom_panels b, size_t rows, size_t depth, float *stage,
                                              struct loom_ahead next) {
#if defined(__AVX512BF16__)
    if (b.bf16) {
        loom_cpu_multiply_large_bf16(c, a, format, b, rows, depth, stage, next);
        return;
    }
#endif
    (void)format;
    loom_cpu_multiply_large(c, a, b, rows, depth, stage, next);
}

/* c = x w^T or += without packing: x (rows, depth) and w (columns, depth) have contiguous rows; element (i,j) goes to
 * c.data[i*c.row + j*c_column]. For few rows, where w is read once. */
void loom_cpu_dots(struct loom_target c, size_t c_column, struct loom_matrix x, struct loom_matrix w, size_t rows,
                   size_t columns, size_t depth);

/* c = a b or += without packing: a (rows, depth) and b (depth, columns) have contiguous rows. For few rows. */
void loom_cpu_sums(struct loom_target c, struct loom_matrix a, struct loom_matrix b, size_t rows, size_t depth,
                   size_t columns);

#endif
