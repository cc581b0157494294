/* cmd_eval.c - loom eval: what a model's loss is on held-out text, or what share of a task's problems it answers right,
 * at one or more numbers of loops. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "choices.h"
#include "commands.h"
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
    "                      generated task also given: one loop for each step of a problem\n"
    "  --exit              a token takes no more loops once it has halted, as generate --exit does: what that costs\n"
    "  --experts           which experts were chosen, by loop and by kind of token\n"
    "  --document-mask     no attention across documents, for a model that was trained so\n"
    "  --task NAME         a task with answers to check, from the list below\n"
    "  --indices FILE      a JSON array of the row numbers that are taken, counted from 0\n"
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
    "  --threads N         default: one for each processor\n"
    "  --json              print one JSON object a line\n";

enum {
    OPTION_MODEL = 1,
    OPTION_DATA,
    OPTION_LOOPS,
    OPTION_EXIT,
    OPTION_EXPERTS,
    OPTION_DOCUMENT_MASK,
    OPTION_TASK,
    OPTION_INDICES,
    OPTION_PREDICTIONS,
    OPTION_SAVE,
    OPTION_CHAT,
    OPTION_LIMIT,
    OPTION_SAMPLES,
    OPTION_TEMPERATURE,
    OPTION_MAX_TOKENS,
    OPTION_SECONDS,
    OPTION_SEED,
    OPTION_REPORT,
    OPTION_PRECISION,
    OPTION_THREADS,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option long_options[] = {{"model", required_argument, NULL, OPTION_MODEL},
                                             {"data", required_argument, NULL, OPTION_DATA},
                                             {"loops", required_argument, NULL, OPTION_LOOPS},
                                             {"exit", no_argument, NULL, OPTION_EXIT},
                                             {"experts", no_argument, NULL, OPTION_EXPERTS},
                                             {"document-mask", no_argument, NULL, OPTION_DOCUMENT_MASK},
                                             {"task", required_argument, NULL, OPTION_TASK},
                                             {"indices", required_argument, NULL, OPTION_INDICES},
                                             {"predictions", required_argument, NULL, OPTION_PREDICTIONS},
                                             {"chat", no_argument, NULL, OPTION_CHAT},
                                             {"save", required_argument, NULL, OPTION_SAVE},
                                             {"limit", required_argument, NULL, OPTION_LIMIT},
                                             {"samples", required_argument, NULL, OPTION_SAMPLES},
                                             {"temperature", required_argument, NULL, OPTION_TEMPERATURE},
                                             {"max-tokens", required_argument, NULL, OPTION_MAX_TOKENS},
                                             {"seconds", required_argument, NULL, OPTION_SECONDS},
                                             {"seed", required_argument, NULL, OPTION_SEED},
                                             {"report", required_argument, NULL, OPTION_REPORT},
                                             {"precision", required_argument, NULL, OPTION_PRECISION},
                                             {"threads", required_argument, NULL, OPTION_THREADS},
                                             {"json", no_argument, NULL, OPTION_JSON},
                                             {"help", no_argument, NULL, OPTION_HELP},
                                             {NULL, 0, NULL, 0}};

/* What the command line asks for. */
struct request {
    const char *model, *data;
    char *precisions;                    /* a list, or NULL */
    const char *precision;               /* the one in use, or NULL */
    int loops[LOOP_COUNTS_MAX], n_loops; /* none: as trained */
    int threads;
    bool document_mask, exit, experts, json, help;
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
    fputs(choices ? "]," : "]", stdout);
    if (choices)
        print_choices_json(choices);
    fputs("}\n", stdout);
}

/* ---- generated tasks --------------------------------------------------------------------------------------------- */

static void print_drill_row(void *user, const struct loom_drill_row *r) {
    const struct request *request = user;
    double accuracy = r->problems ? (double)r->right / (double)r->problems : 0;
    if (request->json)
        printf("{\"steps\":%d,\"loops\":%d,\"problems\":%" PRIu64 ",\"right\":%" PRIu64
               ",\"accuracy\":%.6f,\"loss\":%.6f}\n",
               r->steps, r->loops, r->problems, r->right, accuracy, r->loss);
    else
        printf("%5d %5d %9" PRIu64 " %8.1f%% %8.4f\n", r->steps, r->loops, r->problems, 100 * accuracy, r->loss);
    fflush(stdout);
}

static int evaluate_drill(struct request *request, const struct loom_model *model) {
    int rounds = request->n_loops ? request->n_loops : 1;
    if (!request->json)
        printf("%5s %5s %9s %9s %8s\n", "steps", "loops", "problems", "right", "loss");
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
    if (!task->task && (task->predictions || task->indices || task->save || task->samples || request->task.report))
        return report_usage("eval", "--task is missing: the name of a task");
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

/* The options of tasks alone. */
static bool parse_task_option(struct task_request *task, int option) {
    uint64_t limit;
    switch (option) {
    case OPTION_TASK:
        task->options.task = optarg;
        return true;
    case OPTION_INDICES:
        task->options.indices = optarg;
        return true;
    case OPTION_PREDICTIONS:
        task->options.predictions = optarg;
        return true;
    case OPTION_CHAT:
        return task->options.chat = true;
    case OPTION_SAVE:
        task->options.save = optarg;
        return true;
    case OPTION_REPORT:
        task->report = optarg;
        return true;
    case OPTION_LIMIT:
        if (!parse_uint64("--limit", optarg, 1, 1000000000, &limit))
            return false;
        task->options.limit = (size_t)limit;
        return true;
    case OPTION_SAMPLES:
        return parse_int("--samples", optarg, 1, 65536, &task->options.samples);
    case OPTION_TEMPERATURE:
        return parse_double("--temperature", optarg, 0, 100, &task->options.temperature);
    case OPTION_MAX_TOKENS:
        return parse_int("--max-tokens", optarg, 1, 1 << 20, &task->options.max_tokens);
    case OPTION_SECONDS:
        return parse_double("--seconds", optarg, 0.1, 3600, &task->options.seconds);
    case OPTION_SEED:
        return parse_uint64("--seed", optarg, 0, UINT64_MAX, &task->options.seed);
    default:
        return false; /* getopt has said why */
    }
}

static bool parse_option(struct request *request, int option) {
    switch (option) {
    case OPTION_MODEL:
        request->model = optarg;
        return true;
    case OPTION_DATA:
        request->data = optarg;
        return true;
    case OPTION_LOOPS:
        return parse_loop_list(optarg, request->loops, &request->n_loops);
    case OPTION_EXIT:
        return request->exit = true;
    case OPTION_EXPERTS:
        return request->experts = true;
    case OPTION_DOCUMENT_MASK:
        return request->document_mask = true;
    case OPTION_PRECISION:
        request->precisions = optarg;
        return true;
    case OPTION_THREADS:
        return parse_int("--threads", optarg, 1, 1024, &request->threads);
    case OPTION_JSON:
        return request->json = true;
    case OPTION_HELP:
        return request->help = true;
    default:
        return parse_task_option(&request->task, option);
    }
}

int cmd_eval(int argc, char **argv) {
    struct request request = {.model = NULL};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if (!parse_option(&request, option))
            return EXIT_USAGE;
    if (request.help) {
        fputs(help, stdout);
        print_tasks();
        return finish_output();
    }
    if (optind < argc)
        return report_usage("eval", "\"%s\" belongs to no option", argv[optind]);
    return open_and_evaluate(&request);
}
