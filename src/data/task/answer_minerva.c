/* answer_minerva.c - answers of the MATH data set by the rules of Minerva. See answer.h.
 *
 * Lewkowycz et al., arXiv 2206.14858, appendix D, as lm-evaluation-harness keeps it. There an algebra system then
 * compares the two normalised answers; here they are equal when they are the same text, or the same
 * number. So sums in another order, which that system finds equal, are not; and intervals, vectors and matrices, which
 * its parser cannot read and finds unequal even to themselves, are. */
#include "data/task/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"

static const char *get(const struct loom_text *text) {
    return text->data ? text->data : "";
}

static void put(struct loom_text *text, const char *from, size_t size) {
    loom_text_put(text, from, size);
}

/* Takes `next` in place of the text. */
static void replace(struct loom_text *text, struct loom_text next) {
    next.failed = next.failed || text->failed;
    loom_text_free(text);
    *text = next;
}

/* Bytes of the first character; 0 at the end. */
static size_t character(const char *text) {
    uint32_t point;
    size_t size = loom_utf8_decode(text, strlen(text), &point);
    return size ? size : text[0] != '\0';
}

static size_t line_of(const char *text) {
    return strcspn(text, "\n");
}

/* ---- the rules --------------------------------------------------------------------------------------------------- */

static void substitute_all(struct loom_text *text) {
    static const char *const pairs[][2] = {
        {"an ", ""}, {"a ", ""},       {".$", "$"},           {"\\$", ""},          {"\\ ", ""},
        {" ", ""},   {"mbox", "text"}, {",\\text{and}", ","}, {"\\text{and}", ","}, {"\\text{m}", "\\text{}"},
    };
    static const char *const removed[] = {
        "square",       "ways",
        "integers",     "dollars",
        "mph",          "inches",
        "ft",           "hours",
        "km",           "units",
        "\\ldots",      "sue",
        "points",       "feet",
        "minutes",      "digits",
        "cents",        "degrees",
        "cm",           "gm",
        "pounds",       "meters",
        "meals",        "edges",
        "students",     "childrentickets",
        "multiples",    "\\text{s}",
        "\\text{.}",    "\\text{\ns}",
        "\\text{}^2",   "\\text{}^3",
        "\\text{\n}",   "\\text{}",
        "\\mathrm{th}", "^\\circ",
        "^{\\circ}",    "\\;",
        ",\\!",         "{,}",
        "\"",           "\\dots",
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        loom_text_substitute(text, pairs[i][0], pairs[i][1]);
    for (size_t i = 0; i < sizeof removed / sizeof removed[0]; i++)
        loom_text_substitute(text, removed[i], "");
}

/* Of a line with two dollars, what they enclose. */
static void keep_mathematics(struct loom_text *text) {
    struct loom_text next = {0};
    for (const char *from = get(text); *from;) {
        size_t size = line_of(from);
        const char *first = memchr(from, '$', size);
        const char *second = first ? memchr(first + 1, '$', size - (size_t)(first + 1 - from)) : NULL;
        if (second)
            put(&next, first, (size_t)(second + 1 - first));
        else
            put(&next, from, size);
        from += size;
        if (*from)
            put(&next, from++, 1);
    }
    replace(text, next);
}

/* "\text{5}" becomes "5": up to the next brace on the line, or with `far` to the last. */
static void unwrap(struct loom_text *text, const char *mark, bool far) {
    struct loom_text next = {0};
    const char *from = get(text);
    for (const char *found = strstr(from, mark); found; found = strstr(from, mark)) {
        const char *inside = found + strlen(mark), *end = NULL;
        for (const char *c = inside; *c && *c != '\n' && (far || !end); c++)
            end = *c == '}' ? c : end;
        put(&next, from, (size_t)((end ? found : inside) - from));
        if (end)
            put(&next, inside, (size_t)(end - inside));
        from = end ? end + 1 : inside;
    }
    put(&next, from, strlen(from));
    replace(text, next);
}

/* "frac12" becomes "frac{1}{2}", "sqrt3" becomes "sqrt{3}": as many braces as `parts`. */
static void brace(struct loom_text *text, const char *mark, int parts) {
    struct loom_text next = {0};
    const char *from = get(text);
    for (const char *found = strstr(from, mark); found; found = strstr(from, mark)) {
        const char *part = found + strlen(mark);
        size_t first = *part == '{' ? 0 : character(part);
        size_t second = parts > 1 && first && part[first] != '\n' ? character(part + first) : 0;
        put(&next, from, (size_t)(part - from));
        from = part;
        if (first == 0 || (parts > 1 && second == 0))
            continue;
        loom_text_append(&next, "{%.*s}", (int)first, part);
        if (parts > 1)
            loom_text_append(&next, "{%.*s}", (int)second, part + first);
        from += first + second;
    }
    put(&next, from, strlen(from));
    replace(text, next);
}

/* 100,000 becomes 100000. */
static void join_thousands(struct loom_text *text) {
    const char *from = get(text);
    if (strspn(from, "0123456789,") == strlen(from) && strpbrk(from, "0123456789"))
        loom_text_substitute(text, ",", "");
}

char *loom_answer_minerva_plain(const char *answer) {
    static const char *const wrappers[] = {"\\text{", "\\textbf{", "\\overline{"};
    const char *equal = strrchr(answer, '=');
    struct loom_text text = {0};
    answer = equal ? equal + 1 : answer;
    put(&text, answer, strlen(answer));
    substitute_all(&text);
    keep_mathematics(&text);
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
        unwrap(&text, wrappers[i], false);
    unwrap(&text, "\\boxed{", true);
    brace(&text, "frac", 2);
    brace(&text, "sqrt", 1);
    loom_text_substitute(&text, "$", "");
    join_thousands(&text);
    put(&text, "", 0);
    if (!text.failed && text.data)
        return text.data;
    loom_text_free(&text);
    return NULL;
}

/* ---- the same value ---------------------------------------------------------------------------------------------- */

/* Digits with at most one point among them; moves behind them. */
static bool read_decimal(const char **text, long double *value) {
    size_t digits = strspn(*text, "0123456789."), points = 0;
    for (size_t i = 0; i < digits; i++)
        points += (*text)[i] == '.';
    if (digits == points || points > 1)
        return false;
    *value = strtold(*text, NULL);
    *text += digits;
    return true;
}

static bool skip(const char **text, const char *part) {
    bool there = strncmp(*text, part, strlen(part)) == 0;
    *text += there ? strlen(part) : 0;
    return there;
}

/* -2, 0.5, 3/4, \frac{3}{4}. */
static bool read_number(const char *text, long double *value) {
    long double sign = skip(&text, "-") ? -1 : 1, below = 1;
    bool stacked = skip(&text, "\\frac{");
    bool read = read_decimal(&text, value);
    if (read && (stacked ? skip(&text, "}{") : skip(&text, "/")))
        read = read_decimal(&text, &below) && (!stacked || skip(&text, "}"));
    else
        read = read && !stacked;
    *value *= sign / below;
    return read && *text == '\0' && below > 0;
}

/* How large a fraction is set is no part of the answer. */
static char *one_setting(const char *plain) {
    struct loom_text text = {0};
    put(&text, plain, strlen(plain));
    loom_text_substitute(&text, "dfrac", "frac");
    loom_text_substitute(&text, "tfrac", "frac");
    put(&text, "", 0);
    return text.failed ? NULL : text.data;
}

bool loom_answer_minerva_equal(const char *a, const char *b, bool *failed) {
    const char *answers[2] = {a, b};
    char *forms[2] = {NULL, NULL};
    long double values[2];
    for (int i = 0; i < 2; i++) {
        char *plain = loom_answer_minerva_plain(answers[i]);
        forms[i] = plain ? one_setting(plain) : NULL;
        free(plain);
    }
    bool there = forms[0] && forms[1], equal = there && strcmp(forms[0], forms[1]) == 0;
    if (there && !equal && read_number(forms[0], &values[0]) && read_number(forms[1], &values[1]))
        equal = fabsl(values[0] - values[1]) <= 1e-18L * fabsl(values[0]);
    *failed = *failed || !there;
    free(forms[0]);
    free(forms[1]);
    return equal;
}

/* ---- where the answer stands ------------------------------------------------------------------------------------- */

/* What stands between `from` and the closing words on its line, less the one character before these, a full stop as a
 * rule; NULL without them. */
static const char *closing(const char *from) {
    static const char words[] = " I hope it is correct";
    const char *end = from + line_of(from), *close;
    if (from == end)
        return NULL;
    close = strstr(from + 1, words);
    if (!close || close + sizeof words > end) /* a character follows the words, too */
        return NULL;
    for (close--; close > from && ((unsigned char)*close & 0xc0) == 0x80;)
        close--;
    return close;
}

/* The reference closes every response, so that a last full stop and a space are enough. */
char *loom_answer_minerva_final(const char *response) {
    static const char start[] = "Final Answer: The final answer is", space[] = " \t\r\v\f";
    struct loom_text text = {0};
    loom_text_append(&text, "%sI hope it is correct.", response);
    char *answer = NULL;
    const char *from = text.failed ? NULL : strstr(text.data, start);
    for (; from && !answer; from = strstr(from, start)) {
        from += sizeof start - 1;
        const char *end = closing(from), *begin = from + strspn(from, space);
        while (end && end > begin && strchr(space, end[-1]))
            end--;
        answer = end ? strndup(begin, end > begin ? (size_t)(end - begin) : 0) : NULL;
    }
    answer = text.failed || answer ? answer : strdup("[invalidanswer]");
    loom_text_free(&text);
    return answer;
}
