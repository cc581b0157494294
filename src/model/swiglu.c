/* swiglu.c - see swiglu.h. */
#include "model/swiglu.h"

#include "model/init.h"

/* One matrix for each group, one after another, so that grouped products find them by index; groups == 0 means one
 * matrix whose name carries no index. */
static size_t declare(struct loom_tensors *table, struct loom_tensor_spec matrix, size_t groups, const char *prefix,
                      const char *name) {
    if (groups == 0)
        return loom_tensors_add(table, matrix, prefix, "%s.weight", name);
    size_t first = table->elements;
    for (size_t g = 0; g < groups; g++)
        loom_tensors_add(table, matrix, prefix, "%zu.%s.weight", g, name);
    return first;
}

static struct loom_swiglu declare_all(struct loom_tensors *table, const struct loom_config *c, size_t width,
                                      size_t groups, const char *prefix) {
    size_t dim = (size_t)c->dim;
    struct loom_swiglu f = {.gate = LOOM_NO_TENSOR, .dim = dim, .width = width, .groups = groups ? groups : 1};
    struct loom_tensor_spec in = {.rows = width, .cols = dim, .std = loom_init_std(c, dim)};
    struct loom_tensor_spec out = {.rows = dim, .cols = width, .std = loom_init_output_std(c, width)};
    if (c->activation == LOOM_ACTIVATION_SWIGLU)
        f.gate = declare(table, in, groups, prefix, "gate");
    f.up = declare(table, in, groups, prefix, "up");
    f.down = declare(table, out, groups, prefix, "down");
    return f;
}

struct loom_swiglu loom_swiglu_declare(struct loom_tensors *table, const struct loom_config *c, size_t width,
                                       const char *prefix) {
    return declare_all(table, c, width, 0, prefix);
}

struct loom_swiglu loom_swiglu_declare_experts(struct loom_tensors *table, const struct loom_config *c, size_t width,
                                               size_t experts, const char *prefix) {
    return declare_all(table, c, width, experts, prefix);
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
    bool gated = f->gate != LOOM_NO_TENSOR;
    size_t n = rows * f->width;
    s->x = x;
    s->gate = gated ? loom_stack_take(p->stack, n) : NULL;
    s->up = loom_stack_take(p->stack, n);
    s->act = loom_stack_take(p->stack, n);
    if (gated)
        k->linear(k, &in, s->gate, x, p->w + f->gate, false);
    k->linear(k, &in, s->up, x, p->w + f->up, false);
    if (gated)
        k->swiglu(k, s->act, s->gate, s->up, n);
    else
        k->relu2(k, s->act, s->up, n);
    k->linear(k, &out, y, s->act, p->w + f->down, accumulate);
}

/* dgate and dup from d(act), which dgate holds; without a gate dup is all. */
static void activation_backward(struct loom_pass *p, const struct loom_swiglu *f, const struct loom_swiglu_saved *s,
                                real *dgate, real *dup, size_t n) {
    const struct loom_kernels *k = p->k;
    if (f->gate != LOOM_NO_TENSOR)
        k->swiglu_backward(k, dgate, dup, dgate, s->gate, s->up, n);
    else
        k->relu2_backward(k, dup, dgate, s->up, n);
}

void loom_swiglu_backward(struct loom_pass *p, const struct loom_swiglu *f, const struct loom_swiglu_saved *s, real *dx,
                          const real *dy, size_t rows, const int *offset, bool accumulate) {
    const struct loom_kernels *k = p->k;
    struct loom_linear in = shape(f, rows, offset, true), out = shape(f, rows, offset, false);
    size_t mark = p->stack->used;
    real *dgate = loom_stack_take(p->stack, rows * f->width);
    real *dup = loom_stack_take(p->stack, rows * f->width);
    k->linear_input(k, &out, dgate, dy, p->w + f->down, false);
    k->linear_weight(k, &out, p->dw + f->down, dy, s->act);
    activation_backward(p, f, s, dgate, dup, rows * f->width);
    k->linear_input(k, &in, dx, dup, p->w + f->up, accumulate);
    k->linear_weight(k, &in, p->dw + f->up, dup, s->x);
    if (f->gate != LOOM_NO_TENSOR) {
        k->linear_input(k, &in, dx, dgate, p->w + f->gate, true);
        k->linear_weight(k, &in, p->dw + f->gate, dgate, s->x);
    }
    loom_stack_release(p->stack, mark);
}
