/* cmd_inspect.c - loom inspect: what a model is, without running it, and what a token folder holds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"
#include "units.h"

static const char help[] =
    "Usage: loom inspect --model DIR [--json]\n"
    "       loom inspect --data DIR [--documents N] [--json]\n"
    "Prints a model's sizes, the FLOPs and the memory of running it, and the spectral radius of its loop; or what a "
    "token\n"
    "folder holds: tokens, documents and their lengths, and how some documents begin.\n"
    "How deep a model's tokens go is in loom eval; the load of its experts is in the run's report.\n"
    "\n"
    "  --model DIR      a model folder, or a run folder: its best checkpoint\n"
    "  --data DIR       a token folder\n"
    "  --documents N    show the beginning of so many documents, evenly spread (default 3)\n"
    "  --json           print one JSON object\n";

enum { DOCUMENTS_SHOWN = 3, TOKENS_SHOWN = 64, BAR_COLUMNS = 40 };

/* ---- a model ----------------------------------------------------------------------------------------------------- */

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

static int inspect_model(const char *path, bool json) {
    struct loom_model *model;
    struct loom_model_info info;
    struct loom_error error;
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

/* ---- a token folder ---------------------------------------------------------------------------------------------- */

static double bytes_per_token(const struct loom_data_info *d) {
    uint64_t tokens = d->train_tokens + d->val_tokens;
    return tokens ? (double)(d->train_bytes + d->val_bytes) / (double)tokens : 0;
}

/* The classes between the shortest and the longest document. */
static void length_range(const struct loom_data_info *d, size_t *first, size_t *end) {
    *first = 0;
    *end = LOOM_LENGTHS_SHOWN;
    while (*end > 0 && d->lengths[*end - 1] == 0)
        (*end)--;
    while (*first < *end && d->lengths[*first] == 0)
        (*first)++;
}

static void print_lengths(const struct loom_data_info *d) {
    static const char bar[] = "########################################";
    size_t first, end;
    uint64_t most = 1;
    length_range(d, &first, &end);
    for (size_t i = first; i < end; i++)
        most = d->lengths[i] > most ? d->lengths[i] : most;
    printf("document lengths     %" PRIu64 " to %" PRIu64 " tokens\n", d->shortest, d->longest);
    for (size_t i = first; i < end; i++)
        printf("%12" PRIu64 " and more %10" PRIu64 "  %.*s\n", (uint64_t)1 << i, d->lengths[i],
               (int)((double)d->lengths[i] / (double)most * BAR_COLUMNS + 0.5), bar);
}

static void print_split(const char *name, uint64_t tokens, uint64_t documents) {
    printf("%-20s %s tokens (%" PRIu64 ") in %" PRIu64 " document%s\n", name, show_count((double)tokens).text, tokens,
           documents, documents == 1 ? "" : "s");
}

static void print_data(const char *path, const struct loom_data_info *d) {
    printf("token folder         %s\n", path);
    print_split("training", d->train_tokens, d->train_documents);
    print_split("validation", d->val_tokens, d->val_documents);
    printf("text                 %s, %.3f bytes a token\n", show_bytes((double)(d->train_bytes + d->val_bytes)).text,
           bytes_per_token(d));
    printf("vocabulary           %d\n", d->vocab_size);
    printf("files                %zu of %s\n", d->shards, d->type);
    printf("sha256               %s\n", d->sha256);
    print_lengths(d);
}

static void print_data_json(const char *path, const struct loom_data_info *d) {
    size_t first, end;
    fputs("{\"path\":", stdout);
    print_json_string(stdout, path, strlen(path));
    printf(",\"train_tokens\":%" PRIu64 ",\"val_tokens\":%" PRIu64 ",\"train_documents\":%" PRIu64
           ",\"val_documents\":%" PRIu64 ",\"train_bytes\":%" PRIu64 ",\"val_bytes\":%" PRIu64
           ",\"vocab_size\":%d,\"shards\":%zu,\"dtype\":\"%s\",\"sha256\":\"%s\",\"bytes_per_token\":",
           d->train_tokens, d->val_tokens, d->train_documents, d->val_documents, d->train_bytes, d->val_bytes,
           d->vocab_size, d->shards, d->type, d->sha256);
    print_json_number(stdout, bytes_per_token(d));
    printf(",\"shortest\":%" PRIu64 ",\"longest\":%" PRIu64 ",\"lengths\":[", d->shortest, d->longest);
    length_range(d, &first, &end);
    for (size_t i = first; i < end; i++)
        printf("%s{\"from\":%" PRIu64 ",\"documents\":%" PRIu64 "}", i > first ? "," : "", (uint64_t)1 << i,
               d->lengths[i]);
    fputs("],\"documents\":[", stdout);
}

/* The beginnings of `count` documents, evenly spread over all. */
static loom_status print_documents(const struct loom_data *data, uint64_t all, uint64_t count, bool json,
                                   struct loom_error *error) {
    loom_status status = LOOM_OK;
    count = count < all ? count : all;
    for (uint64_t i = 0; status == LOOM_OK && i < count; i++) {
        uint64_t index = i * (all / count), length;
        char *text;
        size_t size;
        status = loom_data_document(data, index, TOKENS_SHOWN, &text, &size, &length, error);
        if (status != LOOM_OK)
            break;
        if (json) {
            printf("%s{\"index\":%" PRIu64 ",\"tokens\":%" PRIu64 ",\"text\":", i ? "," : "", index, length);
            print_json_string(stdout, text, size);
            putchar('}');
        } else {
            printf("\ndocument %" PRIu64 ", %" PRIu64 " tokens: ", index, length);
            print_json_string(stdout, text, size); /* quoted: control characters never reach the terminal */
            putchar('\n');
        }
        free(text);
    }
    return status;
}

static int inspect_data(const char *path, uint64_t documents, bool json) {
    struct loom_data *data;
    struct loom_data_info info;
    struct loom_error error;
    loom_status status = loom_data_open(path, &data, &error);
    if (status != LOOM_OK)
        return report_failure(status, &error);
    loom_data_info(data, &info);
    if (json)
        print_data_json(path, &info);
    else
        print_data(path, &info);
    status = print_documents(data, info.train_documents + info.val_documents, documents, json, &error);
    loom_data_free(data);
    if (json)
        puts("]}");
    return status == LOOM_OK ? finish_output() : report_failure(status, &error);
}

int cmd_inspect(int argc, char **argv) {
    const char *model = NULL, *data = NULL;
    uint64_t documents = DOCUMENTS_SHOWN;
    bool json = false;
    int code;
    const struct option_place options[] = {{"model", .text = &model},
                                           {"data", .text = &data},
                                           {"documents", .count = &documents, .low = 0, .high = 1000000},
                                           {"json", .flag = &json},
                                           {.name = NULL}};
    if (!read_command("inspect", help, NULL, options, argc, argv, &code))
        return code;
    if (!model == !data)
        return report_usage("inspect", "give either --model, a model or run folder, or --data, a token folder");
    return model ? inspect_model(model, json) : inspect_data(data, documents, json);
}
