/* route.c - which experts a row goes to, and moving rows there and back.
 *
 * A bias moves the choice and not the weights (DeepSeek-V3, 2024). Normalising the chosen scores to sum 1 is the same
 * as a softmax over their logarithms, for a softmax over the chosen logits alone; it is computed that way because it
 * never divides zero by zero, however small the chosen scores are. */
#include "kernel/ref/ref.h"

/* y may be x. */
static void softmax(real *y, const real *x, size_t n) {
    const struct loom_ref_softmax s = loom_ref_softmax(x, n);
    for (size_t i = 0; i < n; i++)
        y[i] = (real)(exp((double)x[i] - s.largest) / s.sum);
}

static bool contains(const int *ids, size_t n, size_t id) {
    for (size_t i = 0; i < n; i++)
        if ((size_t)ids[i] == id)
            return true;
    return false;
}

/* The top_k largest of values + bias. Every id is valid and distinct even where the values are not finite. */
static void choose(const struct loom_route *r, int *ids, const real *values, const real *bias) {
    for (size_t j = 0; j < r->top_k; j++) {
        bool found = false;
        real largest = 0;
        for (size_t e = 0; e < r->experts; e++) {
            real value = values[e] + (bias != NULL ? bias[e] : 0);
            if (contains(ids, j, e) || (found && !(value > largest)))
                continue;
            found = true;
            largest = value;
            ids[j] = (int)e;
        }
    }
}

static void score(const struct loom_route *r, real *scores, const real *logits) {
    if (r->kind != LOOM_ROUTER_SIGMOID) {
        softmax(scores, logits, r->experts);
        return;
    }
    for (size_t e = 0; e < r->experts; e++)
        scores[e] = (real)(1 / (1 + exp(-(double)logits[e])));
}

/* log(1 / (1 + exp(-x))), finite wherever x is. */
static double log_sigmoid(double x) {
    return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
}

static void weigh(const struct loom_route *r, real *gates, const int *ids, const real *scores, const real *logits) {
    for (size_t j = 0; j < r->top_k; j++) {
        real logit = logits[ids[j]];
        gates[j] = r->kind == LOOM_ROUTER_SIGMOID ? (real)log_sigmoid((double)logit) : logit;
        if (r->kind == LOOM_ROUTER_SWITCH)
            gates[j] = scores[ids[j]];
    }
    if (r->kind != LOOM_ROUTER_SWITCH)
        softmax(gates, gates, r->top_k);
}

void loom_ref_route(const struct loom_kernels *k, const struct loom_route *r, real *scores, int *ids, real *gates,
                    const real *logits, const real *bias) {
    (void)k;
    for (size_t row = 0; row < r->rows; row++) {
        const real *logit = logits + row * r->experts;
        real *scored = scores + row * r->experts;
        int *id = ids + row * r->top_k;
        score(r, scored, logit);
        choose(r, id, r->kind == LOOM_ROUTER_SIGMOID ? scored : logit, bias);
        weigh(r, gates + row * r->top_k, id, scored, logit);
    }
}

/* One row whose gates sum to 1: only the chosen logits move them. */
static void normalised_backward(const struct loom_route *r, real *dlogits, const real *dgates, const real *scores,
                                const int *ids, const real *gates) {
    double mean = loom_ref_dot(gates, dgates, r->top_k);
    for (size_t e = 0; e < r->experts; e++)
        dlogits[e] = 0;
    for (size_t j = 0; j < r->top_k; j++) {
        double slope = r->kind == LOOM_ROUTER_SIGMOID ? 1 - (double)scores[ids[j]] : 1;
        dlogits[ids[j]] = (real)(slope * (double)gates[j] * ((double)dgates[j] - mean));
    }
}

/* One row whose gates are scores of a softmax over all: every logit moves them. */
static void switch_backward(const struct loom_route *r, real *dlogits, const real *dgates, const real *scores,
                            const int *ids, const real *gates) {
    double mean = loom_ref_dot(gates, dgates, r->top_k);
    for (size_t e = 0; e < r->experts; e++)
        dlogits[e] = (real)(-(double)scores[e] * mean);
    for (size_t j = 0; j < r->top_k; j++)
        dlogits[ids[j]] += gates[j] * dgates[j];
}

void loom_ref_route_backward(const struct loom_kernels *k, const struct loom_route *r, real *dlogits,
                             const real *dgates, const real *scores, const int *ids, const real *gates) {
    (void)k;
    for (size_t row = 0; row < r->rows; row++) {
        const size_t all = row * r->experts, chosen = row * r->top_k;
        if (r->kind == LOOM_ROUTER_SWITCH)
            switch_backward(r, dlogits + all, dgates + chosen, scores + all, ids + chosen, gates + chosen);
        else
            normalised_backward(r, dlogits + all, dgates + chosen, scores + all, ids + chosen, gates + chosen);
    }
}

/* ---- balance ----------------------------------------------------------------------------------------------------- */

/* How often a sequence chose each expert, over the mean. */
static void measure_load(const struct loom_route *r, real *load, const int *ids, size_t rows) {
    for (size_t e = 0; e < r->experts; e++)
        load[e] = 0;
    for (size_t i = 0; i < rows * r->top_k; i++)
        load[ids[i]] += (real)r->experts / (real)(rows * r->top_k);
}

/* One row's part: weight * sum over e of load[e] * share[e]. */
static double balance_row(const struct loom_route *r, double weight, real *dlogits, const real *load,
                          const real *scores) {
    double sum = 0, mean = 0;
    for (size_t e = 0; e < r->experts; e++) {
        sum += (double)scores[e];
        mean += (double)load[e] * (double)scores[e];
    }
    mean = sum > 0 ? mean / sum : 0;
    for (size_t e = 0; e < r->experts && sum > 0; e++) {
        double slope = r->kind == LOOM_ROUTER_SIGMOID ? 1 - (double)scores[e] : 1;
        dlogits[e] += (real)(weight * slope * (double)scores[e] / sum * ((double)load[e] - mean));
    }
    return weight * mean;
}

static double z_row(const struct loom_route *r, double weight, real *dlogits, const real *logits) {
    const struct loom_ref_softmax s = loom_ref_softmax(logits, r->experts);
    double lse = s.largest + log(s.sum);
    for (size_t e = 0; e < r->experts; e++)
        dlogits[e] += (real)(2 * weight * lse * exp((double)logits[e] - s.largest) / s.sum);
    return weight * lse * lse;
}

double loom_ref_balance(const struct loom_kernels *k, const struct loom_route *r, const struct loom_balance *b,
                        real *dlogits, real *load, const real *logits, const real *scores, const int *ids) {
    double loss = 0;
    (void)k;
    for (size_t first = 0; first < r->rows; first += b->seq) {
        measure_load(r, load, ids + first * r->top_k, b->seq);
        for (size_t row = first; row < first + b->seq; row++) {
            const size_t at = row * r->experts;
            loss += balance_row(r, (double)b->sequence / (double)b->seq, dlogits + at, load, scores + at);
            loss += fabs((double)b->z) > 0 ? z_row(r, (double)b->z, dlogits + at, logits + at) : 0;
        }
    }
    return loss;
}

/* ---- moving rows ------------------------------------------------------------------------------------------------- */

void loom_ref_group(const struct loom_kernels *k, const struct loom_route *r, int *offset, int *slot, int *source,
                    const int *ids) {
    (void)k;
    const size_t choices = r->rows * r->top_k;
    for (size_t e = 0; e <= r->experts; e++)
        offset[e] = 0;
    for (size_t i = 0; i < choices; i++)
        offset[ids[i] + 1]++;
    for (size_t e = 0; e < r->experts; e++)
        offset[e + 1] += offset[e];
    /* Each start serves as its group's cursor, which leaves it at the next group's start: shift them back after. */
    for (size_t i = 0; i < choices; i++) {
        slot[i] = offset[ids[i]]++;
        source[slot[i]] = (int)i;
    }
    for (size_t e = r->experts; e > 0; e--)
        offset[e] = offset[e - 1];
    offset[0] = 0;
}

void loom_ref_gather(const struct loom_kernels *k, const struct loom_route *r, void *y, const void *x,
                     enum loom_storage format, const int *source, size_t cols) {
    (void)format;
    for (size_t i = 0; i < r->rows * r->top_k; i++)
        loom_ref_copy(k, (real *)y + i * cols, (const real *)x + (size_t)source[i] / r->top_k * cols, cols);
}

void loom_ref_gather_backward(const struct loom_kernels *k, const struct loom_route *r, real *dx, const real *dy,
                              const int *slot, size_t cols) {
    for (size_t i = 0; i < r->rows * r->top_k; i++) {
        real *row = dx + i / r->top_k * cols;
        loom_ref_add(k, row, row, dy + (size_t)slot[i] * cols, cols);
    }
}

void loom_ref_combine(const struct loom_kernels *k, const struct loom_route *r, real *y, const real *x,
                      const real *gates, const int *slot, size_t cols) {
    for (size_t i = 0; i < r->rows * r->top_k; i++)
        loom_ref_add_scaled(k, y + i / r->top_k * cols, gates[i], x + (size_t)slot[i] * cols, cols);
}

void loom_ref_combine_backward(const struct loom_kernels *k, const struct loom_route *r, void *dx,
                               enum loom_storage format, real *dgates, const real *dy, const real *x, const real *gates,
                               const int *slot, size_t cols) {
    real *to = dx;
    (void)format;
    (void)k;
    for (size_t i = 0; i < r->rows * r->top_k; i++) {
        const size_t at = (size_t)slot[i] * cols;
        const real *row = dy + i / r->top_k * cols;
        dgates[i] = (real)loom_ref_dot(row, x + at, cols); /* first, because dx may be x */
        for (size_t c = 0; c < cols; c++)
            to[at + c] = gates[i] * row[c];
    }
}
