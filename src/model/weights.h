/* weights.h - flat blocks of tensors as safetensors files. */
#ifndef LOOM_MODEL_WEIGHTS_H
#define LOOM_MODEL_WEIGHTS_H

#include "model/safetensors.h"
#include "model/tensors.h"

/* One block in a file: its tensors are called PREFIX + the table's names. */
struct loom_weights_block {
    const char *prefix; /* "" for the weights themselves */
    real *data;         /* (table->elements) on the host */
    /* For writing alone: in whose memory `data` lies; NULL: the host's. */
    const struct loom_kernels *k;
    /* For reading alone: takes each tensor when it has been read, and `data` has room for the largest only. NULL: none.
     */
    void (*put)(void *user, const struct loom_tensor *tensor, const real *data);
    void *user;
};

/* Reads every block. The file must hold exactly their tensors, as F32, with the table's shapes; LOOM_FAILED names the
 * first that is missing, differs, or is not expected. */
loom_status loom_weights_read(const char *path, const struct loom_tensors *table,
                              const struct loom_weights_block *blocks, size_t count, struct loom_error *error);

/* Writes the blocks; buffers are left out of blocks with a prefix. */
loom_status loom_weights_write(const char *path, const struct loom_tensors *table,
                               const struct loom_weights_block *blocks, size_t count, struct loom_error *error);

#endif
