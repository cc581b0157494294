/* cmd_race.c - loom race: a baseline and a looped model on the same token stream, and what each paid for its loss. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"
#include "progress.h"
#include "stop.h"
#include "twins.h"
#include "units.h"

static const char help[] =
    "Usage: loom race --data DIR --out DIR [OPTION]...\n"
    "       loom race --task TASK --out DIR [OPTION]...\n"
    "Trains the baseline and the looped model on the same tokens, batches and context, and compares what each pays to\n"
    "reach the baseline's best validation loss. DIR gets race.json, report.html and a run folder for each side and "
    "seed.\n"
    "With --task it trains a looped model and two dense ones of the same block, one with as many parameters and one\n"
    "with as much work in a step, on the same batches, and counts each one's right answers; DIR gets twins.json.\n"
    "\n"
    "  --data DIR        the token folder (loom prepare makes one)\n"
    "  --out DIR         the race folder to write\n"
    "  --task TASK       a generated task (loom help prepare), which is trained on with 1 to 5 steps and asked with 2 "
    "to\n"
    "                    8; a token folder of one; or a task of loom help eval, with --data to train on\n"
    "  --test PATH       what is asked: another folder of the generated task, or the task's rows\n"
    "  --limit N         problems that are asked of each number of steps, or of all rows\n"
    "  --loops LIST      numbers of loops at which the looped model is asked, or given: one for each step\n"
    "  --preset NAME     the looped model (default loom-small, or loom-story with --task; loom help train lists\n"
    "                    the presets)\n"
    "  --baseline NAME   its opponent (default nanogpt-small)\n"
    "  --seeds N         races with seeds 1 to N; the numbers are medians (default 1)\n"
    "  --set KEY=VALUE   one setting for both sides, any number of times; docs/config.md names them all\n"
    "  --twin-set KEY=VALUE  one setting for the dense sides of --task alone, any number of times\n"
    "  --steps N         optimizer steps of both sides (the setting max_iters)\n"
    "  --threads N       default: one for each processor\n"
    "  --json            print the result as one JSON object\n";

/* What the command line asks for. */
struct request {
    struct loom_race_options options;
    struct twins_request twins; /* with a task: that is what is asked for */
    struct settings settings, twin_settings;
    char steps[40]; /* "max_iters=N" */
    bool json;
};

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void print_side(const char *name, const struct loom_race_side *side) {
    printf("%-14s %12s %12s %10" PRIu64 " %14s %14s\n", name, show_count((double)side->parameters).text,
           show_loss(side->best_val_loss).text, side->best_step, show_time(side->seconds).text,
           show_flops(side->flops).text);
}

static void print_spread(const struct loom_race_result *r) {
    printf("Medians over %d seeds; Loom reached that loss in %d", r->seeds, r->reached);
    if (r->reached > 0)
        printf(", with steps %.2fx to %.2fx, FLOPs %.2fx to %.2fx, time %.2fx to %.2fx", r->ratio_steps_range.low,
               r->ratio_steps_range.high, r->ratio_flops_range.low, r->ratio_flops_range.high,
               r->ratio_seconds_range.low, r->ratio_seconds_range.high);
    printf(".\nBest losses: baseline %.4f to %.4f, loom %.4f to %.4f.\n", r->baseline.best_val_loss_range.low,
           r->baseline.best_val_loss_range.high, r->loom.best_val_loss_range.low, r->loom.best_val_loss_range.high);
}

static void print_table(const struct request *request, const struct loom_race_result *r) {
    printf("%-14s %12s %12s %10s %14s %14s\n", "", "parameters", "best loss", "at step", "time in all", "FLOPs in all");
    print_side("baseline", &r->baseline);
    print_side("loom", &r->loom);
    if (isfinite(r->ratio_steps))
        printf("The baseline's cost over Loom's, to the baseline's best loss: steps %.2fx, FLOPs %.2fx, time %.2fx\n",
               r->ratio_steps, r->ratio_flops, r->ratio_seconds);
    else
        printf("Loom did not reach the baseline's best loss.\n");
    if (r->seeds > 1)
        print_spread(r);
    printf("The report: %s/report.html\n", request->options.out);
}

static void print_json_range(const char *name, struct loom_race_range range) {
    printf(",\"%s\":[", name);
    print_json_number(stdout, range.low);
    putchar(',');
    print_json_number(stdout, range.high);
    putchar(']');
}

static void print_json_side(const char *name, const struct loom_race_side *side) {
    printf("\"%s\":{\"parameters\":%" PRIu64 ",\"best_val_loss\":", name, side->parameters);
    print_json_number(stdout, side->best_val_loss);
    print_json_range("best_val_loss_range", side->best_val_loss_range);
    printf(",\"best_step\":%" PRIu64 ",\"seconds\":", side->best_step);
    print_json_number(stdout, side->seconds);
    fputs(",\"flops\":", stdout);
    print_json_number(stdout, side->flops);
    fputs("},", stdout);
}

static void print_json(const struct request *request, const struct loom_race_result *r) {
    putchar('{');
    print_json_side("baseline", &r->baseline);
    print_json_side("loom", &r->loom);
    fputs("\"ratio_steps\":", stdout);
    print_json_number(stdout, r->ratio_steps);
    fputs(",\"ratio_flops\":", stdout);
    print_json_number(stdout, r->ratio_flops);
    fputs(",\"ratio_seconds\":", stdout);
    print_json_number(stdout, r->ratio_seconds);
    print_json_range("ratio_steps_range", r->ratio_steps_range);
    print_json_range("ratio_flops_range", r->ratio_flops_range);
    print_json_range("ratio_seconds_range", r->ratio_seconds_range);
    printf(",\"seeds\":%d,\"reached\":%d,\"folder\":", r->seeds, r->reached);
    print_json_string(stdout, request->options.out, strlen(request->options.out));
    fputs("}\n", stdout);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int race(struct request *request) {
    struct loom_race_options *options = &request->options;
    struct loom_race_result result;
    struct loom_error error;
    struct progress progress;
    if (!options->data && !request->twins.options.task)
        return report_usage("race", "--data is missing: a token folder that loom prepare wrote");
    if (request->twin_settings.count && !request->twins.options.task)
        return report_usage("race", "--twin-set is for the dense sides of --task");
    if (!options->out)
        return report_usage("race", "--out is missing: the race folder to write");
    progress_open(&progress);
    options->settings = request->settings.items;
    options->n_settings = request->settings.count;
    request->twins.options.twin_settings = request->twin_settings.items;
    request->twins.options.n_twin_settings = request->twin_settings.count;
    options->stop = stop_listen();
    options->on_event = progress_event;
    options->user = &progress;
    if (request->twins.options.task) {
        int code = race_twins(options, &request->twins, request->json);
        progress_close(&progress);
        return code;
    }
    loom_status status = loom_race(options, &result, &error);
    progress_close(&progress);
    if (status)
        return report_failure(status, &error);
    if (request->json)
        print_json(request, &result);
    else
        print_table(request, &result);
    return finish_output();
}

static bool take_steps(void *user, char *text) {
    struct request *request = user;
    uint64_t steps;
    if (!parse_uint64("--steps", text, 1, 1000000000000000, &steps))
        return false;
    snprintf(request->steps, sizeof request->steps, "max_iters=%" PRIu64, steps);
    return settings_add(&request->settings, request->steps);
}

static bool take_loops(void *user, char *list) {
    struct twins_request *twins = user;
    return parse_loop_list(list, twins->loops, &twins->n_loops);
}

static int run(struct request *r, int argc, char **argv) {
    struct loom_race_options *o = &r->options;
    struct twins_request *twins = &r->twins;
    uint64_t limit = 0;
    int code;
    const struct option_place options[] = {{"data", .text = &o->data},
                                           {"out", .text = &o->out},
                                           {"task", .text = &twins->options.task},
                                           {"test", .text = &twins->options.test},
                                           {"limit", .count = &limit, .low = 1, .high = 1000000000},
                                           {"loops", .take = take_loops, .user = twins},
                                           {"preset", .text = &o->preset},
                                           {"baseline", .text = &o->baseline},
                                           {"seeds", .number = &o->seeds, .low = 1, .high = LOOM_RACE_SEEDS_MAX},
                                           {"set", .take = settings_add, .user = &r->settings},
                                           {"twin-set", .take = settings_add, .user = &r->twin_settings},
                                           {"steps", .take = take_steps, .user = r},
                                           {"threads", .number = &o->threads, .low = 1, .high = 1024},
                                           {"json", .flag = &r->json},
                                           {.name = NULL}};
    if (!read_command("race", help, NULL, options, argc, argv, &code))
        return code;
    twins->options.limit = (size_t)limit;
    return race(r);
}

int cmd_race(int argc, char **argv) {
    struct request request = {.json = false};
    int code = run(&request, argc, argv);
    settings_free(&request.settings);
    settings_free(&request.twin_settings);
    return code;
}
