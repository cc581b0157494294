/* measure.h - what a training will take, before it takes it: dry runs of a pass and of an update. */
#ifndef LOOM_TRAIN_MEASURE_H
#define LOOM_TRAIN_MEASURE_H

#include "model/workspace.h"
#include "train/setup.h"

/* The workspace that a training of this setup works in. */
struct loom_workspace_shape loom_setup_shape(const struct loom_setup *setup);

/* Whether a weight meets so many products between two updates, by loops, micro-batches or examples one by one, that
 * packed copies earn their memory. */
bool loom_setup_holds(const struct loom_setup *setup);

/* Fills the result's counts of parameters, bytes and FLOPs; nothing is taken. */
loom_status loom_setup_measure(const struct loom_setup *setup, struct loom_train_result *result,
                               struct loom_error *error);

#endif
