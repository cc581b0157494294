/* optimizer.c - AdamW, decoupled weight decay (Loshchilov & Hutter 2019). */
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
