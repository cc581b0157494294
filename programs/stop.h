/* stop.h - the first SIGINT or SIGTERM asks long work to save and stop; a second one of the same kind ends the process
 * at once. */
#ifndef LOOM_PROGRAMS_STOP_H
#define LOOM_PROGRAMS_STOP_H

#include <signal.h>

/* Begins to listen; the flag becomes the signal's number. */
const volatile sig_atomic_t *stop_listen(void);

#endif
