/* tokenizer_json.c - byte-level BPE as the tokenizers library's tokenizer.json. Every key is read or known to change
 * nothing in how a text is encoded by itself (padding, truncation, what is put before and behind); what would encode
 * otherwise is refused by its name. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "data/tokenizer/symbols.h"
#include "data/tokenizer/tokenizer_kinds.h"
#include "data/tokenizer/vocabulary.h"

static loom_status refuse(const char *name, const char *key, const char *value, const char *why,
                          struct loom_error *error) {
    return loom_fail(error, LOOM_FAILED, "%s: its \"%.64s\"%s%.64s%s is not supported%s%s", name, key,
                     value ? " \"" : "", value ? value : "", value ? "\"" : "", why ? ": " : "", why ? why : "");
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* Refuses a key of `object` that is none of these; `names` ends with NULL. */
static loom_status check_keys(const json_t *object, const char *const *names, const char *name, const char *where,
                              struct loom_error *error) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        const char *const *known = names;
        while (*known && strcmp(*known, key) != 0)
            known++;
        if (!*known)
            return loom_fail(error, LOOM_FAILED, "%s: its key \"%.64s\"%s is not known", name, key, where);
    }
    return LOOM_OK;
}

static const char *type_of(const json_t *object) {
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "";
}

/* ---- the split pattern ------------------------------------------------------------------------------------------- */

static loom_status read_byte_level(const json_t *step, const char *name, bool *splits, struct loom_error *error) {
    const json_t *use = json_object_get(step, "use_regex");
    if (!json_is_false(json_object_get(step, "add_prefix_space")))
        return refuse(name, "add_prefix_space", NULL, "only false is", error);
    *splits = !json_is_false(use);
    return LOOM_OK;
}

static loom_status read_split(const json_t *step, const char *name, struct loom_split *split,
                              struct loom_error *error) {
    const char *pattern = json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    bool invert = json_is_true(json_object_get(step, "invert"));
    if (!pattern)
        return refuse(name, "pre_tokenizer", "Split", "its pattern is no \"Regex\"", error);
    /* The pattern matches all of any text, so that to keep its matches is to keep the rest too. */
    if (!behavior || strcmp(behavior, invert ? "Removed" : "Isolated") != 0)
        return refuse(name, "behavior", behavior, NULL, error);
    if (!loom_split_recognise(pattern, split))
        return loom_fail(error, LOOM_FAILED,
                         "%s: its split pattern is none of the families of GPT-2, GPT-4 and o200k that are supported: "
                         "%.512s",
                         name, pattern);
    return LOOM_OK;
}

static loom_status read_steps(const json_t *steps, const char *name, struct loom_split *split,
                              struct loom_error *error) {
    bool splits;
    if (json_array_size(steps) != 2 || strcmp(type_of(json_array_get(steps, 0)), "Split") != 0 ||
        strcmp(type_of(json_array_get(steps, 1)), "ByteLevel") != 0)
        return refuse(name, "pre_tokenizer", "Sequence", "only a Split with a ByteLevel behind it is", error);
    loom_status status = read_split(json_array_get(steps, 0), name, split, error);
    if (status == LOOM_OK)
        status = read_byte_level(json_array_get(steps, 1), name, &splits, error);
    if (status == LOOM_OK && splits)
        status = refuse(name, "use_regex", NULL, "behind a Split it must be false", error);
    return status;
}

static loom_status read_pre_tokenizer(const json_t *json, const char *name, struct loom_split *split,
                                      struct loom_error *error) {
    bool splits;
    const json_t *step = json_object_get(json, "pre_tokenizer");
    if (strcmp(type_of(step), "Sequence") == 0)
        return read_steps(json_object_get(step, "pretokenizers"), name, split, error);
    if (!json_is_object(step))
        return loom_fail(error, LOOM_FAILED,
                         "%s has no \"pre_tokenizer\"; only a ByteLevel, or a Split with one behind it, is supported",
                         name);
    if (strcmp(type_of(step), "ByteLevel") != 0)
        return refuse(name, "pre_tokenizer", type_of(step), "only a ByteLevel, or a Split with one behind it, is",
                      error);
    loom_status status = read_byte_level(step, name, &splits, error);
    if (status == LOOM_OK && !splits)
        status = refuse(name, "use_regex", NULL, "without a Split it must be true", error);
    *split = (struct loom_split){.family = LOOM_SPLIT_GPT2};
    return status;
}

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static loom_status read_added_token(const json_t *object, const char *name, struct loom_added_token *token,
                                    struct loom_error *error) {
    static const char *const unsupported[] = {"single_word", "lstrip", "rstrip"};
    const json_t *id = json_object_get(object, "id");
    const char *content = json_string_value(json_object_get(object, "content"));
    json_int_t number = json_is_integer(id) ? json_integer_value(id) : -1;
    if (!content || !*content || number < 0 || number > INT32_MAX)
        return loom_fail(error, LOOM_FAILED, "%s: an added token has no content or no id from 0 on", name);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (json_is_true(json_object_get(object, unsupported[i])))
            return refuse(name, unsupported[i], NULL, content, error);
    *token = (struct loom_added_token){.content = content,
                                       .size = strlen(content),
                                       .id = (int)number,
                                       .special = json_is_true(json_object_get(object, "special")),
                                       .late = !json_is_false(json_object_get(object, "normalized"))};
    return LOOM_OK;
}

static loom_status read_added(const json_t *json, const char *name, struct loom_bpe_parts *parts,
                              struct loom_error *error) {
    const json_t *list = json_object_get(json, "added_tokens");
    size_t count = json_array_size(list);
    loom_status status = LOOM_OK;
    if (list && !json_is_array(list))
        return refuse(name, "added_tokens", NULL, "it is no list", error);
    parts->added = malloc((count + 1) * sizeof *parts->added);
    if (!parts->added)
        return loom_fail_memory(error, name, count * sizeof *parts->added);
    for (; status == LOOM_OK && parts->n_added < count; parts->n_added++)
        status = read_added_token(json_array_get(list, parts->n_added), name, &parts->added[parts->n_added], error);
    return status;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* Keys that must be absent, null, or of this empty kind. */
static loom_status check_model(const json_t *model, const char *name, struct loom_error *error) {
    static const char *const known[] = {
        "type",     "dropout",       "unk_token",          "vocab",         "merges", "continuing_subword_prefix",
        "fuse_unk", "byte_fallback", "end_of_word_suffix", "ignore_merges", NULL};
    static const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0)
        return refuse(name, "dropout", NULL, NULL, error);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const char *value = json_string_value(json_object_get(model, empty[i]));
        if (value && *value)
            return refuse(name, empty[i], value, NULL, error);
    }
    return check_keys(model, known, name, " of the model", error);
}

static loom_status read_merge(const struct loom_vocabulary *vocabulary, const json_t *merge, const char *name,
                              size_t number, struct loom_merge *read, struct loom_error *error) {
    if (json_is_string(merge))
        return loom_vocabulary_merge(vocabulary, json_string_value(merge), json_string_length(merge), name, "merge",
                                     number, read, error);
    const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
    if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
        return loom_fail(error, LOOM_FAILED, "%s, merge %zu: not a text and not a list of two", name, number);
    return loom_vocabulary_pair(vocabulary, json_string_value(left), json_string_length(left), json_string_value(right),
                                json_string_length(right), name, "merge", number, read, error);
}

static loom_status read_model(const json_t *model, struct loom_vocabulary *vocabulary, struct loom_bpe_parts *parts,
                              struct loom_error *error) {
    const json_t *merges = json_object_get(model, "merges");
    size_t count = json_array_size(merges);
    loom_status status = loom_vocabulary_open(vocabulary, json_object_get(model, "vocab"), parts->name, parts->added,
                                              parts->n_added, error);
    if (status != LOOM_OK)
        return status;
    parts->tokens = vocabulary->tokens;
    parts->n_tokens = vocabulary->count;
    parts->whole_words = json_is_true(json_object_get(model, "ignore_merges"));
    parts->merges = malloc((count + 1) * sizeof *parts->merges);
    if (!parts->merges)
        return loom_fail_memory(error, parts->name, count * sizeof *parts->merges);
    for (; status == LOOM_OK && parts->n_merges < count; parts->n_merges++)
        status = read_merge(vocabulary, json_array_get(merges, parts->n_merges), parts->name, parts->n_merges,
                            &parts->merges[parts->n_merges], error);
    return status;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static loom_status check_file(const json_t *json, const char *name, struct loom_error *error) {
    static const char *const known[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    const json_t *normalizer = json_object_get(json, "normalizer"), *decoder = json_object_get(json, "decoder");
    if (normalizer && !json_is_null(normalizer))
        return refuse(name, "normalizer", type_of(normalizer), NULL, error);
    if (decoder && !json_is_null(decoder) && strcmp(type_of(decoder), "ByteLevel") != 0)
        return refuse(name, "decoder", type_of(decoder), NULL, error);
    return check_keys(json, known, name, "", error);
}

loom_status loom_tokenizer_bpe_read(json_t *json, const char *name, struct loom_tokenizer **tokenizer,
                                    struct loom_error *error) {
    const json_t *model = json_object_get(json, "model");
    struct loom_bpe_parts parts = {.name = name};
    struct loom_vocabulary vocabulary = {.words = NULL};
    loom_status status = check_file(json, name, error);
    if (status == LOOM_OK)
        status = check_model(model, name, error);
    if (status == LOOM_OK)
        status = read_pre_tokenizer(json, name, &parts.split, error);
    if (status == LOOM_OK)
        status = read_added(json, name, &parts, error);
    if (status == LOOM_OK)
        status = read_model(model, &vocabulary, &parts, error);
    if (status == LOOM_OK)
        status = loom_tokenizer_bpe(&parts, tokenizer, error);
    free(parts.merges);
    free(parts.added);
    loom_vocabulary_close(&vocabulary);
    return status;
}
