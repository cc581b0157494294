/* twins.c - see twins.h. */
#include "twins.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

/* Rows come when all sides are known, whose table stands before them. */
struct rows {
    struct loom_twins_row *items;
    size_t count, capacity;
    bool failed;
};

static void keep(void *user, const struct loom_twins_row *row) {
    struct rows *r = user;
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 64;
        struct loom_twins_row *items = realloc(r->items, capacity * sizeof *items);
        if (!items) {
            r->failed = true;
            return;
        }
        r->items = items;
        r->capacity = capacity;
    }
    r->items[r->count++] = *row;
}

static void print_side(int i, const struct loom_twins_side *s) {
    printf("| %-16s | %10" PRIu64 " | %10" PRIu64 " | %12s | %12s | %9s |\n", loom_twins_side_name(i), s->parameters,
           s->active_parameters, show_flops(s->flops).text, show_time(s->seconds).text,
           show_loss(s->best_val_loss).text);
}

static void print_row(const struct loom_twins_row *r) {
    printf("| %-16s | %10s | %-20s | %-20s | %6.1f %% | %5.1f to %5.1f %% | %5.1f to %5.1f %% | %8" PRIu64 " |\n",
           loom_twins_side_name(r->side), show_loops(r->loops).text, r->group, r->metric, 100 * r->value, 100 * r->low,
           100 * r->high, 100 * r->least, 100 * r->most, r->problems);
}

static void print_tables(const struct loom_twins_result *result, const struct rows *rows) {
    printf("| %-16s | %10s | %10s | %12s | %12s | %9s |\n", "side", "parameters", "active", "FLOPs", "time",
           "best loss");
    puts("|------------------|-----------:|-----------:|-------------:|-------------:|----------:|");
    for (int i = 0; i < LOOM_TWINS; i++)
        print_side(i, &result->sides[i]);
    printf("\n| %-16s | %10s | %-20s | %-20s | %8s | %-16s | %-16s | %8s |\n", "side", "loops", "problems", "metric",
           "right", "95 % interval", "seeds", "number");
    puts("|------------------|-----------:|----------------------|----------------------|---------:|------------------|"
         "------------------|---------:|");
    for (size_t i = 0; i < rows->count; i++)
        print_row(&rows->items[i]);
}

static void print_json_field(const char *name, double value) {
    printf(",\"%s\":", name);
    print_json_number(stdout, value);
}

static void print_json_text(const char *name, const char *text) {
    printf(",\"%s\":", name);
    print_json_string(stdout, text, strlen(text));
}

static void print_json(const struct loom_twins_result *result, const struct rows *rows, const char *out) {
    printf("{\"seeds\":%d", result->seeds);
    print_json_text("folder", out);
    fputs(",\"sides\":[", stdout);
    for (int i = 0; i < LOOM_TWINS; i++) {
        const struct loom_twins_side *s = &result->sides[i];
        printf("%s{\"parameters\":%" PRIu64 ",\"active_parameters\":%" PRIu64, i ? "," : "", s->parameters,
               s->active_parameters);
        print_json_text("side", loom_twins_side_name(i));
        print_json_text("made_by", s->made_by);
        print_json_field("best_val_loss", s->best_val_loss);
        print_json_field("seconds", s->seconds);
        print_json_field("flops", s->flops);
        putchar('}');
    }
    fputs("],\"rows\":[", stdout);
    for (size_t i = 0; i < rows->count; i++) {
        const struct loom_twins_row *r = &rows->items[i];
        printf("%s{\"loops\":%d,\"problems\":%" PRIu64, i ? "," : "", r->loops, r->problems);
        print_json_text("side", loom_twins_side_name(r->side));
        print_json_text("group", r->group);
        print_json_text("metric", r->metric);
        print_json_field("value", r->value);
        print_json_field("low", r->low);
        print_json_field("high", r->high);
        print_json_field("least", r->least);
        print_json_field("most", r->most);
        putchar('}');
    }
    puts("]}");
}

int race_twins(const struct loom_race_options *common, const struct twins_request *request, bool json) {
    struct loom_twins_options o = request->options;
    struct loom_twins_result result;
    struct rows rows = {0};
    struct loom_error error;
    o.data = common->data;
    o.out = common->out;
    o.preset = common->preset;
    o.settings = common->settings;
    o.n_settings = common->n_settings;
    o.loops = request->loops;
    o.n_loops = (size_t)request->n_loops;
    o.seeds = common->seeds;
    o.threads = common->threads;
    o.stop = common->stop;
    o.on_event = common->on_event;
    o.user = common->user;
    loom_status status = loom_race_twins(&o, keep, &rows, &result, &error);
    if (status == LOOM_OK && rows.failed) {
        snprintf(error.text, sizeof error.text, "no memory for the rows");
        status = LOOM_NO_MEMORY;
    }
    if (status == LOOM_OK && json)
        print_json(&result, &rows, o.out);
    else if (status == LOOM_OK)
        print_tables(&result, &rows);
    free(rows.items);
    return status ? report_failure(status, &error) : finish_output();
}
