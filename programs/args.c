/* args.c - see args.h. */
#include "args.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* strtol and its kin skip spaces and take an empty text for 0; a number of ours starts at once and ends the text. */
static bool is_whole(const char *text, const char *end) {
    return !isspace((unsigned char)text[0]) && end != text && *end == '\0' && errno == 0;
}

bool parse_int(const char *option, const char *text, int low, int high, int *value) {
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (!is_whole(text, end) || number < low || number > high) {
        fprintf(stderr, "loom: %s needs a whole number from %d to %d, not \"%s\"\n", option, low, high, text);
        return false;
    }
    *value = (int)number;
    return true;
}

bool parse_uint64(const char *option, const char *text, uint64_t low, uint64_t high, uint64_t *value) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    /* strtoull reads "-1" as the largest number. */
    if (!is_whole(text, end) || text[0] == '-' || number < low || number > high) {
        fprintf(stderr, "loom: %s needs a whole number from %" PRIu64 " to %" PRIu64 ", not \"%s\"\n", option, low,
                high, text);
        return false;
    }
    *value = number;
    return true;
}

bool parse_double(const char *option, const char *text, double low, double high, double *value) {
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    if (!is_whole(text, end) || !isfinite(number) || number < low || number > high) {
        fprintf(stderr, "loom: %s needs a number from %g to %g, not \"%s\"\n", option, low, high, text);
        return false;
    }
    *value = number;
    return true;
}

char *next_item(char **list) {
    char *item = *list, *comma = item ? strchr(item, ',') : NULL;
    if (comma)
        *comma = '\0';
    *list = comma ? comma + 1 : NULL;
    return item;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

bool parse_loop_list(char *list, int loops[LOOP_COUNTS_MAX], int *count) {
    enum { LOOPS_MAX = 4096 };
    for (char *item; (item = next_item(&list));) {
        if (*count == LOOP_COUNTS_MAX) {
            fprintf(stderr, "loom: --loops takes at most %d numbers\n", LOOP_COUNTS_MAX);
            return false;
        }
        if (strcmp(item, "given") == 0)
            loops[(*count)++] = LOOM_LOOPS_GIVEN;
        else if (strcmp(item, "chosen") == 0)
            loops[(*count)++] = LOOM_LOOPS_CHOSEN;
        else if (!parse_int("--loops", item, 1, LOOPS_MAX, &loops[(*count)++]))
            return false;
    }
    return true;
}

bool settings_add(void *user, char *argument) {
    struct settings *settings = user;
    char *equals = strchr(argument, '=');
    if (!equals || equals == argument) {
        fprintf(stderr, "loom: --set needs key=value, not \"%s\"\n", argument);
        return false;
    }
    struct loom_setting *grown = realloc(settings->items, (settings->count + 1) * sizeof *grown);
    if (!grown) {
        fprintf(stderr, "loom: no memory for setting %zu\n", settings->count + 1);
        return false;
    }
    *equals = '\0';
    settings->items = grown;
    settings->items[settings->count++] = (struct loom_setting){argument, equals + 1};
    return true;
}

void settings_free(struct settings *settings) {
    free(settings->items);
    *settings = (struct settings){NULL, 0};
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

int report_failure(loom_status status, const struct loom_error *error) {
    fprintf(stderr, "loom: %s\n", error->text);
    return status == LOOM_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int report_usage(const char *command, const char *format, ...) {
    va_list arguments;
    fputs("loom: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "; see loom help %s\n", command);
    return EXIT_USAGE;
}

int finish_output(void) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_DONE;
    fprintf(stderr, "loom: cannot write standard output: %s\n", strerror(errno));
    return EXIT_FAILED;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static bool continues(const unsigned char *at, size_t count) {
    for (size_t i = 0; i < count; i++)
        if ((at[i] & 0xC0) != 0x80)
            return false;
    return true;
}

/* Bytes of the UTF-8 character at `at`; 0 when there is none. The second byte's range shuts out overlong forms,
 * surrogates and what lies above U+10FFFF (Unicode 15, table 3-7). */
static size_t character_size(const unsigned char *at, size_t left) {
    unsigned char first = at[0];
    size_t size = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (size == 0 || size > left || !continues(at + 1, size - 1))
        return 0;
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return size == 1 || (at[1] >= low && at[1] <= high) ? size : 0;
}

void print_json_string(FILE *stream, const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *)text, *end = at + size;
    putc('"', stream);
    while (at < end) {
        size_t step = character_size(at, (size_t)(end - at));
        if (step == 0)
            fputs("\\ufffd", stream);
        else if (*at == '"' || *at == '\\')
            fprintf(stream, "\\%c", *at);
        else if (*at == '\n')
            fputs("\\n", stream);
        else if (*at < 0x20)
            fprintf(stream, "\\u%04x", *at);
        else
            fwrite(at, 1, step, stream);
        at += step ? step : 1;
    }
    putc('"', stream);
}

void print_json_number(FILE *stream, double value) {
    if (isfinite(value))
        fprintf(stream, "%.17g", value);
    else
        fputs("null", stream);
}

void print_json_loops(FILE *stream, int loops) {
    if (loops == LOOM_LOOPS_CHOSEN)
        fputs("\"chosen\"", stream);
    else
        fprintf(stream, "%d", loops);
}
