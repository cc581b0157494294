/* twins.h - the half of loom race that compares a looped model with its dense twins. */
#ifndef LOOM_PROGRAMS_TWINS_H
#define LOOM_PROGRAMS_TWINS_H

#include "args.h"

struct twins_request {
    struct loom_twins_options options; /* task, test and limit */
    int loops[LOOP_COUNTS_MAX], n_loops;
};

/* Runs it with what all races have in common, and prints what came of it; returns the exit code. */
int race_twins(const struct loom_race_options *common, const struct twins_request *request, bool json);

#endif
