/* vocabulary.c - see vocabulary.h. */
#include "data/tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/symbols.h"

static int shown(size_t size) {
    return size < 64 ? (int)size : 64;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* {"CONTENT": is it special?, ...}; NULL when memory is short. */
static json_t *index_added(const struct loom_added_token *added, size_t n_added) {
    json_t *index = json_object();
    bool done = index != NULL;
    for (size_t i = 0; done && i < n_added; i++)
        done =
            json_object_setn_new_nocheck(index, added[i].content, added[i].size, json_boolean(added[i].special)) == 0;
    if (!done) {
        json_decref(index);
        return NULL;
    }
    return index;
}

/* Adds one word, whose bytes go to `bytes`; the bytes of an added token are its text as it is. */
static loom_status add_word(struct loom_vocabulary *v, const char *word, const json_t *id, const json_t *added,
                            char *bytes, struct loom_error *error) {
    size_t size = strlen(word);
    json_int_t number = json_is_integer(id) ? json_integer_value(id) : -1;
    if (number < 0 || number > INT32_MAX)
        return loom_fail(error, LOOM_FAILED, "%s: the id of the word \"%.64s\" is not a whole number from 0 on",
                         v->name, word);
    const json_t *is_special = json_object_get(added, word);
    struct loom_token token = {.id = (int)number, .bytes = bytes, .hidden = json_is_true(is_special)};
    size_t decoded = token.hidden ? SIZE_MAX : loom_symbols_decode(word, size, bytes);
    if (decoded == SIZE_MAX && !is_special)
        return loom_fail(error, LOOM_FAILED,
                         "%s: the word \"%.64s\" is not written in the symbols of bytes, as byte-level BPE is", v->name,
                         word);
    if (decoded == SIZE_MAX)
        memcpy(bytes, word, decoded = size);
    token.size = (uint32_t)decoded;
    v->tokens[v->count++] = token;
    return LOOM_OK;
}

static loom_status add_words(struct loom_vocabulary *v, const json_t *added, struct loom_error *error) {
    const char *word;
    json_t *id, *words = (json_t *)v->words; /* jansson's iteration takes no const */
    char *bytes = v->bytes;
    loom_status status = LOOM_OK;
    json_object_foreach(words, word, id) {
        if (status == LOOM_OK)
            status = add_word(v, word, id, added, bytes, error);
        if (status == LOOM_OK)
            bytes += v->tokens[v->count - 1].size;
    }
    return status;
}

/* Adds the added tokens that are no words. */
static loom_status add_added(struct loom_vocabulary *v, const struct loom_added_token *added, size_t n_added,
                             struct loom_error *error) {
    for (size_t i = 0; i < n_added; i++) {
        const json_t *id = json_object_getn(v->words, added[i].content, added[i].size);
        if (id && json_integer_value(id) != added[i].id)
            return loom_fail(error, LOOM_FAILED,
                             "%s: the added token \"%.64s\" has the id %d, and as a word of the vocabulary %lld",
                             v->name, added[i].content, added[i].id, (long long)json_integer_value(id));
        if (!id)
            v->tokens[v->count++] = (struct loom_token){
                .id = added[i].id, .bytes = added[i].content, .size = (uint32_t)added[i].size, .hidden = true};
    }
    return LOOM_OK;
}

loom_status loom_vocabulary_open(struct loom_vocabulary *vocabulary, const json_t *words, const char *name,
                                 const struct loom_added_token *added, size_t n_added, struct loom_error *error) {
    size_t count = json_object_size(words) + n_added + 1, bytes = 1;
    const char *word;
    json_t *id;
    json_object_foreach((json_t *)words, word, id) bytes += strlen(word);
    *vocabulary = (struct loom_vocabulary){
        .words = words, .name = name, .tokens = malloc(count * sizeof *vocabulary->tokens), .bytes = malloc(bytes)};
    json_t *index = index_added(added, n_added);
    loom_status status = LOOM_OK;
    if (!vocabulary->tokens || !vocabulary->bytes || !index)
        status = loom_fail_memory(error, name, count * sizeof *vocabulary->tokens + bytes);
    if (status == LOOM_OK)
        status = add_words(vocabulary, index, error);
    if (status == LOOM_OK)
        status = add_added(vocabulary, added, n_added, error);
    json_decref(index);
    if (status != LOOM_OK)
        loom_vocabulary_close(vocabulary);
    return status;
}

void loom_vocabulary_close(struct loom_vocabulary *vocabulary) {
    free(vocabulary->tokens);
    free(vocabulary->bytes);
    *vocabulary = (struct loom_vocabulary){.words = NULL};
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

loom_status loom_vocabulary_pair(const struct loom_vocabulary *vocabulary, const char *left, size_t left_size,
                                 const char *right, size_t right_size, const char *name, const char *where,
                                 size_t number, struct loom_merge *merge, struct loom_error *error) {
    const json_t *first = json_object_getn(vocabulary->words, left, left_size);
    const json_t *second = json_object_getn(vocabulary->words, right, right_size);
    if (first && second) {
        merge->left = (uint32_t)json_integer_value(first);
        merge->right = (uint32_t)json_integer_value(second);
        return LOOM_OK;
    }
    return loom_fail(error, LOOM_FAILED, "%s, %s %zu: \"%.*s\" is not in the vocabulary of %s", name, where, number,
                     first ? shown(right_size) : shown(left_size), first ? right : left, vocabulary->name);
}

loom_status loom_vocabulary_merge(const struct loom_vocabulary *vocabulary, const char *text, size_t size,
                                  const char *name, const char *where, size_t number, struct loom_merge *merge,
                                  struct loom_error *error) {
    const char *space = memchr(text, ' ', size);
    size_t left = space ? (size_t)(space - text) : 0, right = space ? size - left - 1 : 0;
    if (left == 0 || right == 0 || memchr(space + 1, ' ', right))
        return loom_fail(error, LOOM_FAILED, "%s, %s %zu: not two words with a space between: \"%.*s\"", name, where,
                         number, shown(size), text);
    return loom_vocabulary_pair(vocabulary, text, left, space + 1, right, name, where, number, merge, error);
}
