/* muon.h - Muon: momentum, made orthogonal, is the step of a matrix. Jordan et al., kellerjordan.github.io/posts/muon,
 * 2024.
 *
 *   m = momentum m + (1 - momentum) g;  u = (1 - momentum) g + momentum m       Nesterov
 *   u = the nearest matrix with orthonormal rows (or columns), by a few polynomials of u u^T: Polar Express, arXiv
 *       2505.16932
 *   w -= learning rate * u', where u' is u with NorMuon's rows, and decay (kernel.h: muon)
 *
 * A matrix may be cut into blocks of rows, each made orthogonal by itself: its products then cost the less, the smaller
 * the blocks. All blocks of one shape go through each product together. */
#ifndef LOOM_TRAIN_MUON_H
#define LOOM_TRAIN_MUON_H

#include "kernel/kernel.h"
#include "model/tensors.h"
#include "train/recipe.h"

/* A matrix, and where its blocks lie among those of its shape. */
struct loom_muon_matrix {
    size_t offset, first, blocks;
};

/* All blocks of one shape. */
struct loom_muon_shape {
    size_t rows, cols, blocks;
    struct loom_muon_matrix *matrices;
    size_t n_matrices;
    int *rows_of, *gram_of; /* on the machine: group offsets of products over the blocks and over their Gram matrices */
};

struct loom_muon_plan {
    const struct loom_kernels *k;
    struct loom_muon_shape *shapes;
    size_t n_shapes;
    size_t block_elements, gram_elements; /* of the largest shape */
    real *u, *next;                       /* (block_elements) */
    real *gram, *square;                  /* (gram_elements) */
};

struct loom_muon_step {
    double learning_rate, momentum, correction2;
    real gradient_scale;
};

/* Whether Muon updates this tensor by this recipe. */
bool loom_muon_takes(const struct loom_tensor *tensor, const struct loom_recipe *recipe);

/* Without a tensor to take, the plan is empty and an update does nothing. */
loom_status loom_muon_open(struct loom_muon_plan *plan, const struct loom_kernels *k, const struct loom_tensors *table,
                           const struct loom_recipe *recipe, struct loom_error *error);
void loom_muon_close(struct loom_muon_plan *plan);
/* Elements of scratch. */
size_t loom_muon_scratch(const struct loom_muon_plan *plan);

/* m holds each matrix's momentum, v its rows' second moments in its first elements. */
void loom_muon_update(struct loom_muon_plan *plan, const struct loom_recipe *recipe, const struct loom_muon_step *step,
                      real *weights, real *m, real *v, const real *gradients);

#endif
