/* workspace.h - the memory to run a network in: the activation stack, what its passes save, and its tables. */
#ifndef LOOM_MODEL_WORKSPACE_H
#define LOOM_MODEL_WORKSPACE_H

#include "model/net.h"

/* What one shape of pass needs: batches of up to B sequences of up to T new tokens. */
struct loom_workspace_shape {
    size_t batch, seq;            /* B, T */
    size_t capacity;              /* of the cache, past and new tokens of a sequence together; 0 without a cache */
    int loops;                    /* R, the most */
    bool keep;                    /* backward passes, too */
    const struct loom_lora *lora; /* backward passes may be for its factors; NULL: none; borrowed */
    enum loom_storage factor;     /* of what products alone read; opening asks the machine */
    bool recompute; /* a backward runs loops and blocks again: only their results stay. Chen et al. 2016 */
};

struct loom_workspace {
    const struct loom_kernels *k;
    const struct loom_net *net;
    struct loom_workspace_shape shape;
    struct loom_stack stack;
    struct loom_embedding_saved embedding;
    struct loom_block_saved *prelude, *coda;
    struct loom_core_saved core;
    struct loom_norm_saved norm;
    struct loom_loads loads;
    real *rope;      /* (max_seq_len, rope/2, 2) */
    real *index;     /* (R, C) */
    int *first;      /* (B*T) on the machine: a pass's first keys */
    int *first_host; /* the same on the host */
    int *depths;     /* (B*T) on the machine: the loops that a gate is to learn, less one */
    struct loom_exits exits;
    const real *x0; /* (B*T, C) the embedding's output, of the last pass */
    real *hidden;   /* (B*T, C) after the final norm, of the last pass */
};

/* The activation stack's bytes and the FLOPs of one pass (forward, and backward when keep) with every logit, found by a
 * dry run of the same code. */
loom_status loom_workspace_measure(const struct loom_net *net, const struct loom_workspace_shape *shape,
                                   size_t *stack_bytes, double *flops, struct loom_error *error);

loom_status loom_workspace_open(struct loom_workspace *ws, const struct loom_net *net, const struct loom_kernels *k,
                                const struct loom_workspace_shape *shape, struct loom_error *error);
void loom_workspace_close(struct loom_workspace *ws);

/* A place for the logits of a whole pass, taken on the stack behind its activations. */
real *loom_workspace_logits(struct loom_workspace *ws, size_t rows);

#endif
