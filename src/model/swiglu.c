/* swiglu.c - see swiglu.h. */
#include "model/swiglu.h"

#include "model/gradient.h"
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

static struct loom_linear shape(const struct loom_swiglu *f, size_t rows, const int *offset, bool inward,
                                enum loom_storage x, enum loom_storage y) {
    return (struct loom_linear){.rows = rows,
                                .n_in = inward ? f->dim : f->width,
                                .n_out = inward ? f->width : f->dim,
                                .groups = f->groups,
                                .offset = offset,
                                .x = x,
                                .y = y};
}

void loom_swiglu_forward(struct loom_pass *p, const struct loom_swiglu *f, struct loom_swiglu_saved *s, real *y,
                         struct loom_factor x, size_t rows, const int *offset, bool accumulate) {
    const struct loom_kernels *k = p->k;
    struct loom_linear in = shape(f, rows, offset, true, x.format, LOOM_STORAGE_REAL);
    struct loom_linear out = shape(f, rows, offset, false, p->factor, LOOM_STORAGE_REAL);
    bool gated = f->gate != LOOM_NO_TENSOR;
    size_t passing = p->stack->passing, n = rows * f->width;
    struct loom_factor act = loom_factor_take_passing(p, n);
    s->gate = gated ? loom_stack_take(p->stack, n) : NULL;
    s->up = loom_stack_take(p->stack, n);
    if (gated)
        k->linear(k, &in, s->gate, x.data, p->w + f->gate, false);
    k->linear(k, &in, s->up, x.data, p->w + f->up, false);
    if (gated)
        k->swiglu(k, act.data, act.format, s->gate, s->up, n);
    else
        k->relu2(k, act.data, act.format, s->up, n);
    k->linear(k, &out, y, act.data, p->w + f->down, accumulate);
    loom_stack_release_passing(p->stack, passing);
}

/* What a backward makes of (rows, F): gradients, and the activation's output again. */
struct slopes {
    struct loom_factor dgate, dup, act;
};

/* Through the last product and the activation, for the rows of `out`, which begin at `first` of all; d is scratch. */
static void backward_out(struct loom_pass *p, const struct loom_swiglu *f, const struct loom_swiglu_saved *s,
                         const struct loom_linear *out, size_t first, const struct slopes *to, real *d,
                         struct loom_factor dy) {
    const struct loom_kernels *k = p->k;
    size_t at = first * f->width, n = out->rows * f->width;
    void *dup = loom_factor_from(to->dup, at).data, *act = loom_factor_from(to->act, at).data;
    k->linear_input(k, out, d, loom_factor_from(dy, first * f->dim).data, p->w + f->down, false);
    if (s->gate)
        k->swiglu_backward(k, loom_factor_from(to->dgate, at).data, dup, act, p->factor, d, s->gate + at, s->up + at,
                           n);
    else
        k->relu2_backward(k, dup, act, p->factor, d, s->up + at, n);
}

/* The products that lead from dup, or dgate, to dx and to the weight. */
static void backward_in(struct loom_pass *p, const struct loom_linear *in, size_t weight, real *dx,
                        struct loom_factor d, struct loom_factor x, bool accumulate) {
    p->k->linear_input(p->k, in, dx, d.data, p->w + weight, accumulate);
    loom_gradient_linear(p, in, weight, d.data, x.data);
}

/* Where they may, act takes the place of up, and dup that of gate. */
void loom_swiglu_backward(struct loom_pass *p, const struct loom_swiglu *f, const struct loom_swiglu_saved *s, real *dx,
                          struct loom_factor dy, struct loom_factor x, size_t rows, const int *offset,
                          bool accumulate) {
    struct loom_linear in = shape(f, rows, offset, true, x.format, p->factor);
    struct loom_linear out = shape(f, rows, offset, false, p->factor, dy.format), part = out;
    size_t mark = p->stack->used, n = rows * f->width;
    size_t strip = offset ? rows : loom_factor_strip(rows, f->width); /* where groups begin, the machine alone knows */
    real *d = loom_stack_take(p->stack, strip * f->width);
    struct loom_factor fresh = strip == rows ? loom_factor_over(p, d, n) : loom_factor_take(p, n);
    struct slopes to = {fresh, s->gate ? loom_factor_over(p, s->gate, n) : fresh, loom_factor_over(p, s->up, n)};
    for (size_t first = 0; first < rows; first += strip) {
        part.rows = rows - first < strip ? rows - first : strip;
        backward_out(p, f, s, &part, first, &to, d, dy);
    }
    loom_gradient_linear(p, &out, f->down, dy.data, to.act.data);
    backward_in(p, &in, f->up, dx, to.dup, x, accumulate);
    if (s->gate)
        backward_in(p, &in, f->gate, dx, to.dgate, x, true);
    loom_stack_release(p->stack, mark);
}
