/* cmd_inspect.c - loom inspect: what a model is, without running it. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "units.h"

static const char help[] =
    "Usage: loom inspect --model DIR [--json]\n"
    "Prints a model's sizes, the FLOPs and the memory of running it, and the spectral radius of its loop.\n"
    "How deep its tokens go is in loom eval; the load of its experts is in the run's report.\n"
    "\n"
    "  --model DIR   a model folder, or a run folder: its best checkpoint\n"
    "  --json        print one JSON object\n";

enum { OPTION_MODEL = 1, OPTION_JSON, OPTION_HELP };

static const struct option long_options[] = {{"model", required_argument, NULL, OPTION_MODEL},
                                             {"json", no_argument, NULL, OPTION_JSON},
                                             {"help", no_argument, NULL, OPTION_HELP},
                                             {NULL, 0, NULL, 0}};

static void print_table(const struct loom_model_info *m) {
    printf("model                %s\n", m->path);
    printf("architecture         %s\n", m->architecture);
    printf("parameters           %s (%" PRIu64 ")\n", show_count((double)m->parameters).text, m->parameters);
    printf("  met by one token   %s (%" PRIu64 ")\n", show_count((double)m->active_parameters).text,
           m->active_parameters);
    printf("vocabulary           %d\n", m->vocab_size);
    printf("context              %d\n", m->context);
    printf("width                %d\n", m->dim);
    if (m->loops)
        printf("loops                %d\n", m->loops);
    if (m->experts)
        printf("experts              %d, %d for each token\n", m->experts, m->experts_per_token);
    if (m->spectral_radius > 0)
        printf("spectral radius      %.6f (below 1: the loop is stable)\n", m->spectral_radius);
    printf("weights              %s\n", show_bytes((double)m->weight_bytes).text);
    printf("cache a token        %s, %s at full context\n", show_bytes((double)m->cache_bytes_per_token).text,
           show_bytes((double)m->cache_bytes_per_token * m->context).text);
    printf("a token's forward    %s\n", show_flops(m->flops_per_token).text);
}

static void print_json(const struct loom_model_info *m) {
    fputs("{\"path\":", stdout);
    print_json_string(stdout, m->path, strlen(m->path));
    printf(",\"architecture\":\"%s\",\"parameters\":%" PRIu64 ",\"active_parameters\":%" PRIu64
           ",\"vocab_size\":%d,\"context\":%d,\"dim\":%d,\"loops\":%d,\"experts\":%d,\"experts_per_token\":%d"
           ",\"weight_bytes\":%" PRIu64 ",\"cache_bytes_per_token\":%" PRIu64 ",\"flops_per_token\":",
           m->architecture, m->parameters, m->active_parameters, m->vocab_size, m->context, m->dim, m->loops,
           m->experts, m->experts_per_token, m->weight_bytes, m->cache_bytes_per_token);
    print_json_number(stdout, m->flops_per_token);
    fputs(",\"spectral_radius\":", stdout);
    print_json_number(stdout, m->spectral_radius);
    fputs("}\n", stdout);
}

static int inspect(const char *path, bool json) {
    struct loom_model *model;
    struct loom_model_info info;
    struct loom_error error;
    if (!path)
        return report_usage("inspect", "--model is missing: a model folder or a run folder");
    loom_status status = loom_model_open(path, 0, &model, &error);
    if (status)
        return report_failure(status, &error);
    loom_model_info(model, &info);
    if (json)
        print_json(&info);
    else
        print_table(&info);
    loom_model_free(model);
    return finish_output();
}

int cmd_inspect(int argc, char **argv) {
    const char *path = NULL;
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case OPTION_MODEL:
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
    if (optind < argc)
        return report_usage("inspect", "\"%s\" belongs to no option", argv[optind]);
    return inspect(path, json);
}
