/* tensors.h - the one tensor table: name, shape, place, initial values.
 *
 * Layers declare their tensors once, in order; each declaration returns an offset. Weights, gradients and the
 * optimizer's moments are flat blocks of the same size, and `block + offset` is the tensor in any of them. Names are
 * those of the reference's state_dict. */
#ifndef LOOM_MODEL_TENSORS_H
#define LOOM_MODEL_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/real.h"
#include "base/status.h"

enum { LOOM_RANK_MAX = 3, LOOM_NAME_MAX = 96 };

/* The offset of a tensor that a model does not have. */
static const size_t LOOM_NO_TENSOR = SIZE_MAX;

/* Standard deviation of initial weights: GPT-2's and the reference's. */
static const double LOOM_INIT_STD = 0.02;

/* What a tensor of two dimensions does: an optimizer may treat them apart. */
enum loom_tensor_kind {
    LOOM_TENSOR_HIDDEN,    /* a product inside the network */
    LOOM_TENSOR_EMBEDDING, /* rows taken by an index */
    LOOM_TENSOR_HEAD       /* rows that score the vocabulary */
};

struct loom_tensor {
    char name[LOOM_NAME_MAX];
    int rank;
    size_t shape[LOOM_RANK_MAX];
    size_t offset, count; /* in elements of the flat block */
    double mean, std;     /* initial values: N(mean, std), or the constant `mean` when std is 0 */
    bool buffer;          /* not trained by gradient */
    bool twin;            /* starts with the random numbers of the tensor before it */
    enum loom_tensor_kind kind;
};

struct loom_tensors {
    struct loom_tensor *items;
    size_t count, capacity;
    size_t elements; /* of the flat block */
    bool failed;     /* memory was short in some declaration */
};

/* What a declaration says beside its name. */
struct loom_tensor_spec {
    size_t rows, cols; /* rows == 0: rank 1 of shape (cols) */
    double mean, std;
    bool buffer, twin;
    enum loom_tensor_kind kind;
};

/* The name is PREFIX followed by the formatted rest. Returns the tensor's offset; sets `failed` when memory is short.
 */
__attribute__((format(printf, 4, 5))) size_t loom_tensors_add(struct loom_tensors *table, struct loom_tensor_spec spec,
                                                              const char *prefix, const char *format, ...);
void loom_tensors_free(struct loom_tensors *table);

/* NULL when there is none of this name. */
const struct loom_tensor *loom_tensors_find(const struct loom_tensors *table, const char *name);

/* Trained elements: all but the buffers. */
uint64_t loom_tensors_parameters(const struct loom_tensors *table);

/* Fills the host block `weights` with initial values: a function of seed and tensor index alone. */
void loom_tensors_init(const struct loom_tensors *table, real *weights, uint64_t seed);

/* The tensor at `offset` in a block, or NULL. */
static inline const real *loom_at(const real *block, size_t offset) {
    return offset == LOOM_NO_TENSOR ? NULL : block + offset;
}

#endif
