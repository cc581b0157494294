/* factor.h - arrays that products alone read, in the format that the machine multiplies best; and in the same what a
 * forward keeps of some others for its backward. */
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
static inline struct loom_factor loom_factor_take_as(struct loom_pass *p, enum loom_storage format, size_t n) {
    return (struct loom_factor){loom_stack_bytes(p->stack, n * loom_storage_size(format)), format};
}

static inline struct loom_factor loom_factor_take(struct loom_pass *p, size_t n) {
    return loom_factor_take_as(p, p->factor, n);
}

static inline struct loom_factor loom_factor_take_passing(struct loom_pass *p, size_t n) {
    return (struct loom_factor){loom_stack_passing_bytes(p->stack, n * loom_storage_size(p->factor)), p->factor};
}

/* The same, but in the place of an array of reals, which is used up, where the elements are as large. */
static inline struct loom_factor loom_factor_over(struct loom_pass *p, real *x, size_t n) {
    return p->factor == LOOM_STORAGE_REAL ? loom_factor_of(x) : loom_factor_take(p, n);
}

/* x (n), written to its room. */
static inline struct loom_factor loom_factor_write(struct loom_pass *p, struct loom_factor room, const real *x,
                                                   size_t n) {
    p->k->convert(p->k, room.data, room.format, x, n);
    return room;
}

/* x (n) for products: itself, or a rounded copy on the stack or at its top. */
static inline struct loom_factor loom_factor_round(struct loom_pass *p, const real *x, size_t n) {
    return p->factor == LOOM_STORAGE_REAL ? loom_factor_of(x) : loom_factor_write(p, loom_factor_take(p, n), x, n);
}

static inline struct loom_factor loom_factor_round_passing(struct loom_pass *p, const real *x, size_t n) {
    return p->factor == LOOM_STORAGE_REAL ? loom_factor_of(x)
                                          : loom_factor_write(p, loom_factor_take_passing(p, n), x, n);
}

/* Room for n reals of which the backward wants what loom_factor_kept gives: where they are reals, these themselves. */
static inline real *loom_factor_draft(struct loom_pass *p, size_t n) {
    return p->factor == LOOM_STORAGE_REAL ? loom_stack_take(p->stack, n) : loom_stack_take_passing(p->stack, n);
}

/* Its copy, where a backward follows. */
static inline struct loom_factor loom_factor_kept(struct loom_pass *p, const real *draft, size_t n) {
    return p->keep ? loom_factor_round(p, draft, n) : loom_factor_of(draft);
}

/* The elements from `first` on. */
static inline struct loom_factor loom_factor_from(struct loom_factor x, size_t first) {
    return (struct loom_factor){(char *)x.data + first * loom_storage_size(x.format), x.format};
}

/* Rows of `width` that a backward computes at once where it may choose: some megabytes, which stay in a cache between
 * a product and what follows it. */
static inline size_t loom_factor_strip(size_t rows, size_t width) {
    const size_t most = ((size_t)1 << 19) / width;
    return most < rows ? most + 1 : rows;
}

#endif
