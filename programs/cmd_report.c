/* cmd_report.c - loom report: writes report.html for a run folder or a race folder. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"

static const char help[] =
    "Usage: loom report [--json] FOLDER\n"
    "Writes FOLDER/report.html, one page that opens offline, from the files of a run folder or a race folder.\n"
    "\n"
    "  --json   print the result as one JSON object\n";

/* FOLDER may end with a slash already. */
static void print_path(const char *folder, bool json) {
    char path[4096];
    const size_t size = strlen(folder);
    const char *slash = size && folder[size - 1] == '/' ? "" : "/";
    snprintf(path, sizeof path, "%s%sreport.html", folder, slash);
    if (!json) {
        printf("%s\n", path);
        return;
    }
    printf("{\"report\":");
    print_json_string(stdout, path, strlen(path));
    printf("}\n");
}

int cmd_report(int argc, char **argv) {
    bool json = false, asks;
    const struct option_place options[] = {{"json", .flag = &json}, {.name = NULL}};
    if (!read_options(options, argc, argv, &asks))
        return EXIT_USAGE;
    if (asks)
        return show_help(help, NULL);
    if (argc - optind != 1)
        return report_usage("report", "name one run folder or race folder, not %d", argc - optind);
    struct loom_error error;
    const loom_status status = loom_report(argv[optind], &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    print_path(argv[optind], json);
    return finish_output();
}
