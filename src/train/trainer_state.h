/* trainer_state.h - what the parts of a training share: its setup, model, data, optimizer, buffers and counters.
 *
 * A step's parts (micro_batch.h, policy_step.h, private_step.h, validation.h), a run's (material.h, checkpoint.h,
 * card.h) and the trainer itself (trainer.h) work on it. It knows no files of the run; run.c does. Everything random is
 * a function of (seed, step), so the state is the weights, the optimizer's moments and the counters in struct
 * loom_progress. */
#ifndef LOOM_TRAIN_TRAINER_STATE_H
#define LOOM_TRAIN_TRAINER_STATE_H

#include "data/task/task.h"
#include "model/model.h"
#include "train/drills.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/setup.h"

/* How far a run has come. */
struct loom_progress {
    uint64_t step, tokens;
    double seconds, flops;          /* of training; evaluation is not counted */
    double val_loss, best_val_loss; /* NAN before the first evaluation */
    double accuracy;                /* of a generated task's validation problems, at the last; NAN for text */
    uint64_t best_step, val_step;   /* when the lowest and the last were found; 0: never */
    uint64_t longest;               /* steps of a generated task's problems that the curriculum has come to */
};

struct loom_step {
    double loss, learning_rate, gradient_norm, seconds, flops;
    double mean_loops, imbalance;
};

/* What is learned: text, conversations, or to solve problems; one of the three. */
struct loom_training_data {
    const struct loom_corpus *corpus;
    const struct loom_chat_set *chat;
    const struct loom_task *task;
    size_t n_val;                     /* problems that are held out */
    struct loom_tokenizer *tokenizer; /* that of any */
    const char *init, *init_sha256;   /* the model whose weights adapters are for; NULL without */
};

struct loom_trainer {
    struct loom_setup setup;
    struct loom_model model;
    struct loom_training_data data; /* borrowed */
    struct loom_batches batches;
    struct loom_drills drills;   /* when the corpus is a generated task */
    struct loom_counter counter; /* the model's machine, counted */
    struct loom_workspace ws;
    struct loom_objective_buffers buffers;
    struct loom_optimizer optimizer;
    real *gradients;       /* (trained elements) */
    struct loom_lora lora; /* without sites: the weights themselves are trained */
    real *factors;         /* (lora.factors.elements): the adapters; NULL without */
    real *example;         /* (trained elements): a private training's gradient of one example; NULL without */
    struct loom_policy_state *policy; /* NULL without a task */
    int threads;                      /* on which answers' programs are judged */
    double last_loss;                 /* of the last step that saw an example */
    struct loom_batch batch;          /* (B,T) */
    int *depths;                      /* (B,T): what a gate is to learn; NULL without a gate or a generated task */
    double *val_losses;               /* (folders): of the last evaluation */
    real *bias;                       /* (E) on the host: a router's selection bias while it is moved */
    struct loom_progress progress;
};

/* What is trained: its table, and the block of that table's size. */
const struct loom_tensors *loom_trainer_table(const struct loom_trainer *trainer);
real *loom_trainer_trained(const struct loom_trainer *trainer);

/* Once the weights to start from, or adapters of a checkpoint, are loaded: the weights become base + adapters. */
void loom_trainer_adapt(struct loom_trainer *trainer, bool keep_base);

/* The weights have changed, and many passes will use them as they are. Only the first call can fail, for memory. */
bool loom_trainer_hold(struct loom_trainer *trainer);

#endif
