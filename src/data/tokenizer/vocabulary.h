/* vocabulary.h - the vocabulary {"SYMBOLS": id, ...} of tokenizer.json, encoder.json and vocab.json, and merges that
 * name its words. */
#ifndef LOOM_DATA_VOCABULARY_H
#define LOOM_DATA_VOCABULARY_H

#include <jansson.h>

#include "data/tokenizer/added.h"
#include "data/tokenizer/bpe.h"

struct loom_vocabulary {
    const json_t *words;       /* borrowed */
    const char *name;          /* for sentences */
    struct loom_token *tokens; /* of the words, and of the added tokens that are no words */
    size_t count;
    char *bytes; /* of the words */
};

/* Decodes the words' symbols. An added token may be among the words, as its plain text and with the same id; a special
 * one is hidden then. The added tokens' contents are borrowed. */
loom_status loom_vocabulary_open(struct loom_vocabulary *vocabulary, const json_t *words, const char *name,
                                 const struct loom_added_token *added, size_t n_added, struct loom_error *error);
void loom_vocabulary_close(struct loom_vocabulary *vocabulary);

/* Reads a merge "LEFT RIGHT" of two words; `where` is the file and line or number, for sentences. */
loom_status loom_vocabulary_merge(const struct loom_vocabulary *vocabulary, const char *text, size_t size,
                                  const char *name, const char *where, size_t number, struct loom_merge *merge,
                                  struct loom_error *error);
/* The same of two texts. */
loom_status loom_vocabulary_pair(const struct loom_vocabulary *vocabulary, const char *left, size_t left_size,
                                 const char *right, size_t right_size, const char *name, const char *where,
                                 size_t number, struct loom_merge *merge, struct loom_error *error);

#endif
