/* optimizer.h - AdamW over the flat blocks. Loshchilov & Hutter, arXiv 1711.05101, as PyTorch computes it. */
#ifndef LOOM_TRAIN_OPTIMIZER_H
#define LOOM_TRAIN_OPTIMIZER_H

#include "kernel/kernel.h"
#include "model/tensors.h"
#include "train/recipe.h"

/* Neighbouring tensors that are updated alike. */
struct loom_optimizer_run {
    size_t offset, count;
    bool decay;
};

struct loom_optimizer {
    const struct loom_kernels *k;
    real *m, *v; /* (elements) first and second moments, on the machine */
    size_t elements;
    struct loom_optimizer_run *runs;
    size_t n_runs;
    uint64_t updates; /* done so far */
};

/* decay is an enum loom_decay. */
loom_status loom_optimizer_open(struct loom_optimizer *o, const struct loom_kernels *k,
                                const struct loom_tensors *table, int decay, struct loom_error *error);
void loom_optimizer_close(struct loom_optimizer *o);

/* The norm of all gradients, each multiplied by `scale`. */
double loom_gradient_norm(const struct loom_kernels *k, const real *gradients, size_t elements, double scale);
/* The factor that brings `norm` down to `limit` (1 when it is below, or limit is 0), as PyTorch's clip_grad_norm_. */
double loom_clip_factor(double norm, double limit);

/* One update with the recipe's betas and decay; gradients are multiplied by `scale` first. */
void loom_optimizer_update(struct loom_optimizer *o, const struct loom_recipe *recipe, double learning_rate,
                           double scale, real *weights, const real *gradients);

#endif
