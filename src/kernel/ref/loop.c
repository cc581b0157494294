/* loop.c - what joins one loop to the next: the linear injection (Parcae, arXiv 2604.12946) and halting by adaptive
 * computation time (Graves 2016). */
#include "kernel/ref/ref.h"

/* The rate of decay u = exp(clamp(log_dt + log_a, -20, 20)); the channel's factor is A = exp(-u). */
static const double log_rate_limit = 20;

static double decay_rate(real log_a, real log_dt) {
    return exp(fmin(fmax((double)log_dt + (double)log_a, -log_rate_limit), log_rate_limit));
}

void loom_ref_lti(const struct loom_kernels *k, real *out, const real *h, const real *e, const real *y,
                  const real *log_a, const real *log_dt, const real *b, size_t rows, size_t cols) {
    (void)k;
    for (size_t c = 0; c < cols; c++) {
        const real factor = (real)exp(-decay_rate(log_a[c], log_dt[0]));
        for (size_t i = c; i < rows * cols; i += cols)
            out[i] = factor * h[i] + b[c] * e[i] + (y != NULL ? y[i] : 0);
    }
}

/* dA/d(log_a) = dA/d(log_dt) = -u A inside the clamp, 0 outside. */
static double factor_slope(real log_a, real log_dt) {
    if (fabs((double)log_dt + (double)log_a) > log_rate_limit)
        return 0;
    double rate = decay_rate(log_a, log_dt);
    return -rate * exp(-rate);
}

void loom_ref_lti_backward(const struct loom_kernels *k, real *dh, real *de, real *dlog_a, real *dlog_dt, real *db,
                           const real *dout, const real *h, const real *e, const real *log_a, const real *log_dt,
                           const real *b, size_t rows, size_t cols) {
    (void)k;
    double sum_log_dt = 0;
    for (size_t c = 0; c < cols; c++) {
        const real factor = (real)exp(-decay_rate(log_a[c], log_dt[0]));
        double dfactor = 0, sum_b = 0;
        for (size_t i = c; i < rows * cols; i += cols) {
            dh[i] = factor * dout[i];
            de[i] += b[c] * dout[i];
            dfactor += (double)dout[i] * (double)h[i];
            sum_b += (double)dout[i] * (double)e[i];
        }
        if (dlog_a == NULL)
            continue;
        double slope = dfactor * factor_slope(log_a[c], log_dt[0]);
        dlog_a[c] += (real)slope;
        db[c] += (real)sum_b;
        sum_log_dt += slope;
    }
    if (dlog_dt != NULL)
        dlog_dt[0] += (real)sum_log_dt;
}

/* Whether a running token gives out all that is left of its weight now. */
static bool gives_remainder(const struct loom_halt *s, real cum, real p) {
    return s->last || cum + p >= s->threshold;
}

void loom_ref_halt(const struct loom_kernels *k, const struct loom_halt *s, real *p, real *w, real *cum_out,
                   const real *cum, const real *logit) {
    (void)k;
    for (size_t r = 0; r < s->rows; r++) {
        const real before = cum[r];
        const bool runs = before < s->threshold;
        p[r] = runs ? (real)loom_ref_sigmoid((double)logit[r]) : 0;
        w[r] = p[r];
        if (runs && gives_remainder(s, before, p[r]))
            w[r] = before < 1 ? 1 - before : 0;
        cum_out[r] = before + p[r];
    }
}

void loom_ref_halt_backward(const struct loom_kernels *k, const struct loom_halt *s, real *dlogit, real *dcum,
                            const real *dw, const real *dcum_out, const real *p, const real *cum) {
    (void)k;
    for (size_t r = 0; r < s->rows; r++) {
        const bool remainder = cum[r] < s->threshold && gives_remainder(s, cum[r], p[r]);
        const real through_cum = dcum_out[r];
        const real dp = through_cum + (remainder ? 0 : dw[r]);
        dlogit[r] = dp * p[r] * (1 - p[r]); /* 0 for a token that has halted: its p is 0 */
        dcum[r] = through_cum - (remainder && cum[r] < 1 ? dw[r] : 0);
    }
}
