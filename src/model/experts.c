/* experts.c - see experts.h. */
#include "model/experts.h"

#include <stdio.h>
#include <stdlib.h>

bool loom_experts_declare(struct loom_experts *experts, struct loom_tensors *table, const struct loom_config *c,
                          const char *prefix) {
    char name[LOOM_NAME_MAX];
    size_t width = (size_t)c->expert_dim;
    *experts = (struct loom_experts){.n_shared = (size_t)c->n_shared_experts};
    snprintf(name, sizeof name, "%srouted_experts.", prefix);
    experts->routed = loom_swiglu_declare_experts(table, c, width, (size_t)c->n_experts, name);
    experts->shared = calloc(experts->n_shared + 1, sizeof *experts->shared);
    if (!experts->shared)
        return false;
    for (size_t i = 0; i < experts->n_shared; i++) {
        snprintf(name, sizeof name, "%sshared_experts.%zu.", prefix, i);
        experts->shared[i] = loom_swiglu_declare(table, c, width * (size_t)c->n_experts_per_tok, name);
    }
    return true;
}

void loom_experts_free(struct loom_experts *experts) {
    free(experts->shared);
    experts->shared = NULL;
}

void loom_experts_forward(struct loom_pass *p, const struct loom_experts *experts, struct loom_experts_saved *s,
                          real *y, const real *x, const struct loom_routes *routes) {
    const struct loom_kernels *k = p->k;
    const struct loom_route *shape = &routes->shape;
    size_t passing = p->stack->passing, rows = shape->rows, picks = rows * shape->top_k, dim = experts->routed.dim;
    struct loom_factor rounded = loom_factor_round_passing(p, x, rows * dim);
    size_t inner = p->stack->passing;
    struct loom_factor sorted = loom_factor_take_passing(p, picks * dim);
    s->y = loom_stack_take(p->stack, picks * dim);
    k->gather(k, shape, sorted.data, rounded.data, p->factor, routes->source, dim);
    loom_swiglu_forward(p, &experts->routed, &s->routed, s->y, sorted, picks, routes->offset, false);
    loom_stack_release_passing(p->stack, inner);
    k->fill(k, y, 0, rows * dim);
    k->combine(k, shape, y, s->y, routes->gates, routes->slot, dim);
    for (size_t i = 0; i < experts->n_shared; i++)
        loom_swiglu_forward(p, &experts->shared[i], &s->shared[i], y, rounded, rows, NULL, true);
    loom_stack_release_passing(p->stack, passing);
}

void loom_experts_backward(struct loom_pass *p, const struct loom_experts *experts, const struct loom_experts_saved *s,
                           real *dx, real *dgates, const real *dy, const real *x, const struct loom_routes *routes) {
    const struct loom_kernels *k = p->k;
    const struct loom_route *shape = &routes->shape;
    size_t mark = p->stack->used, rows = shape->rows, picks = rows * shape->top_k, dim = experts->routed.dim;
    struct loom_factor rounded = loom_factor_round(p, x, rows * dim);
    struct loom_factor dy_rounded = loom_factor_round(p, dy, rows * dim);
    struct loom_factor sorted = loom_factor_take(p, picks * dim), dy_sorted = loom_factor_over(p, s->y, picks * dim);
    real *dx_sorted = loom_stack_take(p->stack, picks * dim);
    k->gather(k, shape, sorted.data, rounded.data, p->factor, routes->source, dim);
    k->combine_backward(k, shape, dy_sorted.data, p->factor, dgates, dy, s->y, routes->gates, routes->slot, dim);
    loom_swiglu_backward(p, &experts->routed, &s->routed, dx_sorted, dy_sorted, sorted, picks, routes->offset, false);
    k->fill(k, dx, 0, rows * dim);
    k->gather_backward(k, shape, dx, dx_sorted, routes->slot, dim);
    for (size_t i = 0; i < experts->n_shared; i++)
        loom_swiglu_backward(p, &experts->shared[i], &s->shared[i], dx, dy_rounded, rounded, rows, NULL, true);
    loom_stack_release(p->stack, mark);
}
