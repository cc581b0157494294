/* document.c - see document.h. */
#include "data/document.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/utf8.h"

enum { PIECE_BYTES = 1 << 20 };

/* ---- which files ------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *suffix) {
    size_t length = strlen(text), wanted = strlen(suffix);
    return length >= wanted && strcmp(text + length - wanted, suffix) == 0;
}

/* Packed or structured files would pass for bytes of text and train a model on noise: they are refused by name. */
static loom_status check_kind(const char *path, struct loom_error *error) {
    static const char *const unsupported[] = {".gz", ".zst", ".xz", ".bz2", ".zip", ".jsonl", ".parquet"};
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (ends_with(path, unsupported[i]))
            return loom_fail(error, LOOM_INVALID, "%s: %s files are not supported yet; give plain text", path,
                             unsupported[i]);
    return LOOM_OK;
}

/* The manifest names its sources in JSON, which only holds UTF-8. */
static loom_status check_name(const char *path, struct loom_error *error) {
    size_t size = strlen(path), step = 0;
    uint32_t point;
    for (size_t i = 0; i < size; i += step) {
        step = loom_utf8_decode(path + i, size - i, &point);
        if (step == 0)
            return loom_fail(error, LOOM_INVALID, "%s: the file's name is not UTF-8 at byte %zu", path, i);
    }
    return LOOM_OK;
}

/* Opening is the only sure test of the right to read. */
static loom_status measure(const char *path, uint64_t *bytes, struct loom_error *error) {
    struct stat about;
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return loom_fail_system(error, "cannot open", path);
    loom_status status = LOOM_OK;
    if (fstat(fileno(stream), &about) != 0)
        status = loom_fail_system(error, "cannot open", path);
    else if (!S_ISREG(about.st_mode))
        status = loom_fail(error, LOOM_INVALID, "%s is not a regular file", path);
    else if (about.st_size == 0)
        status = loom_fail(error, LOOM_INVALID, "%s is empty", path);
    else
        *bytes = (uint64_t)about.st_size;
    fclose(stream);
    return status;
}

static loom_status add_file(struct loom_documents *documents, const char *path, struct loom_error *error) {
    struct loom_document document = {.path = NULL};
    loom_status status = check_kind(path, error);
    if (status == LOOM_OK)
        status = check_name(path, error);
    if (status == LOOM_OK)
        status = measure(path, &document.bytes, error);
    if (status != LOOM_OK)
        return status;
    size_t bytes = (documents->count + 1) * sizeof document;
    struct loom_document *grown = realloc(documents->items, bytes);
    if (grown)
        documents->items = grown;
    document.path = strdup(path);
    if (!grown || !document.path) {
        free(document.path);
        return loom_fail_memory(error, path, bytes);
    }
    documents->items[documents->count++] = document;
    return LOOM_OK;
}

static loom_status add_folder(struct loom_documents *documents, const char *folder, struct loom_error *error) {
    char **names;
    size_t count, before = documents->count;
    loom_status status = loom_folder_list(folder, &names, &count, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        if (!ends_with(names[i], ".txt"))
            continue;
        char *path = loom_path_join(folder, names[i]);
        status = path ? add_file(documents, path, error) : loom_fail_memory(error, folder, strlen(names[i]));
        free(path);
    }
    loom_names_free(names, count);
    if (status == LOOM_OK && documents->count == before)
        status = loom_fail(error, LOOM_INVALID, "%s has no .txt file among its %zu entries", folder, count);
    return status;
}

loom_status loom_documents_open(const char *const *inputs, size_t n_inputs, struct loom_documents *documents,
                                struct loom_error *error) {
    *documents = (struct loom_documents){NULL, 0};
    if (n_inputs == 0)
        return loom_fail(error, LOOM_INVALID, "no input was given: name a text file or a folder of .txt files");
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < n_inputs; i++)
        status = loom_path_is_folder(inputs[i]) ? add_folder(documents, inputs[i], error)
                                                : add_file(documents, inputs[i], error);
    if (status != LOOM_OK)
        loom_documents_free(documents);
    return status;
}

void loom_documents_free(struct loom_documents *documents) {
    for (size_t i = 0; i < documents->count; i++)
        free(documents->items[i].path);
    free(documents->items);
    *documents = (struct loom_documents){NULL, 0};
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

void loom_sha256_text(crypto_hash_sha256_state *hash, char text[LOOM_SHA256_TEXT]) {
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(hash, digest);
    sodium_bin2hex(text, LOOM_SHA256_TEXT, digest, sizeof digest);
}

loom_status loom_reader_open(struct loom_reader *reader, struct loom_documents *documents, struct loom_error *error) {
    *reader = (struct loom_reader){.documents = documents, .buffer = malloc(PIECE_BYTES)};
    return reader->buffer ? LOOM_OK : loom_fail_memory(error, "text", PIECE_BYTES);
}

void loom_reader_close(struct loom_reader *reader) {
    if (reader->stream)
        fclose(reader->stream);
    free(reader->buffer);
    *reader = (struct loom_reader){.stream = NULL};
}

static loom_status begin_document(struct loom_reader *reader, struct loom_error *error) {
    const char *path = reader->documents->items[reader->index].path;
    reader->stream = fopen(path, "rb");
    if (!reader->stream)
        return loom_fail_system(error, "cannot open", path);
    reader->offset = 0;
    reader->used = reader->held = 0;
    crypto_hash_sha256_init(&reader->hash);
    return LOOM_OK;
}

static loom_status end_document(struct loom_reader *reader, struct loom_error *error) {
    struct loom_document *document = &reader->documents->items[reader->index];
    if (reader->offset != document->bytes)
        return loom_fail(error, LOOM_FAILED, "%s had %" PRIu64 " bytes and now has %" PRIu64 ": it changed meanwhile",
                         document->path, document->bytes, reader->offset);
    loom_sha256_text(&reader->hash, document->sha256);
    fclose(reader->stream);
    reader->stream = NULL;
    reader->index++;
    return LOOM_OK;
}

/* Fills the buffer behind the held bytes, which move to its front only now: the last piece has been used. *size is 0 at
 * the document's end. */
static loom_status read_piece(struct loom_reader *reader, size_t *size, struct loom_error *error) {
    memmove(reader->buffer, reader->buffer + reader->used, reader->held);
    size_t got = fread(reader->buffer + reader->held, 1, PIECE_BYTES - reader->held, reader->stream);
    if (got == 0 && ferror(reader->stream))
        return loom_fail_system(error, "cannot read", reader->documents->items[reader->index].path);
    crypto_hash_sha256_update(&reader->hash, (const unsigned char *)reader->buffer + reader->held, got);
    *size = reader->held + got;
    reader->held = got > 0 ? loom_utf8_unfinished(reader->buffer, *size) : 0; /* at the end nothing can complete it */
    *size -= reader->held;
    reader->used = *size;
    return LOOM_OK;
}

loom_status loom_reader_next(struct loom_reader *reader, struct loom_piece *piece, struct loom_error *error) {
    loom_status status = LOOM_OK;
    size_t size = 0;
    *piece = (struct loom_piece){.data = reader->buffer};
    while (status == LOOM_OK && size == 0 && reader->index < reader->documents->count) {
        if (!reader->stream)
            status = begin_document(reader, error);
        if (status == LOOM_OK)
            status = read_piece(reader, &size, error);
        if (status == LOOM_OK && size == 0 && reader->held == 0)
            status = end_document(reader, error);
    }
    if (status == LOOM_OK && size > 0) {
        *piece =
            (struct loom_piece){reader->buffer, size, reader->documents->items[reader->index].path, reader->offset};
        reader->offset += size;
    }
    return status;
}
