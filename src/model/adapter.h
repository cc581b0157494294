/* adapter.h - an adapter's files, as PEFT has them, and the model that they are for. */
#ifndef LOOM_MODEL_ADAPTER_H
#define LOOM_MODEL_ADAPTER_H

#include "base/digest.h"
#include "model/lora.h"
#include "model/model.h"

/* What adapter_config.json says. */
struct loom_adapter {
    char *base;                         /* the folder of the model that it adapts; freed with free() */
    char base_sha256[LOOM_SHA256_TEXT]; /* of its model.safetensors */
    char targets[LOOM_ADAPTER_TARGETS];
    int rank;
    double alpha;
};

loom_status loom_adapter_write(const char *path, const struct loom_adapter *adapter, struct loom_error *error);

/* The hash of a model folder's weights. */
loom_status loom_adapter_hash(const char *folder, char sha256[LOOM_SHA256_TEXT], struct loom_error *error);

/* Whether a model folder holds an adapter in place of weights. */
loom_status loom_adapter_in(const char *folder, bool *there, struct loom_error *error);

/* Loads the base model's weights into `model`, which has the folder's config, and adds the adapter. LOOM_FAILED when
 * the base is not there or is another model than the one the adapter was made for. */
loom_status loom_adapter_load(struct loom_model *model, const char *folder, struct loom_error *error);

#endif
