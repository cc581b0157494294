/* prepare.c - text files to a token folder, see loom_prepare in loom.h.
 *
 * The text is read three times rather than held: to find the characters, to count the tokens (where the split falls
 * is only known then), and to write them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokens.h"

/* What is done with one piece of text, and what it is done to. */
typedef loom_status (*piece_function)(void *state, const struct loom_piece *piece, struct loom_error *error);

static loom_status for_each_piece(struct loom_documents *documents, piece_function function, void *state,
                                  struct loom_error *error) {
    struct loom_reader reader;
    struct loom_piece piece;
    loom_status status = loom_reader_open(&reader, documents, error);
    while (status == LOOM_OK) {
        status = loom_reader_next(&reader, &piece, error);
        if (status != LOOM_OK || piece.size == 0)
            break;
        status = function(state, &piece, error);
    }
    loom_reader_close(&reader);
    return status;
}

static loom_status add_characters(void *state, const struct loom_piece *piece, struct loom_error *error) {
    return loom_characters_add(state, piece, error);
}

static loom_status train_char(struct loom_documents *documents, struct loom_tokenizer **tokenizer,
                              struct loom_error *error) {
    struct loom_characters *characters = calloc(1, sizeof *characters);
    if (!characters)
        return loom_fail_memory(error, "characters", sizeof *characters);
    loom_status status = for_each_piece(documents, add_characters, characters, error);
    if (status == LOOM_OK)
        status = loom_tokenizer_char(characters, tokenizer, error);
    free(characters);
    return status;
}

/* Encodes pieces and counts or writes the tokens. */
struct encoding {
    const struct loom_tokenizer *tokenizer;
    struct loom_encoder *encoder;
    struct loom_tokens_writer *writer; /* NULL: only count */
    uint64_t total;
    struct loom_ids ids;
};

static loom_status encode_piece(void *state, const struct loom_piece *piece, struct loom_error *error) {
    struct encoding *encoding = state;
    encoding->ids.count = 0;
    loom_status status = loom_encoder_put(encoding->encoder, piece, &encoding->ids, error);
    if (status != LOOM_OK)
        return status;
    encoding->total += encoding->ids.count;
    if (!encoding->writer)
        return LOOM_OK;
    if (piece->offset == 0)
        loom_tokens_begin(encoding->writer);
    return loom_tokens_put(encoding->writer, encoding->ids.data, encoding->ids.count, error);
}

/* floor(total * (1 - fraction)), as nanoGPT's int(n * 0.9). The small term is for fractions whose 1 - P rounds down, so
 * that 10 tokens at 0.9 are 1 and 9; it is below the distance of any other product to the next integer. */
static uint64_t train_share(uint64_t total, double fraction) {
    double share = (double)total * (1 - fraction);
    return (uint64_t)floor(share + share * 0x1p-50);
}

static loom_status split_tokens(uint64_t total, double fraction, struct loom_prepare_result *result,
                                struct loom_error *error) {
    result->train_tokens = train_share(total, fraction);
    result->val_tokens = total - result->train_tokens;
    if (result->train_tokens > 0 && result->val_tokens > 0)
        return LOOM_OK;
    return loom_fail(error, LOOM_INVALID,
                     "the text has %llu tokens; a validation share of %g splits them into %llu and %llu, and neither "
                     "may be empty",
                     (unsigned long long)total, fraction, (unsigned long long)result->train_tokens,
                     (unsigned long long)result->val_tokens);
}

static loom_status write_folder(const char *out, struct loom_documents *documents, struct encoding *encoding,
                                uint64_t train_tokens, struct loom_error *error) {
    loom_status status =
        loom_tokens_create(out, encoding->tokenizer, train_tokens, LOOM_SHARD_TOKENS, &encoding->writer, error);
    if (status == LOOM_OK)
        status = for_each_piece(documents, encode_piece, encoding, error);
    if (status == LOOM_OK)
        status = loom_tokens_finish(encoding->writer, documents, error);
    loom_tokens_close(encoding->writer);
    return status;
}

static loom_status prepare_documents(const struct loom_prepare_options *options, double fraction,
                                     struct loom_documents *documents, struct loom_tokenizer **tokenizer,
                                     struct loom_prepare_result *result, struct loom_error *error) {
    bool is_char = strcmp(options->tokenizer, "char") == 0;
    loom_status status =
        is_char ? train_char(documents, tokenizer, error) : loom_tokenizer_open(options->tokenizer, tokenizer, error);
    if (status != LOOM_OK)
        return status;
    struct encoding encoding = {.tokenizer = *tokenizer};
    status = loom_encoder_open(*tokenizer, &encoding.encoder, error);
    if (status == LOOM_OK)
        status = for_each_piece(documents, encode_piece, &encoding, error);
    if (status == LOOM_OK)
        status = split_tokens(encoding.total, fraction, result, error);
    if (status == LOOM_OK)
        status = write_folder(options->out, documents, &encoding, result->train_tokens, error);
    loom_encoder_free(encoding.encoder);
    free(encoding.ids.data);
    result->vocab_size = loom_tokenizer_vocab_size(*tokenizer);
    for (size_t i = 0; i < documents->count; i++)
        result->bytes += documents->items[i].bytes;
    return status;
}

loom_status loom_prepare(const struct loom_prepare_options *options, struct loom_prepare_result *result,
                         struct loom_error *error) {
    double fraction = options->val_fraction == 0 ? 0.1 : options->val_fraction;
    struct loom_documents documents;
    struct loom_tokenizer *tokenizer = NULL;
    *result = (struct loom_prepare_result){.bytes = 0};
    if (!options->tokenizer || !options->out)
        return loom_fail(error, LOOM_INVALID, "prepare needs a tokenizer and an output folder");
    if (!(fraction > 0 && fraction < 1))
        return loom_fail(error, LOOM_INVALID, "the validation share must be above 0 and below 1, not %g", fraction);
    loom_status status = loom_tokens_check_free(options->out, error);
    if (status != LOOM_OK)
        return status;
    status = loom_documents_open(options->inputs, options->n_inputs, &documents, error);
    if (status == LOOM_OK)
        status = prepare_documents(options, fraction, &documents, &tokenizer, result, error);
    loom_tokenizer_free(tokenizer);
    loom_documents_free(&documents);
    return status;
}
