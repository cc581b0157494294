/* policy_step.c - see policy_step.h. */
#include "train/policy_step.h"

#include <stdlib.h>
#include <string.h>

#include "data/task/judge.h"
#include "generate/rollout.h"
#include "train/policy.h"

enum { HELD_OUT_TOGETHER = 32 }; /* held-out problems that are asked at once */

struct loom_policy_state {
    struct loom_rollout rollout, greedy; /* a step's answers; and one each, the likeliest */
    struct loom_ids *prompts;            /* (problems) */
    struct loom_prompt *asked;           /* (problems of a run) */
    size_t *problems, *slots;            /* (problems of a run): their numbers, and which of the step's they are */
    size_t n_prompts;
    struct loom_sandbox_limits limits;
    struct loom_response *verdicts; /* (answers of a run) */
    size_t answers, seq, room;      /* S = prompts * group; T; the longest answer */
    int *tokens;                    /* (S, T): prompt and answer */
    size_t *starts, *lengths;       /* (S): where the answer begins, and its tokens */
    size_t *learned;                /* (S): the numbers of those that an update moves */
    double *rewards, *advantages;   /* (S) */
    double right;                   /* answers of the round at hand */
    double *drawn;                  /* (R, S, room): log probabilities of the answers' tokens when they were drawn */
    double *referred;               /* the same under the reference; NULL without */
    real *reference;                /* the weights that training began with; NULL without rl_kl */
    double *now, *weights;          /* (room) */
    real *losses, *scales;          /* (B, T) on the host */
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static loom_status encode_problem(struct loom_trainer *t, const struct loom_problem *problem, struct loom_ids *ids,
                                  struct loom_error *error) {
    const struct loom_recipe *r = &t->setup.recipe;
    struct loom_conversation c = {0};
    struct loom_text text = {0};
    loom_status status = loom_conversation_add(&c, LOOM_ROLE_USER, problem->prompt)
                             ? loom_chat_render(&c, true, problem->id, &text, NULL, NULL, error)
                             : loom_fail_memory(error, problem->id, sizeof c);
    if (status == LOOM_OK)
        status = loom_chat_encode(t->data.tokenizer, text.data, text.size, problem->id, ids, error);
    if (status == LOOM_OK && ids->count + (size_t)r->rl_max_tokens > (size_t)r->seq_len)
        status = loom_fail(error, LOOM_INVALID,
                           "problem %s: its %zu tokens and rl_max_tokens %d are more than the sequence of %d",
                           problem->id, ids->count, r->rl_max_tokens, r->seq_len);
    loom_text_free(&text);
    loom_conversation_free(&c);
    return status;
}

static loom_status take_memory(struct loom_policy_state *s, const struct loom_trainer *t, struct loom_error *error) {
    size_t places = (size_t)t->setup.recipe.batch_size * s->seq, depths = (size_t)t->setup.config.max_loop_iters;
    size_t asked = (size_t)t->setup.recipe.rl_prompts + HELD_OUT_TOGETHER;
    s->asked = calloc(asked, sizeof *s->asked);
    s->problems = calloc(asked, sizeof *s->problems);
    s->slots = calloc(asked, sizeof *s->slots);
    s->verdicts = calloc(s->answers + HELD_OUT_TOGETHER, sizeof *s->verdicts);
    s->tokens = calloc(s->answers * s->seq, sizeof *s->tokens);
    s->starts = calloc(s->answers, sizeof *s->starts);
    s->lengths = calloc(s->answers, sizeof *s->lengths);
    s->learned = calloc(s->answers, sizeof *s->learned);
    s->rewards = calloc(s->answers, sizeof *s->rewards);
    s->advantages = calloc(s->answers, sizeof *s->advantages);
    s->drawn = calloc(depths * s->answers * s->room, sizeof *s->drawn);
    if (t->setup.recipe.rl_kl > 0)
        s->referred = calloc(depths * s->answers * s->room, sizeof *s->referred);
    s->now = calloc(s->room, sizeof *s->now);
    s->weights = calloc(s->room, sizeof *s->weights);
    s->losses = calloc(places, sizeof *s->losses);
    s->scales = calloc(places, sizeof *s->scales);
    bool there = s->asked && s->problems && s->slots && s->verdicts && s->tokens && s->starts && s->lengths &&
                 s->learned && s->rewards && s->advantages && s->drawn && s->now && s->weights && s->losses &&
                 s->scales && (s->referred || !(t->setup.recipe.rl_kl > 0));
    return there ? LOOM_OK : loom_fail_memory(error, "answers", s->answers * s->seq * sizeof *s->tokens);
}

loom_status loom_policy_open(struct loom_policy_state **state, struct loom_trainer *trainer, struct loom_error *error) {
    const struct loom_recipe *r = &trainer->setup.recipe;
    const struct loom_task *task = trainer->data.task;
    struct loom_policy_state *s = *state = calloc(1, sizeof *s);
    if (!s)
        return loom_fail_memory(error, "answers", sizeof *s);
    s->answers = (size_t)r->rl_prompts * (size_t)r->rl_group;
    s->seq = (size_t)r->seq_len;
    s->room = (size_t)r->rl_max_tokens;
    s->limits = loom_sandbox_default();
    s->limits.seconds = r->rl_seconds;
    s->prompts = calloc(task->count, sizeof *s->prompts);
    s->n_prompts = task->count;
    const struct loom_kernels *k = trainer->ws.k; /* counted */
    loom_status status = s->prompts ? take_memory(s, trainer, error) : loom_fail_memory(error, "problems", 1);
    for (size_t i = 0; i < task->count && status == LOOM_OK; i++)
        status = encode_problem(trainer, &task->problems[i], &s->prompts[i], error);
    if (status == LOOM_OK)
        status = loom_rollout_open(&s->rollout, &trainer->model, k, (size_t)r->rl_prompts, (size_t)r->rl_group, s->room,
                                   r->rl_temperature, LOOM_CHAT_END, error);
    if (status == LOOM_OK)
        status =
            loom_rollout_open(&s->greedy, &trainer->model, k, HELD_OUT_TOGETHER, 1, s->room, 0, LOOM_CHAT_END, error);
    return status;
}

loom_status loom_policy_begin(struct loom_trainer *trainer, struct loom_error *error) {
    struct loom_policy_state *s = trainer->policy;
    const struct loom_kernels *k = trainer->model.k;
    size_t elements = trainer->model.net.tensors.elements;
    if (!s || !(trainer->setup.recipe.rl_kl > 0))
        return LOOM_OK;
    s->reference = k->alloc(k, elements * sizeof *s->reference);
    if (!s->reference)
        return loom_fail_memory(error, "reference weights", elements * sizeof *s->reference);
    k->copy(k, s->reference, trainer->model.weights, elements);
    return LOOM_OK;
}

void loom_policy_close(struct loom_policy_state *state, const struct loom_kernels *k) {
    struct loom_policy_state *s = state;
    if (!s)
        return;
    k->release(k, s->reference);
    loom_rollout_close(&s->rollout);
    loom_rollout_close(&s->greedy);
    for (size_t i = 0; s->prompts && i < s->n_prompts; i++)
        free(s->prompts[i].data);
    free(s->prompts);
    free(s->asked);
    free(s->problems);
    free(s->slots);
    free(s->verdicts);
    free(s->tokens);
    free(s->starts);
    free(s->lengths);
    free(s->learned);
    free(s->rewards);
    free(s->advantages);
    free(s->drawn);
    free(s->referred);
    free(s->now);
    free(s->weights);
    free(s->losses);
    free(s->scales);
    free(s);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The i-th problem of the fixed shuffle: the first n_val are held out. */
static size_t shuffled(const struct loom_trainer *t, size_t i) {
    const struct loom_random stream = {0, LOOM_RANDOM_CHAT};
    return (size_t)loom_random_permute(stream, i, t->data.task->count);
}

/* The problem of a training sample: each epoch has every problem once. */
static size_t problem_of(const struct loom_trainer *t, uint64_t sample) {
    size_t count = t->data.task->count - t->data.n_val;
    const struct loom_random stream = {t->setup.recipe.seed, LOOM_RANDOM_CHAT | (sample / count + 1) << 8};
    return shuffled(t, t->data.n_val + (size_t)loom_random_permute(stream, sample % count, count));
}

/* Judges the answers of a run whose first problem is the `first` of those asked. One that did not end is wrong. */
static loom_status judge(struct loom_trainer *t, const struct loom_rollout *r, size_t first, struct loom_error *error) {
    struct loom_policy_state *s = t->policy;
    for (size_t a = 0; a < r->answers; a++)
        s->verdicts[a] = (struct loom_response){.problem = s->problems[first + a / r->group],
                                                .text = r->ended[a] ? r->texts[a] : NULL};
    return loom_task_judge(t->data.task, s->verdicts, r->answers, &s->limits, t->threads, error);
}

/* The i-th problem that is asked next. */
static void set_problem(struct loom_policy_state *s, size_t i, size_t problem, uint64_t seed) {
    s->problems[i] = problem;
    s->asked[i] = (struct loom_prompt){s->prompts[problem].data, s->prompts[problem].count, seed};
}

/* Asks the first `count` of them, as many at a time as the rollout takes, and hands each judged answer to `take`. */
static loom_status ask(struct loom_trainer *t, struct loom_rollout *r, size_t count,
                       void (*take)(struct loom_trainer *t, size_t a, size_t at), struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t p = 0, n; p < count && status == LOOM_OK; p += n) {
        n = count - p < r->prompts ? count - p : r->prompts;
        status = loom_rollout_run(r, t->policy->asked + p, n, error);
        if (status == LOOM_OK)
            status = judge(t, r, p, error);
        for (size_t a = 0; a < r->answers && status == LOOM_OK; a++)
            take(t, a, p * r->group + a);
    }
    return status;
}

/* Answer `a` of the run at hand, the `at`-th of those asked for, becomes a row of its problem's slot. */
static void take_answer(struct loom_trainer *t, size_t a, size_t at) {
    struct loom_policy_state *s = t->policy;
    const struct loom_recipe *r = &t->setup.recipe;
    size_t group = s->rollout.group, problem = s->problems[at / group], row = s->slots[at / group] * group + at % group;
    const struct loom_ids *prompt = &s->prompts[problem];
    int *tokens = s->tokens + row * s->seq;
    s->starts[row] = prompt->count;
    s->lengths[row] = s->rollout.lengths[a];
    memset(tokens, 0, s->seq * sizeof *tokens);
    memcpy(tokens, prompt->data, prompt->count * sizeof *tokens);
    memcpy(tokens + prompt->count, s->rollout.tokens + a * s->room, s->lengths[row] * sizeof *tokens);
    double reward = s->verdicts[a].right[0];
    s->right += reward;
    s->rewards[row] =
        reward + loom_policy_overlong(s->lengths[row], s->rollout.ended[a], s->room, (size_t)r->rl_overlong);
}

/* Asks a problem for each of the first `count` slots of s->slots; the problems are those of this round of the step. */
static loom_status ask_round(struct loom_trainer *t, uint64_t round, size_t count, struct loom_error *error) {
    struct loom_policy_state *s = t->policy;
    const struct loom_recipe *r = &t->setup.recipe;
    const struct loom_random stream = {r->seed, LOOM_RANDOM_SAMPLE | (t->progress.step + 1) << 8};
    size_t prompts = (size_t)r->rl_prompts, group = (size_t)r->rl_group;
    uint64_t first = (t->progress.step * ((uint64_t)r->rl_resample + 1) + round) * prompts;
    for (size_t i = 0; i < count; i++)
        set_problem(s, i, problem_of(t, first + s->slots[i]), loom_random_bits(stream, round * prompts + s->slots[i]));
    loom_status status = ask(t, &s->rollout, count, take_answer, error);
    for (size_t i = 0; i < count && status == LOOM_OK; i++)
        loom_policy_advantages(r->rl_objective, s->rewards + s->slots[i] * group, group,
                               s->advantages + s->slots[i] * group);
    return status;
}

/* The slots whose answers are all as good as each other: nothing is learned from them. */
static size_t find_idle(struct loom_policy_state *s, size_t prompts, size_t group) {
    size_t count = 0;
    for (size_t p = 0; p < prompts; p++) {
        bool moves = false;
        for (size_t g = 0; g < group; g++)
            moves = moves || s->advantages[p * group + g] < 0 || s->advantages[p * group + g] > 0;
        if (!moves)
            s->slots[count++] = p;
    }
    return count;
}

/* A step's answers; *wrong is the share of the first round's, which were not chosen by how they turned out. */
static loom_status ask_all(struct loom_trainer *t, double *wrong, struct loom_error *error) {
    struct loom_policy_state *s = t->policy;
    const struct loom_recipe *r = &t->setup.recipe;
    size_t prompts = (size_t)r->rl_prompts, count = prompts;
    loom_status status = LOOM_OK;
    for (size_t p = 0; p < prompts; p++)
        s->slots[p] = p;
    for (int round = 0; status == LOOM_OK && count > 0 && round <= r->rl_resample; round++) {
        s->right = 0;
        status = ask_round(t, (uint64_t)round, count, error);
        if (round == 0)
            *wrong = 1 - s->right / (double)s->answers;
        count = find_idle(s, prompts, (size_t)r->rl_group);
    }
    return status;
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

/* Answers are run through to learn from them, or only to keep their tokens' log probabilities. */
enum purpose { LEARN, KEEP_DRAWN, KEEP_REFERENCE };

/* Some of an update's answers, read out after `loops` loops. */
struct part {
    struct loom_trainer *t;
    const size_t *rows; /* (count): their numbers */
    size_t count, seq;  /* seq: of the longest */
    int loops;
    double share;              /* of the reward, for this read-out */
    struct loom_policy policy; /* of the whole update */
    int purpose;               /* enum purpose */
    bool fresh;                /* no update since the answers were drawn: the ratios are 1 */
};

/* Where a row's log probabilities lie in s->drawn and s->referred. */
static size_t kept_at(const struct part *p, size_t row) {
    const struct loom_policy_state *s = p->t->policy;
    return ((size_t)(p->loops - 1) * s->answers + row) * s->room;
}

/* The objective's weights of a micro-batch from its losses, -log p of each answer's token. */
static void weigh(void *user, const real *losses, real *scales) {
    const struct part *p = user;
    struct loom_policy_state *s = p->t->policy;
    memset(scales, 0, p->count * p->seq * sizeof *scales);
    for (size_t b = 0; b < p->count; b++) {
        size_t row = p->rows[b], n = s->lengths[row], at = b * p->seq + s->starts[row] - 1;
        double *drawn = s->drawn + kept_at(p, row), *referred = s->referred ? s->referred + kept_at(p, row) : NULL;
        for (size_t i = 0; i < n; i++)
            s->now[i] = -(double)losses[at + i];
        if (p->purpose == KEEP_DRAWN || (p->purpose == LEARN && p->fresh))
            memcpy(drawn, s->now, n * sizeof *drawn);
        if (p->purpose == KEEP_REFERENCE)
            memcpy(referred, s->now, n * sizeof *referred);
        if (p->purpose != LEARN)
            continue;
        const struct loom_policy_tokens tokens = {s->now, drawn, referred, n};
        loom_policy_weights(&p->policy, s->advantages[row], &tokens, s->weights);
        for (size_t i = 0; i < n; i++)
            scales[at + i] = (real)(p->share * s->weights[i]);
    }
}

/* One micro-batch: each row is one answer; what is behind it predicts nothing. */
static void run_part(struct part *p) {
    struct loom_trainer *t = p->t;
    struct loom_policy_state *s = t->policy;
    for (size_t b = 0; b < p->count; b++) {
        size_t row = p->rows[b];
        const int *tokens = s->tokens + row * s->seq;
        int *targets = t->batch.targets + b * p->seq;
        memcpy(t->batch.inputs + b * p->seq, tokens, p->seq * sizeof *tokens);
        for (size_t i = 0; i < p->seq; i++)
            targets[i] = -1;
        for (size_t i = 0; i < s->lengths[row]; i++)
            targets[s->starts[row] - 1 + i] = tokens[s->starts[row] + i];
    }
    struct loom_objective o = {.forward = {.weights = p->purpose == KEEP_REFERENCE ? s->reference : t->model.weights,
                                           .ids = t->batch.inputs,
                                           .batch = p->count,
                                           .seq = p->seq,
                                           .loops = p->loops,
                                           .factors = t->factors,
                                           .keep = true,
                                           .count_loads = true},
                               .targets = t->batch.targets,
                               .gradients = p->purpose == LEARN ? t->gradients : NULL,
                               .weigh = weigh,
                               .user = p,
                               .host_losses = s->losses,
                               .host_scales = s->scales};
    loom_objective_run(&t->ws, &t->buffers, &o);
}

/* Fills s->learned with those of the answers first .. last-1 that are to be moved: one that was as good as the others
 * of its group has advantage 0, and only the reference draws at it. */
static size_t choose_answers(struct loom_policy_state *s, size_t first, size_t last) {
    size_t count = 0;
    for (size_t i = first; i < last; i++)
        if (s->reference || s->advantages[i] < 0 || s->advantages[i] > 0)
            s->learned[count++] = i;
    return count;
}

/* Answers first .. last-1 at every depth that gets a share. */
static void run_answers(struct loom_trainer *t, size_t first, size_t last, int purpose) {
    const struct loom_recipe *r = &t->setup.recipe;
    struct loom_policy_state *s = t->policy;
    size_t batch = (size_t)r->batch_size, count = choose_answers(s, first, last);
    int depth = t->setup.config.max_loop_iters, from = r->rl_credit == LOOM_CREDIT_LOOPS ? 1 : depth;
    struct part part = {
        .t = t,
        .share = 1.0 / (depth - from + 1),
        .policy = {r->rl_objective, r->rl_clip_low, r->rl_clip_high, last - first, 0, s->room, r->rl_kl},
        .purpose = purpose,
        .fresh = r->rl_updates == 1};
    for (size_t i = first; i < last; i++)
        part.policy.all_tokens += s->lengths[i];
    for (part.loops = from; part.loops <= depth; part.loops++)
        for (size_t at = 0; at < count; at += part.count) {
            part.rows = s->learned + at;
            part.count = count - at < batch ? count - at : batch;
            part.seq = 1;
            for (size_t b = 0; b < part.count; b++) {
                size_t end = s->starts[part.rows[b]] + s->lengths[part.rows[b]];
                part.seq = end > part.seq ? end : part.seq;
            }
            run_part(&part);
        }
}

uint64_t loom_policy_tokens(const struct loom_policy_state *state) {
    uint64_t tokens = 0;
    for (size_t i = 0; i < state->answers; i++)
        tokens += state->lengths[i];
    return tokens;
}

loom_status loom_policy_gradient(struct loom_trainer *trainer, struct loom_step *step, loom_move_function move,
                                 struct loom_error *error) {
    struct loom_trainer *t = trainer;
    const struct loom_kernels *k = t->ws.k;
    size_t updates = (size_t)t->setup.recipe.rl_updates, answers = t->policy->answers;
    loom_loads_clear(&t->ws.loads);
    loom_status status = ask_all(t, &step->loss, error);
    if (status)
        return status;
    if (updates > 1)
        run_answers(t, 0, answers, KEEP_DRAWN);
    if (t->policy->reference)
        run_answers(t, 0, answers, KEEP_REFERENCE);
    for (size_t u = 0; u < updates && status == LOOM_OK; u++) {
        k->fill(k, t->gradients, 0, loom_trainer_table(t)->elements);
        run_answers(t, u * answers / updates, (u + 1) * answers / updates, LEARN);
        if (u + 1 < updates)
            status = move(t, step, 1, error);
    }
    return status;
}

static void count_answer(struct loom_trainer *t, size_t a, size_t at) {
    (void)at;
    t->policy->right += t->policy->verdicts[a].right[0];
}

loom_status loom_policy_evaluate(struct loom_trainer *trainer, const volatile sig_atomic_t *stop, double *wrong,
                                 struct loom_error *error) {
    struct loom_policy_state *s = trainer->policy;
    size_t count = trainer->data.n_val;
    loom_status status = LOOM_OK;
    s->right = 0;
    for (size_t i = 0, n; i < count && status == LOOM_OK; i += n) {
        n = count - i < HELD_OUT_TOGETHER ? count - i : HELD_OUT_TOGETHER;
        for (size_t p = 0; p < n; p++)
            set_problem(s, p, shuffled(trainer, i + p), 0);
        status = stop && *stop ? loom_fail(error, LOOM_STOPPED, "stopped during validation")
                               : ask(trainer, &s->greedy, n, count_answer, error);
    }
    *wrong = 1 - s->right / (double)count;
    return status;
}
