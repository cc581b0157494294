/* filter.c - see filter.h. */
#include "data/source/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Longer signs first: "<=" begins with "<". */
static const struct {
    const char *sign, *sql;
    enum loom_filter_op op;
} signs[] = {{"==", "=", LOOM_EQUAL},          {"!=", "<>", LOOM_NOT_EQUAL}, {"<=", "<=", LOOM_LESS_EQUAL},
             {">=", ">=", LOOM_GREATER_EQUAL}, {"=", "=", LOOM_EQUAL},       {"<", "<", LOOM_LESS},
             {">", ">", LOOM_GREATER}};
enum { SIGNS = sizeof signs / sizeof *signs };

/* A copy of text[0..size) without spaces around it. */
static char *trim(const char *text, size_t size) {
    while (size > 0 && *text == ' ') {
        text++;
        size--;
    }
    while (size > 0 && text[size - 1] == ' ')
        size--;
    return strndup(text, size);
}

/* Takes quotes of this kind off, if the text has them around it. */
static void unquote(char *text, char quote) {
    size_t size = strlen(text);
    if (size >= 2 && text[0] == quote && text[size - 1] == quote) {
        memmove(text, text + 1, size - 2);
        text[size - 2] = '\0';
    }
}

static size_t find_sign(const char *at) {
    for (size_t i = 0; i < SIGNS; i++)
        if (strncmp(at, signs[i].sign, strlen(signs[i].sign)) == 0)
            return i;
    return SIGNS;
}

static void read_value(struct loom_condition *condition) {
    size_t size = strlen(condition->text);
    char *end;
    condition->number = strtod(condition->text, &end);
    condition->is_number = size > 0 && *end == '\0' && isfinite(condition->number);
    unquote(condition->text, condition->text[0] == '\'' ? '\'' : '"');
}

static loom_status read_condition(const char *text, struct loom_condition *condition, struct loom_error *error) {
    const char *at = text + strcspn(text, "=!<>");
    size_t sign = find_sign(at);
    const char *value = sign < SIGNS ? at + strlen(signs[sign].sign) : at;
    const char first = value[strspn(value, " ")];
    if (sign == SIGNS || (first && strchr("=!<>", first)))
        return loom_fail(error, LOOM_INVALID,
                         "the filter \"%s\" is not NAME OP VALUE with OP one of = != < <= > >=", text);
    condition->op = signs[sign].op;
    condition->column = trim(text, (size_t)(at - text));
    condition->text = trim(value, strlen(value));
    if (!condition->column || !condition->text)
        return loom_fail_memory(error, text, strlen(text));
    unquote(condition->column, '"');
    if (!*condition->column || !*condition->text)
        return loom_fail(error, LOOM_INVALID, "the filter \"%s\" lacks its %s", text,
                         *condition->column ? "value" : "column");
    read_value(condition);
    return LOOM_OK;
}

loom_status loom_filter_open(const char *const *conditions, size_t count, struct loom_filter *filter,
                             struct loom_error *error) {
    *filter = (struct loom_filter){count ? calloc(count, sizeof *filter->items) : NULL, 0};
    if (count && !filter->items)
        return loom_fail_memory(error, "filter", count * sizeof *filter->items);
    filter->count = count;
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < count; i++)
        status = read_condition(conditions[i], &filter->items[i], error);
    if (status != LOOM_OK)
        loom_filter_free(filter);
    return status;
}

void loom_filter_free(struct loom_filter *filter) {
    for (size_t i = 0; i < filter->count; i++) {
        free(filter->items[i].column);
        free(filter->items[i].text);
    }
    free(filter->items);
    *filter = (struct loom_filter){NULL, 0};
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

/* `order`: below, at or above 0 as the row's value is below, at or above the condition's. */
static bool is_met(enum loom_filter_op op, int order) {
    switch (op) {
    case LOOM_EQUAL:
        return order == 0;
    case LOOM_NOT_EQUAL:
        return order != 0;
    case LOOM_LESS:
        return order < 0;
    case LOOM_LESS_EQUAL:
        return order <= 0;
    case LOOM_GREATER:
        return order > 0;
    case LOOM_GREATER_EQUAL:
        return order >= 0;
    }
    return false;
}

static loom_status check(const struct loom_condition *condition, const json_t *value, bool *holds,
                         struct loom_error *error) {
    if (!value || json_is_null(value)) {
        *holds = false;
        return LOOM_OK;
    }
    if (condition->is_number && json_is_number(value)) {
        double number = json_number_value(value);
        *holds = is_met(condition->op, (number > condition->number) - (number < condition->number));
        return LOOM_OK;
    }
    if (!condition->is_number && json_is_string(value)) {
        *holds = is_met(condition->op, strcmp(json_string_value(value), condition->text));
        return LOOM_OK;
    }
    if (json_is_boolean(value) && (strcmp(condition->text, "true") == 0 || strcmp(condition->text, "false") == 0)) {
        *holds = is_met(condition->op, (int)json_is_true(value) - (condition->text[0] == 't'));
        return LOOM_OK;
    }
    return loom_fail(error, LOOM_FAILED, "\"%s\" is %s, and the filter compares it with %s", condition->column,
                     json_is_string(value)   ? "text"
                     : json_is_number(value) ? "a number"
                                             : "neither text nor a number",
                     condition->is_number ? "a number" : "text");
}

loom_status loom_filter_json(const struct loom_filter *filter, const json_t *row, bool *holds,
                             struct loom_error *error) {
    loom_status status = LOOM_OK;
    *holds = true;
    for (size_t i = 0; status == LOOM_OK && *holds && i < filter->count; i++)
        status = check(&filter->items[i], json_object_get(row, filter->items[i].column), holds, error);
    return status;
}

void loom_sql_put_quoted(struct loom_text *sql, char quote, const char *text) {
    loom_text_put(sql, &quote, 1);
    for (; *text; text++) {
        if (*text == quote)
            loom_text_put(sql, &quote, 1);
        loom_text_put(sql, text, 1);
    }
    loom_text_put(sql, &quote, 1);
}

static const char *sql_sign(enum loom_filter_op op) {
    size_t i = 0;
    while (signs[i].op != op)
        i++;
    return signs[i].sql;
}

void loom_filter_sql(const struct loom_filter *filter, struct loom_text *sql) {
    for (size_t i = 0; i < filter->count; i++) {
        const struct loom_condition *condition = &filter->items[i];
        loom_text_append(sql, " AND (");
        loom_sql_put_quoted(sql, '"', condition->column);
        loom_text_append(sql, " %s ", sql_sign(condition->op));
        if (condition->is_number)
            loom_text_append(sql, "%.17g", condition->number);
        else
            loom_sql_put_quoted(sql, '\'', condition->text);
        loom_text_append(sql, ")");
    }
}
