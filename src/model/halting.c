/* halting.c - see halting.h. */
#include "model/halting.h"

#include <math.h>

#include "model/gradient.h"
#include "model/readout.h"

static struct loom_affine declare_product(struct loom_tensors *table, size_t rows, size_t dim, double weight_std,
                                          double bias_std, const char *name) {
    struct loom_tensor_spec weight = {.rows = rows, .cols = dim, .std = weight_std, .kind = LOOM_TENSOR_HEAD};
    struct loom_tensor_spec bias = {.cols = rows, .std = bias_std};
    struct loom_affine a = {.n_in = dim, .n_out = rows};
    weight.kind = rows > 1 ? LOOM_TENSOR_HEAD : LOOM_TENSOR_HIDDEN;
    a.weight = loom_tensors_add(table, weight, "recurrent.", "%s.weight", name);
    a.bias = loom_tensors_add(table, bias, "recurrent.", "%s.bias", name);
    return a;
}

static bool declare_gate(struct loom_halting_layer *layer, struct loom_tensors *table, const struct loom_config *c) {
    struct loom_config own = *c;
    own.embed_skip = false; /* nothing flows back */
    own.init_match = false; /* a question looks for its number, not for its like */
    layer->gate = declare_product(table, (size_t)loom_config_gate_loops(c), (size_t)c->dim, 0, 0, "gate");
    return loom_block_declare(&layer->listener, table, &own, LOOM_FEED_SWIGLU, "recurrent.gate.");
}

bool loom_halting_declare(struct loom_halting_layer *layer, struct loom_tensors *table, const struct loom_config *c) {
    *layer = (struct loom_halting_layer){.kind = (enum loom_halting)c->halting};
    /* The bias starts with the variance that PyTorch's uniform default has. */
    if (layer->kind == LOOM_HALTING_ACT)
        layer->stop = declare_product(table, 1, (size_t)c->dim, LOOM_INIT_STD, 1 / sqrt(3.0 * c->dim), "act.halt");
    return layer->kind != LOOM_HALTING_GATE || declare_gate(layer, table, c);
}

void loom_halting_free(struct loom_halting_layer *layer) {
    loom_block_free(&layer->listener);
}

bool loom_halting_saved_open(struct loom_halting_saved *s, const struct loom_halting_layer *layer) {
    return layer->kind != LOOM_HALTING_GATE || loom_block_saved_open(&s->listener, &layer->listener);
}

void loom_halting_saved_close(struct loom_halting_saved *s) {
    loom_block_saved_close(&s->listener);
}

/* The product of either, in float32 whatever the machine's precision: it decides. */
static struct loom_linear exact(const struct loom_pass *p, const struct loom_affine *a) {
    return (struct loom_linear){
        .rows = loom_pass_rows(p), .n_in = a->n_in, .n_out = a->n_out, .groups = 1, .exact = true};
}

static void score(struct loom_pass *p, const struct loom_affine *a, real *y, const real *x) {
    struct loom_linear product = exact(p, a);
    p->k->linear(p->k, &product, y, x, p->w + a->weight, false);
    p->k->add_row(p->k, y, p->w + a->bias, product.rows, product.n_out);
}

static void score_backward(struct loom_pass *p, const struct loom_affine *a, real *dx, const real *dy, const real *x,
                           bool accumulate) {
    struct loom_linear product = exact(p, a);
    p->k->linear_input(p->k, &product, dx, dy, p->w + a->weight, accumulate);
    loom_gradient_linear(p, &product, a->weight, dy, x);
    real *dbias = loom_gradient(p, a->bias);
    if (dbias)
        p->k->sum_rows(p->k, dbias, dy, LOOM_STORAGE_REAL, product.rows, product.n_out);
}

/* ---- adaptive computation time ----------------------------------------------------------------------------------- */

/* A token runs while its cumulative probability, 0 at first, is below this. A threshold of 0 must still let every token
 * run the first loop, as the reference does. */
static real threshold(const struct loom_pass *p) {
    return p->c->act_threshold > 0 ? (real)p->c->act_threshold : (real)1e-30;
}

static struct loom_halt act_shape(const struct loom_pass *p, int t) {
    /* The reference loses the weight of a token that no loop halted; loom gives it to the last loop. */
    bool mend = p->c->architecture == LOOM_ARCHITECTURE_LOOM;
    return (struct loom_halt){.rows = loom_pass_rows(p), .threshold = threshold(p), .last = mend && t == p->loops - 1};
}

/* Marks the tokens that have halted after loop t. */
static void mark_halted(struct loom_pass *p, const struct loom_act_saved *a, int t) {
    struct loom_exits *exits = p->exits;
    size_t rows = loom_pass_rows(p);
    if (loom_kernels_dry(p->k))
        return;
    p->k->download(p->k, exits->host, a->cum_next, rows * sizeof *exits->host);
    for (size_t i = 0; i < rows; i++) {
        exits->depth[i] = exits->halted[i] ? exits->depth[i] : t + 1;
        exits->halted[i] = !(exits->host[i] < threshold(p));
        exits->any |= exits->halted[i];
    }
}

void loom_halting_act(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s,
                      struct loom_act_saved *a, int t, real *out, const real *next) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p);
    struct loom_halt shape = act_shape(p, t);
    a->p = loom_stack_take(p->stack, rows);
    a->w = loom_stack_take(p->stack, rows);
    size_t mark = p->stack->used;
    real *logit = loom_stack_take(p->stack, rows);
    score(p, &layer->stop, logit, next);
    k->halt(k, &shape, a->p, a->w, a->cum_next, a->cum, logit);
    loom_stack_release(p->stack, mark);
    k->add_scaled_rows(k, out, a->w, next, rows, (size_t)p->c->dim);
    s->running = k->count_below(k, a->cum_next, threshold(p), rows);
    if (p->exits)
        mark_halted(p, a, t);
}

void loom_halting_act_backward(struct loom_pass *p, const struct loom_halting_layer *layer,
                               const struct loom_act_saved *a, int t, real *dh, real *dcum, const real *dout,
                               const real *next) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), dim = (size_t)p->c->dim;
    struct loom_halt shape = act_shape(p, t);
    real *dw = loom_stack_take(p->stack, rows);
    real *dlogit = loom_stack_take(p->stack, rows);
    k->dot_rows(k, dw, dout, next, rows, dim);
    k->add_scaled_rows(k, dh, a->w, dout, rows, dim);
    k->halt_backward(k, &shape, dlogit, dcum, dw, dcum, a->p, a->cum);
    score_backward(p, &layer->stop, dh, dlogit, next, true);
    loom_stack_release(p->stack, mark);
}

/* ---- the gate ---------------------------------------------------------------------------------------------------- */

/* The likeliest class of each token, counted from 1. */
static void choose(struct loom_pass *p, const real *logits, size_t classes) {
    struct loom_exits *exits = p->exits;
    size_t rows = loom_pass_rows(p);
    p->k->download(p->k, exits->host, logits, rows * classes * sizeof *exits->host);
    for (size_t i = 0; i < rows; i++) {
        const real *row = exits->host + i * classes;
        size_t best = 0;
        for (size_t c = 1; c < classes; c++)
            best = row[c] > row[best] ? c : best;
        exits->depth[i] = (int)best + 1 < p->loops ? (int)best + 1 : p->loops;
    }
}

/* What it would choose for these tokens, and with known numbers its loss. */
static void ask_gate(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s,
                     const real *e) {
    const struct loom_kernels *k = p->k;
    const struct loom_norm norm = loom_norm_plain((size_t)p->c->dim);
    const struct loom_place place = {.slot = loom_config_cache_slots(p->c, p->loops) - 1};
    size_t mark = p->stack->used, rows = loom_pass_rows(p), classes = layer->gate.n_out;
    real *heard = loom_stack_take(p->stack, rows * (size_t)p->c->dim);
    real *logits = loom_stack_take(p->stack, rows * classes), *losses = loom_stack_take(p->stack, rows);
    loom_block_forward(p, &layer->listener, &s->listener, place, heard, e);
    s->normed = loom_norm_forward(p, &norm, &s->norm, heard, rows);
    score(p, &layer->gate, logits, s->normed);
    if (p->depths) {
        k->cross_entropy(k, losses, logits, logits, p->depths, p->gate_scale, rows, classes);
        s->loss = k->sum(k, losses, rows) * (double)p->gate_scale;
        s->dlogits = logits;
    }
    if (p->exits && !loom_kernels_dry(k))
        choose(p, logits, classes);
    if (!p->keep)
        loom_stack_release(p->stack, mark);
}

void loom_halting_gate_backward(struct loom_pass *p, const struct loom_halting_layer *layer,
                                const struct loom_halting_saved *s) {
    const struct loom_norm norm = loom_norm_plain((size_t)p->c->dim);
    size_t mark = p->stack->used, rows = loom_pass_rows(p), n = rows * (size_t)p->c->dim;
    if (!s->dlogits)
        return;
    real *dnormed = loom_stack_take(p->stack, n), *dheard = loom_stack_take(p->stack, n);
    p->k->fill(p->k, dheard, 0, n);
    score_backward(p, &layer->gate, dnormed, s->dlogits, s->normed, false);
    loom_norm_backward(p, &norm, &s->norm, dheard, dnormed, rows);
    loom_block_backward(p, &layer->listener, &s->listener, dheard);
    loom_stack_release(p->stack, mark);
}

/* ---- exits ------------------------------------------------------------------------------------------------------- */

void loom_halting_begin(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s,
                        const real *e) {
    size_t rows = loom_pass_rows(p);
    s->running = rows;
    s->dlogits = NULL;
    s->loss = 0;
    if (layer->kind == LOOM_HALTING_GATE && (p->depths || p->exits))
        ask_gate(p, layer, s, e);
    for (size_t i = 0; p->exits && !loom_kernels_dry(p->k) && i < rows; i++)
        p->exits->halted[i] = false;
    if (!p->exits || layer->kind == LOOM_HALTING_ACT)
        return;
    s->share = loom_stack_take(p->stack, rows);
}

/* What would be read out of each token's state, to the host, in the place of the loop before the last. */
static void read_out(struct loom_pass *p, int t, const real *state) {
    const struct loom_kernels *k = p->k;
    size_t mark = p->stack->used, rows = loom_pass_rows(p), vocab = (size_t)p->c->vocab_size;
    struct loom_norm_saved saved;
    real *logits = loom_stack_take(p->stack, rows * vocab);
    const real *hidden = loom_norm_forward(p, &p->readout->norm, &saved, state, rows);
    loom_readout_logits(p->readout, k, p->c, p->w, logits, hidden, rows);
    k->download(k, p->exits->host + (size_t)(t % 2) * rows * vocab, logits, rows * vocab * sizeof *logits);
    loom_stack_release(p->stack, mark);
}

/* A row of logits becomes that of the logarithms of their softmax. */
static void log_softmax(real *row, size_t n) {
    double log_total = loom_readout_log_total(row, n);
    for (size_t i = 0; i < n; i++)
        row[i] = (real)((double)row[i] - log_total);
}

/* Whether what is read out of token i behind loop t is sure, or has come to rest: by the entropy -sum p log(p), and by
 * the divergence sum p log(p / q) from the loop's before, in nats. */
static bool converged(const struct loom_pass *p, size_t i, int t) {
    size_t vocab = (size_t)p->c->vocab_size, n = loom_pass_rows(p) * vocab;
    real *now = p->exits->host + (size_t)(t % 2) * n + i * vocab;
    const real *before = p->exits->host + (size_t)((t + 1) % 2) * n + i * vocab;
    double entropy = 0, change = 0;
    log_softmax(now, vocab);
    for (size_t v = 0; v < vocab; v++) {
        double share = exp((double)now[v]);
        entropy -= share * (double)now[v];
        change += t > 0 ? share * ((double)now[v] - (double)before[v]) : 0;
    }
    return entropy < p->c->sure_threshold || (t > 0 && change <= p->c->converge_threshold);
}

/* Whether token i has had its loops, behind loop t. */
static bool is_done(const struct loom_pass *p, const struct loom_halting_layer *layer, size_t i, int t) {
    if (t == p->loops - 1)
        return true;
    return layer->kind == LOOM_HALTING_GATE ? p->exits->depth[i] == t + 1 : converged(p, i, t);
}

/* Marks who leaves behind loop t, and fills the shares of their states. */
static void mark_done(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s,
                      int t) {
    struct loom_exits *exits = p->exits;
    size_t rows = loom_pass_rows(p);
    s->running = rows;
    for (size_t i = 0; i < rows; i++) {
        bool leaves = !exits->halted[i] && is_done(p, layer, i, t);
        exits->depth[i] = leaves ? t + 1 : exits->depth[i];
        exits->halted[i] |= leaves;
        exits->share[i] = leaves;
        s->running -= exits->halted[i];
    }
    exits->any = s->running < rows;
}

void loom_halting_exit(struct loom_pass *p, const struct loom_halting_layer *layer, struct loom_halting_saved *s, int t,
                       real *out, const real *next) {
    const struct loom_kernels *k = p->k;
    size_t rows = loom_pass_rows(p);
    if (layer->kind == LOOM_HALTING_CONVERGE)
        read_out(p, t, next);
    if (!loom_kernels_dry(k))
        mark_done(p, layer, s, t);
    k->upload(k, s->share, p->exits->share, rows * sizeof(real));
    k->add_scaled_rows(k, out, s->share, next, rows, (size_t)p->c->dim);
}
