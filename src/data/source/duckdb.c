/* duckdb.c - see duckdb.h. */
#include "data/source/duckdb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "data/source/stream.h"

enum { ANSWER_BYTES_MAX = 64 << 20 }; /* of a list */

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

/* What is selected of a row, with the column's name between the parts; and how it is written. As a BLOB each row is
 * written at once, as CSV many together. */
static const struct {
    const char *parts[4], *options, *format;
} forms[] = {
    [LOOM_DUCKDB_FAST] = {{"file_row_number,strlen(", "),", ""},
                          ",binary_as_string=true",
                          "csv,HEADER false,QUOTE '',ESCAPE '',DELIMITER E'\\x1f',NULLSTR E'\\x1e'"},
    [LOOM_DUCKDB_EXACT] = {{"encode(file_row_number||chr(31)||coalesce(strlen(",
                            ")::VARCHAR,chr(30))||chr(31)||coalesce(", ",chr(30))||chr(10))"},
                           ",binary_as_string=true",
                           "blob"},
    [LOOM_DUCKDB_BYTES] = {{"encode(file_row_number||chr(31)||coalesce(octet_length(",
                            ")::VARCHAR,chr(30))||chr(31))||coalesce(", ",'\\x1E'::BLOB)||'\\x0A'::BLOB"},
                           "",
                           "blob"},
};

static void put_selection(struct loom_text *sql, const struct loom_duckdb_query *query) {
    const char *const *parts = forms[query->form].parts;
    bool fast = query->form == LOOM_DUCKDB_FAST;
    if (!fast) {
        loom_text_append(sql, "CASE WHEN true");
        loom_filter_sql(query->filter, sql);
        loom_text_append(sql, " THEN ");
    }
    loom_text_append(sql, "%s", parts[0]);
    loom_sql_put_quoted(sql, '"', query->column);
    loom_text_append(sql, "%s", parts[1]);
    loom_sql_put_quoted(sql, '"', query->column);
    loom_text_append(sql, "%s", parts[2]);
    if (!fast)
        loom_text_append(sql, " ELSE encode(file_row_number||chr(31)||chr(29)||chr(31)||chr(29)||chr(10)) END");
}

static void put_query(struct loom_text *sql, const struct loom_duckdb_query *query) {
    loom_text_append(sql, "COPY(SELECT num_rows FROM parquet_file_metadata(");
    loom_sql_put_quoted(sql, '\'', query->path);
    loom_text_append(sql, ")) TO '/dev/stdout' (FORMAT csv,HEADER false);COPY(SELECT ");
    put_selection(sql, query);
    loom_text_append(sql, " FROM read_parquet(");
    loom_sql_put_quoted(sql, '\'', query->path);
    loom_text_append(sql, ",file_row_number=true%s) WHERE file_row_number>=%" PRIu64, forms[query->form].options,
                     query->first);
    if (query->form == LOOM_DUCKDB_FAST)
        loom_filter_sql(query->filter, sql);
    loom_text_append(sql, ") TO '/dev/stdout' (FORMAT %s)", forms[query->form].format);
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

/* ---- how it ended ------------------------------------------------------------------------------------------------ */

void loom_duckdb_finish(struct loom_child *child, struct loom_duckdb_end *end) {
    loom_child_wait(child, &end->code, end->words, sizeof end->words);
}

bool loom_duckdb_end_is_of_rows(const struct loom_duckdb_end *end) {
    static const char *const kinds[] = {"Invalid Input Error", "Invalid Error", "Out of Memory", "IO Error"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(end->words, kinds[i]))
            return true;
    return end->code > 128; /* a signal */
}

bool loom_duckdb_end_is_of_text(const struct loom_duckdb_end *end) {
    return strstr(end->words, "not valid UTF8") != NULL;
}

static const char no_column[] = "Referenced column \"";

bool loom_duckdb_end_is_of_column(const struct loom_duckdb_end *end) {
    return strstr(end->words, no_column) != NULL;
}

/* The part of `words` between two phrases, copied to `part`; NULL where they are not there. */
static const char *between(const char *words, const char *before, const char *behind, char part[128]) {
    const char *start = strstr(words, before);
    const char *end = start ? strstr(start + strlen(before), behind) : NULL;
    if (!end)
        return NULL;
    snprintf(part, 128, "%.*s", (int)(end - (start + strlen(before))), start + strlen(before));
    return part;
}

/* What users meet most often, in plain words. */
static loom_status explain(const char *path, uint64_t row, const char *words, struct loom_error *error) {
    char part[128];
    const char *name;
    if (strstr(words, "httpfs"))
        return loom_fail(error, LOOM_IO,
                         "%s: DuckDB has no httpfs extension here; install it once with duckdb -c 'INSTALL httpfs'",
                         path);
    if ((name = between(words, no_column, "\" not found", part)))
        return loom_fail(error, LOOM_FAILED, "%s has no column \"%s\"", path, name);
    if ((name = between(words, "'strlen(", ")'", part)))
        return loom_fail(error, LOOM_FAILED, "%s: the column that is to hold the text is of type %s", path, name);
    if (strstr(words, "Out of Memory"))
        return loom_fail(error, LOOM_FAILED,
                         "%s has a page from row %" PRIu64 " on that does not fit DuckDB's memory of %s; give it more "
                         "by LOOM_DUCKDB_MEMORY=2GB or the like",
                         path, row, memory());
    return LOOM_OK;
}

loom_status loom_duckdb_fail(const struct loom_duckdb_end *end, const char *path, uint64_t first, uint64_t last,
                             struct loom_error *error) {
    char rows[96];
    loom_status status = explain(path, first, end->words, error);
    if (status != LOOM_OK)
        return status;
    if (last > first)
        snprintf(rows, sizeof rows, ", rows %" PRIu64 " to %" PRIu64 " cannot be read", first, last);
    else if (last)
        snprintf(rows, sizeof rows, ", row %" PRIu64 " cannot be read", first);
    else
        snprintf(rows, sizeof rows, " cannot be read from row %" PRIu64 " on", first);
    return loom_fail(error, LOOM_FAILED, "%s%s: DuckDB (exit code %d) says: %s", path, rows, end->code,
                     end->words[0] ? end->words : "nothing");
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* Runs a query and gives its whole output, which `path` is the subject of. */
static loom_status ask(const struct loom_text *sql, const char *path, struct loom_stream *answer,
                       struct loom_error *error) {
    struct loom_child child;
    struct loom_duckdb_end end;
    loom_status status = start(&child, sql, error);
    if (status != LOOM_OK)
        return status;
    loom_stream_attach(answer, child.output, path);
    status = loom_stream_fill(answer, ANSWER_BYTES_MAX, error);
    if (status == LOOM_OK) {
        loom_duckdb_finish(&child, &end);
        status = end.code ? loom_duckdb_fail(&end, path, 1, 0, error) : LOOM_OK;
    }
    loom_child_close(&child);
    return status;
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
    struct loom_stream answer = {.descriptor = -1};
    *files = NULL;
    *count = 0;
    put_settings(&sql);
    put_access(&sql, pattern, true);
    loom_text_append(&sql, "COPY(SELECT file FROM glob(");
    loom_sql_put_quoted(&sql, '\'', pattern);
    loom_text_append(&sql, ") ORDER BY file) TO '/dev/stdout' (FORMAT csv,HEADER false,QUOTE '',ESCAPE '')");
    loom_status status = ask(&sql, pattern, &answer, error);
    if (status == LOOM_OK)
        status = split_lines(answer.data, answer.size, files, count, error);
    loom_stream_close(&answer);
    loom_text_free(&sql);
    return status;
}

void loom_duckdb_add_columns(const char *path, bool remote, struct loom_error *error) {
    struct loom_text sql = {.data = NULL};
    struct loom_stream answer = {.descriptor = -1};
    put_settings(&sql);
    put_access(&sql, path, remote);
    loom_text_append(&sql, "COPY(SELECT string_agg('\"'||column_name||'\"',', ') FROM(DESCRIBE FROM read_parquet(");
    loom_sql_put_quoted(&sql, '\'', path);
    loom_text_append(&sql, "))) TO '/dev/stdout' (FORMAT csv,HEADER false,QUOTE '',ESCAPE '',DELIMITER E'\\x1f')");
    if (error && ask(&sql, path, &answer, NULL) == LOOM_OK && answer.size > 1) {
        size_t length = strlen(error->text);
        snprintf(error->text + length, sizeof error->text - length, ", but %.*s", (int)(answer.size - 1), answer.data);
    }
    loom_stream_close(&answer);
    loom_text_free(&sql);
}

/* Lines of one number each, as numbers. */
static loom_status read_numbers(const struct loom_stream *text, uint64_t **numbers, size_t *count,
                                struct loom_error *error) {
    *numbers = malloc((text->size + 1) * sizeof **numbers);
    if (!*numbers)
        return loom_fail_memory(error, text->name, text->size * sizeof **numbers);
    for (size_t at = 0, length; at < text->size; at += length + 1, (*count)++) {
        uint64_t number = 0;
        for (length = 0; at + length < text->size && text->data[at + length] != '\n'; length++)
            number = number * 10 + (uint64_t)(text->data[at + length] - '0');
        (*numbers)[*count] = number;
    }
    return LOOM_OK;
}

loom_status loom_duckdb_groups(const char *path, bool remote, uint64_t **ends, size_t *count,
                               struct loom_error *error) {
    struct loom_text sql = {.data = NULL};
    struct loom_stream answer = {.descriptor = -1};
    *ends = NULL;
    *count = 0;
    put_settings(&sql);
    put_access(&sql, path, remote);
    loom_text_append(&sql,
                     "COPY(SELECT sum(n)OVER(ORDER BY g) FROM(SELECT row_group_id g,any_value(row_group_num_rows) n "
                     "FROM parquet_metadata(");
    loom_sql_put_quoted(&sql, '\'', path);
    loom_text_append(&sql, ") GROUP BY g) ORDER BY g) TO '/dev/stdout' (FORMAT csv,HEADER false)");
    loom_status status = ask(&sql, path, &answer, error);
    if (status == LOOM_OK)
        status = read_numbers(&answer, ends, count, error);
    loom_stream_close(&answer);
    loom_text_free(&sql);
    return status;
}
