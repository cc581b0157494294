/* block.h - one pre-norm transformer block: x += attention(norm(x)), then x += feed-forward(norm(x)). */
#ifndef LOOM_MODEL_BLOCK_H
#define LOOM_MODEL_BLOCK_H

#include "model/attention.h"
#include "model/experts.h"
#include "model/mlp.h"

enum loom_feed_forward { LOOM_FEED_SWIGLU, LOOM_FEED_MLP, LOOM_FEED_EXPERTS };

struct loom_block {
    size_t skip; /* (C): how much of the embedding joins the input; LOOM_NO_TENSOR: none */
    struct loom_norm attention_norm, feed_norm;
    struct loom_attention_layer attention;
    enum loom_feed_forward feed;
    struct loom_swiglu swiglu;
    struct loom_mlp mlp;
    struct loom_router router;
    struct loom_experts experts;
};

struct loom_block_saved {
    struct loom_norm_saved attention_norm, feed_norm;
    struct loom_attention_saved attention;
    struct loom_swiglu_saved swiglu;
    struct loom_mlp_saved mlp;
    struct loom_routes routes;
    struct loom_experts_saved experts;
    uint64_t attention_dropout, feed_dropout; /* streams of the two residual dropouts */
    const real *x;                            /* the input; and the dropouts drawn before it */
    uint64_t dropout_sites;
};

/* What a looped block attends to in every loop, in place of its own input. */
struct loom_block_memory {
    struct loom_norm_saved norm;
    struct loom_attention_memory attention;
};

/* Where a block stands: which cache slot is its own, where its router's counts go, and what it attends to (NULL: its
 * input). */
struct loom_place {
    size_t slot;
    int loop, layer;
    struct loom_block_memory *memory;
};

/* False when memory is short. */
bool loom_block_declare(struct loom_block *block, struct loom_tensors *table, const struct loom_config *c,
                        enum loom_feed_forward feed, const char *prefix);
void loom_block_free(struct loom_block *block);

/* Memory of a saved struct that lives outside the stack. */
bool loom_block_saved_open(struct loom_block_saved *s, const struct loom_block *block);
void loom_block_saved_close(struct loom_block_saved *s);

/* y (rows, C) is overwritten; y must not be x. */
void loom_block_forward(struct loom_pass *p, const struct loom_block *block, struct loom_block_saved *s,
                        struct loom_place place, real *y, const real *x);
/* Forward once more, for a backward whose activations were let go: with the same dropout, and nothing counted. */
void loom_block_again(struct loom_pass *p, const struct loom_block *block, struct loom_block_saved *s,
                      struct loom_place place);
/* Makes the memory of e (rows, C) before the first loop. */
void loom_block_remember(struct loom_pass *p, const struct loom_block *block, struct loom_block_memory *m, size_t slot,
                         const real *e);
/* Backward: cleared before the last loop's; when all loops have added theirs, de +=. */
void loom_block_remember_begin(struct loom_pass *p, const struct loom_block *block, struct loom_block_memory *m);
void loom_block_remember_end(struct loom_pass *p, const struct loom_block *block, struct loom_block_memory *m,
                             real *de);
/* In place: d holds the gradient of the output and becomes that of the input. */
void loom_block_backward(struct loom_pass *p, const struct loom_block *block, const struct loom_block_saved *s,
                         real *d);

#endif
