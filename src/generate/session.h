/* session.h - one sequence over a model, for the rest of the library; the contract is in loom.h. */
#ifndef LOOM_GENERATE_SESSION_H
#define LOOM_GENERATE_SESSION_H

#include "model/model.h"

struct loom_session {
    const struct loom_model *model;
    struct loom_workspace ws;
    struct loom_cache cache;
    int *tokens; /* (capacity) what the cache holds */
    size_t capacity;
    bool exit;     /* halted tokens take no further loop; then loads are counted */
    float *logits; /* (V) on the host */
    real *scratch; /* (V) on the host */
};

#endif
