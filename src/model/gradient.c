/* gradient.c - see gradient.h. */
#include "model/gradient.h"

#include "model/lora.h"

real *loom_gradient(const struct loom_pass *p, size_t place) {
    return p->lora || place == LOOM_NO_TENSOR ? NULL : p->dw + place;
}

/* ---- adapters ---------------------------------------------------------------------------------------------------- */

/* A factor times alpha / r, on the stack. */
static const real *scaled(struct loom_pass *p, size_t factor, size_t count) {
    real *to = loom_stack_take(p->stack, count);
    p->k->fill(p->k, to, 0, count);
    p->k->add_scaled(p->k, to, (real)(p->lora->alpha / (double)p->lora->rank), p->factors + factor, count);
    return to;
}

/* Rows of n_in against a factor A of an adapter, or of its dA. */
static struct loom_linear by_a(const struct loom_pass *p, const struct loom_lora_site *site, size_t rows, bool exact) {
    return (struct loom_linear){.rows = rows, .n_in = site->n_in, .n_out = p->lora->rank, .groups = 1, .exact = exact};
}

/* Rows of n_out against a factor B, as the gradient of y = u B^T. */
static struct loom_linear by_b(const struct loom_pass *p, const struct loom_lora_site *site, size_t rows, bool exact) {
    return (struct loom_linear){.rows = rows, .n_in = p->lora->rank, .n_out = site->n_out, .groups = 1, .exact = exact};
}

/* One matrix's rows; low has room for rank of each. */
static void add_factors(struct loom_pass *p, const struct loom_lora_site *site, real *low, const real *dy,
                        const real *x, size_t rows, bool exact) {
    const struct loom_kernels *k = p->k;
    const struct loom_linear a = by_a(p, site, rows, exact), b = by_b(p, site, rows, exact);
    size_t mark = p->stack->used, rank = p->lora->rank;
    k->linear(k, &a, low, x, scaled(p, site->a, rank * site->n_in), false);
    k->linear_weight(k, &b, p->dw + site->b, dy, low);
    k->linear_input(k, &b, low, dy, scaled(p, site->b, site->n_out * rank), false);
    k->linear_weight(k, &a, p->dw + site->a, low, x);
    loom_stack_release(p->stack, mark);
}

/* A product's rows; its matrix may be several of the table, one below the other, each with an adapter or none. */
static void add_matrices(struct loom_pass *p, const struct loom_linear *s, size_t place, real *low, const real *dy,
                         const real *x, size_t rows) {
    const struct loom_lora_site *site = loom_lora_from(p->lora, place), *last = p->lora->sites + p->lora->n_sites;
    for (; site < last && site->weight < place + s->n_in * s->n_out; site++) {
        size_t mark = p->stack->used;
        const real *part = dy;
        if (site->n_out < s->n_out) {
            real *columns = loom_stack_take(p->stack, rows * site->n_out);
            p->k->copy_columns(p->k, columns, site->n_out, dy + (site->weight - place) / s->n_in, s->n_out, rows,
                               site->n_out, false);
            part = columns;
        }
        add_factors(p, site, low, part, x, rows, s->exact);
        loom_stack_release(p->stack, mark);
    }
}

/* Where each group's rows begin, on the host; NULL: they have equally many. */
static const int *starts(const struct loom_pass *p, const struct loom_linear *s) {
    if (s->offset == NULL || loom_kernels_dry(p->k)) /* a dry run knows no choices */
        return NULL;
    p->k->download(p->k, p->lora->starts, s->offset, (s->groups + 1) * sizeof *s->offset);
    return p->lora->starts;
}

/* Group by group, since each may have an adapter or none. */
static void add_groups(struct loom_pass *p, const struct loom_linear *s, size_t place, const real *dy, const real *x) {
    size_t mark = p->stack->used;
    real *low = loom_stack_take(p->stack, s->rows * p->lora->rank); /* one group may have all rows */
    const int *start = starts(p, s);
    for (size_t g = 0; g < s->groups; g++) {
        size_t first = start ? (size_t)start[g] : g * s->rows / s->groups;
        size_t end = start ? (size_t)start[g + 1] : (g + 1) * s->rows / s->groups;
        if (end > first || !start)
            add_matrices(p, s, place + g * loom_linear_stride(s), low, dy + first * s->n_out, x + first * s->n_in,
                         end - first);
    }
    loom_stack_release(p->stack, mark);
}

/* ---- either way -------------------------------------------------------------------------------------------------- */

void loom_gradient_linear(struct loom_pass *p, const struct loom_linear *s, size_t place, const void *dy,
                          const void *x) {
    if (p->lora)
        add_groups(p, s, place, dy, x);
    else
        p->k->linear_weight(p->k, s, p->dw + place, dy, x);
}

void loom_gradient_embed(struct loom_pass *p, size_t place, const real *dy, const int *ids, size_t rows, size_t cols) {
    const struct loom_kernels *k = p->k;
    const struct loom_lora_site *site = p->lora ? loom_lora_at(p->lora, place) : NULL;
    size_t mark = p->stack->used;
    if (!p->lora)
        k->embed_backward(k, p->dw + place, dy, ids, rows, cols);
    if (!site)
        return;
    size_t rank = p->lora->rank;
    const struct loom_linear a = by_a(p, site, rows, false);
    real *low = loom_stack_take(p->stack, rows * rank);
    k->linear(k, &a, low, dy, scaled(p, site->a, rank * cols), false);
    k->embed_backward(k, p->dw + site->b, low, ids, rows, rank);
    k->embed(k, low, scaled(p, site->b, site->n_out * rank), ids, rows, rank);
    k->linear_weight(k, &a, p->dw + site->a, low, dy);
    loom_stack_release(p->stack, mark);
}

void loom_gradient_rows(struct loom_pass *p, size_t place, const real *dy, size_t rows, size_t cols) {
    const struct loom_kernels *k = p->k;
    const struct loom_lora_site *site = p->lora ? loom_lora_at(p->lora, place) : NULL;
    size_t mark = p->stack->used;
    if (!p->lora)
        k->add_scaled(k, p->dw + place, 1, dy, rows * cols);
    if (!site)
        return;
    size_t rank = p->lora->rank, first = (place - site->weight) / cols * rank;
    const struct loom_linear a = by_a(p, site, rows, false);
    real *low = loom_stack_take(p->stack, rows * rank);
    k->linear(k, &a, low, dy, scaled(p, site->a, rank * cols), false);
    k->add_scaled(k, p->dw + site->b + first, 1, low, rows * rank);
    k->linear_weight(k, &a, p->dw + site->a, scaled(p, site->b, site->n_out * rank) + first, dy);
    loom_stack_release(p->stack, mark);
}

void loom_gradient_scale(struct loom_pass *p, size_t place, const real *dy, const real *x, size_t rows, size_t cols) {
    size_t mark = p->stack->used;
    if (!p->lora) {
        p->k->sum_products(p->k, p->dw + place, dy, x, rows, cols);
    } else if (loom_lora_at(p->lora, place)) {
        real *d = loom_stack_take(p->stack, cols);
        p->k->fill(p->k, d, 0, cols);
        p->k->sum_products(p->k, d, dy, x, rows, cols);
        loom_gradient_rows(p, place, d, 1, cols);
    }
    loom_stack_release(p->stack, mark);
}
