/* stack.h - the activation stack: one block of the machine's memory, taken from the bottom up.
 *
 * A forward pass pushes what its backward will need and releases what it will not; a backward pass releases in the
 * opposite order. What a layer only passes on to the next is taken from the top down, so that it is released from under
 * what the next one keeps. With base == NULL the stack only measures: addresses are made up, nothing may be touched,
 * and `peak` tells how much a real pass takes. Nothing is allocated inside a step. */
#ifndef LOOM_MODEL_STACK_H
#define LOOM_MODEL_STACK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

struct loom_stack {
    char *base;
    size_t size, used, passing, peak; /* bytes; used from the bottom, passing at the top */
};

enum { LOOM_STACK_ALIGNMENT = 64 };

static inline size_t loom_stack_round(size_t bytes) {
    return (bytes + LOOM_STACK_ALIGNMENT - 1) / LOOM_STACK_ALIGNMENT * LOOM_STACK_ALIGNMENT;
}

/* The address of a place that has just been taken. */
static inline void *loom_stack_address(struct loom_stack *stack, size_t place) {
    if (stack->used + stack->passing > stack->peak)
        stack->peak = stack->used + stack->passing;
    if (!stack->base)
        return (void *)(uintptr_t)(LOOM_STACK_ALIGNMENT + place);
    assert(stack->used + stack->passing <= stack->size); /* sized by a measuring pass of the same shape */
    return stack->base + place;
}

static inline void *loom_stack_bytes(struct loom_stack *stack, size_t bytes) {
    size_t place = stack->used;
    stack->used += loom_stack_round(bytes);
    return loom_stack_address(stack, place);
}

/* `count` elements of the tensor type. */
static inline real *loom_stack_take(struct loom_stack *stack, size_t count) {
    return loom_stack_bytes(stack, count * sizeof(real));
}

static inline int *loom_stack_take_ints(struct loom_stack *stack, size_t count) {
    return loom_stack_bytes(stack, count * sizeof(int));
}

/* The same at the top. */
static inline void *loom_stack_passing_bytes(struct loom_stack *stack, size_t bytes) {
    stack->passing += loom_stack_round(bytes);
    return loom_stack_address(stack, stack->base ? stack->size - stack->passing : 0);
}

static inline real *loom_stack_take_passing(struct loom_stack *stack, size_t count) {
    return loom_stack_passing_bytes(stack, count * sizeof(real));
}

static inline void loom_stack_release_passing(struct loom_stack *stack, size_t mark) {
    stack->passing = mark;
}

static inline void loom_stack_release(struct loom_stack *stack, size_t mark) {
    stack->used = mark;
}

#endif
