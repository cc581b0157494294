/* sandbox.h - a program that nobody trusts, run where it can do no harm.
 *
 * The program sees /usr and the loader's folders, read-only, and one empty folder of its own, /tmp, in memory; no
 * network, no other process, no device, no other file of the machine. Time, memory, size of files, processes and output
 * are bounded, and when it ends, or its time is over, everything that it started ends with it. This takes Linux's
 * namespaces, resource limits and a filter of system calls, and no privilege; root drops to nobody first. Where the
 * system refuses any of it nothing is run, and the sentence says which step was refused. */
#ifndef LOOM_BASE_SANDBOX_H
#define LOOM_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct loom_sandbox_limits {
    double seconds;     /* of wall-clock time; processor time is bounded by the same */
    size_t memory;      /* bytes of address space of each process, and of memory of all together */
    size_t folder;      /* bytes in /tmp */
    size_t output;      /* bytes of output that are kept; what is beyond is dropped */
    unsigned processes; /* at once, threads included */
};

/* 10 s, 1 GiB, 16 MiB, 64 KiB, 32. */
struct loom_sandbox_limits loom_sandbox_default(void);

struct loom_sandbox_result {
    bool timed_out;
    bool out_of_memory; /* the processes together, which ends them */
    int code;           /* exit code, or 128 + the signal that ended it */
    char *output;       /* standard output and error as they came, NUL-terminated; freed with free() */
    size_t size;
};

/* Runs argv[0] (an absolute path) with `input` as its standard input. LOOM_OK says that it ran, whatever it did.
 * Several threads may run programs at once. */
loom_status loom_sandbox_run(const char *const *argv, const char *input, size_t input_size,
                             const struct loom_sandbox_limits *limits, struct loom_sandbox_result *result,
                             struct loom_error *error);

#endif
