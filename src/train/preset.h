/* preset.h - named lists of settings: a model and how to train it. Their names are in loom/loom.h. */
#ifndef LOOM_TRAIN_PRESET_H
#define LOOM_TRAIN_PRESET_H

#include "model/config.h"

struct loom_preset {
    const char *name, *summary;
    enum loom_architecture architecture;
    const char *settings; /* key=value over the architecture's defaults, separated by spaces */
};

/* NULL when there is none of this name. */
const struct loom_preset *loom_preset_find(const char *name);

/* (*count) what dense twins of the preset (eval/twin.h) have otherwise: the rates that suit them, where it says any. */
enum { LOOM_PRESET_TWIN = 4 };
const struct loom_setting *loom_preset_twin(const char *name, size_t *count);

#endif
