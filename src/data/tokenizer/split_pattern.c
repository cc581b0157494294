/* split_pattern.c - the spellings of split patterns. A pattern is a row of parts, and each part has a few spellings
 * that match the same texts: possessive or not, one alternative at a time or as a class. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/split.h"

enum { SPELLINGS_MAX = 4 };

/* NULL-terminated; the first one is written. */
struct part {
    const char *spellings[SPELLINGS_MAX + 1];
};

static const struct part gpt2_words = {{"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+",
                                        "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++",
                                        "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+",
                                        "'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+| ?[^\\s\\p{L}\\p{N}]+"}};
/* White space that ends the text is one word in all of these, as \s+(?!\S) takes it whole. */
static const struct part gpt2_space = {
    {"|\\s+(?!\\S)|\\s+", "|\\s++$|\\s+(?!\\S)|\\s", "|\\s+\\z|\\s+(?!\\S)|\\s", "|\\s+(?!\\S)|\\s"}};

static const struct part gpt4_words = {{"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|",
                                        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|",
                                        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|",
                                        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|"}};
static const struct part gpt4_others = {
    {"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*", "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+", "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"}};
static const struct part o200k_words = {{"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
                                         "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                                         "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                                         "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"}};
static const struct part o200k_others = {{"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"}};
static const struct part line_space = {{"|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}};
static const struct part whole_space = {
    {"|\\s+\\z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s", "|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"}};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Moves *at behind one of the part's spellings; the longest that fits. */
static bool skip(const char **at, const struct part *part) {
    size_t longest = 0;
    for (const char *const *spelling = part->spellings; *spelling; spelling++) {
        size_t length = strlen(*spelling);
        if (length > longest && strncmp(*at, *spelling, length) == 0)
            longest = length;
    }
    *at += longest;
    return longest > 0;
}

/* As skip, to the pattern's end. */
static bool ends(const char *at, const struct part *part) {
    for (const char *const *spelling = part->spellings; *spelling; spelling++)
        if (strcmp(at, *spelling) == 0)
            return true;
    return false;
}

/* \p{N}, \p{N}+, \p{N}{1,9}, or {1,n}+, which is possessive to tiktoken and a repeated run of any length to tokenizers:
 * the latter reads tokenizer.json, where this pattern comes from. */
static bool skip_digits(const char **at, int *digits) {
    static const char number[] = "\\p{N}";
    if (strncmp(*at, number, sizeof number - 1) != 0)
        return false;
    const char *rest = *at + sizeof number - 1;
    *digits = 1;
    if (strncmp(rest, "{1,", 3) == 0 && rest[3] >= '1' && rest[3] <= '9' && rest[4] == '}') {
        *digits = rest[3] - '0';
        rest += 5;
    }
    if (*rest == '+') {
        *digits = 0;
        rest += rest[1] == '+' && rest[-1] == '}' ? 2 : 1;
    }
    *at = rest;
    return true;
}

bool loom_split_recognise(const char *pattern, struct loom_split *split) {
    const char *at = pattern;
    *split = (struct loom_split){.family = LOOM_SPLIT_GPT2};
    if (skip(&at, &gpt2_words))
        return ends(at, &gpt2_space);
    split->family = LOOM_SPLIT_GPT4;
    if (skip(&at, &o200k_words))
        split->family = LOOM_SPLIT_O200K;
    else if (!skip(&at, &gpt4_words))
        return false;
    if (!skip_digits(&at, &split->digits) ||
        !skip(&at, split->family == LOOM_SPLIT_O200K ? &o200k_others : &gpt4_others))
        return false;
    split->whole_end = ends(at, &whole_space);
    return split->whole_end || ends(at, &line_space);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

char *loom_split_pattern(const struct loom_split *split) {
    char digits[24] = "\\p{N}", *pattern = malloc(512);
    if (!pattern)
        return NULL;
    if (split->family == LOOM_SPLIT_GPT2) {
        snprintf(pattern, 512, "%s%s", gpt2_words.spellings[0], gpt2_space.spellings[0]);
        return pattern;
    }
    if (split->digits == 0)
        strcat(digits, "+");
    else if (split->digits > 1)
        snprintf(digits, sizeof digits, "\\p{N}{1,%d}", split->digits);
    bool words = split->family == LOOM_SPLIT_O200K;
    snprintf(pattern, 512, "%s%s%s%s", (words ? o200k_words : gpt4_words).spellings[0], digits,
             (words ? o200k_others : gpt4_others).spellings[0],
             (split->whole_end ? whole_space : line_space).spellings[0]);
    return pattern;
}
