/* added.c - see added.h. */
#include "data/tokenizer/added.h"

#include <stdlib.h>
#include <string.h>

/* ---- the tokens -------------------------------------------------------------------------------------------------- */

void loom_added_close(struct loom_added *added) {
    for (size_t i = 0; i < added->count; i++)
        free((char *)added->tokens[i].content);
    free(added->tokens);
    *added = (struct loom_added){NULL, 0};
}

static int compare(const void *a, const void *b) {
    const struct loom_added_token *left = a, *right = b;
    unsigned char left_first = (unsigned char)left->content[0], right_first = (unsigned char)right->content[0];
    if (left_first != right_first)
        return left_first < right_first ? -1 : 1;
    return (left->size < right->size) - (left->size > right->size);
}

loom_status loom_added_open(struct loom_added *added, const struct loom_added_token *tokens, size_t count,
                            struct loom_error *error) {
    *added = (struct loom_added){calloc(count + 1, sizeof *added->tokens), 0};
    if (!added->tokens)
        return loom_fail_memory(error, "added tokens", (count + 1) * sizeof *added->tokens);
    for (; added->count < count; added->count++) {
        struct loom_added_token *token = &added->tokens[added->count];
        *token = tokens[added->count];
        char *content = malloc(token->size + 1);
        if (!content)
            return loom_fail_memory(error, "added tokens", token->size + 1);
        memcpy(content, tokens[added->count].content, token->size);
        content[token->size] = '\0';
        token->content = content;
    }
    qsort(added->tokens, count, sizeof *added->tokens, compare);
    return LOOM_OK;
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

static void want(struct loom_added_search *search, size_t i) {
    const struct loom_added_token *token = &search->added->tokens[i];
    search->wanted[i] = true;
    search->first[token->late][(unsigned char)token->content[0]] = true;
    search->any[token->late] = true;
}

loom_status loom_added_search_open(struct loom_added_search *search, const struct loom_added *added,
                                   struct loom_error *error) {
    *search = (struct loom_added_search){.added = added, .wanted = calloc(added->count + 1, sizeof *search->wanted)};
    if (!search->wanted)
        return loom_fail_memory(error, "added tokens", added->count + 1);
    loom_added_search_reset(search);
    return LOOM_OK;
}

void loom_added_search_reset(struct loom_added_search *search) {
    memset(search->first, 0, sizeof search->first);
    memset(search->any, 0, sizeof search->any);
    for (size_t i = 0; i < search->added->count; i++) {
        search->wanted[i] = false;
        if (!search->added->tokens[i].special)
            want(search, i);
    }
}

void loom_added_search_close(struct loom_added_search *search) {
    free(search->wanted);
    search->wanted = NULL;
}

loom_status loom_added_search_allow(struct loom_added_search *search, const char *name, struct loom_error *error) {
    bool found = !name;
    for (size_t i = 0; i < search->added->count; i++) {
        const struct loom_added_token *token = &search->added->tokens[i];
        if (token->special &&
            (!name || (strlen(name) == token->size && memcmp(name, token->content, token->size) == 0))) {
            want(search, i);
            found = true;
        }
    }
    return found ? LOOM_OK
                 : loom_fail(error, LOOM_INVALID, "\"%.64s\" is none of the tokenizer's special tokens", name);
}

/* The longest wanted token that begins at text[at]. */
static const struct loom_added_token *match(const struct loom_added_search *search, bool late, const char *text,
                                            size_t size, size_t at) {
    for (size_t i = 0; i < search->added->count; i++) {
        const struct loom_added_token *token = &search->added->tokens[i];
        if (token->content[0] == text[at] && token->late == late && search->wanted[i] && token->size <= size - at &&
            memcmp(token->content, text + at, token->size) == 0)
            return token;
    }
    return NULL;
}

const struct loom_added_token *loom_added_search_next(const struct loom_added_search *search, bool late,
                                                      const char *text, size_t size, size_t at, size_t *found) {
    for (; search->any[late] && at < size; at++) {
        if (!search->first[late][(unsigned char)text[at]])
            continue;
        const struct loom_added_token *token = match(search, late, text, size, at);
        if (token) {
            *found = at;
            return token;
        }
    }
    return NULL;
}

bool loom_added_crosses(const struct loom_added *added, bool special, const char *text, size_t size, size_t at) {
    for (size_t i = 0; i < added->count; i++) {
        const struct loom_added_token *token = &added->tokens[i];
        for (size_t before = 1; (special || !token->special) && before < token->size && before <= at; before++) {
            size_t rest = token->size - before;
            size_t known = before + (rest < size - at ? rest : size - at);
            if (memcmp(token->content, text + at - before, known) == 0)
                return true;
        }
    }
    return false;
}
