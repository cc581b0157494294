/* cmd_tokenizer.c - loom tokenizer: text on standard input to token ids on standard output, and back; and the training
 * of a vocabulary. */
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
#include "text.h"

static const char help[] =
    "Usage: loom tokenizer encode|decode --tokenizer T [OPTION]...\n"
    "       loom tokenizer train --vocab-size N [--out FILE] [OPTION]... INPUT...\n"
    "Turns text on standard input into token ids on standard output, or ids back into text; or trains byte-level BPE.\n"
    "\n"
    "  encode              reads text; prints the ids with spaces between; with --json {\"tokens\":[...]}\n"
    "  decode              reads ids, as encode prints them; prints the text; with --json {\"text\":\"...\"}\n"
    "  train               writes a tokenizer.json that Hugging Face's tokenizers loads and encodes equally with\n"
    "  --tokenizer T       a tokenizer.json, or a folder that has one (a token or model folder); a tiktoken rank file\n"
    "                      *.tiktoken, as FILE#NAME where neither its name nor its size tells the encoding (such as\n"
    "                      o200k_harmony); vocab.bpe or merges.txt with encoder.json or vocab.json beside it; byte\n"
    "  --allow-special S   encode: all, or names with commas between: special tokens that the text may hold; without\n"
    "                      it they are plain text\n"
    "  --bytes             decode: the tokens' bytes as they are; without it, bytes that are no character are U+FFFD\n"
    "  --vocab-size N      train: tokens in all: 256 bytes, <|endoftext|>, other special ones, the rest by merges\n"
    "  --out FILE          train: the file, or a folder for it (default tokenizer.json)\n"
    "  --special NAME      train: one more special token; may be given again\n"
    "  --format F, --column NAME  train: of the inputs, which are what loom prepare takes\n"
    "  --threads N         (default: one for each processor)\n"
    "  --json              print one JSON object\n";

/* The command line. */
struct command {
    const char *tokenizer;
    struct loom_encode_options encode;
    struct loom_tokenizer_train_options train;
    const char **names; /* of special tokens, for both */
    size_t n_names;
    int threads;
    bool bytes, json;
};

/* ---- encode ------------------------------------------------------------------------------------------------------ */

static int encode(const struct command *command, const struct loom_tokenizer *tokenizer, const struct text *input) {
    int *tokens;
    size_t count;
    struct loom_error error;
    loom_status status =
        loom_tokenizer_encode_with(tokenizer, input->data, input->size, &command->encode, &tokens, &count, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    fputs(command->json ? "{\"tokens\":[" : "", stdout);
    for (size_t i = 0; i < count; i++)
        printf("%s%d", i == 0 ? "" : command->json ? "," : " ", tokens[i]);
    fputs(command->json ? "]}\n" : "\n", stdout);
    free(tokens);
    return finish_output();
}

/* ---- decode ------------------------------------------------------------------------------------------------------ */

/* What may stand between ids: spaces, and what JSON puts there. */
static const char separators[] = " \t\r\n,[]}";

/* Reads one id at *at and moves behind it; false after a printed sentence when there is none. */
static bool next_id(const char **at, int vocab_size, int *id) {
    char word[16];
    size_t size = strcspn(*at, separators);
    size_t kept = size < sizeof word ? size : sizeof word - 1;
    memcpy(word, *at, kept);
    word[kept] = '\0';
    *at += size;
    return parse_int("each token", word, 0, vocab_size - 1, id);
}

/* Appends what one id stands for; false after a printed sentence. */
static bool decode_id(const struct loom_tokenizer *tokenizer, struct loom_decoder *decoder, bool bytes, int id,
                      struct text *output) {
    struct loom_error error;
    size_t size;
    const char *text = loom_tokenizer_token(tokenizer, id, &size);
    if (size == 0) {
        fprintf(stderr, "loom: the vocabulary has no token %d\n", id);
        return false;
    }
    if (!bytes && loom_decoder_put(decoder, id, &text, &size, &error) != LOOM_OK) {
        fprintf(stderr, "loom: %s\n", error.text);
        return false;
    }
    return text_put(output, text, size);
}

/* Appends the text of all ids; false after a printed sentence. */
static bool decode_ids(const struct command *command, const struct loom_tokenizer *tokenizer,
                       struct loom_decoder *decoder, const struct text *input, struct text *output) {
    int vocab_size = loom_tokenizer_vocab_size(tokenizer), id = 0;
    static const char key[] = "{\"tokens\":"; /* as encode --json writes it */
    const char *at = input->data, *rest;
    size_t size;
    if (strncmp(at, key, sizeof key - 1) == 0)
        at += sizeof key - 1;
    for (at += strspn(at, separators); *at; at += strspn(at, separators))
        if (!next_id(&at, vocab_size, &id) || !decode_id(tokenizer, decoder, command->bytes, id, output))
            return false;
    loom_decoder_end(decoder, &rest, &size);
    return text_put(output, rest, size);
}

static void print_text(const struct command *command, const struct text *output) {
    if (!command->json) {
        fwrite(output->data, 1, output->size, stdout);
        return;
    }
    fputs("{\"text\":", stdout);
    print_json_string(stdout, output->data, output->size);
    fputs("}\n", stdout);
}

static int decode(const struct command *command, const struct loom_tokenizer *tokenizer, const struct text *input) {
    struct text output = {NULL, 0, 0};
    struct loom_decoder *decoder;
    struct loom_error error;
    loom_status status = loom_decoder_open(tokenizer, &decoder, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    bool done = text_reserve(&output, 0) && decode_ids(command, tokenizer, decoder, input, &output);
    if (done)
        print_text(command, &output);
    loom_decoder_free(decoder);
    free(output.data);
    return done ? finish_output() : EXIT_FAILED;
}

static int convert(const struct command *command, bool encodes) {
    struct loom_tokenizer *tokenizer;
    struct loom_error error;
    if (!command->tokenizer)
        return report_usage("tokenizer", "--tokenizer is missing: a tokenizer's file, or byte");
    loom_status status = loom_tokenizer_open(command->tokenizer, &tokenizer, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    struct text input = {NULL, 0, 0};
    int code = EXIT_FAILED;
    if (text_read_input(&input))
        code = encodes ? encode(command, tokenizer, &input) : decode(command, tokenizer, &input);
    free(input.data);
    loom_tokenizer_free(tokenizer);
    return code;
}

/* ---- train ------------------------------------------------------------------------------------------------------- */

static int train(struct command *command, char **inputs, int n_inputs) {
    struct loom_tokenizer_train_options *o = &command->train;
    struct loom_tokenizer_train_result r;
    struct loom_error error;
    struct progress progress;
    if (o->vocab_size == 0)
        return report_usage("tokenizer", "--vocab-size is missing: how many tokens to train");
    if (n_inputs == 0)
        return report_usage("tokenizer", "no input was given: name files or folders of text, .jsonl or .parquet, or -");
    o->inputs = (const char *const *)inputs;
    o->n_inputs = (size_t)n_inputs;
    o->out = o->out ? o->out : command->tokenizer ? command->tokenizer : "tokenizer.json";
    o->special = command->names;
    o->n_special = command->n_names;
    o->threads = command->threads;
    progress_open(&progress);
    o->stop = stop_listen();
    o->on_progress = progress_tokenizer;
    o->user = &progress;
    loom_status status = loom_tokenizer_train(o, &r, &error);
    progress_close(&progress);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    if (command->json) {
        fputs("{\"out\":", stdout);
        print_json_string(stdout, o->out, strlen(o->out));
        printf(",\"vocab_size\":%d,\"merges\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"documents\":%" PRIu64
               ",\"words\":%" PRIu64 ",\"seconds\":%.3f}\n",
               r.vocab_size, r.merges, r.bytes, r.documents, r.words, r.seconds);
    } else
        printf("%s: %d tokens, from %" PRIu64 " distinct words of %" PRIu64 " bytes in %" PRIu64 " document%s\n",
               o->out, r.vocab_size, r.words, r.bytes, r.documents, r.documents == 1 ? "" : "s");
    if (r.vocab_size < o->vocab_size)
        fprintf(stderr, "the text has no more than %d tokens: each of its words is one\n", r.vocab_size);
    return finish_output();
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static bool add_name(void *user, char *name) {
    struct command *command = user;
    const char **grown = realloc(command->names, (command->n_names + 1) * sizeof *grown);
    if (!grown) {
        fprintf(stderr, "loom: no memory for special token %zu\n", command->n_names + 1);
        return false;
    }
    command->names = grown;
    command->names[command->n_names++] = name;
    return true;
}

/* "all", or names with commas between, which become NULs. */
static bool allow(void *user, char *names) {
    struct command *command = user;
    if (strcmp(names, "all") == 0)
        return command->encode.all_special = true;
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ","))
        if (!add_name(command, name))
            return false;
    return true;
}

static int run(struct command *command, char **arguments, int count) {
    const char *action = count > 0 ? arguments[0] : "";
    bool encodes = strcmp(action, "encode") == 0;
    if (strcmp(action, "train") == 0)
        return train(command, arguments + 1, count - 1);
    if (!encodes && strcmp(action, "decode") != 0)
        return report_usage("tokenizer", "one action is needed, encode, decode or train, not \"%s\"", action);
    if (count > 1)
        return report_usage("tokenizer", "\"%s\" belongs to no option; %s reads standard input", arguments[1], action);
    command->encode.special = command->names;
    command->encode.n_special = command->n_names;
    command->encode.threads = command->threads;
    return convert(command, encodes);
}

int cmd_tokenizer(int argc, char **argv) {
    struct command command = {.tokenizer = NULL};
    struct loom_tokenizer_train_options *train_options = &command.train;
    int code = EXIT_USAGE;
    bool asks;
    const struct option_place options[] = {
        {"tokenizer", .text = &command.tokenizer},
        {"allow-special", .take = allow, .user = &command},
        {"bytes", .flag = &command.bytes},
        {"vocab-size", .number = &train_options->vocab_size, .low = 257, .high = 1 << 22},
        {"out", .text = &train_options->out},
        {"special", .take = add_name, .user = &command},
        {"format", .text = &train_options->format},
        {"column", .text = &train_options->column},
        {"threads", .number = &command.threads, .low = 1, .high = 1024},
        {"json", .flag = &command.json},
        {.name = NULL}};
    if (read_options(options, argc, argv, &asks))
        code = asks ? show_help(help, NULL) : run(&command, argv + optind, argc - optind);
    free(command.names);
    return code;
}
