/* kernel.h - the one interface between model code and a machine.
 *
 * struct loom_kernels is a table of functions on raw arrays. It knows no model, file or config. A machine fills the
 * whole table (ref/ in plain C, cpu/ starting from ref and overriding what it does faster); model code is written once
 * against it. A kernel cannot fail and allocates nothing.
 *
 * Conventions
 *   - Arrays are dense and row-major; (R,C) means R rows of C elements. Outputs are overwritten, except where the
 * comment says "+=". Unless said otherwise an output must not overlap an input.
 *   - Gradients carry the tensor's name with a d in front. Gradients of weights are always "+=", because a looped
 * weight is used many times in one step.
 *   - Results do not depend on the number of threads: every sum has one fixed order.
 *   - Reductions over more than a few elements accumulate so that float results stay within about 1e-6 relative.
 */
#ifndef LOOM_KERNEL_KERNEL_H
#define LOOM_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

/* How a machine rounds the factors of its products. Sums are float32 in each, and so is everything in memory. The whole
 * numbers are for inference: y = x W^T with held weights (see hold), each 32 neighbours of a row with a scale of their
 * own; x is rounded to 8 bits in the same way. */
enum loom_precision { LOOM_PRECISION_FLOAT32, LOOM_PRECISION_BF16, LOOM_PRECISION_INT8, LOOM_PRECISION_INT4 };

/* How an array's elements lie in memory: as `real`, or rounded to bf16. Where products round their factors to bf16, an
 * array that products alone read may be kept so from the start, at half the bytes and with nothing left to round. */
enum loom_storage { LOOM_STORAGE_REAL, LOOM_STORAGE_BF16 };

static inline size_t loom_storage_size(enum loom_storage format) {
    return format == LOOM_STORAGE_BF16 ? sizeof(uint16_t) : sizeof(real);
}

/* The place of an element. */
static inline const void *loom_storage_at(const void *array, enum loom_storage format, size_t element) {
    return (const char *)array + element * loom_storage_size(format);
}

/* A (batch, row, head, channel) array inside a larger one: element (b,t,h,d) is data[b*batch + t*row + h*head + d]. In
 * another format than `real`, `data` is only where the elements lie. */
struct loom_view {
    real *data;
    size_t batch, row, head; /* strides, in elements */
    enum loom_storage format;
};

/* The same view from an element on. */
static inline struct loom_view loom_view_from(struct loom_view view, size_t element) {
    view.data = (real *)(uintptr_t)loom_storage_at(view.data, view.format, element);
    return view;
}

/* Matrix products over groups of rows. Rows offset[g] .. offset[g+1]-1 belong to group g, which has its own weight
 * matrix, the g-th of `groups` that lie one after another, or `stride` elements apart. offset == NULL means that all
 * groups have as many rows. x has `rows` rows of n_in, y has `rows` rows of n_out, each weight matrix is (n_out, n_in),
 * as in y = x W^T. */
struct loom_linear {
    size_t rows, n_in, n_out;
    size_t groups;
    const int *offset; /* (groups+1) or NULL */
    size_t stride;     /* from one group's matrix to the next; 0: n_in * n_out */
    bool exact;        /* float32 factors whatever the machine's precision: what chooses experts and halts tokens */
    enum loom_storage x, y; /* of x and of y's gradient where they are factors; results are `real` */
};

/* Elements from one group's matrix to the next. */
static inline size_t loom_linear_stride(const struct loom_linear *s) {
    return s->stride > 0 ? s->stride : s->n_in * s->n_out;
}

/* The first row of group g, which is also the row behind group g-1. */
static inline size_t loom_linear_start(const struct loom_linear *s, size_t g) {
    return s->offset != NULL ? (size_t)s->offset[g] : g * (s->rows / s->groups);
}

/* The widest heads of attention whose views are in another format than `real`, and how wide the query heads of a row
 * may be together where keys and values are. */
enum { LOOM_ATTENTION_WIDEST = 1024, LOOM_ATTENTION_MOST = 3 << 15 };

/* Causal attention of `queries` new rows over `keys` rows (the cache's, then the new ones): query i sees keys
 * 0 .. keys-queries+i. Query head h reads key/value head h / (heads/kv_heads). */
struct loom_attention {
    size_t batch, queries, keys, heads, kv_heads;
    size_t head_dim, value_dim;
    real scale;
    real dropout;          /* probability that an attention weight is dropped; 0 when not training */
    uint64_t dropout_seed; /* stream of the masks; the same in forward and backward */
    /* (batch, queries) or NULL: query i of sequence b sees no key before first[b*queries+i], so that documents that lie
     * end to end stay apart. At most keys-queries+i, and never less than the query before it has. NULL means 0. */
    const int *first;
    /* The first `shared` keys and values are the same for each `group` sequences and lie in the first of these alone;
     * queries is then 1, and their first keys are the same. 0: each has its own. */
    size_t shared, group;
};

/* How a router turns logits into scores, and the chosen ones' scores into gates. */
enum loom_router_kind {
    LOOM_ROUTER_SOFTMAX, /* scores = softmax over all; gates = the chosen ones normalised to sum 1. Shazeer 2017 */
    LOOM_ROUTER_SIGMOID, /* scores = sigmoid of each; gates likewise. DeepSeek-V3, arXiv 2412.19437 */
    LOOM_ROUTER_SWITCH,  /* scores = softmax over all; gates = the chosen ones. Switch, arXiv 2101.03961 */
    LOOM_ROUTER_MIXTRAL  /* gates = softmax over the chosen logits (Mixtral, arXiv 2401.04088): softmax's, by algebra */
};

struct loom_route {
    size_t rows, experts, top_k;
    enum loom_router_kind kind;
};

/* What the loss asks of a router besides: an even load over the experts, and small logits. */
struct loom_balance {
    size_t seq;    /* rows of a sequence */
    real sequence; /* weight of the sequence loss, for each sequence */
    real z;        /* weight of the z-loss, for each row */
};

struct loom_halt {
    size_t rows;
    real threshold; /* a token halts when its cumulative probability reaches this */
    bool last;      /* give every token that still runs the whole remainder (no weight is lost) */
};

/* Muon's update of `blocks` matrices (rows, cols) that lie one after another. */
struct loom_muon {
    size_t blocks, rows, cols;
    double learning_rate, weight_decay;
    double beta2, correction2; /* of the rows' second moments; beta2 0: rows are left as they are */
    bool cautious;             /* decay only where it and the update point the same way */
};

struct loom_adamw {
    double learning_rate, beta1, beta2, epsilon, weight_decay; /* double: 1 - beta2 in float is off by 1e-5 */
    double correction1, correction2;                           /* 1 - beta1^t, 1 - beta2^t, t counted from 1 */
    real gradient_scale; /* each gradient is multiplied by this first (clipping, accumulation) */
};

struct loom_kernels {
    const char *name; /* "ref", "cpu-avx512", ... */
    void *self;       /* what the machine keeps: threads, scratch, counters */

    /* From now on products that are not exact, attention's among them, round their factors so; a new machine's are
     * float32. False, and nothing changes, when this machine cannot. */
    bool (*set_precision)(const struct loom_kernels *k, enum loom_precision precision);

    /* The format for arrays that only products which are not exact will read. No other than this and `real` may be
     * asked of this machine. */
    enum loom_storage (*factor_format)(const struct loom_kernels *k);

    /* ---- memory -------------------------------------------------------------------------------------------------- */
    /* Zeroed, aligned to 64 bytes; NULL when there is none. release(NULL) is fine. */
    void *(*alloc)(const struct loom_kernels *k, size_t bytes);
    void (*release)(const struct loom_kernels *k, void *memory);
    void (*upload)(const struct loom_kernels *k, void *to, const void *host, size_t bytes);
    void (*download)(const struct loom_kernels *k, void *host, const void *from, size_t bytes);

    /* From now on the `count` elements at `weights` stay as they are until hold is called again, which it must be after
     * every change: the machine may keep copies of them in the form it multiplies best. NULL: no longer. Results do not
     * depend on it, except that int8 and int4 round held weights only. False when there is no memory for the copies,
     * which is taken when `count` is not the last call's.
     */
    bool (*hold)(const struct loom_kernels *k, const real *weights, size_t count);

    /* ---- plain arrays of n elements ------------------------------------------------------------------------------ */
    void (*fill)(const struct loom_kernels *k, real *y, real value, size_t n);
    void (*copy)(const struct loom_kernels *k, real *y, const real *x, size_t n);
    /* y = x, in another format. */
    void (*convert)(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n);
    /* y = a + b; y may be a or b. */
    void (*add)(const struct loom_kernels *k, real *y, const real *a, const real *b, size_t n);
    /* y += s * x. */
    void (*add_scaled)(const struct loom_kernels *k, real *y, real s, const real *x, size_t n);
    /* y = a * x + b * z; y may be x or z. */
    void (*blend)(const struct loom_kernels *k, real *y, real a, const real *x, real b, const real *z, size_t n);
    /* Sums in double. */
    double (*sum)(const struct loom_kernels *k, const real *x, size_t n);
    double (*sum_squares)(const struct loom_kernels *k, const real *x, size_t n);
    /* How many elements are below `limit`. */
    size_t (*count_below)(const struct loom_kernels *k, const real *x, real limit, size_t n);
    /* y = x * keep/(1-rate) where keep is 0 or 1 by the stream (seed, element index). y may be x. Its own backward. */
    void (*dropout)(const struct loom_kernels *k, real *y, const real *x, real rate, uint64_t seed, size_t n);

    /* ---- rows: x, y are (rows, cols) ----------------------------------------------------------------------------- */
    /* y[r][c] = x[r][c], or += when `accumulate`; row r starts at y + r*ldy, x + r*ldx. */
    void (*copy_columns)(const struct loom_kernels *k, real *y, size_t ldy, const real *x, size_t ldx, size_t rows,
                         size_t cols, bool accumulate);
    /* y (batch, rows, heads, width) = x, which is `real` or in y's format; either may have its heads outside its rows,
     * and all heads of x may be one. */
    void (*copy_heads)(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch, size_t rows,
                       size_t heads, size_t width);
    /* y[r][c] += row[c]. */
    void (*add_row)(const struct loom_kernels *k, real *y, const real *row, size_t rows, size_t cols);
    /* drow[c] += sum over r of dy[r][c]: the backward of add_row. */
    void (*sum_rows)(const struct loom_kernels *k, real *drow, const void *dy, enum loom_storage format, size_t rows,
                     size_t cols);
    /* y[r][c] = x[r][c] * row[c]; y may be x. */
    void (*scale_columns)(const struct loom_kernels *k, real *y, const real *x, const real *row, size_t rows,
                          size_t cols);
    /* drow[c] += sum over r of dy[r][c] * x[r][c]: the weight's half of the backward of scale_columns. */
    void (*sum_products)(const struct loom_kernels *k, real *drow, const real *dy, const real *x, size_t rows,
                         size_t cols);
    /* y[r][c] += w[r] * x[r][c]. */
    void (*add_scaled_rows)(const struct loom_kernels *k, real *y, const real *w, const real *x, size_t rows,
                            size_t cols);
    /* dw[r] = sum over c of dy[r][c] * x[r][c]: the weight's half of the backward of add_scaled_rows. */
    void (*dot_rows)(const struct loom_kernels *k, real *dw, const real *dy, const real *x, size_t rows, size_t cols);

    /* ---- matrix products (struct loom_linear has the shapes) ----------------------------------------------------- */
    /* y = x W^T, or += when `accumulate`. */
    void (*linear)(const struct loom_kernels *k, const struct loom_linear *s, real *y, const void *x, const real *w,
                   bool accumulate);
    /* dx = dy W, or += when `accumulate`. */
    void (*linear_input)(const struct loom_kernels *k, const struct loom_linear *s, real *dx, const void *dy,
                         const real *w, bool accumulate);
    /* dW += dy^T x, each group from its own rows; a group without rows is left as it is. */
    void (*linear_weight)(const struct loom_kernels *k, const struct loom_linear *s, real *dw, const void *dy,
                          const void *x);

    /* ---- normalisation over the last axis ------------------------------------------------------------------------ */
    /* y, in this format, = x / sqrt(mean(x^2) + eps) * weight; rstd (rows) is kept for the backward. weight may be
     * NULL: ones. Zhang & Sennrich 2019. */
    void (*rmsnorm)(const struct loom_kernels *k, void *y, enum loom_storage format, real *rstd, const real *x,
                    const real *weight, size_t rows, size_t cols, real eps);
    /* dx +=, dweight +=; weight and dweight may be NULL. */
    void (*rmsnorm_backward)(const struct loom_kernels *k, real *dx, real *dweight, const real *dy, const real *x,
                             const real *weight, const real *rstd, size_t rows, size_t cols);
    /* y = (x - mean) / sqrt(var + eps) * weight + bias; bias may be NULL. mean and rstd are (rows). Ba et al. 2016. */
    void (*layernorm)(const struct loom_kernels *k, void *y, enum loom_storage format, real *mean, real *rstd,
                      const real *x, const real *weight, const real *bias, size_t rows, size_t cols, real eps);
    /* dx +=, dweight +=, dbias +=; both may be NULL, or dbias alone. */
    void (*layernorm_backward)(const struct loom_kernels *k, real *dx, real *dweight, real *dbias, const real *dy,
                               const real *x, const real *weight, const real *mean, const real *rstd, size_t rows,
                               size_t cols);

    /* ---- activations --------------------------------------------------------------------------------------------- */
    /* Outputs are in this format; where it is `real`, each may be one of the inputs.
     * y = silu(gate) * up, silu(z) = z / (1 + exp(-z)). Shazeer 2020. */
    void (*swiglu)(const struct loom_kernels *k, void *y, enum loom_storage format, const real *gate, const real *up,
                   size_t n);
    /* Backward also gives the forward's y again, so that nobody has to keep it. dgate, dup and y are overwritten. */
    void (*swiglu_backward)(const struct loom_kernels *k, void *dgate, void *dup, void *y, enum loom_storage format,
                            const real *dy, const real *gate, const real *up, size_t n);
    /* y = max(x, 0)^2. So et al., arXiv 2109.08668. */
    void (*relu2)(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n);
    /* dx and y are overwritten. */
    void (*relu2_backward)(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                           const real *x, size_t n);
    /* y = cap tanh(x / cap): nothing leaves (-cap, cap). y may be x. Gemma 2, arXiv 2408.00118. */
    void (*softcap)(const struct loom_kernels *k, real *y, const real *x, real cap, size_t n);
    /* dx is overwritten, from the output y; dx may be dy. */
    void (*softcap_backward)(const struct loom_kernels *k, real *dx, const real *dy, const real *y, real cap, size_t n);
    /* y = x/2 (1 + erf(x/sqrt 2)), exact to float's rounding. Hendrycks & Gimpel 2016. */
    void (*gelu)(const struct loom_kernels *k, void *y, enum loom_storage format, const real *x, size_t n);
    /* dx and y are overwritten. x has their format, and y may be x. */
    void (*gelu_backward)(const struct loom_kernels *k, void *dx, void *y, enum loom_storage format, const real *dy,
                          const void *x, size_t n);

    /* ---- embedding ----------------------------------------------------------------------------------------------- */
    /* y[r] = table[ids[r]]; the ids have been checked. */
    void (*embed)(const struct loom_kernels *k, real *y, const real *table, const int *ids, size_t rows, size_t cols);
    /* dtable[ids[r]] += dy[r]. */
    void (*embed_backward)(const struct loom_kernels *k, real *dtable, const real *dy, const int *ids, size_t rows,
                           size_t cols);

    /* ---- attention ----------------------------------------------------------------------------------------------- */
    /* The first 2*pairs channels of y (batch, rows, heads, .) = those of x, which is `real` and may be y, with adjacent
     * pairs rotated by the angles of positions first .. first+rows-1; table is (positions, pairs, 2) with cosine, sine.
     * inverse turns back: that is the backward. Su et al. 2021. */
    void (*rope)(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch, size_t rows,
                 size_t heads, size_t pairs, const real *table, size_t first, bool inverse);
    /* out = softmax(scale q k^T) v; lse (batch, heads, queries) is the log of each softmax's sum, for the backward. q,
     * key and value have one format, and out has its own; no `shared` keys where one is not `real`. */
    void (*attention)(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view out, real *lse,
                      struct loom_view q, struct loom_view key, struct loom_view value);
    /* dq, dk, dv are overwritten; they and dout are `real`. */
    void (*attention_backward)(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view dq,
                               struct loom_view dk, struct loom_view dv, struct loom_view dout, struct loom_view out,
                               const real *lse, struct loom_view q, struct loom_view key, struct loom_view value);

    /* ---- router and experts -------------------------------------------------------------------------------------- */
    /* scores (rows, experts); ids and gates (rows, top_k): the experts with the largest logits + bias, or for SIGMOID
     * scores + bias, largest first, the lower id first among equals; the bias chooses and never weighs. */
    void (*route)(const struct loom_kernels *k, const struct loom_route *r, real *scores, int *ids, real *gates,
                  const real *logits, const real *bias);
    /* dlogits (rows, experts) is overwritten. */
    void (*route_backward)(const struct loom_kernels *k, const struct loom_route *r, real *dlogits, const real *dgates,
                           const real *scores, const int *ids, const real *gates);
    /* dlogits (rows, experts) += the gradient of the sum, which is returned, of
     *   b.sequence * sum over e of f[e] P[e] for each sequence, f[e] = experts / (top_k seq) * its choices of e, which
     * is held fixed, P[e] the mean over its rows of e's share of the row's scores; DeepSeek-V3, arXiv 2412.19437; b.z *
     * logsumexp(logits)^2 for each row; ST-MoE, arXiv 2202.08906. load (experts) is scratch. */
    double (*balance)(const struct loom_kernels *k, const struct loom_route *r, const struct loom_balance *b,
                      real *dlogits, real *load, const real *logits, const real *scores, const int *ids);
    /* Counting sort of the rows*top_k choices by expert, stable: offset (experts+1); slot (rows*top_k) is where choice
     * r*top_k+j went; source (rows*top_k) is slot's inverse. */
    void (*group)(const struct loom_kernels *k, const struct loom_route *r, int *offset, int *slot, int *source,
                  const int *ids);
    /* y[i] = x[source[i] / top_k], both in this format: y is (rows*top_k, cols). */
    void (*gather)(const struct loom_kernels *k, const struct loom_route *r, void *y, const void *x,
                   enum loom_storage format, const int *source, size_t cols);
    /* dx[r] += sum over j of dy[slot[r*top_k+j]]. */
    void (*gather_backward)(const struct loom_kernels *k, const struct loom_route *r, real *dx, const real *dy,
                            const int *slot, size_t cols);
    /* y[r] += sum over j of gates[r][j] * x[slot[r*top_k+j]]. */
    void (*combine)(const struct loom_kernels *k, const struct loom_route *r, real *y, const real *x, const real *gates,
                    const int *slot, size_t cols);
    /* dx[slot[r*top_k+j]], in this format, = gates[r][j] * dy[r]; dgates[r][j] = dy[r] . x[slot[r*top_k+j]]. dx may be
     * x where its format is `real`. */
    void (*combine_backward)(const struct loom_kernels *k, const struct loom_route *r, void *dx,
                             enum loom_storage format, real *dgates, const real *dy, const real *x, const real *gates,
                             const int *slot, size_t cols);

    /* ---- the loop ------------------------------------------------------------------------------------------------ */
    /* out = A h + b e + y per channel, A = exp(-exp(clamp(log_dt + log_a, -20, 20))) in (0,1); log_dt is (1), log_a
     * and b are (cols). out may be y; y may be NULL: zeros. Parcae, arXiv 2604.12946. */
    void (*lti)(const struct loom_kernels *k, real *out, const real *h, const real *e, const real *y, const real *log_a,
                const real *log_dt, const real *b, size_t rows, size_t cols);
    /* dh is overwritten; de, dlog_a, dlog_dt, db +=. (dy is dout itself.) The last three may be NULL, all of them. */
    void (*lti_backward)(const struct loom_kernels *k, real *dh, real *de, real *dlog_a, real *dlog_dt, real *db,
                         const real *dout, const real *h, const real *e, const real *log_a, const real *log_dt,
                         const real *b, size_t rows, size_t cols);
    /* One step of adaptive computation time, all arrays (rows). A token runs while cum < threshold. For one that runs:
     *   p = sigmoid(logit); w = (cum + p >= threshold or last) ? max(1 - cum, 0) : p; cum_out = cum + p.
     * For one that has halted: p = w = 0, cum_out = cum. Graves 2016. */
    void (*halt)(const struct loom_kernels *k, const struct loom_halt *s, real *p, real *w, real *cum_out,
                 const real *cum, const real *logit);
    /* dlogit and dcum are overwritten, from dw and dcum_out; dcum may be dcum_out. */
    void (*halt_backward)(const struct loom_kernels *k, const struct loom_halt *s, real *dlogit, real *dcum,
                          const real *dw, const real *dcum_out, const real *p, const real *cum);

    /* ---- loss and optimizer -------------------------------------------------------------------------------------- */
    /* loss[r] = logsumexp(logits[r]) - logits[r][targets[r]], and 0 where targets[r] is -1. When dlogits is not NULL
     * it becomes scale * d(loss[r])/d(logits[r]); it may be logits. */
    void (*cross_entropy)(const struct loom_kernels *k, real *loss, real *dlogits, const real *logits,
                          const int *targets, real scale, size_t rows, size_t cols);
    /* One AdamW update: p -= lr*wd*p, then p -= lr * (m/correction1) / (sqrt(v/correction2) + eps), as PyTorch's.
     * Loshchilov & Hutter 2019. */
    void (*adamw)(const struct loom_kernels *k, const struct loom_adamw *o, real *p, real *m, real *v, const real *g,
                  size_t n);
    /* w (blocks, rows, cols) -= lr (u' + wd w), u' the orthogonal direction u with each row divided by the root of its
     * running mean square v (blocks, rows), and the whole block brought back to its size. Muon: Jordan et al. 2024;
     * the rows' second moments: NorMuon, arXiv 2510.05491; cautious decay: arXiv 2510.12402. */
    void (*muon)(const struct loom_kernels *k, const struct loom_muon *o, real *w, real *v, const real *u);
};

/* The complete table in plain C, one thread. */
const struct loom_kernels *loom_kernels_ref(void);

/* The same table with the overrides of this machine's processor: threads and SIMD, chosen at run time, the best that
 * the processor has unless the environment's LOOM_MACHINE names an older one. `threads` 0 means one for each processor
 * the process may use. NULL when memory is short; free with loom_kernels_cpu_close. */
struct loom_kernels *loom_kernels_cpu_open(int threads);
void loom_kernels_cpu_close(struct loom_kernels *k);

/* Whether this processor runs the instruction set of that name; NULL is the best one. All it runs, in one sentence's
 * part. */
bool loom_kernels_cpu_has(const char *name);
const char *loom_kernels_cpu_names(void);

/* Whether the machine that loom_kernels_cpu_open opens has products in `precision`. */
bool loom_kernels_cpu_multiplies(enum loom_precision precision);

/* A decorator that counts floating-point operations and forwards to `inner`. With inner == NULL nothing is computed or
 * touched: a dry machine, which tells what a pass would cost (alloc answers NULL, sums 0, and count_below n: no token
 * halts early). The count depends on shapes alone; count.c has the convention. */
struct loom_counter {
    struct loom_kernels kernels; /* hand &counter.kernels to model code, and leave the counter where it is meanwhile */
    const struct loom_kernels *inner;
    double flops; /* so far; the caller may set it back to 0 */
};

void loom_counter_init(struct loom_counter *counter, const struct loom_kernels *inner);
/* Whether a machine is a counter that computes nothing. */
bool loom_kernels_dry(const struct loom_kernels *k);

/* The multiply-add rate this machine sustains from registers, in FLOP/s, measured now (about 50 ms). */
double loom_kernels_cpu_peak(int threads, enum loom_precision precision);

/* Bytes a second at which the threads together read blocks of so many bytes each, again and again, the best of several
 * short windows; 0 when memory is short. */
double loom_kernels_cpu_read_rate(int threads, size_t bytes);

#endif
