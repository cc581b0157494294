/* stream.h - the bytes of a source, unpacked, as a window that moves over them.
 *
 * A source is a file, standard input or a child's output; its bytes may be packed by gzip or zstd. Memory is the
 * window's: the largest stretch that a reader asks for at once. */
#ifndef LOOM_DATA_STREAM_H
#define LOOM_DATA_STREAM_H

#include <stdbool.h>

#include "base/digest.h"

enum loom_packing { LOOM_PACKING_NONE, LOOM_PACKING_GZIP, LOOM_PACKING_ZSTD };

struct loom_stream {
    const char *name; /* for sentences; borrowed */
    char *data;       /* the window */
    size_t size;
    uint64_t raw; /* bytes read from the source so far, packed */
    bool ended;   /* the window holds all that is left */
    /* Its own: */
    int descriptor;
    bool owned, at_end;
    bool in_frame; /* a packed frame has begun and not ended */
    bool full;     /* the last unpacking filled its room: more may wait inside the unpacker */
    enum loom_packing packing;
    void *unpacker; /* z_stream or ZSTD_DStream */
    char *buffer;   /* the window lies in it */
    size_t capacity;
    unsigned char *packed; /* packed bytes [packed_at, packed_size) wait */
    size_t packed_at, packed_size;
    struct loom_digest digest; /* of the raw bytes; closed where they are not hashed */
};

/* Opens a file, or standard input for "-". */
loom_status loom_stream_open(struct loom_stream *stream, const char *path, enum loom_packing packing,
                             struct loom_error *error);
/* Reads from an open descriptor, which stays the caller's; the bytes are not packed, and not hashed. */
void loom_stream_attach(struct loom_stream *stream, int descriptor, const char *name);

/* Makes the window at least `want` bytes long, or as long as what is left. Its address may change. Fails on a source
 * that cannot be read, and on packed bytes that are broken or end early. */
loom_status loom_stream_fill(struct loom_stream *stream, size_t want, struct loom_error *error);
/* Moves the window's start by `size` bytes, at most stream->size. */
void loom_stream_take(struct loom_stream *stream, size_t size);
/* The line at the window's start. */
struct loom_line {
    size_t size; /* without its newline */
    bool newline, blank;
    bool too_long; /* only its beginning is in the window */
    bool none;     /* nothing is left */
};

/* Brings the next line into the window, unless it is longer than `most`; it is not taken. */
loom_status loom_stream_line(struct loom_stream *stream, size_t most, struct loom_line *line, struct loom_error *error);
/* Bytes of the mark of byte order, which some editors put before a file's first line: 3 or 0. */
size_t loom_stream_mark(const char *data, size_t size);
/* The SHA-256 of the raw bytes read so far from what was opened. */
void loom_stream_hash(const struct loom_stream *stream, char text[LOOM_SHA256_TEXT]);
void loom_stream_close(struct loom_stream *stream);

#endif
