/* sampler.h - one token from logits: temperature, top-k, top-p (Holtzman et al., arXiv 1904.09751), in that order. */
#ifndef LOOM_GENERATE_SAMPLER_H
#define LOOM_GENERATE_SAMPLER_H

#include "base/random.h"
#include "base/status.h"

struct loom_candidate {
    int token;
    float logit;
    double weight;
};

struct loom_sampler {
    double temperature; /* 0: the token with the largest logit */
    int top_k;          /* 0: all */
    double top_p;       /* 1: all */
    uint64_t seed;
    int vocab_size;
    struct loom_candidate *candidates; /* (vocab_size) */
};

/* LOOM_INVALID when a value is out of its range. */
loom_status loom_sampler_open(struct loom_sampler *sampler, struct loom_error *error);
void loom_sampler_close(struct loom_sampler *sampler);

/* The token drawn at `position`: a function of seed, position and logits alone. LOOM_FAILED when no logit is finite. */
loom_status loom_sampler_draw(const struct loom_sampler *sampler, const float *logits, uint64_t position, int *token,
                              struct loom_error *error);

#endif
