/* tokenizer_bpe.c - a BPE tokenizer from its vocabulary and its merges or ranks, see tokenizer_kinds.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer/symbols.h"
#include "data/tokenizer/tokenizer_kinds.h"

/* Far longer than any token in use; keeps the search for merges behind ranks short. */
enum { TOKEN_BYTES_MAX = 1024, IDS_MAX = 1 << 24 };

/* ---- sentences --------------------------------------------------------------------------------------------------- */

/* The token as a file's symbols, cut to what a sentence bears. */
struct shown {
    char text[3 * 24 + 4];
};

static struct shown show(const char *bytes, size_t size) {
    struct shown shown = {""};
    size_t used = 0;
    for (size_t i = 0; i < size && i < 24; i++)
        used += loom_utf8_encode(loom_byte_symbol((unsigned char)bytes[i]), shown.text + used);
    strcpy(shown.text + used, size > 24 ? "..." : "");
    return shown;
}

static loom_status fail_token(const struct loom_bpe_parts *parts, const struct loom_token *token, const char *what,
                              struct loom_error *error) {
    const struct shown shown = show(token->bytes, token->size);
    if (token->line > 0)
        return loom_fail(error, LOOM_FAILED, "%s, line %d: the token \"%s\" with the id %d %s", parts->name,
                         token->line, shown.text, token->id, what);
    return loom_fail(error, LOOM_FAILED, "%s: the token \"%s\" with the id %d %s", parts->name, shown.text, token->id,
                     what);
}

static loom_status fail_merge(const struct loom_bpe_parts *parts, const struct loom_token_table *table,
                              const struct loom_merge *merge, const char *what, struct loom_error *error) {
    size_t index = (size_t)(merge - parts->merges);
    const struct shown left = show(loom_token_table_bytes(table, (int)merge->left),
                                   loom_token_table_size(table, (int)merge->left)),
                       right = show(loom_token_table_bytes(table, (int)merge->right),
                                    loom_token_table_size(table, (int)merge->right));
    if (parts->merges_line > 0)
        return loom_fail(error, LOOM_FAILED, "%s, line %zu: the merge of \"%s\" and \"%s\" %s", parts->name,
                         index + (size_t)parts->merges_line, left.text, right.text, what);
    return loom_fail(error, LOOM_FAILED, "%s: merge %zu, of \"%s\" and \"%s\", %s", parts->name, index, left.text,
                     right.text, what);
}

/* ---- vocabulary -------------------------------------------------------------------------------------------------- */

static loom_status check_tokens(const struct loom_bpe_parts *parts, int *count, struct loom_error *error) {
    *count = 0;
    for (size_t i = 0; i < parts->n_tokens; i++) {
        const struct loom_token *token = &parts->tokens[i];
        if (token->id < 0 || token->id >= IDS_MAX)
            return fail_token(parts, token, "is out of range: ids go from 0 to 16777215", error);
        if (token->size == 0)
            return fail_token(parts, token, "has no bytes", error);
        if (token->size > TOKEN_BYTES_MAX)
            return fail_token(parts, token, "is longer than the 1024 bytes that are supported", error);
        *count = token->id >= *count ? token->id + 1 : *count;
    }
    return *count > 0 ? LOOM_OK : loom_fail(error, LOOM_FAILED, "%s has no tokens", parts->name);
}

/* Ids without a token may only stand among the special tokens behind the vocabulary, as in cl100k. The tokens are
 * sorted by id. */
static loom_status check_holes(const struct loom_bpe_parts *parts, struct loom_error *error) {
    int next = 0;
    size_t last = parts->n_tokens;
    while (last > 0 && parts->tokens[last - 1].hidden)
        last--;
    for (size_t i = 0; i < last; next = parts->tokens[i++].id + 1)
        if (parts->tokens[i].id > next)
            return loom_fail(error, LOOM_FAILED, "%s: no token has the id %d, and ids of the vocabulary go up to %d",
                             parts->name, next, parts->tokens[last - 1].id);
    return LOOM_OK;
}

static loom_status open_table(struct loom_tokenizer *tokenizer, struct loom_bpe_parts *parts,
                              struct loom_error *error) {
    int count;
    const struct loom_token *clash;
    loom_status status = check_tokens(parts, &count, error);
    if (status == LOOM_OK)
        status = loom_token_table_open(&tokenizer->table, parts->tokens, parts->n_tokens, count, &clash, error);
    if (status == LOOM_OK && clash)
        status = fail_token(parts, clash, "is there twice", error);
    if (status == LOOM_OK)
        status = check_holes(parts, error);
    for (int byte = 0; status == LOOM_OK && byte < 256; byte++) {
        char text = (char)byte;
        tokenizer->bpe.bytes[byte] = loom_token_table_find(&tokenizer->table, &text, 1);
        if (tokenizer->bpe.bytes[byte] < 0)
            status =
                loom_fail(error, LOOM_FAILED, "%s has no token for the byte 0x%02X alone", parts->name, (unsigned)byte);
    }
    return status;
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

/* Finds what each merge makes, and its rank. */
static loom_status complete_merges(const struct loom_tokenizer *tokenizer, struct loom_bpe_parts *parts,
                                   struct loom_error *error) {
    const struct loom_token_table *table = &tokenizer->table;
    char bytes[2 * TOKEN_BYTES_MAX];
    for (size_t i = 0; i < parts->n_merges; i++) {
        struct loom_merge *merge = &parts->merges[i];
        size_t left = loom_token_table_size(table, (int)merge->left);
        size_t right = loom_token_table_size(table, (int)merge->right);
        memcpy(bytes, loom_token_table_bytes(table, (int)merge->left), left);
        memcpy(bytes + left, loom_token_table_bytes(table, (int)merge->right), right);
        int id = loom_token_table_find(table, bytes, left + right);
        if (id < 0)
            return fail_merge(parts, table, merge, "makes no token of the vocabulary", error);
        merge->rank = (uint32_t)i;
        merge->id = (uint32_t)id;
    }
    return LOOM_OK;
}

/* The two tokens whose merge makes the token `id` when ranks are ids and any neighbours may merge whose bytes are a
 * token's: the state of its bytes before the last merge. There is one such pair, because what merges inside a token's
 * bytes does not depend on what is around them. False when the merges do not lead to the token. */
static bool split_by_ranks(const struct loom_token_table *table, int id, struct loom_merge *merge) {
    struct {
        uint32_t start, rank;
    } parts[TOKEN_BYTES_MAX + 1];
    const char *bytes = loom_token_table_bytes(table, id);
    size_t count = loom_token_table_size(table, id);
    for (size_t i = 0; i <= count; i++) {
        int rank = i + 2 <= count ? loom_token_table_find(table, bytes + i, 2) : -1;
        parts[i].start = (uint32_t)i;
        parts[i].rank = (uint32_t)rank; /* -1 is the largest */
    }
    while (count > 2) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            best = parts[i].rank < parts[best].rank ? i : best;
        if (parts[best].rank == UINT32_MAX)
            return false;
        memmove(&parts[best + 1], &parts[best + 2], (count - best - 1) * sizeof *parts);
        count--;
        for (size_t i = best > 0 ? best - 1 : 0; i <= best; i++)
            parts[i].rank = i + 2 <= count ? (uint32_t)loom_token_table_find(table, bytes + parts[i].start,
                                                                             parts[i + 2].start - parts[i].start)
                                           : UINT32_MAX;
    }
    merge->left = (uint32_t)loom_token_table_find(table, bytes, parts[1].start);
    merge->right = (uint32_t)loom_token_table_find(table, bytes + parts[1].start, parts[2].start - parts[1].start);
    merge->id = (uint32_t)id;
    return true;
}

/* Makes parts->merges of the vocabulary's ranks. */
static loom_status merges_of_ranks(const struct loom_tokenizer *tokenizer, struct loom_bpe_parts *parts,
                                   struct loom_error *error) {
    parts->merges = malloc((parts->n_tokens + 1) * sizeof *parts->merges);
    if (!parts->merges)
        return loom_fail_memory(error, parts->name, parts->n_tokens * sizeof *parts->merges);
    parts->n_merges = 0;
    for (size_t i = 0; i < parts->n_tokens; i++) { /* sorted by id, which is the rank */
        const struct loom_token *token = &parts->tokens[i];
        struct loom_merge *merge = &parts->merges[parts->n_merges];
        if (token->hidden || token->size < 2 || !split_by_ranks(&tokenizer->table, token->id, merge))
            continue;
        merge->rank = (uint32_t)parts->n_merges++;
    }
    return LOOM_OK;
}

static loom_status open_merges(struct loom_tokenizer *tokenizer, struct loom_bpe_parts *parts,
                               struct loom_error *error) {
    const struct loom_merge *clash;
    bool given = parts->merges != NULL;
    loom_status status = given ? complete_merges(tokenizer, parts, error) : merges_of_ranks(tokenizer, parts, error);
    if (status == LOOM_OK)
        status = loom_bpe_open(&tokenizer->bpe, parts->merges, parts->n_merges, &clash, error);
    if (status == LOOM_OK && clash)
        status = fail_merge(parts, &tokenizer->table, clash, "is there twice", error);
    if (!given) {
        free(parts->merges);
        parts->merges = NULL;
    }
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static loom_status mark_words(struct loom_tokenizer *tokenizer, bool whole_words, struct loom_error *error) {
    const struct loom_token_table *table = &tokenizer->table;
    size_t words = (size_t)table->count / 64 + 1, count = 0;
    int ids[TOKEN_BYTES_MAX];
    struct loom_bpe_scratch scratch = {.parts = NULL};
    loom_status status = LOOM_OK;
    tokenizer->is_word = calloc(words, sizeof *tokenizer->is_word);
    if (!tokenizer->is_word)
        return loom_fail_memory(error, "tokenizer", words * sizeof *tokenizer->is_word);
    tokenizer->whole_words = whole_words;
    for (int id = 0; status == LOOM_OK && id < table->count; id++) {
        size_t size = loom_token_table_size(table, id);
        if (size == 0)
            continue;
        if (!whole_words)
            status =
                loom_bpe_encode(&tokenizer->bpe, &scratch, loom_token_table_bytes(table, id), size, ids, &count, error);
        if (whole_words || (count == 1 && ids[0] == id))
            tokenizer->is_word[id / 64] |= (uint64_t)1 << (id % 64);
    }
    loom_bpe_scratch_free(&scratch);
    return status;
}

static int find_end_of_text(const struct loom_added *added) {
    static const char *const names[] = {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t j = 0; j < added->count; j++)
            if (added->tokens[j].special && strcmp(added->tokens[j].content, names[i]) == 0)
                return added->tokens[j].id;
    return -1;
}

loom_status loom_tokenizer_bpe(struct loom_bpe_parts *parts, struct loom_tokenizer **tokenizer,
                               struct loom_error *error) {
    struct loom_tokenizer *made = loom_tokenizer_new(LOOM_TOKENIZER_BPE);
    *tokenizer = NULL;
    if (!made)
        return loom_fail_memory(error, parts->name, sizeof *made);
    made->split = parts->split;
    loom_status status = open_table(made, parts, error);
    if (status == LOOM_OK)
        status = open_merges(made, parts, error);
    if (status == LOOM_OK)
        status = mark_words(made, parts->whole_words, error);
    if (status == LOOM_OK)
        status = loom_added_open(&made->added, parts->added, parts->n_added, error);
    if (status != LOOM_OK) {
        loom_tokenizer_free(made);
        return status;
    }
    made->end_of_text = find_end_of_text(&made->added);
    *tokenizer = made;
    return LOOM_OK;
}
