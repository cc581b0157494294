/* json.c - jansson with the strict flags and sentences of our own, see json.h. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Far above any configuration or tokenizer, far below what would hurt. */
static const size_t file_limit = (size_t)64 << 20;

/* When its very first allocation fails, jansson says nothing but that there is no line. */
bool loom_json_lacks_memory(const json_error_t *fault) {
    return json_error_code(fault) == json_error_out_of_memory || fault->line < 0;
}

json_t *loom_json_load(const char *text, size_t size, size_t flags, json_error_t *fault) {
    json_t *json = json_loadb(text, size, flags, fault);
    if (!json && json_error_code(fault) == json_error_numeric_overflow)
        json = json_loadb(text, size, flags | JSON_DECODE_INT_AS_REAL, fault);
    return json;
}

loom_status loom_json_parse(const char *text, size_t size, const char *name, json_t **json, struct loom_error *error) {
    json_error_t fault;
    *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &fault);
    if (*json)
        return LOOM_OK;
    if (loom_json_lacks_memory(&fault))
        return loom_fail_memory(error, name, size);
    return loom_fail(error, LOOM_FAILED, "%s is not valid JSON: line %d, column %d: %s", name, fault.line, fault.column,
                     fault.text);
}

loom_status loom_json_read(const char *path, json_t **json, struct loom_error *error) {
    char *text;
    size_t size;
    *json = NULL;
    loom_status status = loom_file_read(path, file_limit, &text, &size, error);
    if (status != LOOM_OK)
        return status;
    status = loom_json_parse(text, size, path, json, error);
    free(text);
    return status;
}

/* Not json_dumps: where its buffer cannot grow, jansson 2.14 leaves bytes out and returns the rest. */
char *loom_json_text(const json_t *json, size_t flags) {
    size_t size = json_dumpb(json, NULL, 0, flags);
    char *text = size > 0 ? malloc(size + 1) : NULL;
    if (!text || json_dumpb(json, text, size, flags) != size) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

loom_status loom_json_write(const char *path, const json_t *json, struct loom_error *error) {
    char *text = loom_json_text(json, JSON_INDENT(2));
    if (!text)
        return loom_fail(error, LOOM_NO_MEMORY, "%s: no memory for its text", path);
    struct loom_writer writer;
    loom_status status = loom_writer_open(&writer, path, error);
    if (status == LOOM_OK)
        status = loom_writer_put(&writer, text, strlen(text), error);
    if (status == LOOM_OK)
        status = loom_writer_put(&writer, "\n", 1, error);
    if (status == LOOM_OK)
        status = loom_writer_commit(&writer, error);
    free(text);
    return status;
}

static const char *type_name(const json_t *value) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    return names[json_typeof(value)];
}

/* Finds the key; a missing key and a value that is not an object are said here, once for all getters. */
static loom_status find(const json_t *object, const char *key, const char *name, json_t **value,
                        struct loom_error *error) {
    if (!json_is_object(object))
        return loom_fail(error, LOOM_INVALID, "%s: not a JSON object", name);
    *value = json_object_get(object, key);
    return *value ? LOOM_OK : loom_fail(error, LOOM_INVALID, "%s: key \"%s\" is missing", name, key);
}

static loom_status fail_type(const char *key, const char *name, const char *wanted, const json_t *value,
                             struct loom_error *error) {
    return loom_fail(error, LOOM_INVALID, "%s: key \"%s\" must be %s, not %s", name, key, wanted, type_name(value));
}

loom_status loom_json_integer(const json_t *object, const char *key, const char *name, int64_t low, int64_t high,
                              int64_t *value, struct loom_error *error) {
    json_t *found;
    loom_status status = find(object, key, name, &found, error);
    if (status != LOOM_OK)
        return status;
    if (!json_is_integer(found))
        return fail_type(key, name, "an integer", found, error);
    *value = json_integer_value(found);
    if (*value < low || *value > high)
        return loom_fail(error, LOOM_INVALID, "%s: key \"%s\" must be from %lld to %lld, not %lld", name, key,
                         (long long)low, (long long)high, (long long)*value);
    return LOOM_OK;
}

loom_status loom_json_count(const json_t *object, const char *key, const char *name, uint64_t *count,
                            struct loom_error *error) {
    int64_t value = 0;
    loom_status status = loom_json_integer(object, key, name, 0, INT64_MAX, &value, error);
    *count = (uint64_t)value;
    return status;
}

loom_status loom_json_number(const json_t *object, const char *key, const char *name, double *value,
                             struct loom_error *error) {
    json_t *found;
    loom_status status = find(object, key, name, &found, error);
    if (status != LOOM_OK)
        return status;
    if (!json_is_number(found))
        return fail_type(key, name, "a number", found, error);
    *value = json_number_value(found);
    return LOOM_OK;
}

loom_status loom_json_string(const json_t *object, const char *key, const char *name, const char **value,
                             struct loom_error *error) {
    json_t *found;
    loom_status status = find(object, key, name, &found, error);
    if (status != LOOM_OK)
        return status;
    if (!json_is_string(found))
        return fail_type(key, name, "a string", found, error);
    *value = json_string_value(found);
    return LOOM_OK;
}
