/* core.h - the looped part: one set of blocks run R times between prelude and coda.
 *
 *   u = norm(h + e + loop_index(t))              the prelude's output e enters every loop
 *   y = blocks(u);  y += ((y down^T) * scale[t]) B    the same weights each loop, told apart by a depth LoRA
 *   h = A h + b e + y                            a stable linear update, A in (0,1)
 *   out += w_t h                                 halting (halting.h) decides how much each loop's state counts
 *
 * This is OpenMythos's injection. The others (config.h) join e to h before the blocks, whose output is the next state.
 * With loop_norm the state that leaves a loop is normalised, so that its size is the same after any number of loops.
 * With loop_keys=prelude every loop's attention reads keys and values of e, made once: a token's state is its own, and
 * what it looks things up in does not change under it. (MoR, arXiv 2507.10524, shares the first loop's.)
 *
 * The core calls block functions and never sees an expert. Parcae (arXiv 2604.12946) for the update, Bae et al. (arXiv
 * 2410.20672) for the depth LoRA; the composition is OpenMythos's. */
#ifndef LOOM_MODEL_CORE_H
#define LOOM_MODEL_CORE_H

#include "model/block.h"
#include "model/halting.h"

struct loom_core {
    struct loom_block *blocks; /* (layers) */
    size_t layers;
    struct loom_norm norm;
    enum loom_injection injection;
    bool remembers; /* loop_keys=prelude */
    bool normed;    /* loop_norm */
    struct loom_norm state_norm;
    struct loom_halting_layer halting;
    size_t log_a, log_dt, b;              /* (C), (1), (C): the injection; those it lacks are LOOM_NO_TENSOR */
    size_t lora_down, lora_scale, lora_b; /* (r,C), (max_loop_iters, r), (r,C) */
    size_t rank;                          /* r; 0: no depth LoRA */
};

/* What one loop leaves for the backward. */
struct loom_loop_saved {
    const real *h; /* (rows, C) the state that entered */
    real *next;    /* (rows, C) the state that left */
    struct loom_norm_saved norm;
    struct loom_norm_saved state_norm;
    struct loom_block_saved *blocks; /* (layers) */
    real *y;                         /* (rows, C) the blocks' output */
    real *low, *scaled;              /* (rows, r) before and after scale[t] */
    struct loom_act_saved act;
    uint64_t dropout_sites; /* how many dropouts the pass had drawn when the loop began */
};

struct loom_core_saved {
    struct loom_loop_saved *loops; /* (capacity), or one that is used again and again in a pass without backward */
    size_t capacity;
    struct loom_block_memory *memory; /* (layers) */
    struct loom_halting_saved halting;
    real *index; /* (R, C) loop-index rows, on the machine */
    int run;     /* loops that ran: fewer than asked when every token had halted */
};

bool loom_core_declare(struct loom_core *core, struct loom_tensors *table, const struct loom_config *c);
void loom_core_free(struct loom_core *core);

/* Structs for `loops` loops when `keep`, else for one. The index rows are filled by loom_core_index. */
bool loom_core_saved_open(struct loom_core_saved *s, const struct loom_core *core, int loops, bool keep);
void loom_core_saved_close(struct loom_core_saved *s, size_t layers);

/* The loop-index rows (loops, C) on the host: sines and cosines of t * 10000^(-2i/n) in the first n = C/8 channels. */
void loom_core_index(real *rows, int loops, size_t dim);

/* out (rows, C) from the prelude's output e. The first cache slot of the core is `slot`. */
void loom_core_forward(struct loom_pass *p, const struct loom_core *core, struct loom_core_saved *s, size_t slot,
                       real *out, const real *e);
/* In place: d holds the gradient of out and becomes that of e. */
void loom_core_backward(struct loom_pass *p, const struct loom_core *core, struct loom_core_saved *s, real *d);

#endif
