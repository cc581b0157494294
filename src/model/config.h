/* config.h - what a model is: architecture and sizes.
 *
 * Keys carry the reference's names. `gpt` is nanoGPT's GPT-2; `openmythos` is the looped reference, bit for bit its
 * equations; `loom` is the same skeleton with the reference's known flaws mended and its choices open. */
#ifndef LOOM_MODEL_CONFIG_H
#define LOOM_MODEL_CONFIG_H

#include <stdbool.h>

#include "base/keys.h"
#include "kernel/kernel.h"

enum loom_architecture { LOOM_ARCHITECTURE_GPT, LOOM_ARCHITECTURE_OPENMYTHOS, LOOM_ARCHITECTURE_LOOM };

enum loom_attention_kind {
    LOOM_ATTENTION_GQA,  /* grouped queries, RoPE */
    LOOM_ATTENTION_MLA,  /* multi-head latent attention */
    LOOM_ATTENTION_FUSED /* GPT-2's: one qkv product, no rotation */
};

enum loom_halting {
    LOOM_HALTING_NONE,    /* every token runs every loop */
    LOOM_HALTING_ACT,     /* adaptive computation time */
    LOOM_HALTING_GATE,    /* as often as a gate reads off the prelude's output */
    LOOM_HALTING_CONVERGE /* until what is read out is sure or no longer changes */
};

/* The longest n-gram that may have an embedding. */
enum { LOOM_NGRAM_MAX = 8 };

enum loom_activation {
    LOOM_ACTIVATION_SWIGLU, /* silu(gate x) * up x */
    LOOM_ACTIVATION_RELU2   /* max(up x, 0)^2 */
};

/* How the prelude's output e enters each loop, and what a loop leaves; y stands for the blocks' output. */
enum loom_injection {
    LOOM_INJECTION_OPENMYTHOS, /* h = A h + b e + y(norm(h + e)) */
    LOOM_INJECTION_PARCAE,     /* h = y(A h + b e) */
    LOOM_INJECTION_ADD,        /* h = y(h + b e) */
    LOOM_INJECTION_NONE        /* h = y(h) */
};

/* What the loop's attention reads. */
enum loom_loop_keys {
    LOOM_LOOP_KEYS_STATE,  /* the tokens' states in this loop */
    LOOM_LOOP_KEYS_PRELUDE /* the prelude's output: keys and values are made once and serve every loop */
};

struct loom_config {
    int architecture; /* enum loom_architecture */
    int vocab_size;   /* V; 0 until the data say it */
    int dim;          /* C */
    int n_heads;      /* H */
    int n_kv_heads;   /* G */
    int max_seq_len;
    int max_loop_iters; /* R as trained */
    int prelude_layers, core_layers, coda_layers;
    int attn_type;                                                                 /* enum loom_attention_kind */
    int kv_lora_rank, q_lora_rank, qk_rope_head_dim, qk_nope_head_dim, v_head_dim; /* MLA */
    int n_experts;                                                                 /* E */
    int n_shared_experts;                                                          /* always on, width F*K each */
    int n_experts_per_tok;                                                         /* K */
    int expert_dim;                                                                /* F */
    int halting;                                                                   /* enum loom_halting */
    double act_threshold;
    double converge_threshold; /* nats: a token leaves when its read-out diverges by less from the loop's before */
    double sure_threshold;     /* nats: or when the read-out's entropy is below */
    int gate_loops;            /* the most loops that the gate may choose; 0: max_loop_iters */
    double rope_theta;
    int sliding_window; /* a token attends to itself and those before it, so many in all; 0: to all */
    int lora_rank;      /* of the depth LoRA */
    int max_output_tokens;
    double dropout;
    bool bias; /* gpt: biases in linear layers and norms */
    /* loom's choices; the others have the reference's */
    int activation;   /* enum loom_activation */
    int router;       /* enum loom_router_kind */
    int ffn_dim;      /* width of dense feed-forwards; 0: dim * 4/3 */
    int injection;    /* enum loom_injection */
    bool loop_index;  /* the loop's number enters as sines and cosines */
    int loop_keys;    /* enum loom_loop_keys */
    bool loop_norm;   /* the state that leaves a loop is normalised */
    bool norm_gain;   /* norms have a weight for each channel */
    double qk_norm;   /* queries and keys are normalised to this length per channel; 0: not */
    bool zero_init;   /* projections that end on the residual stream start at 0 */
    double init_gain; /* matrices start with standard deviation init_gain / sqrt(inputs); 0: 0.02 */
    bool init_match;  /* keys start with the queries' weights: like attends to like (arXiv 2305.09828) */
    double embed_std; /* of the initial embedding */
    bool embed_skip;  /* each block's input gets a learned share of the embedding, channel by channel */
    bool embed_shift; /* the token before is embedded too, the token itself channel by channel */
    bool tied;        /* the head is the embedding */
    double softcap;   /* logits stay within this; 0: no bound */
    int ngram;        /* longest n-gram whose hash has an embedding of its own; 1: none */
    int ngram_rows;   /* rows of each hashed table */
    /* How often a training hides from an n-gram what stands before its last token. */
    double ngram_dropout;
};

/* The reference's defaults of one architecture. */
struct loom_config loom_config_default(enum loom_architecture architecture);

/* Whether `key` names a model setting of any architecture. */
bool loom_config_has_key(const char *key);

/* Sets one key of the config's architecture; LOOM_INVALID for a key that it does not have. "architecture" itself is not
 * a key here: it decides the defaults and is chosen first. */
loom_status loom_config_set(struct loom_config *config, const char *key, const char *value, struct loom_error *error);

/* gpt, openmythos, loom; -1 for another name. */
int loom_architecture_find(const char *name);
const char *loom_architecture_name(int architecture);

/* Checks that the sizes fit together; LOOM_INVALID names the first pair that does not. */
loom_status loom_config_check(const struct loom_config *config, struct loom_error *error);

/* A model folder's config.json, Hugging Face shape. Unknown keys, wrong types and impossible sizes are refused. */
loom_status loom_config_read(const char *path, struct loom_config *config, struct loom_error *error);
loom_status loom_config_write(const char *path, const struct loom_config *config, struct loom_error *error);
/* The settings alone: read into a config that has its architecture; written as a new object, NULL when memory is short.
 */
loom_status loom_config_read_keys(struct loom_config *config, const json_t *json, const char *path,
                                  struct loom_error *error);
json_t *loom_config_json(const struct loom_config *config);

/* Derived sizes. */
bool loom_config_looped(const struct loom_config *config);      /* has a core */
bool loom_config_rotary(const struct loom_config *config);      /* positions are rotations */
bool loom_config_routed(const struct loom_config *config);      /* has routed experts */
bool loom_config_halts(const struct loom_config *config);       /* its tokens may halt before the last loop */
int loom_config_gate_loops(const struct loom_config *config);   /* the most loops that the gate may choose */
size_t loom_config_ffn_dim(const struct loom_config *config);   /* of a dense feed-forward */
size_t loom_config_head_dim(const struct loom_config *config);  /* of queries and keys */
size_t loom_config_value_dim(const struct loom_config *config); /* of values */
size_t loom_config_rope_dim(const struct loom_config *config);  /* channels that rotate; 0 for gpt */
/* Attention layers of R loops that keep keys and values of their own; of the loop alone, and of the whole model. */
size_t loom_config_core_slots(const struct loom_config *config, int loops);
size_t loom_config_cache_slots(const struct loom_config *config, int loops);

#endif
