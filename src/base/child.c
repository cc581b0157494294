/* child.c - see child.h. */
#define _GNU_SOURCE /* pipe2, mkostemp */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MESSAGES_READ = 64 << 10, PIPE_BYTES = 1 << 20 };

/* A file without a name: standard error may be longer than a pipe holds while nobody reads it. */
static int open_nameless(void) {
    char name[] = "/tmp/loom-messages-XXXXXX";
    int descriptor = mkostemp(name, O_CLOEXEC);
    if (descriptor >= 0)
        unlink(name);
    return descriptor;
}

/* The child is a process group of its own, so that ending it also ends what it has started, and a key that interrupts
 * this program does not cut the child off before the work is saved. */
static int spawn(struct loom_child *child, int output, const char *program, char *const *arguments) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child->messages, STDERR_FILENO);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int failed = posix_spawnp(&child->process, program, &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

loom_status loom_child_open(struct loom_child *child, const char *program, char *const *arguments,
                            struct loom_error *error) {
    int ends[2];
    *child = (struct loom_child){0, -1, open_nameless()};
    if (child->messages < 0)
        return loom_fail_system(error, "cannot create a temporary file in", "/tmp");
    if (pipe2(ends, O_CLOEXEC) != 0) {
        loom_status status = loom_fail_system(error, "cannot start", program);
        loom_child_close(child);
        return status;
    }
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); /* the child works ahead; a smaller pipe is only slower */
    int failed = spawn(child, ends[1], program, arguments);
    close(ends[1]);
    child->output = ends[0];
    if (!failed)
        return LOOM_OK;
    child->process = 0;
    loom_child_close(child);
    errno = failed;
    return loom_fail_system(error, "cannot start", program);
}

static void last_line(char *text, char *words, size_t size) {
    size_t end = strlen(text);
    while (end > 0 && strchr(" \r\n", text[end - 1]))
        text[--end] = '\0';
    const char *line = strrchr(text, '\n');
    strncpy(words, line ? line + 1 : text, size - 1);
    words[size - 1] = '\0';
}

/* Programs that point at the place of an error say what it is before: the first line that names an error wins. */
static void read_words(const struct loom_child *child, char *words, size_t size) {
    static char *const marks[] = {"Error: ", "error: "};
    char *text = calloc(1, MESSAGES_READ + 1), *found = NULL;
    ssize_t got = text ? pread(child->messages, text, MESSAGES_READ, 0) : 0;
    words[0] = '\0';
    if (got > 0) {
        for (size_t i = 0; !found && i < sizeof marks / sizeof *marks; i++)
            found = strstr(text, marks[i]);
        if (found)
            found[strcspn(found, "\n")] = '\0';
        while (found && found > text && found[-1] != '\n')
            found--;
        last_line(found ? found : text, words, size);
    }
    free(text);
}

static int wait_code(pid_t process) {
    int state = 0;
    while (waitpid(process, &state, 0) < 0)
        if (errno != EINTR)
            return 127;
    return WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state);
}

void loom_child_wait(struct loom_child *child, int *code, char *words, size_t size) {
    *code = wait_code(child->process);
    child->process = 0;
    read_words(child, words, size);
}

void loom_child_close(struct loom_child *child) {
    if (child->process > 0) {
        kill(-child->process, SIGKILL);
        wait_code(child->process);
    }
    if (child->output >= 0)
        close(child->output);
    if (child->messages >= 0)
        close(child->messages);
    *child = (struct loom_child){0, -1, -1};
}
