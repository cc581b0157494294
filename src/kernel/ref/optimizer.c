/* optimizer.c - AdamW, decoupled weight decay (Loshchilov & Hutter 2019); the last step of Muon (Jordan et al. 2024)
 * with NorMuon's rows (arXiv 2510.05491). */
#include "kernel/ref/ref.h"

void loom_ref_adamw(const struct loom_kernels *k, const struct loom_adamw *o, real *p, real *m, real *v, const real *g,
                    size_t n) {
    (void)k;
    const double beta1 = o->beta1, beta2 = o->beta2, keep = 1 - o->learning_rate * o->weight_decay;
    for (size_t i = 0; i < n; i++) {
        double gradient = (double)g[i] * (double)o->gradient_scale;
        double first = beta1 * (double)m[i] + (1 - beta1) * gradient;
        double second = beta2 * (double)v[i] + (1 - beta2) * gradient * gradient;
        double step = first / o->correction1 / (sqrt(second / o->correction2) + o->epsilon);
        m[i] = (real)first;
        v[i] = (real)second;
        p[i] = (real)(keep * (double)p[i] - o->learning_rate * step);
    }
}

/* The factor of a row whose running mean square is v. */
static double row_factor(const struct loom_muon *o, const real *v, size_t row) {
    return o->beta2 > 0 ? 1 / (sqrt((double)v[row] / o->correction2) + 1e-10) : 1;
}

/* Moves the rows' mean squares on; returns what brings the rows, each times its factor, back to the block's length. */
static double observe_rows(const struct loom_muon *o, real *v, const real *u) {
    double before = 0, after = 0;
    for (size_t r = 0; r < o->rows; r++) {
        double square = loom_ref_dot(u + r * o->cols, u + r * o->cols, o->cols);
        v[r] = (real)(o->beta2 * (double)v[r] + (1 - o->beta2) * square / (double)o->cols);
        before += square;
        after += square * row_factor(o, v, r) * row_factor(o, v, r);
    }
    return after > 0 ? sqrt(before / after) : 1;
}

static void move_row(const struct loom_muon *o, real *w, const real *u, double factor) {
    for (size_t c = 0; c < o->cols; c++) {
        bool decays = !o->cautious || w[c] * u[c] > 0;
        double decay = decays ? o->weight_decay * (double)w[c] : 0;
        w[c] = (real)((double)w[c] - o->learning_rate * (factor * (double)u[c] + decay));
    }
}

void loom_ref_muon(const struct loom_kernels *k, const struct loom_muon *o, real *w, real *v, const real *u) {
    (void)k;
    for (size_t block = 0; block < o->blocks; block++) {
        const size_t first = block * o->rows;
        const double size = observe_rows(o, v + first, u + first * o->cols);
        for (size_t r = first; r < first + o->rows; r++)
            move_row(o, w + r * o->cols, u + r * o->cols, size * row_factor(o, v, r));
    }
}
