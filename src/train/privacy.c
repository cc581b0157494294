/* privacy.c - the subsampled Gaussian's privacy loss, see privacy.h. */
#include "train/privacy.h"

#include <math.h>

static const double reach = 40;      /* standard deviations at which a normal density is below the smallest double */
static const double negligible = 60; /* exp(-60) of the largest value no longer counts in a sum of doubles */

static double log_density(double sigma, double x) {
    double z = x / sigma;
    return -0.5 * z * z - log(sigma) - 0.918938533204672742; /* log sqrt(2 pi) */
}

/* log r(x), without overflow. */
static double log_ratio(double sigma, double q, double x) {
    double u = (2 * x - 1) / (2 * sigma * sigma);
    if (q == 1)
        return u;
    return u < 30 ? log1p(q * expm1(u)) : u + log(q + (1 - q) * exp(-u));
}

/* ---- integrals over x -------------------------------------------------------------------------------------------- */

/* What is integrated: one function at a point, from log P, log r and a. Values are divided by exp(top). */
enum integrand { MOMENT, MOMENT_LESS_LINE, MEAN_REMOVED, MEAN_ADDED };

struct integral {
    double sigma, q, a, top;
};

/* exp(p) (exp(x) - 1), where exp(x) alone may overflow. */
static double weighted_expm1(double p, double x) {
    return x < 1 ? exp(p) * expm1(x) : exp(p + x) - exp(p);
}

static double value_at(const struct integral *g, enum integrand kind, double x) {
    double p = log_density(g->sigma, x) - g->top, l = log_ratio(g->sigma, g->q, x);
    switch (kind) {
    case MOMENT:
        return exp(p + g->a * l);
    case MOMENT_LESS_LINE:
        return weighted_expm1(p, g->a * l) - g->a * weighted_expm1(p, l);
    case MEAN_REMOVED:
        return l * exp(p + l);
    default:
        return -l * exp(p);
    }
}

/* The logarithm of the largest of P, P r and P r^a: no integrand is larger but by a small factor. */
static double bound_at(const struct integral *g, double x) {
    double l = log_ratio(g->sigma, g->q, x);
    return log_density(g->sigma, x) + fmax(fmax(g->a * l, l), 0);
}

/* The trapezoid rule over blocks one sigma wide, those left out in which nothing counts. The step heeds P's width,
 * sigma, and r's singularities, pi sigma^2 off the axis; all mass lies around the stretch from 0 to a. */
static double integrate(struct integral *g, enum integrand kind) {
    double sigma = g->sigma, first = fmin(g->a, 0) - reach * sigma, last = fmax(g->a, 1) + reach * sigma, sum = 0;
    long blocks = (long)ceil((last - first) / sigma), points = (long)ceil(fmax(8, 2 / sigma));
    double step = sigma / (double)points;
    g->top = -HUGE_VAL;
    for (long i = 0; i <= blocks; i++)
        g->top = fmax(g->top, bound_at(g, first + (double)i * sigma));
    for (long i = 0; i < blocks; i++) {
        double x = first + (double)i * sigma;
        if (fmax(bound_at(g, x), bound_at(g, x + sigma)) > g->top - negligible)
            for (long j = 0; j < points; j++)
                sum += value_at(g, kind, x + (double)j * step);
    }
    return sum * step;
}

/* Near 1 a moment's logarithm would be lost to rounding: as E_P[r] = 1, r^a - 1 - a (r - 1) is summed instead. */
double loom_privacy_moment(double sigma, double q, double a) {
    if (q == 0)
        return 0;
    if (q == 1)
        return (a * a - a) / (2 * sigma * sigma);
    struct integral g = {sigma, q, a, 0};
    double sum = integrate(&g, MOMENT), log_moment = g.top + log(sum);
    if (!(fabs(log_moment) < 0.5))
        return log_moment;
    sum = integrate(&g, MOMENT_LESS_LINE);
    return log1p(exp(g.top) * sum);
}

double loom_privacy_mean(double sigma, double q, bool added) {
    struct integral g = {sigma, q, 1, 0};
    double sum = integrate(&g, added ? MEAN_ADDED : MEAN_REMOVED);
    return exp(g.top) * sum;
}

/* ---- points and plans -------------------------------------------------------------------------------------------- */

double loom_privacy_point(double sigma, double q, double y) {
    double below = log1p(-q); /* r's lower limit; -HUGE_VAL for q = 1 */
    if (!(y > below))
        return -HUGE_VAL;
    /* log((exp(y) - (1-q)) / q) */
    double u = y < 30 ? log(expm1(y) + q) : y + log1p(-(1 - q) * exp(-y));
    return sigma * sigma * (u - log(q)) + 0.5;
}

loom_status loom_privacy_check(const struct loom_privacy_plan *plan, double delta, struct loom_error *error) {
    if (!(plan->noise >= 0.01 && plan->noise < 1e6)) /* with less, epsilon is in the thousands after one step */
        return loom_fail(error, LOOM_INVALID, "the noise multiplier must be at least 0.01 and below 1e6, not %g",
                         plan->noise);
    if (!(plan->rate >= 0 && plan->rate <= 1))
        return loom_fail(error, LOOM_INVALID, "the sampling rate must be from 0 to 1, not %g", plan->rate);
    if (plan->steps < 1 || plan->steps > 1000000000)
        return loom_fail(error, LOOM_INVALID, "the number of steps must be from 1 to 1e9, not %llu",
                         (unsigned long long)plan->steps);
    if (!(delta > 0 && delta < 1))
        return loom_fail(error, LOOM_INVALID, "delta must be between 0 and 1, not %g", delta);
    return LOOM_OK;
}
