/* pass.h - what every layer needs to know while a batch goes through the model.
 *
 * A layer is a few functions: declare (its tensors), forward, backward. Forward writes its output to the caller's
 * buffer and leaves in a `saved` struct the addresses of what its backward needs, all on the activation stack. A pass
 * without backward releases the stack after each block. Backward takes the gradient of the output and gives that of the
 * input; gradients of weights are added to `dw`, as gradient.h has it. */
#ifndef LOOM_MODEL_PASS_H
#define LOOM_MODEL_PASS_H

#include "base/random.h"
#include "kernel/kernel.h"
#include "model/cache.h"
#include "model/config.h"
#include "model/loads.h"
#include "model/stack.h"
#include "model/tensors.h"

/* Who chose which experts, for studies; host memory, owned by the caller, all arrays zero at first. */
struct loom_census {
    int *kind_of; /* (V): what kind of token each is, 0 .. kinds-1 */
    int kinds, loops, layers, experts;
    uint64_t *choices; /* (kinds, loops, layers, experts) */
    uint64_t *again;   /* (loops): choices that the loop before made for the same token in the same layer */
    int *ids, *before; /* (rows, K) of this loop; (layers, rows, K) of the loop before */
};

/* Early exit: which tokens have left the loop, on the host. */
struct loom_exits {
    real *host;   /* scratch: (B,T) of the gate's scores, or of two read-outs */
    real *share;  /* (B,T): 1 for those that leave after this loop */
    int *depth;   /* (B,T): loops that each token takes; before it has left, what the gate gave it */
    bool *halted; /* (B,T) */
    bool any;     /* some have; while none has, `halted` says nothing */
};

/* The tokens of a pass, on the host. */
struct loom_input {
    const int *ids;        /* (B,T); NULL in a dry run */
    const int *first;      /* (B,T) see struct loom_attention: keeps documents apart; NULL: one document */
    const int *history;    /* (B, history_stride): the tokens in the cache, which n-grams look back to; NULL: none */
    size_t history_stride; /* from one sequence's to the next's */
};

struct loom_lora;
struct loom_readout;

struct loom_pass {
    const struct loom_kernels *k;
    const struct loom_config *c;
    const real *w;                /* all weights */
    real *dw;                     /* all gradients, or those of the adapters' factors; NULL in a forward pass */
    const struct loom_lora *lora; /* the adapters that are trained, NULL: the weights themselves are */
    const real *factors;          /* the adapters' */
    const real *rope;             /* (max_seq_len, rope_dim/2, 2) cosines and sines; NULL for gpt */
    const int *first;             /* (B,T): the first key that each new token attends to; NULL: the sequence's first */
    struct loom_input input;
    struct loom_stack *stack;
    size_t batch, seq;        /* B, T: new tokens of each sequence */
    size_t past;              /* tokens of each sequence that lie in the cache */
    struct loom_cache *cache; /* NULL: none */
    /* NULL: every token writes to the cache in every loop. Else one that has halted writes no more, and what it wrote
     * last stands for it in the later loops. */
    struct loom_exits *exits;
    const real *x0; /* (rows, C) the embedding's output */
    real *dx0;      /* its gradient so far, beside what comes down the residual stream; NULL: not wanted */
    const struct loom_readout *readout; /* for the loop's halting */
    const int *depths;           /* (rows) the loops that a gate is to learn for each token, less one; NULL, -1: none */
    real gate_scale;             /* weight of each such token's loss */
    int loops;                   /* R of this pass */
    int bptt;                    /* the last loops that the gradient goes back through; 0: all */
    enum loom_storage factor;    /* in which layers keep what products alone will read */
    bool keep;                   /* a backward follows */
    bool recompute;              /* ... and runs loops and blocks again instead of keeping their activations */
    struct loom_balance balance; /* weights of the routers' own losses; 0: none */
    struct loom_loads *loads;    /* NULL: not counted */
    struct loom_census *census;  /* NULL: not taken */
    uint64_t dropout_seed;
    uint64_t dropout_sites; /* how many dropouts this pass has drawn */
};

static inline size_t loom_pass_rows(const struct loom_pass *p) {
    return p->batch * p->seq;
}

/* The dropout rate of this pass: none unless a backward follows. */
static inline real loom_pass_dropout(const struct loom_pass *p) {
    return p->keep ? (real)p->c->dropout : 0;
}

/* A fresh dropout stream; backward uses the one its forward saved. */
static inline uint64_t loom_pass_dropout_seed(struct loom_pass *p) {
    return loom_random_bits((struct loom_random){p->dropout_seed, LOOM_RANDOM_DROPOUT}, p->dropout_sites++);
}

#endif
