/* sandbox_memory.h - what a process and all that it started hold in memory, as seen from without. */
#ifndef LOOM_BASE_SANDBOX_MEMORY_H
#define LOOM_BASE_SANDBOX_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whether `process` and its descendants hold more than `limit` bytes together. Pages that several of them share count
 * once. A system whose /proc does not list children (CONFIG_PROC_CHILDREN) answers for `process` alone. */
bool loom_sandbox_memory_exceeds(pid_t process, size_t limit);

#endif
