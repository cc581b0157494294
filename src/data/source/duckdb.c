/* duckdb.c - see duckdb.h. */
#include "data/source/duckdb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "data/source/stream.h"

enum { NAMES_BYTES_MAX = 64 << 20 }; /* of a list of remote files */

static const char *chosen(const char *variable, const char *otherwise) {
    const char *value = getenv(variable);
    return value && *value ? value : otherwise;
}

/* How much DuckDB may take. It unpacks a page as a whole: files of pages as long as many books need more. */
static const char *memory(void) {
    return chosen("LOOM_DUCKDB_MEMORY", "256MB");
}

static void put_settings(struct loom_text *sql) {
    loom_text_append(sql, "SET threads=1;SET temp_directory='';SET autoinstall_known_extensions=false;"
                          "SET autoload_known_extensions=false;SET memory_limit=");
    loom_sql_put_quoted(sql, '\'', memory());
    loom_text_append(sql, ";");
}

static loom_status start(struct loom_child *child, const struct loom_text *sql, struct loom_error *error) {
    const char *program = chosen("LOOM_DUCKDB", "duckdb");
    if (sql->failed)
        return loom_fail_memory(error, "DuckDB query", sql->size);
    char *arguments[] = {(char *)(uintptr_t)program, "-batch", "-no-init", "-c", sql->data, NULL};
    loom_status status = loom_child_open(child, program, arguments, error);
    if (status != LOOM_OK && errno == ENOENT)
        status = loom_fail(error, LOOM_IO,
                           "reading Parquet needs DuckDB's program: there is no \"%s\"; install it with pip install "
                           "duckdb-cli, or name it in LOOM_DUCKDB",
                           program);
    return status;
}

/* What the query may reach: the network, by an extension that the user asked for with the address; or one file. */
static void put_access(struct loom_text *sql, const char *path, bool remote) {
    if (remote) {
        loom_text_append(sql, "LOAD httpfs;");
        return;
    }
    loom_text_append(sql, "SET allowed_paths=[");
    loom_sql_put_quoted(sql, '\'', path);
    loom_text_append(sql, ",'/dev/stdout'];SET enable_external_access=false;SET lock_configuration=true;");
}

static void put_query(struct loom_text *sql, const struct loom_duckdb_query *query) {
    loom_text_append(sql, "COPY(SELECT num_rows FROM parquet_file_metadata(");
    loom_sql_put_quoted(sql, '\'', query->path);
    loom_text_append(sql, ")) TO '/dev/stdout' (FORMAT csv,HEADER false);COPY(SELECT file_row_number,strlen(");
    loom_sql_put_quoted(sql, '"', query->column);
    loom_text_append(sql, "),");
    loom_sql_put_quoted(sql, '"', query->column);
    loom_text_append(sql, " FROM read_parquet(");
    loom_sql_put_quoted(sql, '\'', query->path);
    loom_text_append(sql, ",file_row_number=true,binary_as_string=true) WHERE file_row_number>=%" PRIu64, query->first);
    loom_filter_sql(query->filter, sql);
    loom_text_append(sql, ") TO '/dev/stdout' (FORMAT csv,HEADER false,QUOTE '',ESCAPE '',DELIMITER E'\\x1f',"
                          "NULLSTR E'\\x1e')");
}

loom_status loom_duckdb_open(const struct loom_duckdb_query *query, struct loom_child *child,
                             struct loom_error *error) {
    struct loom_text sql = {.data = NULL};
    put_settings(&sql);
    put_access(&sql, query->path, query->remote);
    put_query(&sql, query);
    loom_status status = start(child, &sql, error);
    loom_text_free(&sql);
    return status;
}

/* The part of `words` between two phrases, as a string; NULL where they are not there. */
static char *between(char *words, const char *before, const char *behind) {
    char *start = strstr(words, before);
    char *end = start ? strstr(start + strlen(before), behind) : NULL;
    if (!end)
        return NULL;
    *end = '\0';
    return start + strlen(before);
}

/* What users meet most often, in plain words. */
static loom_status explain(const char *path, uint64_t row, char *words, struct loom_error *error) {
    const char *name;
    if (strstr(words, "httpfs"))
        return loom_fail(error, LOOM_IO,
                         "%s: DuckDB has no httpfs extension here; install it once with duckdb -c 'INSTALL httpfs'",
                         path);
    if ((name = between(words, "Referenced column \"", "\" not found")))
        return loom_fail(error, LOOM_FAILED, "%s has no column \"%s\"", path, name);
    if ((name = between(words, "'strlen(", ")'")))
        return loom_fail(error, LOOM_FAILED, "%s: the column that is to hold the text is of type %s", path, name);
    if (strstr(words, "Out of Memory"))
        return loom_fail(error, LOOM_FAILED,
                         "%s has a page from row %" PRIu64 " on that does not fit DuckDB's memory of %s; give it more "
                         "by LOOM_DUCKDB_MEMORY=2GB or the like",
                         path, row, memory());
    return LOOM_OK;
}

loom_status loom_duckdb_finish(struct loom_child *child, const char *path, uint64_t row, struct loom_error *error) {
    char words[512];
    int code;
    loom_child_wait(child, &code, words, sizeof words);
    if (code == 0)
        return LOOM_OK;
    loom_status status = explain(path, row, words, error);
    if (status != LOOM_OK)
        return status;
    return loom_fail(error, LOOM_FAILED, "%s cannot be read from row %" PRIu64 " on: DuckDB (exit code %d) says: %s",
                     path, row, code, words[0] ? words : "nothing");
}

/* Cuts text[0..size) into its lines. */
static loom_status split_lines(const char *text, size_t size, char ***files, size_t *count, struct loom_error *error) {
    for (size_t at = 0, length, capacity = 0; at < size; at += length + 1) {
        const char *end = memchr(text + at, '\n', size - at);
        length = end ? (size_t)(end - (text + at)) : size - at;
        char **grown = loom_grow(*files, &capacity, *count + 1, sizeof *grown);
        if (grown) {
            *files = grown;
            grown[*count] = strndup(text + at, length);
        }
        if (!grown || !grown[*count])
            return loom_fail_memory(error, "list of files", size);
        (*count)++;
    }
    return LOOM_OK;
}

loom_status loom_duckdb_glob(const char *pattern, char ***files, size_t *count, struct loom_error *error) {
    struct loom_text sql = {.data = NULL};
    struct loom_child child;
    struct loom_stream stream;
    *files = NULL;
    *count = 0;
    put_settings(&sql);
    put_access(&sql, pattern, true);
    loom_text_append(&sql, "COPY(SELECT file FROM glob(");
    loom_sql_put_quoted(&sql, '\'', pattern);
    loom_text_append(&sql, ") ORDER BY file) TO '/dev/stdout' (FORMAT csv,HEADER false,QUOTE '',ESCAPE '')");
    loom_status status = start(&child, &sql, error);
    loom_text_free(&sql);
    if (status != LOOM_OK)
        return status;
    loom_stream_attach(&stream, child.output, pattern);
    status = loom_stream_fill(&stream, NAMES_BYTES_MAX, error);
    if (status == LOOM_OK)
        status = loom_duckdb_finish(&child, pattern, 1, error);
    if (status == LOOM_OK)
        status = split_lines(stream.data, stream.size, files, count, error);
    loom_stream_close(&stream);
    loom_child_close(&child);
    return status;
}
