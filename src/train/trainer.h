/* trainer.h - one training run in memory: model, data, optimizer, and a step that moves them. */
#ifndef LOOM_TRAIN_TRAINER_H
#define LOOM_TRAIN_TRAINER_H

#include "train/trainer_state.h"

/* A checked setup whose vocabulary is that of the data; weights are fresh from the seed. The trainer must not move.
 */
loom_status loom_trainer_open(struct loom_trainer *trainer, const struct loom_setup *setup,
                              const struct loom_training_data *data, int threads, struct loom_error *error);
void loom_trainer_close(struct loom_trainer *trainer);

/* One optimizer step. LOOM_FAILED, with weights and optimizer untouched, when loss or gradient is not finite. */
loom_status loom_trainer_step(struct loom_trainer *trainer, struct loom_step *step, struct loom_error *error);

#endif
