/* progress.h - what a person sees on standard error while long work runs.
 *
 * On a terminal one live line is redrawn in place, at most ten times a second; evaluations, samples and notes scroll
 * above it. Elsewhere there are plain lines: one for each evaluation and note, and a step line every five seconds.
 * Nothing goes to standard output. NO_COLOR is respected. */
#ifndef LOOM_PROGRAMS_PROGRESS_H
#define LOOM_PROGRAMS_PROGRESS_H

#include <stdbool.h>

#include <loom/loom.h>

struct progress {
    bool terminal, color;
    bool live;    /* the live line is on the screen */
    double drawn; /* when a step was last shown, by the monotonic clock */
};

/* Finds out what standard error is. */
void progress_open(struct progress *progress);

/* A loom_event_function; `user` is the struct progress. */
void progress_event(void *user, const struct loom_event *event);

/* The same for a preparation; `user` is the struct progress. */
void progress_prepare(void *user, const struct loom_prepare_progress *done);

/* And for the training of a tokenizer. */
void progress_tokenizer(void *user, const struct loom_tokenizer_train_progress *done);

/* Takes the live line off the screen, so that what is printed next starts on an empty line. */
void progress_close(struct progress *progress);

#endif
