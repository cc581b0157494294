/* mlp.c - see mlp.h. */
#include "model/mlp.h"

#include "model/init.h"

struct loom_mlp loom_mlp_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix) {
    size_t dim = (size_t)c->dim;
    double std = loom_init_output_std(c, 4 * dim);
    struct loom_mlp f;
    f.fc = loom_affine_declare(table, dim, 4 * dim, c->bias, LOOM_INIT_STD, prefix, "c_fc");
    f.proj = loom_affine_declare(table, 4 * dim, dim, c->bias, std, prefix, "c_proj");
    return f;
}

void loom_mlp_forward(struct loom_pass *p, const struct loom_mlp *f, struct loom_mlp_saved *s, real *y,
                      struct loom_factor x) {
    size_t passing = p->stack->passing, rows = loom_pass_rows(p), n = rows * f->fc.n_out;
    struct loom_factor act = loom_factor_take_passing(p, n);
    real *pre = loom_factor_draft(p, n);
    loom_affine_forward(p, &f->fc, pre, x, rows);
    p->k->gelu(p->k, act.data, act.format, pre, n);
    s->pre = loom_factor_kept(p, pre, n);
    loom_affine_forward(p, &f->proj, y, act, rows);
    loom_stack_release_passing(p->stack, passing);
}

/* gelu's output is made again in the place of its input. */
void loom_mlp_backward(struct loom_pass *p, const struct loom_mlp *f, const struct loom_mlp_saved *s, real *dx,
                       struct loom_factor dy, struct loom_factor x) {
    size_t mark = p->stack->used, rows = loom_pass_rows(p), wide = f->fc.n_out, strip = loom_factor_strip(rows, wide);
    real *d = loom_stack_take(p->stack, strip * wide);
    struct loom_factor dpre = strip == rows ? loom_factor_over(p, d, rows * wide) : loom_factor_take(p, rows * wide);
    for (size_t first = 0; first < rows; first += strip) {
        size_t part = rows - first < strip ? rows - first : strip;
        void *pre = loom_factor_from(s->pre, first * wide).data;
        loom_affine_backward_input(p, &f->proj, d, loom_factor_from(dy, first * f->proj.n_out), part, false);
        p->k->gelu_backward(p->k, loom_factor_from(dpre, first * wide).data, pre, p->factor, d, pre, part * wide);
    }
    loom_affine_backward_weight(p, &f->proj, dy, s->pre, rows);
    loom_affine_backward(p, &f->fc, dx, dpre, x, rows, false);
    loom_stack_release(p->stack, mark);
}
