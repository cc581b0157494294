/* answer.c - numbers, choices and sentences; the rules for mathematics are in answer_math.c. See answer.h. */
#include "data/task/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char invalid[] = "[invalid]";

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The span without the spaces around it. */
static char *copy_trimmed(const char *text, size_t size) {
    while (size > 0 && is_space(text[0])) {
        text++;
        size--;
    }
    while (size > 0 && is_space(text[size - 1]))
        size--;
    return strndup(text, size);
}

/* ---- gsm8k ------------------------------------------------------------------------------------------------------- */

/* #### (-?[0-9.,]+), the first. */
char *loom_answer_gsm8k_strict(const char *text) {
    for (const char *mark = strstr(text, "#### "); mark; mark = strstr(mark + 1, "#### ")) {
        const char *number = mark + 5, *digits = number + (number[0] == '-');
        size_t size = strspn(digits, "0123456789.,");
        if (size > 0)
            return copy_trimmed(number, (size_t)(digits - number) + size);
    }
    return strdup(invalid);
}

/* The length of (-?[$0-9.,]{2,})|(-?[0-9]+) at `text`; 0 when it does not match there. */
static size_t number_length(const char *text) {
    size_t sign = text[0] == '-', wide = strspn(text + sign, "$0123456789.,");
    if (wide >= 2)
        return sign + wide;
    size_t digits = strspn(text + sign, "0123456789");
    return digits > 0 ? sign + digits : 0;
}

char *loom_answer_gsm8k_flexible(const char *text) {
    const char *last = NULL;
    size_t size = 0;
    while (*text) {
        size_t length = number_length(text);
        if (length > 0) {
            last = text;
            size = length;
        }
        text += length > 0 ? length : 1;
    }
    return last ? copy_trimmed(last, size) : strdup(invalid);
}

char *loom_answer_gsm8k_plain(const char *text) {
    char *plain = strdup(text), *end = plain;
    if (!plain)
        return NULL;
    for (const char *c = text; *c; c++)
        if (*c != ',' && *c != '$')
            *end++ = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    *end = '\0';
    char *rest = plain;
    for (char *mark = strstr(plain, "#### "); mark; mark = strstr(mark + 1, "#### "))
        rest = mark + 5;
    memmove(plain, rest, strlen(rest) + 1);
    size_t size = strlen(plain), newline = size > 0 && plain[size - 1] == '\n'; /* $ also matches before it */
    if (size > newline && plain[size - newline - 1] == '.')
        memmove(plain + size - newline - 1, plain + size - newline, newline + 1);
    return plain;
}

/* ---- sentences and choices --------------------------------------------------------------------------------------- */

char *loom_answer_bbh(const char *text) {
    static const char mark[] = "the answer is ";
    for (const char *found = strstr(text, mark); found; found = strstr(found + 1, mark)) {
        const char *start = found + sizeof mark - 1;
        size_t size = strcspn(start, "\n");
        if (size == 0)
            continue;
        do /* the last character, which may be several bytes */
            size--;
        while (size > 0 && ((unsigned char)start[size] & 0xC0) == 0x80);
        return copy_trimmed(start, size);
    }
    return strdup(invalid);
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || ((unsigned char)c & 0x80);
}

int loom_answer_letter(const char *text, int count) {
    for (const char *c = text; *c; c++)
        if (*c >= 'A' && *c < 'A' + count && (c == text || !is_letter(c[-1])) && !is_letter(c[1]))
            return *c - 'A';
    return -1;
}

double loom_answer_number(const char *text) {
    char digits[64];
    double value = (double)NAN;
    for (const char *c = text; *c;) {
        size_t size = strspn(c, "0123456789,."), kept = 0;
        if (size == 0 || !is_digit(*c)) {
            c += size > 0 && !is_digit(*c) ? 1 : size > 0 ? size : 1;
            continue;
        }
        bool negative = c > text && c[-1] == '-' && (c - 1 == text || !is_letter(c[-2]));
        for (size_t i = 0; i < size && kept + 1 < sizeof digits; i++)
            if (c[i] != ',')
                digits[kept++] = c[i];
        digits[kept] = '\0';
        value = strtod(digits, NULL); /* a final period ends it */
        value = negative ? -value : value;
        c += size;
    }
    return value;
}

bool loom_answer_same(const char *a, const char *b) {
    size_t a_size, b_size;
    a += strspn(a, " \t\r\n");
    b += strspn(b, " \t\r\n");
    for (a_size = strlen(a); a_size > 0 && is_space(a[a_size - 1]); a_size--)
        continue;
    for (b_size = strlen(b); b_size > 0 && is_space(b[b_size - 1]); b_size--)
        continue;
    return a_size == b_size && memcmp(a, b, a_size) == 0;
}
