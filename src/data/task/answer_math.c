/* answer_math.c - answers of the MATH data set, brought to one form. See answer.h.
 *
 * The rules of Hendrycks et al., arXiv 2103.03874, as lm-evaluation-harness keeps them. Some inputs end the reference's
 * normalisation with an exception, after which it compares the two texts as they are; that is `stuck` here. */
#include "data/task/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"

/* A text on its way through the rules. */
struct form {
    struct loom_text text;
    bool stuck;
};

static const char *get(const struct form *f) {
    return f->text.data ? f->text.data : "";
}

/* Takes `next` in place of the text. */
static void replace(struct form *f, struct loom_text next) {
    bool failed = f->text.failed || next.failed;
    loom_text_free(&f->text);
    f->text = next;
    f->text.failed = failed;
}

static void put(struct loom_text *text, const char *from) {
    loom_text_put(text, from, strlen(from));
}

static void substitute(struct form *f, const char *before, const char *after) {
    loom_text_substitute(&f->text, before, after);
}

static size_t count_of(const char *text, const char *part) {
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* Bytes of the first character; 0 at the end. */
static size_t character(const char *text) {
    uint32_t point;
    size_t size = loom_utf8_decode(text, strlen(text), &point);
    return size ? size : text[0] != '\0';
}

/* ---- the rules --------------------------------------------------------------------------------------------------- */

/* "12\text{ cm}": what stands before the unit. Two units are more than the reference expects. */
static void drop_unit(struct form *f) {
    static const char mark[] = "\\text{ ";
    size_t count = count_of(get(f), mark);
    f->stuck = f->stuck || count > 1;
    if (count != 1)
        return;
    struct loom_text next = {0};
    loom_text_put(&next, get(f), (size_t)(strstr(get(f), mark) - get(f)));
    replace(f, next);
}

/* "k=3" and "x = 3" lose what is at most two characters long and stands before the only "=". */
static void drop_name(struct form *f) {
    if (count_of(get(f), "=") != 1)
        return;
    const char *equal = strchr(get(f), '=');
    size_t characters = 0;
    for (const char *c = get(f); c < equal; c += character(c))
        characters++;
    if (characters > 2)
        return;
    struct loom_text next = {0};
    put(&next, equal + 1);
    replace(f, next);
}

/* \sqrt3 becomes \sqrt{3}. */
static void brace_roots(struct form *f) {
    static const char mark[] = "\\sqrt";
    struct loom_text next = {0};
    const char *from = get(f);
    for (const char *found = strstr(from, mark); found; found = strstr(from, mark)) {
        loom_text_put(&next, from, (size_t)(found - from));
        put(&next, mark);
        from = found + sizeof mark - 1;
        size_t size = character(from);
        if (size == 0 || strncmp(from, mark, sizeof mark - 1) == 0) /* nothing under the root */
            f->stuck = true;
        else if (*from != '{') {
            loom_text_append(&next, "{%.*s}", (int)size, from);
            from += size;
        }
    }
    put(&next, from);
    replace(f, next);
}

/* \frac12 becomes \frac{1}{2}, \frac1{72} becomes \frac{1}{72}. False when there is too little: then nothing is to be
 * changed anywhere. */
static bool brace_fraction(struct form *f, struct loom_text *next, const char *part, size_t size) {
    if (size == 0) {
        f->stuck = true;
        return true;
    }
    if (part[0] == '{') {
        loom_text_put(next, part, size);
        return true;
    }
    size_t a = character(part), b = a < size ? character(part + a) : 0;
    if (b == 0)
        return false;
    if (part[a] == '{')
        loom_text_append(next, "{%.*s}", (int)a, part);
    else
        loom_text_append(next, "{%.*s}{%.*s}", (int)a, part, (int)b, part + a);
    size_t used = part[a] == '{' ? a : a + b;
    loom_text_put(next, part + used, size - used);
    return true;
}

static void brace_fractions(struct form *f) {
    static const char mark[] = "\\frac";
    struct loom_text next = {0};
    const char *from = get(f), *found = strstr(from, mark);
    if (!found)
        return;
    loom_text_put(&next, from, (size_t)(found - from));
    while (found) {
        const char *part = found + sizeof mark - 1, *following = strstr(part, mark);
        put(&next, mark);
        if (!brace_fraction(f, &next, part, following ? (size_t)(following - part) : strlen(part))) {
            loom_text_free(&next);
            return;
        }
        found = following;
    }
    replace(f, next);
}

/* Whether Python's int() reads it, and whether it would print it alike. */
static bool is_integer(const char *text, size_t size, bool *canonical) {
    size_t i = 0;
    while (size > 0 && strchr("\t\v\f\r", text[size - 1]))
        size--;
    while (i < size && strchr("\t\v\f\r", text[i]))
        i++;
    size_t sign = i < size && (text[i] == '-' || text[i] == '+');
    size_t digits = i + sign;
    for (size_t j = digits; j < size; j++) {
        bool underscore = text[j] == '_' && j > digits && text[j - 1] != '_' && j + 1 < size;
        if (!underscore && !(text[j] >= '0' && text[j] <= '9'))
            return false;
        *canonical = *canonical && text[j] != '_';
    }
    bool zero = digits < size && text[digits] == '0';
    *canonical = *canonical && i == 0 && text[0] != '+' && !(zero && (size - digits > 1 || sign));
    return digits < size;
}

/* 3/4 becomes \frac{3}{4}; with letters the reference's int() raises. */
static void stack_slash(struct form *f) {
    const char *slash = strchr(get(f), '/');
    if (count_of(get(f), "/") != 1)
        return;
    size_t a = (size_t)(slash - get(f)), b = strlen(slash + 1);
    bool canonical = true;
    if (!is_integer(get(f), a, &canonical) || !is_integer(slash + 1, b, &canonical)) {
        f->stuck = true;
        return;
    }
    if (!canonical)
        return;
    struct loom_text next = {0};
    loom_text_append(&next, "\\frac{%.*s}{%s}", (int)a, get(f), slash + 1);
    replace(f, next);
}

static void lead_with_zero(struct form *f) {
    substitute(f, " .", " 0.");
    substitute(f, "{.", "{0.");
    if (get(f)[0] != '.')
        return;
    struct loom_text next = {0};
    loom_text_append(&next, "0%s", get(f));
    replace(f, next);
}

static void normalise(struct form *f) {
    static const char *const plain[][2] = {{"\n", ""},        {"\\!", ""},    {"\\\\", "\\"},  {"tfrac", "frac"},
                                           {"dfrac", "frac"}, {"\\left", ""}, {"\\right", ""}, {"^{\\circ}", ""},
                                           {"^\\circ", ""},   {"\\$", ""}};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        substitute(f, plain[i][0], plain[i][1]);
    drop_unit(f);
    substitute(f, "\\%", "");
    lead_with_zero(f);
    if (get(f)[0] == '\0')
        return;
    drop_name(f);
    brace_roots(f);
    substitute(f, " ", "");
    brace_fractions(f);
    if (strcmp(get(f), "0.5") == 0)
        substitute(f, "0.5", "\\frac{1}{2}");
    stack_slash(f);
}

bool loom_answer_math_equal(const char *a, const char *b, bool *failed) {
    struct form forms[2] = {{.stuck = false}, {.stuck = false}};
    put(&forms[0].text, a);
    put(&forms[1].text, b);
    for (int i = 0; i < 2; i++)
        normalise(&forms[i]);
    bool stuck = forms[0].stuck || forms[1].stuck;
    *failed = *failed || forms[0].text.failed || forms[1].text.failed;
    bool equal = stuck ? strcmp(a, b) == 0 : strcmp(get(&forms[0]), get(&forms[1])) == 0;
    loom_text_free(&forms[0].text);
    loom_text_free(&forms[1].text);
    return equal;
}

/* ---- where the answer stands ------------------------------------------------------------------------------------- */

static const char *last_of(const char *text, const char *part) {
    const char *last = NULL;
    for (; (text = strstr(text, part)); text++)
        last = text;
    return last;
}

char *loom_answer_boxed(const char *solution) {
    const char *spaced = last_of(solution, "\\boxed "), *box = last_of(solution, "\\boxed");
    if (spaced)
        return strndup(spaced + 7, strcspn(spaced + 7, "$"));
    box = box ? box : last_of(solution, "\\fbox");
    const char *open = box ? strchr(box, '{') : NULL;
    int depth = 0;
    for (const char *c = open; c && *c; c++) {
        depth += (*c == '{') - (*c == '}');
        if (depth == 0)
            return strndup(open + 1, (size_t)(c - open) - 1);
    }
    return NULL;
}

char *loom_answer_between_dollars(const char *response) {
    const char *first = strchr(response, '$'), *last = strrchr(response, '$');
    return first == last ? strdup(response) : strndup(first + 1, (size_t)(last - first) - 1);
}
