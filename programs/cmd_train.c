/* cmd_train.c - loom train: a run from its first step, on from its newest checkpoint, or only its sizes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"
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

/* What the command line asks for. */
struct request {
    struct loom_train_options options;
    struct settings settings;
    const char *data[LOOM_DATA_MAX], *chat[LOOM_DATA_MAX];
    double mix[LOOM_DATA_MAX];
    size_t n_data, n_mix;
    bool json;
};

static void list_presets(void) {
    for (size_t i = 0; i < loom_preset_count(); i++)
        printf("  %-20s %s\n", loom_preset_name(i), loom_preset_summary(loom_preset_name(i)));
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

static bool take_data(void *user, char *path) {
    struct request *request = user;
    return add_path("--data", request->data, &request->n_data, path);
}

static bool take_chat(void *user, char *path) {
    struct request *request = user;
    return add_path("--chat", request->chat, &request->options.n_chat, path);
}

/* "W,W,...", which is cut apart. */
static bool take_mix(void *user, char *list) {
    struct request *request = user;
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

static int run(struct request *r, int argc, char **argv) {
    struct loom_train_options *o = &r->options;
    int code;
    const struct option_place options[] = {
        {"data", .take = take_data, .user = r},
        {"mix", .take = take_mix, .user = r},
        {"chat", .take = take_chat, .user = r},
        {"task", .text = &o->task},
        {"problems", .text = &o->problems},
        {"init", .text = &o->init},
        {"out", .text = &o->out},
        {"preset", .text = &o->preset},
        {"set", .take = settings_add, .user = &r->settings},
        {"steps", .count = &o->steps, .low = 1, .high = 1000000000000000},
        {"seed", .count = &o->seed, .high = (uint64_t)1 << 53, .given = &o->has_seed},
        {"resume", .flag = &o->resume},
        {"dry-run", .flag = &o->dry_run},
        {"threads", .number = &o->threads, .low = 1, .high = 1024},
        {"json", .flag = &r->json},
        {.name = NULL}};
    if (!read_command("train", help, list_presets, options, argc, argv, &code))
        return code;
    return train(r);
}

int cmd_train(int argc, char **argv) {
    struct request request = {.json = false};
    int code = run(&request, argc, argv);
    settings_free(&request.settings);
    return code;
}
