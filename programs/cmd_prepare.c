/* cmd_prepare.c - loom prepare: text to a token folder. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "commands.h"
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
    "Parquet is read by DuckDB's program (pip install duckdb-cli), found in PATH or named by LOOM_DUCKDB.\n";

enum {
    OPTION_TOKENIZER = 1,
    OPTION_OUT,
    OPTION_FORMAT,
    OPTION_COLUMN,
    OPTION_FILTER,
    OPTION_SPLIT,
    OPTION_FRACTION,
    OPTION_DUPLICATES,
    OPTION_ON_ERROR,
    OPTION_NO_END,
    OPTION_SHARD,
    OPTION_CHECKPOINT,
    OPTION_THREADS,
    OPTION_TASK,
    OPTION_STEPS,
    OPTION_PROBLEMS,
    OPTION_VAL_PROBLEMS,
    OPTION_LENGTH,
    OPTION_SEED,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option long_options[] = {{"tokenizer", required_argument, NULL, OPTION_TOKENIZER},
                                             {"out", required_argument, NULL, OPTION_OUT},
                                             {"format", required_argument, NULL, OPTION_FORMAT},
                                             {"column", required_argument, NULL, OPTION_COLUMN},
                                             {"filter", required_argument, NULL, OPTION_FILTER},
                                             {"split", required_argument, NULL, OPTION_SPLIT},
                                             {"val-fraction", required_argument, NULL, OPTION_FRACTION},
                                             {"remove-duplicates", no_argument, NULL, OPTION_DUPLICATES},
                                             {"on-error", required_argument, NULL, OPTION_ON_ERROR},
                                             {"no-end-of-text", no_argument, NULL, OPTION_NO_END},
                                             {"shard-tokens", required_argument, NULL, OPTION_SHARD},
                                             {"checkpoint-seconds", required_argument, NULL, OPTION_CHECKPOINT},
                                             {"threads", required_argument, NULL, OPTION_THREADS},
                                             {"task", required_argument, NULL, OPTION_TASK},
                                             {"steps", required_argument, NULL, OPTION_STEPS},
                                             {"problems", required_argument, NULL, OPTION_PROBLEMS},
                                             {"val-problems", required_argument, NULL, OPTION_VAL_PROBLEMS},
                                             {"length", required_argument, NULL, OPTION_LENGTH},
                                             {"seed", required_argument, NULL, OPTION_SEED},
                                             {"json", no_argument, NULL, OPTION_JSON},
                                             {"help", no_argument, NULL, OPTION_HELP},
                                             {NULL, 0, NULL, 0}};

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
static bool parse_steps(struct loom_drill_options *drill, char *text) {
    char *dash = strchr(text, '-');
    if (dash)
        *dash = '\0';
    return parse_int("--steps", text, 1, 99, &drill->steps_low) &&
           parse_int("--steps", dash ? dash + 1 : text, 1, 99, &drill->steps_high);
}

/* An option of a generated task; false after a printed sentence. */
static bool take_drill_option(struct loom_drill_options *drill, int option) {
    uint64_t length = 0;
    switch (option) {
    case OPTION_TASK:
        drill->drill = optarg;
        return true;
    case OPTION_STEPS:
        return parse_steps(drill, optarg);
    case OPTION_PROBLEMS:
        return parse_uint64("--problems", optarg, 1, 100000000, &drill->train_samples);
    case OPTION_VAL_PROBLEMS:
        return parse_uint64("--val-problems", optarg, 1, 100000000, &drill->val_samples);
    case OPTION_LENGTH:
        if (!parse_uint64("--length", optarg, 1, 1 << 20, &length))
            return false;
        drill->length = (size_t)length;
        return true;
    default:
        return parse_uint64("--seed", optarg, 0, UINT64_MAX, &drill->seed);
    }
}

/* One option's argument; EXIT_USAGE after a printed sentence. */
static int take_option(struct command *command, int option) {
    struct loom_prepare_options *options = &command->options;
    switch (option) {
    case OPTION_TOKENIZER:
        options->tokenizer = optarg;
        return EXIT_DONE;
    case OPTION_OUT:
        options->out = optarg;
        return EXIT_DONE;
    case OPTION_FORMAT:
        options->format = optarg;
        return EXIT_DONE;
    case OPTION_COLUMN:
        options->column = optarg;
        return EXIT_DONE;
    case OPTION_FILTER:
        command->filters[options->n_filters++] = optarg;
        return EXIT_DONE;
    case OPTION_SPLIT:
        options->split = optarg;
        return EXIT_DONE;
    case OPTION_FRACTION:
        if (!parse_double("--val-fraction", optarg, 0, 1, &options->val_fraction))
            return EXIT_USAGE;
        if (options->val_fraction == 0) /* which in the struct means the default */
            return report_usage("prepare", "--val-fraction must be above 0: training needs a validation split");
        return EXIT_DONE;
    case OPTION_DUPLICATES:
        options->remove_duplicates = true;
        return EXIT_DONE;
    case OPTION_ON_ERROR:
        options->skip_broken = strcmp(optarg, "skip") == 0;
        if (!options->skip_broken && strcmp(optarg, "stop") != 0)
            return report_usage("prepare", "--on-error is stop or skip, not \"%s\"", optarg);
        return EXIT_DONE;
    case OPTION_NO_END:
        options->no_end_of_text = true;
        return EXIT_DONE;
    case OPTION_SHARD:
        return parse_uint64("--shard-tokens", optarg, 1, UINT64_MAX, &options->shard_tokens) ? EXIT_DONE : EXIT_USAGE;
    case OPTION_CHECKPOINT:
        return parse_double("--checkpoint-seconds", optarg, 1e-9, 1e9, &options->checkpoint_seconds) ? EXIT_DONE
                                                                                                     : EXIT_USAGE;
    case OPTION_THREADS:
        return parse_int("--threads", optarg, 1, 1024, &options->threads) ? EXIT_DONE : EXIT_USAGE;
    case OPTION_TASK:
    case OPTION_STEPS:
    case OPTION_PROBLEMS:
    case OPTION_VAL_PROBLEMS:
    case OPTION_LENGTH:
    case OPTION_SEED:
        return take_drill_option(&command->drill, option) ? EXIT_DONE : EXIT_USAGE;
    case OPTION_JSON:
        command->json = true;
        return EXIT_DONE;
    default:
        return EXIT_USAGE; /* getopt has said why */
    }
}

static int run(struct command *command, int argc, char **argv) {
    int option, code = EXIT_DONE;
    while (code == EXIT_DONE && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            fputs(help, stdout);
            fputs("\nGenerated tasks:\n", stdout);
            for (size_t i = 0; loom_drill_name(i); i++)
                printf("  %-12s %s\n", loom_drill_name(i), loom_drill_summary(i));
            return finish_output();
        }
        code = take_option(command, option);
    }
    if (code != EXIT_DONE)
        return code;
    command->options.filters = command->filters;
    command->options.inputs = (const char *const *)argv + optind;
    command->options.n_inputs = (size_t)(argc - optind);
    return command->drill.drill ? prepare_drill(command) : prepare(command);
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
