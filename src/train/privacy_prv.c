/* privacy_prv.c - the accountant of privacy random variables.
 *
 * One step's privacy loss is put on a grid, the steps are convolved by a Fourier transform, and delta is read off as a
 * function of epsilon: Gopi, Lee & Wutschitz, arXiv 2106.02848, who prove the error bounds used here. An example
 * removed and one added have different losses, and neither always costs more once steps are composed (Lebeda et al.,
 * arXiv 2405.20769): both are computed, and the larger epsilon counts. */
#include "train/privacy.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/fft.h"

/* 2^24 points take 768 MiB. */
static const double points_max = 1 << 24;
static const double delta_share = 1e-3; /* of delta, for all that is cut off or left to chance */

struct direction {
    const struct loom_privacy_plan *plan;
    bool added;
    double low, high;             /* one step's loss, all but a little of it */
    double total_low, total_high; /* the same of all steps together */
    double mesh, shift;           /* the grid is (i + shift) * mesh */
};

/* ---- the loss of one step ---------------------------------------------------------------------------------------- */

/* log E[exp(s Y)] of one step's loss Y. */
static double cumulant(const struct direction *d, double s) {
    return loom_privacy_moment(d->plan->noise, d->plan->rate, d->added ? -s : s + 1);
}

/* Beyond which, on the side of `sign`, `steps` steps have a mass of at most exp(-rest): Chernoff's bound. */
static double tail_bound(const struct direction *d, double steps, double sign, double rest) {
    double best = HUGE_VAL, bound = HUGE_VAL;
    for (double s = 1e-3; s < 1e4 && bound <= best; s *= 1.4) { /* the bound falls and then rises with s */
        bound = (steps * cumulant(d, sign * s) + rest) / s;
        best = fmin(best, bound);
    }
    return sign * best;
}

/* P(Y > y). */
static double survival(const struct direction *d, double y) {
    const double sigma = d->plan->noise, q = d->plan->rate, root = sqrt(2) * sigma;
    if (d->added) /* Y = -log r(x), x of P: above y where x is below a point */
        return 0.5 * erfc(-loom_privacy_point(sigma, q, -y) / root);
    double x = loom_privacy_point(sigma, q, y);
    return (1 - q) * 0.5 * erfc(x / root) + q * 0.5 * erfc((x - 1) / root);
}

static void find_bounds(struct direction *d, double delta) {
    double steps = (double)d->plan->steps, rest = log(8 / (delta_share * delta));
    d->low = tail_bound(d, 1, -1, rest + log(steps));
    d->high = tail_bound(d, 1, 1, rest + log(steps));
    d->total_low = tail_bound(d, steps, -1, rest);
    d->total_high = tail_bound(d, steps, 1, rest);
}

/* ---- the grid ---------------------------------------------------------------------------------------------------- */

/* Puts one step's loss on the grid, cell i at index i modulo n, and moves the grid so that the mean is kept: the errors
 * of the steps then add up like those of a random walk. */
static void discretise(struct direction *d, double complex *grid, size_t n) {
    long first = lround(d->low / d->mesh), last = lround(d->high / d->mesh);
    double above = survival(d, ((double)first - 0.5) * d->mesh), mean = 0, mass = 0;
    for (size_t i = 0; i < n; i++)
        grid[i] = 0;
    for (long i = first; i <= last; i++) {
        double rest = survival(d, ((double)i + 0.5) * d->mesh), cell = above - rest;
        grid[(size_t)i & (n - 1)] += cell;
        mean += cell * (double)i;
        mass += cell;
        above = rest;
    }
    d->shift = loom_privacy_mean(d->plan->noise, d->plan->rate, d->added) / d->mesh - mean / mass;
    for (size_t i = 0; i < n; i++)
        grid[i] /= mass;
}

static void compose(const struct loom_fft *fft, double complex *grid, uint64_t steps) {
    loom_fft_forward(fft, grid);
    for (size_t i = 0; i < fft->size; i++) {
        double complex base = grid[i], power = 1;
        for (uint64_t left = steps; left; left >>= 1) {
            if (left & 1)
                power *= base;
            base *= base;
        }
        grid[i] = power / (double)fft->size;
    }
    loom_fft_inverse(fft, grid);
}

/* The least epsilon >= 0 with delta(epsilon) = E[(1 - exp(epsilon - Y))+] <= delta, from the top of the grid down.
 * With S the mass above and W = E[exp(y - Y); Y >= y], delta(epsilon) = S - exp(epsilon - y) W in the cell below y. */
static double epsilon_at(const struct direction *d, const double complex *grid, size_t n, double delta) {
    double steps = (double)d->plan->steps, decay = exp(-d->mesh), mass = 0, weighted = 0;
    long first = (long)floor(d->total_low / d->mesh - steps * d->shift);
    for (long i = first + (long)n - 1; i >= first; i--) {
        double y = ((double)i + steps * d->shift) * d->mesh;
        double p = fmax(creal(grid[(size_t)i & (n - 1)]), 0);
        if (mass - weighted * decay > delta) /* it is passed between here and the cell above */
            return fmax(y + d->mesh + log((mass - delta) / weighted), 0);
        if (y + d->mesh < 0)
            return 0;
        mass += p;
        weighted = weighted * decay + p;
    }
    return 0;
}

static loom_status choose_size(const struct direction d[2], double mesh, size_t *size, struct loom_error *error) {
    double width = 0;
    for (int i = 0; i < 2; i++)
        width = fmax(width, fmax(d[i].total_high - d[i].total_low, d[i].high - d[i].low));
    double wanted = width / mesh + 16;
    if (!(wanted <= points_max))
        return loom_fail(error, LOOM_FAILED,
                         "noise %g at rate %g over %llu steps: the loss would need a grid of %.3g points, more than "
                         "%.3g; account with rdp, or allow a larger error",
                         d->plan->noise, d->plan->rate, (unsigned long long)d->plan->steps, wanted, points_max);
    for (*size = 1024; (double)*size < wanted;)
        *size *= 2;
    return LOOM_OK;
}

static loom_status account(struct direction d[2], double mesh, double delta, struct loom_privacy_spent *spent,
                           struct loom_error *error) {
    struct loom_fft fft = {0};
    size_t size = 0;
    loom_status status = choose_size(d, mesh, &size, error);
    if (status)
        return status;
    double complex *grid = malloc(size * sizeof *grid);
    if (!grid || !loom_fft_open(&fft, size))
        status = loom_fail_memory(error, "privacy accounting", 2 * size * sizeof *grid);
    *spent = (struct loom_privacy_spent){0};
    for (int i = 0; status == LOOM_OK && i < 2; i++) {
        double slack = delta_share * delta;
        d[i].mesh = mesh;
        discretise(&d[i], grid, size);
        compose(&fft, grid, d[i].plan->steps);
        spent->epsilon = fmax(spent->epsilon, epsilon_at(&d[i], grid, size, delta));
        spent->lower = fmax(spent->lower, epsilon_at(&d[i], grid, size, delta + slack));
        spent->upper = fmax(spent->upper, epsilon_at(&d[i], grid, size, delta - slack));
    }
    loom_fft_close(&fft);
    free(grid);
    return status;
}

loom_status loom_privacy_prv(const struct loom_privacy_plan *plan, double delta, double epsilon_error,
                             struct loom_privacy_spent *spent, struct loom_error *error) {
    struct direction d[2] = {{.plan = plan}, {.plan = plan, .added = true}};
    loom_status status = loom_privacy_check(plan, delta, error);
    if (status == LOOM_OK && !(delta >= 1e-10))
        status = loom_fail(error, LOOM_INVALID,
                           "delta must be at least 1e-10 here, not %g: below, rounding counts; "
                           "account with rdp",
                           delta);
    if (status == LOOM_OK && !(epsilon_error > 0 && epsilon_error <= 1))
        status = loom_fail(error, LOOM_INVALID, "epsilon's error must be above 0 and at most 1, not %g", epsilon_error);
    if (status)
        return status;
    *spent = (struct loom_privacy_spent){0};
    if (plan->rate == 0)
        return LOOM_OK;
    for (int i = 0; i < 2; i++)
        find_bounds(&d[i], delta);
    double mesh = epsilon_error / sqrt(0.5 * (double)plan->steps * log(12 / (delta_share * delta)));
    status = account(d, mesh, delta, spent, error);
    spent->lower = fmax(spent->lower - epsilon_error, 0);
    spent->upper += epsilon_error;
    return status;
}
