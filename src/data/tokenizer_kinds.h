/* tokenizer_kinds.h - what a tokenizer is made of; for the files that build, save and encode with one. */
#ifndef LOOM_DATA_TOKENIZER_KINDS_H
#define LOOM_DATA_TOKENIZER_KINDS_H

#include "data/tokenizer.h"

enum loom_tokenizer_kind { LOOM_TOKENIZER_BYTE, LOOM_TOKENIZER_CHAR };

struct loom_tokenizer {
    enum loom_tokenizer_kind kind;
    int vocab_size;
    char *bytes;       /* of all tokens, in the order of ids */
    uint32_t *starts;  /* vocab_size + 1 */
    int *ids;          /* char: id + 1 by code point; 0: not in the vocabulary */
    uint32_t n_points; /* length of ids */
};

/* The character at piece->data[at] and its bytes, or the sentence that says where the text is not UTF-8. */
loom_status loom_piece_character(const struct loom_piece *piece, size_t at, uint32_t *point, size_t *size,
                                 struct loom_error *error);

#endif
