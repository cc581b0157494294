/* readout.c - see readout.h. */
#include "model/readout.h"

#include <math.h>

#include "model/gradient.h"

static struct loom_linear head(const struct loom_config *c, size_t rows) {
    return (struct loom_linear){.rows = rows, .n_in = (size_t)c->dim, .n_out = (size_t)c->vocab_size, .groups = 1};
}

void loom_readout_logits(const struct loom_readout *r, const struct loom_kernels *k, const struct loom_config *c,
                         const real *weights, real *logits, const real *hidden, size_t rows) {
    struct loom_linear shape = head(c, rows);
    real cap = (real)c->softcap;
    k->linear(k, &shape, logits, hidden, weights + r->head, false);
    if (cap > 0)
        k->softcap(k, logits, logits, cap, rows * shape.n_out);
}

void loom_readout_logits_backward(const struct loom_kernels *k, const struct loom_config *c, real *dlogits,
                                  const real *logits, size_t rows) {
    real cap = (real)c->softcap;
    if (cap > 0)
        k->softcap_backward(k, dlogits, dlogits, logits, cap, rows * (size_t)c->vocab_size);
}

void loom_readout_backward(struct loom_pass *p, const struct loom_readout *r, const struct loom_norm_saved *s, real *dx,
                           const real *dlogits, const real *hidden, size_t rows) {
    struct loom_linear shape = head(p->c, rows);
    size_t mark = p->stack->used;
    real *dhidden = loom_stack_take(p->stack, rows * shape.n_in);
    p->k->linear_input(p->k, &shape, dhidden, dlogits, p->w + r->head, false);
    loom_gradient_linear(p, &shape, r->head, dlogits, hidden);
    loom_norm_backward(p, &r->norm, s, dx, dhidden, rows);
    loom_stack_release(p->stack, mark);
}

double loom_readout_log_total(const real *logits, size_t vocab) {
    double top = (double)logits[0], sum = 0;
    for (size_t v = 1; v < vocab; v++)
        top = fmax(top, (double)logits[v]);
    for (size_t v = 0; v < vocab; v++)
        sum += exp((double)logits[v] - top);
    return top + log(sum);
}
