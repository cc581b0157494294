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
 * For an address (hf://, s3://, https://) it loads the extension httpfs, which the user has installed once. */
#ifndef LOOM_DATA_DUCKDB_H
#define LOOM_DATA_DUCKDB_H

#include <stdbool.h>

#include "base/child.h"
#include "data/source/filter.h"

struct loom_duckdb_query {
    const char *path;
    bool remote;
    const char *column; /* that holds the text */
    const struct loom_filter *filter;
    uint64_t first; /* rows before this one are left out; counted from 0 */
};

loom_status loom_duckdb_open(const struct loom_duckdb_query *query, struct loom_child *child, struct loom_error *error);
/* Waits for a query whose output has ended; LOOM_FAILED with DuckDB's words if it did not succeed. `row`, counted from
 * 1, is where the output ended. */
loom_status loom_duckdb_finish(struct loom_child *child, const char *path, uint64_t row, struct loom_error *error);

/* The files that a remote pattern stands for, sorted; freed with loom_names_free. */
loom_status loom_duckdb_glob(const char *pattern, char ***files, size_t *count, struct loom_error *error);

#endif
