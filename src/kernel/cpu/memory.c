/* memory.c - blocks aligned for vectors, large ones for huge pages. See loom_cpu_take in cpu.h. */
#define _GNU_SOURCE /* MADV_HUGEPAGE */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kernel/cpu/cpu.h"

/* Blocks of this many bytes and more are aligned to pages of that size, which make long reads cheaper. */
static const size_t huge_page = (size_t)2 << 20;
static const size_t cache_line = 64;

static size_t round_up(size_t value, size_t unit) {
    return (value + unit - 1) / unit * unit;
}

void *loom_cpu_take(size_t bytes) {
    const size_t unit = bytes < huge_page ? cache_line : huge_page;
    if (bytes > SIZE_MAX - unit)
        return NULL;
    const size_t size = bytes == 0 ? unit : round_up(bytes, unit);
    void *memory = aligned_alloc(unit, size);
    if (memory == NULL)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* Only a wish: without huge pages the memory is as good, and slower. */
    if (unit == huge_page)
        (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}
