/* privacy_noise.c - the least noise that keeps a promise: epsilon falls as noise grows, so halving finds it. */
#include "train/privacy.h"

#include <math.h>

static const double noise_low = 0.1, noise_high = 1e4, precision = 1e-3;

double loom_privacy_error(double epsilon) {
    return fmin(fmax(epsilon / 100, 1e-4), 0.01);
}

static loom_status account(const struct loom_privacy_plan *plan, enum loom_accountant accountant, double epsilon,
                           double delta, struct loom_privacy_spent *spent, struct loom_error *error) {
    return accountant == LOOM_ACCOUNTANT_RDP ? loom_privacy_rdp(plan, delta, spent, error)
                                             : loom_privacy_prv(plan, delta, loom_privacy_error(epsilon), spent, error);
}

loom_status loom_privacy_noise(struct loom_privacy_plan *plan, enum loom_accountant accountant, double epsilon,
                               double delta, struct loom_privacy_spent *spent, struct loom_error *error) {
    double low = noise_low, high = noise_low; /* epsilon is not kept at low, and is at high */
    loom_status status = LOOM_OK;
    if (!(epsilon > 0 && isfinite(epsilon)))
        return loom_fail(error, LOOM_INVALID, "the target epsilon must be above 0 and finite, not %g", epsilon);
    plan->noise = noise_high; /* checks the rest of the plan, and sends a target out of reach away */
    status = loom_privacy_rdp(plan, delta, spent, error);
    if (status == LOOM_OK && spent->upper > epsilon)
        status = loom_fail(error, LOOM_FAILED,
                           "no noise keeps epsilon at %g with delta %g: rate %g over %llu steps costs %g even with "
                           "noise %g",
                           epsilon, delta, plan->rate, (unsigned long long)plan->steps, spent->upper, noise_high);
    if (status)
        return status;
    do { /* RDP costs little and is never below PRV: it brackets from above */
        low = high;
        high *= 2;
        plan->noise = high;
        status = loom_privacy_rdp(plan, delta, spent, error);
    } while (status == LOOM_OK && spent->upper > epsilon);
    low = accountant == LOOM_ACCOUNTANT_RDP ? low : fmax(low / 2, noise_low); /* PRV is rarely less than half */
    while (status == LOOM_OK && high - low > precision * high) {
        plan->noise = sqrt(low * high);
        status = account(plan, accountant, epsilon, delta, spent, error);
        if (status == LOOM_OK)
            *(spent->upper > epsilon ? &low : &high) = plan->noise;
    }
    plan->noise = high;
    return status ? status : account(plan, accountant, epsilon, delta, spent, error);
}
