/* race_twins.c - a looped model beside its dense twins: trained on the same problems or text, asked the same questions.
 * See loom_race_twins in loom.h.
 *
 * All sides have the same settings but for those that make a twin (twin.h) and its rates of learning, so that they draw
 * the same batches. The work that the second twin has to match is what the looped run of the first seed was counted to
 * do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/task/drill.h"
#include "data/task/task.h"
#include "data/tokens/tokens.h"
#include "eval/numbers.h"
#include "eval/twin.h"
#include "eval/twins_table.h"
#include "train/drills.h"
#include "train/preset.h"
#include "train/setup.h"

/* What a generated task's name stands for. */
enum { STEPS_TRAINED = 5, STEPS_TESTED_LOW = 2, STEPS_TESTED = 8, PROBLEMS_TRAINED = 40000, PROBLEMS_TESTED = 2800 };

static const char *const side_folders[LOOM_TWINS] = {"looped", "parameters", "flops"};

struct twins {
    const struct loom_twins_options *options;
    const char *preset;
    char *train, *test; /* what is trained on and asked */
    bool rows;          /* `test` holds a task's rows; else a generated task */
    int trained_loops;  /* LOOM_LOOPS_GIVEN where the looped model is trained so; else 0 */
    int seeds;
    struct loom_setting *own; /* (n_own) what the dense sides have: first the settings of all sides */
    size_t n_own;
    struct loom_twin_target target;
    struct loom_twin twin[LOOM_TWINS]; /* of the dense sides */
    struct loom_train_result results[LOOM_TWINS][LOOM_RACE_SEEDS_MAX];
    struct loom_twins_table table;
    struct loom_twins_row name; /* of what is being asked */
};

/* ---- what is trained on and asked -------------------------------------------------------------------------------- */

static loom_status join(const char *folder, const char *name, char **path, struct loom_error *error) {
    *path = loom_path_join(folder, name);
    return *path ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder));
}

/* OUT/NAME with problems of low to high steps, unless an earlier try made it. */
static loom_status generate(struct twins *t, const char *name, int low, int high, uint64_t seed, char **path,
                            struct loom_error *error) {
    struct loom_prepare_result made;
    bool training = seed == 1;
    loom_status status = loom_folder_create(t->options->out, error);
    if (status == LOOM_OK)
        status = join(t->options->out, name, path, error);
    if (status || loom_path_exists(*path))
        return status;
    struct loom_drill_options options = {.drill = t->options->task,
                                         .out = *path,
                                         .steps_low = low,
                                         .steps_high = high,
                                         .train_samples = training ? PROBLEMS_TRAINED : 1,
                                         .val_samples = training ? PROBLEMS_TRAINED / 40 : PROBLEMS_TESTED,
                                         .seed = seed};
    return loom_prepare_drill(&options, &made, error);
}

static loom_status copy_path(const char *from, char **path, struct loom_error *error) {
    *path = strdup(from);
    return *path ? LOOM_OK : loom_fail_memory(error, from, strlen(from));
}

static loom_status find_data(struct twins *t, struct loom_error *error) {
    const struct loom_twins_options *o = t->options;
    bool drill = loom_drill_find(o->task) != NULL, folder = loom_path_is_folder(o->task);
    loom_status status;
    if (drill && (o->data || o->test))
        return loom_fail(error, LOOM_INVALID, "problems of %s are generated: name a folder of them to choose them",
                         o->task);
    if (drill) {
        status = generate(t, "train", 1, STEPS_TRAINED, 1, &t->train, error);
        return status ? status : generate(t, "test", STEPS_TESTED_LOW, STEPS_TESTED, 2, &t->test, error);
    }
    t->rows = !folder;
    if (folder && o->data)
        return loom_fail(error, LOOM_INVALID, "%s is trained on itself, not on %s", o->task, o->data);
    if (!folder && (!o->data || !o->test))
        return loom_fail(
            error, LOOM_INVALID,
            "the task %.64s needs a token folder to train on and rows to ask, unless it is a generated one", o->task);
    status = copy_path(folder ? o->task : o->data, &t->train, error);
    return status ? status : copy_path(o->test ? o->test : t->train, &t->test, error);
}

/* What would fail only once a model has been trained. */
static loom_status check_questions(const struct twins *t, struct loom_error *error) {
    const struct loom_twins_options *o = t->options;
    struct loom_task task;
    bool drill = true;
    if (!t->rows) {
        loom_status status = loom_drill_folder(t->test, &drill, error);
        return status == LOOM_OK && !drill ? loom_fail(error, LOOM_INVALID, "%s is no generated task", t->test)
                                           : status;
    }
    for (size_t i = 0; i < o->n_loops; i++)
        if (o->loops[i] == LOOM_LOOPS_GIVEN)
            return loom_fail(error, LOOM_INVALID, "--loops given is for generated tasks, and %s is none", o->task);
    loom_status status = loom_task_open(&task, o->task, t->test, NULL, error);
    if (status == LOOM_OK)
        loom_task_close(&task);
    return status;
}

/* The vocabulary and the tokens of a row, which decide sizes and work. */
static loom_status read_shape(struct twins *t, struct loom_error *error) {
    struct loom_tokens *tokens;
    struct loom_drills drills;
    struct loom_setup setup = {0};
    loom_status status = loom_tokens_open(t->train, &tokens, error);
    if (status)
        return status;
    status = loom_drills_open(&drills, t->train, tokens, error);
    if (status == LOOM_OK && drills.length == 0 && !t->rows)
        status = loom_fail(error, LOOM_INVALID, "%s is no generated task", t->train);
    if (status == LOOM_OK)
        status = loom_setup_preset(&setup, t->preset, error);
    if (status == LOOM_OK)
        status = loom_setup_apply(&setup, t->options->settings, t->options->n_settings, error);
    int seq = setup.recipe.seq_len ? setup.recipe.seq_len : setup.config.max_seq_len;
    t->target.vocab_size = loom_tokenizer_vocab_size(tokens->tokenizer);
    t->target.seq = drills.length ? drills.length - 1 : (size_t)seq;
    t->trained_loops = !t->rows && setup.recipe.task_loops == LOOM_TASK_LOOPS_GIVEN ? LOOM_LOOPS_GIVEN : 0;
    loom_drills_close(&drills);
    loom_tokens_free(tokens);
    return status;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static void add_drill(void *user, const struct loom_drill_row *row) {
    struct twins *t = user;
    snprintf(t->name.group, sizeof t->name.group, "%d step%s", row->steps, row->steps > 1 ? "s" : "");
    loom_twins_table_add(&t->table, &t->name, (double)row->right, (double)row->problems);
}

static void add_row(void *user, const struct loom_task_row *row) {
    struct twins *t = user;
    snprintf(t->name.group, sizeof t->name.group, "%s", row->group[0] ? row->group : "all");
    snprintf(t->name.metric, sizeof t->name.metric, "%s", row->metric);
    loom_twins_table_add(&t->table, &t->name, row->value * (double)row->problems, (double)row->problems);
}

static loom_status ask_at(struct twins *t, const struct loom_model *model, int side, int loops,
                          struct loom_error *error) {
    const struct loom_twins_options *o = t->options;
    struct loom_task_result asked;
    bool given = loops == LOOM_LOOPS_GIVEN;
    struct loom_drill_evaluate_options drill = {
        .data = t->test, .loops = given ? 0 : loops, .given = given, .limit = o->limit};
    struct loom_task_options rows = {
        .task = o->task, .data = t->test, .limit = o->limit, .loops = loops, .stop = o->stop};
    t->name = (struct loom_twins_row){.side = side, .loops = loops, .metric = "exact_match"};
    return t->rows ? loom_evaluate_task(model, &rows, add_row, t, &asked, error)
                   : loom_evaluate_drill(model, &drill, add_drill, t, error);
}

/* A run's best checkpoint, at every number of loops; a dense model has none. */
static loom_status ask(struct twins *t, const char *run, int side, struct loom_error *error) {
    struct loom_model *model;
    size_t n = side == LOOM_TWIN_LOOPED ? t->options->n_loops : 0;
    int trained = side == LOOM_TWIN_LOOPED ? t->trained_loops : 0;
    loom_status status = loom_model_open(run, t->options->threads, &model, error);
    if (status)
        return status;
    for (size_t i = 0; i < (n ? n : 1) && status == LOOM_OK; i++)
        status = ask_at(t, model, side, n ? t->options->loops[i] : trained, error);
    loom_model_free(model);
    return status;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void run_name(char name[32], int side, int seed) {
    snprintf(name, 32, "%s-seed-%d", side_folders[side], seed);
}

/* Once the looped model has run, its twins are known. */
static loom_status find_twins(struct twins *t, struct loom_error *error) {
    const struct loom_train_result *looped = &t->results[LOOM_TWIN_LOOPED][0];
    struct loom_twin_target target = t->target;
    target.parameters = (double)looped->parameters;
    loom_status status = loom_twin_find(&target, &t->twin[LOOM_TWIN_PARAMETERS], error);
    target.parameters = 0;
    target.flops_per_step = looped->flops / (double)looped->steps;
    return status ? status : loom_twin_find(&target, &t->twin[LOOM_TWIN_FLOPS], error);
}

static loom_status train_in(struct twins *t, int side, int seed, const char *run, const char *name,
                            struct loom_error *error) {
    const struct loom_twins_options *o = t->options;
    const char *data = t->train;
    bool dense = side != LOOM_TWIN_LOOPED;
    size_t shared = dense ? t->n_own : o->n_settings, n = dense ? LOOM_TWIN_SETTINGS : 0;
    struct loom_setting *settings = calloc(shared + n + 1, sizeof *settings);
    char *config = loom_path_join(run, "config.json");
    if (!settings || !config) {
        free(settings);
        free(config);
        return loom_fail_memory(error, run, shared * sizeof *settings);
    }
    for (size_t i = 0; i < shared + n; i++)
        settings[i] = i < shared ? (dense ? t->own : o->settings)[i] : t->twin[side].settings[i - shared];
    struct loom_train_options options = {.data = &data,
                                         .n_data = 1,
                                         .out = run,
                                         .preset = t->preset,
                                         .settings = settings,
                                         .n_settings = shared + n,
                                         .seed = (uint64_t)seed,
                                         .has_seed = true,
                                         .resume = loom_path_exists(config),
                                         .threads = o->threads,
                                         .stop = o->stop,
                                         .on_event = o->on_event,
                                         .user = o->user,
                                         .run_name = name};
    loom_status status = loom_train(&options, &t->results[side][seed - 1], error);
    free(settings);
    free(config);
    return status;
}

static loom_status run_side(struct twins *t, int side, int seed, struct loom_error *error) {
    char name[32], *run = NULL;
    run_name(name, side, seed);
    loom_status status = join(t->options->out, name, &run, error);
    if (status == LOOM_OK)
        status = train_in(t, side, seed, run, name, error);
    if (status == LOOM_OK)
        status = loom_report(run, error);
    if (status == LOOM_OK)
        status = ask(t, run, side, error);
    if (status == LOOM_OK && t->table.failed)
        status = loom_fail_memory(error, run, sizeof *t);
    free(run);
    return status;
}

static loom_status run_all(struct twins *t, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (int seed = 1; seed <= t->seeds; seed++)
        for (int side = 0; side < LOOM_TWINS && status == LOOM_OK; side++) {
            status = run_side(t, side, seed, error);
            if (status == LOOM_OK && side == LOOM_TWIN_LOOPED && seed == 1)
                status = find_twins(t, error);
        }
    return status;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static double median_of(const struct loom_train_result *results, int seeds, size_t field) {
    double values[LOOM_RACE_SEEDS_MAX];
    for (int i = 0; i < seeds; i++)
        values[i] = *(const double *)(const void *)((const char *)&results[i] + field);
    return loom_numbers_median(values, (size_t)seeds);
}

/* What a dense side has that the looped one has not. */
static void name_settings(const struct twins *t, const struct loom_twin *twin, char *text, size_t size) {
    size_t common = t->options->n_settings, own = t->n_own - common, used = 0;
    for (size_t i = 0; i < own + LOOM_TWIN_SETTINGS && used < size; i++) {
        const struct loom_setting *s = i < own ? &t->own[common + i] : &twin->settings[i - own];
        used += (size_t)snprintf(text + used, size - used, "%s%s=%s", i ? " " : "", s->key, s->value);
    }
}

static void summarize(const struct twins *t, struct loom_twins_result *result) {
    result->seeds = t->seeds;
    for (int side = 0; side < LOOM_TWINS; side++) {
        const struct loom_train_result *r = t->results[side];
        struct loom_twins_side *s = &result->sides[side];
        s->parameters = r[0].parameters;
        s->active_parameters = r[0].active_parameters;
        s->best_val_loss = median_of(r, t->seeds, offsetof(struct loom_train_result, best_val_loss));
        s->seconds = median_of(r, t->seeds, offsetof(struct loom_train_result, seconds));
        s->flops = median_of(r, t->seeds, offsetof(struct loom_train_result, flops));
        if (side != LOOM_TWIN_LOOPED)
            name_settings(t, &t->twin[side], s->made_by, sizeof s->made_by);
    }
}

static json_t *sides_json(const struct loom_twins_result *result) {
    json_t *list = json_array();
    for (int side = 0; side < LOOM_TWINS; side++) {
        const struct loom_twins_side *s = &result->sides[side];
        json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:I,s:f,s:f,s:f}", "side", loom_twins_side_name(side),
                                              "made_by", s->made_by, "parameters", (json_int_t)s->parameters,
                                              "active_parameters", (json_int_t)s->active_parameters, "best_val_loss",
                                              s->best_val_loss, "seconds", s->seconds, "flops", s->flops));
    }
    return list;
}

static json_t *runs_json(const struct twins *t) {
    json_t *list = json_array();
    for (int seed = 1; seed <= t->seeds; seed++)
        for (int side = 0; side < LOOM_TWINS; side++) {
            char name[32];
            run_name(name, side, seed);
            json_array_append_new(
                list, json_pack("{s:s,s:i,s:s}", "side", loom_twins_side_name(side), "seed", seed, "folder", name));
        }
    return list;
}

static loom_status write_results(const struct twins *t, const struct loom_twins_result *result,
                                 struct loom_error *error) {
    char *path;
    loom_status status = join(t->options->out, LOOM_TWINS_FILE, &path, error);
    if (status)
        return status;
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:i,s:o,s:o,s:o}", "task", t->options->task, "train", t->train, "test",
                             t->test, "preset", t->preset, "seeds", t->seeds, "sides", sides_json(result), "rows",
                             loom_twins_table_json(&t->table), "runs", runs_json(t));
    status = json ? loom_json_write(path, json, error) : loom_fail_memory(error, path, sizeof *result);
    json_decref(json);
    free(path);
    return status == LOOM_OK ? loom_report(t->options->out, error) : status;
}

static loom_status check_options(const struct twins *t, struct loom_error *error) {
    const struct loom_twins_options *o = t->options;
    if (!o->task || !o->out)
        return loom_fail(error, LOOM_INVALID, "a race of twins needs a task and an output folder");
    if (t->seeds < 1 || t->seeds > LOOM_RACE_SEEDS_MAX)
        return loom_fail(error, LOOM_INVALID, "seeds %d is outside 1 to %d", t->seeds, LOOM_RACE_SEEDS_MAX);
    char *path;
    loom_status status = join(o->out, LOOM_TWINS_FILE, &path, error);
    if (status == LOOM_OK && loom_path_exists(path))
        status = loom_fail(error, LOOM_INVALID, "%s already holds a race: name another folder", o->out);
    free(path);
    return status;
}

static bool has_key(const struct loom_setting *settings, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(settings[i].key, key) == 0)
            return true;
    return false;
}

/* The settings of all sides, then what the preset has for its twins where those do not say it, then the dense sides'
 * own. */
static loom_status gather_own(struct twins *t, struct loom_error *error) {
    const struct loom_twins_options *o = t->options;
    size_t n_preset;
    const struct loom_setting *preset = loom_preset_twin(t->preset, &n_preset);
    t->own = calloc(o->n_settings + n_preset + o->n_twin_settings + 1, sizeof *t->own);
    if (!t->own)
        return loom_fail_memory(error, "race", (o->n_settings + o->n_twin_settings) * sizeof *t->own);
    for (size_t i = 0; i < o->n_settings; i++)
        t->own[t->n_own++] = o->settings[i];
    for (size_t i = 0; i < n_preset; i++)
        if (!has_key(o->settings, o->n_settings, preset[i].key) &&
            !has_key(o->twin_settings, o->n_twin_settings, preset[i].key))
            t->own[t->n_own++] = preset[i];
    for (size_t i = 0; i < o->n_twin_settings; i++)
        t->own[t->n_own++] = o->twin_settings[i];
    t->target = (struct loom_twin_target){.preset = t->preset, .settings = t->own, .n_settings = t->n_own};
    return LOOM_OK;
}

loom_status loom_race_twins(const struct loom_twins_options *options,
                            void (*on_row)(void *user, const struct loom_twins_row *row), void *user,
                            struct loom_twins_result *result, struct loom_error *error) {
    struct twins *t = calloc(1, sizeof *t);
    *result = (struct loom_twins_result){0};
    if (!t)
        return loom_fail_memory(error, "race", sizeof *t);
    *t = (struct twins){.options = options,
                        .preset = options->preset ? options->preset : "loom-story",
                        .seeds = options->seeds ? options->seeds : 1};
    loom_status status = check_options(t, error);
    if (status == LOOM_OK)
        status = gather_own(t, error);
    if (status == LOOM_OK)
        status = loom_twin_check(&t->target, error);
    if (status == LOOM_OK)
        status = find_data(t, error);
    if (status == LOOM_OK)
        status = check_questions(t, error);
    if (status == LOOM_OK)
        status = read_shape(t, error);
    if (status == LOOM_OK)
        status = run_all(t, error);
    if (status == LOOM_OK) {
        loom_twins_table_finish(&t->table);
        summarize(t, result);
        status = write_results(t, result, error);
    }
    for (size_t i = 0; i < t->table.count && status == LOOM_OK; i++)
        on_row(user, &t->table.rows[i]);
    loom_twins_table_free(&t->table);
    free(t->own);
    free(t->train);
    free(t->test);
    free(t);
    return status;
}
