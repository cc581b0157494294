/* tokenizer_kinds.h - what a tokenizer is made of; for the files that build, save and encode with one. */
#ifndef LOOM_DATA_TOKENIZER_KINDS_H
#define LOOM_DATA_TOKENIZER_KINDS_H

#include "data/tokenizer/added.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/crew.h"
#include "data/tokenizer/split.h"
#include "data/tokenizer/tokenizer.h"

enum loom_tokenizer_kind { LOOM_TOKENIZER_BYTE, LOOM_TOKENIZER_CHAR, LOOM_TOKENIZER_BPE };

struct loom_tokenizer {
    enum loom_tokenizer_kind kind;
    struct loom_token_table table;
    char *file; /* the text of the tokenizer.json that it was read from, saved again as it is; NULL: it was made */
    size_t file_size;
    struct loom_crew_place *crews; /* for whole texts */

    /* char */
    int *ids;          /* id + 1 by code point; 0: not in the vocabulary */
    uint32_t n_points; /* length of ids */

    /* BPE */
    struct loom_split split;
    struct loom_bpe bpe;
    struct loom_added added;
    /* By id, bit by bit: a word that is this token's bytes is this token. That is so for all when `whole_words`, as
     * tiktoken and ignore_merges mean it; else where the merges make the token of its bytes. */
    uint64_t *is_word;
    bool whole_words;
    int end_of_text; /* -1: none */
};

/* An empty tokenizer of this kind; NULL when memory is short. */
struct loom_tokenizer *loom_tokenizer_new(enum loom_tokenizer_kind kind);

/* The character at piece->data[at] and its bytes, or the sentence that says where the text is not UTF-8. */
loom_status loom_piece_character(const struct loom_piece *piece, size_t at, uint32_t *point, size_t *size,
                                 struct loom_error *error);

/* ---- byte and char, in tokenizer_char.c -------------------------------------------------------------------------- */

json_t *loom_tokenizer_char_json(const struct loom_tokenizer *tokenizer);
loom_status loom_tokenizer_char_read(json_t *json, const char *name, struct loom_tokenizer **tokenizer,
                                     struct loom_error *error);

/* ---- BPE, in tokenizer_bpe.c ------------------------------------------------------------------------------------- */

/* What every kind of BPE file comes down to. Nothing of it is kept. */
struct loom_bpe_parts {
    const char *name;          /* for sentences */
    struct loom_token *tokens; /* of the vocabulary and added; get sorted */
    size_t n_tokens;
    struct loom_merge
        *merges; /* of tokens, in the order of their ranks; `rank` and `id` are filled in; NULL: from ranks */
    size_t n_merges;
    int merges_line; /* of the first merge in its file, for sentences; 0: they have none */
    struct loom_added_token *added;
    size_t n_added;
    struct loom_split split;
    bool whole_words;
};

/* Checks the parts against each other; the sentences name the file and the token, merge or byte at fault. */
loom_status loom_tokenizer_bpe(struct loom_bpe_parts *parts, struct loom_tokenizer **tokenizer,
                               struct loom_error *error);

/* ---- BPE as tokenizer.json, in tokenizer_json.c ------------------------------------------------------------------ */

loom_status loom_tokenizer_bpe_read(json_t *json, const char *name, struct loom_tokenizer **tokenizer,
                                    struct loom_error *error);
/* The text of the file; NULL when memory is short. */
char *loom_tokenizer_bpe_text(const struct loom_tokenizer *tokenizer, size_t *size);

#endif
