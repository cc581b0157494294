/* cmd_bench.c - loom bench: how much of this machine its kernels, training and decoding reach. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"
#include "units.h"

static const char help[] =
    "Usage: loom bench [OPTION]...\n"
    "Measures, on random tokens: the processor's multiply-adds from registers (its peak), a model's largest matrix\n"
    "products and its attention, training steps, and decoding one sequence. Each number is the median of five rounds.\n"
    "\n"
    "  --preset NAME     the model and its training (default loom-small; loom help train lists the presets)\n"
    "  --set KEY=VALUE   one setting over the preset's, any number of times; docs/config.md names them all\n"
    "  --threads N       default: one for each processor\n"
    "  --seconds X       about how long each row takes (default 2)\n"
    "  --inference       a prompt's tokens and those behind it alone, without the memory that training takes\n"
    "  --prompt N        tokens of that prompt (default 128, or half of a shorter context)\n"
    "  --precision LIST  of that: float32,bf16,int8,int4 (default: all that the processor has)\n"
    "  --machine         the machine's limits instead: multiply-adds in each format, reads from each level of memory\n"
    "  --processor-time  rates by the time that the processor gave, for a machine that does something else; needs\n"
    "                    --threads 1\n"
    "  --json            print one JSON object a line\n";

/* What the command line asks for. */
struct request {
    struct loom_bench_options options;
    struct settings settings;
    bool json;
};

static void print_row(void *user, const struct loom_bench_row *row) {
    bool *headed = user;
    if (!*headed)
        printf("%-36s %12s %-6s %14s %8s\n", "each second", "", "", "FLOPs", "of peak");
    *headed = true;
    const bool flops_alone = strcmp(row->unit, "FLOP") == 0;
    printf("%-36s %12s %-6s", row->name, flops_alone ? "" : show_count(row->per_second).text,
           flops_alone ? "" : row->unit);
    if (row->flops_per_second > 0)
        printf(" %14s %7.1f%%", show_flops(row->flops_per_second).text, 100 * row->peak_share);
    putchar('\n');
    fflush(stdout); /* each row when it is known */
}

static void print_json_row(void *user, const struct loom_bench_row *row) {
    (void)user;
    fputs("{\"name\":", stdout);
    print_json_string(stdout, row->name, strlen(row->name));
    fputs(",\"per_second\":", stdout);
    print_json_number(stdout, row->per_second);
    printf(",\"unit\":\"%s\",\"flops_per_second\":", row->unit);
    print_json_number(stdout, row->flops_per_second);
    fputs(",\"peak_share\":", stdout);
    print_json_number(stdout, row->peak_share);
    fputs("}\n", stdout);
    fflush(stdout);
}

static int bench(struct request *request) {
    struct loom_error error;
    request->options.settings = request->settings.items;
    request->options.n_settings = request->settings.count;
    bool headed = false;
    loom_status status = loom_bench(&request->options, request->json ? print_json_row : print_row, &headed, &error);
    return status ? report_failure(status, &error) : finish_output();
}

static int run(struct request *r, int argc, char **argv) {
    struct loom_bench_options *o = &r->options;
    int code;
    const struct option_place options[] = {{"preset", .text = &o->preset},
                                           {"set", .take = settings_add, .user = &r->settings},
                                           {"threads", .number = &o->threads, .low = 1, .high = 1024},
                                           {"seconds", .real = &o->seconds, .least = 1e-3, .most = 1e6},
                                           {"inference", .flag = &o->inference},
                                           {"prompt", .number = &o->prompt, .low = 1, .high = 1 << 24},
                                           {"precision", .text = &o->precisions},
                                           {"machine", .flag = &o->machine},
                                           {"processor-time", .flag = &o->processor_time},
                                           {"json", .flag = &r->json},
                                           {.name = NULL}};
    if (!read_command("bench", help, NULL, options, argc, argv, &code))
        return code;
    return bench(r);
}

int cmd_bench(int argc, char **argv) {
    struct request request = {.json = false};
    int code = run(&request, argc, argv);
    settings_free(&request.settings);
    return code;
}
