/* status.h - how a function says what went wrong.
 *
 * A function that can fail returns a loom_status and, when it fails, fills one sentence with the name and the numbers
 * of the thing at fault. Nothing in the library prints or exits. */
#ifndef LOOM_BASE_STATUS_H
#define LOOM_BASE_STATUS_H

#include <loom/loom.h>

/* Fills `error` (which may be NULL) with the formatted sentence; returns `status`, so that a caller can write
 * `return loom_fail(error, LOOM_INVALID, "...", ...)`. A sentence too long for the buffer is cut. */
__attribute__((format(printf, 3, 4))) loom_status loom_fail(struct loom_error *error, loom_status status,
                                                            const char *format, ...);

/* The sentence for an allocation of `bytes` that failed; returns LOOM_NO_MEMORY. */
loom_status loom_fail_memory(struct loom_error *error, const char *what, size_t bytes);

/* The sentence for a system call that failed: "WHAT PATH: strerror(errno)"; returns LOOM_IO. */
loom_status loom_fail_system(struct loom_error *error, const char *what, const char *path);

#endif
