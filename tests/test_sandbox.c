/* test_sandbox.c - programs that behave, and programs that do not, in the sandbox. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/sandbox.h"

static const char *const shell = "/bin/sh", *const python = "/usr/bin/python3";
static bool granted; /* whether this system lets a sandbox be set up at all */

static struct loom_sandbox_limits limits_of(double seconds) {
    struct loom_sandbox_limits limits = loom_sandbox_default();
    limits.seconds = seconds;
    limits.memory = (size_t)512 << 20;
    return limits;
}

/* Runs a script; its output must be freed. */
static struct loom_sandbox_result run_script(const char *program, const char *script, double seconds) {
    const char *const argv[] = {program, program == python ? "-" : "-s", NULL};
    struct loom_sandbox_limits limits = limits_of(seconds);
    struct loom_sandbox_result result;
    struct loom_error error;
    if (!granted || access(program, X_OK) != 0)
        skip();
    if (loom_sandbox_run(argv, script, strlen(script), &limits, &result, &error))
        fail_msg("%s", error.text);
    return result;
}

/* The script ends with this code and says this. */
static void expect_run(const char *program, const char *script, int code, const char *says) {
    struct loom_sandbox_result result = run_script(program, script, 20);
    if (result.timed_out || result.code != code || !strstr(result.output, says))
        fail_msg("code %d, not %d, and said \"%s\", not \"%s\"", result.code, code, result.output, says);
    free(result.output);
}

static void test_runs(void **state) {
    (void)state;
    expect_run(shell, "echo out; echo error >&2; exit 7", 7, "out\nerror\n");
    expect_run(shell, "kill -SEGV $$", 128 + SIGSEGV, "");
    expect_run(shell, "pwd; ls -A /tmp | wc -l", 0, "/tmp\n0\n");
    expect_run(shell, "echo mine >file && cat file", 0, "mine");
    expect_run(python, "print(sum(range(10)))", 0, "45");
    expect_run(python, "assert 1 == 2", 1, "AssertionError");
}

/* ---- where it may not go ----------------------------------------------------------------------------------------- */

static void test_files(void **state) {
    (void)state;
    expect_run(shell, "echo x >/usr/hostile || echo refused", 0, "refused");
    expect_run(shell, "echo x >/hostile || echo refused", 0, "refused");
    expect_run(shell, "ls /home /root /etc /proc /dev 2>/dev/null || echo hidden", 0, "hidden");
    expect_run(shell, "mount -o remount,rw / 2>/dev/null || echo refused", 0, "refused");
    expect_run(python,
               "import os\n"
               "for name in ['/', '/usr', '/lib']:\n"
               "    try: open(os.path.join(name, 'hostile'), 'w'); print('wrote', name)\n"
               "    except OSError: pass\n"
               "print('end')",
               0, "end");
    char mark[] = "/tmp/loom-sandbox-XXXXXX"; /* another /tmp than theirs */
    int descriptor = mkstemp(mark);
    assert_true(descriptor >= 0);
    close(descriptor);
    expect_run(shell, "rm -rf /tmp/* ; ls /tmp | wc -l", 0, "0");
    assert_int_equal(access(mark, F_OK), 0);
    unlink(mark);
}

/* Links lead nowhere else, and there is neither shared memory nor a device. */
static void test_links(void **state) {
    (void)state;
    expect_run(shell, "ln -s /usr/hostile link && echo x 2>/dev/null >link || echo refused", 0, "refused");
    expect_run(shell, "ln -s ../../../../root up && ls up 2>/dev/null || echo nothing", 0, "nothing");
    expect_run(shell, "ls -A /dev/shm /proc/1/root /proc/self/root /sys /run /var 2>/dev/null | wc -l", 0, "0\n");
    expect_run(shell, "ln /usr/bin/env hard 2>/dev/null || echo refused", 0, "refused");
    expect_run(python,
               "import os\n"
               "n = 0\n"
               "try:\n"
               "    while n < 5000: open(f'f{n}', 'w').close(); n += 1\n"
               "except OSError: print('full', n < 2000)",
               0, "full True");
    expect_run(python,
               "import os, stat\n"
               "try: os.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(8, 0)); print('made')\n"
               "except OSError: print('no device')",
               0, "no device");
}

static void test_network(void **state) {
    (void)state;
    expect_run(python,
               "import socket\n"
               "for kind in (socket.AF_UNIX, socket.AF_INET6, socket.AF_NETLINK):\n"
               "    try: socket.socket(kind, socket.SOCK_DGRAM); print('opened')\n"
               "    except OSError as e: print('no', e.errno)",
               0, "no 1\nno 1\nno 1\n");
    expect_run(python,
               "import socket\n"
               "try: socket.create_connection(('127.0.0.1', 22), 1); print('connected')\n"
               "except OSError as e: print('no network', e.errno)",
               0, "no network 1\n");
}

static void test_processes_hidden(void **state) {
    char script[128];
    (void)state;
    snprintf(script, sizeof script, "kill -KILL %d 2>/dev/null || echo unseen", (int)getpid());
    expect_run(shell, script, 0, "unseen");
    expect_run(python,
               "import ctypes\n"
               "c = ctypes.CDLL(None, use_errno=True)\n"
               "print(c.unshare(0x10000000), ctypes.get_errno())",
               0, "-1 1\n"); /* no user namespace within */
    expect_run(python,
               "import ctypes, os\n"
               "c = ctypes.CDLL(None, use_errno=True)\n"
               "print(c.ptrace(16, os.getppid(), 0, 0), ctypes.get_errno())", /* PTRACE_ATTACH */
               0, "-1 1\n");
}

/* ---- how much it may take ---------------------------------------------------------------------------------------- */

static void test_time(void **state) {
    static const char *const scripts[] = {"while :; do :; done", "sleep 100", "trap '' TERM INT; sleep 100",
                                          "sleep 100 & sleep 100 & exec >&- 2>&-; wait"};
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct loom_sandbox_result result = run_script(shell, scripts[i], 1);
        assert_true(result.timed_out || i == 3); /* that one says that it is done, and is waited for */
        free(result.output);
    }
}

/* Nothing is waited for longer, also where nobody can say anything any more, or all have been stopped. */
static void test_time_in_silence(void **state) {
    static const char *const scripts[] = {
        "import os, time\nos.close(0); os.close(1); os.close(2)\ntime.sleep(100)",
        "import os, signal\nos.close(1); os.close(2)\nos.kill(0, signal.SIGSTOP)",
        "import os, time\nif os.fork() == 0: time.sleep(100)\nos.kill(-1, 19); os.kill(os.getpid(), 19)", /* SIGSTOP */
        "import os, time\nif os.fork() == 0:\n    os.setsid(); os.close(1); os.close(2); time.sleep(100)\nos.wait()",
    };
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        double begin = loom_clock();
        struct loom_sandbox_result result = run_script(python, scripts[i], 1);
        free(result.output);
        if (!result.timed_out)
            fail_msg("script %zu: code %d", i, result.code);
        assert_true(loom_clock() - begin < 15);
    }
}

/* A child that is left behind ends with the program. */
static void test_left_behind(void **state) {
    (void)state;
    double begin = loom_clock();
    expect_run(shell, "(setsid sleep 1000 &) ; echo done", 0, "done");
    assert_true(loom_clock() - begin < 15);
}

static void test_fork_bomb(void **state) {
    (void)state;
    expect_run(python,
               "import os, time\n"
               "n = 0\n"
               "try:\n"
               "    while n < 1000:\n"
               "        if os.fork() == 0: time.sleep(60); os._exit(0)\n"
               "        n += 1\n"
               "except OSError: print('stopped', n < 100)",
               0, "stopped True");
}

static void test_memory(void **state) {
    (void)state;
    expect_run(python,
               "try: x = bytearray(2 << 30); print('taken')\n"
               "except MemoryError: print('no memory')",
               0, "no memory");
}

/* Many processes that are each within the limit, and memory that belongs to none. */
static void test_memory_of_all(void **state) {
    (void)state;
    struct loom_sandbox_result result = run_script(python,
                                                   "import os, time\n"
                                                   "for i in range(8):\n"
                                                   "    if os.fork() == 0:\n"
                                                   "        x = bytearray(b'x') * (150 << 20)\n"
                                                   "        time.sleep(60)\n"
                                                   "        os._exit(0)\n"
                                                   "time.sleep(60)\n",
                                                   30);
    free(result.output);
    assert_false(result.timed_out);
    assert_true(result.out_of_memory);
    assert_int_equal(result.code, 128 + SIGKILL);
    expect_run(python,
               "import ctypes\n"
               "c = ctypes.CDLL(None, use_errno=True)\n"
               "print(c.shmget(0, 1 << 20, 0o1600), ctypes.get_errno())",
               0, "-1 1\n");
    expect_run(python,
               "import os\n"
               "x = bytearray(b'x') * (200 << 20)\n" /* shared with the children: held once */
               "for i in range(6):\n"
               "    if os.fork() == 0:\n"
               "        import time; time.sleep(0.5); os._exit(0)\n"
               "for i in range(6): os.wait()\n"
               "print('shared')",
               0, "shared");
}

static void test_disk(void **state) {
    (void)state;
    expect_run(shell,
               "trap '' XFSZ; head -c 30000000 /usr/bin/python3 >a 2>/dev/null; "
               "i=0; while [ $i -lt 40 ]; do cat /usr/bin/python3 >f$i 2>/dev/null || echo full; i=$((i+1)); done",
               0, "full");
}

static void test_output(void **state) {
    (void)state;
    struct loom_sandbox_result result = run_script(shell,
                                                   "i=0; while [ $i -lt 20000 ]; do echo 0123456789; "
                                                   "i=$((i+1)); done",
                                                   20);
    assert_false(result.timed_out);
    assert_int_equal(result.size, loom_sandbox_default().output);
    assert_int_equal(result.output[result.size], 0);
    free(result.output);
}

static void test_unread_input(void **state) {
    (void)state;
    char *large = malloc(1 << 20);
    assert_non_null(large);
    memset(large, '\n', 1 << 20);
    const char *const argv[] = {"/bin/sh", "-c", "exit 3", NULL};
    struct loom_sandbox_limits limits = limits_of(20);
    struct loom_sandbox_result result;
    if (granted) {
        assert_int_equal(loom_sandbox_run(argv, large, 1 << 20, &limits, &result, NULL), LOOM_OK);
        assert_int_equal(result.code, 3);
        free(result.output);
    }
    free(large);
}

static void test_missing_program(void **state) {
    (void)state;
    const char *const argv[] = {"/usr/bin/no-such-program", NULL};
    struct loom_sandbox_limits limits = limits_of(5);
    struct loom_sandbox_result result;
    struct loom_error error;
    assert_int_equal(loom_sandbox_run(argv, "", 0, &limits, &result, &error), LOOM_FAILED);
    assert_non_null(strstr(error.text, "nothing was run"));
    free(result.output);
}

/* Run by root, it is the same as an ordinary user. */
static void test_ordinary_user(void **state) {
    (void)state;
    if (geteuid() != 0 || !granted)
        skip();
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        const char *const argv[] = {"/bin/sh", "-c", "echo x >/usr/hostile || exit 9", NULL};
        struct loom_sandbox_limits limits = limits_of(20);
        struct loom_sandbox_result result = {0};
        bool ran = setresgid(1234, 1234, 1234) == 0 && setresuid(1234, 1234, 1234) == 0 &&
                   loom_sandbox_run(argv, "", 0, &limits, &result, NULL) == LOOM_OK;
        _exit(ran ? result.code : 1);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

static void ask_system(void) {
    const char *const argv[] = {"/bin/sh", "-c", "exit 0", NULL};
    struct loom_sandbox_limits limits = limits_of(20);
    struct loom_sandbox_result result;
    struct loom_error error;
    granted = loom_sandbox_run(argv, "", 0, &limits, &result, &error) == LOOM_OK;
    if (!granted)
        fprintf(stderr, "skipped: %s\n", error.text);
    free(result.output);
}

/* ---- several at once --------------------------------------------------------------------------------------------- */

struct sleeper {
    struct loom_sandbox_result result;
    atomic_bool ended;
};

static void *run_sleeper(void *argument) {
    static const char *const argv[] = {"/bin/sleep", "60", NULL};
    struct sleeper *sleeper = argument;
    struct loom_sandbox_limits limits = limits_of(2);
    loom_sandbox_run(argv, "", 0, &limits, &sleeper->result, NULL);
    atomic_store(&sleeper->ended, true);
    return NULL;
}

/* What the caller has open, such as another program's pipe, is not held by what runs: its end comes at once. */
static void test_holds_nothing(void **state) {
    struct sleeper sleeper = {.result = {0}};
    pthread_t thread;
    int ends[2];
    char byte;
    (void)state;
    if (!granted)
        skip();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_sleeper, &sleeper), 0);
    usleep(200000); /* it has inherited them by now, or never will */
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    assert_false(atomic_load(&sleeper.ended));
    pthread_join(thread, NULL);
    assert_true(sleeper.result.timed_out);
    free(sleeper.result.output);
    close(ends[0]);
}

/* A program that does not read its input breaks the pipe for its own thread alone, and signals as before. */
static void test_broken_pipe(void **state) {
    static char input[1 << 20];
    struct sigaction before, after;
    struct loom_sandbox_result result;
    static const char *const argv[] = {"/bin/true", NULL};
    struct loom_sandbox_limits limits = limits_of(20);
    sigset_t blocked, pending;
    (void)state;
    if (!granted)
        skip();
    sigaction(SIGPIPE, NULL, &before);
    assert_int_equal(loom_sandbox_run(argv, input, sizeof input, &limits, &result, NULL), LOOM_OK);
    assert_int_equal(result.code, 0);
    free(result.output);
    sigaction(SIGPIPE, NULL, &after);
    assert_true(before.sa_handler == after.sa_handler);
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    sigpending(&pending);
    assert_false(sigismember(&blocked, SIGPIPE) || sigismember(&pending, SIGPIPE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),          cmocka_unit_test(test_files),
        cmocka_unit_test(test_network),       cmocka_unit_test(test_processes_hidden),
        cmocka_unit_test(test_time),          cmocka_unit_test(test_left_behind),
        cmocka_unit_test(test_fork_bomb),     cmocka_unit_test(test_memory),
        cmocka_unit_test(test_disk),          cmocka_unit_test(test_output),
        cmocka_unit_test(test_holds_nothing), cmocka_unit_test(test_broken_pipe),
        cmocka_unit_test(test_unread_input),  cmocka_unit_test(test_missing_program),
        cmocka_unit_test(test_ordinary_user), cmocka_unit_test(test_time_in_silence),
        cmocka_unit_test(test_memory_of_all), cmocka_unit_test(test_links),
    };
    ask_system();
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
