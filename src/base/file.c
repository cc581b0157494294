/* file.c - atomic files, maps, folders and locks on POSIX, see file.h.
 *
 * Every call that can lose bytes (write, flush, fsync, close, rename) is checked: on a full disk the error shows up in
 * any of them. The parent folder is flushed after a rename, or a power cut could bring the old name back. */
#define _GNU_SOURCE /* sync_file_range */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/grow.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Opens for reading and tells the size; a folder is refused here, where the sentence can still be clear. */
static loom_status open_file(const char *path, int *descriptor, size_t *size, struct loom_error *error) {
    struct stat about;
    *descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (*descriptor < 0)
        return loom_fail_system(error, "cannot open", path);
    loom_status status = LOOM_OK;
    if (fstat(*descriptor, &about) != 0)
        status = loom_fail_system(error, "cannot open", path);
    else if (S_ISDIR(about.st_mode))
        status = loom_fail(error, LOOM_IO, "cannot open %s: it is a folder, not a file", path);
    else
        *size = about.st_size > 0 ? (size_t)about.st_size : 0;
    if (status != LOOM_OK)
        close(*descriptor);
    return status;
}

/* Reads to the end of the file, not to the size that stat tells: a pipe has none, and a file can grow. */
static loom_status read_all(int descriptor, const char *path, size_t limit, char **data, size_t *size,
                            struct loom_error *error) {
    size_t capacity = *size + 2, used = 0;
    for (;;) {
        char *grown = realloc(*data, capacity);
        if (!grown)
            return loom_fail_memory(error, path, capacity);
        *data = grown;
        ssize_t got = read(descriptor, grown + used, capacity - used - 1);
        if (got < 0 && errno != EINTR)
            return loom_fail_system(error, "cannot read", path);
        if (got == 0)
            break;
        used += got > 0 ? (size_t)got : 0;
        if (used > limit)
            break;
        if (capacity - used < 2)
            capacity += capacity;
    }
    if (used > limit)
        return loom_fail(error, LOOM_FAILED, "%s has more than %zu bytes", path, limit);
    (*data)[used] = '\0';
    *size = used;
    return LOOM_OK;
}

loom_status loom_file_read(const char *path, size_t limit, char **data, size_t *size, struct loom_error *error) {
    int descriptor;
    *data = NULL;
    loom_status status = open_file(path, &descriptor, size, error);
    if (status != LOOM_OK)
        return status;
    if (*size > limit)
        status = loom_fail(error, LOOM_FAILED, "%s has %zu bytes, more than %zu", path, *size, limit);
    else
        status = read_all(descriptor, path, limit, data, size, error);
    close(descriptor);
    if (status != LOOM_OK) {
        free(*data);
        *data = NULL;
    }
    return status;
}

loom_status loom_map_open(const char *path, struct loom_map *map, struct loom_error *error) {
    int descriptor;
    *map = (struct loom_map){NULL, 0};
    loom_status status = open_file(path, &descriptor, &map->size, error);
    if (status != LOOM_OK)
        return status;
    if (map->size > 0) {
        void *data = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (data == MAP_FAILED) {
            map->size = 0;
            status = loom_fail_system(error, "cannot map", path);
        } else
            map->data = data;
    }
    close(descriptor);
    return status;
}

void loom_map_close(struct loom_map *map) {
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct loom_map){NULL, 0};
}

/* A wish: where it is not met, reading is slower and nothing else. */
static void advise(const struct loom_map *map, size_t offset, size_t size, int advice) {
    if (map->data && size > 0)
        madvise((void *)(uintptr_t)(map->data + offset), size, advice);
}

void loom_map_expect(const struct loom_map *map, enum loom_map_order order) {
    static const int advice[] = {MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM};
    advise(map, 0, map->size, advice[order]);
}

/* Advice for all pages that these bytes touch. */
static void advise_pages(const struct loom_map *map, size_t offset, size_t size, int advice) {
    size_t before = offset % (size_t)sysconf(_SC_PAGESIZE);
    advise(map, offset - before, before + size, advice);
}

void loom_map_fetch(const struct loom_map *map, size_t offset, size_t size) {
    advise_pages(map, offset, size, MADV_WILLNEED);
}

void loom_map_release(const struct loom_map *map, size_t offset, size_t size) {
    advise_pages(map, offset, size, MADV_DONTNEED); /* a page that is read all the same comes from the file again */
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The folder that holds `path`: "." for a bare name; freed with free(). */
static char *parent_folder(const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    while (end > 0 && path[end - 1] != '/')
        end--;
    while (end > 1 && path[end - 1] == '/')
        end--;
    return end == 0 ? strdup(".") : strndup(path, end);
}

/* Flushes the folder that holds `path`. File systems that cannot flush a folder say EINVAL; they have nothing to do. */
static loom_status flush_parent(const char *path, struct loom_error *error) {
    char *parent = parent_folder(path);
    if (!parent)
        return loom_fail_memory(error, path, strlen(path));
    int descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    loom_status status = LOOM_OK;
    if (descriptor < 0 || (fsync(descriptor) != 0 && errno != EINVAL))
        status = loom_fail_system(error, "cannot flush the folder", parent);
    if (descriptor >= 0)
        close(descriptor);
    free(parent);
    return status;
}

#define TEMPORARY_MARK ".tmp-"

/* "PATH.tmp-PID": two processes that write the same target never share a temporary file. */
static char *temporary_name(const char *path) {
    size_t size = strlen(path) + 32;
    char *name = malloc(size);
    if (name)
        snprintf(name, size, "%s" TEMPORARY_MARK "%ld", path, (long)getpid());
    return name;
}

loom_status loom_writer_open(struct loom_writer *writer, const char *path, struct loom_error *error) {
    *writer = (struct loom_writer){NULL, strdup(path), temporary_name(path)};
    if (!writer->path || !writer->temporary) {
        loom_writer_abandon(writer);
        return loom_fail_memory(error, path, strlen(path));
    }
    int descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor >= 0)
        writer->stream = fdopen(descriptor, "wb");
    if (writer->stream)
        return LOOM_OK;
    loom_status status = loom_fail_system(error, "cannot create", path);
    if (descriptor >= 0) {
        close(descriptor);
        unlink(writer->temporary);
    }
    loom_writer_abandon(writer);
    return status;
}

loom_status loom_writer_put(struct loom_writer *writer, const void *data, size_t size, struct loom_error *error) {
    if (size == 0 || fwrite(data, 1, size, writer->stream) == size)
        return LOOM_OK;
    loom_status status = loom_fail_system(error, "cannot write", writer->path);
    loom_writer_abandon(writer);
    return status;
}

loom_status loom_writer_commit(struct loom_writer *writer, struct loom_error *error) {
    bool done = fflush(writer->stream) == 0 && fsync(fileno(writer->stream)) == 0;
    if (done) {
        FILE *stream = writer->stream;
        writer->stream = NULL;
        done = fclose(stream) == 0 && rename(writer->temporary, writer->path) == 0;
    }
    loom_status status = LOOM_OK;
    if (done)
        status = flush_parent(writer->path, error);
    else {
        status = loom_fail_system(error, "cannot write", writer->path);
        unlink(writer->temporary);
    }
    loom_writer_abandon(writer);
    return status;
}

void loom_writer_abandon(struct loom_writer *writer) {
    if (writer->stream) {
        fclose(writer->stream);
        unlink(writer->temporary);
    }
    free(writer->path);
    free(writer->temporary);
    *writer = (struct loom_writer){NULL, NULL, NULL};
}

loom_status loom_file_replace(const char *path, const void *data, size_t size, struct loom_error *error) {
    struct loom_writer writer;
    loom_status status = loom_writer_open(&writer, path, error);
    if (status == LOOM_OK)
        status = loom_writer_put(&writer, data, size, error);
    return status == LOOM_OK ? loom_writer_commit(&writer, error) : status;
}

/* ---- growing ----------------------------------------------------------------------------------------------------- */

enum { APPEND_BUFFER = 256 << 10, APPEND_WAITING = 8 << 20 };

static loom_status set_length(const struct loom_append *file, uint64_t length, struct loom_error *error) {
    struct stat about;
    if (fstat(fileno(file->stream), &about) != 0)
        return loom_fail_system(error, "cannot open", file->path);
    if ((uint64_t)about.st_size < length)
        return loom_fail(error, LOOM_FAILED, "%s has %lld bytes, fewer than the %llu that were written to it",
                         file->path, (long long)about.st_size, (unsigned long long)length);
    if (ftruncate(fileno(file->stream), (off_t)length) != 0 || fseeko(file->stream, (off_t)length, SEEK_SET) != 0)
        return loom_fail_system(error, "cannot cut", file->path);
    return LOOM_OK;
}

loom_status loom_append_open(struct loom_append *file, const char *path, uint64_t length, struct loom_error *error) {
    *file = (struct loom_append){.path = strdup(path)};
    if (!file->path)
        return loom_fail_memory(error, path, strlen(path));
    int descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    file->stream = descriptor >= 0 ? fdopen(descriptor, "r+b") : NULL;
    loom_status status = LOOM_OK;
    if (!file->stream) {
        status = loom_fail_system(error, "cannot create", path);
        if (descriptor >= 0)
            close(descriptor);
    } else {
        setvbuf(file->stream, NULL, _IOFBF, APPEND_BUFFER);
        status = set_length(file, length, error);
    }
    if (status != LOOM_OK)
        loom_append_close(file);
    return status;
}

/* Has the system write what it holds while more is made, so that a flush finds little left. */
static void begin_writing(struct loom_append *file) {
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(fileno(file->stream), 0, 0, SYNC_FILE_RANGE_WRITE);
#else
    (void)file;
#endif
}

loom_status loom_append_put(struct loom_append *file, const void *data, size_t size, struct loom_error *error) {
    if (size > 0 && fwrite(data, 1, size, file->stream) != size)
        return loom_fail_system(error, "cannot write", file->path);
    file->waiting += size;
    if (file->waiting >= APPEND_WAITING) {
        begin_writing(file);
        file->waiting = 0;
    }
    return LOOM_OK;
}

loom_status loom_append_sync(struct loom_append *file, struct loom_error *error) {
    if (fflush(file->stream) == 0 && fsync(fileno(file->stream)) == 0)
        return LOOM_OK;
    return loom_fail_system(error, "cannot write", file->path);
}

void loom_append_close(struct loom_append *file) {
    if (file->stream)
        fclose(file->stream);
    free(file->path);
    *file = (struct loom_append){.stream = NULL};
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

bool loom_path_exists(const char *path) {
    struct stat about;
    return stat(path, &about) == 0;
}

bool loom_path_is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

char *loom_path_join(const char *a, const char *b) {
    size_t length = strlen(a), size = length + strlen(b) + 2;
    if (b[0] == '/' || length == 0)
        return strdup(b);
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s%s%s", a, a[length - 1] == '/' ? "" : "/", b);
    return path;
}

loom_status loom_folder_create(const char *path, struct loom_error *error) {
    char *prefix = strdup(path);
    if (!prefix)
        return loom_fail_memory(error, path, strlen(path));
    loom_status status = LOOM_OK;
    char *end = prefix;
    while (status == LOOM_OK && *end) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char separator = *end;
        *end = '\0';
        int failed = mkdir(prefix, 0777) == 0 ? 0 : errno;
        if (failed && !loom_path_is_folder(prefix)) {
            errno = failed; /* the reason, not what became of looking */
            status = loom_fail_system(error, "cannot create the folder", prefix);
        }
        *end = separator;
    }
    if (status == LOOM_OK && !loom_path_is_folder(path))
        status = loom_fail(error, LOOM_IO, "cannot create the folder \"%s\"", path);
    free(prefix);
    return status;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends a copy of `name`; false when memory is short. */
static bool append_name(char ***names, size_t *count, size_t *capacity, const char *name) {
    char **grown = loom_grow(*names, capacity, *count + 1, sizeof *grown);
    if (!grown)
        return false;
    *names = grown;
    (*names)[*count] = strdup(name);
    return (*names)[*count] && ++*count;
}

loom_status loom_folder_list(const char *path, char ***names, size_t *count, struct loom_error *error) {
    *names = NULL;
    *count = 0;
    DIR *folder = opendir(path);
    if (!folder)
        return loom_fail_system(error, "cannot read the folder", path);
    loom_status status = LOOM_OK;
    size_t capacity = 0;
    const struct dirent *entry;
    errno = 0;
    while (status == LOOM_OK && (entry = readdir(folder)) != NULL) {
        bool itself = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!itself && !append_name(names, count, &capacity, entry->d_name))
            status = loom_fail_memory(error, path, (capacity + 1) * sizeof **names);
        errno = 0; /* readdir tells an error from the end only by errno */
    }
    if (status == LOOM_OK && errno != 0)
        status = loom_fail_system(error, "cannot read the folder", path);
    closedir(folder);
    if (status != LOOM_OK) {
        loom_names_free(*names, *count);
        *names = NULL;
        *count = 0;
    } else if (*count > 1)
        qsort(*names, *count, sizeof **names, compare_names);
    return status;
}

void loom_names_free(char **names, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static loom_status remove_entries(const char *path, struct loom_error *error) {
    char **names;
    size_t count;
    loom_status status = loom_folder_list(path, &names, &count, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        char *inside = loom_path_join(path, names[i]);
        status = inside ? loom_folder_remove(inside, error) : loom_fail_memory(error, path, strlen(names[i]));
        free(inside);
    }
    loom_names_free(names, count);
    return status;
}

loom_status loom_folder_remove(const char *path, struct loom_error *error) {
    struct stat about;
    if (lstat(path, &about) != 0)
        return errno == ENOENT ? LOOM_OK : loom_fail_system(error, "cannot remove", path);
    loom_status status = S_ISDIR(about.st_mode) ? remove_entries(path, error) : LOOM_OK;
    if (status == LOOM_OK && remove(path) != 0)
        status = loom_fail_system(error, "cannot remove", path);
    return status;
}

loom_status loom_folder_sweep(const char *path, struct loom_error *error) {
    char **names;
    size_t count;
    if (!loom_path_is_folder(path))
        return LOOM_OK;
    loom_status status = loom_folder_list(path, &names, &count, error);
    if (status)
        return status;
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        if (!strstr(names[i], TEMPORARY_MARK))
            continue;
        char *inside = loom_path_join(path, names[i]);
        status = inside ? loom_folder_remove(inside, error) : loom_fail_memory(error, path, strlen(names[i]));
        free(inside);
    }
    loom_names_free(names, count);
    return status;
}

loom_status loom_folder_rename(const char *from, const char *to, struct loom_error *error) {
    if (rename(from, to) != 0)
        return loom_fail(error, LOOM_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
    return flush_parent(to, error);
}

/* ---- locks ------------------------------------------------------------------------------------------------------- */

/* Locks what is open; closes it when that fails. */
static loom_status lock_open(struct loom_lock *lock, const char *path, struct loom_error *error) {
    if (lock->descriptor < 0)
        return loom_fail_system(error, "cannot open the lock", path);
    if (flock(lock->descriptor, LOCK_EX | LOCK_NB) == 0)
        return LOOM_OK;
    loom_status status = errno == EWOULDBLOCK
                             ? loom_fail(error, LOOM_FAILED, "%s is locked: another process is at work there", path)
                             : loom_fail_system(error, "cannot lock", path);
    loom_lock_release(lock);
    return status;
}

loom_status loom_lock_take(struct loom_lock *lock, const char *path, struct loom_error *error) {
    lock->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return lock_open(lock, path, error);
}

/* Between opening and locking, who held the folder may have renamed it: then the path is another folder, or none. */
loom_status loom_lock_take_folder(struct loom_lock *lock, const char *path, struct loom_error *error) {
    struct stat held, there;
    lock->descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    loom_status status = lock_open(lock, path, error);
    if (status != LOOM_OK)
        return status;
    if (fstat(lock->descriptor, &held) == 0 && stat(path, &there) == 0 && held.st_ino == there.st_ino &&
        held.st_dev == there.st_dev)
        return LOOM_OK;
    loom_lock_release(lock);
    return loom_fail(error, LOOM_FAILED, "%s was renamed meanwhile: another process was at work there", path);
}

void loom_lock_release(struct loom_lock *lock) {
    if (lock->descriptor >= 0)
        close(lock->descriptor);
    lock->descriptor = -1;
}
