/* lora.h - low-rank adapters: W + (alpha / r) B A in the place of a matrix W. Hu et al., arXiv 2106.09685.
 *
 * Any matrix of the table can have one, an expert's, a router's or an embedding as well: the sum is put where the
 * weight was, so that a forward pass knows nothing of it; gradient.h has the factors' gradients. Gradients, the
 * optimizer, the checkpoint and what is shared hold the factors alone. The base weights are kept apart, bit for bit. */
#ifndef LOOM_MODEL_LORA_H
#define LOOM_MODEL_LORA_H

#include "kernel/kernel.h"
#include "model/tensors.h"

#define LOOM_ADAPTER_FILE "adapter_model.safetensors"
#define LOOM_ADAPTER_CONFIG_FILE "adapter_config.json"

enum { LOOM_ADAPTER_TARGETS = 128 }; /* bytes of a list of patterns, the NUL included */

/* One matrix with an adapter. */
struct loom_lora_site {
    size_t weight, base; /* offsets: in the weights, and among the base weights kept apart */
    size_t a, b;         /* (r, in) and (out, r), offsets in the factors */
    size_t n_in, n_out;
};

struct loom_lora {
    struct loom_tensors factors;  /* the factors' own table, named as PEFT names them */
    struct loom_lora_site *sites; /* by their weights' offsets */
    size_t n_sites;
    size_t rank, base_elements, scratch_elements;
    double alpha;
    const struct loom_kernels *k; /* NULL: sizes alone */
    real *base;                   /* (base_elements) on the machine */
    real *scratch;                /* (scratch_elements) a scaled factor */
    int *starts;                  /* scratch on the host, enough for the groups of a product */
};

/* Finds the matrices whose names one of the patterns in the comma-separated list matches (as a shell's, over the whole
 * name without ".weight") and which have more than `rank` rows and columns. LOOM_INVALID when a pattern finds none.
 * With k NULL nothing but the tables is taken. */
loom_status loom_lora_open(struct loom_lora *lora, const struct loom_kernels *k, const struct loom_tensors *table,
                           const char *targets, int rank, double alpha, struct loom_error *error);
void loom_lora_close(struct loom_lora *lora);

/* Keeps the base of every site apart; before the first apply. */
void loom_lora_keep_base(struct loom_lora *lora, const real *weights);
/* weights = base + (alpha / r) B A at every site. */
void loom_lora_apply(const struct loom_lora *lora, real *weights, const real *factors);
/* The first site whose matrix ends behind this place in the weights, which may be the end of all sites. */
const struct loom_lora_site *loom_lora_from(const struct loom_lora *lora, size_t place);
/* The site whose matrix holds this place in the weights, or NULL. */
const struct loom_lora_site *loom_lora_at(const struct loom_lora *lora, size_t place);

#endif
