/* embedding.h - tokens to vectors: the embedding of each token, what its hashed n-grams and the token before add, and
 * learned positions. */
#ifndef LOOM_MODEL_EMBEDDING_H
#define LOOM_MODEL_EMBEDDING_H

#include "model/pass.h"

struct loom_embedding {
    size_t tokens;                 /* (V,C) */
    size_t positions;              /* (max_seq_len,C); LOOM_NO_TENSOR: none are learned */
    size_t shift;                  /* (C): the share of the token itself beside the one before; LOOM_NO_TENSOR: none */
    size_t ngrams[LOOM_NGRAM_MAX]; /* (ngram_rows,C) of pairs, triples, ... of tokens */
};

struct loom_embedding_saved {
    int *ids;    /* (B*T) on the machine */
    int *looked; /* (B*T) rows of one table, on the machine */
    int *found;  /* the same on the host */
};

/* An embedding of `rows` rows, as a head that is one has it, too. */
struct loom_tensor_spec loom_embedding_table(const struct loom_config *c, int rows);

/* The embedding of a model with rotary positions; GPT-2's has learned ones. */
struct loom_embedding loom_embedding_declare(struct loom_tensors *table, const struct loom_config *c);
struct loom_embedding loom_embedding_declare_learned(struct loom_tensors *table, const struct loom_config *c,
                                                     const char *prefix);

/* False without memory for passes of up to `rows` tokens. Close it also then. */
bool loom_embedding_saved_open(struct loom_embedding_saved *s, const struct loom_kernels *k, size_t rows);
void loom_embedding_saved_close(struct loom_embedding_saved *s, const struct loom_kernels *k);

/* x (B*T, C) of the pass's input, on the stack. */
real *loom_embedding_forward(struct loom_pass *p, const struct loom_embedding *e, struct loom_embedding_saved *s);
/* d (B*T, C), the gradient of x, is spoiled. */
void loom_embedding_backward(struct loom_pass *p, const struct loom_embedding *e, struct loom_embedding_saved *s,
                             real *d);

#endif
