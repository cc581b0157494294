/* swiglu.c - see swiglu.h. */
#include "model/swiglu.h"

/* One matrix for each group, one after another, so that grouped products find them by index; groups == 0 means one
 * matrix whose name carries no index. */
static size_t declare(struct loom_tensors *table, size_t rows, size_t cols, size_t groups, const char *prefix,
                      const char *name) {
    struct loom_tensor_spec matrix = {.rows = rows, .cols = cols, .std = LOOM_INIT_STD};
    if (groups == 0)
        return loom_tensors_add(table, matrix, prefix, "%s.weight", name);
    size_t first = table->elements;
    for (size_t g = 0; g < groups; g++)
        loom_tensors_add(table, matrix, prefix, "%zu.%s.weight", g, name);
    return first;
}

static struct loom_swiglu declare_all(struct loom_tensors *table, size_t dim, size_t width, size_t groups,
                                      const char *prefix) {
    struct loom_swiglu f = {.dim = dim, .width = width, .groups = groups ? groups : 1};
    f.gate = declare(table, width, dim, groups, prefix, "gate");
    f.up = declare(table, width, dim, groups, prefix, "up");
    f.down = declare(table, dim, width, groups, prefix, "down");
    return f;
}

struct loom_swiglu loom_swiglu_declare(struct loom_tensors *table, size_t dim, size_t width, const char *prefix) {
    return declare_all(table, dim, width, 0, prefix);
}

struct loom_swiglu loom_swiglu_declare_experts(struct loom_tensors *table, size_t dim, size_t width, size_t experts,
                                               const char *prefix) {
    return declare_all(table, dim, width, experts, prefix);
}

static struct loom_linear shape(const struct loom_swiglu *f, size_t rows, const int *offset, bool inward) {
    return (struct loom_linear){.rows = rows,
                                .n_in = inward ? f->dim : f->width,
                                .n_out = inward ? f->width : f->dim,
                                .groups = f->groups,
                                .offset = offset};
}

void loom_swiglu_forward(struct loom_pass *p, const struct loom_swiglu *f, struct loom_swiglu_saved *s, real *y,
                         const real *x, size_t rows, const int *offset, bool accumulate) {
    const struct loom_kernels *k = p->k;
    struct loom_linear in = shape(f, rows, offset, true), out = shape(f, rows, offset, false);
    s->x = x;
    s->gate = loom_stack_take(p->stack, rows * f->width);
    s->up = loom_stack_take(p->stack, rows * f->width);
    s->act = loom_stack_take(p->stack, rows * f->width);
    k->linear(k, &in, s->gate, x, p->w + f->gate, false);
    k->linear(k, &in, s->up, x, p->w + f->up, false);
    k->swiglu(k, s->act, s->gate, s->up, rows * f->width);
    k->linear(k, &out, y, s->act, p->w + f->down, accumulate);
}

void loom_swiglu_backward(struct loom_pass *p, const struct loom_swiglu *f, const struct loom_swiglu_saved *s, real *dx,
                          const real *dy, size_t rows, const int *offset, bool accumulate) {
    const struct loom_kernels *k = p->k;
    struct loom_linear in = shape(f, rows, offset, true), out = shape(f, rows, offset, false);
    size_t mark = p->stack->used;
    real *dgate = loom_stack_take(p->stack, rows * f->width);
    real *dup = loom_stack_take(p->stack, rows * f->width);
    k->linear_input(k, &out, dgate, dy, p->w + f->down, false); /* d(act), turned into d(gate) in place */
    k->linear_weight(k, &out, p->dw + f->down, dy, s->act);
    k->swiglu_backward(k, dgate, dup, dgate, s->gate, s->up, rows * f->width);
    k->linear_input(k, &in, dx, dgate, p->w + f->gate, accumulate);
    k->linear_input(k, &in, dx, dup, p->w + f->up, true);
    k->linear_weight(k, &in, p->dw + f->gate, dgate, s->x);
    k->linear_weight(k, &in, p->dw + f->up, dup, s->x);
    loom_stack_release(p->stack, mark);
}
