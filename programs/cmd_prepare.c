/* cmd_prepare.c - loom prepare: text files to a token folder. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"

static const char help[] =
    "Usage: loom prepare --tokenizer byte|char|FILE --out DIR [--val-fraction P] [--json] INPUT...\n"
    "Turns text into a folder of tokens for training and validation.\n"
    "\n"
    "  --tokenizer T       byte: one token a byte; char: one for each distinct character of the text;\n"
    "                      otherwise a tokenizer.json, or a folder that has one\n"
    "  --out DIR           the folder to write; it must not exist or be empty\n"
    "  --val-fraction P    the last share of the text becomes validation (default 0.1)\n"
    "  --json              print the result as one JSON object\n"
    "  INPUT               a text file, or a folder: its .txt files, sorted by name\n";

enum { OPTION_TOKENIZER = 1, OPTION_OUT, OPTION_FRACTION, OPTION_JSON, OPTION_HELP };

static const struct option long_options[] = {{"tokenizer", required_argument, NULL, OPTION_TOKENIZER},
                                             {"out", required_argument, NULL, OPTION_OUT},
                                             {"val-fraction", required_argument, NULL, OPTION_FRACTION},
                                             {"json", no_argument, NULL, OPTION_JSON},
                                             {"help", no_argument, NULL, OPTION_HELP},
                                             {NULL, 0, NULL, 0}};

static void print_result(const struct loom_prepare_options *options, const struct loom_prepare_result *result,
                         bool json) {
    if (!json) {
        printf("%s: %" PRIu64 " training and %" PRIu64 " validation tokens of a vocabulary of %d, from %" PRIu64
               " bytes\n",
               options->out, result->train_tokens, result->val_tokens, result->vocab_size, result->bytes);
        return;
    }
    printf("{\"out\":");
    print_json_string(stdout, options->out, strlen(options->out));
    printf(",\"vocab_size\":%d,\"train_tokens\":%" PRIu64 ",\"val_tokens\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n",
           result->vocab_size, result->train_tokens, result->val_tokens, result->bytes);
}

static int prepare(const struct loom_prepare_options *options, bool json) {
    struct loom_prepare_result result;
    struct loom_error error;
    if (!options->tokenizer)
        return report_usage("prepare", "--tokenizer is missing: byte, char, or a tokenizer.json");
    if (!options->out)
        return report_usage("prepare", "--out is missing: the folder to write");
    if (options->n_inputs == 0)
        return report_usage("prepare", "no input was given: name a text file or a folder of .txt files");
    loom_status status = loom_prepare(options, &result, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    print_result(options, &result, json);
    return finish_output();
}

int cmd_prepare(int argc, char **argv) {
    struct loom_prepare_options options = {.tokenizer = NULL};
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case OPTION_TOKENIZER:
            options.tokenizer = optarg;
            break;
        case OPTION_OUT:
            options.out = optarg;
            break;
        case OPTION_FRACTION:
            if (!parse_double("--val-fraction", optarg, 0, 1, &options.val_fraction))
                return EXIT_USAGE;
            if (options.val_fraction == 0) /* which in the struct means the default */
                return report_usage("prepare", "--val-fraction must be above 0: training needs a validation split");
            break;
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_HELP:
            fputs(help, stdout);
            return finish_output();
        default:
            return EXIT_USAGE; /* getopt has said why */
        }
    }
    options.inputs = (const char *const *)argv + optind;
    options.n_inputs = (size_t)(argc - optind);
    return prepare(&options, json);
}
