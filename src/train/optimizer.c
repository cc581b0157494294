/* optimizer.c - see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>

/* Joins neighbours that are treated alike; buffers are left out. */
static void find_runs(struct loom_optimizer *o, const struct loom_tensors *table, int rule) {
    for (size_t i = 0; i < table->count; i++) {
        const struct loom_tensor *t = &table->items[i];
        bool decay = rule == LOOM_DECAY_ALL || t->rank >= 2;
        struct loom_optimizer_run *last = o->n_runs ? &o->runs[o->n_runs - 1] : NULL;
        if (t->buffer)
            continue;
        if (last && last->decay == decay && last->offset + last->count == t->offset)
            last->count += t->count;
        else
            o->runs[o->n_runs++] = (struct loom_optimizer_run){t->offset, t->count, decay};
    }
}

loom_status loom_optimizer_open(struct loom_optimizer *o, const struct loom_kernels *k,
                                const struct loom_tensors *table, int decay, struct loom_error *error) {
    size_t bytes = table->elements * sizeof(real);
    *o = (struct loom_optimizer){.k = k,
                                 .m = k->alloc(k, bytes),
                                 .v = k->alloc(k, bytes),
                                 .elements = table->elements,
                                 .runs = calloc(table->count + 1, sizeof *o->runs)};
    if (!o->m || !o->v || !o->runs)
        return loom_fail_memory(error, "optimizer state", 2 * bytes);
    find_runs(o, table, decay);
    return LOOM_OK;
}

void loom_optimizer_close(struct loom_optimizer *o) {
    if (o->k) {
        o->k->release(o->k, o->m);
        o->k->release(o->k, o->v);
    }
    free(o->runs);
    *o = (struct loom_optimizer){0};
}

double loom_gradient_norm(const struct loom_kernels *k, const real *gradients, size_t elements, double scale) {
    return scale * sqrt(k->sum_squares(k, gradients, elements));
}

double loom_clip_factor(double norm, double limit) {
    double factor = limit > 0 ? limit / (norm + 1e-6) : 1;
    return factor < 1 ? factor : 1;
}

void loom_optimizer_update(struct loom_optimizer *o, const struct loom_recipe *recipe, double learning_rate,
                           double scale, real *weights, const real *gradients) {
    o->updates++;
    struct loom_adamw step = {.learning_rate = learning_rate,
                              .beta1 = recipe->beta1,
                              .beta2 = recipe->beta2,
                              .epsilon = recipe->epsilon,
                              .correction1 = 1 - pow(recipe->beta1, (double)o->updates),
                              .correction2 = 1 - pow(recipe->beta2, (double)o->updates),
                              .gradient_scale = (real)scale};
    for (size_t i = 0; i < o->n_runs; i++) {
        const struct loom_optimizer_run *run = &o->runs[i];
        step.weight_decay = run->decay ? recipe->weight_decay : 0;
        o->k->adamw(o->k, &step, weights + run->offset, o->m + run->offset, o->v + run->offset, gradients + run->offset,
                    run->count);
    }
}
