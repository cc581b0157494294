/* test_file.c - files are whole or not there: when all goes well, on a full disk, after a kill, and under a lock. */
#include "scratch.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_content(const char *path, const void *data, size_t size) {
    char *read;
    size_t got;
    assert_int_equal(loom_file_read(path, SIZE_MAX, &read, &got, NULL), LOOM_OK);
    assert_int_equal(got, size);
    assert_memory_equal(read, data, size);
    assert_int_equal(read[size], '\0');
    free(read);
}

static void test_round_trip(void **state) {
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100003};
    char *path = scratch_path(*state, "file");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *data = malloc(sizes[i] + 1);
        assert_non_null(data);
        random_bytes(i, data, sizes[i]);
        assert_int_equal(loom_file_replace(path, data, sizes[i], NULL), LOOM_OK);
        expect_content(path, data, sizes[i]);
        struct loom_map map;
        assert_int_equal(loom_map_open(path, &map, NULL), LOOM_OK);
        assert_int_equal(map.size, sizes[i]);
        assert_true((map.data == NULL) == (sizes[i] == 0));
        if (map.data)
            assert_memory_equal(map.data, data, sizes[i]);
        loom_map_close(&map);
        free(data);
    }
    assert_int_equal(scratch_count(*state), 1); /* no temporary file is left */
    free(path);
}

static void test_read_errors(void **state) {
    struct loom_error error;
    struct loom_map map;
    char *data;
    size_t size;
    char *path = scratch_write(*state, "ten", "0123456789", 10);
    char *missing = scratch_path(*state, "missing");
    expect(loom_file_read(path, 9, &data, &size, &error), LOOM_FAILED, &error, "10 bytes, more than 9");
    assert_null(data);
    assert_int_equal(loom_file_read(path, 10, &data, &size, &error), LOOM_OK);
    free(data);
    expect(loom_file_read(missing, 10, &data, &size, &error), LOOM_IO, &error, "No such file");
    expect(loom_file_read(*state, 10, &data, &size, &error), LOOM_IO, &error, "it is a folder");
    expect(loom_map_open(missing, &map, &error), LOOM_IO, &error, missing);
    expect(loom_map_open(*state, &map, &error), LOOM_IO, &error, "it is a folder");
    /* A file whose size the system tells as 0: the limit must hold while it is read. */
    expect(loom_file_read("/proc/self/status", 20, &data, &size, &error), LOOM_FAILED, &error, "more than 20");
    assert_int_equal(loom_file_read("/proc/self/status", 1 << 20, &data, &size, &error), LOOM_OK);
    assert_true(size > 100 && strlen(data) == size);
    free(data);
    free(path);
    free(missing);
}

static void test_unreadable(void **state) {
    struct loom_error error;
    char *data, *path = scratch_write(*state, "secret", "x", 1);
    size_t size;
    assert_int_equal(chmod(path, 0), 0);
    bool as_other = become_other();
    loom_status status = loom_file_read(path, 10, &data, &size, &error);
    if (as_other)
        become_root();
    expect(status, LOOM_IO, &error, "Permission denied");
    free(path);
}

/* The disk is full while bytes are put, or only when the last of them are flushed. */
static void test_full_disk(void **state) {
    static const size_t sizes[] = {100, 1 << 20};
    char *path = scratch_write(*state, "file", "old", 3);
    char *data = calloc(1, sizes[1]);
    assert_non_null(data);
    for (int i = 0; i < 2; i++) {
        struct loom_error error = {""};
        limit_file_size(50);
        loom_status status = loom_file_replace(path, data, sizes[i], &error);
        limit_file_size(RLIM_INFINITY);
        expect(status, LOOM_IO, &error, "cannot write");
        assert_non_null(strstr(error.text, path));
        expect_content(path, "old", 3);
        assert_int_equal(scratch_count(*state), 1);
    }
    free(data);
    free(path);
}

static void test_writer(void **state) {
    char *path = scratch_path(*state, "file");
    struct loom_writer writer;
    struct loom_error error;
    assert_int_equal(loom_writer_open(&writer, path, NULL), LOOM_OK);
    assert_int_equal(loom_writer_put(&writer, "abc", 3, NULL), LOOM_OK);
    assert_false(loom_path_exists(path));
    loom_writer_abandon(&writer);
    assert_int_equal(scratch_count(*state), 0);
    assert_int_equal(loom_writer_open(&writer, path, NULL), LOOM_OK);
    assert_int_equal(loom_writer_put(&writer, "abc", 3, NULL), LOOM_OK);
    assert_int_equal(loom_writer_put(&writer, "", 0, NULL), LOOM_OK);
    assert_int_equal(loom_writer_put(&writer, "de", 2, NULL), LOOM_OK);
    assert_int_equal(loom_writer_commit(&writer, NULL), LOOM_OK);
    expect_content(path, "abcde", 5);
    char *nowhere = scratch_path(*state, "no/such/file");
    expect(loom_writer_open(&writer, nowhere, &error), LOOM_IO, &error, "cannot create");
    /* A folder in the target's place: the rename fails, and nothing is left behind. */
    expect(loom_file_replace(*state, "x", 1, &error), LOOM_IO, &error, "cannot write");
    assert_int_equal(scratch_count(*state), 1);
    free(nowhere);
    free(path);
}

/* Runs `act` in a child process that then dies by SIGKILL. */
static void in_killed_child(void (*act)(const char *), const char *path) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        act(path);
        raise(SIGKILL);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}

static void write_half(const char *path) {
    static char data[1 << 16];
    struct loom_writer writer;
    loom_writer_open(&writer, path, NULL);
    loom_writer_put(&writer, data, sizeof data, NULL);
}

static void test_kill(void **state) {
    char *path = scratch_write(*state, "file", "old", 3);
    in_killed_child(write_half, path);
    expect_content(path, "old", 3);
    free(path);
}

static void test_folders(void **state) {
    struct loom_error error;
    char *deep = scratch_path(*state, "a//b/c/"), *top = scratch_path(*state, "a");
    char *file = scratch_write(*state, "file", "x", 1), *below = scratch_path(*state, "file/b");
    assert_int_equal(loom_folder_create(deep, NULL), LOOM_OK);
    assert_int_equal(loom_folder_create(deep, NULL), LOOM_OK);
    assert_true(loom_path_is_folder(deep));
    expect(loom_folder_create(file, &error), LOOM_IO, &error, file);
    expect(loom_folder_create(below, &error), LOOM_IO, &error, file);
    expect(loom_folder_create("", &error), LOOM_IO, &error, "\"\"");
    /* Removal takes the link and not the folder it points to. */
    char *link = scratch_path(*state, "a/link");
    assert_int_equal(symlink(*state, link), 0);
    assert_int_equal(loom_folder_remove(top, NULL), LOOM_OK);
    assert_false(loom_path_exists(top));
    expect_content(file, "x", 1);
    assert_int_equal(loom_folder_remove(top, NULL), LOOM_OK);
    free(link);
    free(below);
    free(file);
    free(top);
    free(deep);
}

static void test_rename(void **state) {
    struct loom_error error;
    char *from = scratch_path(*state, "from"), *to = scratch_path(*state, "to");
    assert_int_equal(loom_folder_create(from, NULL), LOOM_OK);
    assert_int_equal(loom_folder_create(to, NULL), LOOM_OK);
    char *file = scratch_write(*state, "from/file", "x", 1);
    assert_int_equal(loom_folder_rename(from, to, NULL), LOOM_OK);
    assert_false(loom_path_exists(from));
    assert_int_equal(scratch_count(to), 1);
    assert_int_equal(loom_folder_create(from, NULL), LOOM_OK);
    expect(loom_folder_rename(from, to, &error), LOOM_IO, &error, "not empty");
    free(file);
    free(to);
    free(from);
}

static void test_list(void **state) {
    static const char *const sorted[] = {"10", "9", "B", "a", "a.b"};
    static const int order[] = {3, 0, 4, 2, 1};
    struct loom_error error;
    char **names;
    size_t count;
    for (int i = 0; i < 5; i++)
        free(scratch_write(*state, sorted[order[i]], "", 0));
    assert_int_equal(loom_folder_list(*state, &names, &count, NULL), LOOM_OK);
    assert_int_equal(count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(names[i], sorted[i]);
    loom_names_free(names, count);
    expect(loom_folder_list("/no/such", &names, &count, &error), LOOM_IO, &error, "/no/such");
}

static void test_join(void **state) {
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = loom_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

static void take_lock(const char *path) {
    struct loom_lock lock;
    loom_lock_take(&lock, path, NULL);
}

/* What a second process is told when it asks for the lock. */
static loom_status lock_from_child(const char *path) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct loom_lock lock;
        _exit(-loom_lock_take(&lock, path, NULL));
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return -WEXITSTATUS(how);
}

static void test_lock(void **state) {
    char *path = scratch_path(*state, "lock");
    struct loom_lock lock, second;
    struct loom_error error;
    assert_int_equal(loom_lock_take(&lock, path, NULL), LOOM_OK);
    assert_int_equal(lock_from_child(path), LOOM_FAILED);
    expect(loom_lock_take(&second, path, &error), LOOM_FAILED, &error, "is locked");
    loom_lock_release(&lock);
    assert_int_equal(lock_from_child(path), LOOM_OK);
    in_killed_child(take_lock, path); /* a dead process holds nothing */
    assert_int_equal(loom_lock_take(&lock, path, NULL), LOOM_OK);
    loom_lock_release(&lock);
    free(path);
    expect(loom_lock_take(&lock, "/no/such/lock", &error), LOOM_IO, &error, "/no/such/lock");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_read_errors, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_unreadable, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_full_disk, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_writer, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_kill, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_folders, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_rename, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_list, scratch_create, scratch_remove),
        cmocka_unit_test(test_join),
        cmocka_unit_test_setup_teardown(test_lock, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
