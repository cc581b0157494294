/* schedule.c - see schedule.h. */
#include "train/schedule.h"

#include <math.h>

/* The share of learning_rate - min_lr that is left when `done` of the steps after the warmup lie behind. */
static double share_left(const struct loom_recipe *recipe, double done) {
    const double pi = 3.141592653589793;
    if (recipe->schedule == LOOM_SCHEDULE_COSINE)
        return 0.5 * (1 + cos(pi * done));
    return recipe->cooldown > 0 ? fmin(1, (1 - done) / recipe->cooldown) : 1;
}

double loom_learning_rate(const struct loom_recipe *recipe, uint64_t step) {
    if (step < recipe->warmup_iters)
        return recipe->learning_rate * (double)(step + 1) / (double)(recipe->warmup_iters + 1);
    if (step >= recipe->lr_decay_iters)
        return recipe->min_lr;
    double done = (double)(step - recipe->warmup_iters) / (double)(recipe->lr_decay_iters - recipe->warmup_iters);
    return recipe->min_lr + share_left(recipe, done) * (recipe->learning_rate - recipe->min_lr);
}

double loom_muon_momentum(const struct loom_recipe *recipe, uint64_t step) {
    double last = recipe->muon_momentum, first = recipe->muon_momentum_start;
    if (step >= recipe->muon_momentum_warmup)
        return last;
    return first + (last - first) * (double)step / (double)recipe->muon_momentum_warmup;
}
