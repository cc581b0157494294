/* drills.h - learning and scoring generated problems (data/task/drill.h) whose number of steps is known.
 *
 * A batch holds problems of one number of steps, which the step's number draws; only the answer's characters are
 * targets. With loops = steps the core runs once for each step of the problem. Early in training the most steps rise
 * from the fewest to all, one more whenever the longest are answered well, and half of the batches are of the longest
 * (a curriculum, Bengio et al. 2009). Where a gate chooses the loops it learns the steps of each problem, also of
 * problems longer than any that is answered in training. */
#ifndef LOOM_TRAIN_DRILLS_H
#define LOOM_TRAIN_DRILLS_H

#include "data/tokens/batch.h"
#include "data/task/drill.h"
#include "train/objective.h"

/* The problems of one split, by their steps: those of s steps are order[begin[s]] .. order[begin[s+1]-1]. */
struct loom_drill_split {
    uint32_t *order;
    size_t begin[LOOM_DRILL_STEPS_MAX + 2];
};

struct loom_drills {
    const struct loom_tokens *tokens;
    size_t length; /* of a record, in tokens; 0: the folder holds no drill */
    bool hides;    /* the number of steps is not shown */
    enum loom_drill_counts counts;
    int low, high;                    /* steps */
    int equals, newline, space, mask; /* token ids */
    int *record;                      /* (length) scratch */
    struct loom_drill_split splits[LOOM_SPLITS];
};

/* Looks whether the token folder `path` holds a drill, and finds its problems. */
loom_status loom_drills_open(struct loom_drills *drills, const char *path, const struct loom_tokens *tokens,
                             struct loom_error *error);
void loom_drills_close(struct loom_drills *drills);

/* How many problems of so many steps a split has. */
size_t loom_drills_count(const struct loom_drills *drills, enum loom_split split, int steps);

/* The `count` problems `rows` among those of so many steps: inputs, and as targets the answers alone. seq is at least
 * length - 1. *targets is their number. */
loom_status loom_drills_get(const struct loom_drills *drills, enum loom_split split, int steps, const size_t *rows,
                            size_t count, size_t seq, const struct loom_batch *batch, size_t *targets,
                            struct loom_error *error);

/* A training batch of number `micro`. */
struct loom_drill_draw {
    uint64_t seed, micro;
    int most;  /* steps of its problems at most, */
    bool half; /* half of the time just that many */
    size_t rows, seq;
    const struct loom_batch *batch; /* (rows, seq) */
    /* (rows, seq): the loops, less one, that a gate is to learn; NULL: there is no gate. They are the problem's steps
     * where it is answered; of some of the other tokens one loop or, with `whole`, the same; of the rest -1. The last
     * quarter of the rows then is for the gate alone: problems of any steps, whose answers are no targets. */
    int *depths;
    bool whole;
};

/* *steps is that of the batch's problems, *targets how many answers' characters there are. */
loom_status loom_drills_draw(const struct loom_drills *drills, const struct loom_drill_draw *draw, int *steps,
                             size_t *targets, struct loom_error *error);

struct loom_drill_score {
    uint64_t problems, right; /* right: every character of the answer is the likeliest */
    double loss;              /* sum over the answers' characters */
    uint64_t targets;
    uint64_t loops; /* sum over these, where tokens leave */
};

/* Scores up to `limit` validation problems of so many steps. */
struct loom_drill_test {
    const real *weights;
    size_t batch, seq;
    int steps, loops;
    size_t limit;
    const struct loom_batch *scratch;
    struct loom_cache *cache; /* NULL: every loop is run; else tokens leave as the model's halting has it */
    const volatile sig_atomic_t *stop;
};

loom_status loom_drills_score(const struct loom_drills *drills, struct loom_workspace *ws,
                              const struct loom_drill_test *test, struct loom_drill_score *score,
                              struct loom_error *error);

#endif
