/* sandbox_memory.c - see sandbox_memory.h.
 *
 * Resident pages are cheap to read but counted by every process that shares them; the proportional share is exact but
 * walks page tables. So the first is asked always, the second only where the first is too much. */
#include "base/sandbox_memory.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES_MAX = 256 };

struct family {
    pid_t members[PROCESSES_MAX];
    size_t count;
};

/* The file's first bytes as text; false when there is no such file any more. */
static bool read_text(const char *path, char *text, size_t size) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    ssize_t n = read(descriptor, text, size - 1);
    close(descriptor);
    text[n < 0 ? 0 : n] = '\0';
    return n > 0;
}

static void add_children(struct family *family, pid_t process, const char *thread) {
    char path[64], text[4096], *end;
    snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", (int)process, thread);
    if (!read_text(path, text, sizeof text))
        return;
    for (char *at = text; family->count < PROCESSES_MAX; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at)
            return;
        family->members[family->count++] = (pid_t)child;
    }
}

/* A child belongs to the thread that started it. */
static void add_children_of_threads(struct family *family, pid_t process) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *threads = opendir(path);
    struct dirent *entry;
    while (threads && (entry = readdir(threads)))
        if (isdigit((unsigned char)entry->d_name[0]))
            add_children(family, process, entry->d_name);
    if (threads)
        closedir(threads);
}

static size_t resident(pid_t process) {
    char path[32], text[128];
    unsigned long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)process);
    if (!read_text(path, text, sizeof text) || sscanf(text, "%*u %lu", &pages) != 1)
        return 0;
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Its part of what it shares, and what it has alone; resident memory where the system does not tell. */
static size_t proportional(pid_t process) {
    char path[40], text[1024];
    unsigned long kilobytes;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)process);
    const char *line = read_text(path, text, sizeof text) ? strstr(text, "\nPss:") : NULL;
    return line && sscanf(line, "\nPss: %lu", &kilobytes) == 1 ? (size_t)kilobytes << 10 : resident(process);
}

static size_t sum(const struct family *family, size_t (*held)(pid_t process)) {
    size_t bytes = 0;
    for (size_t i = 0; i < family->count; i++)
        bytes += held(family->members[i]);
    return bytes;
}

bool loom_sandbox_memory_exceeds(pid_t process, size_t limit) {
    struct family family = {.members = {process}, .count = 1};
    for (size_t i = 0; i < family.count; i++)
        add_children_of_threads(&family, family.members[i]);
    return sum(&family, resident) > limit && sum(&family, proportional) > limit;
}
