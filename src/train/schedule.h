/* schedule.h - the learning rate of each step: linear warmup, then nanoGPT's cosine down to min_lr, or a level and a
 * straight line down to min_lr. Muon's momentum rises to its place. */
#ifndef LOOM_TRAIN_SCHEDULE_H
#define LOOM_TRAIN_SCHEDULE_H

#include "train/recipe.h"

/* `step` is counted from 0. Cosine: Loshchilov & Hutter, arXiv 1608.03983; level and line: Haegele et al., arXiv
 * 2405.18392. */
double loom_learning_rate(const struct loom_recipe *recipe, uint64_t step);

double loom_muon_momentum(const struct loom_recipe *recipe, uint64_t step);

#endif
