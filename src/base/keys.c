/* keys.c - see keys.h. */
#include "base/keys.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct loom_key *loom_key_find(const struct loom_key *keys, size_t count, unsigned groups, const char *name) {
    for (size_t i = 0; i < count; i++)
        if ((keys[i].groups == 0 || (keys[i].groups & groups)) && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* Stores a number that is within the key's range and, for whole types, whole. */
static loom_status set_number(const struct loom_key *key, void *target, double value, struct loom_error *error) {
    bool whole = key->type != LOOM_KEY_REAL;
    if (!(value >= key->low && value <= key->high))
        return loom_fail(error, LOOM_INVALID, "%s = %.12g is outside %.12g to %.12g", key->name, value, key->low,
                         key->high);
    if (whole && value != floor(value))
        return loom_fail(error, LOOM_INVALID, "%s = %.12g must be a whole number", key->name, value);
    char *place = (char *)target + key->offset;
    if (key->type == LOOM_KEY_REAL)
        *(double *)(void *)place = value;
    else if (key->type == LOOM_KEY_UINT64)
        *(uint64_t *)(void *)place = (uint64_t)value;
    else
        *(int *)(void *)place = (int)value;
    return LOOM_OK;
}

static loom_status set_choice(const struct loom_key *key, void *target, const char *text, struct loom_error *error) {
    char known[256] = "";
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(key->choices[i], text) == 0) {
            *(int *)(void *)((char *)target + key->offset) = i;
            return LOOM_OK;
        }
        strncat(known, i ? ", " : "", sizeof known - strlen(known) - 1);
        strncat(known, key->choices[i], sizeof known - strlen(known) - 1);
    }
    return loom_fail(error, LOOM_INVALID, "%s = \"%.64s\" is none of: %s", key->name, text, known);
}

static loom_status set_bool(const struct loom_key *key, void *target, bool value) {
    *(bool *)(void *)((char *)target + key->offset) = value;
    return LOOM_OK;
}

static loom_status set_string(const struct loom_key *key, void *target, const char *text, struct loom_error *error) {
    char *place = (char *)target + key->offset;
    size_t most = (size_t)key->high;
    if (strlen(text) > most)
        return loom_fail(error, LOOM_INVALID, "%s = \"%.64s...\" is longer than %zu bytes", key->name, text, most);
    memset(place, 0, most + 1); /* all of it: structs are compared byte by byte */
    memcpy(place, text, strlen(text));
    return LOOM_OK;
}

loom_status loom_key_set_text(const struct loom_key *key, void *target, const char *text, struct loom_error *error) {
    if (key->type == LOOM_KEY_CHOICE)
        return set_choice(key, target, text, error);
    if (key->type == LOOM_KEY_BOOL) {
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            return set_bool(key, target, text[0] == 't');
        return loom_fail(error, LOOM_INVALID, "%s = \"%.64s\" must be true or false", key->name, text);
    }
    if (key->type == LOOM_KEY_TEXT)
        return set_string(key, target, text, error);
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return loom_fail(error, LOOM_INVALID, "%s = \"%.64s\" must be a number", key->name, text);
    return set_number(key, target, value, error);
}

loom_status loom_key_set_json(const struct loom_key *key, void *target, const json_t *value, const char *file,
                              struct loom_error *error) {
    struct loom_error inner = {""};
    loom_status status;
    if (key->type == LOOM_KEY_CHOICE)
        status = json_is_string(value) ? set_choice(key, target, json_string_value(value), &inner)
                                       : loom_fail(&inner, LOOM_INVALID, "%s must be a string", key->name);
    else if (key->type == LOOM_KEY_TEXT)
        status = json_is_string(value) ? set_string(key, target, json_string_value(value), &inner)
                                       : loom_fail(&inner, LOOM_INVALID, "%s must be a string", key->name);
    else if (key->type == LOOM_KEY_BOOL)
        status = json_is_boolean(value) ? set_bool(key, target, json_is_true(value))
                                        : loom_fail(&inner, LOOM_INVALID, "%s must be true or false", key->name);
    else
        status = json_is_number(value) ? set_number(key, target, json_number_value(value), &inner)
                                       : loom_fail(&inner, LOOM_INVALID, "%s must be a number", key->name);
    return status ? loom_fail(error, status, "%s: %s", file, inner.text) : LOOM_OK;
}

static json_t *key_json(const struct loom_key *key, const void *source) {
    const void *place = (const char *)source + key->offset;
    switch (key->type) {
    case LOOM_KEY_INT:
        return json_integer(*(const int *)place);
    case LOOM_KEY_UINT64:
        return json_integer((json_int_t) * (const uint64_t *)place);
    case LOOM_KEY_REAL:
        return json_real(*(const double *)place);
    case LOOM_KEY_BOOL:
        return json_boolean(*(const bool *)place);
    case LOOM_KEY_TEXT:
        return json_string(place);
    case LOOM_KEY_CHOICE:
        return json_string(key->choices[*(const int *)place]);
    }
    return NULL;
}

bool loom_keys_write(const struct loom_key *keys, size_t count, unsigned groups, const void *source, json_t *object) {
    for (size_t i = 0; i < count; i++)
        if (keys[i].groups == 0 || (keys[i].groups & groups))
            if (json_object_set_new(object, keys[i].name, key_json(&keys[i], source)) != 0)
                return false;
    return true;
}
