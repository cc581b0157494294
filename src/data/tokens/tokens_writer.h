/* tokens_writer.h - what the files that write a token folder share, each calling only those before it:
 * tokens_shards.c (tokens into shards), tokens_progress.c (checkpoints), tokens_tail.c (a validation split cut from the
 * end) and tokens_write.c (the folder around them). */
#ifndef LOOM_DATA_TOKENS_WRITER_H
#define LOOM_DATA_TOKENS_WRITER_H

#include "data/tokens/tokens.h"

#define LOOM_PROGRESS_FILE "progress.json"

enum { LOOM_CHUNK_TOKENS = 8192, LOOM_RELEASE_BYTES = 4 << 20 /* of a mapped shard that is read once */ };

/* The open shard of a split. */
struct loom_open_shard {
    bool open;
    struct loom_append tokens_file, documents_file;
    uint64_t tokens, documents;
    struct loom_digest digest;
};

struct loom_totals {
    uint64_t tokens, documents, bytes;
};

struct loom_tokens_writer {
    char *out, *partial;
    const struct loom_tokenizer *tokenizer;
    size_t width;
    uint64_t shard_tokens;
    struct loom_lock lock;
    bool locked, published, kept; /* kept: there is a checkpoint */
    struct loom_open_shard shards[LOOM_SPLITS];
    struct loom_totals totals[LOOM_SPLITS];
    json_t *closed[LOOM_SPLITS]; /* the manifest's entries of complete shards */
    uint64_t tail;               /* tokens to be cut from the training split's end; their copies are complete */
    json_t *progress;            /* the caller's */
};

/* The path of shard `index`'s file, "bin" or "doc"; freed with free(); NULL when memory is short. */
char *loom_shard_path(const struct loom_tokens_writer *writer, enum loom_split split, size_t index, const char *ending);
/* Opens the split's shard in work, which follows the closed ones, at the given lengths. */
loom_status loom_shard_open(struct loom_tokens_writer *writer, enum loom_split split, uint64_t tokens,
                            uint64_t documents, struct loom_error *error);
/* Flushes an open shard to the disk. */
loom_status loom_shard_sync(struct loom_open_shard *shard, struct loom_error *error);
/* Closes a shard as it is. */
void loom_shard_abandon(struct loom_open_shard *shard);
/* Flushes and closes the split's open shard and lists it. */
loom_status loom_shard_close(struct loom_tokens_writer *writer, enum loom_split split, struct loom_error *error);

loom_status loom_progress_write(struct loom_tokens_writer *writer, struct loom_error *error);
loom_status loom_progress_read(struct loom_tokens_writer *writer, const char *path, struct loom_error *error);

#endif
