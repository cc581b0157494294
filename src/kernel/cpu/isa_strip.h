/* isa_strip.h - how a product walks over its left factor, in strips of a few tiles, and what it asks the memory for
 * meanwhile. */
#ifndef LOOM_KERNEL_CPU_ISA_STRIP_H
#define LOOM_KERNEL_CPU_ISA_STRIP_H

#include "kernel/cpu/isa_tile.h"

/* How many tiles of a transposed left factor are staged at once, so that memory is read along its rows; the next ones
 * come to the second cache meanwhile. */
enum { STAGED_TILES = 4 };

/* Rows of a narrow block lie too far apart for the processor to guess the next one. */
enum { AHEAD = 16 };

/* A part of the left factor: `rows` in `tiles` tiles, dealt evenly. */
struct strip {
    struct loom_matrix a;
    enum loom_storage format; /* of a */
    size_t rows, tiles, depth;
};

static inline size_t tile_start(const struct strip *s, size_t tile) {
    return tile * s->rows / s->tiles;
}

static inline size_t tile_rows(const struct strip *s, size_t tile) {
    return tile_start(s, tile + 1) - tile_start(s, tile);
}

/* What is read next, asked for a little with every tile: its way from memory takes as long as some of them. */
struct fetch {
    const float *data;
    size_t row, rows, lines; /* rows that are left, and lines of a row */
    size_t line, share;      /* of this row; lines a tile */
};

static inline struct fetch fetch_of(struct loom_ahead next, size_t tiles) {
    const size_t lines = (next.length + LINE - 1) / LINE;
    const size_t share = tiles > 0 ? (next.rows * lines + tiles - 1) / tiles : 0;
    return (struct fetch){next.data, next.row, next.rows, lines, 0, share};
}

static inline void fetch_some(struct fetch *s) {
    for (size_t i = 0; i < s->share && s->rows > 0; i++) {
        __builtin_prefetch(s->data + s->line * LINE, 0, 2);
        if (++s->line == s->lines) {
            s->line = 0;
            s->data += s->row;
            s->rows--;
        }
    }
}

/* What comes behind a strip of the left factor, and behind all of the product. */
struct coming {
    struct fetch left, behind;
};

#endif
