/* rollout.h - several answers to each of several prompts at a time, drawn with the kernels that train.
 *
 * A prompt is read once. Then each pass gives every answer one more token, so that their caches stay of one length:
 * shorter prompts begin later, and what lies before them is hidden as another document would be. An answer ends behind
 * its end mark, or where room or patience end. */
#ifndef LOOM_GENERATE_ROLLOUT_H
#define LOOM_GENERATE_ROLLOUT_H

#include "generate/sampler.h"
#include "model/model.h"

/* What is asked; the seed decides its answers. */
struct loom_prompt {
    const int *tokens;
    size_t count;
    uint64_t seed;
};

struct loom_rollout {
    const struct loom_model *model; /* borrowed; its weights may change between runs */
    size_t prompts, group;          /* P prompts at most, G answers to each: N = P G */
    size_t max_tokens;              /* of an answer */
    const char *mark;               /* what ends an answer */
    struct loom_workspace ws;
    struct loom_cache cache;
    struct loom_sampler sampler;
    size_t answers;           /* of the run at hand: its prompts times G; those of a prompt lie side by side */
    int *ids;                 /* (N, context) on the host: the pass at hand */
    int *first;               /* (N, context): the first key that each of its tokens sees */
    int *held;                /* (N, context): what the cache holds */
    size_t *begin;            /* (N): where in the cache the prompt begins */
    real *logits;             /* (N, V) on the host */
    float *row;               /* (V) */
    int *tokens;              /* (N, max_tokens): the answers, their marks included */
    size_t *lengths;          /* (N) */
    char **texts;             /* (N): what each says, without its mark; NUL-terminated */
    size_t *sizes;            /* (N) */
    bool *ended;              /* (N): by its mark */
    uint64_t written, passes; /* tokens of all answers so far, and passes */
};

/* `k` is the model's machine, perhaps counted. rollout->prompts then tells how many prompts a run may have: one where
 * positions are learned, since a later beginning would be another. */
loom_status loom_rollout_open(struct loom_rollout *rollout, const struct loom_model *model,
                              const struct loom_kernels *k, size_t prompts, size_t group, size_t max_tokens,
                              double temperature, const char *mark, struct loom_error *error);
void loom_rollout_close(struct loom_rollout *rollout);

/* Draws the answers to `count` prompts, at most rollout->prompts: a function of the weights, the prompts and their
 * seeds. LOOM_INVALID when a prompt leaves no room in the context. */
loom_status loom_rollout_run(struct loom_rollout *rollout, const struct loom_prompt *prompts, size_t count,
                             struct loom_error *error);

#endif
