/* cmd_prepare.c - loom prepare: text to a token folder. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"
#include "progress.h"
#include "stop.h"

static const char help[] =
    "Usage: loom prepare --tokenizer T --out DIR [OPTION]... INPUT...\n"
    "       loom prepare --task NAME --out DIR [--steps LOW-HIGH] [--problems N] [--val-problems N] [--seed N]\n"
    "Turns text into a folder of tokens for training and validation.\n"
    "\n"
    "  --tokenizer T       byte: one token a byte; char: one for each distinct character of the text; otherwise a\n"
    "                      tokenizer.json, a folder that has one, or another tokenizer's file (loom help tokenizer)\n"
    "  --out DIR           the folder to write; it must not exist or be empty\n"
    "  INPUT               a file of plain text, .jsonl or .parquet, also as .gz or .zst; a folder of such files, "
    "taken\n"
    "                      with those below it, sorted by name; a pattern in quotes; - for standard input; an address\n"
    "                      of Parquet files such as hf://datasets/NAME/*.parquet\n"
    "  --format F          of all inputs: text, jsonl or parquet (default: by their names)\n"
    "  --column NAME       the column, or JSON key, that holds the text (default text)\n"
    "  --filter COND       take only rows that meet NAME OP VALUE, like \"int_score >= 3\"; may be given again\n"
    "  --split S           document: each document goes by its own hash, so that added data moves none; tail: the end\n"
    "                      of all text becomes validation (default: document for rows, tail for plain text)\n"
    "  --val-fraction P    the share of validation (default 0.1)\n"
    "  --remove-duplicates of equal documents, keep only the first\n"
    "  --on-error E        stop: a broken row, file or page ends the work (default); skip: it is counted and left out\n"
    "  --no-end-of-text    do not end each document with the tokenizer's <|endoftext|>\n"
    "  --shard-tokens N    tokens in one file, at most and by default 268435456\n"
    "  --checkpoint-seconds S  how often unfinished work is made safe (default 10)\n"
    "  --threads N         (default: one for each processor)\n"
    "  --json              print the result as one JSON object\n"
    "\n"
    "With --task problems are generated that take a known number of steps, with exact answers:\n"
    "  --task NAME         one of the list below\n"
    "  --steps LOW-HIGH    how many steps problems take (default 1-8)\n"
    "  --problems N        for training (default 20000)\n"
    "  --val-problems N    for validation (default 2000)\n"
    "  --length N          characters of a problem at least, filled up with spaces\n"
    "  --seed N            (default 1)\n"
    "\n"
    "A plain text is one document; each line of a .jsonl and each row of a Parquet file is one. Work that was "
    "stopped,\n"
    "by Ctrl-C or otherwise, goes on with the same command, and the result is the same to the byte.\n"
    "Parquet is read by DuckDB's program (pip install duckdb-cli), found in PATH or named by LOOM_DUCKDB; it takes\n"
    "256 MB of memory at most, or what LOOM_DUCKDB_MEMORY says.\n";

/* The command line: the library's options, and where its lists lie. */
struct command {
    struct loom_prepare_options options;
    const char **filters;
    struct loom_drill_options drill; /* with a name: that is what is asked for */
    bool json;
};

/* What was left out, in words: ", 3 filtered, 1 skipped". */
static void print_left_out(const struct loom_prepare_result *result) {
    const struct {
        uint64_t count;
        const char *what;
    } rows[] = {{result->filtered, "filtered"},
                {result->duplicates, "duplicates"},
                {result->empty, "empty"},
                {result->skipped, "broken and skipped"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].count > 0)
            printf(", %" PRIu64 " %s", rows[i].count, rows[i].what);
}

static void print_result(const char *out, const struct loom_prepare_result *result) {
    printf("%s: %" PRIu64 " training and %" PRIu64 " validation tokens of a vocabulary of %d, from %" PRIu64
           " bytes in %" PRIu64 " document%s",
           out, result->train_tokens, result->val_tokens, result->vocab_size, result->bytes, result->documents,
           result->documents == 1 ? "" : "s");
    print_left_out(result);
    printf("\n");
}

static void print_json(const char *out, const struct loom_prepare_result *result) {
    printf("{\"out\":");
    print_json_string(stdout, out, strlen(out));
    printf(",\"vocab_size\":%d,\"train_tokens\":%" PRIu64 ",\"val_tokens\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"documents\":%" PRIu64 ",\"filtered\":%" PRIu64 ",\"empty\":%" PRIu64 ",\"duplicates\":%" PRIu64
           ",\"skipped\":%" PRIu64 ",\"resumed\":%s}\n",
           result->vocab_size, result->train_tokens, result->val_tokens, result->bytes, result->documents,
           result->filtered, result->empty, result->duplicates, result->skipped, result->resumed ? "true" : "false");
}

static int prepare(struct command *command) {
    struct loom_prepare_options *options = &command->options;
    struct loom_prepare_result result;
    struct loom_error error;
    struct progress progress;
    if (!options->tokenizer)
        return report_usage("prepare", "--tokenizer is missing: byte, char, or a tokenizer's file");
    if (!options->out)
        return report_usage("prepare", "--out is missing: the folder to write");
    if (options->n_inputs == 0)
        return report_usage("prepare", "no input was given: name files or folders of text, .jsonl or .parquet, or -");
    progress_open(&progress);
    options->stop = stop_listen();
    options->on_progress = progress_prepare;
    options->user = &progress;
    loom_status status = loom_prepare(options, &result, &error);
    progress_close(&progress);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    if (command->json)
        print_json(options->out, &result);
    else
        print_result(options->out, &result);
    return finish_output();
}

static int prepare_drill(struct command *command) {
    struct loom_prepare_result result;
    struct loom_error error;
    if (command->options.tokenizer || command->options.n_inputs > 0)
        return report_usage("prepare", "--task makes its own text and tokenizer");
    if (!command->options.out)
        return report_usage("prepare", "--out is missing: the folder to write");
    command->drill.out = command->options.out;
    loom_status status = loom_prepare_drill(&command->drill, &result, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    if (command->json)
        print_json(command->drill.out, &result);
    else
        print_result(command->drill.out, &result);
    return finish_output();
}

/* "LOW-HIGH", or one number for both; cuts the text at its dash. */
static bool take_steps(void *user, char *text) {
    struct loom_drill_options *drill = user;
    char *dash = strchr(text, '-');
    if (dash)
        *dash = '\0';
    return parse_int("--steps", text, 1, 99, &drill->steps_low) &&
           parse_int("--steps", dash ? dash + 1 : text, 1, 99, &drill->steps_high);
}

static bool take_filter(void *user, char *condition) {
    struct command *command = user;
    command->filters[command->options.n_filters++] = condition;
    return true;
}

static bool take_fraction(void *user, char *text) {
    struct loom_prepare_options *options = user;
    if (!parse_double("--val-fraction", text, 0, 1, &options->val_fraction))
        return false;
    if (options->val_fraction > 0) /* 0 in the struct means the default */
        return true;
    report_usage("prepare", "--val-fraction must be above 0: training needs a validation split");
    return false;
}

static bool take_on_error(void *user, char *text) {
    struct loom_prepare_options *options = user;
    options->skip_broken = strcmp(text, "skip") == 0;
    if (options->skip_broken || strcmp(text, "stop") == 0)
        return true;
    report_usage("prepare", "--on-error is stop or skip, not \"%s\"", text);
    return false;
}

static void list_drills(void) {
    fputs("\nGenerated tasks:\n", stdout);
    for (size_t i = 0; loom_drill_name(i); i++)
        printf("  %-12s %s\n", loom_drill_name(i), loom_drill_summary(i));
}

static int run(struct command *command, int argc, char **argv) {
    struct loom_prepare_options *o = &command->options;
    struct loom_drill_options *drill = &command->drill;
    uint64_t length = 0;
    bool asks;
    const struct option_place options[] = {
        {"tokenizer", .text = &o->tokenizer},
        {"out", .text = &o->out},
        {"format", .text = &o->format},
        {"column", .text = &o->column},
        {"filter", .take = take_filter, .user = command},
        {"split", .text = &o->split},
        {"val-fraction", .take = take_fraction, .user = o},
        {"remove-duplicates", .flag = &o->remove_duplicates},
        {"on-error", .take = take_on_error, .user = o},
        {"no-end-of-text", .flag = &o->no_end_of_text},
        {"shard-tokens", .count = &o->shard_tokens, .low = 1, .high = UINT64_MAX},
        {"checkpoint-seconds", .real = &o->checkpoint_seconds, .least = 1e-9, .most = 1e9},
        {"threads", .number = &o->threads, .low = 1, .high = 1024},
        {"task", .text = &drill->drill},
        {"steps", .take = take_steps, .user = drill},
        {"problems", .count = &drill->train_samples, .low = 1, .high = 100000000},
        {"val-problems", .count = &drill->val_samples, .low = 1, .high = 100000000},
        {"length", .count = &length, .low = 1, .high = 1 << 20},
        {"seed", .count = &drill->seed, .low = 0, .high = UINT64_MAX},
        {"json", .flag = &command->json},
        {.name = NULL}};
    if (!read_options(options, argc, argv, &asks))
        return EXIT_USAGE;
    if (asks)
        return show_help(help, list_drills);
    drill->length = (size_t)length;
    o->filters = command->filters;
    o->inputs = (const char *const *)argv + optind;
    o->n_inputs = (size_t)(argc - optind);
    return drill->drill ? prepare_drill(command) : prepare(command);
}

int cmd_prepare(int argc, char **argv) {
    struct command command = {.filters = calloc((size_t)argc, sizeof *command.filters),
                              .drill = {.train_samples = 20000, .val_samples = 2000, .seed = 1}};
    if (!command.filters)
        return report_usage("prepare", "no memory for %d arguments", argc);
    int code = run(&command, argc, argv);
    free(command.filters);
    return code;
}
