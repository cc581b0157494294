/* folder.h - model folders and the run folders that hold them: which one is meant, and its model read. */
#ifndef LOOM_MODEL_FOLDER_H
#define LOOM_MODEL_FOLDER_H

#include "model/model.h"

/* Reads config.json, model.safetensors (or an adapter and its base) and, if it is there, tokenizer.json of a model
 * folder. */
loom_status loom_model_read(struct loom_model *model, const char *folder, int threads, struct loom_error *error);

/* The model folder that PATH means: itself, or a run folder's best checkpoint (the newest complete one when none has
 * been evaluated). *folder is freed with free(). */
loom_status loom_model_resolve(const char *path, char **folder, struct loom_error *error);

/* The newest complete checkpoint of a run folder, freed with free(); *folder is NULL when there is none. */
loom_status loom_checkpoint_newest(const char *run, char **folder, struct loom_error *error);

#endif
