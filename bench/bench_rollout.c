/* bench_rollout.c - how fast answers are drawn: a step's rollouts of a preset with fresh weights and a byte vocabulary.
 *
 * bench_rollout PRESET ROUNDS PROMPT ANSWER GROUP [KEY=VALUE]... prints, for each round, tokens a second by the clock
 * and by the processor's time on one thread: 64 answers of ANSWER tokens, GROUP to each prompt of PROMPT tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "generate/rollout.h"
#include "train/setup.h"

enum { ANSWERS = 64, PROMPT_MAX = 4096, VOCAB = 256, NAMED = 6 /* arguments before the settings */ };

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static loom_status open_setup(struct loom_setup *setup, int context, int argc, char **argv, struct loom_error *error) {
    loom_status status = loom_setup_preset(setup, argv[1], error);
    for (int i = NAMED; i < argc && status == LOOM_OK; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return loom_fail(error, LOOM_INVALID, "\"%.64s\" is no KEY=VALUE", argv[i]);
        *equals = '\0';
        status = loom_setup_set(setup, argv[i], equals + 1, error);
    }
    setup->config.vocab_size = VOCAB;
    setup->config.max_seq_len = context;
    return status == LOOM_OK ? loom_setup_check(setup, error) : status;
}

static loom_status open_model(struct loom_model *model, const struct loom_setup *setup, struct loom_error *error) {
    loom_status status = loom_model_create(model, &setup->config, 1, error);
    if (status == LOOM_OK)
        status = loom_model_set_precision(model, (enum loom_precision)setup->recipe.precision, error);
    if (status == LOOM_OK)
        status = loom_tokenizer_byte(&model->tokenizer, error);
    if (status)
        return status;
    loom_tensors_init(&model->net.tensors, model->weights, 1);
    return model->k->hold(model->k, model->weights, model->net.tensors.elements)
               ? LOOM_OK
               : loom_fail_memory(error, "packed weights", model->net.tensors.elements * sizeof(real));
}

static loom_status run(struct loom_rollout *rollout, size_t length, uint64_t round, struct loom_error *error) {
    const struct loom_random stream = {round, LOOM_RANDOM_TEST};
    static int tokens[ANSWERS][PROMPT_MAX];
    struct loom_prompt prompts[ANSWERS];
    for (size_t p = 0; p < rollout->prompts; p++) {
        for (size_t i = 0; i < length; i++)
            tokens[p][i] = (int)loom_random_below(stream, p * length + i, VOCAB);
        prompts[p] = (struct loom_prompt){tokens[p], length, round * ANSWERS + p};
    }
    return loom_rollout_run(rollout, prompts, rollout->prompts, error);
}

static loom_status measure(struct loom_rollout *rollout, size_t length, int rounds, struct loom_error *error) {
    loom_status status = run(rollout, length, 0, error);
    for (int i = 1; i <= rounds && status == LOOM_OK; i++) {
        double clock = now(CLOCK_MONOTONIC), processor = now(CLOCK_PROCESS_CPUTIME_ID);
        uint64_t before = rollout->written;
        status = run(rollout, length, (uint64_t)i, error);
        double tokens = (double)(rollout->written - before);
        printf("%.0f %.0f\n", tokens / (now(CLOCK_MONOTONIC) - clock),
               tokens / (now(CLOCK_PROCESS_CPUTIME_ID) - processor));
    }
    return status;
}

int main(int argc, char **argv) {
    static const char no_mark[] = "\1\2\3\4\5\6\7\1\2\3\4\5\6\7"; /* no answer ends before its last token */
    struct loom_setup setup;
    struct loom_model model = {0};
    struct loom_rollout rollout = {0};
    struct loom_error error;
    int prompt = argc < NAMED ? 0 : atoi(argv[3]), answer = argc < NAMED ? 0 : atoi(argv[4]),
        group = argc < NAMED ? 0 : atoi(argv[5]);
    if (prompt < 1 || prompt > PROMPT_MAX || answer < 1 || group < 1 || ANSWERS % group != 0) {
        fprintf(stderr, "usage: bench_rollout PRESET ROUNDS PROMPT ANSWER GROUP [KEY=VALUE]...\n");
        return 2;
    }
    loom_status status = open_setup(&setup, prompt + answer, argc, argv, &error);
    if (status == LOOM_OK)
        status = open_model(&model, &setup, &error);
    if (status == LOOM_OK)
        status = loom_rollout_open(&rollout, &model, model.k, (size_t)(ANSWERS / group), (size_t)group, (size_t)answer,
                                   1, no_mark, &error);
    if (status == LOOM_OK)
        status = measure(&rollout, (size_t)prompt, atoi(argv[2]), &error);
    if (status)
        fprintf(stderr, "%s\n", error.text);
    loom_rollout_close(&rollout);
    loom_model_close(&model);
    return status ? 1 : 0;
}
