/* cmd_generate.c - loom generate: a prompt, and what the model writes after it, as it writes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "commands.h"
#include "options.h"
#include "stop.h"
#include "text.h"

static const char help[] =
    "Usage: loom generate --model DIR [OPTION]...\n"
    "Writes the prompt and what the model adds to it. Ctrl-C ends the text.\n"
    "\n"
    "  --model DIR       a model folder, or a run folder: its best checkpoint\n"
    "  --prompt TEXT     the text to go on from; - reads standard input (default: none)\n"
    "  --chat            the prompt is a user's message; the text is the answer of a model that has learned to chat\n"
    "  --max-tokens N    how many tokens to write (default 256)\n"
    "  --loops N|auto|chosen  how many times each token goes through the loop; auto: as trained (default); chosen: as\n"
    "                    many as the model's halting gives it\n"
    "  --exit            a token takes no more loops once it has halted: quicker, and not quite the same\n"
    "  --temperature X   below 1 the likely becomes likelier; 0 always takes the likeliest (default 1)\n"
    "  --top-k N         draw among the N likeliest tokens only\n"
    "  --top-p X         draw among the likeliest tokens that have this share together\n"
    "  --seed N          the same seed writes the same text (default: another one each time, told on standard error)\n"
    "  --precision P     of products: float32 (default), bf16, int8 or int4 weights: quicker, and not quite the same\n"
    "  --threads N       default: one for each processor\n"
    "  --json            print one JSON object at the end; \"text\" is what the model added\n";

/* What the command line asks for. */
struct request {
    const char *model, *precision;
    struct loom_generate_options options;
    int threads;
    bool has_seed, json;
};

/* Where the text goes while it is written. */
struct output {
    const struct loom_generate_options *options; /* their prompt goes before the first token */
    bool json, terminal, begun;
    char last;        /* the byte before, on a terminal */
    struct text text; /* with json: all of it, and its tokens */
    struct text tokens;
    bool failed;
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* A model may write escape codes: control characters other than newline and tab never reach a terminal (C1 is 0xC2 and
 * a tail below 0xA0 in UTF-8). */
static void put_shown(struct output *output, char byte) {
    unsigned char code = (unsigned char)byte;
    bool c0 = (code < ' ' && byte != '\n' && byte != '\t') || code == 0x7F;
    bool c1 = output->last == (char)0xC2 && code >= 0x80 && code < 0xA0;
    putchar(c0 || c1 ? '?' : byte);
    output->last = byte;
}

static void put_bytes(struct output *output, const char *bytes, size_t size) {
    if (output->terminal)
        for (size_t i = 0; i < size; i++)
            put_shown(output, bytes[i]);
    else
        fwrite(bytes, 1, size, stdout);
    fflush(stdout);
}

static void on_token(void *user, int token, const char *bytes, size_t size) {
    struct output *output = user;
    char number[16];
    if (!output->json && !output->begun && !output->options->chat)
        put_bytes(output, output->options->prompt, output->options->prompt_size);
    output->begun = true;
    if (!output->json) {
        put_bytes(output, bytes, size);
        return;
    }
    int digits = token < 0 ? 0 : snprintf(number, sizeof number, "%s%d", output->tokens.size ? "," : "", token);
    if (output->failed || !text_put(&output->text, bytes, size) || !text_put(&output->tokens, number, (size_t)digits))
        output->failed = true;
}

static void print_json(const struct request *request, const struct output *output,
                       const struct loom_generate_result *r) {
    const struct loom_generate_options *o = &request->options;
    fputs("{\"prompt\":", stdout);
    print_json_string(stdout, o->prompt_size ? o->prompt : "", o->prompt_size);
    fputs(",\"text\":", stdout);
    print_json_string(stdout, output->text.size ? output->text.data : "", output->text.size);
    printf(",\"tokens\":[%.*s],\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"seed\":%" PRIu64 ",\"seconds\":",
           (int)output->tokens.size, output->tokens.size ? output->tokens.data : "", r->prompt_tokens,
           r->completion_tokens, o->seed);
    print_json_number(stdout, r->seconds);
    fputs(",\"tokens_per_second\":", stdout);
    print_json_number(stdout, (double)r->completion_tokens / r->seconds);
    if (o->exit) {
        fputs(",\"mean_loops\":", stdout);
        print_json_number(stdout, r->mean_loops);
    }
    fputs("}\n", stdout);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* Small enough to be typed again. */
static uint64_t random_seed(void) {
    uint32_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint32_t)time(NULL);
    return seed;
}

static int generate(struct request *request, const struct loom_model *model) {
    struct loom_generate_options *options = &request->options;
    struct output output = {.options = options, .json = request->json, .terminal = isatty(STDOUT_FILENO)};
    struct loom_generate_result result;
    struct loom_error error;
    options->on_token = on_token;
    options->user = &output;
    options->stop = stop_listen();
    loom_status status = loom_generate(model, options, &result, &error);
    bool ended = status == LOOM_OK || status == LOOM_STOPPED;
    if (ended && request->json && !output.failed)
        print_json(request, &output, &result);
    else if (output.begun && !request->json)
        putchar('\n');
    free(output.text.data);
    free(output.tokens.data);
    int written = finish_output();
    if (status)
        return report_failure(status, &error);
    return output.failed ? EXIT_FAILED : written;
}

static int open_and_generate(struct request *request) {
    struct loom_model *model;
    struct loom_error error;
    if (!request->model)
        return report_usage("generate", "--model is missing: a model folder or a run folder");
    loom_status status = loom_model_open(request->model, request->threads, &model, &error);
    if (status)
        return report_failure(status, &error);
    if (request->precision && (status = loom_model_use_precision(model, request->precision, &error))) {
        loom_model_free(model);
        return report_failure(status, &error);
    }
    if (!request->has_seed) {
        request->options.seed = random_seed();
        fprintf(stderr, "seed %" PRIu64 "\n", request->options.seed);
    }
    int code = generate(request, model);
    loom_model_free(model);
    return code;
}

static int read_prompt_and_generate(struct request *request) {
    struct loom_generate_options *options = &request->options;
    struct text input = {NULL, 0, 0};
    if (strcmp(options->prompt, "-") != 0)
        options->prompt_size = strlen(options->prompt);
    else if (text_read_input(&input)) {
        options->prompt = input.data;
        options->prompt_size = input.size;
    } else {
        free(input.data);
        return EXIT_FAILED;
    }
    int code = open_and_generate(request);
    free(input.data);
    return code;
}

static bool take_loops(void *user, char *text) {
    struct loom_generate_options *options = user;
    if (strcmp(text, "chosen") == 0) {
        options->loops = LOOM_LOOPS_CHOSEN;
        options->exit = true;
        return true;
    }
    return strcmp(text, "auto") == 0 || parse_int("--loops", text, 1, 4096, &options->loops);
}

int cmd_generate(int argc, char **argv) {
    struct request r = {.options = {.prompt = ""}};
    struct loom_generate_options *o = &r.options;
    int code;
    const struct option_place options[] = {
        {"model", .text = &r.model},
        {"prompt", .text = &o->prompt},
        {"chat", .flag = &o->chat},
        {"max-tokens", .number = &o->max_tokens, .low = 1, .high = 1 << 30},
        {"loops", .take = take_loops, .user = o},
        {"exit", .flag = &o->exit},
        {"temperature", .real = &o->temperature, .least = 0, .most = 1e6, .given = &o->has_temperature},
        {"top-k", .number = &o->top_k, .low = 1, .high = 1 << 30},
        {"top-p", .real = &o->top_p, .least = 1e-9, .most = 1},
        {"seed", .count = &o->seed, .high = (uint64_t)1 << 53, .given = &r.has_seed},
        {"precision", .text = &r.precision},
        {"threads", .number = &r.threads, .low = 1, .high = 1024},
        {"json", .flag = &r.json},
        {.name = NULL}};
    if (!read_command("generate", help, NULL, options, argc, argv, &code))
        return code;
    return read_prompt_and_generate(&r);
}
