/* schedule.h - the learning rate of each step: linear warmup, then a cosine down to min_lr, as nanoGPT's. */
#ifndef LOOM_TRAIN_SCHEDULE_H
#define LOOM_TRAIN_SCHEDULE_H

#include "train/recipe.h"

/* `step` is counted from 0. Loshchilov & Hutter, arXiv 1608.03983. */
double loom_learning_rate(const struct loom_recipe *recipe, uint64_t step);

#endif
