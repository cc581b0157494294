/* privacy_rdp.c - the accountant of Renyi differential privacy.
 *
 * The Renyi divergence of one step, times the steps, turned into (epsilon, delta) at the best order. Mironov, arXiv
 * 1702.07476; the subsampled Gaussian: Mironov, Talwar & Zhang, arXiv 1908.10530, who show that an example removed
 * costs no less than one added; the conversion: Balle et al., arXiv 1905.09982, theorem 21. */
#include "train/privacy.h"

#include <math.h>

/* 1.1, 1.2, ... 10.9, then 12, 13, ... 63: the orders of the common libraries, so that their numbers compare; then
 * doubled up to 1024, where very little noise or very small delta is asked for. */
enum { FINE_ORDERS = 99, WHOLE_ORDERS = 52, LARGE_ORDERS = 5, ORDERS = FINE_ORDERS + WHOLE_ORDERS + LARGE_ORDERS };

static double order_at(int i) {
    if (i < FINE_ORDERS)
        return 1 + (i + 1) / 10.0;
    i -= FINE_ORDERS;
    return i < WHOLE_ORDERS ? 12 + i : (double)(64 << (i - WHOLE_ORDERS));
}

double loom_privacy_divergence(const struct loom_privacy_plan *plan, double order) {
    return (double)plan->steps * loom_privacy_moment(plan->noise, plan->rate, order) / (order - 1);
}

loom_status loom_privacy_rdp(const struct loom_privacy_plan *plan, double delta, struct loom_privacy_spent *spent,
                             struct loom_error *error) {
    loom_status status = loom_privacy_check(plan, delta, error);
    if (status)
        return status;
    *spent = (struct loom_privacy_spent){.upper = HUGE_VAL};
    for (int i = 0; i < ORDERS; i++) {
        double order = order_at(i), divergence = loom_privacy_divergence(plan, order);
        double epsilon = divergence + log1p(-1 / order) - log(delta * order) / (order - 1);
        if (epsilon < spent->upper)
            *spent = (struct loom_privacy_spent){.upper = fmax(epsilon, 0), .order = order};
    }
    spent->epsilon = spent->upper;
    if (!isfinite(spent->upper))
        return loom_fail(error, LOOM_FAILED, "noise %g at rate %g over %llu steps: no finite epsilon at delta %g",
                         plan->noise, plan->rate, (unsigned long long)plan->steps, delta);
    return LOOM_OK;
}
