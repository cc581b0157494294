/* schedule.c - see schedule.h. */
#include "train/schedule.h"

#include <math.h>

double loom_learning_rate(const struct loom_recipe *recipe, uint64_t step) {
    const double pi = 3.141592653589793;
    if (step < recipe->warmup_iters)
        return recipe->learning_rate * (double)(step + 1) / (double)(recipe->warmup_iters + 1);
    if (step >= recipe->lr_decay_iters)
        return recipe->min_lr;
    double done = (double)(step - recipe->warmup_iters) / (double)(recipe->lr_decay_iters - recipe->warmup_iters);
    return recipe->min_lr + 0.5 * (1 + cos(pi * done)) * (recipe->learning_rate - recipe->min_lr);
}
