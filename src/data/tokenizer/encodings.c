/* encodings.c - see encodings.h. */
#include "data/tokenizer/encodings.h"

#include <string.h>

static const struct loom_special r50k[] = {{"<|endoftext|>", 50256}};
static const struct loom_special p50k_edit[] = {
    {"<|endoftext|>", 50256}, {"<|fim_prefix|>", 50281}, {"<|fim_middle|>", 50282}, {"<|fim_suffix|>", 50283}};
static const struct loom_special cl100k[] = {{"<|endoftext|>", 100257},
                                             {"<|fim_prefix|>", 100258},
                                             {"<|fim_middle|>", 100259},
                                             {"<|fim_suffix|>", 100260},
                                             {"<|endofprompt|>", 100276}};
static const struct loom_special o200k[] = {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}};
/* 200018 has two names; the first is the one that it decodes to. */
static const struct loom_special harmony[] = {
    {"<|startoftext|>", 199998}, {"<|endoftext|>", 199999},      {"<|return|>", 200002},
    {"<|constrain|>", 200003},   {"<|channel|>", 200005},        {"<|start|>", 200006},
    {"<|end|>", 200007},         {"<|message|>", 200008},        {"<|call|>", 200012},
    {"<|endofprompt|>", 200018}, {"<|reserved_200018|>", 200018}};

static const struct loom_encoding encodings[] = {
    {"r50k_base", {LOOM_SPLIT_GPT2, 0, false}, 50256, r50k, sizeof r50k / sizeof *r50k, 0, 0},
    {"gpt2", {LOOM_SPLIT_GPT2, 0, false}, 50256, r50k, sizeof r50k / sizeof *r50k, 0, 0},
    {"p50k_base", {LOOM_SPLIT_GPT2, 0, false}, 50280, r50k, sizeof r50k / sizeof *r50k, 0, 0},
    {"p50k_edit", {LOOM_SPLIT_GPT2, 0, false}, 50280, p50k_edit, sizeof p50k_edit / sizeof *p50k_edit, 0, 0},
    {"cl100k_base", {LOOM_SPLIT_GPT4, 3, true}, 100256, cl100k, sizeof cl100k / sizeof *cl100k, 0, 0},
    {"o200k_base", {LOOM_SPLIT_O200K, 3, false}, 199998, o200k, sizeof o200k / sizeof *o200k, 0, 0},
    {"o200k_harmony", {LOOM_SPLIT_O200K, 3, false}, 199998, harmony, sizeof harmony / sizeof *harmony, 200000, 201087},
};

const struct loom_encoding *loom_encoding_at(size_t index) {
    return index < sizeof encodings / sizeof *encodings ? &encodings[index] : NULL;
}

const struct loom_encoding *loom_encoding_named(const char *name) {
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (strcmp(encodings[i].name, name) == 0)
            return &encodings[i];
    return NULL;
}

const struct loom_encoding *loom_encoding_of_ranks(size_t ranks) {
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (encodings[i].ranks == ranks)
            return &encodings[i];
    return NULL;
}
