/* twin.h - the dense twin of a looped preset: the same block, width and training without loop and experts, as large, or
 * with as much work in a step. */
#ifndef LOOM_EVAL_TWIN_H
#define LOOM_EVAL_TWIN_H

#include <loom/loom.h>

enum { LOOM_TWIN_SETTINGS = 7 };

/* What makes the preset the twin, as settings behind those of the preset; not to be moved once found. */
struct loom_twin {
    struct loom_setting settings[LOOM_TWIN_SETTINGS];
    char blocks[16], width[16];
    uint64_t parameters;
    double flops_per_step;
};

struct loom_twin_target {
    const char *preset;
    const struct loom_setting *settings;
    size_t n_settings;
    int vocab_size;
    size_t seq;            /* tokens of a row, for the work */
    double parameters;     /* to be met, or 0 */
    double flops_per_step; /* to be met where parameters are 0 */
};

/* LOOM_INVALID when the preset is none of the architecture `loom` with a loop. */
loom_status loom_twin_check(const struct loom_twin_target *target, struct loom_error *error);

/* Finds the feed-forward's width that comes nearest the target. As large: as many blocks as the looped model has. With
 * as much work: as many as it runs, or the most that leave the feed-forward some width. */
loom_status loom_twin_find(const struct loom_twin_target *target, struct loom_twin *twin, struct loom_error *error);

#endif
