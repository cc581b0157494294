/* sandbox_inside.c - see sandbox_inside.h.
 *
 * Three processes: the outer one enters new namespaces and waits; the first in them (number 1) builds the file system,
 * gives up every right and waits; the third becomes the program. When number 1 ends the kernel ends all others. */
#define _GNU_SOURCE
#include "base/sandbox_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, INSIDE = 1000, CODE_REFUSED = 125 };

static _Noreturn void refuse(const struct loom_sandbox_child *child, const char *step) {
    struct loom_sandbox_refusal refusal = {.number = errno};
    strncpy(refusal.step, step, sizeof refusal.step - 1);
    ssize_t written = write(child->report, &refusal, sizeof refusal);
    _exit(written < 0 ? CODE_REFUSED + 1 : CODE_REFUSED);
}

static void check(const struct loom_sandbox_child *child, bool done, const char *step) {
    if (!done)
        refuse(child, step);
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

static bool write_text(const char *path, const char *text) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    bool done = write(descriptor, text, strlen(text)) == (ssize_t)strlen(text);
    return close(descriptor) == 0 && done;
}

/* "INSIDE OUTSIDE 1" for one user or group; snprintf on numbers neither allocates nor locks. */
static bool write_map(const char *path, unsigned outside) {
    char text[48];
    snprintf(text, sizeof text, "%d %u 1", INSIDE, outside);
    return write_text(path, text);
}

/* Root becomes nobody, so that from here both take the same way. */
static void drop_root(const struct loom_sandbox_child *child) {
    if (geteuid() != 0)
        return;
    check(child, setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0, "setresgid to nobody");
    check(child, setresuid(NOBODY, NOBODY, NOBODY) == 0, "setresuid to nobody");
}

static void enter_namespaces(const struct loom_sandbox_child *child) {
    unsigned user = geteuid(), group = getegid();
    int kinds = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    check(child, unshare(kinds) == 0, "unshare (user namespaces)");
    check(child, write_text("/proc/self/setgroups", "deny"), "/proc/self/setgroups");
    check(child, write_map("/proc/self/uid_map", user), "/proc/self/uid_map");
    check(child, write_map("/proc/self/gid_map", group), "/proc/self/gid_map");
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

static void set_read_only(const struct loom_sandbox_child *child) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    check(child, mount_setattr(AT_FDCWD, ".", AT_RECURSIVE, &attributes, sizeof attributes) == 0, "mount_setattr");
}

/* A new root, built over /tmp: the folders that a program is loaded from, and an empty /tmp. */
static void build_root(const struct loom_sandbox_child *child) {
    static const char *const folders[] = {"usr", "bin", "sbin", "lib", "lib64"};
    char from[16] = "/", size[64];
    check(child, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "making mounts private");
    check(child, mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0755") == 0, "mounting a root");
    check(child, chdir("/tmp") == 0 && mkdir("tmp", 0777) == 0, "/tmp");
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        strcpy(from + 1, folders[i]);
        if (access(from, F_OK) != 0)
            continue;
        check(child, mkdir(folders[i], 0755) == 0, folders[i]);
        check(child, mount(from, folders[i], NULL, MS_BIND | MS_REC, NULL) == 0, "binding /usr");
    }
    set_read_only(child);
    snprintf(size, sizeof size, "size=%zu,nr_inodes=1024,mode=0777", child->limits->folder);
    check(child, mount("none", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, size) == 0, "mounting /tmp");
    check(child, syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
    check(child, umount2(".", MNT_DETACH) == 0, "leaving the old root");
    check(child, chdir("/tmp") == 0, "/tmp");
}

/* ---- how much ---------------------------------------------------------------------------------------------------- */

static void limit(const struct loom_sandbox_child *child, __rlimit_resource_t resource, rlim_t value,
                  const char *step) {
    struct rlimit both = {value, value};
    check(child, setrlimit(resource, &both) == 0, step);
}

static void set_limits(const struct loom_sandbox_child *child) {
    const struct loom_sandbox_limits *l = child->limits;
    limit(child, RLIMIT_CPU, (rlim_t)l->seconds + 1, "limit on processor time");
    limit(child, RLIMIT_AS, l->memory, "limit on memory");
    limit(child, RLIMIT_FSIZE, l->folder, "limit on file size");
    limit(child, RLIMIT_NPROC, l->processes + 1, "limit on processes"); /* number 1 counts */
    limit(child, RLIMIT_NOFILE, 128, "limit on open files");
    limit(child, RLIMIT_CORE, 0, "limit on core files");
    limit(child, RLIMIT_MEMLOCK, 0, "limit on locked memory");
}

/* ---- what -------------------------------------------------------------------------------------------------------- */

/* System calls without a use here that widen what a hostile program can reach in the kernel. */
static const uint32_t denied[] = {
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_open_by_handle_at,
    SYS_memfd_create,
    SYS_execveat,
    SYS_init_module,
    SYS_finit_module,
    SYS_kexec_load,
    SYS_socket,
    SYS_socketpair,
    SYS_shmget, /* memory that belongs to no process */
    SYS_semget,
    SYS_msgget,
    SYS_name_to_handle_at,
};

#if defined(__x86_64__)
static const uint32_t architecture = AUDIT_ARCH_X86_64, other_numbers = 0x40000000; /* the x32 calls begin there */
#elif defined(__aarch64__)
static const uint32_t architecture = AUDIT_ARCH_AARCH64, other_numbers = 0x40000000;
#else
static const uint32_t architecture = 0, other_numbers = 0; /* refused below */
#endif

enum { DENIED = sizeof denied / sizeof denied[0], FILTER_MAX = 16 + 2 * DENIED };

struct program {
    struct sock_filter code[FILTER_MAX];
    unsigned short size;
};

static void put(struct program *p, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false) {
    p->code[p->size++] = (struct sock_filter){code, if_true, if_false, k};
}

/* Returns `answer` when the loaded word is `value`. */
static void put_equal(struct program *p, uint32_t value, uint32_t answer) {
    put(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    put(p, BPF_RET | BPF_K, answer, 0, 0);
}

static void load(struct program *p, size_t offset) {
    put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void filter_calls(const struct loom_sandbox_child *child) {
    struct program p = {.size = 0};
    load(&p, offsetof(struct seccomp_data, arch));
    put(&p, BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
    put(&p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    load(&p, offsetof(struct seccomp_data, nr));
    put(&p, BPF_JMP | BPF_JGE | BPF_K, other_numbers, 0, 1);
    put(&p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    for (size_t i = 0; i < DENIED; i++)
        put_equal(&p, denied[i], SECCOMP_RET_ERRNO | EPERM);
    put_equal(&p, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS); /* its flags lie in memory; clone's can be looked at */
    put(&p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
    load(&p, offsetof(struct seccomp_data, args[0]));
    put(&p, BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1);
    put(&p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    put(&p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    struct sock_fprog filter = {p.size, p.code};
    check(child, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    check(child, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0, "seccomp");
}

/* ---- the three processes ----------------------------------------------------------------------------------------- */

static _Noreturn void become(const struct loom_sandbox_child *child) {
    static const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8",
                                              "PYTHONDONTWRITEBYTECODE=1", NULL};
    bool streams = dup2(child->input, 0) == 0 && dup2(child->output, 1) == 1 && dup2(child->output, 2) == 2;
    check(child, streams, "standard streams");
    check(child, close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0, "close_range");
    set_limits(child);
    filter_calls(child);
    execve(child->argv[0], (char *const *)child->argv, (char *const *)environment);
    refuse(child, child->argv[0]);
}

/* Waits for one process; reaps the orphans that come by. */
static _Noreturn void wait_for(pid_t process) {
    int state = 0;
    pid_t ended;
    do
        ended = wait(&state);
    while (ended != process && (ended > 0 || errno == EINTR));
    _exit(WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state));
}

static void close_streams(const struct loom_sandbox_child *child) {
    close(child->input);
    close(child->output);
}

static void sort(unsigned *numbers, size_t count) {
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && numbers[k] < numbers[k - 1]; k--) {
            unsigned larger = numbers[k - 1];
            numbers[k - 1] = numbers[k];
            numbers[k] = larger;
        }
}

/* All but the standard streams and what was handed over is the caller's, who may be running other programs: the end of
 * one's pipe, held here, would keep its reader waiting. */
static void close_others(const struct loom_sandbox_child *child) {
    unsigned kept[] = {(unsigned)child->input, (unsigned)child->output, (unsigned)child->report}, from = 3;
    sort(kept, 3);
    for (size_t i = 0; i < 3; i++) {
        if (kept[i] > from)
            check(child, close_range(from, kept[i] - 1, 0) == 0, "close_range");
        from = kept[i] >= from ? kept[i] + 1 : from;
    }
    check(child, close_range(from, ~0u, 0) == 0, "close_range");
}

static _Noreturn void be_first(const struct loom_sandbox_child *child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    build_root(child);
    pid_t process = fork();
    check(child, process >= 0, "fork");
    if (process == 0)
        become(child);
    close_streams(child);
    close(child->report);
    wait_for(process);
}

void loom_sandbox_enter(const struct loom_sandbox_child *child) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGXFSZ, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0); /* one kill reaches all three */
    close_others(child);
    if (architecture == 0) {
        errno = ENOSYS;
        refuse(child, "the filter for this processor");
    }
    drop_root(child);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);        /* a change of user leaves /proc/self to root */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* and clears this */
    enter_namespaces(child);
    pid_t first = fork();
    check(child, first >= 0, "fork");
    if (first == 0)
        be_first(child);
    close_streams(child); /* the report stays open: its end is this process's */
    wait_for(first);
}
