/* arrays.c - memory and plain arrays of n elements.
 *
 * Elementwise kernels read an element before they write it, so an output may be one of its inputs. */
#include "kernel/ref/ref.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { ALIGNMENT = 64 };

void *loom_ref_alloc(const struct loom_kernels *k, size_t bytes) {
    (void)k;
    /* aligned_alloc wants a multiple of the alignment; an empty block still gets an address of its own. */
    size_t blocks = bytes / ALIGNMENT + 1;
    if (blocks > SIZE_MAX / ALIGNMENT)
        return NULL;
    void *memory = aligned_alloc(ALIGNMENT, blocks * ALIGNMENT);
    if (memory != NULL)
        memset(memory, 0, blocks * ALIGNMENT);
    return memory;
}

void loom_ref_release(const struct loom_kernels *k, void *memory) {
    (void)k;
    free(memory);
}

/* Host memory is the machine's memory, so upload and download are the same copy. */
void loom_ref_transfer(const struct loom_kernels *k, void *to, const void *from, size_t bytes) {
    (void)k;
    if (bytes > 0)
        memcpy(to, from, bytes);
}

void loom_ref_fill(const struct loom_kernels *k, real *y, real value, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++)
        y[i] = value;
}

void loom_ref_copy(const struct loom_kernels *k, real *y, const real *x, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++)
        y[i] = x[i];
}

void loom_ref_convert(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n) {
    (void)format;
    loom_ref_copy(k, y, x, n);
}

void loom_ref_add(const struct loom_kernels *k, real *y, const real *a, const real *b, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

void loom_ref_blend(const struct loom_kernels *k, real *y, real a, const real *x, real b, const real *z, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++)
        y[i] = a * x[i] + b * z[i];
}

void loom_ref_add_scaled(const struct loom_kernels *k, real *y, real s, const real *x, size_t n) {
    (void)k;
    for (size_t i = 0; i < n; i++)
        y[i] += s * x[i];
}

double loom_ref_sum(const struct loom_kernels *k, const real *x, size_t n) {
    (void)k;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

double loom_ref_sum_squares(const struct loom_kernels *k, const real *x, size_t n) {
    (void)k;
    return loom_ref_dot(x, x, n);
}

size_t loom_ref_count_below(const struct loom_kernels *k, const real *x, real limit, size_t n) {
    (void)k;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] < limit;
    return count;
}

void loom_ref_dropout(const struct loom_kernels *k, real *y, const real *x, real rate, uint64_t seed, size_t n) {
    (void)k;
    const struct loom_random stream = {seed, LOOM_RANDOM_DROPOUT};
    const real factor = 1 / (1 - rate);
    for (size_t i = 0; i < n; i++)
        y[i] = loom_random_uniform(stream, i) >= (double)rate ? factor * x[i] : 0;
}
