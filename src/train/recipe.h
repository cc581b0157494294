/* recipe.h - how a model is trained: the settings. */
#ifndef LOOM_TRAIN_RECIPE_H
#define LOOM_TRAIN_RECIPE_H

#include "kernel/kernel.h"
#include "data/tokens/batch.h"
#include "model/config.h"
#include "model/lora.h"

enum loom_decay {
    LOOM_DECAY_MATRICES, /* weight decay on tensors of two or more dimensions, as nanoGPT */
    LOOM_DECAY_ALL       /* on every tensor, as the looped reference */
};

/* The format of products, forward and backward; weights, gradients and moments are float32 in each. */
enum loom_training_precision {
    LOOM_TRAINING_FLOAT32 = LOOM_PRECISION_FLOAT32,
    LOOM_TRAINING_BF16 = LOOM_PRECISION_BF16,
    LOOM_TRAINING_AUTO /* bf16 where the processor has it; loom_setup_check decides */
};

enum loom_optimizer_kind {
    LOOM_OPTIMIZER_ADAMW,
    LOOM_OPTIMIZER_MUON /* Muon for matrices inside the network, AdamW for all else */
};

/* Polar Express has a polynomial of its own for so many iterations. */
enum { LOOM_MUON_ITERATIONS_MAX = 5 };

/* Which read-outs of a loop a reward is credited to. */
enum loom_credit { LOOM_CREDIT_LAST, LOOM_CREDIT_LOOPS };

enum loom_schedule {
    LOOM_SCHEDULE_COSINE, /* down to min_lr at lr_decay_iters */
    LOOM_SCHEDULE_LINEAR, /* level, then a straight line over the last `cooldown` of lr_decay_iters */
};

/* How often the core runs for a generated task's problem. */
enum loom_task_loops {
    LOOM_TASK_LOOPS_FIXED, /* as for any text */
    LOOM_TASK_LOOPS_GIVEN  /* once for each of its steps */
};

/* How often the core runs in a training step of text. */
enum loom_loop_sampling {
    LOOM_SAMPLING_FIXED,   /* max_loop_iters */
    LOOM_SAMPLING_UNIFORM, /* 1 to max_loop_iters */
    LOOM_SAMPLING_POISSON  /* 1 + Poisson(max_loop_iters / 2), at most max_loop_iters: Geiping et al., arXiv 2502.05171
                            */
};

/* Keys carry nanoGPT's names where it has them. */
struct loom_recipe {
    int batch_size;                  /* B, sequences in a micro-batch */
    int gradient_accumulation_steps; /* micro-batches in a step */
    int seq_len;                     /* T; 0: the model's longest */
    int sampling;                    /* enum loom_sampling */
    bool document_mask;              /* no attention across documents */
    uint64_t max_iters;              /* optimizer steps */
    double learning_rate, min_lr;
    uint64_t warmup_iters;
    uint64_t lr_decay_iters; /* where the schedule ends; 0: max_iters */
    int schedule;            /* enum loom_schedule */
    double cooldown;         /* share of the steps that the line down takes */
    int optimizer;           /* enum loom_optimizer_kind */
    double beta1, beta2, epsilon, weight_decay;
    double embedding_lr, head_lr; /* highest rates of the embeddings and of a head of its own; 0: learning_rate */
    double muon_lr, muon_momentum;
    double muon_momentum_start;    /* the momentum of the first step, from which it rises */
    uint64_t muon_momentum_warmup; /* in so many steps */
    double muon_beta2;             /* of the rows' second moments (NorMuon); 0: none */
    double muon_decay;
    bool muon_cautious;          /* decay only where the update agrees */
    int muon_iterations;         /* of the orthogonalisation */
    int muon_block;              /* rows that are made orthogonal together; 0: the whole matrix */
    int decay;                   /* enum loom_decay */
    double grad_clip;            /* largest gradient norm; 0: no clipping */
    bool recompute;              /* a backward runs loops and blocks again instead of keeping their activations */
    int precision;               /* enum loom_training_precision */
    int task_loops;              /* enum loom_task_loops */
    int answer_steps;            /* a generated task's longer problems teach a gate alone; 0: all are answered */
    double curriculum;           /* a generated task's problems get a step longer at this loss; 0: all at once */
    uint64_t loop_start;         /* steps of one loop each, before all of them are run */
    int loop_sampling;           /* enum loom_loop_sampling */
    int bptt_loops;              /* the last loops that the gradient goes back through; 0: all */
    double router_bias_rate;     /* step of the experts' selection bias towards an even load; 0: never moved */
    double router_sequence_loss; /* weight of an even load within each sequence; 0: none */
    double router_z_loss;        /* weight of small router logits; 0: none */
    int adapter_rank;            /* r of the adapters that are trained in place of the weights; 0: the weights */
    double adapter_alpha;        /* their scale is alpha / r */
    char adapter_targets[LOOM_ADAPTER_TARGETS]; /* patterns of the matrices that get one, separated by commas */
    double dp_clip;    /* largest norm of one example's gradient in a private training; 0: not private */
    double dp_noise;   /* standard deviation of the noise, in units of dp_clip; 0: found for dp_epsilon */
    double dp_epsilon; /* what is promised with dp_noise 0 */
    double dp_delta;
    int rl_objective;                 /* enum loom_policy_kind */
    int rl_credit;                    /* enum loom_credit */
    int rl_prompts, rl_group;         /* problems of a step, and answers to each */
    int rl_max_tokens;                /* of an answer */
    int rl_updates;                   /* of the weights in a step */
    double rl_temperature;            /* of the answers */
    double rl_clip_low, rl_clip_high; /* of the ratio of probabilities; 0: the objective's own */
    double rl_kl;                     /* weight of the divergence from the model that training began with; 0: none */
    int rl_resample;                  /* rounds of other problems in place of those that teach nothing */
    double rl_seconds;                /* for running one answer's program, where the task runs it */
    int rl_overlong;                  /* last tokens of an answer's room in which length costs; 0: none */
    uint64_t eval_interval;           /* steps between validations, each followed by a checkpoint */
    int keep_checkpoints;             /* the newest ones kept, beside the best */
    int sample_tokens;                /* length of the sample written at each validation; 0: none */
    uint64_t seed;
};

/* One key=value. */
loom_status loom_recipe_set(struct loom_recipe *recipe, const char *key, const char *value, struct loom_error *error);

/* LOOM_INVALID when the routers' own losses, or a choice of loops, are asked for where `training` would leave them out.
 */
loom_status loom_recipe_refuse_unheeded(const struct loom_recipe *recipe, const char *training,
                                        struct loom_error *error);

/* The training settings as JSON and back, in a run's config.json. */
json_t *loom_recipe_json(const struct loom_recipe *recipe);
loom_status loom_recipe_read(struct loom_recipe *recipe, const json_t *json, const char *path,
                             struct loom_error *error);

#endif
