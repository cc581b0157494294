/* task.c - see task.h. The table is Markdown, which a terminal shows well enough. */
#include "task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "stop.h"
#include "units.h"

struct printing {
    const struct task_request *request;
    struct loom_task_figure *figures; /* all rows so far, for the page */
    size_t count, capacity;
    int loops;
    bool failed; /* memory was short */
};

static void keep(struct printing *p, const struct loom_task_row *row) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 64;
        struct loom_task_figure *figures = realloc(p->figures, capacity * sizeof *figures);
        if (!figures) {
            p->failed = true;
            return;
        }
        p->figures = figures;
        p->capacity = capacity;
    }
    struct loom_task_figure *f = &p->figures[p->count++];
    *f = (struct loom_task_figure){
        .loops = p->loops, .value = row->value, .low = row->low, .high = row->high, .problems = row->problems};
    snprintf(f->group, sizeof f->group, "%s", row->group);
    snprintf(f->metric, sizeof f->metric, "%s", row->metric);
}

static void print_head(void) {
    printf("| %5s | %-32s | %-20s | %8s | %-18s | %8s |\n", "loops", "problems", "metric", "right", "95 % interval",
           "number");
    puts("|------:|----------------------------------|----------------------|---------:|--------------------|---------:"
         "|");
}

static void print_markdown(const struct loom_task_figure *f) {
    printf("| %5s | %-32s | %-20s | %6.2f %% | %6.2f to %6.2f %% | %8zu |\n",
           f->loops ? show_loops(f->loops).text : "-", f->group[0] ? f->group : "all", f->metric, 100 * f->value,
           100 * f->low, 100 * f->high, f->problems);
}

static void print_json_field(const char *name, double value) {
    printf(",\"%s\":", name);
    print_json_number(stdout, value);
}

static void print_json(const struct loom_task_figure *f, const char *task) {
    printf("{\"task\":\"%s\",\"loops\":", task);
    print_json_loops(stdout, f->loops);
    fputs(",\"group\":", stdout);
    print_json_string(stdout, f->group[0] ? f->group : "all", strlen(f->group[0] ? f->group : "all"));
    printf(",\"metric\":\"%s\"", f->metric);
    print_json_field("value", f->value);
    print_json_field("low", f->low);
    print_json_field("high", f->high);
    printf(",\"problems\":%zu}\n", f->problems);
}

static void on_row(void *user, const struct loom_task_row *row) {
    struct printing *p = user;
    keep(p, row);
    if (p->failed)
        return;
    if (p->count == 1 && !p->request->json)
        print_head();
    if (p->request->json)
        print_json(&p->figures[p->count - 1], p->request->options.task);
    else
        print_markdown(&p->figures[p->count - 1]);
}

static void on_progress(void *user, size_t done, size_t all) {
    const char *task = user;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %zu of %zu%s", task, done, all, done == all ? "\n" : "");
}

/* What the figures do not say. */
static void print_notes(const struct loom_task_options *options, const struct loom_task_result *r) {
    if (options->samples > 1 && !(options->temperature > 0) && !options->predictions)
        fprintf(stderr, "loom: at --temperature 0 the %d responses to a problem are all the same\n", options->samples);
    if (r->unreadable)
        fprintf(stderr, "loom: %zu of %zu prompts hold characters that the vocabulary lacks; they count as wrong\n",
                r->unreadable, r->problems);
    if (r->long_prompts)
        fprintf(stderr, "loom: %zu of %zu prompts are longer than the context; the model saw only their end\n",
                r->long_prompts, r->problems);
}

static int evaluate_loops(const struct loom_model *model, struct printing *p, int loops) {
    struct loom_task_options options = p->request->options;
    struct loom_task_result result;
    struct loom_error error;
    options.loops = loops;
    options.stop = stop_listen();
    options.on_progress = on_progress;
    options.user = (char *)options.task;
    if (loops == 0 && model && !options.predictions) {
        struct loom_model_info info;
        loom_model_info(model, &info);
        loops = info.loops ? info.loops : 1;
    }
    p->loops = options.predictions ? 0 : loops;
    loom_status status = loom_evaluate_task(model, &options, on_row, p, &result, &error);
    if (status)
        return report_failure(status, &error);
    print_notes(&options, &result);
    fflush(stdout);
    return EXIT_DONE;
}

static int write_page(const struct loom_model *model, const struct printing *p) {
    const struct task_request *r = p->request;
    struct loom_error error;
    struct loom_model_info info = {.path = r->options.predictions};
    if (!r->report)
        return EXIT_DONE;
    if (!r->options.predictions)
        loom_model_info(model, &info);
    loom_status status = loom_task_page(r->report, r->options.task, info.path, p->figures, p->count, &error);
    return status ? report_failure(status, &error) : EXIT_DONE;
}

int evaluate_task(const struct loom_model *model, const struct task_request *request) {
    struct printing printing = {.request = request};
    int code = EXIT_DONE;
    for (int i = 0; i < (request->n_loops ? request->n_loops : 1) && code == EXIT_DONE; i++)
        code = evaluate_loops(model, &printing, request->n_loops ? request->loops[i] : 0);
    if (code == EXIT_DONE && printing.failed) {
        fputs("loom: no memory for the figures\n", stderr);
        code = EXIT_FAILED;
    }
    if (code == EXIT_DONE)
        code = write_page(model, &printing);
    free(printing.figures);
    return code == EXIT_DONE ? finish_output() : code;
}

void print_tasks(void) {
    fputs("\nTasks:\n", stdout);
    for (size_t i = 0; loom_task_name(i); i++)
        printf("  %-10s %s\n", loom_task_name(i), loom_task_summary(i));
}
