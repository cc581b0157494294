/* checkpoint.h - a run's state on the disk: a model folder and what training needs beside it.
 *
 *   config.json, model.safetensors, tokenizer.json, generation_config.json, README.md   a model folder
 *   training.safetensors   the optimizer's moments, adam_m.NAME and adam_v.NAME
 *   training.json          the counters of struct loom_progress
 *   COMPLETE               written last
 *
 * Everything goes to a temporary folder, which takes its name step-NNNNNNNN when it is whole. */
#ifndef LOOM_TRAIN_CHECKPOINT_H
#define LOOM_TRAIN_CHECKPOINT_H

#include "train/trainer_state.h"

/* Saves under RUN/checkpoints, names it best when its validation loss is, and removes what is neither among the `keep`
 * newest nor the best. *saved is the new folder's path, freed with free(). */
loom_status loom_checkpoint_save(const struct loom_trainer *trainer, const char *run, char **saved,
                                 struct loom_error *error);

/* Loads the newest complete checkpoint of RUN into a trainer of the same setup; without one the trainer stays fresh. */
loom_status loom_checkpoint_load(struct loom_trainer *trainer, const char *run, struct loom_error *error);

#endif
