/* config.h - what a model is: architecture and sizes.
 *
 * Keys carry the reference's names. `gpt` is nanoGPT's GPT-2; `openmythos` is the looped reference, bit for bit its
 * equations; `loom` is the same skeleton with the reference's known flaws mended and its choices open. */
#ifndef LOOM_MODEL_CONFIG_H
#define LOOM_MODEL_CONFIG_H

#include <stdbool.h>

#include "base/keys.h"

enum loom_architecture { LOOM_ARCHITECTURE_GPT, LOOM_ARCHITECTURE_OPENMYTHOS, LOOM_ARCHITECTURE_LOOM };

enum loom_attention_kind {
    LOOM_ATTENTION_GQA,  /* grouped queries, RoPE */
    LOOM_ATTENTION_MLA,  /* multi-head latent attention */
    LOOM_ATTENTION_FUSED /* GPT-2's: one qkv product, no rotation */
};

enum loom_halting {
    LOOM_HALTING_NONE, /* every token runs every loop */
    LOOM_HALTING_ACT   /* adaptive computation time */
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
    double rope_theta;
    int lora_rank; /* of the depth LoRA */
    int max_output_tokens;
    double dropout;
    bool bias; /* gpt: biases in linear layers and norms */
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
bool loom_config_looped(const struct loom_config *config);
size_t loom_config_head_dim(const struct loom_config *config);  /* of queries and keys */
size_t loom_config_value_dim(const struct loom_config *config); /* of values */
size_t loom_config_rope_dim(const struct loom_config *config);  /* channels that rotate; 0 for gpt */
size_t loom_config_cache_slots(const struct loom_config *config,
                               int loops); /* attention layers, a loop's counted R times */

#endif
