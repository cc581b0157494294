/* router.c - see router.h. */
#include "model/router.h"

#include "model/gradient.h"
#include "model/init.h"

struct loom_router loom_router_declare(struct loom_tensors *table, const struct loom_config *c, const char *prefix) {
    struct loom_router r = {.dim = (size_t)c->dim,
                            .experts = (size_t)c->n_experts,
                            .top_k = (size_t)c->n_experts_per_tok,
                            .kind = (enum loom_router_kind)c->router};
    struct loom_tensor_spec bias = {.cols = r.experts, .buffer = true};
    struct loom_tensor_spec weight = {.rows = r.experts, .cols = r.dim, .std = loom_init_std(c, r.dim)};
    r.bias = loom_tensors_add(table, bias, prefix, "router_bias");
    r.weight = loom_tensors_add(table, weight, prefix, "router.weight");
    return r;
}

static struct loom_linear logits_shape(const struct loom_router *r, size_t rows) {
    return (struct loom_linear){.rows = rows, .n_in = r->dim, .n_out = r->experts, .groups = 1, .exact = true};
}

/* offset's differences are the counts; they come to the host for the balance update and the report. */
static void count_choices(struct loom_pass *p, const struct loom_routes *s, int loop, int layer) {
    struct loom_loads *loads = p->loads;
    if (!loads)
        return;
    size_t experts = s->shape.experts;
    p->k->download(p->k, loads->scratch, s->offset, (experts + 1) * sizeof(int));
    uint64_t *choices = loads->choices + ((size_t)loop * (size_t)loads->layers + (size_t)layer) * experts;
    for (size_t e = 0; e < experts; e++)
        choices[e] += (uint64_t)(loads->scratch[e + 1] - loads->scratch[e]);
}

static bool contains(const int *ids, size_t n, int id) {
    for (size_t j = 0; j < n; j++)
        if (ids[j] == id)
            return true;
    return false;
}

static void take_census(struct loom_pass *p, const struct loom_routes *s, int loop, int layer) {
    struct loom_census *census = p->census;
    if (!census)
        return;
    const size_t top_k = s->shape.top_k, picks = s->shape.rows * top_k, experts = s->shape.experts;
    const size_t kind_cells = (size_t)census->loops * (size_t)census->layers * experts;
    uint64_t *choices = census->choices + ((size_t)loop * (size_t)census->layers + (size_t)layer) * experts;
    int *before = census->before + (size_t)layer * picks;
    p->k->download(p->k, census->ids, s->ids, picks * sizeof *census->ids);
    for (size_t i = 0; i < picks; i++) {
        const size_t row = i / top_k, kind = (size_t)census->kind_of[p->input.ids[row]];
        choices[kind * kind_cells + (size_t)census->ids[i]]++;
        census->again[loop] += loop > 0 && contains(before + row * top_k, top_k, census->ids[i]);
    }
    for (size_t i = 0; i < picks; i++)
        before[i] = census->ids[i];
}

void loom_router_forward(struct loom_pass *p, const struct loom_router *router, struct loom_routes *s, const real *x,
                         int loop, int layer) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), picks = rows * router->top_k;
    struct loom_linear product = logits_shape(router, rows);
    s->shape =
        (struct loom_route){.rows = rows, .experts = router->experts, .top_k = router->top_k, .kind = router->kind};
    s->scores = loom_stack_take(p->stack, rows * router->experts);
    s->gates = loom_stack_take(p->stack, picks);
    s->ids = loom_stack_take_ints(p->stack, picks);
    s->slot = loom_stack_take_ints(p->stack, picks);
    s->source = loom_stack_take_ints(p->stack, picks);
    s->offset = loom_stack_take_ints(p->stack, router->experts + 1);
    s->logits = loom_stack_take(p->stack, rows * router->experts);
    k->linear(k, &product, s->logits, x, p->w + router->weight, false);
    k->route(k, &s->shape, s->scores, s->ids, s->gates, s->logits, p->w + router->bias);
    k->group(k, &s->shape, s->offset, s->slot, s->source, s->ids);
    count_choices(p, s, loop, layer);
    take_census(p, s, loop, layer);
}

void loom_router_backward(struct loom_pass *p, const struct loom_router *router, const struct loom_routes *s, real *dx,
                          const real *dgates, const real *x) {
    const struct loom_kernels *k = p->k;
    struct loom_linear product = logits_shape(router, s->shape.rows);
    size_t mark = p->stack->used;
    real *dlogits = loom_stack_take(p->stack, s->shape.rows * router->experts);
    k->route_backward(k, &s->shape, dlogits, dgates, s->scores, s->ids, s->gates);
    real *load = loom_stack_take(p->stack, router->experts);
    if (p->balance.sequence > 0 || p->balance.z > 0)
        (void)k->balance(k, &s->shape, &p->balance, dlogits, load, s->logits, s->scores, s->ids);
    k->linear_input(k, &product, dx, dlogits, p->w + router->weight, true);
    loom_gradient_linear(p, &product, router->weight, dlogits, x);
    loom_stack_release(p->stack, mark);
}
