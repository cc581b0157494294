/* options.c - see options.h. getopt does the reading. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"

enum { NAME_BYTES = 64 };

/* The option's value, from its argument. */
static bool take(const struct option_place *option, char *argument) {
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "--%s", option->name);
    if (option->given)
        *option->given = true;
    if (option->flag)
        return *option->flag = true;
    if (option->text)
        *option->text = argument;
    if (option->number)
        return parse_int(name, argument, (int)option->low, (int)option->high, option->number);
    if (option->count)
        return parse_uint64(name, argument, option->low, option->high, option->count);
    if (option->real)
        return parse_double(name, argument, option->least, option->most, option->real);
    return option->take ? option->take(option->user, argument) : true;
}

static bool read_with(const struct option_place *options, const struct option *names, int count, int argc, char **argv,
                      bool *help) {
    int index;
    while ((index = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (index > count)
            return false; /* '?': getopt has said why */
        if (index == count)
            *help = true;
        else if (!take(&options[index], optarg))
            return false;
    }
    return true;
}

bool read_options(const struct option_place *options, int argc, char **argv, bool *help) {
    int count = 0;
    while (options[count].name)
        count++;
    struct option *names = calloc((size_t)count + 2, sizeof *names);
    if (!names) {
        fprintf(stderr, "loom: no memory for %d options\n", count);
        return false;
    }
    for (int i = 0; i < count; i++)
        names[i] = (struct option){options[i].name, options[i].flag ? no_argument : required_argument, NULL, i};
    names[count] = (struct option){"help", no_argument, NULL, count};
    *help = false;
    bool done = read_with(options, names, count, argc, argv, help);
    free(names);
    return done;
}

int show_help(const char *text, void (*list)(void)) {
    fputs(text, stdout);
    if (list)
        list();
    return finish_output();
}

bool read_command(const char *command, const char *help, void (*list)(void), const struct option_place *options,
                  int argc, char **argv, int *code) {
    bool asks;
    *code = EXIT_DONE;
    if (!read_options(options, argc, argv, &asks))
        *code = EXIT_USAGE;
    else if (asks)
        *code = show_help(help, list);
    else if (optind < argc)
        *code = report_usage(command, "\"%s\" belongs to no option", argv[optind]);
    else
        return true;
    return false;
}
