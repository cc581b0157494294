/* stream.c - see stream.h. */
#include "data/source/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { READ_BYTES = 256 << 10 };

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

/* 15: the largest window; 32: gzip's header is found by itself. */
static bool open_gzip(struct loom_stream *stream) {
    z_stream *z = calloc(1, sizeof *z);
    if (z && inflateInit2(z, 15 + 32) == Z_OK) {
        stream->unpacker = z;
        return true;
    }
    free(z);
    return false;
}

static bool open_unpacker(struct loom_stream *stream) {
    if (stream->packing == LOOM_PACKING_NONE)
        return true;
    stream->packed = malloc(READ_BYTES);
    if (!stream->packed)
        return false;
    if (stream->packing == LOOM_PACKING_GZIP)
        return open_gzip(stream);
    stream->unpacker = ZSTD_createDStream();
    return stream->unpacker != NULL;
}

static void close_unpacker(struct loom_stream *stream) {
    if (stream->packing == LOOM_PACKING_GZIP && stream->unpacker) {
        inflateEnd(stream->unpacker);
        free(stream->unpacker);
    } else if (stream->packing == LOOM_PACKING_ZSTD)
        ZSTD_freeDStream(stream->unpacker);
    free(stream->packed);
}

static loom_status broken(const struct loom_stream *stream, const char *reason, struct loom_error *error) {
    return loom_fail(error, LOOM_FAILED, "%s: its %s data is broken before byte %" PRIu64 ": %s", stream->name,
                     stream->packing == LOOM_PACKING_GZIP ? "gzip" : "zstd",
                     stream->raw - (stream->packed_size - stream->packed_at), reason);
}

/* A call that neither read nor made a byte says nothing about where the frame is. */
static void note_progress(struct loom_stream *stream, size_t packed_at, size_t made, bool in_frame) {
    if (packed_at > stream->packed_at || made > 0)
        stream->in_frame = in_frame;
    stream->packed_at = packed_at;
}

/* Unpacks waiting bytes to out[0..room); *made may be 0. A gzip file may hold several members, one behind the other. */
static loom_status unpack_gzip(struct loom_stream *stream, char *out, size_t room, size_t *made,
                               struct loom_error *error) {
    z_stream *z = stream->unpacker;
    z->next_in = stream->packed + stream->packed_at;
    z->avail_in = (uInt)(stream->packed_size - stream->packed_at);
    z->next_out = (unsigned char *)out;
    z->avail_out = (uInt)room;
    int code = inflate(z, Z_NO_FLUSH);
    *made = room - z->avail_out;
    note_progress(stream, stream->packed_size - z->avail_in, *made, code != Z_STREAM_END);
    if (code == Z_STREAM_END)
        code = inflateReset(z);
    if (code == Z_OK || code == Z_BUF_ERROR)
        return LOOM_OK;
    return broken(stream, z->msg ? z->msg : zError(code), error);
}

static loom_status unpack_zstd(struct loom_stream *stream, char *out, size_t room, size_t *made,
                               struct loom_error *error) {
    ZSTD_inBuffer in = {stream->packed, stream->packed_size, stream->packed_at};
    ZSTD_outBuffer result = {out, room, 0};
    size_t code = ZSTD_decompressStream(stream->unpacker, &result, &in);
    *made = result.pos;
    note_progress(stream, in.pos, *made, code != 0);
    return ZSTD_isError(code) ? broken(stream, ZSTD_getErrorName(code), error) : LOOM_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static loom_status read_raw(struct loom_stream *stream, void *out, size_t room, size_t *got, struct loom_error *error) {
    ssize_t count;
    do
        count = read(stream->descriptor, out, room);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return loom_fail_system(error, "cannot read", stream->name);
    *got = (size_t)count;
    stream->at_end = count == 0;
    stream->raw += *got;
    if (stream->digest.context)
        loom_digest_put(&stream->digest, out, *got);
    return LOOM_OK;
}

static loom_status read_packed(struct loom_stream *stream, char *out, size_t room, size_t *got,
                               struct loom_error *error) {
    loom_status status = LOOM_OK;
    *got = 0;
    while (status == LOOM_OK && *got == 0 && !stream->at_end) {
        if (stream->packed_at == stream->packed_size && !stream->full) {
            stream->packed_at = 0;
            status = read_raw(stream, stream->packed, READ_BYTES, &stream->packed_size, error);
        }
        if (status == LOOM_OK && !stream->at_end)
            status = stream->packing == LOOM_PACKING_GZIP ? unpack_gzip(stream, out, room, got, error)
                                                          : unpack_zstd(stream, out, room, got, error);
        stream->full = *got == room;
    }
    if (status == LOOM_OK && stream->at_end && stream->in_frame)
        status = broken(stream, "it ends early", error);
    return status;
}

static loom_status reserve(struct loom_stream *stream, size_t want, struct loom_error *error) {
    if (stream->size > 0)
        memmove(stream->buffer, stream->data, stream->size);
    if (want + READ_BYTES > stream->capacity) {
        char *grown = realloc(stream->buffer, want + READ_BYTES);
        if (!grown)
            return loom_fail_memory(error, stream->name, want + READ_BYTES);
        stream->buffer = grown;
        stream->capacity = want + READ_BYTES;
    }
    stream->data = stream->buffer;
    return LOOM_OK;
}

loom_status loom_stream_fill(struct loom_stream *stream, size_t want, struct loom_error *error) {
    if (stream->size >= want || stream->ended)
        return LOOM_OK;
    loom_status status = reserve(stream, want, error);
    while (status == LOOM_OK && stream->size < want && !stream->ended) {
        char *out = stream->data + stream->size;
        size_t room = stream->capacity - stream->size, got = 0;
        status = stream->packing == LOOM_PACKING_NONE ? read_raw(stream, out, room, &got, error)
                                                      : read_packed(stream, out, room, &got, error);
        stream->size += got;
        stream->ended = status == LOOM_OK && got == 0;
    }
    return status;
}

void loom_stream_take(struct loom_stream *stream, size_t size) {
    stream->data += size;
    stream->size -= size;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", text[i]) || text[i] == '\0')
            return false;
    return true;
}

loom_status loom_stream_line(struct loom_stream *stream, size_t most, struct loom_line *line,
                             struct loom_error *error) {
    size_t seen = 0, want = READ_BYTES;
    for (;;) {
        loom_status status = loom_stream_fill(stream, want, error);
        if (status != LOOM_OK)
            return status;
        const char *end = stream->size > seen ? memchr(stream->data + seen, '\n', stream->size - seen) : NULL;
        *line = (struct loom_line){.size = end ? (size_t)(end - stream->data) : stream->size, .newline = end != NULL};
        line->too_long = line->size > most;
        line->none = line->size == 0 && !line->newline;
        if (end || stream->ended || line->too_long)
            break;
        seen = stream->size;
        want = 2 * stream->size;
    }
    line->blank = is_blank(stream->data, line->size);
    return LOOM_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

loom_status loom_stream_open(struct loom_stream *stream, const char *path, enum loom_packing packing,
                             struct loom_error *error) {
    bool is_input = strcmp(path, "-") == 0;
    *stream = (struct loom_stream){.name = is_input ? "standard input" : path, .packing = packing};
    stream->descriptor = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (stream->descriptor < 0)
        return loom_fail_system(error, "cannot open", path);
    stream->owned = !is_input;
    loom_status status = loom_digest_open(&stream->digest, error);
    if (status == LOOM_OK && !open_unpacker(stream))
        status = loom_fail_memory(error, stream->name, READ_BYTES);
    if (status != LOOM_OK)
        loom_stream_close(stream);
    return status;
}

void loom_stream_attach(struct loom_stream *stream, int descriptor, const char *name) {
    *stream = (struct loom_stream){.name = name, .descriptor = descriptor};
}

size_t loom_stream_mark(const char *data, size_t size) {
    return size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

void loom_stream_hash(const struct loom_stream *stream, char text[LOOM_SHA256_TEXT]) {
    loom_digest_text(&stream->digest, text);
}

void loom_stream_close(struct loom_stream *stream) {
    if (stream->owned)
        close(stream->descriptor);
    close_unpacker(stream);
    loom_digest_close(&stream->digest);
    free(stream->buffer);
    *stream = (struct loom_stream){.descriptor = -1};
}
