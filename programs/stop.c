/* stop.c - see stop.h. The flag is the one variable of the program outside its functions: a handler is given nothing to
 * keep it in. */
#include "stop.h"

#include <stddef.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int number) {
    stop_signal = number;
}

const volatile sig_atomic_t *stop_listen(void) {
    /* A write that the signal meets is taken up again (SA_RESTART). */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &stop_signal;
}
