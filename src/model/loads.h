/* loads.h - what routing and halting did: how often each expert was chosen, and how many tokens ran each loop. */
#ifndef LOOM_MODEL_LOADS_H
#define LOOM_MODEL_LOADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/config.h"

/* Summed over passes; host memory. */
struct loom_loads {
    int loops, layers, experts; /* sizes of the arrays */
    uint64_t *choices;          /* (loops, layers, experts): how often each expert was chosen */
    uint64_t *running;          /* (loops): tokens that entered this loop */
    int *scratch;               /* (experts + 1) */
};

/* False without memory. Close it also then; one that is all zero may be closed. */
bool loom_loads_open(struct loom_loads *loads, const struct loom_config *c, int loops);
void loom_loads_close(struct loom_loads *loads);

/* Sets the loads to zero. */
void loom_loads_clear(struct loom_loads *loads);
/* The mean of running over the tokens of the first loop: loops that a token runs; 0 without a loop. */
double loom_loads_mean_loops(const struct loom_loads *loads);
/* The share of the first loop's tokens that leave after loop t, counted from 0; the last loop's are all that were left.
 */
double loom_loads_exit_share(const struct loom_loads *loads, int t);
/* How often one layer chose an expert, over all loops. */
uint64_t loom_loads_choices(const struct loom_loads *loads, size_t layer, size_t expert);
/* The busiest expert's share over the mean share, the worst layer over all loops; 0 without experts. */
double loom_loads_imbalance(const struct loom_loads *loads);

#endif
