/* scratch.h - a folder of its own for each test, and files in it. */
#ifndef LOOM_TESTS_SCRATCH_H
#define LOOM_TESTS_SCRATCH_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"

/* cmocka set-up and tear-down: *state is the folder's path. */
static inline int scratch_create(void **state) {
    char *path = strdup("/tmp/loom-test-XXXXXX");
    *state = path;
    return path && mkdtemp(path) ? 0 : -1;
}

static inline int scratch_remove(void **state) {
    loom_status status = loom_folder_remove(*state, NULL);
    free(*state);
    return status;
}

/* FOLDER/NAME; freed with free(). */
static inline char *scratch_path(void *folder, const char *name) {
    char *path = loom_path_join(folder, name);
    assert_non_null(path);
    return path;
}

/* Writes FOLDER/NAME by stdio, not by the code under test; returns its path, freed with free(). */
static inline char *scratch_write(void *folder, const char *name, const void *data, size_t size) {
    char *path = scratch_path(folder, name);
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(data, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
    return path;
}

static inline size_t scratch_count(const char *folder) {
    char **names;
    size_t count;
    assert_int_equal(loom_folder_list(folder, &names, &count, NULL), LOOM_OK);
    loom_names_free(names, count);
    return count;
}

static inline void random_bytes(uint64_t seed, void *data, size_t size) {
    const struct loom_random stream = {seed, LOOM_RANDOM_TEST};
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)data)[i] = (unsigned char)loom_random_below(stream, i, 256);
}

/* From here no file may grow beyond `bytes`: what a full disk looks like to the writer. RLIM_INFINITY lifts it. */
static inline void limit_file_size(rlim_t bytes) {
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Root may read everything: where the test runs as root it goes on as nobody until become_root. */
static inline bool become_other(void) {
    return geteuid() == 0 && seteuid(65534) == 0;
}

static inline void become_root(void) {
    assert_int_equal(seteuid(0), 0);
}

static inline void expect(loom_status status, loom_status wanted, const struct loom_error *error, const char *says) {
    if (status != wanted || (wanted != LOOM_OK && !strstr(error->text, says)))
        fail_msg("status %d \"%s\", wanted %d with \"%s\"", status, status == LOOM_OK ? "" : error->text, wanted, says);
}

#endif
