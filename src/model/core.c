/* core.c - see core.h. */
#include "model/core.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/gradient.h"

static void declare_injection(struct loom_core *core, struct loom_tensors *table, const struct loom_config *c) {
    const char *prefix = "recurrent.";
    bool stable = core->injection == LOOM_INJECTION_OPENMYTHOS || core->injection == LOOM_INJECTION_PARCAE;
    struct loom_tensor_spec zeros = {.cols = (size_t)c->dim}, zero = {.cols = 1};
    struct loom_tensor_spec tenths = {.cols = (size_t)c->dim, .mean = 0.1};
    core->log_a = core->log_dt = core->b = LOOM_NO_TENSOR;
    if (stable) {
        core->log_a = loom_tensors_add(table, zeros, prefix, "injection.log_A");
        core->log_dt = loom_tensors_add(table, zero, prefix, "injection.log_dt");
    }
    if (core->injection != LOOM_INJECTION_NONE)
        core->b = loom_tensors_add(table, tenths, prefix, "injection.B");
}

static bool declare_loop(struct loom_core *core, struct loom_tensors *table, const struct loom_config *c) {
    const char *prefix = "recurrent.";
    size_t dim = (size_t)c->dim;
    struct loom_tensor_spec low = {.rows = core->rank, .cols = dim, .std = LOOM_INIT_STD};
    struct loom_tensor_spec scales = {
        .rows = (size_t)c->max_loop_iters, .cols = core->rank, .std = LOOM_INIT_STD, .kind = LOOM_TENSOR_EMBEDDING};
    declare_injection(core, table, c);
    if (!loom_halting_declare(&core->halting, table, c))
        return false;
    if (core->rank > 0) {
        core->lora_b = loom_tensors_add(table, low, prefix, "lora.B");
        core->lora_down = loom_tensors_add(table, low, prefix, "lora.down.weight");
        core->lora_scale = loom_tensors_add(table, scales, prefix, "lora.scale.weight");
    }
    if (core->injection == LOOM_INJECTION_OPENMYTHOS)
        core->norm = loom_norm_declare(table, c, prefix, "norm");
    if (core->normed)
        core->state_norm = loom_norm_declare(table, c, prefix, "state_norm");
    return true;
}

bool loom_core_declare(struct loom_core *core, struct loom_tensors *table, const struct loom_config *c) {
    enum loom_feed_forward feed = loom_config_routed(c) ? LOOM_FEED_EXPERTS : LOOM_FEED_SWIGLU;
    *core = (struct loom_core){.layers = (size_t)c->core_layers,
                               .rank = (size_t)c->lora_rank,
                               .injection = (enum loom_injection)c->injection,
                               .remembers = c->loop_keys == LOOM_LOOP_KEYS_PRELUDE,
                               .normed = c->loop_norm};
    core->blocks = calloc(core->layers + 1, sizeof *core->blocks);
    if (!core->blocks)
        return false;
    for (size_t i = 0; i < core->layers; i++) {
        char prefix[LOOM_NAME_MAX] = "recurrent.block.";
        if (core->layers > 1)
            snprintf(prefix, sizeof prefix, "recurrent.block.%zu.", i);
        if (!loom_block_declare(&core->blocks[i], table, c, feed, prefix))
            return false;
    }
    return declare_loop(core, table, c);
}

void loom_core_free(struct loom_core *core) {
    for (size_t i = 0; core->blocks && i < core->layers; i++)
        loom_block_free(&core->blocks[i]);
    loom_halting_free(&core->halting);
    free(core->blocks);
    core->blocks = NULL;
}

bool loom_core_saved_open(struct loom_core_saved *s, const struct loom_core *core, int loops, bool keep) {
    *s = (struct loom_core_saved){.capacity = keep ? (size_t)loops : 1};
    s->loops = calloc(s->capacity, sizeof *s->loops);
    s->memory = calloc(core->layers, sizeof *s->memory);
    for (size_t t = 0; s->loops && t < s->capacity; t++) {
        s->loops[t].blocks = calloc(core->layers, sizeof *s->loops[t].blocks);
        for (size_t i = 0; i < core->layers; i++)
            if (!s->loops[t].blocks || !loom_block_saved_open(&s->loops[t].blocks[i], &core->blocks[i]))
                return false;
    }
    return s->loops && s->memory && loom_halting_saved_open(&s->halting, &core->halting);
}

void loom_core_saved_close(struct loom_core_saved *s, size_t layers) {
    for (size_t t = 0; s->loops && t < s->capacity; t++) {
        for (size_t i = 0; s->loops[t].blocks && i < layers; i++)
            loom_block_saved_close(&s->loops[t].blocks[i]);
        free(s->loops[t].blocks);
    }
    free(s->loops);
    loom_halting_saved_close(&s->halting);
    free(s->memory);
    s->loops = NULL;
    s->memory = NULL;
}

void loom_core_index(real *rows, int loops, size_t dim) {
    size_t n = dim / 8, half = (n + 1) / 2;
    for (int t = 0; t < loops; t++)
        for (size_t c = 0; c < dim; c++) {
            size_t i = c < half ? c : c - half;
            double angle = n ? t * pow(10000.0, -2.0 * (double)i / (double)n) : 0;
            rows[(size_t)t * dim + c] = (real)(c >= n ? 0 : c < half ? sin(angle) : cos(angle));
        }
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Loops beyond the trained ones use the last scale. */
static size_t scale_row(const struct loom_pass *p, const struct loom_core *core, int t) {
    int last = p->c->max_loop_iters - 1;
    return core->lora_scale + (size_t)(t < last ? t : last) * core->rank;
}

/* As a linear layer of n_in = C and n_out = r, which both LoRA matrices are. */
static struct loom_linear low_rank(const struct loom_pass *p, const struct loom_core *core) {
    return (struct loom_linear){.rows = loom_pass_rows(p), .n_in = (size_t)p->c->dim, .n_out = core->rank, .groups = 1};
}

static void adapt(struct loom_pass *p, const struct loom_core *core, struct loom_loop_saved *s, int t, real *y) {
    const struct loom_kernels *k = p->k;
    struct loom_linear shape = low_rank(p, core);
    size_t rows = loom_pass_rows(p);
    if (core->rank == 0)
        return;
    s->low = loom_stack_take(p->stack, rows * core->rank);
    s->scaled = loom_stack_take(p->stack, rows * core->rank);
    k->linear(k, &shape, s->low, s->y, p->w + core->lora_down, false);
    k->scale_columns(k, s->scaled, s->low, p->w + scale_row(p, core, t), rows, core->rank);
    k->linear_input(k, &shape, y, s->scaled, p->w + core->lora_b, true);
}

/* sum = the state with the prelude's output joined to it, and the loop's number. */
static void join(struct loom_pass *p, const struct loom_core *core, const struct loom_core_saved *all,
                 const struct loom_loop_saved *s, int t, const real *e, real *sum) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), dim = (size_t)p->c->dim, n = rows * dim;
    switch (core->injection) {
    case LOOM_INJECTION_OPENMYTHOS:
        k->add(k, sum, s->h, e, n);
        break;
    case LOOM_INJECTION_PARCAE:
        k->lti(k, sum, s->h, e, NULL, p->w + core->log_a, p->w + core->log_dt, p->w + core->b, rows, dim);
        break;
    case LOOM_INJECTION_ADD:
        k->scale_columns(k, sum, e, p->w + core->b, rows, dim);
        k->add(k, sum, sum, s->h, n);
        break;
    case LOOM_INJECTION_NONE:
        k->copy(k, sum, s->h, n);
        break;
    }
    if (p->c->loop_index)
        k->add_row(k, sum, all->index + (size_t)t * dim, rows, dim);
}

/* What the blocks read. OpenMythos's is normalised, and the sum below it is made again in the backward. */
static const real *inject(struct loom_pass *p, const struct loom_core *core, const struct loom_core_saved *all,
                          struct loom_loop_saved *s, int t, const real *e) {
    size_t passing = p->stack->passing, rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    bool openmythos = core->injection == LOOM_INJECTION_OPENMYTHOS;
    real *sum = openmythos ? loom_stack_take_passing(p->stack, n) : loom_stack_take(p->stack, n);
    join(p, core, all, s, t, e, sum);
    if (!openmythos)
        return sum;
    const real *normed = loom_norm_forward(p, &core->norm, &s->norm, sum, rows);
    loom_stack_release_passing(p->stack, passing);
    return normed;
}

/* Returns the blocks' output. */
static real *run_blocks(struct loom_pass *p, const struct loom_core *core, const struct loom_core_saved *all,
                        struct loom_loop_saved *s, size_t slot, int t, const real *x) {
    real *y = NULL;
    for (size_t i = 0; i < core->layers; i++) {
        struct loom_place place = {.slot = slot + (size_t)t * core->layers + i,
                                   .loop = t,
                                   .layer = (int)i,
                                   .memory = core->remembers ? &all->memory[i] : NULL};
        y = loom_stack_take(p->stack, loom_pass_rows(p) * (size_t)p->c->dim);
        loom_block_forward(p, &core->blocks[i], &s->blocks[i], place, y, x);
        x = y;
    }
    return y;
}

/* One loop from s->h to s->next. */
static void loop(struct loom_pass *p, const struct loom_core *core, struct loom_core_saved *all,
                 struct loom_loop_saved *s, size_t slot, int t, const real *e) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    real *next = core->normed ? loom_stack_take(p->stack, rows * dim) : s->next;
    s->y = run_blocks(p, core, all, s, slot, t, inject(p, core, all, s, t, e));
    k->copy(k, next, s->y, rows * dim);
    adapt(p, core, s, t, next);
    if (core->injection == LOOM_INJECTION_OPENMYTHOS)
        k->lti(k, next, s->h, e, next, p->w + core->log_a, p->w + core->log_dt, p->w + core->b, rows, dim);
    if (core->normed)
        k->copy(k, s->next, loom_norm_forward(p, &core->state_norm, &s->state_norm, next, rows), rows * dim);
}

/* What a pass without backward keeps between loops: two states and two halting counts, used in turn. */
struct turns {
    real *state[2], *cum[2];
};

static void take_turns(struct loom_pass *p, struct turns *turns) {
    for (int i = 0; i < 2; i++) {
        turns->state[i] = p->keep ? NULL : loom_stack_take(p->stack, loom_pass_rows(p) * (size_t)p->c->dim);
        turns->cum[i] = loom_stack_take(p->stack, loom_pass_rows(p));
    }
}

/* Whether another loop is wanted. Without a cache it would change nothing once every token has halted. With one every
 * loop runs, so that later tokens find keys at every depth, unless halted tokens exit. */
static bool goes_on(const struct loom_pass *p, int run, size_t running) {
    return run < p->loops && (running > 0 || (p->cache && !p->exits));
}

/* Behind the last loop that ran: its slots stand for those of the loops that did not. */
static void fill_exits(struct loom_pass *p, const struct loom_core *core, size_t slot, int run) {
    size_t last = slot + (size_t)(run - 1) * core->layers;
    for (int t = run; t < p->loops; t++)
        for (size_t i = 0; i < core->layers; i++)
            loom_cache_carry(p->cache, last + i, slot + (size_t)t * core->layers + i, p->seq, NULL);
}

void loom_core_forward(struct loom_pass *p, const struct loom_core *core, struct loom_core_saved *s, size_t slot,
                       real *out, const real *e) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    bool act = core->halting.kind == LOOM_HALTING_ACT, exits = p->exits && !act;
    struct turns turns;
    take_turns(p, &turns);
    for (size_t i = 0; core->remembers && i < core->layers; i++)
        loom_block_remember(p, &core->blocks[i], &s->memory[i], slot + i, e);
    loom_halting_begin(p, &core->halting, &s->halting, e);
    const real *h = e;
    real *cum = turns.cum[1];
    k->fill(k, cum, 0, rows);
    k->fill(k, out, 0, n);
    s->run = 0;
    while (goes_on(p, s->run, s->halting.running)) {
        int t = s->run++;
        struct loom_loop_saved *l = &s->loops[p->keep ? t : 0];
        if (p->loads)
            p->loads->running[t] += s->halting.running;
        l->h = h;
        l->next = p->keep ? loom_stack_take(p->stack, n) : turns.state[t % 2];
        l->act.cum = cum;
        l->act.cum_next = p->keep ? loom_stack_take(p->stack, rows) : turns.cum[t % 2];
        size_t mark = p->stack->used;
        l->dropout_sites = p->dropout_sites;
        loop(p, core, s, l, slot, t, e);
        if (p->recompute)
            loom_stack_release(p->stack, mark);
        if (act)
            loom_halting_act(p, &core->halting, &s->halting, &l->act, t, out, l->next);
        else if (exits)
            loom_halting_exit(p, &core->halting, &s->halting, t, out, l->next);
        h = l->next;
        cum = l->act.cum_next;
        if (!p->keep)
            loom_stack_release(p->stack, mark);
    }
    if (p->exits && !core->remembers)
        fill_exits(p, core, slot, s->run);
    if (p->exits)
        p->exits->any = false; /* what follows is for every token */
    if (!act && !exits)
        k->copy(k, out, h, n);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* d holds the gradient of the adapted output and becomes that of the blocks' output. */
static void adapt_backward(struct loom_pass *p, const struct loom_core *core, const struct loom_loop_saved *s, int t,
                           real *d) {
    const struct loom_kernels *k = p->k;
    struct loom_linear shape = low_rank(p, core);
    if (core->rank == 0)
        return;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), row = scale_row(p, core, t);
    real *dlow = loom_stack_take(p->stack, rows * core->rank);
    k->linear(k, &shape, dlow, d, p->w + core->lora_b, false);
    loom_gradient_linear(p, &shape, core->lora_b, s->scaled, d);
    loom_gradient_scale(p, row, dlow, s->low, rows, core->rank);
    k->scale_columns(k, dlow, dlow, p->w + row, rows, core->rank);
    k->linear_input(k, &shape, d, dlow, p->w + core->lora_down, true);
    loom_gradient_linear(p, &shape, core->lora_down, dlow, s->y);
    loom_stack_release(p->stack, mark);
}

/* Through the injection alone: `before` becomes the gradient of the state that entered; de +=. With OpenMythos's, d is
 * that of the state that left; with the others that of the blocks' input. */
static void inject_backward(struct loom_pass *p, const struct loom_core *core, const struct loom_loop_saved *s,
                            real *before, real *de, const real *d, const real *e) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    switch (core->injection) {
    case LOOM_INJECTION_OPENMYTHOS:
    case LOOM_INJECTION_PARCAE:
        k->lti_backward(k, before, de, loom_gradient(p, core->log_a), loom_gradient(p, core->log_dt),
                        loom_gradient(p, core->b), d, s->h, e, p->w + core->log_a, p->w + core->log_dt, p->w + core->b,
                        rows, dim);
        break;
    case LOOM_INJECTION_ADD:
        loom_gradient_scale(p, core->b, d, e, rows, dim);
        k->scale_columns(k, before, d, p->w + core->b, rows, dim);
        k->add(k, de, de, before, rows * dim);
        k->copy(k, before, d, rows * dim);
        break;
    case LOOM_INJECTION_NONE:
        k->copy(k, before, d, rows * dim);
        break;
    }
}

/* In place: the gradient of the normalised state becomes that of the state as it was. */
static void state_norm_backward(struct loom_pass *p, const struct loom_core *core, const struct loom_loop_saved *s,
                                real *dh) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    if (!core->normed)
        return;
    real *d = loom_stack_take(p->stack, n);
    k->fill(k, d, 0, n);
    loom_norm_backward(p, &core->state_norm, &s->state_norm, d, dh, rows);
    k->copy(k, dh, d, n);
    loom_stack_release(p->stack, mark);
}

/* Through OpenMythos's norm, whose input is the state that entered with e joined to it: before and de +=. */
static void join_backward(struct loom_pass *p, const struct loom_core *core, const struct loom_core_saved *all, int t,
                          real *before, real *de, const real *d, const real *e) {
    const struct loom_kernels *k = p->k;
    const struct loom_loop_saved *s = &all->loops[t];
    size_t rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    struct loom_norm_saved norm = s->norm;
    real *sum = loom_stack_take(p->stack, n), *dsum = loom_stack_take(p->stack, n);
    join(p, core, all, s, t, e, sum);
    norm.x = sum;
    k->fill(k, dsum, 0, n);
    loom_norm_backward(p, &core->norm, &norm, dsum, d, rows);
    k->add(k, before, before, dsum, n);
    k->add(k, de, de, dsum, n);
}

/* One loop back: dh, the gradient of the state that left, becomes in `before` that of the state that entered; de +=. */
static void loop_backward(struct loom_pass *p, const struct loom_core *core, const struct loom_core_saved *all, int t,
                          real *before, real *de, real *dh, const real *e) {
    const struct loom_loop_saved *s = &all->loops[t];
    size_t mark = p->stack->used;
    bool openmythos = core->injection == LOOM_INJECTION_OPENMYTHOS;
    state_norm_backward(p, core, s, dh);
    if (openmythos)
        inject_backward(p, core, s, before, de, dh, e);
    adapt_backward(p, core, s, t, dh);
    for (size_t i = core->layers; i-- > 0;)
        loom_block_backward(p, &core->blocks[i], &s->blocks[i], dh);
    if (openmythos)
        join_backward(p, core, all, t, before, de, dh, e);
    else
        inject_backward(p, core, s, before, de, dh, e);
    loom_stack_release(p->stack, mark);
}

/* Runs a loop again, from the state that entered it, for what its backward needs. Its choices have been counted. */
static void run_again(struct loom_pass *p, const struct loom_core *core, struct loom_core_saved *all, int t,
                      const real *e) {
    struct loom_loads *loads = p->loads;
    p->loads = NULL;
    p->dropout_sites = all->loops[t].dropout_sites;
    loop(p, core, all, &all->loops[t], 0, t, e);
    p->loads = loads;
}

void loom_core_backward(struct loom_pass *p, const struct loom_core *core, struct loom_core_saved *s, real *d) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    bool act = core->halting.kind == LOOM_HALTING_ACT;
    real *dh = loom_stack_take(p->stack, n), *before = loom_stack_take(p->stack, n);
    real *de = loom_stack_take(p->stack, n), *dcum = loom_stack_take(p->stack, rows);
    const real *e = s->loops[0].h;
    k->fill(k, de, 0, n);
    k->fill(k, dcum, 0, rows);
    for (size_t i = 0; core->remembers && i < core->layers; i++)
        loom_block_remember_begin(p, &core->blocks[i], &s->memory[i]);
    if (act)
        k->fill(k, dh, 0, n);
    else
        k->copy(k, dh, d, n);
    int last = p->bptt > 0 && p->bptt < s->run ? s->run - p->bptt : 0;
    for (int t = s->run - 1; t >= last; t--) {
        if (act)
            loom_halting_act_backward(p, &core->halting, &s->loops[t].act, t, dh, dcum, d, s->loops[t].next);
        size_t loop_mark = p->stack->used;
        if (p->recompute)
            run_again(p, core, s, t, e);
        loop_backward(p, core, s, t, before, de, dh, e);
        loom_stack_release(p->stack, loop_mark);
        real *swap = dh;
        dh = before;
        before = swap;
    }
    loom_halting_gate_backward(p, &core->halting, &s->halting);
    for (size_t i = 0; core->remembers && i < core->layers; i++)
        loom_block_remember_end(p, &core->blocks[i], &s->memory[i], de);
    if (last > 0)
        k->copy(k, d, de, n); /* the state before the last loops counts as given */
    else
        k->add(k, d, dh, de, n); /* the first state is e itself */
    loom_stack_release(p->stack, mark);
}
