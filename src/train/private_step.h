/* private_step.h - the gradient of a differentially private step, and what is promised.
 *
 * DP-SGD, Abadi et al., arXiv 1607.00133: every conversation is in a step's batch with probability q, independently;
 * its gradient is clipped to norm C; Gaussian noise of standard deviation sigma C is added to the sum, which is then
 * divided by the expected batch. Each example has a pass of its own. So its gradient is there as a whole when its norm
 * is taken: a weight that runs in R loops has one gradient, the cross terms between loops in it, and so have experts,
 * norms, embeddings and adapters, without a formula for each kind of layer. Rows of one example fill a processor's
 * products as well as rows of many; what it costs is a pass over the trained elements for each example. */
#ifndef LOOM_TRAIN_PRIVATE_STEP_H
#define LOOM_TRAIN_PRIVATE_STEP_H

#include "train/privacy.h"
#include "train/trainer_state.h"

/* Checks that what a private training would promise holds, and finds dp_noise for dp_epsilon. LOOM_INVALID without
 * conversations, with a moving router bias (it follows counts over examples), and without either noise or target. */
loom_status loom_private_plan(struct loom_setup *setup, const struct loom_chat_set *chat, struct loom_error *error);

/* Fills the trained gradients; *loss is the mean over the tokens of this step's examples (of the last step that had
 * any), which is not private; *factor is what the gradients are to be multiplied by. */
loom_status loom_private_gradient(struct loom_trainer *trainer, double *loss, double *factor, struct loom_error *error);

/* What has been spent so far, and what was not private, as JSON. */
loom_status loom_privacy_write(const struct loom_trainer *trainer, const char *path, struct loom_error *error);

#endif
