/* setup.h - a model and how to train it: from a preset, settings on top of it, and the file of a run. */
#ifndef LOOM_TRAIN_SETUP_H
#define LOOM_TRAIN_SETUP_H

#include "model/config.h"
#include "train/recipe.h"

struct loom_setup {
    struct loom_config config;
    struct loom_recipe recipe;
    const char *preset; /* its name */
};

/* LOOM_INVALID when there is no preset of this name. */
loom_status loom_setup_preset(struct loom_setup *setup, const char *name, struct loom_error *error);
/* One --set key=value, of the model or of the training. */
loom_status loom_setup_set(struct loom_setup *setup, const char *key, const char *value, struct loom_error *error);
loom_status loom_setup_apply(struct loom_setup *setup, const struct loom_setting *settings, size_t count,
                             struct loom_error *error);
/* Holds model and training against each other, once vocab_size is known. Fills seq_len and lr_decay_iters. */
loom_status loom_setup_check(struct loom_setup *setup, struct loom_error *error);

/* Reads the "architecture", "model" and "train" members of a run's config.json. */
loom_status loom_setup_read(struct loom_setup *setup, const json_t *json, const char *path, struct loom_error *error);

#endif
