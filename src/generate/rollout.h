/* rollout.h - several answers to one prompt at a time, drawn with the kernels that train.
 *
 * The answers share their prompt, so that their caches stay of one length: each pass gives every answer one more token.
 * An answer ends behind its end mark, or where room or patience end. */
#ifndef LOOM_GENERATE_ROLLOUT_H
#define LOOM_GENERATE_ROLLOUT_H

#include "generate/sampler.h"
#include "model/model.h"

struct loom_rollout {
    const struct loom_model *model; /* borrowed; its weights may change between runs */
    size_t group, max_tokens;       /* G answers of at most so many tokens */
    const char *mark;               /* what ends an answer */
    struct loom_workspace ws;
    struct loom_cache cache;
    struct loom_sampler sampler;
    int *ids;                 /* (G, context) on the host: the pass at hand */
    int *held;                /* (G, context): what the cache holds */
    real *logits;             /* (G, V) on the host */
    float *row;               /* (V) */
    int *tokens;              /* (G, max_tokens): the answers, their marks included */
    size_t *lengths;          /* (G) */
    char **texts;             /* (G): what each says, without its mark; NUL-terminated */
    size_t *sizes;            /* (G) */
    bool *ended;              /* (G): by its mark */
    uint64_t written, passes; /* tokens of all answers so far, and passes */
};

/* `k` is the model's machine, perhaps counted. */
loom_status loom_rollout_open(struct loom_rollout *rollout, const struct loom_model *model,
                              const struct loom_kernels *k, size_t group, size_t max_tokens, double temperature,
                              const char *mark, struct loom_error *error);
void loom_rollout_close(struct loom_rollout *rollout);

/* Draws the answers to a prompt: a function of the weights, the prompt and the seed. LOOM_INVALID when the prompt
 * leaves no room in the context. */
loom_status loom_rollout_run(struct loom_rollout *rollout, const int *prompt, size_t count, uint64_t seed,
                             struct loom_error *error);

#endif
