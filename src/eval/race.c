/* race.c - the baseline and Loom on the same stream of tokens, seed by seed. See loom_race in loom.h.
 *
 * Both sides draw the same windows, since a batch is a function of (seed, step) and both have the same batch size and
 * context. What is compared is the cost to reach the baseline's best validation loss over the whole held-out split. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "eval/numbers.h"
#include "train/setup.h"

enum { BASELINE, LOOM, SIDES };

static const char *const side_names[SIDES] = {"baseline", "loom"};

struct race {
    const struct loom_race_options *options;
    const char *presets[SIDES];
    int seeds;
    struct loom_train_result results[SIDES][LOOM_RACE_SEEDS_MAX];
    /* The cost at which each Loom run first reached its baseline's best, relative to the baseline's cost; INFINITY when
     * it did not. */
    double steps[LOOM_RACE_SEEDS_MAX], flops[LOOM_RACE_SEEDS_MAX], seconds[LOOM_RACE_SEEDS_MAX];
};

static void run_name(char name[32], int side, int seed) {
    snprintf(name, 32, "%s-seed-%d", side_names[side], seed);
}

/* ---- fair terms -------------------------------------------------------------------------------------------------- */

static void side_options(const struct race *race, int side, struct loom_train_options *train) {
    const struct loom_race_options *o = race->options;
    *train = (struct loom_train_options){.data = &o->data,
                                         .n_data = 1,
                                         .preset = race->presets[side],
                                         .settings = o->settings,
                                         .n_settings = o->n_settings,
                                         .has_seed = true,
                                         .threads = o->threads,
                                         .stop = o->stop,
                                         .on_event = o->on_event,
                                         .user = o->user};
}

/* Loom may not have more parameters, and a step must see the same tokens on both sides. */
static loom_status check_terms(struct race *race, struct loom_error *error) {
    struct loom_train_result sizes[SIDES];
    struct loom_setup setups[SIDES];
    for (int side = 0; side < SIDES; side++) {
        struct loom_train_options train;
        side_options(race, side, &train);
        train.dry_run = true;
        loom_status status = loom_train(&train, &sizes[side], error);
        if (status == LOOM_OK)
            status = loom_setup_preset(&setups[side], race->presets[side], error);
        if (status == LOOM_OK)
            status = loom_setup_apply(&setups[side], train.settings, train.n_settings, error);
        if (status)
            return status;
    }
    if (sizes[LOOM].parameters > sizes[BASELINE].parameters)
        return loom_fail(
            error, LOOM_INVALID, "%s has %" PRIu64 " parameters, more than the %" PRIu64 " of %s: that is no fair race",
            race->presets[LOOM], sizes[LOOM].parameters, sizes[BASELINE].parameters, race->presets[BASELINE]);
    const struct loom_recipe *a = &setups[BASELINE].recipe, *b = &setups[LOOM].recipe;
    int a_seq = a->seq_len ? a->seq_len : setups[BASELINE].config.max_seq_len;
    int b_seq = b->seq_len ? b->seq_len : setups[LOOM].config.max_seq_len;
    if (a->batch_size != b->batch_size || a_seq != b_seq ||
        a->gradient_accumulation_steps != b->gradient_accumulation_steps)
        return loom_fail(error, LOOM_INVALID, "the sides see different batches: %d x %d x %d against %d x %d x %d",
                         a->gradient_accumulation_steps, a->batch_size, a_seq, b->gradient_accumulation_steps,
                         b->batch_size, b_seq);
    return LOOM_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* A race that was stopped goes on where it was: what a folder holds is resumed. */
static bool holds_run(const char *folder) {
    char *config = loom_path_join(folder, "config.json");
    bool held = config && loom_path_exists(config);
    free(config);
    return held;
}

static loom_status run_side(struct race *race, int side, int seed, struct loom_error *error) {
    char name[32];
    struct loom_train_options train;
    run_name(name, side, seed);
    char *out = loom_path_join(race->options->out, name);
    if (!out)
        return loom_fail_memory(error, race->options->out, strlen(race->options->out));
    side_options(race, side, &train);
    train.out = out;
    train.resume = holds_run(out);
    train.seed = (uint64_t)seed;
    train.run_name = name;
    loom_status status = loom_train(&train, &race->results[side][seed - 1], error);
    if (status == LOOM_OK)
        status = loom_report(out, error);
    free(out);
    return status;
}

/* One number of an eval line; NAN when it is not there. */
static double number(const json_t *line, const char *key) {
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* The costs of the first evaluation that is at most `loss`; all INFINITY when there is none. */
struct cost {
    double steps, flops, seconds;
};

static struct cost first_reach(const char *metrics, size_t size, double loss) {
    for (const char *line = metrics, *end = metrics + size; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = newline ? (size_t)(newline - line) : (size_t)(end - line);
        json_t *json = json_loadb(line, length, 0, NULL);
        if (number(json, "val_loss") <= loss) {
            struct cost cost = {number(json, "step"), number(json, "flops"), number(json, "seconds")};
            json_decref(json);
            return cost;
        }
        json_decref(json);
        line += length + 1;
    }
    return (struct cost){(double)INFINITY, (double)INFINITY, (double)INFINITY};
}

static loom_status read_cost(struct race *race, int side, int seed, double loss, struct cost *cost,
                             struct loom_error *error) {
    char name[64], *path, *data = NULL;
    size_t size = 0;
    snprintf(name, sizeof name, "%s-seed-%d/metrics.jsonl", side_names[side], seed);
    path = loom_path_join(race->options->out, name);
    loom_status status = path ? loom_file_read(path, (size_t)1 << 30, &data, &size, error)
                              : loom_fail_memory(error, race->options->out, strlen(race->options->out));
    if (status == LOOM_OK)
        *cost = first_reach(data, size, loss);
    free(data);
    free(path);
    return status;
}

static loom_status compare(struct race *race, int seed, struct loom_error *error) {
    struct cost baseline, loom;
    double loss = race->results[BASELINE][seed - 1].best_val_loss;
    loom_status status = read_cost(race, BASELINE, seed, loss, &baseline, error);
    if (status == LOOM_OK)
        status = read_cost(race, LOOM, seed, loss, &loom, error);
    if (status)
        return status;
    race->steps[seed - 1] = loom.steps / baseline.steps;
    race->flops[seed - 1] = loom.flops / baseline.flops;
    race->seconds[seed - 1] = loom.seconds / baseline.seconds;
    return LOOM_OK;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* Median over seeds of a relative cost, turned into "times less"; NAN when the median run did not get there. */
static double ratio(const double *costs, int seeds) {
    double copy[LOOM_RACE_SEEDS_MAX];
    memcpy(copy, costs, (size_t)seeds * sizeof *copy);
    double middle = loom_numbers_median(copy, (size_t)seeds);
    return isfinite(middle) ? 1 / middle : (double)NAN;
}

static struct loom_race_range range_of(const double *values, size_t count) {
    struct loom_race_range range = {(double)NAN, (double)NAN};
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i])) {
            range.low = values[i] >= range.low ? range.low : values[i];
            range.high = values[i] <= range.high ? range.high : values[i];
        }
    return range;
}

/* The same for relative costs, turned into "times less". */
static struct loom_race_range ratio_range(const double *costs, int seeds) {
    struct loom_race_range range = range_of(costs, (size_t)seeds);
    return (struct loom_race_range){1 / range.high, 1 / range.low};
}

static double median_of(const struct loom_train_result *results, int seeds, size_t field) {
    double values[LOOM_RACE_SEEDS_MAX];
    for (int i = 0; i < seeds; i++)
        values[i] = *(const double *)(const void *)((const char *)&results[i] + field);
    return loom_numbers_median(values, (size_t)seeds);
}

/* The seed whose best loss is nearest the median gives the step. */
static uint64_t median_step(const struct loom_train_result *results, int seeds, double median) {
    int nearest = 0;
    for (int i = 1; i < seeds; i++)
        if (fabs(results[i].best_val_loss - median) < fabs(results[nearest].best_val_loss - median))
            nearest = i;
    return results[nearest].best_step;
}

static struct loom_race_side summarize(const struct race *race, int side) {
    const struct loom_train_result *r = race->results[side];
    struct loom_race_side s = {.parameters = r[0].parameters};
    s.best_val_loss = median_of(r, race->seeds, offsetof(struct loom_train_result, best_val_loss));
    double losses[LOOM_RACE_SEEDS_MAX];
    for (int i = 0; i < race->seeds; i++)
        losses[i] = r[i].best_val_loss;
    s.best_val_loss_range = range_of(losses, (size_t)race->seeds);
    s.best_step = median_step(r, race->seeds, s.best_val_loss);
    s.seconds = median_of(r, race->seeds, offsetof(struct loom_train_result, seconds));
    s.flops = median_of(r, race->seeds, offsetof(struct loom_train_result, flops));
    return s;
}

static void summarize_all(const struct race *race, struct loom_race_result *result) {
    *result = (struct loom_race_result){.baseline = summarize(race, BASELINE),
                                        .loom = summarize(race, LOOM),
                                        .ratio_steps = ratio(race->steps, race->seeds),
                                        .ratio_flops = ratio(race->flops, race->seeds),
                                        .ratio_seconds = ratio(race->seconds, race->seeds),
                                        .ratio_steps_range = ratio_range(race->steps, race->seeds),
                                        .ratio_flops_range = ratio_range(race->flops, race->seeds),
                                        .ratio_seconds_range = ratio_range(race->seconds, race->seeds),
                                        .seeds = race->seeds};
    for (int i = 0; i < race->seeds; i++)
        result->reached += isfinite(race->steps[i]);
}

static json_t *or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* [least, greatest] */
static json_t *range_json(struct loom_race_range range) {
    return json_pack("[o,o]", or_null(range.low), or_null(range.high));
}

static json_t *side_json(const struct race *race, int side, const struct loom_race_side *s) {
    const char *preset = race->presets[side];
    return json_pack("{s:s,s:s,s:I,s:o,s:o,s:I,s:f,s:f}", "name", preset, "preset", preset, "parameters",
                     (json_int_t)s->parameters, "best_val_loss", or_null(s->best_val_loss), "best_val_loss_range",
                     range_json(s->best_val_loss_range), "best_step", (json_int_t)s->best_step, "seconds", s->seconds,
                     "flops", s->flops);
}

/* One object for each run, Loom's relative costs included. */
static json_t *runs_json(const struct race *race) {
    json_t *runs = json_array();
    for (int seed = 1; seed <= race->seeds; seed++)
        for (int side = 0; side < SIDES; side++) {
            const struct loom_train_result *r = &race->results[side][seed - 1];
            char name[32];
            run_name(name, side, seed);
            json_t *run = json_pack("{s:s,s:i,s:s,s:o,s:I,s:f,s:f}", "side", side_names[side], "seed", seed, "folder",
                                    name, "best_val_loss", or_null(r->best_val_loss), "best_step",
                                    (json_int_t)r->best_step, "seconds", r->seconds, "flops", r->flops);
            if (side == LOOM) {
                json_object_set_new(run, "ratio_steps", or_null(1 / race->steps[seed - 1]));
                json_object_set_new(run, "ratio_flops", or_null(1 / race->flops[seed - 1]));
                json_object_set_new(run, "ratio_seconds", or_null(1 / race->seconds[seed - 1]));
            }
            json_array_append_new(runs, run);
        }
    return runs;
}

static loom_status write_race(const struct race *race, const struct loom_race_result *r, struct loom_error *error) {
    char *path = loom_path_join(race->options->out, "race.json");
    json_t *seeds = json_array();
    for (int seed = 1; seed <= race->seeds; seed++)
        json_array_append_new(seeds, json_integer(seed));
    json_t *json = json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:o,s:o}", "baseline", side_json(race, BASELINE, &r->baseline),
        "loom", side_json(race, LOOM, &r->loom), "ratio_steps", or_null(r->ratio_steps), "ratio_flops",
        or_null(r->ratio_flops), "ratio_seconds", or_null(r->ratio_seconds), "ratio_steps_range",
        range_json(r->ratio_steps_range), "ratio_flops_range", range_json(r->ratio_flops_range), "ratio_seconds_range",
        range_json(r->ratio_seconds_range), "params_baseline", (json_int_t)r->baseline.parameters, "params_loom",
        (json_int_t)r->loom.parameters, "seeds", seeds, "runs", runs_json(race));
    loom_status status =
        path && json ? loom_json_write(path, json, error) : loom_fail_memory(error, race->options->out, sizeof *race);
    json_decref(json);
    free(path);
    return status;
}

/* ---- the race ---------------------------------------------------------------------------------------------------- */

static loom_status check_options(const struct race *race, struct loom_error *error) {
    const struct loom_race_options *o = race->options;
    if (!o->data || !o->out)
        return loom_fail(error, LOOM_INVALID, "a race needs a token folder and a folder to write to");
    if (race->seeds < 1 || race->seeds > LOOM_RACE_SEEDS_MAX)
        return loom_fail(error, LOOM_INVALID, "seeds %d is outside 1 to %d", race->seeds, LOOM_RACE_SEEDS_MAX);
    char *path = loom_path_join(o->out, "race.json");
    bool taken = path && loom_path_exists(path);
    free(path);
    return taken ? loom_fail(error, LOOM_INVALID, "%s already holds a race: name another folder", o->out) : LOOM_OK;
}

static loom_status run_all(struct race *race, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (int seed = 1; seed <= race->seeds && status == LOOM_OK; seed++) {
        for (int side = 0; side < SIDES && status == LOOM_OK; side++)
            status = run_side(race, side, seed, error);
        if (status == LOOM_OK)
            status = compare(race, seed, error);
    }
    return status;
}

loom_status loom_race(const struct loom_race_options *options, struct loom_race_result *result,
                      struct loom_error *error) {
    *result = (struct loom_race_result){0};
    struct race *race = calloc(1, sizeof *race);
    if (!race)
        return loom_fail_memory(error, "race", sizeof *race);
    *race = (struct race){.options = options,
                          .presets = {options->baseline ? options->baseline : "nanogpt-small",
                                      options->preset ? options->preset : "loom-small"},
                          .seeds = options->seeds ? options->seeds : 1};
    loom_status status = check_options(race, error);
    if (status == LOOM_OK)
        status = check_terms(race, error);
    if (status == LOOM_OK)
        status = run_all(race, error);
    if (status == LOOM_OK) {
        summarize_all(race, result);
        status = write_race(race, result, error);
    }
    if (status == LOOM_OK)
        status = loom_report(options->out, error);
    free(race);
    return status;
}
