/* rows.h - objects of a JSON file, one by one: of JSON lines, of one array, or of an object's array "examples". */
#ifndef LOOM_DATA_ROWS_H
#define LOOM_DATA_ROWS_H

#include "base/json.h"

/* Called for each object in order; `name` is "PATH: row N" (counted from 1) for sentences. Another status than LOOM_OK
 * ends the reading and is handed on. */
typedef loom_status (*loom_row_function)(void *user, json_t *row, const char *name, struct loom_error *error);

/* Reads a file, packed or not (.gz, .zst); a row that is no object is LOOM_INVALID. A .json file is one value of at
 * most 1 GiB; any other holds a value of at most 32 MiB on each line, empty lines aside. */
loom_status loom_rows_each(const char *path, loom_row_function on_row, void *user, struct loom_error *error);

#endif
