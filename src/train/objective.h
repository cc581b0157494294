/* objective.h - from a batch to a number to make small: next-token cross-entropy, its gradient, and its mean over a
 * whole validation split. */
#ifndef LOOM_TRAIN_OBJECTIVE_H
#define LOOM_TRAIN_OBJECTIVE_H

#include "data/chat/chat_set.h"
#include "model/workspace.h"

/* Forward, loss, and when `gradients` is not NULL backward of one batch; gradients += scale * d(sum of losses). The
 * workspace's shape must have keep then. Returns the sum of the tokens' losses in nats; targets of -1 count nothing. */
struct loom_objective {
    struct loom_forward forward;
    const int *targets; /* (B,T) on the host */
    real scale;
    real *gradients;
    /* With `weigh` the scale of each place is its own: it is given the places' losses (B,T) and fills their scales,
     * both on the host. Without gradients it only looks. */
    void (*weigh)(void *user, const real *losses, real *scales);
    void *user;
    real *host_losses, *host_scales; /* (B,T) */
};

/* Buffers an objective needs beside the workspace. */
struct loom_objective_buffers {
    int *targets; /* (B*T) on the machine */
    real *losses; /* (B*T) */
};

loom_status loom_objective_open(struct loom_objective_buffers *buffers, const struct loom_kernels *k, size_t rows,
                                struct loom_error *error);
void loom_objective_close(struct loom_objective_buffers *buffers, const struct loom_kernels *k);

double loom_objective_run(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                          const struct loom_objective *o);

struct loom_heldout {
    double loss; /* nats per token */
    uint64_t tokens;
};

/* The mean loss over every validation token of all folders, in windows of seq tokens, B at a time. Loads are counted in
 * ws->loads, which is cleared first. Documents are kept apart when the scratch has first keys. Stops early, with
 * LOOM_STOPPED, on `stop`. */
struct loom_heldout_options {
    const struct loom_corpus *corpus;
    const struct loom_chat_set *chat; /* in place of the corpus: its held-out conversations; or NULL */
    const real *weights;
    size_t batch, seq;
    int loops;
    const struct loom_batch *scratch; /* (B,T) */
    struct loom_cache *cache;         /* NULL: none; else halted tokens take no further loop. Room for (B,T) */
    struct loom_census *census;       /* NULL: not taken */
    struct loom_loss_bin *by_loss; /* with a cache, (LOOM_LOSS_BINS): tokens are added, and to mean_loops their loops;
                                      NULL: not counted */
    real *losses;                  /* (B,T) on the host, for that */
    double *folder_losses;         /* (folders): the mean of each, NAN where nothing is predicted; or NULL */
    const volatile sig_atomic_t *stop;
};

loom_status loom_heldout_run(struct loom_workspace *ws, const struct loom_objective_buffers *buffers,
                             const struct loom_heldout_options *options, struct loom_heldout *result,
                             struct loom_error *error);

#endif
