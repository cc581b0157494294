/* grow.h - arrays that grow. */
#ifndef LOOM_BASE_GROW_H
#define LOOM_BASE_GROW_H

#include <stddef.h>

/* The array, moved if need be, with room for `wanted` elements of `size` bytes: at least twice *capacity, which then
 * tells for how many. NULL when memory is short or there is no such number; the array is then as it was. */
void *loom_grow(void *array, size_t *capacity, size_t wanted, size_t size);

#endif
