/* net.h - the whole network: embedding, prelude, core, coda, head. workspace.h has the memory to run it in.
 *
 * `gpt` is a prelude of n_layer blocks without core or coda, with learned positions. `loom` without core layers is a
 * dense model of the modern block. The head is the embedding itself, unless the config says otherwise. */
#ifndef LOOM_MODEL_NET_H
#define LOOM_MODEL_NET_H

#include "model/core.h"
#include "model/embedding.h"
#include "model/readout.h"

struct loom_net {
    struct loom_config config;
    struct loom_tensors tensors;
    struct loom_embedding embedding;
    struct loom_block *prelude, *coda;
    struct loom_core core;
    struct loom_readout readout;
};

/* Declares all tensors of a checked config. Close it also after a failure. */
loom_status loom_net_open(struct loom_net *net, const struct loom_config *config, struct loom_error *error);
void loom_net_close(struct loom_net *net);

/* Parameters that one token meets: an expert counts if it is among the K. */
uint64_t loom_net_active_parameters(const struct loom_net *net);

/* The number of loops of a pass when `asked` of them are wanted: 0 means as trained; LOOM_LOOPS_CHOSEN the most that a
 * token may choose. LOOM_INVALID for a number that is
 * out of reason, and for more than one where there is no loop. */
loom_status loom_net_loops(const struct loom_net *net, int asked, int *loops, struct loom_error *error);

/* The injection's largest factor A, from host weights; 0 without a loop. */
double loom_net_spectral_radius(const struct loom_net *net, const real *weights);

struct loom_workspace;

/* One pass over ids (batch, seq) on the host. */
struct loom_forward {
    const real *weights;
    const int *ids;
    const int
        *first; /* (batch, seq) on the host, see struct loom_attention: keeps documents apart; NULL: one document */
    size_t batch, seq;
    int loops;
    const int *depths; /* (batch, seq) on the host, with keep: loops that a gate is to learn, less one; -1: none. NULL:
                          nothing is */
    real gate_scale;   /* weight of each of these */
    int bptt;          /* the last loops that a backward goes through; 0: all */
    struct loom_cache *cache; /* NULL: none; its length grows by seq */
    bool exit; /* with a cache: a token that has halted takes no further loop, and what it wrote to the cache in its
                  last stands for the later ones */
    const int *history; /* (batch, history_stride) with a cache: the tokens that it holds, which n-grams look back to */
    size_t history_stride; /* from one sequence's to the next's */
    const real *factors;   /* of the workspace's adapters: the backward's gradients are theirs; NULL: the weights' */
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

/* Backward of the last forward, which had keep; dlogits (batch*seq, V), before the cap; gradients += .
 * They are like the weights, or like the factors where f has those. */
void loom_net_backward(struct loom_workspace *ws, const struct loom_forward *f, real *gradients, const real *dlogits);

#endif
