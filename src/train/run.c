/* run.c - loom_train: a run folder around a trainer. See loom.h; the folder's files are described in docs/design.md.
 *
 * Order of writing: the lock, config.json, then for each step a line of metrics.jsonl, and at every validation a
 * checkpoint and then report.html's data are complete. A kill at any moment leaves the newest complete checkpoint. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/pool.h"
#include "base/text.h"
#include "train/checkpoint.h"
#include "train/material.h"
#include "train/measure.h"
#include "train/metrics.h"
#include "train/policy_step.h"
#include "train/private_step.h"
#include "train/trainer.h"
#include "train/validation.h"

#ifndef LOOM_COMMIT
#define LOOM_COMMIT "unknown"
#endif

/* The folder's own file names. */
#define RUN_FILE "config.json"
#define LOCK_FILE ".lock"

struct run {
    const struct loom_train_options *options;
    const char *name;
    char *config_path, *metrics_path;
    struct loom_setup setup;
    struct loom_material material;
    struct loom_trainer trainer;
    struct loom_metrics metrics;
    struct loom_lock lock;
    bool locked;
    double peak;         /* FLOP/s of the machine */
    double step_seconds; /* smoothed */
    struct loom_step last;
};

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void tell(struct run *run, enum loom_event_kind kind, const char *text) {
    const struct loom_train_options *o = run->options;
    const struct loom_progress *p = &run->trainer.progress;
    const struct loom_recipe *recipe = &run->setup.recipe;
    if (!o->on_event)
        return;
    double step_tokens = (double)recipe->batch_size * recipe->seq_len * recipe->gradient_accumulation_steps;
    bool stepped = run->step_seconds > 0;
    struct loom_event event = {
        .kind = kind,
        .run = run->name,
        .step = p->step,
        .steps = recipe->max_iters,
        .tokens = p->tokens,
        .seconds = p->seconds,
        .flops = p->flops,
        .loss = stepped ? run->last.loss : (double)NAN,
        .val_loss = p->val_loss,
        .learning_rate = stepped ? run->last.learning_rate : (double)NAN,
        .gradient_norm = stepped ? run->last.gradient_norm : (double)NAN,
        .tokens_per_second = stepped ? step_tokens / run->step_seconds : (double)NAN,
        .peak_share = stepped && run->peak > 0 ? run->last.flops / run->step_seconds / run->peak : 0,
        .mean_loops = run->last.mean_loops,
        .expert_imbalance = run->last.imbalance,
        .seconds_left = stepped ? run->step_seconds * (double)(recipe->max_iters - p->step) : (double)NAN,
        .text = text,
    };
    o->on_event(o->user, &event);
}

static void tell_sizes(struct run *run, const struct loom_train_result *sizes) {
    char text[256];
    uint64_t bytes = sizes->bytes_weights + sizes->bytes_gradients + sizes->bytes_optimizer + sizes->bytes_activations;
    snprintf(text, sizeof text, "%s: %" PRIu64 " parameters (%" PRIu64 " active), %.1f MiB, %.3g FLOPs a step",
             run->setup.preset, sizes->parameters, sizes->active_parameters, (double)bytes / 1048576,
             sizes->flops_per_step);
    tell(run, LOOM_EVENT_START, text);
}

/* ---- setup ------------------------------------------------------------------------------------------------------- */

static loom_status make_setup(struct run *run, struct loom_error *error) {
    const struct loom_train_options *o = run->options;
    const char *preset = o->preset ? o->preset : o->init ? "finetune" : "loom-small";
    loom_status status = loom_setup_preset(&run->setup, preset, error);
    if (status == LOOM_OK)
        status = loom_material_open(&run->material, o, &run->setup, error);
    if (status == LOOM_OK)
        status = loom_setup_apply(&run->setup, o->settings, o->n_settings, error);
    if (status == LOOM_OK && o->steps)
        run->setup.recipe.max_iters = o->steps;
    if (status == LOOM_OK && o->has_seed)
        run->setup.recipe.seed = o->seed;
    return status;
}

/* A resumed run takes its setup from its folder. The command may lengthen it; another change would make it another run.
 */
static loom_status read_setup(struct run *run, json_t **json, struct loom_error *error) {
    const struct loom_train_options *o = run->options;
    struct loom_setup ignored; /* the run's own config rules */
    loom_status status = loom_json_read(run->config_path, json, error);
    if (status)
        return status;
    status = loom_setup_read(&run->setup, *json, run->config_path, error);
    if (status == LOOM_OK)
        status = loom_material_open(&run->material, o, &ignored, error);
    if (status == LOOM_OK && o->preset && strcmp(o->preset, run->setup.preset) != 0)
        status =
            loom_fail(error, LOOM_INVALID, "%s: the run's preset is %s, not %s", o->out, run->setup.preset, o->preset);
    struct loom_setup changed = run->setup;
    for (size_t i = 0; status == LOOM_OK && i < o->n_settings; i++) {
        status = loom_setup_set(&changed, o->settings[i].key, o->settings[i].value, error);
        if (status == LOOM_OK && memcmp(&changed, &run->setup, sizeof changed) != 0)
            status = loom_fail(error, LOOM_INVALID, "%s: the run was started with another %s; a resumed run keeps it",
                               o->out, o->settings[i].key);
    }
    if (status == LOOM_OK && o->has_seed && o->seed != run->setup.recipe.seed)
        status = loom_fail(error, LOOM_INVALID, "%s: the run's seed is %" PRIu64 ", not %" PRIu64, o->out,
                           run->setup.recipe.seed, o->seed);
    if (status == LOOM_OK && o->steps)
        run->setup.recipe.max_iters = o->steps;
    return status;
}

static loom_status prepare_setup(struct run *run, struct loom_error *error) {
    json_t *json = NULL;
    loom_status status = run->options->resume ? read_setup(run, &json, error) : make_setup(run, error);
    if (status == LOOM_OK)
        status = loom_material_text(&run->material, json_object_get(json, "data"), &run->setup, error);
    if (status == LOOM_OK)
        status = loom_setup_check(&run->setup, error);
    if (status == LOOM_OK)
        status = loom_material_chat(&run->material, json_object_get(json, "data"), &run->setup, error);
    if (status == LOOM_OK)
        status = loom_material_base(&run->material, json_object_get(json, "data"), &run->setup, error);
    if (status == LOOM_OK)
        status = loom_private_plan(&run->setup, run->material.data.chat, error);
    if (status == LOOM_OK && run->material.data.corpus) /* before the folder is made; the trainer asks again */
        status = loom_batches_check(&run->material.corpus, (size_t)run->setup.recipe.seq_len, error);
    json_decref(json);
    return status;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static loom_status write_config(struct run *run, const struct loom_train_result *sizes, struct loom_error *error) {
    json_t *json =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:i,s:s,s:I,s:I}", "loom_version", LOOM_VERSION, "git_commit", LOOM_COMMIT,
                  "name", run->name, "preset", run->setup.preset, "architecture",
                  loom_architecture_name(run->setup.config.architecture), "seed", (json_int_t)run->setup.recipe.seed,
                  "threads", loom_threads(run->options->threads), "machine", run->trainer.model.k->name, "parameters",
                  (json_int_t)sizes->parameters, "active_parameters", (json_int_t)sizes->active_parameters);
    loom_status status = LOOM_OK;
    if (!json || json_object_set_new(json, "model", loom_config_json(&run->setup.config)) ||
        json_object_set_new(json, "train", loom_recipe_json(&run->setup.recipe)) ||
        json_object_set_new(json, "data", loom_material_record(&run->material)))
        status = loom_fail_memory(error, run->config_path, sizeof *run);
    if (status == LOOM_OK)
        status = loom_json_write(run->config_path, json, error);
    json_decref(json);
    return status;
}

/* Clears what a kill left of half-written files. */
static loom_status sweep(const char *out, struct loom_error *error) {
    char *checkpoints = loom_path_join(out, LOOM_CHECKPOINTS_FOLDER);
    loom_status status =
        checkpoints ? loom_folder_sweep(checkpoints, error) : loom_fail_memory(error, out, strlen(out));
    if (status == LOOM_OK)
        status = loom_folder_sweep(out, error);
    free(checkpoints);
    return status;
}

static loom_status take_folder(struct run *run, struct loom_error *error) {
    const struct loom_train_options *o = run->options;
    char *lock = loom_path_join(o->out, LOCK_FILE);
    loom_status status = lock ? loom_folder_create(o->out, error) : loom_fail_memory(error, o->out, strlen(o->out));
    if (status == LOOM_OK)
        status = loom_lock_take(&run->lock, lock, error);
    run->locked = status == LOOM_OK;
    if (status == LOOM_OK && !o->resume && loom_path_exists(run->config_path))
        status = loom_fail(error, LOOM_INVALID, "%s already holds a run: resume it, or name another folder", o->out);
    if (status == LOOM_OK)
        status = sweep(o->out, error);
    free(lock);
    return status;
}

static loom_status name_paths(struct run *run, struct loom_error *error) {
    const char *out = run->options->out;
    const char *slash = strrchr(out, '/');
    run->name = run->options->run_name ? run->options->run_name : slash && slash[1] ? slash + 1 : out;
    run->config_path = loom_path_join(out, RUN_FILE);
    run->metrics_path = loom_path_join(out, LOOM_METRICS_FILE);
    return run->config_path && run->metrics_path ? LOOM_OK : loom_fail_memory(error, out, strlen(out));
}

/* Whether a validation belongs to the step that was reached. */
static bool is_planned(const struct run *run) {
    const struct loom_recipe *recipe = &run->setup.recipe;
    uint64_t step = run->trainer.progress.step;
    return step % recipe->eval_interval == 0 || step == recipe->max_iters;
}

/* Puts the trainer and the metrics where the newest checkpoint left them. */
static loom_status rewind_run(struct run *run, struct loom_error *error) {
    if (!run->options->resume)
        return LOOM_OK;
    loom_status status = loom_checkpoint_load(&run->trainer, run->options->out, error);
    uint64_t step = run->trainer.progress.step;
    bool evaluated = run->trainer.progress.val_step == step && is_planned(run);
    if (status == LOOM_OK && step > run->setup.recipe.max_iters)
        status = loom_fail(error, LOOM_INVALID, "%s: the run stands at step %" PRIu64 ", beyond %" PRIu64,
                           run->options->out, step, run->setup.recipe.max_iters);
    if (status == LOOM_OK && step == 0)
        tell(run, LOOM_EVENT_NOTE, "there is no complete checkpoint yet: starting from step 0");
    if (status == LOOM_OK)
        status = loom_metrics_rewind(run->metrics_path, step, !evaluated, error);
    return status;
}

/* A gate, or rest, would choose loops where tokens exit; what fine-tunes runs them all. */
static void tell_loops(struct run *run) {
    const struct loom_config *c = &run->setup.config;
    const struct loom_train_options *o = run->options;
    char text[160];
    if ((!o->task && !o->n_chat) || !loom_config_halts(c) || c->halting == LOOM_HALTING_ACT)
        return;
    snprintf(text, sizeof text, "every answer runs all %d loops, and none of them is chosen%s", c->max_loop_iters,
             c->halting == LOOM_HALTING_GATE ? "; the gate stays as it is" : "");
    tell(run, LOOM_EVENT_NOTE, text);
}

/* All that may be refused comes before a folder is made; one that is there is taken at once. */
static loom_status open_run(struct run *run, const struct loom_train_result *sizes, struct loom_error *error) {
    loom_status status = loom_path_exists(run->options->out) ? take_folder(run, error) : LOOM_OK;
    if (status == LOOM_OK)
        status = loom_trainer_open(&run->trainer, &run->setup, &run->material.data, run->options->threads, error);
    if (status == LOOM_OK)
        status = loom_material_weights(&run->material, &run->trainer, error);
    if (status == LOOM_OK)
        status = loom_policy_begin(&run->trainer, error);
    if (status == LOOM_OK && !run->locked)
        status = take_folder(run, error);
    if (status == LOOM_OK)
        tell_sizes(run, sizes);
    if (status == LOOM_OK)
        tell_loops(run);
    if (status == LOOM_OK)
        status = rewind_run(run, error);
    if (status == LOOM_OK)
        status = write_config(run, sizes, error);
    if (status == LOOM_OK)
        status = loom_metrics_open(&run->metrics, run->metrics_path, error);
    run->peak = loom_kernels_cpu_peak(run->options->threads, (enum loom_precision)run->setup.recipe.precision);
    return status;
}

static void close_run(struct run *run) {
    loom_metrics_close(&run->metrics);
    loom_trainer_close(&run->trainer);
    loom_material_close(&run->material);
    if (run->locked)
        loom_lock_release(&run->lock);
    free(run->config_path);
    free(run->metrics_path);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static loom_status step(struct run *run, struct loom_error *error) {
    const struct loom_progress *p = &run->trainer.progress;
    loom_status status = loom_trainer_step(&run->trainer, &run->last, error);
    if (status)
        return status;
    const struct loom_step *s = &run->last;
    run->step_seconds = run->step_seconds > 0 ? 0.9 * run->step_seconds + 0.1 * s->seconds : s->seconds;
    double tokens = (double)run->setup.recipe.batch_size * run->setup.recipe.seq_len *
                    run->setup.recipe.gradient_accumulation_steps;
    json_t *line =
        json_pack("{s:s,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f}", "event", "step", "step", (json_int_t)p->step, "tokens",
                  (json_int_t)p->tokens, "seconds", p->seconds, "flops", p->flops, "loss", s->loss, "lr",
                  s->learning_rate, "grad_norm", s->gradient_norm, "tokens_per_second", tokens / s->seconds);
    if (line && s->mean_loops > 0 &&
        (json_object_set_new(line, "mean_loops", json_real(s->mean_loops)) ||
         json_object_set_new(line, "expert_imbalance", json_real(s->imbalance)))) {
        json_decref(line);
        line = NULL;
    }
    status = loom_metrics_put(&run->metrics, line, error);
    tell(run, LOOM_EVENT_STEP, NULL);
    return status;
}

/* The validation loss of each folder of a mixture; false when memory is short. */
static bool put_folder_losses(json_t *line, const struct loom_trainer *t) {
    if (!t->data.corpus || t->data.corpus->n_folders == 1)
        return true;
    json_t *losses = json_array();
    for (size_t i = 0; losses && i < t->data.corpus->n_folders; i++)
        if (json_array_append_new(losses, loom_metrics_number(t->val_losses[i]))) {
            json_decref(losses);
            return false;
        }
    return json_object_set_new(line, "val_losses", losses) == 0;
}

/* A generated task's answers are right or wrong. */
static bool put_accuracy(json_t *line, const struct loom_trainer *t) {
    return t->drills.length == 0 || json_object_set_new(line, "accuracy", json_real(t->progress.accuracy)) == 0;
}

static loom_status evaluate(struct run *run, struct loom_error *error) {
    struct loom_trainer *t = &run->trainer;
    const struct loom_progress *p = &t->progress;
    loom_status status = loom_validate(t, run->options->stop, error);
    if (status)
        return status;
    json_t *line = json_pack("{s:s,s:I,s:I,s:f,s:f,s:o}", "event", "eval", "step", (json_int_t)p->step, "tokens",
                             (json_int_t)p->tokens, "seconds", p->seconds, "flops", p->flops, "val_loss",
                             loom_metrics_number(p->val_loss));
    bool whole = line && put_accuracy(line, t) && put_folder_losses(line, t) && loom_metrics_loads(line, &t->ws.loads);
    if (line && !whole) {
        json_decref(line);
        line = NULL;
    }
    status = loom_metrics_put(&run->metrics, line, error);
    tell(run, LOOM_EVENT_EVAL, NULL);
    return status;
}

static void add_bytes(void *user, int token, const char *bytes, size_t size) {
    (void)token;
    loom_text_put(user, bytes, size);
}

/* A sample of the model's text goes to metrics.jsonl. JSON holds no NUL and only whole characters: what is neither
 * becomes U+FFFD. */
static loom_status sample(struct run *run, struct loom_error *error) {
    struct loom_text raw = {0}, text = {0};
    struct loom_generate_result result;
    struct loom_generate_options options = {.max_tokens = run->setup.recipe.sample_tokens,
                                            .seed = run->setup.recipe.seed,
                                            .on_token = add_bytes,
                                            .user = &raw};
    if (run->setup.recipe.sample_tokens == 0)
        return LOOM_OK;
    loom_status status = loom_generate(&run->trainer.model, &options, &result, error);
    if (status) {
        loom_text_free(&raw);
        return status;
    }
    for (size_t i = 0; i < raw.size; i++)
        if (raw.data[i] == '\0')
            raw.data[i] = (char)0xFF; /* no UTF-8: the next line puts U+FFFD */
    loom_text_put_utf8(&text, raw.data ? raw.data : "", raw.size);
    if (raw.failed || text.failed || !text.data)
        status = loom_fail_memory(error, "sample", raw.size);
    else
        status = loom_metrics_put(&run->metrics,
                                  json_pack("{s:s,s:I,s:s,s:s}", "event", "sample", "step",
                                            (json_int_t)run->trainer.progress.step, "prompt", "\n", "text", text.data),
                                  error);
    if (status == LOOM_OK)
        tell(run, LOOM_EVENT_SAMPLE, text.data);
    loom_text_free(&raw);
    loom_text_free(&text);
    return status;
}

static loom_status save(struct run *run, struct loom_error *error) {
    char *path;
    loom_status status = loom_checkpoint_save(&run->trainer, run->options->out, &path, error);
    if (status == LOOM_OK)
        tell(run, LOOM_EVENT_SAVE, path);
    free(path);
    return status;
}

/* Saves what was done since the last checkpoint, and says that the run was stopped. */
static loom_status stop(struct run *run, struct loom_error *error) {
    loom_status status = save(run, error);
    return status ? status
                  : loom_fail(error, LOOM_STOPPED, "stopped at step %" PRIu64 " of %" PRIu64 ", saved in %s",
                              run->trainer.progress.step, run->setup.recipe.max_iters, run->options->out);
}

static loom_status evaluate_and_save(struct run *run, struct loom_error *error) {
    loom_status status = evaluate(run, error);
    if (status == LOOM_OK)
        status = sample(run, error);
    return status ? status : save(run, error);
}

/* A run that was stopped between a step and its validation makes up for it. */
static bool is_due(const struct run *run) {
    return is_planned(run) && run->trainer.progress.step != run->trainer.progress.val_step;
}

static loom_status train(struct run *run, struct loom_error *error) {
    const volatile sig_atomic_t *flag = run->options->stop;
    loom_status status = LOOM_OK;
    while (status == LOOM_OK && (is_due(run) || run->trainer.progress.step < run->setup.recipe.max_iters)) {
        if (flag && *flag)
            return stop(run, error);
        status = is_due(run) ? evaluate_and_save(run, error) : step(run, error);
    }
    if (status == LOOM_STOPPED)
        return stop(run, error);
    if (status == LOOM_OK)
        tell(run, LOOM_EVENT_END, NULL);
    return status;
}

static void report_result(const struct run *run, struct loom_train_result *result) {
    const struct loom_progress *p = &run->trainer.progress;
    result->steps = p->step;
    result->val_loss = p->val_loss;
    result->best_val_loss = p->best_val_loss;
    result->best_step = p->best_step;
    result->seconds = p->seconds;
    result->flops = p->flops;
}

loom_status loom_train(const struct loom_train_options *options, struct loom_train_result *result,
                       struct loom_error *error) {
    struct run run = {.options = options};
    *result = (struct loom_train_result){.val_loss = (double)NAN, .best_val_loss = (double)NAN};
    if (!options->dry_run && ((options->n_data + options->n_chat == 0 && !options->task) || !options->out))
        return loom_fail(error, LOOM_INVALID, "training needs token folders or conversations, and a run folder");
    loom_status status = options->out ? name_paths(&run, error) : LOOM_OK;
    if (status == LOOM_OK)
        status = prepare_setup(&run, error);
    if (status == LOOM_OK)
        status = loom_setup_measure(&run.setup, result, error);
    if (status == LOOM_OK && !options->dry_run) {
        status = open_run(&run, result, error);
        if (status == LOOM_OK)
            status = train(&run, error);
        report_result(&run, result);
    }
    close_run(&run);
    return status;
}
