/* sampler.c - see sampler.h. */
#include "generate/sampler.h"

#include <math.h>
#include <stdlib.h>

loom_status loom_sampler_open(struct loom_sampler *sampler, struct loom_error *error) {
    if (!(sampler->temperature >= 0 && sampler->temperature <= 100))
        return loom_fail(error, LOOM_INVALID, "temperature %g is outside 0 to 100", sampler->temperature);
    if (sampler->top_k < 0)
        return loom_fail(error, LOOM_INVALID, "top-k %d is negative", sampler->top_k);
    if (!(sampler->top_p > 0 && sampler->top_p <= 1))
        return loom_fail(error, LOOM_INVALID, "top-p %g is outside 0 (excluded) to 1", sampler->top_p);
    sampler->candidates = calloc((size_t)sampler->vocab_size, sizeof *sampler->candidates);
    return sampler->candidates
               ? LOOM_OK
               : loom_fail_memory(error, "sampler", (size_t)sampler->vocab_size * sizeof *sampler->candidates);
}

void loom_sampler_close(struct loom_sampler *sampler) {
    free(sampler->candidates);
    sampler->candidates = NULL;
}

/* Largest logit first; among equals the lower id. */
static int compare(const void *a, const void *b) {
    const struct loom_candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->token - y->token;
}

static size_t collect(const struct loom_sampler *sampler, const float *logits) {
    size_t count = 0;
    for (int i = 0; i < sampler->vocab_size; i++)
        if (isfinite(logits[i]))
            sampler->candidates[count++] = (struct loom_candidate){i, logits[i], 0};
    return count;
}

/* The likeliest candidate comes first; all are sorted only where top-k or top-p ask which are the next. */
static void order(const struct loom_sampler *sampler, size_t count) {
    struct loom_candidate *c = sampler->candidates;
    if (sampler->temperature > 0 && (sampler->top_k > 0 || sampler->top_p < 1)) {
        qsort(c, count, sizeof *c, compare);
        return;
    }
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        best = compare(&c[i], &c[best]) < 0 ? i : best;
    struct loom_candidate first = c[best];
    c[best] = c[0];
    c[0] = first;
}

/* Weights relative to the largest; returns how many candidates top-k and top-p leave, and the sum of their weights. */
static size_t narrow(const struct loom_sampler *sampler, size_t count, double *sum) {
    struct loom_candidate *c = sampler->candidates;
    if (sampler->top_k > 0 && (size_t)sampler->top_k < count)
        count = (size_t)sampler->top_k;
    double all = 0;
    for (size_t i = 0; i < count; i++)
        all += c[i].weight = exp(((double)c[i].logit - (double)c[0].logit) / sampler->temperature);
    size_t kept = 0;
    *sum = 0;
    while (kept < count && (kept == 0 || *sum < sampler->top_p * all))
        *sum += c[kept++].weight;
    return kept;
}

loom_status loom_sampler_draw(const struct loom_sampler *sampler, const float *logits, uint64_t position, int *token,
                              struct loom_error *error) {
    struct loom_candidate *c = sampler->candidates;
    size_t count = collect(sampler, logits);
    if (count == 0)
        return loom_fail(error, LOOM_FAILED, "no logit is finite at position %llu", (unsigned long long)position);
    order(sampler, count);
    *token = c[0].token;
    if (sampler->temperature <= 0)
        return LOOM_OK;
    double sum;
    count = narrow(sampler, count, &sum);
    double mark = sum * loom_random_uniform((struct loom_random){sampler->seed, LOOM_RANDOM_SAMPLE}, position);
    size_t i = 0;
    while (i + 1 < count && mark >= c[i].weight)
        mark -= c[i++].weight;
    *token = c[i].token;
    return LOOM_OK;
}
