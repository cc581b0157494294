/* optimizer.h - from gradients to weights: AdamW (Loshchilov & Hutter, arXiv 1711.05101, as PyTorch computes it) over
 * the flat blocks, or Muon (muon.h) for the matrices inside the network and AdamW for all else. */
#ifndef LOOM_TRAIN_OPTIMIZER_H
#define LOOM_TRAIN_OPTIMIZER_H

#include "kernel/kernel.h"
#include "model/tensors.h"
#include "train/muon.h"
#include "train/recipe.h"

/* Neighbouring tensors that AdamW updates alike. */
struct loom_optimizer_run {
    size_t offset, count;
    bool decay;
    enum loom_tensor_kind kind; /* whose learning rate */
};

struct loom_optimizer {
    const struct loom_kernels *k;
    real *m, *v; /* (elements) first and second moments, on the machine; Muon keeps its own state in the same places */
    size_t elements;
    struct loom_optimizer_run *runs;
    size_t n_runs;
    struct loom_muon_plan muon;
    uint64_t updates; /* done so far */
};

/* On a machine that does nothing (a counter without one inside) nothing is allocated. */
loom_status loom_optimizer_open(struct loom_optimizer *o, const struct loom_kernels *k,
                                const struct loom_tensors *table, const struct loom_recipe *recipe,
                                struct loom_error *error);
void loom_optimizer_close(struct loom_optimizer *o);

/* Bytes of state and scratch that an optimizer of this recipe holds. */
size_t loom_optimizer_bytes(const struct loom_optimizer *o);

/* The norm of all gradients, each multiplied by `scale`. */
double loom_gradient_norm(const struct loom_kernels *k, const real *gradients, size_t elements, double scale);
/* The factor that brings `norm` down to `limit` (1 when it is below, or limit is 0), as PyTorch's clip_grad_norm_. */
double loom_clip_factor(double norm, double limit);

/* One update; gradients are multiplied by `scale` first. learning_rate is the schedule's: every other rate of the
 * recipe shrinks in the same proportion. */
void loom_optimizer_update(struct loom_optimizer *o, const struct loom_recipe *recipe, double learning_rate,
                           double scale, real *weights, const real *gradients);

#endif
