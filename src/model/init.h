/* init.h - the spread of initial weights, by the config. */
#ifndef LOOM_MODEL_INIT_H
#define LOOM_MODEL_INIT_H

#include <math.h>

#include "model/config.h"
#include "model/tensors.h"

/* Of a matrix with n_in inputs. */
static inline double loom_init_std(const struct loom_config *c, size_t n_in) {
    return c->init_gain > 0 ? c->init_gain / sqrt((double)n_in) : LOOM_INIT_STD;
}

/* Of a projection with n_in inputs that ends on the residual stream. nanoGPT starts those smaller, by their number. */
static inline double loom_init_output_std(const struct loom_config *c, size_t n_in) {
    if (c->architecture == LOOM_ARCHITECTURE_GPT)
        return LOOM_INIT_STD / sqrt(2.0 * c->prelude_layers);
    return c->zero_init ? 0 : loom_init_std(c, n_in);
}

#endif
