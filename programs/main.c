/* main.c - the program `loom`: a table of commands, help, and nothing else. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"

struct command {
    const char *name;
    const char *called; /* what getopt's own messages begin with */
    const char *summary;
    int (*run)(int argc, char **argv);
};

/* In the order in which a person meets them. */
static const struct command commands[] = {
    {"prepare", "loom prepare", "turn text into a folder of tokens", cmd_prepare},
    {"train", "loom train", "train a model, or go on with a run", cmd_train},
    {"race", "loom race", "train a baseline and a looped model on the same stream", cmd_race},
    {"eval", "loom eval", "loss on held-out text, or a task's share of right answers", cmd_eval},
    {"generate", "loom generate", "write text with a model", cmd_generate},
    {"inspect", "loom inspect", "sizes, FLOPs and memory of a model", cmd_inspect},
    {"report", "loom report", "draw a run or a race as one page", cmd_report},
    {"verify", "loom verify", "hold a model against a reference, tensor by tensor", cmd_verify},
    {"bench", "loom bench", "measure this machine: kernels, training, decoding", cmd_bench},
    {"merge", "loom merge", "add an adapter to the weights that it was made for", cmd_merge},
    {"privacy", "loom privacy", "epsilon of a private training, or the noise for an epsilon", cmd_privacy},
    {"tokenizer", "loom tokenizer", "text to token ids and back; train a vocabulary", cmd_tokenizer},
};

enum { COMMANDS = sizeof commands / sizeof commands[0], NAME_LIMIT = 32 };

static const struct command *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* ---- a slip of the hand ------------------------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b, size_t c) {
    size_t two = a < b ? a : b;
    return two < c ? two : c;
}

/* How many letters to insert, drop or replace to make `b` of `a` (Levenshtein 1966); both shorter than NAME_LIMIT. */
static size_t distance(const char *a, const char *b) {
    size_t row[NAME_LIMIT], size = strlen(b);
    for (size_t j = 0; j <= size; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0]; /* the cell up and left */
        row[0] = i + 1;
        for (size_t j = 0; j < size; j++) {
            size_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(row[j] + 1, diagonal + 1, replaced);
        }
    }
    return row[size];
}

/* The command whose name is at most two letters away; NULL when none is. */
static const struct command *nearest(const char *name) {
    const struct command *found = NULL;
    size_t best = 3;
    for (size_t i = 0; i < COMMANDS && strlen(name) < NAME_LIMIT; i++) {
        size_t away = distance(name, commands[i].name);
        if (away < best) {
            best = away;
            found = &commands[i];
        }
    }
    return found;
}

static int refuse(const char *name) {
    const struct command *near = nearest(name);
    if (near)
        fprintf(stderr, "loom: there is no command \"%s\"; did you mean %s?\n", name, near->name);
    else
        fprintf(stderr, "loom: there is no command \"%s\"; `loom help` lists them\n", name);
    return EXIT_USAGE;
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

static void print_overview(FILE *stream) {
    fputs("Usage: loom COMMAND [OPTION]...\n"
          "Looped mixture-of-experts language models: train, race, evaluate, generate.\n\n",
          stream);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\nloom help COMMAND tells more. Exit codes: 0 done, 1 failed, 2 wrong use.\n", stream);
}

static int help(const char *name) {
    const struct command *command = find(name);
    if (!command)
        return refuse(name);
    /* getopt takes these, but changes neither. */
    char *arguments[] = {(char *)command->called, (char *)"--help", NULL};
    return command->run(2, arguments);
}

int main(int argc, char **argv) {
    /* A file at its size limit is then an error of write(2) with a sentence, and not a silent death. */
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    bool asks = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (asks && argc > 2)
        return help(argv[2]);
    if (asks) {
        print_overview(stdout);
        return finish_output();
    }
    if (strcmp(name, "--version") == 0) {
        printf("loom %s\n", loom_version());
        return finish_output();
    }
    const struct command *command = find(name);
    if (!command)
        return refuse(name);
    argv[1] = (char *)command->called;
    return command->run(argc - 1, argv + 1);
}
