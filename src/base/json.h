/* json.h - strict JSON by jansson, with errors that name the file and the key.
 *
 * Duplicate keys, trailing bytes, bad UTF-8 and numbers out of range are refused. A getter fails with LOOM_INVALID when
 * the key is missing or has another type, and says which. */
#ifndef LOOM_BASE_JSON_H
#define LOOM_BASE_JSON_H

#include <jansson.h>

#include "base/status.h"

/* Whether jansson found no value because memory is short. */
bool loom_json_lacks_memory(const json_error_t *fault);

/* json_loadb; where an integer has more than 63 bits, such as a hash that a row bears beside its text, all integers are
 * read as reals. */
json_t *loom_json_load(const char *text, size_t size, size_t flags, json_error_t *fault);

/* `name` is what errors call the text. The result is freed with json_decref. */
loom_status loom_json_parse(const char *text, size_t size, const char *name, json_t **json, struct loom_error *error);
/* Reads a file of at most 64 MiB. */
loom_status loom_json_read(const char *path, json_t **json, struct loom_error *error);
/* The text of `json` with jansson's flags, freed with free(); NULL when memory is short. */
char *loom_json_text(const json_t *json, size_t flags);
/* Writes `json` indented by two spaces, with a final newline, atomically. Steals no reference. */
loom_status loom_json_write(const char *path, const json_t *json, struct loom_error *error);

loom_status loom_json_integer(const json_t *object, const char *key, const char *name, int64_t low, int64_t high,
                              int64_t *value, struct loom_error *error);
/* An integer that counts something: 0 to INT64_MAX. */
loom_status loom_json_count(const json_t *object, const char *key, const char *name, uint64_t *count,
                            struct loom_error *error);
loom_status loom_json_number(const json_t *object, const char *key, const char *name, double *value,
                             struct loom_error *error);
/* *value lives as long as the object. */
loom_status loom_json_string(const json_t *object, const char *key, const char *name, const char **value,
                             struct loom_error *error);

#endif
