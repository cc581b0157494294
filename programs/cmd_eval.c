/* cmd_eval.c - loom eval: what a model's loss is on held-out text, or what share of a task's problems it answers right,
 * at one or more numbers of loops. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "choices.h"
#include "commands.h"
#include "options.h"
#include "task.h"
#include "units.h"

static const char help[] =
    "Usage: loom eval --model DIR --data DIR [OPTION]...\n"
    "       loom eval --task NAME --data FILE (--model DIR | --predictions FILE) [OPTION]...\n"
    "Measures the loss over the whole validation split of a token folder, in windows of the model's context; or the\n"
    "share of a task's problems that are answered right, with 95 % intervals.\n"
    "\n"
    "  --model DIR         a model folder, or a run folder: its best checkpoint\n"
    "  --data DIR          a token folder with the model's vocabulary; for a task its rows, a file or a folder\n"
    "  --chat              a task's prompts are users' messages to a model that has learned to chat\n"
    "  --loops LIST        numbers of loops, one line for each: 1,2,4,8 (default: as trained); for a\n"
    "                      generated task also given: one loop for each step of a problem; chosen: as many as the\n"
    "                      model's halting gives each token, which then takes no more\n"
    "  --exit              a token takes no more loops once it has halted, as generate --exit does: what that costs\n"
    "  --experts           which experts were chosen, by loop and by kind of token\n"
    "  --document-mask     no attention across documents, for a model that was trained so\n"
    "  --task NAME         a task with answers to check, from the list below\n"
    "  --indices FILE      a JSON array of the row numbers that are taken, counted from 0\n"
    "  --examples FILE     rows of the task whose first --shots go before each prompt, worked out; or a text that "
    "does\n"
    "  --shots N           how many\n"
    "  --predictions FILE  score recorded responses: a JSON object a line with id (or task_id, doc_id) and response\n"
    "  --save FILE         write every response and verdict, a JSON object a line\n"
    "  --limit N           only the first N problems\n"
    "  --samples N         responses to each problem, for pass@k (default: 1)\n"
    "  --temperature X     default: 0, the likeliest token\n"
    "  --max-tokens N      of a response (default: the task's)\n"
    "  --seconds S         for running one response's program in the sandbox (default: 10)\n"
    "  --seed N            default: 0\n"
    "  --report FILE       write the task's figures as an HTML page\n"
    "  --precision LIST    of products: float32 (default), bf16, int8 or int4 weights; for a loss several, to see\n"
    "                      what rounding costs: float32,int8,int4\n"
    "  --threads N         also of programs that run at once (default: one for each processor)\n"
    "  --json              print one JSON object a line\n";

/* What the command line asks for. */
struct request {
    const char *model, *data;
    char *precisions;                    /* a list, or NULL */
    const char *precision;               /* the one in use, or NULL */
    int loops[LOOP_COUNTS_MAX], n_loops; /* none: as trained */
    int threads;
    bool document_mask, exit, experts, json;
    bool headed;              /* the table's head has been printed */
    struct task_request task; /* with a task's name: that is what is asked for */
};

/* ---- results ----------------------------------------------------------------------------------------------------- */

static int shown_depths(const struct loom_evaluate_result *r) {
    return r->loops < LOOM_LOOPS_SHOWN ? r->loops : LOOM_LOOPS_SHOWN;
}

static void print_head(const struct request *request) {
    fputs(request->precision ? "precision " : "", stdout);
    printf("%5s %8s %10s %10s %10s %10s  %s\n", "loops", "loss", "bits/byte", "mean loops", "tokens", "tokens/s",
           "tokens that leave after loop 1, 2, ...");
}

static void print_row(const struct request *request, const struct loom_evaluate_result *r) {
    if (request->precision)
        printf("%-9s ", request->precision);
    printf("%5d %8.4f %10.4f %10.2f %10" PRIu64 " %10.0f ", r->loops, r->loss, r->bits_per_byte, r->mean_loops,
           r->tokens, (double)r->tokens / r->seconds);
    for (int i = 0; i < shown_depths(r); i++)
        printf(" %.1f%%", 100 * r->exit_depth[i]);
    putchar('\n');
}

/* How many loops easy tokens took, and hard ones. */
static void print_bins(const struct loom_evaluate_result *r) {
    fputs("      tokens of a loss below ", stdout);
    for (int i = 0; i < LOOM_LOSS_BINS; i++) {
        const struct loom_loss_bin *bin = &r->by_loss[i];
        if (isinf(bin->below))
            fputs("others", stdout);
        else
            printf("%g", bin->below);
        printf(": %.2f loops (%.1f%%)%s", bin->mean_loops, 100 * (double)bin->tokens / (double)r->tokens,
               i + 1 < LOOM_LOSS_BINS ? ", " : "\n");
    }
}

static void print_json_bins(const struct loom_evaluate_result *r) {
    fputs(",\"by_loss\":[", stdout);
    for (int i = 0; i < LOOM_LOSS_BINS; i++) {
        fputs(i ? ",{\"below\":" : "{\"below\":", stdout);
        print_json_number(stdout, r->by_loss[i].below);
        printf(",\"tokens\":%" PRIu64 ",\"mean_loops\":%.4f}", r->by_loss[i].tokens, r->by_loss[i].mean_loops);
    }
    putchar(']');
}

/* `choices` NULL: they were not asked for. */
static void print_json_row(const struct request *request, const struct loom_evaluate_result *r,
                           const struct loom_choices *choices) {
    putchar('{');
    if (request->precision)
        printf("\"precision\":\"%s\",", request->precision);
    printf("\"loops\":%d,\"loss\":", r->loops);
    print_json_number(stdout, r->loss);
    fputs(",\"bits_per_byte\":", stdout);
    print_json_number(stdout, r->bits_per_byte);
    printf(",\"tokens\":%" PRIu64 ",\"seconds\":", r->tokens);
    print_json_number(stdout, r->seconds);
    fputs(",\"mean_loops\":", stdout);
    print_json_number(stdout, r->mean_loops);
    fputs(",\"exit_depth\":[", stdout);
    for (int i = 0; i < shown_depths(r); i++) {
        fputs(i ? "," : "", stdout);
        print_json_number(stdout, r->exit_depth[i]);
    }
    putchar(']');
    if (r->exit)
        print_json_bins(r);
    if (choices)
        putchar(',');
    if (choices)
        print_choices_json(choices);
    fputs("}\n", stdout);
}

/* ---- generated tasks --------------------------------------------------------------------------------------------- */

static void print_json_drill_row(const struct loom_drill_row *r, double accuracy) {
    printf("{\"steps\":%d,\"loops\":", r->steps);
    print_json_loops(stdout, r->loops);
    printf(",\"mean_loops\":%.4f,\"problems\":%" PRIu64 ",\"right\":%" PRIu64 ",\"accuracy\":%.6f,\"loss\":%.6f}\n",
           r->mean_loops, r->problems, r->right, accuracy, r->loss);
}

static void print_drill_row(void *user, const struct loom_drill_row *r) {
    struct request *request = user;
    double accuracy = r->problems ? (double)r->right / (double)r->problems : 0;
    if (!request->json && !request->headed) /* what fails before its first row prints nothing */
        printf("%5s %10s %10s %9s %9s %8s\n", "steps", "loops", "mean loops", "problems", "right", "loss");
    request->headed = true;
    if (request->json)
        print_json_drill_row(r, accuracy);
    else
        printf("%5d %10s %10.2f %9" PRIu64 " %8.1f%% %8.4f\n", r->steps, show_loops(r->loops).text, r->mean_loops,
               r->problems, 100 * accuracy, r->loss);
    fflush(stdout);
}

static int evaluate_drill(struct request *request, const struct loom_model *model) {
    int rounds = request->n_loops ? request->n_loops : 1;
    for (int i = 0; i < rounds; i++) {
        bool given = request->loops[i] == LOOM_LOOPS_GIVEN;
        struct loom_drill_evaluate_options options = {
            .data = request->data, .loops = given ? 0 : request->loops[i], .given = given};
        struct loom_error error;
        loom_status status = loom_evaluate_drill(model, &options, print_drill_row, request, &error);
        if (status)
            return report_failure(status, &error);
    }
    return finish_output();
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int evaluate(struct request *request, const struct loom_model *model) {
    int rounds = request->n_loops ? request->n_loops : 1;
    for (int i = 0; i < rounds; i++) {
        if (request->loops[i] == LOOM_LOOPS_GIVEN)
            return report_usage("eval", "--loops given is for generated tasks, and %s is none", request->data);
        struct loom_choices choices, *wanted = request->experts ? &choices : NULL;
        struct loom_evaluate_options options = {.data = request->data,
                                                .choices = wanted,
                                                .loops = request->loops[i],
                                                .document_mask = request->document_mask,
                                                .exit = request->exit};
        struct loom_evaluate_result result;
        struct loom_error error;
        loom_status status = loom_evaluate(model, &options, &result, &error);
        if (status)
            return report_failure(status, &error);
        if (!request->headed && !request->json)
            print_head(request);
        request->headed = true;
        if (request->json)
            print_json_row(request, &result, wanted);
        else
            print_row(request, &result);
        if (result.exit && !request->json)
            print_bins(&result);
        if (wanted && !request->json)
            print_choices(wanted);
        if (wanted)
            loom_choices_free(wanted);
        fflush(stdout); /* each line when it is known: the next may take minutes */
    }
    return finish_output();
}

/* In each of the listed formats. */
static int evaluate_formats(struct request *request, struct loom_model *model) {
    int code = request->precisions ? EXIT_DONE : evaluate(request, model);
    for (char *list = request->precisions; code == EXIT_DONE && list && (request->precision = next_item(&list));) {
        struct loom_error error;
        loom_status status = loom_model_use_precision(model, request->precision, &error);
        code = status ? report_failure(status, &error) : evaluate(request, model);
    }
    return code;
}

/* Several formats are for a loss. */
static bool several_precisions(const struct request *request) {
    return request->precisions && strchr(request->precisions, ',');
}

static int check_request(const struct request *request) {
    const struct loom_task_options *task = &request->task.options;
    if (!task->task && (task->predictions || task->indices || task->examples || task->shots || task->save ||
                        task->samples || request->task.report))
        return report_usage("eval", "--task is missing: the name of a task");
    if (task->shots > 0 && !task->examples)
        return report_usage("eval", "--examples is missing: the rows of which --shots go before each prompt");
    if (!request->model && !task->predictions)
        return report_usage("eval", "--model is missing: a model folder or a run folder");
    if (!request->data && task->task)
        return report_usage("eval", "--data is missing: the file or folder of the task's rows");
    if (!request->data)
        return report_usage("eval", "--data is missing: a token folder that loom prepare wrote");
    if (task->task && several_precisions(request))
        return report_usage("eval", "--precision takes one format with a task, not %s", request->precisions);
    if (request->model && task->predictions)
        return report_usage("eval", "either --model or --predictions is needed, not both");
    return EXIT_DONE;
}

static int open_and_evaluate(struct request *request) {
    struct loom_model *model = NULL;
    struct loom_error error;
    int code = check_request(request);
    if (code)
        return code;
    loom_status status = request->model ? loom_model_open(request->model, request->threads, &model, &error) : LOOM_OK;
    if (status == LOOM_OK && model && request->precisions && !several_precisions(request))
        status = loom_model_use_precision(model, request->precisions, &error);
    if (status) {
        loom_model_free(model);
        return report_failure(status, &error);
    }
    if (request->task.options.task) {
        request->task.options.data = request->data;
        request->task.options.threads = request->threads;
        request->task.loops = request->loops;
        request->task.n_loops = request->n_loops;
        request->task.json = request->json;
        code = evaluate_task(model, &request->task);
    } else {
        bool drill;
        status = loom_drill_folder(request->data, &drill, &error);
        code = status ? report_failure(status, &error)
               : drill && several_precisions(request)
                   ? report_usage("eval", "--precision takes one format with a task, not %s", request->precisions)
               : drill ? evaluate_drill(request, model)
                       : evaluate_formats(request, model);
    }
    loom_model_free(model);
    return code;
}

static bool take_loops(void *user, char *list) {
    struct request *request = user;
    return parse_loop_list(list, request->loops, &request->n_loops);
}

static bool take_precisions(void *user, char *list) {
    struct request *request = user;
    request->precisions = list;
    return true;
}

int cmd_eval(int argc, char **argv) {
    struct request r = {.model = NULL};
    struct loom_task_options *task = &r.task.options;
    uint64_t limit = 0;
    int code;
    const struct option_place options[] = {{"model", .text = &r.model},
                                           {"data", .text = &r.data},
                                           {"chat", .flag = &task->chat},
                                           {"loops", .take = take_loops, .user = &r},
                                           {"exit", .flag = &r.exit},
                                           {"experts", .flag = &r.experts},
                                           {"document-mask", .flag = &r.document_mask},
                                           {"task", .text = &task->task},
                                           {"indices", .text = &task->indices},
                                           {"examples", .text = &task->examples},
                                           {"shots", .number = &task->shots, .low = 1, .high = 1024},
                                           {"predictions", .text = &task->predictions},
                                           {"save", .text = &task->save},
                                           {"limit", .count = &limit, .low = 1, .high = 1000000000},
                                           {"samples", .number = &task->samples, .low = 1, .high = 65536},
                                           {"temperature", .real = &task->temperature, .least = 0, .most = 100},
                                           {"max-tokens", .number = &task->max_tokens, .low = 1, .high = 1 << 20},
                                           {"seconds", .real = &task->seconds, .least = 0.1, .most = 3600},
                                           {"seed", .count = &task->seed, .high = UINT64_MAX},
                                           {"report", .text = &r.task.report},
                                           {"precision", .take = take_precisions, .user = &r},
                                           {"threads", .number = &r.threads, .low = 1, .high = 1024},
                                           {"json", .flag = &r.json},
                                           {.name = NULL}};
    if (!read_command("eval", help, print_tasks, options, argc, argv, &code))
        return code;
    task->limit = (size_t)limit;
    return open_and_evaluate(&r);
}
