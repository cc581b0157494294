/* cmd_merge.c - loom merge: a fine-tuned model whose adapter lies apart, as one model folder. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"

static const char help[] =
    "Usage: loom merge --model DIR --out DIR\n"
    "Adds an adapter to the weights that it was made for and writes the sum as a model folder.\n"
    "\n"
    "  --model DIR   a run or checkpoint trained with adapter_rank; any other model is copied as it is\n"
    "  --out DIR     the model folder to write; it must not hold a model\n"
    "  --json        print one JSON object\n";

static int merge(const char *path, const char *out, bool json) {
    struct loom_model *model;
    struct loom_model_info info;
    struct loom_error error;
    if (!path)
        return report_usage("merge", "--model is missing: a model folder or a run folder");
    if (!out)
        return report_usage("merge", "--out is missing: the model folder to write");
    loom_status status = loom_model_open(path, 0, &model, &error);
    if (status)
        return report_failure(status, &error);
    loom_model_info(model, &info);
    status = loom_model_save(model, out, &error);
    if (status == LOOM_OK && json) {
        fputs("{\"model\":", stdout);
        print_json_string(stdout, info.path, strlen(info.path));
        fputs(",\"out\":", stdout);
        print_json_string(stdout, out, strlen(out));
        fputs("}\n", stdout);
    } else if (status == LOOM_OK)
        printf("%s: %s as one model\n", out, info.path);
    loom_model_free(model);
    return status ? report_failure(status, &error) : finish_output();
}

int cmd_merge(int argc, char **argv) {
    const char *path = NULL, *out = NULL;
    bool json = false;
    int code;
    const struct option_place options[] = {
        {"model", .text = &path}, {"out", .text = &out}, {"json", .flag = &json}, {.name = NULL}};
    if (!read_command("merge", help, NULL, options, argc, argv, &code))
        return code;
    return merge(path, out, json);
}
