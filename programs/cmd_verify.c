/* cmd_verify.c - loom verify DIR...: holds model folders against their references. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <loom/loom.h>

#include "args.h"
#include "commands.h"
#include "options.h"

static const char help[] =
    "Usage: loom verify [--failures] [--precision P] [--threads N] [--json] DIR...\n"
    "Holds model folders with a reference.safetensors against this library, tensor by tensor. "
    "Exit code 0 only when every\n"
    "number is within its tolerance.\n"
    "\n"
    "  --failures    print only the tensors that fail\n"
    "  --precision P float32 (default), or bf16, as training may use it, with the tolerances of that format\n"
    "  --threads N   default: one for each processor\n"
    "  --json        print one JSON object a line, one for each folder\n";

struct table {
    bool json;
    bool all;   /* not the failures alone */
    bool first; /* no row printed yet */
};

static void print_json_row(struct table *table, const struct loom_verify_row *row) {
    printf("%s{\"name\":", table->first ? "" : ",");
    print_json_string(stdout, row->name, strlen(row->name));
    /* A NaN is no JSON: an error that is not a number is written as null. */
    if (isnan(row->error))
        printf(",\"error\":null");
    else
        printf(",\"error\":%.9g", row->error);
    printf(",\"tolerance\":%.9g,\"passed\":%s}", row->tolerance, row->passed ? "true" : "false");
}

static void on_row(void *user, const struct loom_verify_row *row) {
    struct table *table = user;
    if (table->json)
        print_json_row(table, row);
    else if (table->all || !row->passed)
        printf("  %-52s %10.3g %10.3g  %s\n", row->name, row->error, row->tolerance, row->passed ? "ok" : "FAILED");
    table->first = false;
}

/* 0 when the folder passes, else the exit code. */
static int verify(const char *folder, const struct loom_verify_options *options, struct table *table) {
    struct loom_error error;
    bool passed;
    table->first = true;
    if (table->json) {
        printf("{\"folder\":");
        print_json_string(stdout, folder, strlen(folder));
        printf(",\"rows\":[");
    } else {
        printf("%s\n  %-52s %10s %10s\n", folder, "tensor", "error", "allowed");
    }
    loom_status status = loom_verify(folder, options, on_row, table, &passed, &error);
    if (table->json) {
        printf("],\"passed\":%s", passed ? "true" : "false");
        if (status) {
            printf(",\"error\":");
            print_json_string(stdout, error.text, strlen(error.text));
        }
        printf("}\n");
    } else if (status == LOOM_OK) {
        printf("%s: %s\n", folder, passed ? "passed" : "FAILED");
    }
    if (status) {
        fflush(stdout); /* the sentence belongs behind the rows, also where both go to one file */
        return report_failure(status, &error);
    }
    return passed ? 0 : 1;
}

int cmd_verify(int argc, char **argv) {
    struct table table = {.json = false};
    struct loom_verify_options asked = {0};
    bool asks, failures = false;
    int worst = 0;
    const struct option_place options[] = {{"failures", .flag = &failures},
                                           {"precision", .text = &asked.precision},
                                           {"threads", .number = &asked.threads, .low = 1, .high = 1024},
                                           {"json", .flag = &table.json},
                                           {.name = NULL}};
    if (!read_options(options, argc, argv, &asks))
        return EXIT_USAGE;
    if (asks)
        return show_help(help, NULL);
    table.all = !failures;
    if (optind == argc)
        return report_usage("verify", "name at least one reference folder");
    for (int i = optind; i < argc; i++) {
        int code = verify(argv[i], &asked, &table);
        worst = code > worst ? code : worst;
    }
    int written = finish_output();
    return worst ? worst : written;
}
