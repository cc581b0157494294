/* cmd_train.c - loom train: a run from its first step, on from its newest checkpoint, or only its sizes. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "progress.h"
#include "stop.h"
#include "units.h"

static const char help[] =
    "Usage: loom train --data DIR --out RUN [OPTION]...\n"
    "       loom train --chat FILE --init MODEL --out RUN [OPTION]...\n"
    "       loom train --task NAME --problems FILE --init MODEL --out RUN [OPTION]...\n"
    "Trains a model on a token folder, or fine-tunes one on conversations. RUN gets config.json, metrics.jsonl, "
    "checkpoints and report.html.\n"
    "SIGINT (Ctrl-C) and SIGTERM save and stop.\n"
    "\n"
    "  --data DIR        a token folder (loom prepare makes one); several times: a mixture\n"
    "  --mix W,W,...     the folders' weights in training (default: by their tokens)\n"
    "  --chat FILE       conversations, JSON lines or an array; several times: all of them. docs/finetuning.md has "
    "the\n"
    "                    forms of a row; the loss is on the answers, and one in twenty is held out\n"
    "  --task NAME       learn to solve problems: answers are drawn and judged (loom help eval lists the tasks)\n"
    "  --problems FILE   the task's rows\n"
    "  --init MODEL      start from the weights and sizes of this model or run (then the preset is finetune)\n"
    "  --out RUN         the run folder to write; it must not hold a run yet, unless with --resume\n"
    "  --preset NAME     a model and how to train it (default loom-small; listed below)\n"
    "  --set KEY=VALUE   one setting over the preset's, any number of times; docs/config.md names them all\n"
    "  --steps N         optimizer steps in all (the setting max_iters)\n"
    "  --seed N          of the initial weights and the batches\n"
    "  --resume          go on from RUN's newest checkpoint; the result is bit for bit that of a run without a stop\n"
    "  --dry-run         print sizes, memory and FLOPs, and take nothing; --data and --out may be missing\n"
    "  --threads N       default: one for each processor\n"
    "  --json            print the result as one JSON object\n"
    "\n"
    "Presets:\n";

enum {
    OPTION_DATA = 1,
    OPTION_MIX,
    OPTION_CHAT,
    OPTION_TASK,
    OPTION_PROBLEMS,
    OPTION_INIT,
    OPTION_OUT,
    OPTION_PRESET,
    OPTION_SET,
    OPTION_STEPS,
    OPTION_SEED,
    OPTION_RESUME,
    OPTION_DRY_RUN,
    OPTION_THREADS,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option long_options[] = {{"data", required_argument, NULL, OPTION_DATA},
                                             {"mix", required_argument, NULL, OPTION_MIX},
                                             {"chat", required_argument, NULL, OPTION_CHAT},
                                             {"task", required_argument, NULL, OPTION_TASK},
                                             {"problems", required_argument, NULL, OPTION_PROBLEMS},
                                             {"init", required_argument, NULL, OPTION_INIT},
                                             {"out", required_argument, NULL, OPTION_OUT},
                                             {"preset", required_argument, NULL, OPTION_PRESET},
                                             {"set", required_argument, NULL, OPTION_SET},
                                             {"steps", required_argument, NULL, OPTION_STEPS},
                                             {"seed", required_argument, NULL, OPTION_SEED},
                                             {"resume", no_argument, NULL, OPTION_RESUME},
                                             {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
                                             {"threads", required_argument, NULL, OPTION_THREADS},
                                             {"json", no_argument, NULL, OPTION_JSON},
                                             {"help", no_argument, NULL, OPTION_HELP},
                                             {NULL, 0, NULL, 0}};

/* What the command line asks for. */
struct request {
    struct loom_train_options options;
    struct settings settings;
    const char *data[LOOM_DATA_MAX], *chat[LOOM_DATA_MAX];
    double mix[LOOM_DATA_MAX];
    size_t n_data, n_mix;
    bool json, help;
};

static int print_help(void) {
    fputs(help, stdout);
    for (size_t i = 0; i < loom_preset_count(); i++)
        printf("  %-20s %s\n", loom_preset_name(i), loom_preset_summary(loom_preset_name(i)));
    return finish_output();
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static uint64_t memory(const struct loom_train_result *r) {
    return r->bytes_weights + r->bytes_gradients + r->bytes_optimizer + r->bytes_activations;
}

static void print_sizes(const struct loom_train_result *r) {
    printf("parameters           %12s\n", show_count((double)r->parameters).text);
    printf("  met by one token   %12s\n", show_count((double)r->active_parameters).text);
    printf("memory               %12s\n", show_bytes((double)memory(r)).text);
    printf("  weights            %12s\n", show_bytes((double)r->bytes_weights).text);
    printf("  gradients          %12s\n", show_bytes((double)r->bytes_gradients).text);
    printf("  optimizer          %12s\n", show_bytes((double)r->bytes_optimizer).text);
    printf("  activations        %12s\n", show_bytes((double)r->bytes_activations).text);
    printf("tokens a step        %12s\n", show_count((double)r->tokens_per_step).text);
    printf("FLOPs a step         %12s\n", show_flops(r->flops_per_step).text);
    printf("FLOPs in all         %12s\n", show_flops(r->flops_total).text);
}

static void print_json_sizes(const struct loom_train_result *r) {
    printf("{\"parameters\":%" PRIu64 ",\"active_parameters\":%" PRIu64 ",\"bytes_weights\":%" PRIu64
           ",\"bytes_gradients\":%" PRIu64 ",\"bytes_optimizer\":%" PRIu64 ",\"bytes_activations\":%" PRIu64
           ",\"bytes\":%" PRIu64 ",\"tokens_per_step\":%" PRIu64 ",\"flops_per_step\":",
           r->parameters, r->active_parameters, r->bytes_weights, r->bytes_gradients, r->bytes_optimizer,
           r->bytes_activations, memory(r), r->tokens_per_step);
    print_json_number(stdout, r->flops_per_step);
    fputs(",\"flops_total\":", stdout);
    print_json_number(stdout, r->flops_total);
}

static void print_json_run(const char *out, const struct loom_train_result *r, bool stopped) {
    fputs(",\"run\":", stdout);
    print_json_string(stdout, out, strlen(out));
    printf(",\"stopped\":%s,\"steps\":%" PRIu64 ",\"val_loss\":", stopped ? "true" : "false", r->steps);
    print_json_number(stdout, r->val_loss);
    fputs(",\"best_val_loss\":", stdout);
    print_json_number(stdout, r->best_val_loss);
    printf(",\"best_step\":%" PRIu64 ",\"seconds\":", r->best_step);
    print_json_number(stdout, r->seconds);
    fputs(",\"flops\":", stdout);
    print_json_number(stdout, r->flops);
}

static void print_run(const char *out, const struct loom_train_result *r) {
    printf("%s: %" PRIu64 " steps in %s, %s; validation loss %s, the best %s at step %" PRIu64 "\n", out, r->steps,
           show_time(r->seconds).text, show_flops(r->flops).text, show_loss(r->val_loss).text,
           show_loss(r->best_val_loss).text, r->best_step);
}

static void print_result(const struct request *request, const struct loom_train_result *result, bool stopped) {
    bool sizes_only = request->options.dry_run;
    if (request->json) {
        print_json_sizes(result);
        if (!sizes_only)
            print_json_run(request->options.out, result, stopped);
        fputs("}\n", stdout);
    } else if (sizes_only)
        print_sizes(result);
    else if (!stopped)
        print_run(request->options.out, result);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* Who watches a run: the screen, and the report, which is drawn anew at every checkpoint. */
struct watch {
    struct progress progress;
    const char *run;
};

static void watch_event(void *user, const struct loom_event *event) {
    struct watch *watch = user;
    progress_event(&watch->progress, event);
    if (event->kind == LOOM_EVENT_SAVE)
        loom_report(watch->run, NULL); /* drawn again at the end, where a failure is told */
}

static int train(struct request *request) {
    struct loom_train_options *options = &request->options;
    struct loom_train_result result;
    struct loom_error error;
    struct watch watch = {.run = options->out};
    if (request->n_mix > 0 && request->n_mix != request->n_data)
        return report_usage("train", "--mix has %zu weights for %zu folders of --data", request->n_mix,
                            request->n_data);
    if ((options->n_chat > 0 || options->task) && !options->init)
        return report_usage("train", "--init is missing: the model whose tokenizer reads conversations and problems");
    if (!options->task != !options->problems)
        return report_usage("train", "--task and --problems go together");
    if (!options->dry_run && request->n_data + options->n_chat == 0 && !options->task)
        return report_usage("train", "--data is missing: a token folder that loom prepare wrote");
    if (!options->dry_run && !options->out)
        return report_usage("train", "--out is missing: the run folder to write");
    progress_open(&watch.progress);
    options->data = request->data;
    options->n_data = request->n_data;
    options->chat = request->chat;
    options->mix = request->n_mix > 0 ? request->mix : NULL;
    options->settings = request->settings.items;
    options->n_settings = request->settings.count;
    options->stop = options->dry_run ? NULL : stop_listen();
    options->on_event = watch_event;
    options->user = &watch;
    loom_status status = loom_train(options, &result, &error);
    progress_close(&watch.progress);
    if (status == LOOM_OK && !options->dry_run)
        status = loom_report(options->out, &error);
    if (status == LOOM_OK || status == LOOM_STOPPED)
        print_result(request, &result, status == LOOM_STOPPED);
    if (status == LOOM_STOPPED)
        fprintf(stderr, "loom: %s; the same command with --resume goes on\n", error.text);
    else if (status)
        return report_failure(status, &error);
    int written = finish_output();
    return status ? EXIT_FAILED : written;
}

static bool add_path(const char *option, const char *paths[LOOM_DATA_MAX], size_t *count, const char *path) {
    if (*count == LOOM_DATA_MAX) {
        fprintf(stderr, "loom: %s can be given %d times at most\n", option, LOOM_DATA_MAX);
        return false;
    }
    paths[(*count)++] = path;
    return true;
}

/* "W,W,...", which is cut apart. */
static bool parse_mix(struct request *request, char *list) {
    for (char *item; (item = next_item(&list));) {
        if (request->n_mix == LOOM_DATA_MAX) {
            fprintf(stderr, "loom: --mix takes at most %d weights\n", LOOM_DATA_MAX);
            return false;
        }
        if (!parse_double("--mix", item, 0, 1e15, &request->mix[request->n_mix++]))
            return false;
    }
    return true;
}

static bool parse_option(struct request *request, int option) {
    struct loom_train_options *o = &request->options;
    switch (option) {
    case OPTION_DATA:
        return add_path("--data", request->data, &request->n_data, optarg);
    case OPTION_CHAT:
        return add_path("--chat", request->chat, &o->n_chat, optarg);
    case OPTION_TASK:
        o->task = optarg;
        return true;
    case OPTION_PROBLEMS:
        o->problems = optarg;
        return true;
    case OPTION_INIT:
        o->init = optarg;
        return true;
    case OPTION_MIX:
        return parse_mix(request, optarg);
    case OPTION_OUT:
        o->out = optarg;
        return true;
    case OPTION_PRESET:
        o->preset = optarg;
        return true;
    case OPTION_SET:
        return settings_add(&request->settings, optarg);
    case OPTION_STEPS:
        return parse_uint64("--steps", optarg, 1, 1000000000000000, &o->steps);
    case OPTION_SEED:
        o->has_seed = true;
        return parse_uint64("--seed", optarg, 0, (uint64_t)1 << 53, &o->seed);
    case OPTION_RESUME:
        return o->resume = true;
    case OPTION_DRY_RUN:
        return o->dry_run = true;
    case OPTION_THREADS:
        return parse_int("--threads", optarg, 1, 1024, &o->threads);
    case OPTION_JSON:
        return request->json = true;
    case OPTION_HELP:
        return request->help = true;
    default:
        return false; /* getopt has said why */
    }
}

int cmd_train(int argc, char **argv) {
    struct request request = {.json = false};
    int option, code = EXIT_DONE;
    while (code == EXIT_DONE && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        code = parse_option(&request, option) ? EXIT_DONE : EXIT_USAGE;
    if (code == EXIT_DONE && request.help)
        code = print_help();
    else if (code == EXIT_DONE && optind < argc)
        code = report_usage("train", "\"%s\" belongs to no option", argv[optind]);
    else if (code == EXIT_DONE)
        code = train(&request);
    settings_free(&request.settings);
    return code;
}
