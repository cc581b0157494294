/* isa_linear.c - y = x W^T, dx = dy W and dW += dy^T x over groups of rows.
 *
 * All three are one product c = a b with other strides. A group's result is cut into tasks, blocks of columns by chunks
 * of rows, which threads take as they come: no task reads what another writes, and how a task's elements are summed
 * does not depend on where the cuts lie. A task packs its part of the right factor, DEPTH rows at a time, into scratch
 * and runs all its rows over that. With few rows packing would cost more than the product: then y = x W^T is dot
 * products of rows that are read where they lie.
 */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_quant.h"
#include "kernel/cpu/isa_tile.h"

/* A packed block is at most WORDS x COLUMNS words, floats or pairs of bf16: 576 KiB, within a level-2 cache. It is
 * wider where it is less than half as deep, and in dW, whose left factor is turned as it is staged, once for each block
 * of columns. But there both factors come from memory, so blocks leave the cache room for the next one on its way. */
enum { WORDS = 768, WORDS_WEIGHT = 192, COLUMNS = 192 };

/* Up to so many rows are dot products; so are up to so many columns left over beyond whole vectors. */
enum { DOT_ROWS_LIMIT = 6, DOT_COLUMNS_LIMIT = LANES / 4 };

/* What a task costs to hand out against what a processor multiplies meanwhile; and how finely to cut. */
enum { CHUNK_ROWS = 4 * TILE_ROWS, TASKS_PER_THREAD = 4, PACKING_TASKS_PER_THREAD = 2 };

/* c (rows, columns) = a (rows, depth) b (depth, columns), or +=. */
struct product {
    struct loom_target c;
    struct loom_matrix a, b;
    enum loom_storage a_format, b_format; /* bf16 in such products alone */
    size_t rows, columns, depth;
    bool bf16;
    const uint32_t *held; /* b's packed copy, or NULL */
};

enum kind { FORWARD, INPUT, WEIGHT };

/* The three factors of one call. */
struct call {
    enum kind kind;
    bool bf16;
    const struct loom_linear *shape;
    float *c;
    const void *a, *b;
    bool accumulate;
    const uint32_t *held; /* packed copies of all groups' weights, or NULL */
};

static const float *place(const void *data, enum loom_storage format, size_t element) {
    return loom_storage_at(data, format, element);
}

static struct product product_of(const struct call *call, size_t g) {
    const struct loom_linear *s = call->shape;
    const size_t start = loom_linear_start(s, g), rows = loom_linear_start(s, g + 1) - start;
    const size_t n_in = s->n_in, n_out = s->n_out, matrix = g * loom_linear_stride(s);
    const enum loom_storage x = s->x, y = s->y, weights = LOOM_STORAGE_REAL;
    const uint32_t *held = call->held != NULL ? call->held + matrix / 2 : NULL;
    switch (call->kind) {
    case FORWARD:
        return (struct product){{call->c + start * n_out, n_out, call->accumulate},
                                {place(call->a, x, start * n_in), n_in, 1},
                                {place(call->b, weights, matrix), 1, n_in},
                                x,
                                weights,
                                rows,
                                n_out,
                                n_in,
                                call->bf16,
                                held};
    case INPUT:
        return (struct product){{call->c + start * n_in, n_in, call->accumulate},
                                {place(call->a, y, start * n_out), n_out, 1},
                                {place(call->b, weights, matrix), n_in, 1},
                                y,
                                weights,
                                rows,
                                n_in,
                                n_out,
                                call->bf16,
                                held};
    default:
        return (struct product){{call->c + matrix, n_in, true},
                                {place(call->a, y, start * n_out), 1, n_out},
                                {place(call->b, x, start * n_in), n_in, 1},
                                y,
                                x,
                                n_out,
                                n_in,
                                rows,
                                call->bf16,
                                NULL};
    }
}

/* The product of some rows and columns of p; columns are cut between panels. */
static struct product part_of(struct product p, size_t row, size_t rows, size_t column, size_t columns) {
    p.c.data += row * p.c.row + column;
    p.a.data = place(p.a.data, p.a_format, row * p.a.row);
    p.b.data = place(p.b.data, p.b_format, column * p.b.column);
    p.held += p.held != NULL ? column * (p.depth / 2) : 0;
    p.rows = rows;
    p.columns = columns;
    return p;
}

/* c as dot products of the few rows with all columns. */
static void multiply_dots(struct product p) {
    loom_cpu_dots(p.c, 1, p.a, (struct loom_matrix){p.b.data, p.b.column, 1}, p.rows, p.columns, p.depth);
}

/* The same with the factors' places changed, for few columns. */
static void multiply_dots_transposed(struct product p) {
    const struct loom_target c = {p.c.data, 1, p.c.accumulate};
    loom_cpu_dots(c, p.c.row, (struct loom_matrix){p.b.data, p.b.column, 1}, p.a, p.columns, p.rows, p.depth);
}

/* c as sums of b's rows, which are read where they lie. */
static void multiply_sums(struct product p) {
    loom_cpu_sums(p.c, p.a, (struct loom_matrix){p.b.data, p.b.row, 1}, p.rows, p.depth, p.columns);
}

/* Rows k .. k+depth-1 of b: of its copy, or packed now. */
static struct loom_panels panels_of(const struct product *p, size_t k, size_t depth, float *scratch) {
    if (p->held != NULL)
        return (struct loom_panels){(const float *)p->held, p->depth, k, p->columns, true};
    const struct loom_matrix b = {place(p->b.data, p->b_format, k * p->b.row), p->b.row, p->b.column};
    return loom_cpu_pack_from(p->bf16, scratch, b, p->b_format, depth, p->columns);
}

static size_t deepest(const struct product *p) {
    const size_t each = p->bf16 ? 2 : 1;
    if (p->a.column != 1)
        return each * WORDS_WEIGHT;
    return each * (p->columns > COLUMNS ? WORDS / 2 : WORDS);
}

/* The rows of b behind a block that are packed next, where they are read along their rows. */
static struct loom_ahead behind(const struct product *p, size_t k, size_t depth) {
    const size_t rows = p->held == NULL && p->b.column == 1 ? least(depth, p->depth - k) : 0;
    const size_t share = sizeof(float) / loom_storage_size(p->b_format);
    return (struct loom_ahead){place(p->b.data, p->b_format, k * p->b.row), p->b.row / share, rows, p->columns / share};
}

/* The depth is cut evenly, in even parts, and later parts add to the first. */
static void multiply_packed(struct product p, float *scratch) {
    const size_t most = deepest(&p), blocks = (p.depth + most - 1) / most;
    for (size_t block = 0, k = 0; block < blocks; block++) {
        const size_t depth = least(((p.depth - k) / (blocks - block) + 1) / 2 * 2, p.depth - k);
        struct loom_matrix a = {place(p.a.data, p.a_format, k * p.a.column), p.a.row, p.a.column};
        struct loom_panels panels = panels_of(&p, k, depth, scratch + LOOM_CPU_STAGE);
        k += depth;
        loom_cpu_multiply_large_as(p.c, a, p.a_format, panels, p.rows, depth, scratch, behind(&p, k, depth));
        p.c.accumulate = true;
    }
}

/* A product without depth is zero. */
static void clear(struct product p) {
    for (size_t i = 0; i < p.rows && !p.c.accumulate; i++) {
        for (size_t j = 0; j < p.columns; j++)
            p.c.data[i * p.c.row + j] = 0;
    }
}

/* `few`: the whole group has few rows. Where its chunks lie must not choose the kernel. */
static void multiply(struct product p, bool few, float *scratch) {
    const bool contiguous = p.a.column == 1 && p.b.row == 1;
    const size_t rest = p.columns % LANES, whole = p.columns - rest;
    if (p.depth == 0) {
        clear(p);
    } else if (contiguous && few && !p.bf16) {
        multiply_dots(p);
    } else if (p.a.column == 1 && p.b.column == 1 && few && !p.bf16) {
        multiply_sums(p);
    } else if (contiguous && rest <= DOT_COLUMNS_LIMIT && p.a_format == LOOM_STORAGE_REAL) {
        multiply_packed(part_of(p, 0, p.rows, 0, whole), scratch);
        multiply_dots_transposed(part_of(p, 0, p.rows, whole, rest));
    } else {
        multiply_packed(p, scratch);
    }
}

/* How every group is cut; groups differ in their rows, so the largest one decides and others have empty chunks. */
struct cut {
    size_t groups, blocks, columns, chunks, chunk_rows;
};

/* A chunk of rows that has to pack its columns wants to be long. */
static size_t tasks_wanted(const struct call *call, size_t threads) {
    return threads == 1 ? 1 : (call->kind == WEIGHT ? PACKING_TASKS_PER_THREAD : TASKS_PER_THREAD) * threads;
}

static struct cut cut_of(const struct call *call, size_t threads) {
    struct cut cut = {.groups = call->shape->groups};
    size_t rows = 1, columns = 1, depth = 1;
    for (size_t g = 0; g < cut.groups; g++) {
        struct product p = product_of(call, g);
        rows = p.rows > rows ? p.rows : rows;
        columns = p.columns > columns ? p.columns : columns;
        depth = p.depth > depth ? p.depth : depth;
    }
    cut.columns = call->kind == WEIGHT || depth <= (call->bf16 ? WORDS : WORDS / 2) ? 2 * COLUMNS : COLUMNS;
    cut.blocks = (columns + cut.columns - 1) / cut.columns;
    const size_t tasks = cut.groups * cut.blocks, wanted = tasks_wanted(call, threads);
    const size_t chunks = tasks < wanted ? (wanted + tasks - 1) / tasks : 1;
    const size_t chunk_rows = (rows + chunks - 1) / chunks;
    cut.chunk_rows = chunk_rows > CHUNK_ROWS ? chunk_rows : CHUNK_ROWS;
    cut.chunks = (rows + cut.chunk_rows - 1) / cut.chunk_rows;
    return cut;
}

/* A call and how it is cut. */
struct cut_call {
    const struct call *call;
    struct cut cut;
};

static void run_task(const struct cut_call *s, size_t task, float *scratch) {
    const struct cut *cut = &s->cut;
    const struct product p = product_of(s->call, task / (cut->blocks * cut->chunks));
    const size_t column = task / cut->chunks % cut->blocks * cut->columns, row = task % cut->chunks * cut->chunk_rows;
    if (row >= p.rows || column >= p.columns)
        return;
    const size_t rows = least(p.rows - row, cut->chunk_rows), columns = least(p.columns - column, cut->columns);
    multiply(part_of(p, row, rows, column, columns), p.rows <= DOT_ROWS_LIMIT, scratch);
}

static void run_part(const void *job, struct loom_cpu_part part) {
    for (size_t task = part.first; task < part.end; task++)
        run_task(job, task, part.scratch);
}

/* Packs panels of a held weight's copy, counted over all groups. */
struct renewal {
    const struct call *call;
    uint32_t *copy;
    size_t panels; /* of one matrix */
};

static void renew_part(const void *job, struct loom_cpu_part part) {
    const struct renewal *r = job;
    for (size_t i = part.first; i < part.end; i++) {
        const struct product p = product_of(r->call, i / r->panels);
        const size_t column = i % r->panels * PANEL;
        const struct loom_matrix b = {p.b.data + column * p.b.column, p.b.row, p.b.column};
        uint32_t *to = r->copy + i / r->panels * (p.columns * p.depth / 2) + column * (p.depth / 2);
        (void)loom_cpu_pack_as(true, (float *)to, b, p.depth, least(p.columns - column, PANEL));
    }
}

/* Finds the weights' packed copy, which is made when they have changed. */
static void find_held(const struct loom_kernels *k, struct call *call) {
    bool stale = false;
    if (call->kind == WEIGHT || !call->bf16)
        return;
    const enum loom_cpu_side side = call->kind == FORWARD ? LOOM_CPU_FORWARD : LOOM_CPU_INPUT;
    uint32_t *copy = loom_cpu_held_copy(k, side, call->shape, call->b, &stale);
    if (stale) {
        const struct product p = product_of(call, 0);
        const struct renewal r = {call, copy, (p.columns + PANEL - 1) / PANEL};
        loom_cpu_share(k, call->shape->groups * r.panels, p.depth * PANEL / 4, renew_part, &r);
    }
    call->held = copy;
}

static void run(const struct loom_kernels *k, struct call *call) {
    const struct loom_linear *s = call->shape;
    const bool rounded =
        (call->kind != INPUT && s->x == LOOM_STORAGE_BF16) || (call->kind != FORWARD && s->y == LOOM_STORAGE_BF16);
    call->bf16 = rounded || (loom_cpu_bf16(k) && !s->exact);
    find_held(k, call);
    /* The weights of a few rows cost their way from memory. */
    const size_t work = (s->rows > 8 ? s->rows : 8) * s->n_in * s->n_out / 32;
    const struct cut_call job = {call, cut_of(call, loom_cpu_threads(k, work))};
    const size_t tasks = job.cut.groups * job.cut.blocks * job.cut.chunks;
    loom_cpu_share(k, tasks, tasks > 0 ? work / tasks : 0, run_part, &job);
}

/* ---- whole numbers ----------------------------------------------------------------------------------------------- */

#if defined(__AVX512VNNI__)

/* One product with held weights of 8 or 4 bits, for rows `row` .. row+x_rows-1 of all: tasks are blocks of a group's
 * panels. */
struct quantized {
    const struct call *call;
    struct loom_cpu_quantized first; /* the first group's */
    size_t panels, blocks;           /* of a group */
    struct loom_cpu_rounded x;
    size_t row, x_rows;
};

static struct loom_cpu_quantized quantized_of(const struct quantized *s, size_t g) {
    const size_t matrix = g * s->call->shape->n_in * s->call->shape->n_out;
    struct loom_cpu_quantized w = s->first;
    w.quants += w.four ? matrix / 2 : matrix;
    w.scales += matrix / LOOM_CPU_GROUP;
    return w;
}

static void quantize_part(const void *job, struct loom_cpu_part part) {
    const struct quantized *s = job;
    for (size_t i = part.first; i < part.end; i++) {
        const size_t g = i / s->panels;
        const struct loom_cpu_quantized to = quantized_of(s, g);
        loom_cpu_quantize_panel(&to, i % s->panels,
                                (const float *)s->call->b + g * s->call->shape->n_in * s->call->shape->n_out);
    }
}

static void round_part(const void *job, struct loom_cpu_part part) {
    const struct quantized *s = job;
    for (size_t i = part.first; i < part.end; i++)
        loom_cpu_round_row(&s->x, i, (const float *)s->call->a + (s->row + i) * s->x.depth, s->first.four);
}

/* The rows of a group that are among these. */
static void multiply_block(const struct quantized *s, size_t g, size_t block) {
    const struct loom_linear *shape = s->call->shape;
    const size_t start = loom_linear_start(shape, g), stop = loom_linear_start(shape, g + 1);
    const size_t row = start > s->row ? start : s->row, end = least(stop, s->row + s->x_rows);
    if (row >= end)
        return;
    const size_t groups = s->x.depth / LOOM_CPU_GROUP, skip = row - s->row, panel = block * LOOM_CPU_QUANT_PANELS;
    const struct loom_cpu_quantized w = quantized_of(s, g);
    const struct loom_cpu_rounded x = {s->x.q + skip * s->x.depth, s->x.scale + skip * groups,
                                       s->x.start + skip * groups, s->x.depth};
    loom_cpu_multiply_quantized(
        &w, (struct loom_cpu_rows){s->call->c + row * shape->n_out, shape->n_out, s->call->accumulate}, &x, end - row,
        panel, least(panel + LOOM_CPU_QUANT_PANELS, s->panels));
}

static void quantized_part(const void *job, struct loom_cpu_part part) {
    const struct quantized *s = job;
    for (size_t i = part.first; i < part.end; i++)
        multiply_block(s, i / s->blocks, i % s->blocks);
}

/* As many rows at a time as the shared scratch holds: a byte a number, and a scale and a start a group. */
static void multiply_quantized(const struct loom_kernels *k, struct quantized *s) {
    const struct loom_linear *shape = s->call->shape;
    const size_t groups = shape->n_in / LOOM_CPU_GROUP, most = LOOM_CPU_SCRATCH / (shape->n_in / 4 + 2 * groups);
    float *scratch = loom_cpu_shared_scratch(k);
    for (; s->row < shape->rows; s->row += s->x_rows) {
        s->x_rows = least(most, shape->rows - s->row);
        s->x = (struct loom_cpu_rounded){.scale = scratch, .depth = shape->n_in};
        s->x.start = (int *)(void *)(scratch + s->x_rows * groups);
        s->x.q = (int8_t *)(void *)(scratch + 2 * s->x_rows * groups);
        loom_cpu_share(k, s->x_rows, shape->n_in / 8, round_part, s);
        /* The weights of a few rows cost their way from memory. */
        const size_t work = (s->x_rows + 3) * shape->n_in * LOOM_CPU_QUANT_PANEL * LOOM_CPU_QUANT_PANELS;
        loom_cpu_share(k, shape->groups * s->blocks, work / (64 * shape->groups) + 1, quantized_part, s);
    }
}

/* False when these weights are not held as whole numbers. */
static bool run_quantized(const struct loom_kernels *k, const struct call *call) {
    const struct loom_linear *s = call->shape;
    uint16_t *scales;
    bool stale;
    const uint8_t *quants =
        s->exact || s->x != LOOM_STORAGE_REAL ? NULL : loom_cpu_held_quants(k, s, call->b, &scales, &stale);
    if (quants == NULL)
        return false;
    const bool four = ((const struct loom_cpu *)k->self)->precision == LOOM_PRECISION_INT4;
    struct quantized job = {.call = call, .first = {quants, scales, s->n_in, s->n_out / LOOM_CPU_QUANT_PANEL, four}};
    job.panels = job.first.panels;
    job.blocks = (job.panels + LOOM_CPU_QUANT_PANELS - 1) / LOOM_CPU_QUANT_PANELS;
    if (stale)
        loom_cpu_share(k, s->groups * job.panels, s->n_in * LOOM_CPU_QUANT_PANEL, quantize_part, &job);
    multiply_quantized(k, &job);
    return true;
}

#else

static bool run_quantized(const struct loom_kernels *k, const struct call *call) {
    (void)k;
    (void)call;
    return false;
}

#endif

static void linear(const struct loom_kernels *k, const struct loom_linear *s, real *y, const void *x, const real *w,
                   bool accumulate) {
    struct call call = {FORWARD, false, s, y, x, w, accumulate, NULL};
    if (!run_quantized(k, &call))
        run(k, &call);
}

static void linear_input(const struct loom_kernels *k, const struct loom_linear *s, real *dx, const void *dy,
                         const real *w, bool accumulate) {
    run(k, &(struct call){INPUT, false, s, dx, dy, w, accumulate, NULL});
}

static void linear_weight(const struct loom_kernels *k, const struct loom_linear *s, real *dw, const void *dy,
                          const void *x) {
    run(k, &(struct call){WEIGHT, false, s, dw, dy, x, true, NULL});
}

void LOOM_ISA_NAME(loom_cpu_fill_linear)(struct loom_kernels *table) {
    table->linear = linear;
    table->linear_input = linear_input;
    table->linear_weight = linear_weight;
}
