/* ranks.h - tokenizers from the files that OpenAI publishes: tiktoken's ranks, and GPT-2's vocab.bpe with encoder.json
 * (to Hugging Face merges.txt with vocab.json). */
#ifndef LOOM_DATA_RANKS_H
#define LOOM_DATA_RANKS_H

#include "data/tokenizer/tokenizer.h"

/* Does the name say so? *.tiktoken; vocab.bpe, merges.txt, encoder.json, vocab.json. */
bool loom_ranks_is(const char *path);
bool loom_merges_is(const char *path);

/* A rank file, a line for each token: its bytes in base64, a space, its rank. `encoding` is a name that tiktoken gives,
 * or NULL: told from the number of ranks. */
loom_status loom_ranks_open(const char *path, const char *encoding, struct loom_tokenizer **tokenizer,
                            struct loom_error *error);
loom_status loom_ranks_parse(const char *text, size_t size, const char *name, const char *encoding,
                             struct loom_tokenizer **tokenizer, struct loom_error *error);

/* Merges and vocabulary side by side; either path. `encoding` gives the split pattern; NULL: GPT-2's. */
loom_status loom_merges_open(const char *path, const char *encoding, struct loom_tokenizer **tokenizer,
                             struct loom_error *error);
loom_status loom_merges_parse(const char *merges, size_t merges_size, const char *merges_name, const char *vocabulary,
                              size_t vocabulary_size, const char *vocabulary_name, const char *encoding,
                              struct loom_tokenizer **tokenizer, struct loom_error *error);

#endif
