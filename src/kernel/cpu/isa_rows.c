/* isa_rows.c - arrays of rows: against one value for each column or one for each row, by token id, and to the experts
 * and back. Threads share the rows; sums over rows are shared by columns, so that each is one sum in row order. */
#include "kernel/cpu/isa_rows.h"

#include <string.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_format.h"

/* y[c] += factor * x[c]. */
static void add_row_scaled(float *y, float factor, const float *x, size_t cols) {
#pragma omp simd
    for (size_t c = 0; c < cols; c++)
        y[c] += factor * x[c];
}

static void add_one_row(float *y, const float *x, size_t cols) {
#pragma omp simd
    for (size_t c = 0; c < cols; c++)
        y[c] += x[c];
}

/* The arguments of one call; each kernel uses some. Rows have `cols` elements and lie cols apart, or ldy and ldx. */
struct rows {
    float *y;
    const float *x, *dy;
    const float *weight; /* one number a row */
    const float *row;    /* one number a column */
    float *sums;         /* one number a row, or a column */
    const int *ids;
    size_t rows, cols, ldy, ldx, top_k;
    bool accumulate;
};

static void copy_columns_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t r = part.first; r < part.end; r++) {
        if (s->accumulate)
            add_one_row(s->y + r * s->ldy, s->x + r * s->ldx, s->cols);
        else
            memcpy(s->y + r * s->ldy, s->x + r * s->ldx, s->cols * sizeof *s->y);
    }
}

static void copy_columns(const struct loom_kernels *k, real *y, size_t ldy, const real *x, size_t ldx, size_t rows,
                         size_t cols, bool accumulate) {
    loom_cpu_share(k, rows, cols, copy_columns_part,
                   &(struct rows){.y = y, .x = x, .cols = cols, .ldy = ldy, .ldx = ldx, .accumulate = accumulate});
}

struct heads {
    struct loom_view y, x;
    size_t rows, heads, width;
};

static void copy_heads_part(const void *job, struct loom_cpu_part part) {
    const struct heads *s = job;
    for (size_t r = part.first; r < part.end; r++) {
        const size_t y = r / s->rows * s->y.batch + r % s->rows * s->y.row;
        const size_t x = r / s->rows * s->x.batch + r % s->rows * s->x.row;
        for (size_t h = 0; h < s->heads; h++) {
            void *to = loom_view_from(s->y, y + h * s->y.head).data;
            const float *from = loom_view_from(s->x, x + h * s->x.head).data;
            if (s->y.format == s->x.format)
                memcpy(to, from, s->width * loom_storage_size(s->x.format));
            else
                round_to_bf16(to, from, s->width);
        }
    }
}

static void copy_heads(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch, size_t rows,
                       size_t heads, size_t width) {
    loom_cpu_share(k, batch * rows, heads * width, copy_heads_part, &(struct heads){y, x, rows, heads, width});
}

static void add_row_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t r = part.first; r < part.end; r++)
        add_one_row(s->y + r * s->cols, s->row, s->cols);
}

static void add_row(const struct loom_kernels *k, real *y, const real *row, size_t rows, size_t cols) {
    loom_cpu_share(k, rows, cols, add_row_part, &(struct rows){.y = y, .row = row, .cols = cols});
}

/* The sums of one block of columns of rows that are in another format. */
static void add_rounded_sums(float *total, const uint16_t *dy, size_t rows, size_t cols, size_t first) {
    const size_t width = least(cols - first, COLUMN_BLOCK);
    double sum[COLUMN_BLOCK] = {0};
    for (size_t r = 0; r < rows; r++) {
        float row[COLUMN_BLOCK];
        widen_bf16(row, dy + r * cols + first, width);
        for (size_t c = 0; c < width; c++)
            sum[c] += (double)row[c];
    }
    for (size_t c = 0; c < width; c++)
        total[first + c] += (float)sum[c];
}

struct row_sums {
    float *sums;
    const void *dy;
    enum loom_storage format;
    size_t rows, cols;
};

static void sum_rows_part(const void *job, struct loom_cpu_part part) {
    const struct row_sums *s = job;
    for (size_t first = part.first * COLUMN_BLOCK; first < least(s->cols, part.end * COLUMN_BLOCK);
         first += COLUMN_BLOCK) {
        if (s->format == LOOM_STORAGE_BF16)
            add_rounded_sums(s->sums, s->dy, s->rows, s->cols, first);
        else
            add_column_sums(s->sums, s->dy, NULL, NULL, NULL, s->rows, s->cols, first);
    }
}

static void sum_rows(const struct loom_kernels *k, real *drow, const void *dy, enum loom_storage format, size_t rows,
                     size_t cols) {
    loom_cpu_share(k, column_blocks(cols), rows * COLUMN_BLOCK, sum_rows_part,
                   &(struct row_sums){drow, dy, format, rows, cols});
}

static void scale_columns_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t r = part.first; r < part.end; r++) {
        float *y = s->y + r * s->cols;
        const float *x = s->x + r * s->cols, *row = s->row;
#pragma omp simd
        for (size_t c = 0; c < s->cols; c++)
            y[c] = x[c] * row[c];
    }
}

static void scale_columns(const struct loom_kernels *k, real *y, const real *x, const real *row, size_t rows,
                          size_t cols) {
    loom_cpu_share(k, rows, cols, scale_columns_part, &(struct rows){.y = y, .x = x, .row = row, .cols = cols});
}

static void sum_products_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t block = part.first; block < part.end; block++)
        add_column_sums(s->sums, s->dy, s->x, NULL, NULL, s->rows, s->cols, block * COLUMN_BLOCK);
}

static void sum_products(const struct loom_kernels *k, real *drow, const real *dy, const real *x, size_t rows,
                         size_t cols) {
    loom_cpu_share(k, column_blocks(cols), rows * COLUMN_BLOCK, sum_products_part,
                   &(struct rows){.sums = drow, .dy = dy, .x = x, .rows = rows, .cols = cols});
}

static void add_scaled_rows_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t r = part.first; r < part.end; r++)
        add_row_scaled(s->y + r * s->cols, s->weight[r], s->x + r * s->cols, s->cols);
}

static void add_scaled_rows(const struct loom_kernels *k, real *y, const real *w, const real *x, size_t rows,
                            size_t cols) {
    loom_cpu_share(k, rows, cols, add_scaled_rows_part, &(struct rows){.y = y, .weight = w, .x = x, .cols = cols});
}

static void dot_rows_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t r = part.first; r < part.end; r++)
        s->sums[r] = row_dot(s->dy + r * s->cols, s->x + r * s->cols, s->cols);
}

static void dot_rows(const struct loom_kernels *k, real *dw, const real *dy, const real *x, size_t rows, size_t cols) {
    loom_cpu_share(k, rows, cols, dot_rows_part, &(struct rows){.sums = dw, .dy = dy, .x = x, .cols = cols});
}

/* ---- embedding --------------------------------------------------------------------------------------------------- */

static void embed_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t r = part.first; r < part.end; r++)
        memcpy(s->y + r * s->cols, s->x + (size_t)s->ids[r] * s->cols, s->cols * sizeof *s->y);
}

static void embed(const struct loom_kernels *k, real *y, const real *table, const int *ids, size_t rows, size_t cols) {
    loom_cpu_share(k, rows, cols, embed_part, &(struct rows){.y = y, .x = table, .ids = ids, .cols = cols});
}

static void embed_backward_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    const size_t first = part.first * COLUMN_BLOCK, end = least(s->cols, part.end * COLUMN_BLOCK);
    for (size_t r = 0; r < s->rows; r++)
        add_one_row(s->y + (size_t)s->ids[r] * s->cols + first, s->dy + r * s->cols + first, end - first);
}

/* Two rows may have the same id, so threads share the columns. */
static void embed_backward(const struct loom_kernels *k, real *dtable, const real *dy, const int *ids, size_t rows,
                           size_t cols) {
    loom_cpu_share(k, column_blocks(cols), rows * COLUMN_BLOCK, embed_backward_part,
                   &(struct rows){.y = dtable, .dy = dy, .ids = ids, .rows = rows, .cols = cols});
}

/* ---- experts ----------------------------------------------------------------------------------------------------- */

struct gathering {
    char *y;
    const char *x;
    const int *source;
    size_t row, top_k; /* bytes of a row */
};

static void gather_part(const void *job, struct loom_cpu_part part) {
    const struct gathering *s = job;
    for (size_t i = part.first; i < part.end; i++)
        memcpy(s->y + i * s->row, s->x + (size_t)s->source[i] / s->top_k * s->row, s->row);
}

static void gather(const struct loom_kernels *k, const struct loom_route *r, void *y, const void *x,
                   enum loom_storage format, const int *source, size_t cols) {
    loom_cpu_share(k, r->rows * r->top_k, cols, gather_part,
                   &(struct gathering){y, x, source, cols * loom_storage_size(format), r->top_k});
}

static void gather_backward_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t i = part.first * s->top_k; i < part.end * s->top_k; i++)
        add_one_row(s->y + i / s->top_k * s->cols, s->dy + (size_t)s->ids[i] * s->cols, s->cols);
}

static void gather_backward(const struct loom_kernels *k, const struct loom_route *r, real *dx, const real *dy,
                            const int *slot, size_t cols) {
    loom_cpu_share(k, r->rows, r->top_k * cols, gather_backward_part,
                   &(struct rows){.y = dx, .dy = dy, .ids = slot, .cols = cols, .top_k = r->top_k});
}

static void combine_part(const void *job, struct loom_cpu_part part) {
    const struct rows *s = job;
    for (size_t i = part.first * s->top_k; i < part.end * s->top_k; i++)
        add_row_scaled(s->y + i / s->top_k * s->cols, s->weight[i], s->x + (size_t)s->ids[i] * s->cols, s->cols);
}

static void combine(const struct loom_kernels *k, const struct loom_route *r, real *y, const real *x, const real *gates,
                    const int *slot, size_t cols) {
    loom_cpu_share(k, r->rows, r->top_k * cols, combine_part,
                   &(struct rows){.y = y, .x = x, .weight = gates, .ids = slot, .cols = cols, .top_k = r->top_k});
}

/* Choices that are asked for ahead. */
enum { CHOICES_AHEAD = 2 };

struct combination {
    struct loom_output dx;
    float *dgates;
    const float *dy, *x, *gates;
    const int *slot;
    size_t cols, top_k;
};

/* Row `at` of dx, in its format, = gate * dy. */
static void put_scaled_row(const struct combination *s, size_t at, float gate, const float *dy) {
    _Alignas(64) float room[ROOM];
    for (size_t first = 0; first < s->cols; first += ROOM) {
        const size_t n = least(ROOM, s->cols - first);
        float *dx = begin_output(s->dx, at * s->cols + first, room);
#pragma omp simd
        for (size_t c = 0; c < n; c++)
            dx[c] = gate * dy[first + c];
        finish_output(s->dx, at * s->cols + first, room, n);
    }
}

/* Where a choice's rows lie the processor cannot guess: that of x, and that of dx, which is written, are asked for. */
static void fetch_choice(const struct combination *s, size_t choice) {
    const size_t first = (size_t)s->slot[choice] * s->cols;
    fetch_lines(s->x + first, s->cols * sizeof *s->x, false);
    fetch_lines(loom_storage_at(s->dx.data, s->dx.format, first), s->cols * loom_storage_size(s->dx.format), true);
}

static void combine_backward_part(const void *job, struct loom_cpu_part part) {
    const struct combination *s = job;
    for (size_t i = part.first; i < part.end; i++) {
        const size_t at = (size_t)s->slot[i];
        if (i + CHOICES_AHEAD < part.end)
            fetch_choice(s, i + CHOICES_AHEAD);
        const float *dy = s->dy + i / s->top_k * s->cols;
        s->dgates[i] = row_dot(dy, s->x + at * s->cols, s->cols); /* first, because dx may be x */
        put_scaled_row(s, at, s->gates[i], dy);
    }
}

static void combine_backward(const struct loom_kernels *k, const struct loom_route *r, void *dx,
                             enum loom_storage format, real *dgates, const real *dy, const real *x, const real *gates,
                             const int *slot, size_t cols) {
    loom_cpu_share(k, r->rows * r->top_k, cols, combine_backward_part,
                   &(struct combination){{dx, format}, dgates, dy, x, gates, slot, cols, r->top_k});
}

void LOOM_ISA_NAME(loom_cpu_fill_rows)(struct loom_kernels *table) {
    table->copy_columns = copy_columns;
    table->copy_heads = copy_heads;
    table->add_row = add_row;
    table->sum_rows = sum_rows;
    table->scale_columns = scale_columns;
    table->sum_products = sum_products;
    table->add_scaled_rows = add_scaled_rows;
    table->dot_rows = dot_rows;
    table->embed = embed;
    table->embed_backward = embed_backward;
    table->gather = gather;
    table->gather_backward = gather_backward;
    table->combine = combine;
    table->combine_backward = combine_backward;
}
