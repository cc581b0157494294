/* keys.h - a table of settings: each has a name, a type, a range and a place in a struct.
 *
 * One table serves JSON files, --set key=value, and writing the settings back, so that a new setting is one line. */
#ifndef LOOM_BASE_KEYS_H
#define LOOM_BASE_KEYS_H

#include "base/json.h"

enum loom_key_type {
    LOOM_KEY_INT,    /* int */
    LOOM_KEY_REAL,   /* double */
    LOOM_KEY_BOOL,   /* bool */
    LOOM_KEY_CHOICE, /* int: an index into choices */
    LOOM_KEY_UINT64, /* uint64_t */
    LOOM_KEY_TEXT    /* char[high + 1] */
};

struct loom_key {
    const char *name;
    enum loom_key_type type;
    size_t offset;              /* in the struct */
    double low, high;           /* inclusive; for numbers. For a text, high: its most bytes */
    const char *const *choices; /* NULL-terminated; for LOOM_KEY_CHOICE */
    unsigned groups;            /* a bit set of the caller's meaning; 0 fits all */
};

/* The key called `name` among those whose groups meet `groups` (or have none); NULL when there is none. */
const struct loom_key *loom_key_find(const struct loom_key *keys, size_t count, unsigned groups, const char *name);

/* Sets one value from text ("3", "1e-3", "true", "gqa") or from JSON; LOOM_INVALID names key, value and range. */
loom_status loom_key_set_text(const struct loom_key *key, void *target, const char *text, struct loom_error *error);
loom_status loom_key_set_json(const struct loom_key *key, void *target, const json_t *value, const char *file,
                              struct loom_error *error);

/* Adds every key that fits `groups` to the JSON object; false when memory is short. */
bool loom_keys_write(const struct loom_key *keys, size_t count, unsigned groups, const void *source, json_t *object);

#endif
