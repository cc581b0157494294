/* hold.c - packed copies of weights that many products use; see hold in kernel.h.
 *
 * A looped block's weights meet every loop, forward and backward, between two updates. Rounding and packing them anew
 * for each product would cost a few percent of it. A matrix's copy lies at the place in the copies' block that the
 * matrix has in the weights' block, which works when its copy is no longer than half of it: when its sizes are whole
 * vectors. Others are packed by each product, as if nothing were held. */
#include <stdlib.h>

#include "kernel/cpu/cpu.h"

/* A matrix of whole vectors has at least so many elements, so no two share a mark. */
enum { MARKED = 256, UNIT = 16 };

static bool allocate(const struct loom_kernels *k, struct loom_cpu_held *held, size_t count) {
    for (int side = 0; side < LOOM_CPU_SIDES; side++) {
        held->words[side] = k->alloc(k, (count / 2 + UNIT) * sizeof(uint32_t));
        held->mark[side] = calloc(count / MARKED + 1, sizeof *held->mark[side]);
        if (held->words[side] == NULL || held->mark[side] == NULL)
            return false;
    }
    held->capacity = count;
    return true;
}

void loom_cpu_let_go(const struct loom_kernels *k) {
    struct loom_cpu_held *held = &((struct loom_cpu *)k->self)->held;
    for (int side = 0; side < LOOM_CPU_SIDES; side++) {
        k->release(k, held->words[side]);
        free(held->mark[side]);
    }
    *held = (struct loom_cpu_held){.weights = NULL};
}

bool loom_cpu_hold(const struct loom_kernels *k, const real *weights, size_t count) {
    struct loom_cpu *cpu = k->self;
    struct loom_cpu_held *held = &cpu->held;
    if (weights == NULL || !cpu->bf16 || held->capacity != count)
        loom_cpu_let_go(k);
    if (weights == NULL || !cpu->bf16)
        return true;
    if (held->capacity == 0 && !allocate(k, held, count)) {
        loom_cpu_let_go(k);
        return false;
    }
    held->weights = weights;
    held->now++;
    return true;
}

uint32_t *loom_cpu_held_copy(const struct loom_kernels *k, enum loom_cpu_side side, const struct loom_linear *s,
                             const real *w, bool *stale) {
    struct loom_cpu_held *held = &((struct loom_cpu *)k->self)->held;
    if (held->weights == NULL || w < held->weights || w >= held->weights + held->capacity || s->n_in % UNIT != 0 ||
        s->n_out % UNIT != 0)
        return NULL;
    const size_t offset = (size_t)(w - held->weights);
    uint32_t *mark = &held->mark[side][offset / MARKED];
    *stale = *mark != held->now;
    *mark = held->now;
    return held->words[side] + (offset + 1) / 2;
}
