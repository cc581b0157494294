/* stop.c - see stop.h. The flag, and when it was set, are the variables of the program outside its functions: a handler
 * is given nothing to keep them in. */
#include "stop.h"

#include <stddef.h>
#include <time.h>

static volatile sig_atomic_t stop_signal, stop_second;

static void on_signal(int number) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (stop_signal && now.tv_sec - stop_second > 1) {
        signal(number, SIG_DFL);
        raise(number); /* once this has returned */
    }
    if (stop_signal)
        return;
    stop_second = (sig_atomic_t)now.tv_sec;
    stop_signal = number;
}

const volatile sig_atomic_t *stop_listen(void) {
    /* A write that the signal meets is taken up again (SA_RESTART). */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &stop_signal;
}
