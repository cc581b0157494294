/* tokenizer.h - text to token ids and back, for the rest of the library.
 *
 * Three kinds. Byte: 256 tokens, the id is the byte. Char: one token for each distinct character of a text, ids in the
 * order of the code points, as nanoGPT's character data sets number them. BPE: byte-level byte-pair encoding as GPT-2,
 * GPT-4 and their kin have it. All are lossless on valid UTF-8, so the bytes of a token sequence's tokens are the text.
 * They are kept as tokenizer.json in the form of Hugging Face's tokenizers library, which reads the file and encodes
 * equally. */
#ifndef LOOM_DATA_TOKENIZER_H
#define LOOM_DATA_TOKENIZER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/utf8.h"
#include "data/source/ids.h"
#include "data/source/record.h"

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

/* ---- text to tokens ---------------------------------------------------------------------------------------------- */

/* What one thread needs to encode with a tokenizer, which must outlive it. Not shared between threads. */
struct loom_encoder;

loom_status loom_encoder_open(const struct loom_tokenizer *tokenizer, struct loom_encoder **encoder,
                              struct loom_error *error);
void loom_encoder_free(struct loom_encoder *encoder);

/* Finds the special token `special`, or with NULL every one, in the text from now on; else they are plain text. Fails
 * with LOOM_INVALID on a name that is none. */
loom_status loom_encoder_allow(struct loom_encoder *encoder, const char *special, struct loom_error *error);

/* Special tokens are plain text again. */
void loom_encoder_allow_none(struct loom_encoder *encoder);

/* Encodes one piece apart from all others and appends to `ids`. Errors name the piece and the byte's offset; what has
 * been appended then means nothing. */
loom_status loom_encoder_put(struct loom_encoder *encoder, const struct loom_piece *piece, struct loom_ids *ids,
                             struct loom_error *error);
/* The same; but LOOM_FAILED on bytes that are not UTF-8, except with a byte tokenizer, where it would put U+FFFD. */
loom_status loom_encoder_put_valid(struct loom_encoder *encoder, const struct loom_piece *piece, struct loom_ids *ids,
                                   struct loom_error *error);

/* The length of the longest prefix of data[0..size) at whose end the text may be cut and both parts encoded apart with
 * an equal result, whatever comes before and behind; 0 when there is none. */
size_t loom_tokenizer_cut(const struct loom_tokenizer *tokenizer, const char *data, size_t size);

/* LOOM_FAILED, naming the piece and the byte's offset, when the piece is not UTF-8. */
loom_status loom_piece_check(const struct loom_piece *piece, struct loom_error *error);

/* Whether any bytes can be encoded; else the text must be UTF-8. */
bool loom_tokenizer_takes_bytes(const struct loom_tokenizer *tokenizer);

/* The id of <|endoftext|> or the like, which ends a document; -1: there is none. */
int loom_tokenizer_end_of_text(const struct loom_tokenizer *tokenizer);

/* ---- files ------------------------------------------------------------------------------------------------------- */

enum { LOOM_TOKENIZER_LIMIT = 256 << 20 }; /* bytes of a file that is read as one */

/* The text of the tokenizer.json: the one that was read, byte for byte, or one that is made. Freed with free(); NULL
 * when memory is short. */
char *loom_tokenizer_text(const struct loom_tokenizer *tokenizer, size_t *size);
/* Reads the text of a tokenizer.json, which errors call `name`. What would encode otherwise than the kinds above is
 * LOOM_FAILED, with the key that says so. */
loom_status loom_tokenizer_parse(const char *text, size_t size, const char *name, struct loom_tokenizer **tokenizer,
                                 struct loom_error *error);

#endif
