/* stop.h - the first SIGINT or SIGTERM asks long work to save and stop; one more, some time later, ends the
 * process at once. What comes within the same moment is the first once more: timeout(1), for one, signals a process and
 * then the group that it is in. */
#ifndef LOOM_PROGRAMS_STOP_H
#define LOOM_PROGRAMS_STOP_H

#include <signal.h>

/* Begins to listen; the flag becomes the signal's number. */
const volatile sig_atomic_t *stop_listen(void);

#endif
