/* material.h - what a run begins with: the text or the conversations that it learns from, and the model, if any, whose
 * weights it starts from. */
#ifndef LOOM_TRAIN_MATERIAL_H
#define LOOM_TRAIN_MATERIAL_H

#include "model/adapter.h"
#include "train/trainer_state.h"

struct loom_material {
    const struct loom_train_options *options;
    char *init;                       /* the folder of the model to start from; NULL: none */
    struct loom_tokenizer *tokenizer; /* init's, which conversations are encoded with; NULL: the corpus has its own */
    char sha256[LOOM_SHA256_TEXT];    /* of init's weights, where they are read again when a run goes on */
    struct loom_corpus corpus;
    struct loom_chat_set chat;
    struct loom_task task;
    char task_sha256[LOOM_SHA256_TEXT]; /* of its problems */
    struct loom_training_data data;     /* what of it is there; no tokenizer: a dry run without data */
};

/* Finds the model to start from and puts its config in the place of the setup's. */
loom_status loom_material_open(struct loom_material *material, const struct loom_train_options *options,
                               struct loom_setup *setup, struct loom_error *error);
void loom_material_close(struct loom_material *material);

/* Opens token folders and sets the vocabulary, before loom_setup_check; `record` is the "data" of a run's config.json
 * that is resumed, or NULL. */
loom_status loom_material_text(struct loom_material *material, const json_t *record, struct loom_setup *setup,
                               struct loom_error *error);
/* Opens conversations or problems, after loom_setup_check. Both refuse other data than the record's. */
loom_status loom_material_chat(struct loom_material *material, const json_t *record, const struct loom_setup *setup,
                               struct loom_error *error);

/* Finds out what adapters are for, and which model rewards are held to (rl_kl); refuses other weights than the
 * record's.
 */
loom_status loom_material_base(struct loom_material *material, const json_t *record, const struct loom_setup *setup,
                               struct loom_error *error);

/* The "data" of a run's config.json; NULL when memory is short. */
json_t *loom_material_record(const struct loom_material *material);

/* Loads the weights to start from, if any. */
loom_status loom_material_weights(const struct loom_material *material, struct loom_trainer *trainer,
                                  struct loom_error *error);

#endif
