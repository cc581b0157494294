/* document.h - the text that goes into a token folder: which files, in which order, read in pieces.
 *
 * Pieces, so that a corpus larger than memory passes through; and read, not mapped, so that a file that shrinks
 * meanwhile is an error and not a signal. */
#ifndef LOOM_DATA_DOCUMENT_H
#define LOOM_DATA_DOCUMENT_H

#include <sodium.h>
#include <stdio.h>

#include "base/status.h"

enum { LOOM_SHA256_TEXT = 2 * crypto_hash_sha256_BYTES + 1 }; /* in hexadecimal, with the final NUL */

struct loom_document {
    char *path;
    uint64_t bytes;
    char sha256[LOOM_SHA256_TEXT]; /* filled when a reader has passed its end */
};

struct loom_documents {
    struct loom_document *items;
    size_t count;
};

/* Collects text files in the order given; a folder stands for its .txt files sorted by name. Fails with LOOM_INVALID on
 * an empty file, a folder without .txt files and a kind of file that is not plain text; with LOOM_IO on a path that
 * is missing or may not be read. */
loom_status loom_documents_open(const char *const *inputs, size_t n_inputs, struct loom_documents *documents,
                                struct loom_error *error);
void loom_documents_free(struct loom_documents *documents);

/* A piece of one document. `name` and `offset` are for sentences about it. */
struct loom_piece {
    const char *data;
    size_t size;
    const char *name;
    uint64_t offset; /* of data[0] in the document, in bytes */
};

/* Walks all documents from the first byte to the last. */
struct loom_reader {
    struct loom_documents *documents;
    size_t index; /* the document that is read */
    FILE *stream; /* NULL between documents */
    char *buffer;
    size_t used, held; /* bytes of the buffer that were the last piece; bytes behind them that begin the next */
    uint64_t offset;
    crypto_hash_sha256_state hash;
};

loom_status loom_reader_open(struct loom_reader *reader, struct loom_documents *documents, struct loom_error *error);

/* The next piece, valid until the next call; at the end its size is 0. A piece never ends inside a valid UTF-8
 * character. Fails when a document's size is no longer what loom_documents_open found. */
loom_status loom_reader_next(struct loom_reader *reader, struct loom_piece *piece, struct loom_error *error);
void loom_reader_close(struct loom_reader *reader);

/* Writes a finished hash in hexadecimal. */
void loom_sha256_text(crypto_hash_sha256_state *hash, char text[LOOM_SHA256_TEXT]);

#endif
