/* card.h - README.md of a model folder: what the model is and where it came from. */
#ifndef LOOM_TRAIN_CARD_H
#define LOOM_TRAIN_CARD_H

#include "train/trainer_state.h"

loom_status loom_card_write(const struct loom_trainer *trainer, const char *path, struct loom_error *error);

#endif
