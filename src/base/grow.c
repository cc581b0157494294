/* grow.c - see grow.h. */
#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>

enum { LEAST = 16 };

void *loom_grow(void *array, size_t *capacity, size_t wanted, size_t size) {
    const size_t most = SIZE_MAX / 2 / size;
    if (wanted <= *capacity)
        return array;
    if (wanted > most)
        return NULL;
    size_t larger = *capacity <= most / 2 ? 2 * *capacity : most;
    if (larger < wanted)
        larger = wanted;
    if (larger < LEAST)
        larger = LEAST;
    void *grown = realloc(array, larger * size);
    if (grown)
        *capacity = larger;
    return grown;
}
