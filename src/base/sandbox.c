/* sandbox.c - the sandbox from without: pipes, the clock, and the end. See sandbox.h. */
#define _GNU_SOURCE
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sandbox_inside.h"
#include "base/sandbox_memory.h"

/* How often it is asked what the processes hold together. */
enum { WATCH_MILLISECONDS = 50 };

struct loom_sandbox_limits loom_sandbox_default(void) {
    return (struct loom_sandbox_limits){
        .seconds = 10, .memory = (size_t)1 << 30, .folder = (size_t)16 << 20, .output = 1 << 16, .processes = 32};
}

/* Our ends and theirs. */
struct pipes {
    int input[2], output[2], report[2];
};

static void shut(int *descriptor) {
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

static void close_pipes(struct pipes *p) {
    for (int i = 0; i < 2; i++) {
        shut(&p->input[i]);
        shut(&p->output[i]);
        shut(&p->report[i]);
    }
}

static bool open_pipes(struct pipes *p) {
    *p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
    bool opened = pipe2(p->input, O_CLOEXEC) == 0 && pipe2(p->output, O_CLOEXEC) == 0 &&
                  pipe2(p->report, O_CLOEXEC) == 0 && fcntl(p->input[1], F_SETFL, O_NONBLOCK) == 0 &&
                  fcntl(p->output[0], F_SETFL, O_NONBLOCK) == 0;
    return opened;
}

/* ---- talking ----------------------------------------------------------------------------------------------------- */

struct talk {
    struct pipes *pipes;
    pid_t process;
    size_t memory_max;
    const char *input;
    size_t input_size, sent;
    size_t output_max;
    struct loom_sandbox_result *result;
};

static void send_some(struct talk *t) {
    ssize_t n = write(t->pipes->input[1], t->input + t->sent, t->input_size - t->sent);
    if (n > 0)
        t->sent += (size_t)n;
    bool refused = n < 0 && errno != EAGAIN && errno != EINTR;
    if (refused || t->sent == t->input_size)
        shut(&t->pipes->input[1]);
}

static void receive_some(struct talk *t) {
    char buffer[4096];
    ssize_t n = read(t->pipes->output[0], buffer, sizeof buffer);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        shut(&t->pipes->output[0]);
        return;
    }
    size_t room = t->output_max - t->result->size, kept = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    memcpy(t->result->output + t->result->size, buffer, kept);
    t->result->size += kept;
}

/* Whether there is nothing more to wait for: the time is over, or the memory. */
static bool is_over(struct talk *t, double left) {
    t->result->timed_out = left <= 0;
    t->result->out_of_memory = left > 0 && loom_sandbox_memory_exceeds(t->process, t->memory_max);
    return t->result->timed_out || t->result->out_of_memory;
}

/* Until nothing can be said any more and the outer process has ended, whose end of the report closes then. A program
 * that has closed its output may still run. */
static void talk(struct talk *t, double deadline) {
    bool running = true;
    double asked = 0;
    while (running || t->pipes->output[0] >= 0) {
        double now = loom_clock(), left = deadline - now;
        if (left <= 0 || now - asked >= WATCH_MILLISECONDS / 1e3) {
            if (is_over(t, left))
                return;
            asked = now;
        }
        struct pollfd watched[3] = {{t->pipes->output[0], POLLIN, 0},
                                    {t->pipes->input[1], POLLOUT, 0},
                                    {running ? t->pipes->report[0] : -1, 0, 0}};
        if (poll(watched, 3, (int)fmin(ceil(left * 1000), WATCH_MILLISECONDS)) < 0 && errno != EINTR)
            return;
        if (watched[1].revents)
            send_some(t);
        if (watched[0].revents)
            receive_some(t);
        running = running && !(watched[2].revents & (POLLHUP | POLLERR));
    }
}

/* A broken pipe is an error of write for us, not a signal; for this thread alone, as others may be talking, too. */
static void talk_unsignalled(struct talk *t, double deadline) {
    const struct timespec at_once = {0};
    sigset_t broken, before;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
    talk(t, deadline);
    while (!sigismember(&before, SIGPIPE) && sigtimedwait(&broken, NULL, &at_once) == SIGPIPE)
        continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static int wait_for(pid_t process) {
    int state = 0;
    while (waitpid(process, &state, 0) < 0 && errno == EINTR)
        continue;
    return WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state);
}

static loom_status read_refusal(int report, struct loom_error *error) {
    struct loom_sandbox_refusal refusal;
    ssize_t n;
    do
        n = read(report, &refusal, sizeof refusal);
    while (n < 0 && errno == EINTR);
    if (n != sizeof refusal)
        return LOOM_OK;
    return loom_fail(error, LOOM_FAILED,
                     "the sandbox could not be set up, and nothing was run: %s: %s; it needs a Linux that grants "
                     "unprivileged user namespaces",
                     refusal.step, strerror(refusal.number));
}

loom_status loom_sandbox_run(const char *const *argv, const char *input, size_t input_size,
                             const struct loom_sandbox_limits *limits, struct loom_sandbox_result *result,
                             struct loom_error *error) {
    struct pipes pipes;
    *result = (struct loom_sandbox_result){.output = calloc(limits->output + 1, 1)};
    if (!result->output)
        return loom_fail_memory(error, "a program's output", limits->output + 1);
    pid_t process = open_pipes(&pipes) ? fork() : -1;
    if (process < 0) {
        close_pipes(&pipes);
        return loom_fail_system(error, "cannot start", argv[0]);
    }
    if (process == 0) {
        shut(&pipes.input[1]);
        shut(&pipes.output[0]);
        shut(&pipes.report[0]);
        struct loom_sandbox_child child = {argv, limits, pipes.input[0], pipes.output[1], pipes.report[1]};
        loom_sandbox_enter(&child);
    }
    shut(&pipes.input[0]);
    shut(&pipes.output[1]);
    shut(&pipes.report[1]);
    struct talk t = {&pipes, process, limits->memory, input, input_size, 0, limits->output, result};
    if (input_size == 0)
        shut(&pipes.input[1]);
    talk_unsignalled(&t, loom_clock() + limits->seconds);
    if (result->timed_out || result->out_of_memory) {
        kill(-process, SIGKILL);
        kill(process, SIGKILL); /* it may not have its group yet */
    }
    result->code = wait_for(process);
    loom_status status = read_refusal(pipes.report[0], error);
    close_pipes(&pipes);
    return status;
}
