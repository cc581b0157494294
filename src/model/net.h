/* net.h - the whole network: embedding, prelude, core, coda, head, and one workspace to run it in.
 *
 * `gpt` is a prelude of n_layer blocks without core or coda, with learned positions. `loom` without core layers is a
 * dense model of the modern block. The head is the embedding itself, unless the config says otherwise. */
#ifndef LOOM_MODEL_NET_H
#define LOOM_MODEL_NET_H

#include "model/core.h"

struct loom_net {
    struct loom_config config;
    struct loom_tensors tensors;
    size_t embed, positions;       /* (V,C), (T,C); positions only for gpt */
    size_t head;                   /* (V,C); the embedding when tied */
    size_t shift;                  /* (C): the share of the token before; LOOM_NO_TENSOR: none */
    size_t ngrams[LOOM_NGRAM_MAX]; /* (ngram_rows,C) of pairs, triples, ... of tokens */
    struct loom_block *prelude, *coda;
    struct loom_core core;
    struct loom_norm norm;
};

/* Declares all tensors of a checked config. Close it also after a failure. */
loom_status loom_net_open(struct loom_net *net, const struct loom_config *config, struct loom_error *error);
void loom_net_close(struct loom_net *net);

/* Parameters that one token meets: an expert counts if it is among the K. */
uint64_t loom_net_active_parameters(const struct loom_net *net);

/* The number of loops of a pass when `asked` of them are wanted: 0 means as trained. LOOM_INVALID for a number that is
 * out of reason, and for more than one where there is no loop. */
loom_status loom_net_loops(const struct loom_net *net, int asked, int *loops, struct loom_error *error);

/* What one shape of pass needs: batches of up to B sequences of up to T new tokens. */
struct loom_workspace_shape {
    size_t batch, seq; /* B, T */
    size_t capacity;   /* of the cache, past and new tokens of a sequence together; 0 without a cache */
    int loops;         /* R, the most */
    bool keep;         /* backward passes, too */
    bool recompute;    /* a backward runs loops and blocks again: only their results stay. Chen et al. 2016 */
};

struct loom_workspace {
    const struct loom_kernels *k;
    const struct loom_net *net;
    struct loom_workspace_shape shape;
    struct loom_stack stack;
    struct loom_block_saved *prelude, *coda;
    struct loom_core_saved core;
    struct loom_norm_saved norm;
    struct loom_loads loads;
    real *rope;  /* (max_seq_len, rope/2, 2) */
    real *index; /* (R, C) */
    int *ids;    /* (B*T) on the machine */
    int *first;  /* (B*T) on the machine: a pass's first keys */
    int *ngrams; /* (B*T) rows of a hashed table, on the machine */
    int *hashes; /* the same on the host */
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

/* One pass over ids (batch, seq) on the host. */
struct loom_forward {
    const real *weights;
    const int *ids;
    const int
        *first; /* (batch, seq) on the host, see struct loom_attention: keeps documents apart; NULL: one document */
    size_t batch, seq;
    int loops;
    int bptt;                 /* the last loops that a backward goes through; 0: all */
    struct loom_cache *cache; /* NULL: none; its length grows by seq */
    bool exit; /* with a cache: a token that has halted takes no further loop, and what it wrote to the cache in its
                  last stands for the later ones */
    const int *history; /* (batch, history_stride) with a cache: the tokens that it holds, which n-grams look back to */
    size_t history_stride; /* from one sequence's to the next's */
    bool keep;             /* a backward follows (then dropout is on); the workspace's shape must allow it */
    uint64_t dropout_seed;
    real sequence_loss, z_loss; /* weights of the routers' own losses, for each sequence and each token; 0: none */
    bool count_loads;           /* add to ws->loads */
    struct loom_census *census; /* NULL: not taken; not with exit */
};

/* Embedding to final norm; the result is ws->hidden. The ids have been checked. */
void loom_net_forward(struct loom_workspace *ws, const struct loom_forward *f);

/* logits (rows, V) of `rows` rows of hidden states. */
void loom_net_logits(const struct loom_workspace *ws, const real *weights, real *logits, const real *hidden,
                     size_t rows);

/* With a softcap, what loom_net_logits gave and its gradient become the gradient before the cap; else nothing is done.
 */
void loom_net_logits_backward(const struct loom_workspace *ws, real *dlogits, const real *logits, size_t rows);

/* Backward of the last forward, which had keep; dlogits (batch*seq, V), before the cap; gradients += . */
void loom_net_backward(struct loom_workspace *ws, const struct loom_forward *f, real *gradients, const real *dlogits);

/* A place for the logits of a whole pass, taken on the stack behind its activations. */
real *loom_workspace_logits(struct loom_workspace *ws, size_t rows);

/* Sets the loads to zero. */
void loom_loads_clear(struct loom_loads *loads);
/* The mean of running over the tokens of the first loop: loops that a token runs; 0 without a loop. */
double loom_loads_mean_loops(const struct loom_loads *loads);
/* The share of the first loop's tokens that leave after loop t, counted from 0; the last loop's are all that were left.
 */
double loom_loads_exit_share(const struct loom_loads *loads, int t);
/* How often one layer chose an expert, over all loops. */
uint64_t loom_loads_choices(const struct loom_loads *loads, size_t layer, size_t expert);
/* The busiest expert's share over the mean share, the worst layer over all loops; 0 without experts. */
double loom_loads_imbalance(const struct loom_loads *loads);

/* The injection's largest factor A, from host weights; 0 without a loop. */
double loom_net_spectral_radius(const struct loom_net *net, const real *weights);

#endif
