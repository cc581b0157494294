/* privacy.h - how much privacy a differentially private training spends.
 *
 * DP-SGD (Abadi et al., arXiv 1607.00133): each step takes every example with probability q, clips its gradient to a
 * norm of 1 (in units of the clipping bound) and adds Gaussian noise of standard deviation sigma to the sum. Its output
 * with and without one example is Q = (1-q) N(0, sigma^2) + q N(1, sigma^2) and P = N(0, sigma^2), in this order for an
 * example removed and in the other for one added; all accounting starts from their ratio
 *   r(x) = Q(x) / P(x) = 1 - q + q exp((2x - 1) / (2 sigma^2)). */
#ifndef LOOM_TRAIN_PRIVACY_H
#define LOOM_TRAIN_PRIVACY_H

#include <stdbool.h>

#include "base/status.h"

/* In each checkpoint: what has been spent so far, and what was not private. */
#define LOOM_PRIVACY_FILE "privacy.json"

/* log E_{x~P}[r(x)^a] for any real a. The Renyi divergence of order a > 1 is this over a - 1; the moments of the
 * privacy loss are this too. By the trapezoid rule, whose error on such integrands is below rounding. */
double loom_privacy_moment(double sigma, double q, double a);

/* E_Q[log r], or -E_P[log r] for `added`: the mean of one step's privacy loss. */
double loom_privacy_mean(double sigma, double q, bool added);

/* x where log r(x) = y; -INFINITY for a y that r does not reach. */
double loom_privacy_point(double sigma, double q, double y);

/* The error with which PRV accounts for a promise of epsilon. It is part of what is promised: a hundredth of it costs
 * little noise. */
double loom_privacy_error(double epsilon);

/* Checks a plan: sigma > 0, 0 <= q <= 1, steps >= 1, 0 < delta < 1, all finite. */
loom_status loom_privacy_check(const struct loom_privacy_plan *plan, double delta, struct loom_error *error);

#endif
