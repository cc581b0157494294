/* validation.h - how well what is held out is predicted, answered or judged, by the weights as they are. */
#ifndef LOOM_TRAIN_VALIDATION_H
#define LOOM_TRAIN_VALIDATION_H

#include "train/trainer_state.h"

/* The loss over the whole validation split (of problems with rewards, the share of wrong answers); fills progress'
 * validation fields. ws.loads then holds its loads. LOOM_FAILED when it is not finite. */
loom_status loom_validate(struct loom_trainer *trainer, const volatile sig_atomic_t *stop, struct loom_error *error);

#endif
