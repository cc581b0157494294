/* test_config.c - config.json: what is refused, with a sentence that names the key and the numbers, and what is read.
 *
 * Each bad file is a good one with one member put in its place. */
#include "scratch.h"

#include <jansson.h>

#include "model/config.h"
#include "model/net.h"

/* As the reference's tools write them. */
static const char mythos_json[] =
    "{\"vocab_size\": 61, \"dim\": 32, \"n_heads\": 4, \"n_kv_heads\": 2, \"max_seq_len\": 32, \"max_loop_iters\": 3,"
    " \"prelude_layers\": 1, \"coda_layers\": 1, \"attn_type\": \"gqa\", \"kv_lora_rank\": 512, \"q_lora_rank\": 1536,"
    " \"qk_rope_head_dim\": 64, \"qk_nope_head_dim\": 128, \"v_head_dim\": 128, \"n_experts\": 4,"
    " \"n_shared_experts\": 1, \"n_experts_per_tok\": 2, \"expert_dim\": 16, \"act_threshold\": 0.99,"
    " \"rope_theta\": 500000.0, \"lora_rank\": 4, \"max_output_tokens\": 4096, \"dropout\": 0.0,"
    " \"architectures\": [\"OpenMythos\"], \"model_type\": \"open_mythos\", \"tie_word_embeddings\": true,"
    " \"torch_dtype\": \"float32\"}";
static const char gpt_json[] =
    "{\"block_size\": 16, \"vocab_size\": 61, \"n_layer\": 2, \"n_head\": 4, \"n_embd\": 32, \"dropout\": 0.0,"
    " \"bias\": true, \"architectures\": [\"GPT\"], \"model_type\": \"nanogpt\", \"tie_word_embeddings\": true,"
    " \"torch_dtype\": \"float32\"}";
static const char loom_json[] =
    "{\"architectures\": [\"LoomForCausalLM\"], \"model_type\": \"loom\", \"vocab_size\": 61, \"dim\": 32,"
    " \"n_heads\": 4, \"n_kv_heads\": 2, \"attn_type\": \"gqa\", \"core_layers\": 2, \"halting\": \"none\"}";

static loom_status read_text(void *folder, const char *text, size_t size, struct loom_config *config,
                             struct loom_error *error) {
    char *path = scratch_write(folder, "config.json", text, size);
    error->text[0] = '\0';
    loom_status status = loom_config_read(path, config, error);
    if (status != LOOM_OK && !strstr(error->text, path))
        fail_msg("\"%s\" does not name the file", error->text);
    free(path);
    return status;
}

/* The file `base` with one member replaced by `value`, any JSON; NULL takes it out. */
static loom_status read_changed(void *folder, const char *base, const char *key, const char *value,
                                struct loom_config *config, struct loom_error *error) {
    json_t *json = json_loads(base, 0, NULL);
    assert_non_null(json);
    if (value)
        assert_int_equal(json_object_set_new(json, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    else
        assert_int_equal(json_object_del(json, key), 0);
    char *text = json_dumps(json, 0);
    loom_status status = read_text(folder, text, strlen(text), config, error);
    free(text);
    json_decref(json);
    return status;
}

struct change {
    const char *base, *key, *value;
    const char *says[2]; /* words of the sentence; for a good file the second is unused */
};

static void test_refused(void **state) {
    static const struct change changes[] = {
        /* keys that nobody has, or that another architecture has */
        {mythos_json, "n_loops", "3", {"\"n_loops\"", "openmythos"}},
        {mythos_json, "block_size", "16", {"\"block_size\"", "openmythos"}},
        {mythos_json, "core_layers", "2", {"\"core_layers\"", "openmythos"}},
        {mythos_json, "halting", "\"act\"", {"\"halting\"", "openmythos"}},
        {gpt_json, "dim", "32", {"\"dim\"", "gpt"}},
        {gpt_json, "rope_theta", "1e4", {"\"rope_theta\"", "gpt"}},
        {loom_json, "bias", "true", {"\"bias\"", "loom"}},
        {loom_json, "", "1", {"\"\"", "loom"}},
        /* types */
        {mythos_json, "dim", "\"32\"", {"dim", "must be a number"}},
        {mythos_json, "dim", "32.5", {"dim", "32.5"}},
        {mythos_json, "dim", "null", {"dim", "must be a number"}},
        {mythos_json, "dim", "true", {"dim", "must be a number"}},
        {mythos_json, "dim", "[32]", {"dim", "must be a number"}},
        {mythos_json, "rope_theta", "\"1e4\"", {"rope_theta", "must be a number"}},
        {mythos_json, "attn_type", "1", {"attn_type", "must be a string"}},
        {mythos_json, "attn_type", "\"mha\"", {"attn_type", "gqa, mla"}},
        {loom_json, "halting", "\"often\"", {"halting", "none, act, gate, converge"}},
        {gpt_json, "bias", "1", {"bias", "true or false"}},
        /* ranges */
        {mythos_json, "vocab_size", "0", {"vocab_size", "0"}},
        {mythos_json, "dim", "-32", {"dim", "-32"}},
        {mythos_json, "n_heads", "0", {"n_heads", "0"}},
        {mythos_json, "n_kv_heads", "0", {"n_kv_heads", "0"}},
        {mythos_json, "max_seq_len", "0", {"max_seq_len", "0"}},
        {mythos_json, "max_loop_iters", "0", {"max_loop_iters", "0"}},
        {mythos_json, "prelude_layers", "-1", {"prelude_layers", "-1"}},
        {mythos_json, "n_experts", "0", {"n_experts", "0"}},
        {mythos_json, "n_experts_per_tok", "0", {"n_experts_per_tok", "0"}},
        {mythos_json, "n_shared_experts", "-1", {"n_shared_experts", "-1"}},
        {mythos_json, "expert_dim", "0", {"expert_dim", "0"}},
        {mythos_json, "lora_rank", "0", {"lora_rank", "0"}},
        {mythos_json, "rope_theta", "0", {"rope_theta", "0"}},
        {mythos_json, "rope_theta", "-1", {"rope_theta", "-1"}},
        {mythos_json, "act_threshold", "-0.5", {"act_threshold", "-0.5"}},
        {mythos_json, "dropout", "1", {"dropout", "1"}},
        {mythos_json, "dropout", "-0.1", {"dropout", "-0.1"}},
        {loom_json, "core_layers", "-1", {"core_layers", "-1"}},
        {loom_json, "qk_norm", "-1", {"qk_norm", "-1"}},
        {loom_json, "ngram", "0", {"ngram", "0"}},
        {loom_json, "activation", "\"gelu\"", {"activation", "swiglu, relu2"}},
        {gpt_json, "n_layer", "0", {"n_layer", "0"}},
        /* huge */
        {mythos_json, "vocab_size", "2147483648", {"vocab_size", "2147483648"}},
        {mythos_json, "vocab_size", "9223372036854775807", {"vocab_size", "9.22337203685e+18"}},
        {mythos_json, "dim", "1e300", {"dim", "1e+300"}},
        {mythos_json, "expert_dim", "4294967297", {"expert_dim", "4294967297"}},
        {gpt_json, "n_layer", "1000000", {"n_layer", "1000000"}},
        /* sizes that do not fit together */
        {mythos_json, "dim", "34", {"n_heads 4", "dim 34"}},
        {mythos_json, "n_heads", "64", {"n_heads 64", "dim 32"}},
        {mythos_json, "n_kv_heads", "3", {"n_kv_heads 3", "n_heads 4"}},
        {mythos_json, "n_kv_heads", "8", {"n_kv_heads 8", "n_heads 4"}},
        {mythos_json, "dim", "36", {"9", "odd"}},
        {mythos_json, "n_experts_per_tok", "5", {"n_experts_per_tok 5", "n_experts 4"}},
        {gpt_json, "n_embd", "30", {"n_head 4", "n_embd 30"}},
        /* the folder's own members */
        {mythos_json, "vocab_size", NULL, {"vocab_size", "missing"}},
        {mythos_json, "architectures", NULL, {"architectures", "list"}},
        {mythos_json, "architectures", "\"OpenMythos\"", {"architectures", "list"}},
        {mythos_json, "architectures", "[]", {"architectures", "list"}},
        {mythos_json, "architectures", "[7]", {"architectures", "list"}},
        {mythos_json, "architectures", "[\"LlamaForCausalLM\"]", {"LlamaForCausalLM", "not known"}},
        {mythos_json, "model_type", NULL, {"model_type", "open_mythos"}},
        {mythos_json, "model_type", "\"nanogpt\"", {"nanogpt", "open_mythos"}},
        {mythos_json, "model_type", "5", {"model_type", "open_mythos"}},
        {mythos_json, "tie_word_embeddings", "false", {"tie_word_embeddings", "true"}},
        {mythos_json, "torch_dtype", "\"bfloat16\"", {"torch_dtype", "float32"}},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct change *c = &changes[i];
        struct loom_config config;
        struct loom_error error;
        loom_status status = read_changed(*state, c->base, c->key, c->value, &config, &error);
        if (status != LOOM_INVALID || !strstr(error.text, c->says[0]) || !strstr(error.text, c->says[1]))
            fail_msg("\"%s\": %s: status %d, \"%s\"", c->key, c->value, status, error.text);
    }
}

/* An MLA model's rotated width is a setting of its own; its dim need not be a multiple of its heads. */
static void test_latent(void **state) {
    static const struct change changes[] = {
        {mythos_json, "qk_rope_head_dim", "7", {"7", "odd"}},
        {mythos_json, "qk_rope_head_dim", "0", {"qk_rope_head_dim", "0"}},
        {mythos_json, "kv_lora_rank", "0", {"kv_lora_rank", "0"}},
        {mythos_json, "v_head_dim", "-4", {"v_head_dim", "-4"}},
    };
    char base[2048];
    const char *kind = strstr(mythos_json, "\"gqa\"");
    snprintf(base, sizeof base, "%.*s\"mla\"%s", (int)(kind - mythos_json), mythos_json, kind + 5);
    struct loom_config config;
    struct loom_error error;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        loom_status status = read_changed(*state, base, changes[i].key, changes[i].value, &config, &error);
        expect(status, LOOM_INVALID, &error, changes[i].says[0]);
        expect(status, LOOM_INVALID, &error, changes[i].says[1]);
    }
    expect(read_changed(*state, base, "dim", "30", &config, &error), LOOM_OK, &error, "");
}

static void test_not_json(void **state) {
    static const struct {
        const char *text;
        loom_status status;
        const char *says;
    } files[] = {
        {"", LOOM_FAILED, "JSON"},
        {"{", LOOM_FAILED, "JSON"},
        {"not json", LOOM_FAILED, "JSON"},
        {"[]", LOOM_INVALID, "object"},
        {"{} {}", LOOM_FAILED, "JSON"},
        {"{\"dim\": 32, \"dim\": 32}", LOOM_FAILED, "duplicate"},
        {"{\"dim\": 1e999}", LOOM_FAILED, "JSON"},
        {"{\"dim\": NaN}", LOOM_FAILED, "JSON"},
        {"{\"dim\": 99999999999999999999}", LOOM_FAILED, "JSON"},
        {"{\"dim\": \"\xFF\"}", LOOM_FAILED, "JSON"},
        {"{}", LOOM_INVALID, "architectures"},
    };
    struct loom_config config;
    struct loom_error error;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        expect(read_text(*state, files[i].text, strlen(files[i].text), &config, &error), files[i].status, &error,
               files[i].says);
    char *missing = scratch_path(*state, "missing.json");
    expect(loom_config_read(missing, &config, &error), LOOM_IO, &error, "missing.json");
    free(missing);
}

/* Every prefix of a good file, and a good file with any one byte replaced, is refused or read, and nothing else. */
static void test_cut(void **state) {
    struct loom_config config;
    struct loom_error error;
    for (size_t size = 0; size + 1 < sizeof gpt_json; size += 3)
        assert_int_not_equal(read_text(*state, gpt_json, size, &config, &error), LOOM_OK);
    for (size_t i = 0; i + 1 < sizeof gpt_json; i += 2) {
        char text[sizeof gpt_json];
        memcpy(text, gpt_json, sizeof text);
        text[i] = (char)loom_random_below((struct loom_random){1, LOOM_RANDOM_TEST}, i, 256);
        if (read_text(*state, text, sizeof text - 1, &config, &error) == LOOM_OK)
            assert_int_equal(loom_config_check(&config, &error), LOOM_OK);
    }
}

/* Sizes within every range, whose product no machine could count. */
static void test_overflow(void **state) {
    struct loom_config config = loom_config_default(LOOM_ARCHITECTURE_OPENMYTHOS);
    struct loom_error error;
    (void)state;
    config.vocab_size = 16777216;
    config.dim = 16777216;
    config.expert_dim = 16777216;
    config.n_experts = 65536;
    expect(loom_config_check(&config, &error), LOOM_INVALID, &error, "n_experts 65536");
    config.n_experts = config.n_experts_per_tok = 4;
    config.n_shared_experts = 4096;
    config.n_heads = 4096;
    config.kv_lora_rank = config.v_head_dim = 16777216;
    expect(loom_config_check(&config, &error), LOOM_INVALID, &error, "dim 16777216");
    config = loom_config_default(LOOM_ARCHITECTURE_LOOM);
    config.vocab_size = 50304;
    expect(loom_config_check(&config, &error), LOOM_OK, &error, "");
    config.core_layers = 4096;
    config.n_experts = 65536;
    config.dim = config.expert_dim = config.n_heads = 1;
    expect(loom_config_check(&config, &error), LOOM_INVALID, &error, "core_layers 4096");
}

static void test_accepted(void **state) {
    static const struct change changes[] = {
        {mythos_json, "dim", "32", {NULL, NULL}},
        {mythos_json, "dim", "32.0", {NULL, NULL}},
        {mythos_json, "rope_theta", "10000", {NULL, NULL}},
        {mythos_json, "prelude_layers", "0", {NULL, NULL}},
        {mythos_json, "n_shared_experts", "0", {NULL, NULL}},
        {mythos_json, "n_experts_per_tok", "4", {NULL, NULL}},
        {mythos_json, "n_kv_heads", "1", {NULL, NULL}},
        {mythos_json, "transformers_version", "\"4.40.0\"", {NULL, NULL}},
        {mythos_json, "auto_map", "{}", {NULL, NULL}},
        {gpt_json, "bias", "false", {NULL, NULL}},
        {gpt_json, "torch_dtype", NULL, {NULL, NULL}},
        {loom_json, "halting", "\"act\"", {NULL, NULL}},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct loom_config config;
        struct loom_error error;
        struct loom_net net;
        loom_status status = read_changed(*state, changes[i].base, changes[i].key, changes[i].value, &config, &error);
        expect(status, LOOM_OK, &error, "");
        assert_int_equal(config.vocab_size, 61);
        assert_int_equal(config.dim, 32);
        assert_int_equal(loom_net_open(&net, &config, &error), LOOM_OK);
        loom_net_close(&net);
    }
}

/* What is not in the file is the reference's default. */
static void test_values(void **state) {
    struct loom_config c, defaults = loom_config_default(LOOM_ARCHITECTURE_LOOM);
    struct loom_error error;
    expect(read_text(*state, mythos_json, sizeof mythos_json - 1, &c, &error), LOOM_OK, &error, "");
    assert_int_equal(c.architecture, LOOM_ARCHITECTURE_OPENMYTHOS);
    assert_int_equal(c.attn_type, LOOM_ATTENTION_GQA);
    assert_int_equal(c.n_kv_heads, 2);
    assert_int_equal(c.max_loop_iters, 3);
    assert_int_equal(c.core_layers, 1);
    assert_int_equal(c.halting, LOOM_HALTING_ACT);
    assert_true(c.act_threshold > 0.98999 && c.act_threshold < 0.99001);
    expect(read_text(*state, gpt_json, sizeof gpt_json - 1, &c, &error), LOOM_OK, &error, "");
    assert_int_equal(c.architecture, LOOM_ARCHITECTURE_GPT);
    assert_int_equal(c.prelude_layers, 2);
    assert_int_equal(c.max_seq_len, 16);
    assert_true(c.bias);
    expect(read_text(*state, loom_json, sizeof loom_json - 1, &c, &error), LOOM_OK, &error, "");
    assert_int_equal(c.architecture, LOOM_ARCHITECTURE_LOOM);
    assert_int_equal(c.core_layers, 2);
    assert_int_equal(c.halting, LOOM_HALTING_NONE);
    assert_int_equal(c.n_experts, defaults.n_experts);
    assert_int_equal(c.lora_rank, defaults.lora_rank);
}

static loom_status round_trip(void *folder, const struct loom_config *config, struct loom_config *back) {
    struct loom_error error;
    char *path = scratch_path(folder, "config.json");
    expect(loom_config_write(path, config, &error), LOOM_OK, &error, "");
    memset(back, 0, sizeof *back);
    loom_status status = loom_config_read(path, back, &error);
    expect(status, LOOM_OK, &error, "");
    free(path);
    return status;
}

static bool equal(double a, double b) {
    return !(a < b) && !(a > b);
}

static void test_round_trip(void **state) {
    for (int kind = LOOM_ARCHITECTURE_GPT; kind <= LOOM_ARCHITECTURE_LOOM; kind++) {
        struct loom_config a = loom_config_default((enum loom_architecture)kind), b;
        struct loom_error error;
        a.vocab_size = 50257;
        a.dropout = 0.1; /* not exact in binary: every digit must come back */
        assert_int_equal(loom_config_set(&a, kind ? "max_seq_len" : "block_size", "777", &error), LOOM_OK);
        if (kind == LOOM_ARCHITECTURE_GPT)
            a.bias = false;
        if (kind != LOOM_ARCHITECTURE_GPT)
            a.act_threshold = 1.0 / 3;
        if (kind == LOOM_ARCHITECTURE_LOOM)
            a.halting = LOOM_HALTING_NONE;
        round_trip(*state, &a, &b);
        assert_true(equal(a.dropout, b.dropout) && equal(a.act_threshold, b.act_threshold));
        assert_true(equal(a.rope_theta, b.rope_theta));
        json_t *before = loom_config_json(&a), *after = loom_config_json(&b);
        assert_true(before && after && json_equal(before, after));
        assert_int_equal(a.architecture, b.architecture);
        json_decref(before);
        json_decref(after);
    }
}

/* --set key=value. */
static void test_set(void **state) {
    static const struct {
        const char *key, *value, *says; /* says NULL: accepted */
    } settings[] = {
        {"dim", "64", NULL},
        {"rope_theta", "1e4", NULL},
        {"attn_type", "gqa", NULL},
        {"halting", "none", NULL},
        {"dropout", "0.5", NULL},
        {"dim", "sixty", "dim"},
        {"dim", "", "dim"},
        {"dim", "64x", "64x"},
        {"dim", "nan", "nan"},
        {"dim", "inf", "inf"},
        {"dim", "1e999", "1e999"},
        {"dim", "-1", "-1"},
        {"dim", "6.5", "6.5"},
        {"attn_type", "flash", "flash"},
        {"bias", "true", "bias"},
        {"n_embd", "64", "n_embd"},
        {"nonsense", "1", "nonsense"},
        {"architecture", "gpt", "architecture"},
        {"halting", "NONE", "NONE"},
        {"vocab_size", "1e10", "vocab_size"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        struct loom_config config = loom_config_default(LOOM_ARCHITECTURE_LOOM);
        struct loom_error error = {""};
        loom_status status = loom_config_set(&config, settings[i].key, settings[i].value, &error);
        expect(status, settings[i].says ? LOOM_INVALID : LOOM_OK, &error, settings[i].says ? settings[i].says : "");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_latent),     cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_overflow),   cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_values),  cmocka_unit_test(test_round_trip), cmocka_unit_test(test_set),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
