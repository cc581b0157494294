/* attend.h - what the kinds of attention share: a layer, what its forward saves, the cache's rows, the kernel call. */
#ifndef LOOM_MODEL_ATTEND_H
#define LOOM_MODEL_ATTEND_H

#include "model/affine.h"
#include "model/norm.h"

struct loom_gqa {
    bool rotates;               /* queries and keys, by their places */
    bool joined;                /* one product gives q, k and v, which lie side by side in its rows */
    struct loom_affine qkv;     /* joined */
    struct loom_affine q, k, v; /* apart */
};

struct loom_mla {
    struct loom_affine q_down, q_up, kv_down, kv_up; /* q_up: the heads' parts without rotation, then the others */
    struct loom_norm q_norm, kv_norm;
    size_t rank, nope, rope; /* widths: the latent, a head's parts without and with rotation */
};

struct loom_attention_layer {
    bool latent; /* MLA */
    struct loom_gqa gqa;
    struct loom_mla mla;
    struct loom_affine o;
    size_t heads, kv_heads, head_dim, value_dim; /* H, G, D, Dv */
    bool normed;  /* queries and keys are normalised, head by head (Henry et al., arXiv 2010.04245) */
    double scale; /* of a query's product with a key */
};

/* Keys and values that a layer has made before and reads in several passes. */
struct loom_attention_memory {
    struct loom_factor x;    /* (B,T,C) what they were made of */
    struct loom_view k, v;   /* (B,S,G,D), (B,S,G,Dv); S keys: the cache's and the new ones */
    struct loom_view dk, dv; /* (B,T,G,D), (B,T,G,Dv) in a backward: the sums of all passes' gradients */
    struct loom_norm_saved k_norm;
};

struct loom_attention_saved {
    struct loom_attention_memory *memory;   /* NULL: keys and values are x's */
    struct loom_attention shape;            /* of the kernel call */
    struct loom_view q, k, v;               /* (B,T,H,D), (B,S,G,D), (B,S,G,Dv); S keys: the cache's and the new ones */
    struct loom_view out;                   /* (B,T,H,Dv) */
    real *lse;                              /* (B,H,T) */
    struct loom_norm_saved q_norm, kv_norm; /* MLA; of queries and keys with `normed` */
};

/* A dense (batch, rows, heads, width) array as a view. */
struct loom_view loom_view_of(const real *data, size_t rows, size_t heads, size_t width);
struct loom_view loom_view_of_factor(struct loom_factor x, size_t rows, size_t heads, size_t width);
/* The format of what a pass makes for a layer's attention, whose products round it, and of what that makes for the
 * output's product: where a backward follows they are kept so. */
enum loom_storage loom_attention_format(const struct loom_pass *p, const struct loom_attention_layer *a);
/* y = x, its first rope channels of each head turned by the positions of the new tokens; y may be x. */
void loom_attention_rotate(struct loom_pass *p, struct loom_view y, struct loom_view x, size_t heads, size_t rope,
                           bool inverse);
/* Writes the new tokens' vectors x (B,T,heads,width) behind the past in a cache array. */
void loom_attention_remember(struct loom_pass *p, struct loom_view array, struct loom_view x, size_t heads,
                             size_t width);
/* Behind the new tokens' writing: those that have halted keep in this slot what the loop before holds for them. */
void loom_attention_keep_halted(struct loom_pass *p, size_t slot);
/* Keys that this pass attends to: the past's and the new ones. */
size_t loom_attention_keys(const struct loom_pass *p);
/* Attention from s->q, s->k, s->v to s->out. */
void loom_attention_attend(struct loom_pass *p, const struct loom_attention_layer *a, struct loom_attention_saved *s);

#endif
