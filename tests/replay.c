/* replay.c - a fuzzer's main without the fuzzer: runs its target on each file of the folders and files that are named.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
    struct loom_error error;
    char *data;
    size_t size;
    if (loom_file_read(path, (size_t)1 << 28, &data, &size, &error) != LOOM_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("%s\n", path);
    fflush(stdout); /* if the target aborts, this was the one */
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    free(data);
    return 0;
}

static int replay_folder(const char *folder) {
    struct loom_error error;
    char **names;
    size_t count;
    int failed = 0;
    if (loom_folder_list(folder, &names, &count, &error) != LOOM_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        char *path = loom_path_join(folder, names[i]);
        failed |= path ? replay_file(path) : 1;
        free(path);
    }
    loom_names_free(names, count);
    return failed;
}

int main(int argc, char **argv) {
    int failed = argc < 2;
    for (int i = 1; i < argc; i++)
        failed |= loom_path_is_folder(argv[i]) ? replay_folder(argv[i]) : replay_file(argv[i]);
    return failed;
}
