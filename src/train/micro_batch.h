/* micro_batch.h - what a step learns from next: rows of text, of conversations or of a generated task's problems, and
 * how often the core runs over them. A function of seed, step and, with a curriculum, how far it has come. */
#ifndef LOOM_TRAIN_MICRO_BATCH_H
#define LOOM_TRAIN_MICRO_BATCH_H

#include "train/trainer_state.h"

/* Its rows lie in the trainer's batch, and what a gate is to learn in its depths. */
struct loom_micro_batch {
    size_t seq;
    double targets;
    int steps, loops; /* steps: of a generated task's problems, else 0 */
};

/* The most steps of a generated task's problems whose answers are learned. */
int loom_most_answered(const struct loom_recipe *recipe, const struct loom_drills *drills);

/* Micro-batch `micro`, counted from the training's first. */
loom_status loom_micro_batch_draw(struct loom_trainer *trainer, uint64_t micro, struct loom_micro_batch *m,
                                  struct loom_error *error);

/* The curriculum goes on by a step once a batch of its longest problems is answered with a loss below `curriculum`: one
 * step must be learned before two can be. */
void loom_curriculum_go_on(struct loom_trainer *trainer, const struct loom_micro_batch *m, double loss);

#endif
