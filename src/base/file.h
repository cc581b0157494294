/* file.h - files that are either whole or not there.
 *
 * What is written goes to a temporary name beside the target, is flushed to the disk, and takes the target's name by
 * rename(2) as the last act. A kill at any moment leaves the old file or the new one. */
#ifndef LOOM_BASE_FILE_H
#define LOOM_BASE_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

/* Reads a whole file of at most `limit` bytes; *data has one NUL byte beyond *size and is freed with free(). */
loom_status loom_file_read(const char *path, size_t limit, char **data, size_t *size, struct loom_error *error);

/* Replaces the file at `path` by these bytes, atomically and durably. */
loom_status loom_file_replace(const char *path, const void *data, size_t size, struct loom_error *error);

/* A file mapped read-only. data is NULL for an empty file. */
struct loom_map {
    const unsigned char *data;
    size_t size;
};

loom_status loom_map_open(const char *path, struct loom_map *map, struct loom_error *error);
void loom_map_close(struct loom_map *map);

/* How a map is going to be read: the system then reads ahead, or does not read what nobody asked for. */
enum loom_map_order { LOOM_MAP_ANY, LOOM_MAP_SEQUENTIAL, LOOM_MAP_RANDOM };
void loom_map_expect(const struct loom_map *map, enum loom_map_order order);
/* Starts reading these bytes, which must lie within the map, and does not wait for them. */
void loom_map_fetch(const struct loom_map *map, size_t offset, size_t size);
/* These bytes are not read again soon: they no longer count as this process's memory. */
void loom_map_release(const struct loom_map *map, size_t offset, size_t size);

/* A file under construction: open, put any number of times, then commit; or abandon, which removes the temporary file.
 * After a failed put or commit the writer has been abandoned. */
struct loom_writer {
    FILE *stream;
    char *path, *temporary;
};

loom_status loom_writer_open(struct loom_writer *writer, const char *path, struct loom_error *error);
loom_status loom_writer_put(struct loom_writer *writer, const void *data, size_t size, struct loom_error *error);
loom_status loom_writer_commit(struct loom_writer *writer, struct loom_error *error);
void loom_writer_abandon(struct loom_writer *writer);

/* A file that grows, and that a later run can set back to a length that was durable. */
struct loom_append {
    FILE *stream;
    char *path;
    size_t waiting; /* bytes that the system may not have begun to write */
};

/* Opens or creates the file and cuts it to `length` bytes, which it must have; appending goes on there. */
loom_status loom_append_open(struct loom_append *file, const char *path, uint64_t length, struct loom_error *error);
loom_status loom_append_put(struct loom_append *file, const void *data, size_t size, struct loom_error *error);
/* Flushes all that was put to the disk. */
loom_status loom_append_sync(struct loom_append *file, struct loom_error *error);
void loom_append_close(struct loom_append *file);

/* mkdir -p. */
loom_status loom_folder_create(const char *path, struct loom_error *error);
/* rm -r; a path that is not there is fine. Never follows symbolic links. */
loom_status loom_folder_remove(const char *path, struct loom_error *error);
/* Renames `from` to `to` (which must not exist or be an empty folder) and flushes the parent folder. */
loom_status loom_folder_rename(const char *from, const char *to, struct loom_error *error);
/* Removes what writers that were killed left of their work in this folder; only for who has it alone. A folder that is
 * not there is fine. */
loom_status loom_folder_sweep(const char *path, struct loom_error *error);
/* The names in a folder (without . and ..), sorted by strcmp; freed with loom_names_free. */
loom_status loom_folder_list(const char *path, char ***names, size_t *count, struct loom_error *error);
void loom_names_free(char **names, size_t count);

bool loom_path_exists(const char *path);
bool loom_path_is_folder(const char *path);
/* "a/b", or "b" when b is absolute; freed with free(); NULL when memory is short. */
char *loom_path_join(const char *a, const char *b);

/* An advisory lock on PATH, held until released or the process ends. Fails with LOOM_FAILED when another process has
 * it. The file stays. */
struct loom_lock {
    int descriptor;
};

loom_status loom_lock_take(struct loom_lock *lock, const char *path, struct loom_error *error);
/* The same on a folder itself, which may be renamed while it is held: nothing is left in it. */
loom_status loom_lock_take_folder(struct loom_lock *lock, const char *path, struct loom_error *error);
void loom_lock_release(struct loom_lock *lock);

#endif
