/* options.h - a command's options: a table of names, and of the places where their values go. */
#ifndef LOOM_PROGRAMS_OPTIONS_H
#define LOOM_PROGRAMS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* One option; exactly one place for its value is set, and all but a flag take an argument. */
struct option_place {
    const char *name;   /* without the dashes; NULL ends the table */
    bool *flag;         /* becomes true */
    const char **text;  /* the argument as it is */
    int *number;        /* a whole number within the bounds */
    uint64_t *count;    /* likewise */
    uint64_t low, high; /* their bounds */
    double *real;       /* a number within the bounds */
    double least, most; /* its bounds */
    /* Anything else: is given the argument, which it may cut up; false after a printed sentence. */
    bool (*take)(void *user, char *argument);
    void *user;
    bool *given; /* with any of them: becomes true; may be NULL */
};

/* Reads the options of argv, where `--help` needs no entry. False after a printed sentence. What belongs to no option
 * is moved to the end: argv[optind] and on. */
bool read_options(const struct option_place *options, int argc, char **argv, bool *help);

/* Prints a command's help, and what `list` prints where it is not NULL; returns the exit code. */
int show_help(const char *text, void (*list)(void));

/* All of that for a command that has options alone; `list`, or NULL, prints what goes behind its help. False when the
 * command is over: *code is then its exit code, after the help or a printed sentence. */
bool read_command(const char *command, const char *help, void (*list)(void), const struct option_place *options,
                  int argc, char **argv, int *code);

#endif
