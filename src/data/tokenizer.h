/* tokenizer.h - text to token ids and back, for the rest of the library.
 *
 * Two kinds. Byte: 256 tokens, the id is the byte. Char: one token for each distinct character of a text, ids in the
 * order of the code points, as nanoGPT's character data sets number them. Both are lossless, so the bytes of a token
 * sequence's tokens are the text. They are kept as tokenizer.json in the form of Hugging Face's tokenizers library,
 * which reads the file and encodes equally. */
#ifndef LOOM_DATA_TOKENIZER_H
#define LOOM_DATA_TOKENIZER_H

#include <jansson.h>

#include "data/document.h"
#include "base/utf8.h"

#define LOOM_TOKENIZER_FILE "tokenizer.json"

loom_status loom_tokenizer_byte(struct loom_tokenizer **tokenizer, struct loom_error *error);

/* The set of characters seen so far: 136 KiB of bits, to be zeroed before use. */
struct loom_characters {
    uint64_t bits[LOOM_UTF8_POINTS / 64];
};

/* Adds the characters of `piece`. Fails with LOOM_FAILED on bytes that are not UTF-8, naming the document and the
 * offset. */
loom_status loom_characters_add(struct loom_characters *characters, const struct loom_piece *piece,
                                struct loom_error *error);
/* A char tokenizer of these characters. Fails with LOOM_INVALID on none, and on U+0000, which tokenizer.json's
 * vocabulary cannot hold. */
loom_status loom_tokenizer_char(const struct loom_characters *characters, struct loom_tokenizer **tokenizer,
                                struct loom_error *error);

/* Encodes into tokens[0..piece->size), which always has room; errors name the document and the byte's offset. */
loom_status loom_tokenizer_encode_piece(const struct loom_tokenizer *tokenizer, const struct loom_piece *piece,
                                        int *tokens, size_t *count, struct loom_error *error);

/* The tokenizer.json object, freed with json_decref; NULL when memory is short. */
json_t *loom_tokenizer_json(const struct loom_tokenizer *tokenizer);
/* Writes FOLDER/tokenizer.json. */
loom_status loom_tokenizer_save(const struct loom_tokenizer *tokenizer, const char *folder, struct loom_error *error);
/* Reads the text of a tokenizer.json, which errors call `name`. Anything that would encode otherwise than the two kinds
 * is LOOM_FAILED, with the key that differs. */
loom_status loom_tokenizer_parse(const char *text, size_t size, const char *name, struct loom_tokenizer **tokenizer,
                                 struct loom_error *error);

#endif
