/* cmd_tokenizer.c - loom tokenizer: text on standard input to token ids on standard output, and back. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "text.h"

static const char help[] =
    "Usage: loom tokenizer encode|decode --tokenizer FILE|byte [--json]\n"
    "Turns text on standard input into token ids on standard output, or ids back into text.\n"
    "\n"
    "  encode           reads text; prints the ids with spaces between; with --json {\"tokens\":[...]}\n"
    "  decode           reads ids with spaces or newlines between; prints the text; with --json {\"text\":\"...\"}\n"
    "  --tokenizer T    a tokenizer.json, or a folder that has one (a token or model folder); or byte\n"
    "  --json           print one JSON object\n";

enum { OPTION_TOKENIZER = 1, OPTION_JSON, OPTION_HELP };

static const struct option long_options[] = {{"tokenizer", required_argument, NULL, OPTION_TOKENIZER},
                                             {"json", no_argument, NULL, OPTION_JSON},
                                             {"help", no_argument, NULL, OPTION_HELP},
                                             {NULL, 0, NULL, 0}};

static int encode(const struct loom_tokenizer *tokenizer, const struct text *input, bool json) {
    int *tokens;
    size_t count;
    struct loom_error error;
    loom_status status = loom_tokenizer_encode(tokenizer, input->data, input->size, &tokens, &count, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    fputs(json ? "{\"tokens\":[" : "", stdout);
    for (size_t i = 0; i < count; i++)
        printf("%s%d", i == 0 ? "" : json ? "," : " ", tokens[i]);
    fputs(json ? "]}\n" : "\n", stdout);
    free(tokens);
    return finish_output();
}

/* Reads one id at *at and moves behind it; false after a printed sentence when there is none. */
static bool next_id(const char **at, int vocab_size, int *id) {
    char word[16];
    size_t size = strcspn(*at, " \t\r\n");
    size_t kept = size < sizeof word ? size : sizeof word - 1;
    memcpy(word, *at, kept);
    word[kept] = '\0';
    *at += size;
    return parse_int("each token", word, 0, vocab_size - 1, id);
}

/* Appends the text of all ids; false after a printed sentence. */
static bool decode_ids(const struct loom_tokenizer *tokenizer, const struct text *input, struct text *output) {
    int vocab_size = loom_tokenizer_vocab_size(tokenizer), id = 0;
    const char *at = input->data;
    for (at += strspn(at, " \t\r\n"); *at; at += strspn(at, " \t\r\n")) {
        size_t size = 0;
        if (!next_id(&at, vocab_size, &id))
            return false;
        const char *bytes = loom_tokenizer_token(tokenizer, id, &size);
        if (!text_put(output, bytes, size))
            return false;
    }
    return true;
}

static int decode(const struct loom_tokenizer *tokenizer, const struct text *input, bool json) {
    struct text output = {NULL, 0, 0};
    if (!text_reserve(&output, 0) || !decode_ids(tokenizer, input, &output)) {
        free(output.data);
        return EXIT_FAILED;
    }
    if (json) {
        fputs("{\"text\":", stdout);
        print_json_string(stdout, output.data, output.size);
        fputs("}\n", stdout);
    } else
        fwrite(output.data, 1, output.size, stdout);
    free(output.data);
    return finish_output();
}

static int run(const char *action, const char *path, bool json) {
    bool encodes = strcmp(action, "encode") == 0;
    if (strcmp(action, "train") == 0)
        return report_usage("tokenizer", "training a tokenizer is not there yet; loom prepare --tokenizer char makes "
                                         "one from its text");
    if (!encodes && strcmp(action, "decode") != 0)
        return report_usage("tokenizer", "\"%s\" is neither encode nor decode", action);
    if (!path)
        return report_usage("tokenizer", "--tokenizer is missing: a tokenizer.json, or byte");
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    loom_status status = loom_tokenizer_open(path, &tokenizer, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    struct text input = {NULL, 0, 0};
    int code = EXIT_FAILED;
    if (text_read_input(&input))
        code = encodes ? encode(tokenizer, &input, json) : decode(tokenizer, &input, json);
    free(input.data);
    loom_tokenizer_free(tokenizer);
    return code;
}

int cmd_tokenizer(int argc, char **argv) {
    const char *path = NULL;
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case OPTION_TOKENIZER:
            path = optarg;
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
    if (argc - optind != 1)
        return report_usage("tokenizer", "one action is needed, encode or decode, not %d", argc - optind);
    return run(argv[optind], path, json);
}
