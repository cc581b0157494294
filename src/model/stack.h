/* stack.h - the activation stack: one block of the machine's memory, taken from the bottom up.
 *
 * A forward pass pushes what its backward will need and releases what it will not; a backward pass releases in the
 * opposite order. With base == NULL the stack only measures: addresses are made up, nothing may be touched, and `peak`
 * tells how much a real pass takes. Nothing is allocated inside a step. */
#ifndef LOOM_MODEL_STACK_H
#define LOOM_MODEL_STACK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

struct loom_stack {
    char *base;
    size_t size, used, peak; /* bytes */
};

enum { LOOM_STACK_ALIGNMENT = 64 };

static inline void *loom_stack_bytes(struct loom_stack *stack, size_t bytes) {
    size_t place = stack->used;
    stack->used += (bytes + LOOM_STACK_ALIGNMENT - 1) / LOOM_STACK_ALIGNMENT * LOOM_STACK_ALIGNMENT;
    if (stack->used > stack->peak)
        stack->peak = stack->used;
    if (!stack->base)
        return (void *)(uintptr_t)(LOOM_STACK_ALIGNMENT + place);
    assert(stack->used <= stack->size); /* sized by a measuring pass of the same shape */
    return stack->base + place;
}

/* `count` elements of the tensor type. */
static inline real *loom_stack_take(struct loom_stack *stack, size_t count) {
    return loom_stack_bytes(stack, count * sizeof(real));
}

static inline int *loom_stack_take_ints(struct loom_stack *stack, size_t count) {
    return loom_stack_bytes(stack, count * sizeof(int));
}

static inline void loom_stack_release(struct loom_stack *stack, size_t mark) {
    stack->used = mark;
}

#endif
