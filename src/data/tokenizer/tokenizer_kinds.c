/* tokenizer_kinds.c - what all kinds of tokenizer share: the object and its tokens' bytes; see tokenizer.h. */
#include "data/tokenizer/tokenizer_kinds.h"

#include <stdlib.h>

struct loom_tokenizer *loom_tokenizer_new(enum loom_tokenizer_kind kind) {
    struct loom_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return NULL;
    tokenizer->kind = kind;
    tokenizer->end_of_text = -1;
    tokenizer->crews = loom_crew_place_open();
    if (tokenizer->crews)
        return tokenizer;
    loom_tokenizer_free(tokenizer);
    return NULL;
}

void loom_tokenizer_free(struct loom_tokenizer *tokenizer) {
    if (!tokenizer)
        return;
    loom_crew_place_close(tokenizer->crews);
    loom_token_table_close(&tokenizer->table);
    loom_bpe_close(&tokenizer->bpe);
    loom_added_close(&tokenizer->added);
    free(tokenizer->file);
    free(tokenizer->ids);
    free(tokenizer->is_word);
    free(tokenizer);
}

int loom_tokenizer_end_of_text(const struct loom_tokenizer *tokenizer) {
    return tokenizer->end_of_text;
}

bool loom_tokenizer_takes_bytes(const struct loom_tokenizer *tokenizer) {
    return tokenizer->kind == LOOM_TOKENIZER_BYTE;
}

int loom_tokenizer_vocab_size(const struct loom_tokenizer *tokenizer) {
    return tokenizer->table.count;
}

const char *loom_tokenizer_token(const struct loom_tokenizer *tokenizer, int id, size_t *size) {
    if (id < 0 || id >= tokenizer->table.count)
        return NULL;
    *size = loom_token_table_size(&tokenizer->table, id);
    return loom_token_table_bytes(&tokenizer->table, id);
}
