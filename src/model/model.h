/* model.h - a network with weights, a machine and a tokenizer. folder.h reads one. */
#ifndef LOOM_MODEL_MODEL_H
#define LOOM_MODEL_MODEL_H

#include "data/tokenizer/tokenizer.h"
#include "model/workspace.h"

struct loom_model {
    struct loom_kernels *k;
    struct loom_net net;
    real *weights;                    /* (net.tensors.elements) on the machine */
    struct loom_tokenizer *tokenizer; /* NULL: the folder has none */
    char *path;                       /* the model folder; NULL for a model that was not read */
};

/* The folders' file names. */
#define LOOM_CONFIG_FILE "config.json"
#define LOOM_WEIGHTS_FILE "model.safetensors"
#define LOOM_METRICS_FILE "metrics.jsonl" /* of a run folder */
#define LOOM_CHECKPOINTS_FOLDER "checkpoints"
#define LOOM_BEST_FILE "best.json"
#define LOOM_COMPLETE_FILE "COMPLETE"

/* Whether the machine that a model would get is there and multiplies so; LOOM_INVALID when it is not. */
loom_status loom_machine_check(enum loom_precision precision, struct loom_error *error);

/* A model of a config with weights all zero; machine and memory are taken here. */
loom_status loom_model_create(struct loom_model *model, const struct loom_config *config, int threads,
                              struct loom_error *error);
void loom_model_close(struct loom_model *model);

/* From now on the machine's products round so; LOOM_INVALID when it cannot. */
loom_status loom_model_set_precision(struct loom_model *model, enum loom_precision precision, struct loom_error *error);

/* The weights' host copy: from host to machine and back. */
void loom_model_upload(struct loom_model *model, const real *host);
void loom_model_download(const struct loom_model *model, real *host);

/* Reads the weights of a model.safetensors. */
loom_status loom_model_load(struct loom_model *model, const char *path, struct loom_error *error);

#endif
