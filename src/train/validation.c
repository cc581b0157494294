/* validation.c - see validation.h. */
#include "train/validation.h"

#include <math.h>

#include "train/micro_batch.h"
#include "train/policy_step.h"

/* The mean over all numbers of steps of a generated task. */
static loom_status evaluate_drills(struct loom_trainer *t, const volatile sig_atomic_t *stop,
                                   struct loom_heldout *heldout, struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    double loss = 0, right = 0, problems = 0;
    loom_status status = LOOM_OK;
    *heldout = (struct loom_heldout){0};
    loom_loads_clear(&t->ws.loads);
    for (int steps = t->drills.low; status == LOOM_OK && steps <= loom_most_answered(recipe, &t->drills); steps++) {
        bool given = recipe->task_loops == LOOM_TASK_LOOPS_GIVEN;
        struct loom_drill_score score;
        struct loom_drill_test test = {.weights = t->model.weights,
                                       .batch = (size_t)recipe->batch_size,
                                       .seq = t->drills.length - 1,
                                       .steps = steps,
                                       .loops = given ? steps : t->setup.config.max_loop_iters,
                                       .scratch = &t->batch,
                                       .stop = stop};
        status = loom_drills_score(&t->drills, &t->ws, &test, &score, error);
        heldout->tokens += score.targets;
        loss += score.loss;
        right += (double)score.right;
        problems += (double)score.problems;
    }
    heldout->loss = loss / (double)heldout->tokens;
    t->progress.accuracy = right / problems;
    return status;
}

static loom_status evaluate_text(struct loom_trainer *t, const volatile sig_atomic_t *stop,
                                 struct loom_heldout *heldout, struct loom_error *error) {
    struct loom_heldout_options options = {.corpus = t->data.corpus,
                                           .chat = t->data.chat,
                                           .weights = t->model.weights,
                                           .batch = (size_t)t->setup.recipe.batch_size,
                                           .seq = (size_t)t->setup.recipe.seq_len,
                                           .loops = t->setup.config.max_loop_iters,
                                           .scratch = &t->batch,
                                           .folder_losses = t->val_losses,
                                           .stop = stop};
    return loom_heldout_run(&t->ws, &t->buffers, &options, heldout, error);
}

loom_status loom_validate(struct loom_trainer *trainer, const volatile sig_atomic_t *stop, struct loom_error *error) {
    struct loom_trainer *t = trainer;
    struct loom_heldout heldout = {0};
    loom_status status = LOOM_OK;
    double wrong = 0;
    (void)loom_trainer_hold(t);
    if (t->data.task)
        status = loom_policy_evaluate(t, stop, &wrong, error);
    else
        status = t->drills.length ? evaluate_drills(t, stop, &heldout, error) : evaluate_text(t, stop, &heldout, error);
    double loss = t->data.task ? wrong : heldout.loss;
    if (status)
        return status;
    if (!isfinite(loss))
        return loom_fail(error, LOOM_FAILED, "step %llu: the validation loss is %g, not a finite number",
                         (unsigned long long)t->progress.step, loss);
    t->progress.val_loss = loss;
    t->progress.val_step = t->progress.step;
    if (!(loss >= t->progress.best_val_loss)) {
        t->progress.best_val_loss = loss;
        t->progress.best_step = t->progress.step;
    }
    return LOOM_OK;
}
