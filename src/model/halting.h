/* halting.h - how tokens leave the loop.
 *
 * act: adaptive computation time (Graves 2016). Each loop gives a probability to stop, and the output is the states'
 * mean under them.
 *
 * gate: how many loops a token takes is read off the prelude's output e, before the first: the likeliest class of
 * softmax(norm(block(e)) W^T + b), with a block of its own, learned beside the loss from numbers that are known (where
 * the token-choice router of Mixture-of-Recursions, arXiv 2507.10524, learns from the loss). Its gradient ends at e:
 * the gate listens, and what the model learns is the same without it. The output is the state of a token's last loop.
 *
 * converge: what is read out of a token after a loop, through the final norm and the head, past a coda, decides. It
 * leaves when the next token's distribution is sure, by its entropy (Schuster et al., arXiv 2207.07061), or when the
 * loop hardly changed it, by its divergence from that of the loop before (Geiping et al., arXiv 2502.05171). Nothing is
 * learned.
 *
 * `act` weighs states in every pass. The others act only in a pass in which tokens exit; in any other each token runs
 * every loop. */
#ifndef LOOM_MODEL_HALTING_H
#define LOOM_MODEL_HALTING_H

#include "model/block.h"

struct loom_halting_layer {
    enum loom_halting kind;
    struct loom_affine stop; /* act: (1,C) */
    struct loom_affine gate; /* gate: (classes,C), a class for each number of loops from 1 on */
    struct loom_block listener;
};

/* What it leaves for the backward, and keeps between loops. */
struct loom_halting_saved {
    struct loom_block_saved listener;
    struct loom_norm_saved norm;
    const real *normed; /* (rows, C) what the gate's product reads */
    real *dlogits;      /* (rows, classes) the gate's gradient; NULL in a pass that teaches it nothing */
    real *share;        /* (rows) of each token's state that goes to the output */
    double loss;        /* of the gate, in nats, times its weight */
    size_t running;     /* tokens that run on */
};

/* One loop's part of act, all (rows). */
struct loom_act_saved {
    real *p, *w, *cum, *cum_next;
};

/* False when memory is short. */
bool loom_halting_declare(struct loom_halting_layer *layer, struct loom_tensors *table, const struct loom_config *c);
void loom_halting_free(struct loom_halting_layer *layer);
bool loom_halting_saved_open(struct loom_halting_saved *s, const struct loom_halting_layer *layer);
void loom_halting_saved_close(struct loom_halting_saved *s);

/* Before the first loop: the gate reads e (rows, C). */
void loom_halting_begin(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s,
                        const real *e);
/* act, behind loop t: out += w next, and the halting count moves on; s->running tells how many run on. */
void loom_halting_act(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s,
                      struct loom_act_saved *a, int t, real *out, const real *next);
/* gate and converge in a pass where tokens exit, behind loop t: out += next of those that leave. */
void loom_halting_exit(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s, int t,
                       real *out, const real *next);

/* Adds to dh what reaches the state through act; dcum moves one loop back. */
void loom_halting_act_backward(struct loom_pass *p, const struct loom_halting_layer *layer,
                               const struct loom_act_saved *a, int t, real *dh, real *dcum, const real *dout,
                               const real *next);
/* The gate's own gradients. */
void loom_halting_gate_backward(struct loom_pass *p, const struct loom_halting_layer *layer,
                                const struct loom_halting_saved *s);

#endif
