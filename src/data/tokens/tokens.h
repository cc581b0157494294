/* tokens.h - the token folder: text as arrays of token ids, ready to be drawn from.
 *
 *   train-00000.bin ...   token ids, uint16 little-endian when the vocabulary fits, else uint32; at most 2^28 a shard
 *   train-00000.doc ...   beside each shard: the offsets of the tokens in it at which a document begins, as uint64
 *                         little-endian, ascending; a document that goes on from the shard before has no entry
 *   val-00000.bin ...     the validation split, and its .doc files
 *   tokenizer.json        what the ids mean
 *   manifest.json         counts, bytes, sources and SHA-256 hashes; written last
 *
 * The folder is written under a temporary name beside its place, OUT.partial, and renamed when whole. */
#ifndef LOOM_DATA_TOKENS_H
#define LOOM_DATA_TOKENS_H

#include "base/file.h"
#include "data/source/document.h"
#include "data/tokenizer/tokenizer.h"

enum loom_split { LOOM_SPLIT_TRAIN, LOOM_SPLIT_VAL, LOOM_SPLITS };

#define LOOM_MANIFEST_FILE "manifest.json"
#define LOOM_SHARD_SUFFIX ".bin"
#define LOOM_DOCUMENTS_SUFFIX ".doc"
enum { LOOM_TOKENS_VERSION = 2 }; /* of the folder's form */

/* The most tokens in one file: 0.5 or 1 GiB. */
#define LOOM_SHARD_TOKENS ((uint64_t)1 << 28)

/* "train", "val" */
const char *loom_split_name(enum loom_split split);
/* Bytes of one token on disk: 2 or 4; and its name in the manifest: "uint16", "uint32". */
size_t loom_token_width(int vocab_size);
const char *loom_token_type(size_t width);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct loom_tokens_writer;

/* LOOM_INVALID when `out` is a file or a folder that holds something: for a caller to learn before long work. */
loom_status loom_tokens_check_free(const char *out, struct loom_error *error);
/* Starts the folder `out`, which loom_tokens_check_free must find free, or goes on where the last checkpoint of an
 * earlier writer stands. A shard holds at most shard_tokens (at least 1). */
loom_status loom_tokens_create(const char *out, uint64_t shard_tokens, struct loom_tokens_writer **writer,
                               struct loom_error *error);
/* What the last checkpoint was given, borrowed until the next; NULL when there is none. */
const json_t *loom_tokens_progress(const struct loom_tokens_writer *writer);
/* Where the work is done until it is published. The caller may keep one file of its own there, which goes then. */
#define LOOM_HASHES_FILE "hashes.bin"
const char *loom_tokens_folder(const struct loom_tokens_writer *writer);
/* The tokenizer that the ids are of, which must outlive the writer; saved in the folder. Before the first token. */
loom_status loom_tokens_set_tokenizer(struct loom_tokens_writer *writer, const struct loom_tokenizer *tokenizer,
                                      struct loom_error *error);
/* The next tokens of this split begin a document. */
loom_status loom_tokens_begin(struct loom_tokens_writer *writer, enum loom_split split, struct loom_error *error);
/* Appends ids, each of the tokenizer's vocabulary, which stand for `bytes` of text. */
loom_status loom_tokens_put(struct loom_tokens_writer *writer, enum loom_split split, const int *tokens, size_t count,
                            uint64_t bytes, struct loom_error *error);
uint64_t loom_tokens_written(const struct loom_tokens_writer *writer, enum loom_split split);
/* Makes what was put durable and remembers `progress`, stealing the reference: a later loom_tokens_create goes on from
 * here. */
loom_status loom_tokens_checkpoint(struct loom_tokens_writer *writer, json_t *progress, struct loom_error *error);
/* When all is put: makes the training split's last `count` tokens the validation split, which must be empty. */
loom_status loom_tokens_move_tail(struct loom_tokens_writer *writer, uint64_t count, struct loom_error *error);
/* Writes the manifest, its own keys and those of `about`, and gives the folder its name. */
loom_status loom_tokens_finish(struct loom_tokens_writer *writer, json_t *about, struct loom_error *error);
/* Frees the writer. What was written is removed unless loom_tokens_finish succeeded or there is a checkpoint. */
void loom_tokens_close(struct loom_tokens_writer *writer);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct loom_shard {
    char *path;
    struct loom_map map;       /* ids */
    struct loom_map documents; /* offsets of the tokens at which documents begin */
    uint64_t tokens, n_documents;
    uint64_t first; /* where its first token lies in its split */
    enum loom_split split;
};

/* An open token folder. */
struct loom_tokens {
    uint64_t counts[LOOM_SPLITS];    /* tokens */
    uint64_t bytes[LOOM_SPLITS];     /* of source text */
    uint64_t documents[LOOM_SPLITS]; /* that begin in the split */
    size_t width;                    /* bytes of one token: 2 or 4 */
    bool large;                      /* more than LOOM_TOKENS_CHECKED: not read through when opened */
    uint32_t vocab_size;
    struct loom_tokenizer *tokenizer;
    char sha256[LOOM_SHA256_TEXT]; /* of the token data, from the manifest */
    struct loom_shard *shards;     /* split by split, each in the order of the text */
    size_t n_shards;
    size_t begin[LOOM_SPLITS + 1]; /* split s has the shards begin[s] .. begin[s+1]-1 */
};

/* Folders of at most so many tokens are read through when they are opened, to find what is broken before work begins;
 * larger ones would take minutes and more, and what is read of them is checked when it is read. */
#define LOOM_TOKENS_CHECKED LOOM_SHARD_TOKENS

/* Opens a token folder and holds it against its manifest: types, sizes, counts and the tokenizer; and by
 * loom_tokens_check when it is small.
 * The hashes are recorded, not recomputed. */
loom_status loom_tokens_open(const char *folder, struct loom_tokens **tokens, struct loom_error *error);
void loom_tokens_free(struct loom_tokens *tokens);

/* Reads all of the folder: every id against the vocabulary, every document's place against its shard. */
loom_status loom_tokens_check(const struct loom_tokens *tokens, struct loom_error *error);

/* Whether ids mean the same texts as those of `tokenizer`. LOOM_INVALID says where they differ; `name` is the folder's,
 * `whose` the tokenizer's. */
loom_status loom_tokens_check_tokenizer(const struct loom_tokens *tokens, const char *name,
                                        const struct loom_tokenizer *tokenizer, const char *whose,
                                        struct loom_error *error);

/* Starts reading these tokens of a large folder from the disk and does not wait, so that many windows come at once. */
void loom_tokens_fetch(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t count);

/* Copies tokens [position, position + count) of a split, which must lie within it, to out (count). LOOM_FAILED names an
 * id that is outside the vocabulary; then out holds nothing of use. */
loom_status loom_tokens_get(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t count,
                            int *out, struct loom_error *error);

/* Of the same tokens, first (count): the index, among them, of the first that is of the i-th's document. */
void loom_tokens_first(const struct loom_tokens *tokens, enum loom_split split, uint64_t position, size_t count,
                       int *first);

/* The offset in its shard of the index-th document that begins there. */
uint64_t loom_shard_document(const struct loom_shard *shard, uint64_t index);

#endif
