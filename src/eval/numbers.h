/* numbers.h - order statistics of small tables. */
#ifndef LOOM_EVAL_NUMBERS_H
#define LOOM_EVAL_NUMBERS_H

#include <stddef.h>

/* Sorts finite numbers, lowest first. */
void loom_numbers_sort(double *values, size_t count);

/* The median; of an even count the mean of the middle two; NAN of none. Sorts `values`. */
double loom_numbers_median(double *values, size_t count);

#endif
