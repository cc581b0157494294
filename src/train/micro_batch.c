/* micro_batch.c - see micro_batch.h. */
#include "train/micro_batch.h"

#include <math.h>

int loom_most_answered(const struct loom_recipe *recipe, const struct loom_drills *drills) {
    int most = recipe->answer_steps;
    return most > 0 && most < drills->high ? most : drills->high;
}

/* How often the core runs in this micro-batch of text. */
static int choose_loops(const struct loom_trainer *t, uint64_t micro) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    const struct loom_random stream = {recipe->seed, LOOM_RANDOM_LOOPS};
    int most = t->setup.config.max_loop_iters, loops = 1;
    if (most <= 1 || t->progress.step < recipe->loop_start)
        return most < 1 ? most : 1;
    if (recipe->loop_sampling == LOOM_SAMPLING_FIXED)
        return most;
    if (recipe->loop_sampling == LOOM_SAMPLING_UNIFORM)
        return 1 + (int)loom_random_below(stream, micro, (uint64_t)most);
    /* Knuth's count of uniform factors until their product falls below exp(-mean). */
    double limit = exp(-0.5 * most), product = loom_random_uniform(stream, micro << 8);
    while (product > limit && loops < most)
        product *= loom_random_uniform(stream, (micro << 8) + (uint64_t)loops++);
    return loops;
}

/* The most steps of a problem at this point of the curriculum. */
static int most_steps(const struct loom_trainer *t) {
    int most = loom_most_answered(&t->setup.recipe, &t->drills);
    bool rising = t->setup.recipe.curriculum > 0 && t->progress.longest < (uint64_t)most;
    return !rising ? most : t->progress.longest == 0 ? t->drills.low : (int)t->progress.longest;
}

void loom_curriculum_go_on(struct loom_trainer *t, const struct loom_micro_batch *m, double loss) {
    int most = most_steps(t);
    if (m->steps == most && most < loom_most_answered(&t->setup.recipe, &t->drills) &&
        loss < t->setup.recipe.curriculum)
        t->progress.longest = (uint64_t)most + 1;
}

static size_t count_targets(const int *targets, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += targets[i] >= 0;
    return count;
}

loom_status loom_micro_batch_draw(struct loom_trainer *t, uint64_t micro, struct loom_micro_batch *m,
                                  struct loom_error *error) {
    const struct loom_recipe *recipe = &t->setup.recipe;
    size_t batch = (size_t)recipe->batch_size, seq = (size_t)recipe->seq_len, targets;
    *m = (struct loom_micro_batch){seq, (double)(batch * seq), 0, choose_loops(t, micro)};
    if (t->data.chat) {
        loom_chat_set_draw(t->data.chat, recipe->seed, micro * batch, batch, &t->batch);
        m->targets = (double)count_targets(t->batch.targets, batch * seq);
        return LOOM_OK;
    }
    if (t->drills.length == 0) {
        loom_status status = loom_batches_draw(&t->batches, micro * batch, batch, &t->batch, error);
        loom_batches_fetch(&t->batches, (micro + 1) * batch, batch); /* comes while this one is computed */
        return status;
    }
    m->seq = t->drills.length - 1;
    const struct loom_drill_draw draw = {.seed = recipe->seed,
                                         .micro = micro,
                                         .most = most_steps(t),
                                         .half = recipe->curriculum > 0,
                                         .rows = batch,
                                         .seq = m->seq,
                                         .batch = &t->batch,
                                         .depths = t->depths,
                                         .whole = t->setup.config.loop_keys == LOOM_LOOP_KEYS_STATE};
    loom_status status = loom_drills_draw(&t->drills, &draw, &m->steps, &targets, error);
    m->targets = (double)targets;
    if (recipe->task_loops == LOOM_TASK_LOOPS_GIVEN)
        m->loops = m->steps;
    return status;
}
