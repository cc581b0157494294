/* duckdb.h - Parquet rows by DuckDB's command-line program, as a child process.
 *
 * The program is the one that LOOM_DUCKDB names, or `duckdb` in PATH (the PyPI package duckdb-cli has it). A process of
 * its own contains what a hostile file may do to its reader: it may open that one file, loads and installs no
 * extension, keeps within 256 MB of memory or what LOOM_DUCKDB_MEMORY says, and writes rows to a pipe in this form,
 * where length counts bytes:
 *
 *   ROWS newline                                 how many the file has
 *   ROW 0x1F LENGTH 0x1F TEXT newline            for each that is taken; ROW counts from 0; LENGTH is 0x1E for a text
 * that is null
 *
 * At a broken page it ends, and of small rows the last ones before it may be missing: they wait in a buffer. The slower
 * forms of a query lose none, and write ROW 0x1F 0x1D 0x1F 0x1D newline for each row that the filter leaves out: where
 * they end, a stretch of up to 2048 rows begins that cannot be read.
 *
 * For an address (hf://, s3://, https://) it loads the extension httpfs, which the user has installed once. */
#ifndef LOOM_DATA_DUCKDB_H
#define LOOM_DATA_DUCKDB_H

#include <stdbool.h>

#include "base/child.h"
#include "data/source/filter.h"

enum loom_duckdb_form {
    LOOM_DUCKDB_FAST,
    LOOM_DUCKDB_EXACT, /* all rows before a broken page */
    LOOM_DUCKDB_BYTES, /* the same, and texts need not be UTF-8; only of columns that the file does not call text */
};

struct loom_duckdb_query {
    enum loom_duckdb_form form;
    const char *path;
    bool remote;
    const char *column; /* that holds the text */
    const struct loom_filter *filter;
    uint64_t first; /* rows before this one are left out; counted from 0 */
};

loom_status loom_duckdb_open(const struct loom_duckdb_query *query, struct loom_child *child, struct loom_error *error);

/* How a query ended. */
struct loom_duckdb_end {
    int code; /* 0: well */
    char words[1024];
};

/* Waits for a query whose output has ended. */
void loom_duckdb_finish(struct loom_child *child, struct loom_duckdb_end *end);
/* Whether other rows of the file may be readable; else the query or the file as a whole is at fault. */
bool loom_duckdb_end_is_of_rows(const struct loom_duckdb_end *end);
/* Whether it was a text that is not UTF-8. */
bool loom_duckdb_end_is_of_text(const struct loom_duckdb_end *end);
/* LOOM_FAILED, or LOOM_IO where DuckDB lacks something, with a sentence that has DuckDB's words. Rows `first` to
 * `last`, counted from 1, cannot be read; 0: all that follow. */
loom_status loom_duckdb_fail(const struct loom_duckdb_end *end, const char *path, uint64_t first, uint64_t last,
                             struct loom_error *error);

/* Whether a column is missing; then loom_duckdb_add_columns tells in the sentence which there are. */
bool loom_duckdb_end_is_of_column(const struct loom_duckdb_end *end);
void loom_duckdb_add_columns(const char *path, bool remote, struct loom_error *error);

/* Where the file's row groups end, in rows, ascending; freed with free(). */
loom_status loom_duckdb_groups(const char *path, bool remote, uint64_t **ends, size_t *count, struct loom_error *error);

/* The files that a remote pattern stands for, sorted; freed with loom_names_free. */
loom_status loom_duckdb_glob(const char *pattern, char ***files, size_t *count, struct loom_error *error);

#endif
