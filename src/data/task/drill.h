/* drill.h - generated problems that take a known number of steps of thought, with exact answers.
 *
 * A problem is a line: the number of steps in two digits, a colon, the question, "=", the answer, a newline; spaces
 * fill it up to the folder's record length. Every drill draws on one alphabet, so that a model of one may be tried on
 * another. Problem i is a function of (seed, i, steps).
 *
 *   pointer    f(f(...f(x))) where f is a random permutation of 16 letters, given as pairs
 *   phop       from a letter behind a random text back to its last occurrence, one letter on, and so again (Sanford et
 *              al., arXiv 2402.09268)
 *   s5         where a word of the permutation group S5 sends one of five things (Barrington 1989), asked after every
 *              letter
 *   modular    a chain of +, - and * of digits, modulo 10, asked after every operation
 *   addition   two numbers of so many digits, written column by column, lowest digit first
 *   story      a word problem: things come and go, and after every step it is asked how many are left
 *   maze       the first move of the shortest way through a 7 x 7 maze of so many moves */
#ifndef LOOM_DATA_DRILL_H
#define LOOM_DATA_DRILL_H

#include "base/random.h"
#include "base/status.h"
#include "base/text.h"

enum { LOOM_DRILL_STEPS_MAX = 99 };

/* Every character that a drill writes. */
#define LOOM_DRILL_ALPHABET "\n *+,-.0123456789:=#abcdefghijklmnopqrstuvwxyz"

/* A key of the manifest's: {"name", "length", "stepwise", "counts"}. */
#define LOOM_DRILL_KEY "drill"

/* A stream of random numbers for one problem. */
struct loom_dice {
    struct loom_random stream;
    uint64_t drawn;
};

uint64_t loom_dice_below(struct loom_dice *dice, uint64_t bound);
/* A random order of 0 .. n-1. */
void loom_dice_permute(struct loom_dice *dice, int *order, int n);

/* Which of a problem's questions make it right: each is a problem of its own; the last alone; or all of them. */
enum loom_drill_counts { LOOM_DRILL_EACH, LOOM_DRILL_LAST, LOOM_DRILL_ALL };
const char *loom_drill_counts_name(enum loom_drill_counts counts);

struct loom_drill {
    const char *name, *summary;
    int steps_max;
    /* Appends question, "=" and answer. */
    void (*write)(struct loom_dice *dice, int steps, struct loom_text *text);
    enum loom_drill_counts counts;
    /* The number of steps in front would tell what is still to come, or nothing that an answer needs: it is hidden. */
    bool hides;
};

/* NULL beyond the last, or when there is none of this name. */
const struct loom_drill *loom_drill_at(size_t index);
const struct loom_drill *loom_drill_find(const char *name);

/* Appends problem `index` of a seed, with its steps in front and a newline behind. */
void loom_drill_write(const struct loom_drill *drill, uint64_t seed, uint64_t index, int steps, struct loom_text *text);

/* The drills, each in a file of its kind. */
void loom_drill_pointer(struct loom_dice *dice, int steps, struct loom_text *text);
void loom_drill_phop(struct loom_dice *dice, int steps, struct loom_text *text);
void loom_drill_s5(struct loom_dice *dice, int steps, struct loom_text *text);
void loom_drill_modular(struct loom_dice *dice, int steps, struct loom_text *text);
void loom_drill_addition(struct loom_dice *dice, int steps, struct loom_text *text);
void loom_drill_story(struct loom_dice *dice, int steps, struct loom_text *text);
void loom_drill_maze(struct loom_dice *dice, int steps, struct loom_text *text);

#endif
