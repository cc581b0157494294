/* optimizer.c - see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "train/schedule.h"

/* Joins neighbours that AdamW treats alike; buffers are left out, and what Muon takes. */
static void find_runs(struct loom_optimizer *o, const struct loom_tensors *table, const struct loom_recipe *recipe) {
    for (size_t i = 0; i < table->count; i++) {
        const struct loom_tensor *t = &table->items[i];
        bool decay = recipe->decay == LOOM_DECAY_ALL || t->rank >= 2;
        struct loom_optimizer_run *last = o->n_runs ? &o->runs[o->n_runs - 1] : NULL;
        if (t->buffer || loom_muon_takes(t, recipe))
            continue;
        if (last && last->decay == decay && last->kind == t->kind && last->offset + last->count == t->offset)
            last->count += t->count;
        else
            o->runs[o->n_runs++] = (struct loom_optimizer_run){t->offset, t->count, decay, t->kind};
    }
}

loom_status loom_optimizer_open(struct loom_optimizer *o, const struct loom_kernels *k,
                                const struct loom_tensors *table, const struct loom_recipe *recipe,
                                struct loom_error *error) {
    size_t bytes = table->elements * sizeof(real);
    *o =
        (struct loom_optimizer){.k = k, .elements = table->elements, .runs = calloc(table->count + 1, sizeof *o->runs)};
    if (!o->runs)
        return loom_fail_memory(error, "optimizer state", 2 * bytes);
    find_runs(o, table, recipe);
    loom_status status = loom_muon_open(&o->muon, k, table, recipe, error);
    if (status || loom_kernels_dry(k))
        return status;
    o->m = k->alloc(k, bytes);
    o->v = k->alloc(k, bytes);
    return o->m && o->v ? LOOM_OK : loom_fail_memory(error, "optimizer state", 2 * bytes);
}

void loom_optimizer_close(struct loom_optimizer *o) {
    if (o->k) {
        o->k->release(o->k, o->m);
        o->k->release(o->k, o->v);
        loom_muon_close(&o->muon);
    }
    free(o->runs);
    *o = (struct loom_optimizer){0};
}

size_t loom_optimizer_bytes(const struct loom_optimizer *o) {
    return (2 * o->elements + loom_muon_scratch(&o->muon)) * sizeof(real);
}

double loom_gradient_norm(const struct loom_kernels *k, const real *gradients, size_t elements, double scale) {
    return scale * sqrt(k->sum_squares(k, gradients, elements));
}

double loom_clip_factor(double norm, double limit) {
    double factor = limit > 0 ? limit / (norm + 1e-6) : 1;
    return factor < 1 ? factor : 1;
}

/* The recipe's highest rate for tensors of this kind, relative to learning_rate. */
static double rate_of(const struct loom_recipe *recipe, enum loom_tensor_kind kind) {
    double own = kind == LOOM_TENSOR_EMBEDDING ? recipe->embedding_lr : kind == LOOM_TENSOR_HEAD ? recipe->head_lr : 0;
    return own > 0 && recipe->learning_rate > 0 ? own / recipe->learning_rate : 1;
}

void loom_optimizer_update(struct loom_optimizer *o, const struct loom_recipe *recipe, double learning_rate,
                           double scale, real *weights, const real *gradients) {
    double share = recipe->learning_rate > 0 ? learning_rate / recipe->learning_rate : 0;
    double momentum = loom_muon_momentum(recipe, o->updates);
    o->updates++;
    struct loom_adamw step = {.beta1 = recipe->beta1,
                              .beta2 = recipe->beta2,
                              .epsilon = recipe->epsilon,
                              .correction1 = 1 - pow(recipe->beta1, (double)o->updates),
                              .correction2 = 1 - pow(recipe->beta2, (double)o->updates),
                              .gradient_scale = (real)scale};
    for (size_t i = 0; i < o->n_runs; i++) {
        const struct loom_optimizer_run *run = &o->runs[i];
        step.learning_rate = learning_rate * rate_of(recipe, run->kind);
        step.weight_decay = run->decay ? recipe->weight_decay : 0;
        o->k->adamw(o->k, &step, weights + run->offset, o->m + run->offset, o->v + run->offset, gradients + run->offset,
                    run->count);
    }
    struct loom_muon_step move = {.learning_rate = share * recipe->muon_lr,
                                  .momentum = momentum,
                                  .correction2 = 1 - pow(recipe->muon_beta2, (double)o->updates),
                                  .gradient_scale = (real)scale};
    loom_muon_update(&o->muon, recipe, &move, weights, o->m, o->v, gradients);
}
