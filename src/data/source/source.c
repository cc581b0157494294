/* source.c - see source.h. */
#include "data/source/source.h"

#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utf8.h"
#include "data/source/duckdb.h"

enum { DEPTH_MAX = 32 }; /* of folders in folders */

const char *const loom_format_names[] = {"auto", "text", "jsonl", "parquet", NULL};

loom_status loom_format_find(const char *name, enum loom_format *format, struct loom_error *error) {
    for (*format = LOOM_FORMAT_AUTO; name && loom_format_names[*format]; (*format)++)
        if (strcmp(name, loom_format_names[*format]) == 0)
            return LOOM_OK;
    if (!name)
        return LOOM_OK;
    return loom_fail(error, LOOM_INVALID, "the format must be auto, text, jsonl or parquet, not \"%s\"", name);
}

/* ---- what a name tells ------------------------------------------------------------------------------------------- */

struct ending {
    const char *text;
    int means;
};

/* What the end of name[0..*length) means, or `otherwise`; cuts the ending off. */
static int read_ending(const char *name, size_t *length, const struct ending *endings, size_t count, int otherwise) {
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(endings[i].text);
        if (*length > size && strncmp(name + *length - size, endings[i].text, size) == 0) {
            *length -= size;
            return endings[i].means;
        }
    }
    return otherwise;
}

enum loom_packing loom_packing_of(const char *name, size_t *length) {
    static const struct ending endings[] = {
        {".gz", LOOM_PACKING_GZIP}, {".zst", LOOM_PACKING_ZSTD}, {".zstd", LOOM_PACKING_ZSTD}};
    return (enum loom_packing)read_ending(name, length, endings, sizeof endings / sizeof *endings, LOOM_PACKING_NONE);
}

/* AUTO: the name says nothing. */
static enum loom_format format_of(const char *name, size_t length) {
    static const struct ending endings[] = {{".txt", LOOM_FORMAT_TEXT},
                                            {".jsonl", LOOM_FORMAT_JSONL},
                                            {".ndjson", LOOM_FORMAT_JSONL},
                                            {".parquet", LOOM_FORMAT_PARQUET}};
    return (enum loom_format)read_ending(name, &length, endings, sizeof endings / sizeof *endings, LOOM_FORMAT_AUTO);
}

/* Packed or structured files would pass for bytes of text and train a model on noise: they are refused by name. */
static loom_status check_kind(const char *path, size_t length, struct loom_error *error) {
    static const struct ending endings[] = {{".xz", 0},   {".bz2", 1},     {".zip", 2},   {".tar", 3}, {".tgz", 4},
                                            {".csv", 5},  {".feather", 6}, {".arrow", 7}, {".tsv", 8}, {".pdf", 9},
                                            {".orc", 10}, {".avro", 11},   {".json", 12}};
    int kind = read_ending(path, &length, endings, sizeof endings / sizeof *endings, -1);
    if (kind < 0)
        return LOOM_OK;
    if (strcmp(endings[kind].text, ".json") == 0)
        return loom_fail(error, LOOM_INVALID,
                         "%s: a .json file may hold rows or be a text; say --format jsonl where each line is a row, or "
                         "--format text",
                         path);
    return loom_fail(error, LOOM_INVALID,
                     "%s: %s files are not supported; give plain text, .jsonl or .parquet, as they are or as .gz or "
                     ".zst",
                     path, endings[kind].text);
}

static bool is_remote(const char *path) {
    static const char *const schemes[] = {"hf://", "s3://", "https://", "http://", "gs://", "r2://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

static bool is_pattern(const char *path) {
    return strpbrk(path, "*?[") != NULL;
}

bool loom_source_is_input(const struct loom_source *source) {
    return strcmp(source->path, "-") == 0;
}

const char *loom_source_name(const struct loom_source *source) {
    return loom_source_is_input(source) ? "standard input" : source->path;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* What adds sources to a list, and how. */
struct finder {
    struct loom_sources *sources;
    enum loom_format format;
};

/* The manifest names its sources in JSON, which only holds UTF-8. */
static loom_status check_name(const char *path, struct loom_error *error) {
    size_t size = strlen(path), step = 0;
    uint32_t point;
    for (size_t i = 0; i < size; i += step) {
        step = loom_utf8_decode(path + i, size - i, &point);
        if (step == 0)
            return loom_fail(error, LOOM_INVALID, "%s: the file's name is not UTF-8 at byte %zu", path, i);
    }
    return LOOM_OK;
}

static loom_status add_source(struct finder *finder, const char *path, uint64_t bytes, struct loom_error *error) {
    struct loom_sources *sources = finder->sources;
    size_t length = strlen(path);
    struct loom_source source = {.bytes = bytes, .remote = is_remote(path)};
    source.packing = loom_packing_of(path, &length);
    source.format = finder->format == LOOM_FORMAT_AUTO ? format_of(path, length) : finder->format;
    if (source.format == LOOM_FORMAT_AUTO)
        source.format = source.remote ? LOOM_FORMAT_PARQUET : LOOM_FORMAT_TEXT;
    if (source.remote && (source.format != LOOM_FORMAT_PARQUET || source.packing != LOOM_PACKING_NONE))
        return loom_fail(error, LOOM_INVALID, "%s: only Parquet files can be read from an address", path);
    loom_status status = finder->format == LOOM_FORMAT_AUTO ? check_kind(path, length, error) : LOOM_OK;
    if (status == LOOM_OK)
        status = check_name(path, error);
    if (status != LOOM_OK)
        return status;
    struct loom_source *grown = realloc(sources->items, (sources->count + 1) * sizeof *grown);
    if (grown)
        sources->items = grown;
    source.path = strdup(path);
    if (!grown || !source.path) {
        free(source.path);
        return loom_fail_memory(error, path, (sources->count + 1) * sizeof *grown);
    }
    sources->items[sources->count++] = source;
    return LOOM_OK;
}

/* Opening is the only sure test of the right to read. It does not wait for who writes into a pipe. */
static loom_status measure(const char *path, uint64_t *bytes, struct loom_error *error) {
    struct stat about;
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0)
        return loom_fail_system(error, "cannot open", path);
    loom_status status = LOOM_OK;
    if (fstat(descriptor, &about) != 0)
        status = loom_fail_system(error, "cannot open", path);
    else if (!S_ISREG(about.st_mode))
        status =
            loom_fail(error, LOOM_INVALID, "%s is not a regular file; what comes through a pipe is read as -", path);
    else
        *bytes = (uint64_t)about.st_size;
    close(descriptor);
    return status;
}

static loom_status add_file(struct finder *finder, const char *path, struct loom_error *error) {
    uint64_t bytes = 0;
    loom_status status = measure(path, &bytes, error);
    if (status == LOOM_OK && bytes == 0)
        status = loom_fail(error, LOOM_INVALID, "%s is empty", path);
    return status == LOOM_OK ? add_source(finder, path, bytes, error) : status;
}

static loom_status add_folder(struct finder *finder, const char *folder, int depth, struct loom_error *error);

/* One entry of a folder: what is not text, hidden or empty is passed over. */
static loom_status add_entry(struct finder *finder, const char *path, const char *name, int depth,
                             struct loom_error *error) {
    struct stat about;
    size_t length = strlen(name);
    uint64_t bytes = 0;
    if (name[0] == '.')
        return LOOM_OK;
    if (lstat(path, &about) == 0 && S_ISDIR(about.st_mode)) /* links to folders are not followed: they may go round */
        return add_folder(finder, path, depth + 1, error);
    loom_packing_of(name, &length);
    if (format_of(name, length) == LOOM_FORMAT_AUTO || loom_path_is_folder(path))
        return LOOM_OK;
    loom_status status = measure(path, &bytes, error);
    return status == LOOM_OK && bytes > 0 ? add_source(finder, path, bytes, error) : status;
}

static loom_status add_folder(struct finder *finder, const char *folder, int depth, struct loom_error *error) {
    char **names;
    size_t count;
    if (depth > DEPTH_MAX)
        return loom_fail(error, LOOM_INVALID, "%s lies more than %d folders deep", folder, DEPTH_MAX);
    loom_status status = loom_folder_list(folder, &names, &count, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        char *path = loom_path_join(folder, names[i]);
        status = path ? add_entry(finder, path, names[i], depth, error) : loom_fail_memory(error, folder, 0);
        free(path);
    }
    loom_names_free(names, count);
    return status;
}

static loom_status add_pattern(struct finder *finder, const char *pattern, struct loom_error *error) {
    glob_t found;
    int code = glob(pattern, 0, NULL, &found); /* sorts */
    if (code == GLOB_NOSPACE)
        return loom_fail_memory(error, pattern, 0);
    if (code == GLOB_NOMATCH)
        return loom_fail(error, LOOM_INVALID, "no file or folder matches %s", pattern);
    loom_status status = LOOM_OK;
    for (size_t i = 0; code == 0 && status == LOOM_OK && i < found.gl_pathc; i++)
        status = loom_path_is_folder(found.gl_pathv[i]) ? add_folder(finder, found.gl_pathv[i], 0, error)
                                                        : add_file(finder, found.gl_pathv[i], error);
    if (code == 0)
        globfree(&found);
    return status;
}

static loom_status add_remote(struct finder *finder, const char *address, struct loom_error *error) {
    char **files;
    size_t count;
    if (!is_pattern(address))
        return add_source(finder, address, 0, error);
    loom_status status = loom_duckdb_glob(address, &files, &count, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++)
        status = add_source(finder, files[i], 0, error);
    loom_names_free(files, count);
    return status;
}

static loom_status add_input(struct finder *finder, const char *input, struct loom_error *error) {
    size_t before = finder->sources->count;
    loom_status status;
    if (strcmp(input, "-") == 0)
        return add_source(finder, input, 0, error);
    if (is_remote(input))
        status = add_remote(finder, input, error);
    else if (loom_path_is_folder(input))
        status = add_folder(finder, input, 0, error);
    else if (is_pattern(input) && !loom_path_exists(input))
        status = add_pattern(finder, input, error);
    else
        status = add_file(finder, input, error);
    if (status == LOOM_OK && finder->sources->count == before)
        status = loom_fail(error, LOOM_INVALID, "%s has no .txt, .jsonl or .parquet file that is not empty", input);
    return status;
}

loom_status loom_sources_open(const char *const *inputs, size_t n_inputs, enum loom_format format,
                              struct loom_sources *sources, struct loom_error *error) {
    struct finder finder = {sources, format};
    *sources = (struct loom_sources){NULL, 0};
    if (n_inputs == 0)
        return loom_fail(error, LOOM_INVALID,
                         "no input was given: name a file of text, .jsonl or .parquet, a folder, or - "
                         "for standard input");
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < n_inputs; i++)
        status = add_input(&finder, inputs[i], error);
    if (status != LOOM_OK)
        loom_sources_free(sources);
    return status;
}

void loom_sources_free(struct loom_sources *sources) {
    for (size_t i = 0; i < sources->count; i++)
        free(sources->items[i].path);
    free(sources->items);
    *sources = (struct loom_sources){NULL, 0};
}
