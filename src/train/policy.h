/* policy.h - from rewards to what each token's log probability is to be moved by: GRPO and its kin.
 *
 * G answers to one prompt are compared with each other; there is no value model. What is computed are weights w so that
 * the gradient of the loss is the sum of w d(-log p(token)).
 *   grpo     A = (R - mean) / std, clipped ratio, mean over an answer's tokens         DeepSeekMath, arXiv 2402.03300
 *   dr_grpo  A = R - mean, divided by the longest answer allowed                       arXiv 2503.20783
 *   dapo     A as grpo, the upper clip higher, mean over all tokens of the step        arXiv 2503.14476
 *   gspo     A as grpo, one ratio for an answer: the mean of its tokens' log ratios    arXiv 2507.18071
 *   cispo    A as grpo, the clipped ratio as a weight: no token is dropped             arXiv 2506.13585 */
#ifndef LOOM_TRAIN_POLICY_H
#define LOOM_TRAIN_POLICY_H

#include <stdbool.h>
#include <stddef.h>

enum loom_policy_kind { LOOM_POLICY_GRPO, LOOM_POLICY_DR_GRPO, LOOM_POLICY_DAPO, LOOM_POLICY_GSPO, LOOM_POLICY_CISPO };

struct loom_policy {
    int kind;                   /* enum loom_policy_kind */
    double clip_low, clip_high; /* the ratio stays within 1 - low and 1 + high */
    size_t answers, all_tokens; /* of the whole step */
    size_t max_tokens;          /* of an answer */
    double kl;                  /* weight of the divergence from a reference policy, token by token; 0: none */
};

/* Advantages of a group from its rewards; false when all are the same and nothing can be learned. */
bool loom_policy_advantages(int kind, const double *rewards, size_t group, double *advantages);

/* Log probabilities of an answer's n tokens: now, when they were drawn, and, with policy->kl, under the reference. */
struct loom_policy_tokens {
    const double *now, *drawn, *reference;
    size_t n;
};

/* weights (n) of one answer's tokens. The divergence is estimated by q/p - log(q/p) - 1 with p the policy's and q the
 * reference's probability, which is never negative (Schulman 2020; arXiv 2402.03300). */
void loom_policy_weights(const struct loom_policy *policy, double advantage, const struct loom_policy_tokens *tokens,
                         double *weights);

/* What an answer of `length` tokens gains by its length: 0 up to `most` - `margin` tokens, from there down to -1 at
 * `most`, and -1 when it did not end. DAPO, arXiv 2503.14476. */
double loom_policy_overlong(size_t length, bool ended, size_t most, size_t margin);

#endif
