/* policy.c - see policy.h. */
#include "train/policy.h"

#include <math.h>

bool loom_policy_advantages(int kind, const double *rewards, size_t group, double *advantages) {
    double mean = 0, square = 0;
    for (size_t g = 0; g < group; g++)
        mean += rewards[g] / (double)group;
    for (size_t g = 0; g < group; g++)
        square += (rewards[g] - mean) * (rewards[g] - mean) / (double)group;
    double divisor = kind == LOOM_POLICY_DR_GRPO ? 1 : sqrt(square) + 1e-6;
    for (size_t g = 0; g < group; g++)
        advantages[g] = (rewards[g] - mean) / divisor;
    return square > 1e-12;
}

/* What an answer's tokens are divided by. */
static double divisor(const struct loom_policy *p, size_t n) {
    switch (p->kind) {
    case LOOM_POLICY_DR_GRPO:
        return (double)p->max_tokens * (double)p->answers;
    case LOOM_POLICY_DAPO:
    case LOOM_POLICY_CISPO:
        return (double)p->all_tokens;
    default:
        return (double)n * (double)p->answers;
    }
}

/* The derivative of min(r A, clip(r) A) with respect to log r, or for cispo clip(r) A. */
static double factor(const struct loom_policy *p, double advantage, double ratio) {
    double low = 1 - p->clip_low, high = 1 + p->clip_high, clipped = fmin(fmax(ratio, low), high);
    if (p->kind == LOOM_POLICY_CISPO)
        return clipped * advantage;
    bool dropped = (advantage > 0 && ratio > high) || (advantage < 0 && ratio < low);
    return dropped ? 0 : ratio * advantage;
}

void loom_policy_weights(const struct loom_policy *policy, double advantage, const struct loom_policy_tokens *tokens,
                         double *weights) {
    const struct loom_policy_tokens *t = tokens;
    double mean = 0, share = divisor(policy, t->n);
    for (size_t i = 0; i < t->n; i++)
        mean += (t->now[i] - t->drawn[i]) / (double)t->n;
    for (size_t i = 0; i < t->n; i++) {
        double ratio = exp(policy->kind == LOOM_POLICY_GSPO ? mean : t->now[i] - t->drawn[i]);
        double back = policy->kl > 0 ? policy->kl * (exp(t->reference[i] - t->now[i]) - 1) : 0;
        weights[i] = (factor(policy, advantage, ratio) + back) / share;
    }
}

double loom_policy_overlong(size_t length, bool ended, size_t most, size_t margin) {
    if (margin == 0)
        return 0;
    if (!ended)
        return -1;
    return length + margin <= most ? 0 : -(double)(length + margin - most) / (double)margin;
}
