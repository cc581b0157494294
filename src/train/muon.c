/* muon.c - see muon.h. */
#include "train/muon.h"

#include <math.h>
#include <stdlib.h>

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

bool loom_muon_takes(const struct loom_tensor *tensor, const struct loom_recipe *recipe) {
    return recipe->optimizer == LOOM_OPTIMIZER_MUON && tensor->rank == 2 && tensor->kind == LOOM_TENSOR_HIDDEN &&
           !tensor->buffer;
}

/* Rows of a block: the largest divisor of `rows` within the limit; the whole matrix when that would be a sliver. */
static size_t block_rows(size_t rows, size_t limit) {
    if (limit == 0 || rows <= limit)
        return rows;
    for (size_t block = limit; 2 * block > limit; block--)
        if (rows % block == 0)
            return block;
    return rows;
}

static struct loom_muon_shape *shape_for(struct loom_muon_plan *plan, size_t rows, size_t cols, size_t tensors) {
    for (size_t i = 0; i < plan->n_shapes; i++)
        if (plan->shapes[i].rows == rows && plan->shapes[i].cols == cols)
            return &plan->shapes[i];
    struct loom_muon_shape *shape = &plan->shapes[plan->n_shapes];
    *shape = (struct loom_muon_shape){.rows = rows, .cols = cols, .matrices = calloc(tensors, sizeof *shape->matrices)};
    plan->n_shapes += shape->matrices != NULL;
    return shape->matrices ? shape : NULL;
}

static bool add_matrix(struct loom_muon_plan *plan, const struct loom_tensor *t, size_t limit, size_t tensors) {
    size_t rows = block_rows(t->shape[0], limit), blocks = t->shape[0] / rows;
    struct loom_muon_shape *shape = shape_for(plan, rows, t->shape[1], tensors);
    if (!shape)
        return false;
    shape->matrices[shape->n_matrices++] = (struct loom_muon_matrix){t->offset, shape->blocks, blocks};
    shape->blocks += blocks;
    return true;
}

static size_t smaller_side(const struct loom_muon_shape *s) {
    return s->rows < s->cols ? s->rows : s->cols;
}

static size_t largest(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The offsets 0, step, 2 step, ... of `groups` groups, on the machine. */
static int *offsets_of(const struct loom_kernels *k, size_t groups, size_t step) {
    int *host = calloc(groups + 1, sizeof *host), *sent = host ? k->alloc(k, (groups + 1) * sizeof *host) : NULL;
    for (size_t i = 0; host && i <= groups; i++)
        host[i] = (int)(i * step);
    if (sent)
        k->upload(k, sent, host, (groups + 1) * sizeof *host);
    free(host);
    return sent;
}

static bool open_scratch(struct loom_muon_plan *plan) {
    const struct loom_kernels *k = plan->k;
    for (size_t i = 0; i < plan->n_shapes; i++) {
        struct loom_muon_shape *s = &plan->shapes[i];
        s->rows_of = offsets_of(k, s->blocks, s->rows);
        s->gram_of = offsets_of(k, s->blocks, smaller_side(s));
        if (!s->rows_of || !s->gram_of)
            return false;
    }
    plan->u = k->alloc(k, plan->block_elements * sizeof(real));
    plan->next = k->alloc(k, plan->block_elements * sizeof(real));
    plan->gram = k->alloc(k, plan->gram_elements * sizeof(real));
    plan->square = k->alloc(k, plan->gram_elements * sizeof(real));
    return plan->u && plan->next && plan->gram && plan->square;
}

loom_status loom_muon_open(struct loom_muon_plan *plan, const struct loom_kernels *k, const struct loom_tensors *table,
                           const struct loom_recipe *recipe, struct loom_error *error) {
    bool enough = true;
    *plan = (struct loom_muon_plan){.k = k, .shapes = calloc(table->count + 1, sizeof *plan->shapes)};
    for (size_t i = 0; plan->shapes && enough && i < table->count; i++)
        if (loom_muon_takes(&table->items[i], recipe))
            enough = add_matrix(plan, &table->items[i], (size_t)recipe->muon_block, table->count);
    for (size_t i = 0; i < plan->n_shapes; i++) {
        const struct loom_muon_shape *s = &plan->shapes[i];
        plan->block_elements = largest(plan->block_elements, s->blocks * s->rows * s->cols);
        plan->gram_elements = largest(plan->gram_elements, s->blocks * smaller_side(s) * smaller_side(s));
    }
    if (plan->shapes && enough && plan->n_shapes > 0 && !loom_kernels_dry(k))
        enough = open_scratch(plan);
    return plan->shapes && enough ? LOOM_OK : loom_fail_memory(error, "muon", loom_muon_scratch(plan) * sizeof(real));
}

void loom_muon_close(struct loom_muon_plan *plan) {
    const struct loom_kernels *k = plan->k;
    if (!k)
        return;
    for (size_t i = 0; i < plan->n_shapes; i++) {
        k->release(k, plan->shapes[i].rows_of);
        k->release(k, plan->shapes[i].gram_of);
        free(plan->shapes[i].matrices);
    }
    free(plan->shapes);
    k->release(k, plan->u);
    k->release(k, plan->next);
    k->release(k, plan->gram);
    k->release(k, plan->square);
    *plan = (struct loom_muon_plan){0};
}

size_t loom_muon_scratch(const struct loom_muon_plan *plan) {
    return 2 * (plan->block_elements + plan->gram_elements);
}

/* ---- one update -------------------------------------------------------------------------------------------------- */

/* Each block, or its Gram matrix, times a matrix of its own. In float32 on every machine: where polynomials of rounded
 * products leave 0 to 2, the next ones run away. */
static struct loom_linear each_block(const struct loom_muon_shape *s, bool gram) {
    size_t side = smaller_side(s);
    return (struct loom_linear){.rows = s->blocks * (gram ? side : s->rows),
                                .n_in = gram ? side : s->cols,
                                .n_out = side,
                                .groups = s->blocks,
                                .offset = gram ? s->gram_of : s->rows_of,
                                .exact = true};
}

/* The Gram matrices of all blocks: u u^T, or u^T u where columns are fewer. */
static void take_gram(const struct loom_muon_plan *plan, const struct loom_muon_shape *s) {
    const struct loom_kernels *k = plan->k;
    struct loom_linear product = each_block(s, false);
    if (s->rows <= s->cols) {
        k->linear(k, &product, plan->gram, plan->u, plan->u, false);
        return;
    }
    k->fill(k, plan->gram, 0, s->blocks * s->cols * s->cols);
    k->linear_weight(k, &product, plan->gram, plan->u, plan->u);
}

/* next += (b gram + c gram^2) u, from the left or, where columns are fewer, from the right. */
static void apply_gram(const struct loom_muon_plan *plan, const struct loom_muon_shape *s, real b, real c) {
    const struct loom_kernels *k = plan->k;
    struct loom_linear inner = each_block(s, true), outer = each_block(s, false);
    bool wide = s->rows <= s->cols;
    k->linear(k, &inner, plan->square, plan->gram, plan->gram, false); /* a Gram matrix is its own transpose */
    k->blend(k, plan->gram, b, plan->gram, c, plan->square, s->blocks * inner.n_in * inner.n_in);
    if (wide)
        k->linear_input(k, &outer, plan->next, plan->gram, plan->u, true);
    else
        k->linear_input(k, &outer, plan->next, plan->u, plan->gram, true);
}

/* Amsel et al., arXiv 2505.16932: composed, these bring singular values of 0.001 to 1 near 1 as fast as any polynomials
 * of that degree do. */
static const real polynomials[LOOM_MUON_ITERATIONS_MAX][3] = {
    {(real)8.28721201814563, (real)-23.595886519098837, (real)17.300387312530933},
    {(real)4.107059111542203, (real)-2.9478499167379106, (real)0.5448431082926601},
    {(real)3.9486908534822946, (real)-2.908902115962949, (real)0.5518191394370137},
    {(real)3.3184196573706015, (real)-2.488488024314874, (real)0.51004894012372},
    {(real)2.300652019954817, (real)-1.6689039845747493, (real)0.4188073119525673}};

/* All blocks of one shape, in u. The Frobenius norm, which bounds the largest singular value, comes to 1 first. */
static void orthogonalize(struct loom_muon_plan *plan, const struct loom_muon_shape *s, int iterations) {
    const struct loom_kernels *k = plan->k;
    size_t each = s->rows * s->cols, n = s->blocks * each;
    k->rmsnorm(k, plan->next, LOOM_STORAGE_REAL, plan->gram, plan->u, NULL, s->blocks, each, (real)1e-14);
    k->blend(k, plan->u, (real)(1 / (1.01 * sqrt((double)each))), plan->next, 0, plan->next, n);
    for (int i = 0; i < iterations; i++) {
        const real *p = polynomials[i];
        take_gram(plan, s);
        k->blend(k, plan->next, p[0], plan->u, 0, plan->u, n);
        apply_gram(plan, s, p[1], p[2]);
        real *swap = plan->u;
        plan->u = plan->next;
        plan->next = swap;
    }
}

/* u = the momentum of each matrix, looking ahead. */
static void gather(const struct loom_muon_plan *plan, const struct loom_muon_shape *s,
                   const struct loom_muon_step *step, real *m, const real *gradients) {
    const struct loom_kernels *k = plan->k;
    real keep = (real)step->momentum, take = (real)(1 - step->momentum) * step->gradient_scale;
    for (size_t i = 0; i < s->n_matrices; i++) {
        const struct loom_muon_matrix *a = &s->matrices[i];
        size_t each = s->rows * s->cols, n = a->blocks * each;
        const real *g = gradients + a->offset;
        k->blend(k, m + a->offset, keep, m + a->offset, take, g, n);
        k->blend(k, plan->u + a->first * each, keep, m + a->offset, take, g, n);
    }
}

static void scatter(const struct loom_muon_plan *plan, const struct loom_muon_shape *s,
                    const struct loom_recipe *recipe, const struct loom_muon_step *step, real *weights, real *v) {
    /* Rows of orthonormal columns are shorter than 1: brought back to it, one rate fits all shapes. */
    double longer = s->rows > s->cols ? sqrt((double)s->rows / (double)s->cols) : 1;
    struct loom_muon move = {.rows = s->rows,
                             .cols = s->cols,
                             .learning_rate = step->learning_rate * longer,
                             .weight_decay = recipe->muon_decay / longer,
                             .beta2 = recipe->muon_beta2,
                             .correction2 = step->correction2,
                             .cautious = recipe->muon_cautious};
    for (size_t i = 0; i < s->n_matrices; i++) {
        const struct loom_muon_matrix *a = &s->matrices[i];
        move.blocks = a->blocks;
        plan->k->muon(plan->k, &move, weights + a->offset, v + a->offset, plan->u + a->first * s->rows * s->cols);
    }
}

void loom_muon_update(struct loom_muon_plan *plan, const struct loom_recipe *recipe, const struct loom_muon_step *step,
                      real *weights, real *m, real *v, const real *gradients) {
    for (size_t i = 0; i < plan->n_shapes; i++) {
        const struct loom_muon_shape *s = &plan->shapes[i];
        gather(plan, s, step, m, gradients);
        orthogonalize(plan, s, recipe->muon_iterations);
        scatter(plan, s, recipe, step, weights, v);
    }
}
