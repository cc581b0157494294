/* config.c - see config.h. */
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

enum {
    GPT = 1 << LOOM_ARCHITECTURE_GPT,
    OPENMYTHOS = 1 << LOOM_ARCHITECTURE_OPENMYTHOS,
    LOOM = 1 << LOOM_ARCHITECTURE_LOOM
};
enum { LOOPED = OPENMYTHOS | LOOM };

static const char *const architecture_names[] = {"gpt", "openmythos", "loom", NULL};
static const char *const attention_names[] = {"gqa", "mla", NULL};
static const char *const halting_names[] = {"none", "act", "gate", "converge", NULL};
static const char *const activation_names[] = {"swiglu", "relu2", NULL};
static const char *const router_names[] = {"softmax", "sigmoid", "switch", "mixtral", NULL};
static const char *const injection_names[] = {"openmythos", "parcae", "add", "none", NULL};
static const char *const loop_keys_names[] = {"state", "prelude", NULL};

/* How each architecture signs its config.json. */
static const struct {
    const char *class_name, *model_type;
} signatures[] = {{"GPT", "nanogpt"}, {"OpenMythos", "open_mythos"}, {"LoomForCausalLM", "loom"}};

/* Sizes far beyond any model, so that products of two never overflow 64 bits. */
static const double big = 16777216, layers_big = 4096;

#define PLACE(field) offsetof(struct loom_config, field)
static const struct loom_key keys[] = {
    {"vocab_size", LOOM_KEY_INT, PLACE(vocab_size), 1, big, NULL, 0},
    {"block_size", LOOM_KEY_INT, PLACE(max_seq_len), 1, big, NULL, GPT},
    {"n_layer", LOOM_KEY_INT, PLACE(prelude_layers), 1, layers_big, NULL, GPT},
    {"n_head", LOOM_KEY_INT, PLACE(n_heads), 1, layers_big, NULL, GPT},
    {"n_embd", LOOM_KEY_INT, PLACE(dim), 1, big, NULL, GPT},
    {"bias", LOOM_KEY_BOOL, PLACE(bias), 0, 0, NULL, GPT},
    {"dim", LOOM_KEY_INT, PLACE(dim), 1, big, NULL, LOOPED},
    {"n_heads", LOOM_KEY_INT, PLACE(n_heads), 1, layers_big, NULL, LOOPED},
    {"n_kv_heads", LOOM_KEY_INT, PLACE(n_kv_heads), 1, layers_big, NULL, LOOPED},
    {"max_seq_len", LOOM_KEY_INT, PLACE(max_seq_len), 1, big, NULL, LOOPED},
    {"max_loop_iters", LOOM_KEY_INT, PLACE(max_loop_iters), 1, layers_big, NULL, LOOPED},
    {"prelude_layers", LOOM_KEY_INT, PLACE(prelude_layers), 0, layers_big, NULL, LOOPED},
    {"core_layers", LOOM_KEY_INT, PLACE(core_layers), 0, layers_big, NULL, LOOM},
    {"coda_layers", LOOM_KEY_INT, PLACE(coda_layers), 0, layers_big, NULL, LOOPED},
    {"attn_type", LOOM_KEY_CHOICE, PLACE(attn_type), 0, 0, attention_names, LOOPED},
    {"kv_lora_rank", LOOM_KEY_INT, PLACE(kv_lora_rank), 1, big, NULL, LOOPED},
    {"q_lora_rank", LOOM_KEY_INT, PLACE(q_lora_rank), 1, big, NULL, LOOPED},
    {"qk_rope_head_dim", LOOM_KEY_INT, PLACE(qk_rope_head_dim), 2, big, NULL, LOOPED},
    {"qk_nope_head_dim", LOOM_KEY_INT, PLACE(qk_nope_head_dim), 1, big, NULL, LOOPED},
    {"v_head_dim", LOOM_KEY_INT, PLACE(v_head_dim), 1, big, NULL, LOOPED},
    {"n_experts", LOOM_KEY_INT, PLACE(n_experts), 1, 65536, NULL, OPENMYTHOS},
    {"n_experts", LOOM_KEY_INT, PLACE(n_experts), 0, 65536, NULL, LOOM},
    {"n_shared_experts", LOOM_KEY_INT, PLACE(n_shared_experts), 0, layers_big, NULL, LOOPED},
    {"n_experts_per_tok", LOOM_KEY_INT, PLACE(n_experts_per_tok), 1, 65536, NULL, LOOPED},
    {"expert_dim", LOOM_KEY_INT, PLACE(expert_dim), 1, big, NULL, LOOPED},
    {"router", LOOM_KEY_CHOICE, PLACE(router), 0, 0, router_names, LOOM},
    {"halting", LOOM_KEY_CHOICE, PLACE(halting), 0, 0, halting_names, LOOM},
    {"act_threshold", LOOM_KEY_REAL, PLACE(act_threshold), 0, 1e9, NULL, LOOPED},
    {"converge_threshold", LOOM_KEY_REAL, PLACE(converge_threshold), 0, 1e9, NULL, LOOM},
    {"sure_threshold", LOOM_KEY_REAL, PLACE(sure_threshold), 0, 1e9, NULL, LOOM},
    {"gate_loops", LOOM_KEY_INT, PLACE(gate_loops), 0, layers_big, NULL, LOOM},
    {"rope_theta", LOOM_KEY_REAL, PLACE(rope_theta), 1e-9, 1e18, NULL, LOOPED},
    {"sliding_window", LOOM_KEY_INT, PLACE(sliding_window), 0, big, NULL, LOOM},
    {"lora_rank", LOOM_KEY_INT, PLACE(lora_rank), 1, big, NULL, OPENMYTHOS},
    {"lora_rank", LOOM_KEY_INT, PLACE(lora_rank), 0, big, NULL, LOOM},
    {"max_output_tokens", LOOM_KEY_INT, PLACE(max_output_tokens), 1, big, NULL, LOOPED},
    {"activation", LOOM_KEY_CHOICE, PLACE(activation), 0, 0, activation_names, LOOM},
    {"ffn_dim", LOOM_KEY_INT, PLACE(ffn_dim), 0, big, NULL, LOOM},
    {"injection", LOOM_KEY_CHOICE, PLACE(injection), 0, 0, injection_names, LOOM},
    {"loop_index", LOOM_KEY_BOOL, PLACE(loop_index), 0, 0, NULL, LOOM},
    {"loop_keys", LOOM_KEY_CHOICE, PLACE(loop_keys), 0, 0, loop_keys_names, LOOM},
    {"loop_norm", LOOM_KEY_BOOL, PLACE(loop_norm), 0, 0, NULL, LOOM},
    {"norm_gain", LOOM_KEY_BOOL, PLACE(norm_gain), 0, 0, NULL, LOOM},
    {"qk_norm", LOOM_KEY_REAL, PLACE(qk_norm), 0, 1e3, NULL, LOOM},
    {"zero_init", LOOM_KEY_BOOL, PLACE(zero_init), 0, 0, NULL, LOOM},
    {"init_gain", LOOM_KEY_REAL, PLACE(init_gain), 0, 1e3, NULL, LOOM},
    {"init_match", LOOM_KEY_BOOL, PLACE(init_match), 0, 0, NULL, LOOM},
    {"embed_std", LOOM_KEY_REAL, PLACE(embed_std), 0, 1e3, NULL, LOOM},
    {"embed_skip", LOOM_KEY_BOOL, PLACE(embed_skip), 0, 0, NULL, LOOM},
    {"embed_shift", LOOM_KEY_BOOL, PLACE(embed_shift), 0, 0, NULL, LOOM},
    {"tie_word_embeddings", LOOM_KEY_BOOL, PLACE(tied), 0, 0, NULL, LOOM},
    {"logit_softcap", LOOM_KEY_REAL, PLACE(softcap), 0, 1e9, NULL, LOOM},
    {"ngram", LOOM_KEY_INT, PLACE(ngram), 1, LOOM_NGRAM_MAX, NULL, LOOM},
    {"ngram_rows", LOOM_KEY_INT, PLACE(ngram_rows), 1, big, NULL, LOOM},
    {"ngram_dropout", LOOM_KEY_REAL, PLACE(ngram_dropout), 0, 0.999, NULL, LOOM},
    {"dropout", LOOM_KEY_REAL, PLACE(dropout), 0, 0.999, NULL, 0},
};
#undef PLACE
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

/* Keys that Hugging Face tools write beside the model's own. */
static const char *const bystanders[] = {
    "auto_map", "transformers_version", "bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "_name_or_path"};

static unsigned group(const struct loom_config *config) {
    return 1u << config->architecture;
}

int loom_architecture_find(const char *name) {
    for (int i = 0; architecture_names[i]; i++)
        if (strcmp(architecture_names[i], name) == 0)
            return i;
    return -1;
}

const char *loom_architecture_name(int architecture) {
    return architecture_names[architecture];
}

struct loom_config loom_config_default(enum loom_architecture architecture) {
    if (architecture == LOOM_ARCHITECTURE_GPT)
        return (struct loom_config){.architecture = (int)architecture,
                                    .max_seq_len = 1024,
                                    .prelude_layers = 12,
                                    .n_heads = 12,
                                    .dim = 768,
                                    .attn_type = LOOM_ATTENTION_FUSED,
                                    .bias = true,
                                    .tied = true,
                                    .ngram = 1};
    return (struct loom_config){.architecture = (int)architecture,
                                .dim = 2048,
                                .n_heads = 16,
                                .n_kv_heads = 4,
                                .max_seq_len = 4096,
                                .max_loop_iters = 16,
                                .prelude_layers = 2,
                                .core_layers = 1,
                                .coda_layers = 2,
                                .attn_type = LOOM_ATTENTION_MLA,
                                .kv_lora_rank = 512,
                                .q_lora_rank = 1536,
                                .qk_rope_head_dim = 64,
                                .qk_nope_head_dim = 128,
                                .v_head_dim = 128,
                                .n_experts = 64,
                                .n_shared_experts = 2,
                                .n_experts_per_tok = 4,
                                .expert_dim = 512,
                                .halting = LOOM_HALTING_ACT,
                                .act_threshold = 0.99,
                                .converge_threshold = 0.003,
                                .sure_threshold = 0.6,
                                .rope_theta = 500000.0,
                                .lora_rank = 16,
                                .max_output_tokens = 4096,
                                .loop_index = true,
                                .norm_gain = true,
                                .embed_std = 0.02,
                                .tied = true,
                                .ngram = 1,
                                .ngram_rows = 1024};
}

bool loom_config_has_key(const char *key) {
    return loom_key_find(keys, KEY_COUNT, GPT | LOOPED, key) != NULL;
}

loom_status loom_config_set(struct loom_config *config, const char *key, const char *value, struct loom_error *error) {
    const struct loom_key *found = loom_key_find(keys, KEY_COUNT, group(config), key);
    if (!found)
        return loom_fail(error, LOOM_INVALID, "the architecture %s has no setting \"%.64s\"",
                         architecture_names[config->architecture], key);
    return loom_key_set_text(found, config, value, error);
}

bool loom_config_looped(const struct loom_config *config) {
    return config->core_layers > 0;
}

bool loom_config_rotary(const struct loom_config *config) {
    return config->architecture != LOOM_ARCHITECTURE_GPT;
}

bool loom_config_routed(const struct loom_config *config) {
    return config->core_layers > 0 && config->n_experts > 0;
}

bool loom_config_halts(const struct loom_config *config) {
    return loom_config_looped(config) && config->halting != LOOM_HALTING_NONE;
}

int loom_config_gate_loops(const struct loom_config *config) {
    return config->gate_loops ? config->gate_loops : config->max_loop_iters;
}

size_t loom_config_ffn_dim(const struct loom_config *config) {
    return (size_t)(config->ffn_dim ? config->ffn_dim : (int)(config->dim * 4LL / 3));
}

size_t loom_config_head_dim(const struct loom_config *config) {
    if (config->attn_type == LOOM_ATTENTION_MLA)
        return (size_t)config->qk_nope_head_dim + (size_t)config->qk_rope_head_dim;
    return (size_t)(config->dim / config->n_heads);
}

size_t loom_config_value_dim(const struct loom_config *config) {
    return config->attn_type == LOOM_ATTENTION_MLA ? (size_t)config->v_head_dim : loom_config_head_dim(config);
}

size_t loom_config_rope_dim(const struct loom_config *config) {
    switch (config->attn_type) {
    case LOOM_ATTENTION_MLA:
        return (size_t)config->qk_rope_head_dim;
    case LOOM_ATTENTION_GQA:
        return loom_config_head_dim(config);
    default:
        return 0;
    }
}

size_t loom_config_core_slots(const struct loom_config *config, int loops) {
    return (size_t)config->core_layers * (config->loop_keys == LOOM_LOOP_KEYS_PRELUDE ? 1 : (size_t)loops);
}

size_t loom_config_cache_slots(const struct loom_config *config, int loops) {
    size_t gate = loom_config_looped(config) && config->halting == LOOM_HALTING_GATE; /* its block, the last */
    return (size_t)config->prelude_layers + loom_config_core_slots(config, loops) + (size_t)config->coda_layers + gate;
}

/* Weights of one attention layer, about. In double, like those below: there nothing overflows. */
static double attention_weights(const struct loom_config *c) {
    double dim = c->dim, heads = c->n_heads, width = (double)loom_config_head_dim(c), value = c->v_head_dim;
    if (c->attn_type != LOOM_ATTENTION_MLA)
        return 4 * dim * dim;
    return c->q_lora_rank * (dim + heads * width) + dim * (c->kv_lora_rank + c->qk_rope_head_dim) +
           c->kv_lora_rank * heads * (c->qk_nope_head_dim + value) + heads * value * dim;
}

/* A size within its range may still make a product with others that no machine holds, or that 64 bits do not count. */
static loom_status check_total(const struct loom_config *c, struct loom_error *error) {
    static const double most_weights = 281474976710656.0 /* 2^48 */, most_tensors = 1 << 20;
    double dim = c->dim, ffn = loom_config_rotary(c) ? 3.0 * (double)loom_config_ffn_dim(c) : 8 * dim;
    double layer = dim * ffn + attention_weights(c);
    double dense = (double)c->prelude_layers + c->coda_layers, core = c->core_layers;
    double experts = c->n_experts + (double)c->n_shared_experts * c->n_experts_per_tok;
    double tables = 2.0 * c->vocab_size + c->max_seq_len + (c->ngram - 1.0) * c->ngram_rows;
    double weights = dim * tables + dense * layer + core * (layer + 3 * dim * c->expert_dim * experts);
    double tensors = 16 * dense + core * (16 + 3 * ((double)c->n_experts + c->n_shared_experts));
    if (weights > most_weights)
        return loom_fail(
            error, LOOM_INVALID,
            "vocab_size %d, dim %d, n_experts %d and expert_dim %d make about %.2g weights, more than 2^48",
            c->vocab_size, c->dim, c->n_experts, c->expert_dim, weights);
    if (tensors > most_tensors)
        return loom_fail(error, LOOM_INVALID, "core_layers %d of n_experts %d make about %.2g tensors, more than 2^20",
                         c->core_layers, c->n_experts, tensors);
    return LOOM_OK;
}

static loom_status check_looped(const struct loom_config *c, struct loom_error *error) {
    if (c->attn_type == LOOM_ATTENTION_GQA && c->n_heads % c->n_kv_heads != 0)
        return loom_fail(error, LOOM_INVALID, "n_kv_heads %d does not divide n_heads %d", c->n_kv_heads, c->n_heads);
    if (loom_config_rope_dim(c) % 2 != 0)
        return loom_fail(error, LOOM_INVALID, "the rotated head width %zu is odd: RoPE turns pairs",
                         loom_config_rope_dim(c));
    if (c->n_experts_per_tok > c->n_experts && loom_config_routed(c))
        return loom_fail(error, LOOM_INVALID, "n_experts_per_tok %d is more than n_experts %d", c->n_experts_per_tok,
                         c->n_experts);
    if (c->dim * 4LL / 3 < 1)
        return loom_fail(error, LOOM_INVALID, "dim %d leaves no feed-forward width", c->dim);
    if (c->qk_norm > 0 && c->attn_type != LOOM_ATTENTION_GQA)
        return loom_fail(error, LOOM_INVALID, "qk_norm %g needs attn_type gqa", c->qk_norm);
    if (c->loop_keys == LOOM_LOOP_KEYS_PRELUDE && c->attn_type != LOOM_ATTENTION_GQA)
        return loom_fail(error, LOOM_INVALID, "loop_keys prelude needs attn_type gqa");
    return LOOM_OK;
}

loom_status loom_config_check(const struct loom_config *config, struct loom_error *error) {
    bool gpt = config->architecture == LOOM_ARCHITECTURE_GPT;
    if (config->attn_type != LOOM_ATTENTION_MLA && config->dim % config->n_heads != 0)
        return loom_fail(error, LOOM_INVALID, "%s %d does not divide %s %d", gpt ? "n_head" : "n_heads",
                         config->n_heads, gpt ? "n_embd" : "dim", config->dim);
    loom_status status = gpt ? LOOM_OK : check_looped(config, error);
    return status ? status : check_total(config, error);
}

/* ---- config.json ------------------------------------------------------------------------------------------------- */

static loom_status read_architecture(const json_t *json, const char *path, int *architecture,
                                     struct loom_error *error) {
    const json_t *list = json_object_get(json, "architectures");
    const char *name = json_is_array(list) ? json_string_value(json_array_get(list, 0)) : NULL;
    const char *type = json_string_value(json_object_get(json, "model_type"));
    if (!name)
        return loom_fail(error, LOOM_INVALID, "%s: \"architectures\" must be a list with one name", path);
    for (int i = 0; architecture_names[i]; i++)
        if (strcmp(name, signatures[i].class_name) == 0) {
            if (!type || strcmp(type, signatures[i].model_type) != 0)
                return loom_fail(error, LOOM_INVALID, "%s: model_type is \"%.64s\" where architecture %s has \"%s\"",
                                 path, type ? type : "(missing)", name, signatures[i].model_type);
            *architecture = i;
            return LOOM_OK;
        }
    return loom_fail(error, LOOM_INVALID, "%s: the architecture \"%.64s\" is not known", path, name);
}

/* Keys that describe the folder and not the model. *known tells whether `key` is one of them. */
static loom_status read_bystander(const char *key, const json_t *value, const char *path, bool *known,
                                  struct loom_error *error) {
    *known = true;
    if (strcmp(key, "architectures") == 0 || strcmp(key, "model_type") == 0)
        return LOOM_OK;
    if (strcmp(key, "tie_word_embeddings") == 0)
        return json_is_true(value) ? LOOM_OK
                                   : loom_fail(error, LOOM_INVALID, "%s: tie_word_embeddings must be true", path);
    if (strcmp(key, "torch_dtype") == 0 || strcmp(key, "dtype") == 0)
        return json_is_string(value) && strcmp(json_string_value(value), "float32") == 0
                   ? LOOM_OK
                   : loom_fail(error, LOOM_INVALID, "%s: %s must be \"float32\"", path, key);
    for (size_t i = 0; i < sizeof bystanders / sizeof bystanders[0]; i++)
        if (strcmp(key, bystanders[i]) == 0)
            return LOOM_OK;
    *known = false;
    return LOOM_OK;
}

loom_status loom_config_read_keys(struct loom_config *config, const json_t *json, const char *path,
                                  struct loom_error *error) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value) { /* only read; jansson's iterator takes no const */
        bool bystander = false;
        const struct loom_key *found = loom_key_find(keys, KEY_COUNT, group(config), key);
        loom_status status = found ? loom_key_set_json(found, config, value, path, error)
                                   : read_bystander(key, value, path, &bystander, error);
        if (status == LOOM_OK && !found && !bystander)
            status = loom_fail(error, LOOM_INVALID, "%s: the architecture %s has no setting \"%.64s\"", path,
                               architecture_names[config->architecture], key);
        if (status)
            return status;
    }
    return LOOM_OK;
}

loom_status loom_config_read(const char *path, struct loom_config *config, struct loom_error *error) {
    json_t *json;
    loom_status status = loom_json_read(path, &json, error);
    if (status)
        return status;
    int architecture = 0;
    if (!json_is_object(json))
        status = loom_fail(error, LOOM_INVALID, "%s: must be a JSON object", path);
    if (status == LOOM_OK)
        status = read_architecture(json, path, &architecture, error);
    if (status == LOOM_OK) {
        *config = loom_config_default((enum loom_architecture)architecture);
        status = loom_config_read_keys(config, json, path, error);
    }
    json_decref(json);
    if (status)
        return status;
    if (config->vocab_size == 0)
        return loom_fail(error, LOOM_INVALID, "%s: \"vocab_size\" is missing", path);
    struct loom_error inner;
    status = loom_config_check(config, &inner);
    return status ? loom_fail(error, status, "%s: %s", path, inner.text) : LOOM_OK;
}

json_t *loom_config_json(const struct loom_config *config) {
    json_t *json = json_object();
    if (json && loom_keys_write(keys, KEY_COUNT, group(config), config, json))
        return json;
    json_decref(json);
    return NULL;
}

loom_status loom_config_write(const char *path, const struct loom_config *config, struct loom_error *error) {
    json_t *json = loom_config_json(config);
    json_t *signature =
        json_pack("{s:[s],s:s,s:b,s:s}", "architectures", signatures[config->architecture].class_name, "model_type",
                  signatures[config->architecture].model_type, "tie_word_embeddings", 1, "torch_dtype", "float32");
    loom_status status = LOOM_OK;
    if (!json || !signature ||
        json_object_update(signature, json) != 0) /* an own setting counts before the signature's */
        status = loom_fail_memory(error, path, sizeof *config);
    else
        status = loom_json_write(path, signature, error);
    json_decref(json);
    json_decref(signature);
    return status;
}
