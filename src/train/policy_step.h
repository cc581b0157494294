/* policy_step.h - reinforcement fine-tuning: problems asked, answers drawn and judged, and the gradient that follows.
 *
 * A step asks rl_prompts problems, draws rl_group answers to each, judges them by the task's own rule (1 or 0; an
 * answer that does not end counts 0), and compares the answers of a problem with each other (policy.h). With rl_updates
 * above 1 the answers are split into as many parts, each with an update of its own, so that later parts are judged by
 * weights that have moved since they were drawn. With rl_credit=loops the reward is spread over the read-outs after 1,
 * 2, ... R loops, as RLTT does (arXiv 2602.10520): each is a pass of its own and gets an equal share.
 *
 * A problem whose answers are all as good as each other teaches nothing. With rl_resample another takes its place, and
 * again for so many rounds (DAPO's dynamic sampling, arXiv 2503.14476). */
#ifndef LOOM_TRAIN_POLICY_STEP_H
#define LOOM_TRAIN_POLICY_STEP_H

#include "train/trainer_state.h"

struct loom_policy_state;

/* Encodes the problems. LOOM_INVALID when one leaves no room for an answer. */
loom_status loom_policy_open(struct loom_policy_state **state, struct loom_trainer *trainer, struct loom_error *error);
void loom_policy_close(struct loom_policy_state *state, const struct loom_kernels *k);

/* Once the weights to start from are loaded, and before those of a checkpoint are: with rl_kl, keeps them as reference.
 * Nothing without a task. */
loom_status loom_policy_begin(struct loom_trainer *trainer, struct loom_error *error);

/* Makes one update from the gradients, multiplied by `factor`. */
typedef loom_status (*loom_move_function)(struct loom_trainer *trainer, struct loom_step *step, double factor,
                                          struct loom_error *error);

/* Fills the weights' gradients for the step's last update, all others made. step's loss becomes the share of answers
 * that are wrong. */
loom_status loom_policy_gradient(struct loom_trainer *trainer, struct loom_step *step, loom_move_function move,
                                 struct loom_error *error);

/* The tokens of the last step's answers. */
uint64_t loom_policy_tokens(const struct loom_policy_state *state);

/* The share of held-out problems whose likeliest answer is wrong. */
loom_status loom_policy_evaluate(struct loom_trainer *trainer, const volatile sig_atomic_t *stop, double *wrong,
                                 struct loom_error *error);

#endif
