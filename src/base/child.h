/* child.h - a program that runs beside this one and whose output is read.
 *
 * Without a shell: the arguments reach the program as they are. Its standard input is empty; what it says on standard
 * error is kept, to be quoted in a sentence when it fails. */
#ifndef LOOM_BASE_CHILD_H
#define LOOM_BASE_CHILD_H

#include <sys/types.h>

#include "base/status.h"

struct loom_child {
    pid_t process; /* 0: none */
    int output;    /* its standard output, to read from; -1 when closed */
    int messages;  /* a temporary file that is its standard error */
};

/* Starts `program`, a path or a name to be found in PATH, with a NULL-terminated argument list. */
loom_status loom_child_open(struct loom_child *child, const char *program, char *const *arguments,
                            struct loom_error *error);
/* Waits for its end. *code is the exit code, or 128 + the signal that ended it. `words` gets what it said on
 * standard error, cut to `size`: the first line that names an error, else the last one. */
void loom_child_wait(struct loom_child *child, int *code, char *words, size_t size);
/* Ends it if it still runs, and closes all. */
void loom_child_close(struct loom_child *child);

#endif
