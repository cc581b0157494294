/* hold.c - packed copies of weights that many products use; see hold in kernel.h.
 *
 * A looped block's weights meet every loop, forward and backward, between two updates. Rounding and packing them anew
 * for each product would cost a few percent of it; and a token alone reads them from memory at half the bytes, or a
 * quarter or an eighth. A matrix's copy lies at the place in the copies' block that the matrix has in the weights'
 * block, which works when its copy is not longer than its share: when its sizes are whole vectors or groups. Others are
 * multiplied as if nothing were held. */
#include <stdlib.h>

#include "kernel/cpu/cpu.h"

/* A matrix of whole vectors has at least so many elements, so no two share a mark. */
enum { MARKED = 256, UNIT = 16, GROUP = 32, LONGEST = 1 << 16 };

/* Copies for backward products are never written, and so take no memory, where none runs. */
static bool allocate_words(struct loom_cpu_held *held, size_t count) {
    for (int side = 0; side < LOOM_CPU_SIDES; side++)
        if ((held->words[side] = loom_cpu_take((count / 2 + UNIT) * sizeof(uint32_t))) == NULL)
            return false;
    return true;
}

static bool allocate_quants(struct loom_cpu_held *held, size_t count) {
    held->quants = loom_cpu_take(held->precision == LOOM_PRECISION_INT4 ? count / 2 + UNIT : count + UNIT);
    held->scales = loom_cpu_take((count / GROUP + UNIT) * sizeof *held->scales);
    return held->quants != NULL && held->scales != NULL;
}

static bool allocate(struct loom_cpu_held *held, size_t count) {
    const bool words = held->precision == LOOM_PRECISION_BF16;
    if (!(words ? allocate_words(held, count) : allocate_quants(held, count)))
        return false;
    for (int side = 0; side < LOOM_CPU_SIDES; side++)
        if ((held->mark[side] = calloc(count / MARKED + 1, sizeof *held->mark[side])) == NULL)
            return false;
    held->capacity = count;
    return true;
}

void loom_cpu_let_go(const struct loom_kernels *k) {
    struct loom_cpu_held *held = &((struct loom_cpu *)k->self)->held;
    for (int side = 0; side < LOOM_CPU_SIDES; side++) {
        k->release(k, held->words[side]);
        free(held->mark[side]);
    }
    k->release(k, held->quants);
    k->release(k, held->scales);
    *held = (struct loom_cpu_held){.weights = NULL};
}

bool loom_cpu_hold(const struct loom_kernels *k, const real *weights, size_t count) {
    struct loom_cpu *cpu = k->self;
    struct loom_cpu_held *held = &cpu->held;
    const bool wanted = weights != NULL && cpu->precision != LOOM_PRECISION_FLOAT32;
    if (!wanted || held->capacity != count || held->precision != cpu->precision)
        loom_cpu_let_go(k);
    if (!wanted)
        return true;
    held->precision = cpu->precision;
    if (held->capacity == 0 && !allocate(held, count)) {
        loom_cpu_let_go(k);
        return false;
    }
    held->weights = weights;
    held->now++;
    return true;
}

/* Whether the matrices at w are held; *offset is where. Matrices with others between them are parts of larger ones,
 * which have copies of their own. */
static bool find(const struct loom_cpu_held *held, const struct loom_linear *s, const real *w, size_t *offset) {
    if (held->weights == NULL || s->stride > 0 || w < held->weights || w >= held->weights + held->capacity)
        return false;
    *offset = (size_t)(w - held->weights);
    return true;
}

/* Marks the copies of all groups as made; whether one was not. */
static bool was_stale(const struct loom_cpu_held *held, enum loom_cpu_side side, const struct loom_linear *s,
                      size_t offset) {
    const size_t matrix = s->n_in * s->n_out;
    bool stale = false;
    for (size_t g = 0; g < s->groups; g++) {
        uint32_t *mark = &held->mark[side][(offset + g * matrix) / MARKED];
        stale = stale || *mark != held->now;
        *mark = held->now;
    }
    return stale;
}

uint32_t *loom_cpu_held_copy(const struct loom_kernels *k, enum loom_cpu_side side, const struct loom_linear *s,
                             const real *w, bool *stale) {
    const struct loom_cpu_held *held = &((struct loom_cpu *)k->self)->held;
    size_t offset;
    if (held->words[side] == NULL || !find(held, s, w, &offset) || s->n_in % UNIT != 0 || s->n_out % UNIT != 0)
        return NULL;
    *stale = was_stale(held, side, s, offset);
    return held->words[side] + (offset + 1) / 2;
}

uint8_t *loom_cpu_held_quants(const struct loom_kernels *k, const struct loom_linear *s, const real *w,
                              uint16_t **scales, bool *stale) {
    const struct loom_cpu_held *held = &((struct loom_cpu *)k->self)->held;
    size_t offset;
    if (held->quants == NULL || !find(held, s, w, &offset) || s->n_in % GROUP != 0 || s->n_out % UNIT != 0 ||
        s->n_in > LONGEST)
        return NULL;
    *stale = was_stale(held, LOOM_CPU_FORWARD, s, offset);
    *scales = held->scales + (offset + GROUP - 1) / GROUP;
    return held->quants + (held->precision == LOOM_PRECISION_INT4 ? (offset + 1) / 2 : offset);
}
