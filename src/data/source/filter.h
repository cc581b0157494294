/* filter.h - which rows are taken: conditions on columns, all of which must hold.
 *
 * A condition is NAME OP VALUE, such as int_score >= 3 or language = en. OP is one of = == != < <= > >=. A value that
 * reads as a number compares as a number, true and false with what is one of the two, any other as text by its bytes;
 * quotes, "..." or '...', make a number text. A name may stand in quotes "..." too. A row whose column is null or
 * missing does not hold. */
#ifndef LOOM_DATA_FILTER_H
#define LOOM_DATA_FILTER_H

#include <jansson.h>

#include "base/status.h"
#include "base/text.h"

enum loom_filter_op { LOOM_EQUAL, LOOM_NOT_EQUAL, LOOM_LESS, LOOM_LESS_EQUAL, LOOM_GREATER, LOOM_GREATER_EQUAL };

struct loom_condition {
    char *column;
    enum loom_filter_op op;
    char *text; /* the value as text */
    bool is_number;
    double number;
};

struct loom_filter {
    struct loom_condition *items;
    size_t count;
};

/* LOOM_INVALID, quoting the condition, on one that cannot be read. */
loom_status loom_filter_open(const char *const *conditions, size_t count, struct loom_filter *filter,
                             struct loom_error *error);
void loom_filter_free(struct loom_filter *filter);

/* Whether a JSON object holds. Fails with LOOM_FAILED when a number is compared with text. */
loom_status loom_filter_json(const struct loom_filter *filter, const json_t *row, bool *holds,
                             struct loom_error *error);
/* Appends " AND (...)" for each condition, as SQL. */
void loom_filter_sql(const struct loom_filter *filter, struct loom_text *sql);

/* SQL's way to quote: a name in "..." and text in '...', the quote itself doubled. */
void loom_sql_put_quoted(struct loom_text *sql, char quote, const char *text);

#endif
