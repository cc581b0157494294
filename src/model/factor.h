/* factor.h - an array that products alone read, in the format that the machine multiplies best. */
#ifndef LOOM_MODEL_FACTOR_H
#define LOOM_MODEL_FACTOR_H

#include "model/pass.h"

struct loom_factor {
    void *data;
    enum loom_storage format;
};

/* An array of reals, as it is. */
static inline struct loom_factor loom_factor_of(const real *x) {
    /* Who passes a const array only reads it. */
    return (struct loom_factor){(void *)(uintptr_t)x, LOOM_STORAGE_REAL};
}

/* Room for n elements, on the stack or at its top. */
static inline struct loom_factor loom_factor_take(struct loom_pass *p, size_t n) {
    return (struct loom_factor){loom_stack_bytes(p->stack, n * loom_storage_size(p->factor)), p->factor};
}

static inline struct loom_factor loom_factor_take_passing(struct loom_pass *p, size_t n) {
    return (struct loom_factor){loom_stack_passing_bytes(p->stack, n * loom_storage_size(p->factor)), p->factor};
}

/* The same, but in the place of an array of reals, which is used up, where the elements are as large. */
static inline struct loom_factor loom_factor_over(struct loom_pass *p, real *x, size_t n) {
    return p->factor == LOOM_STORAGE_REAL ? loom_factor_of(x) : loom_factor_take(p, n);
}

/* x (n) for products: itself, or a rounded copy on the stack or at its top. */
static inline struct loom_factor loom_factor_round(struct loom_pass *p, const real *x, size_t n) {
    if (p->factor == LOOM_STORAGE_REAL)
        return loom_factor_of(x);
    struct loom_factor y = loom_factor_take(p, n);
    p->k->convert(p->k, y.data, y.format, x, n);
    return y;
}

static inline struct loom_factor loom_factor_round_passing(struct loom_pass *p, const real *x, size_t n) {
    if (p->factor == LOOM_STORAGE_REAL)
        return loom_factor_of(x);
    struct loom_factor y = loom_factor_take_passing(p, n);
    p->k->convert(p->k, y.data, y.format, x, n);
    return y;
}

#endif
