/* safetensors.h - the file format of weights: read strictly, written atomically.
 *
 * A file is an 8-byte little-endian length, a JSON header of that length, and the tensors' bytes. The header gives each
 * tensor's dtype, shape and place; under "__metadata__" it may hold strings. A file is accepted only when every tensor
 * lies inside the data, has exactly the bytes that its shape asks for, and the tensors together cover the data without
 * overlap and without holes: what has been opened can then be read without another check. Tensors need not be aligned,
 * so readers copy. Format: https://huggingface.co/docs/safetensors. */
#ifndef LOOM_MODEL_SAFETENSORS_H
#define LOOM_MODEL_SAFETENSORS_H

#include <jansson.h>

#include "base/file.h"
#include "base/real.h"
#include "base/status.h"
#include "kernel/kernel.h"

enum loom_dtype {
    LOOM_F64,
    LOOM_F32,
    LOOM_F16,
    LOOM_BF16,
    LOOM_I64,
    LOOM_I32,
    LOOM_I16,
    LOOM_I8,
    LOOM_U64,
    LOOM_U32,
    LOOM_U16,
    LOOM_U8,
    LOOM_BOOL
};

/* The most axes a tensor may have. */
enum { LOOM_RANK_LIMIT = 8 };

/* The name in files, "F32" and so on. */
const char *loom_dtype_name(enum loom_dtype dtype);
/* Bytes of one element. */
size_t loom_dtype_bytes(enum loom_dtype dtype);

/* One tensor of an open file; everything in it lives until the file is closed. */
struct loom_tensor_view {
    const char *path; /* the file's, for errors */
    const char *name;
    enum loom_dtype dtype;
    int rank; /* 0 for a scalar */
    uint64_t shape[LOOM_RANK_LIMIT];
    const unsigned char *data; /* not aligned */
    size_t bytes;
};

/* An open file. Read the fields, change none. */
struct loom_safetensors {
    char *path;
    struct loom_map map;
    json_t *header;                   /* keeps the names and the metadata */
    struct loom_tensor_view *tensors; /* (count), sorted by name */
    size_t count;
};

/* Maps and checks a whole file but for the values themselves. LOOM_FAILED when the file breaks the format, LOOM_IO when
 * it cannot be read. After a failure there is nothing to close. */
loom_status loom_safetensors_open(const char *path, struct loom_safetensors *file, struct loom_error *error);
/* Does nothing to a zeroed or closed file. */
void loom_safetensors_close(struct loom_safetensors *file);

/* The tensor of that name, or NULL. */
const struct loom_tensor_view *loom_safetensors_find(const struct loom_safetensors *file, const char *name);
/* The metadata string of that key, or NULL. */
const char *loom_safetensors_metadata(const struct loom_safetensors *file, const char *key);

/* Converts F64, F32, F16 or BF16 to out (n); a value too large for `real` becomes infinite. LOOM_INVALID when the
 * tensor has another dtype or not n elements. */
loom_status loom_safetensors_read_real(const struct loom_tensor_view *view, real *out, size_t n,
                                       struct loom_error *error);
/* Converts I64 or I32 to out (n). LOOM_INVALID as above; LOOM_FAILED when a value does not fit in an int. */
loom_status loom_safetensors_read_int(const struct loom_tensor_view *view, int *out, size_t n,
                                      struct loom_error *error);

/* A tensor to be written. */
struct loom_tensor_source {
    const char *name;
    enum loom_dtype dtype;
    int rank;
    uint64_t shape[LOOM_RANK_LIMIT];
    const void *data;             /* F32: an array of `real`, converted as it is written; others: the file's bytes */
    const struct loom_kernels *k; /* F32: in whose memory the array lies; NULL: the host's */
};

struct loom_metadata {
    const char *key, *value;
};

/* Writes the tensors in the given order, with the metadata and "format": "pt"; data begin at a multiple of 8 bytes. The
 * file appears whole or not at all. LOOM_INVALID when a name or a key is given twice (or is "format") or is not UTF-8.
 */
loom_status loom_safetensors_write(const char *path, const struct loom_tensor_source *tensors, size_t count,
                                   const struct loom_metadata *metadata, size_t metadata_count,
                                   struct loom_error *error);

#endif
