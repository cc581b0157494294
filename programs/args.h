/* args.h - what the commands share: strict numbers, --set pairs, failures, JSON text. */
#ifndef LOOM_PROGRAMS_ARGS_H
#define LOOM_PROGRAMS_ARGS_H

#include <stdbool.h>
#include <stdio.h>

#include <loom/loom.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Read the whole of `text` as a number in [low, high]. If it is not one, they print a sentence that names the option
 * and the text to standard error and return false. */
bool parse_int(const char *option, const char *text, int low, int high, int *value);
bool parse_uint64(const char *option, const char *text, uint64_t low, uint64_t high, uint64_t *value);
bool parse_double(const char *option, const char *text, double low, double high, double *value);

/* The next of the items "A,B,...", cut off in place; NULL behind the last. */
char *next_item(char **list);

enum { LOOP_COUNTS_MAX = 64 };

/* "1,2,given,chosen": appends to the numbers of loops, LOOM_LOOPS_GIVEN and LOOM_LOOPS_CHOSEN for the words; cuts the
 * list at its commas. False after a printed sentence. */
bool parse_loop_list(char *list, int loops[LOOP_COUNTS_MAX], int *count);

/* The --set key=value options so far. */
struct settings {
    struct loom_setting *items;
    size_t count;
};

/* Appends "key=value", which must stay in memory and is cut in two at its first "=", to a struct settings; false after
 * a printed sentence. It can be the `take` of an option. */
bool settings_add(void *settings, char *argument);
void settings_free(struct settings *settings);

/* Prints "loom: SENTENCE" to standard error; returns the exit code for the status. */
int report_failure(loom_status status, const struct loom_error *error);
/* Prints "loom: SENTENCE" and where to find help to standard error; returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int report_usage(const char *command, const char *format, ...);

/* Prints a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void print_json_string(FILE *stream, const char *text, size_t size);

/* Prints a number that reads back the same, or null where it is not finite, which JSON cannot hold. */
void print_json_number(FILE *stream, double value);

/* Prints a number of loops, or "chosen" for LOOM_LOOPS_CHOSEN. */
void print_json_loops(FILE *stream, int loops);

/* Flushes standard output: the last act of a command that printed a result. EXIT_FAILED, with a sentence, when not all
 * of it could be written. */
int finish_output(void);

#endif
