/* numbers.c - see numbers.h. */
#include "eval/numbers.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

void loom_numbers_sort(double *values, size_t count) {
    if (count)
        qsort(values, count, sizeof *values, compare);
}

double loom_numbers_median(double *values, size_t count) {
    if (count == 0)
        return (double)NAN;
    loom_numbers_sort(values, count);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}
