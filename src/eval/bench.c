/* bench.c - loom_bench: what part of the machine's peak a model's kernels, training and decoding reach. See loom.h.
 *
 * Everything runs on random numbers, on the machine of one trainer and through its counter, so that FLOPs are counted
 * and not estimated. A row is measured in rounds; its numbers are the median round's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "eval/bench_machine.h"
#include "eval/numbers.h"
#include "train/trainer.h"

enum { ROUNDS = 5, ARRAYS = 9 };

/* A vocabulary for presets that take theirs from the data: about that of one book's characters. */
enum { VOCABULARY = 65 };

/* Tokens of a prompt, and how many are decoded behind it before the next ones take their place. */
enum { DEFAULT_PROMPT = 128, TOKENS_BEHIND = 32 };

static const double default_seconds = 2;

struct bench {
    double seconds, peak; /* a row's time; FLOP/s */
    double (*clock)(void);
    loom_bench_function on_row;
    void *user;
    struct loom_setup setup;
    struct loom_tokens tokens; /* made up: one shard of random ids */
    struct loom_shard shard;
    struct loom_corpus_folder folder;
    struct loom_corpus corpus;
    struct loom_trainer trainer;
    uint64_t drawn; /* random numbers so far */
    size_t prompt;  /* inference alone: tokens of a prompt; else 0 */
};

/* The trainer's machine, counted. */
static const struct loom_kernels *machine(const struct bench *b) {
    return &b->trainer.counter.kernels;
}

static uint64_t random_below(struct bench *b, uint64_t bound) {
    return loom_random_below((struct loom_random){1, LOOM_RANDOM_TEST}, b->drawn++, bound);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

/* One piece of the work that a row measures: a call of a kernel, a training step, a token. */
typedef loom_status (*work_function)(struct bench *b, void *what, struct loom_error *error);

struct work {
    const char *name, *unit;
    double units; /* of one piece; 0: its FLOPs */
    work_function run;
    void *what;
};

/* FLOP/s and pieces/s of one round. */
static loom_status run_round(struct bench *b, const struct work *work, double *flops, double *pieces,
                             struct loom_error *error) {
    double begin = b->clock(), seconds = 0, count = 0, done = 0;
    for (; count == 0 || seconds < b->seconds / ROUNDS; count++) {
        b->trainer.counter.flops = 0;
        loom_status status = work->run(b, work->what, error);
        if (status)
            return status;
        done += b->trainer.counter.flops;
        seconds = b->clock() - begin;
    }
    *flops = done / seconds;
    *pieces = count / seconds;
    return LOOM_OK;
}

static loom_status measure(struct bench *b, const struct work *work, struct loom_error *error) {
    double flops[ROUNDS], pieces[ROUNDS];
    loom_status status = work->run(b, work->what, error); /* the first touches memory and wakes threads */
    for (int i = 0; i < ROUNDS && status == LOOM_OK; i++)
        status = run_round(b, work, &flops[i], &pieces[i], error);
    if (status)
        return status;
    double rate = loom_numbers_median(flops, ROUNDS);
    struct loom_bench_row row = {.name = work->name,
                                 .unit = work->unit,
                                 .per_second =
                                     work->units > 0 ? work->units * loom_numbers_median(pieces, ROUNDS) : rate,
                                 .flops_per_second = rate,
                                 .peak_share = rate / b->peak};
    b->on_row(b->user, &row);
    return LOOM_OK;
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

/* `count` numbers from [-1, 1) on the machine; NULL when there is no memory. */
static real *random_array(struct bench *b, size_t count) {
    const struct loom_kernels *k = machine(b);
    real *host = malloc(count * sizeof *host), *array = k->alloc(k, count * sizeof *host);
    for (size_t i = 0; host && i < count; i++)
        host[i] = (real)((double)random_below(b, 1 << 20) / (1 << 19) - 1);
    if (host && array)
        k->upload(k, array, host, count * sizeof *host);
    else {
        k->release(k, array);
        array = NULL;
    }
    free(host);
    return array;
}

static loom_status open_arrays(struct bench *b, real **arrays, const size_t *counts, size_t n,
                               struct loom_error *error) {
    for (size_t i = 0; i < n; i++)
        if (!(arrays[i] = random_array(b, counts[i])))
            return loom_fail_memory(error, "benchmark", counts[i] * sizeof(real));
    return LOOM_OK;
}

static void close_arrays(const struct bench *b, real **arrays) {
    for (size_t i = 0; i < ARRAYS; i++)
        machine(b)->release(machine(b), arrays[i]);
}

/* ---- matrix products --------------------------------------------------------------------------------------------- */

struct product {
    struct loom_linear shape;
    int *offset; /* on the machine; NULL with one group */
    real *x, *y, *w, *dx, *dw;
};

static loom_status product_forward(struct bench *b, void *what, struct loom_error *error) {
    const struct product *p = what;
    (void)error;
    machine(b)->linear(machine(b), &p->shape, p->y, p->x, p->w, false);
    return LOOM_OK;
}

static loom_status product_backward(struct bench *b, void *what, struct loom_error *error) {
    const struct product *p = what;
    (void)error;
    machine(b)->linear_input(machine(b), &p->shape, p->dx, p->y, p->w, false);
    machine(b)->linear_weight(machine(b), &p->shape, p->dw, p->y, p->x);
    return LOOM_OK;
}

/* Every group gets the same number of rows, as nearly as it goes. */
static loom_status spread_rows(const struct bench *b, struct product *p, struct loom_error *error) {
    const struct loom_kernels *k = machine(b);
    size_t groups = p->shape.groups, bytes = (groups + 1) * sizeof *p->offset;
    if (groups == 1)
        return LOOM_OK;
    int *host = malloc(bytes);
    p->offset = k->alloc(k, bytes);
    if (host && p->offset) {
        for (size_t g = 0; g <= groups; g++)
            host[g] = (int)(g * p->shape.rows / groups);
        k->upload(k, p->offset, host, bytes);
    }
    p->shape.offset = p->offset;
    loom_status status = host && p->offset ? LOOM_OK : loom_fail_memory(error, "benchmark", bytes);
    free(host);
    return status;
}

static loom_status measure_product(struct bench *b, const char *what, struct loom_linear shape,
                                   struct loom_error *error) {
    struct product p = {.shape = shape};
    const size_t x = shape.rows * shape.n_in, y = shape.rows * shape.n_out, w = shape.groups * shape.n_in * shape.n_out;
    real *arrays[ARRAYS] = {NULL};
    char name[96];
    loom_status status = open_arrays(b, arrays, (const size_t[]){x, y, w, x, w}, 5, error);
    if (status == LOOM_OK)
        status = spread_rows(b, &p, error);
    p.x = arrays[0], p.y = arrays[1], p.w = arrays[2], p.dx = arrays[3], p.dw = arrays[4];
    struct work work = {name, "FLOP", 0, product_forward, &p};
    snprintf(name, sizeof name, "%s %zux%zux%zu forward", what, shape.rows, shape.n_in, shape.n_out);
    if (status == LOOM_OK)
        status = measure(b, &work, error);
    snprintf(name, sizeof name, "%s %zux%zux%zu backward", what, shape.rows, shape.n_in, shape.n_out);
    work.run = product_backward;
    if (status == LOOM_OK)
        status = measure(b, &work, error);
    machine(b)->release(machine(b), p.offset);
    close_arrays(b, arrays);
    return status;
}

/* The block that does most of the work: the core's, or gpt's. */
static const struct loom_block *main_block(const struct bench *b) {
    const struct loom_net *net = &b->trainer.model.net;
    return net->core.layers > 0 ? &net->core.blocks[0] : &net->prelude[0];
}

static loom_status measure_products(struct bench *b, struct loom_error *error) {
    const struct loom_config *c = &b->setup.config;
    const struct loom_block *block = main_block(b);
    const struct loom_affine *o = &block->attention.o, *fc = &block->mlp.fc;
    const struct loom_swiglu *expert = &block->experts.routed;
    size_t rows = (size_t)b->setup.recipe.batch_size * (size_t)b->setup.recipe.seq_len;
    struct loom_linear out = {.rows = rows, .n_in = o->n_in, .n_out = o->n_out, .groups = 1};
    struct loom_linear wide = {.rows = rows, .n_in = fc->n_in, .n_out = fc->n_out, .groups = 1};
    struct loom_linear head = {.rows = rows, .n_in = (size_t)c->dim, .n_out = (size_t)c->vocab_size, .groups = 1};
    const char *what = "feed-forward";
    if (block->feed == LOOM_FEED_EXPERTS) {
        what = "experts";
        wide = (struct loom_linear){.rows = rows * (size_t)c->n_experts_per_tok,
                                    .n_in = expert->dim,
                                    .n_out = expert->width,
                                    .groups = expert->groups};
    }
    loom_status status = measure_product(b, "attention output", out, error);
    if (status == LOOM_OK)
        status = measure_product(b, what, wide, error);
    return status ? status : measure_product(b, "head", head, error);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

struct attention {
    struct loom_attention shape;
    struct loom_view q, k, v, out, dq, dk, dv, dout;
    real *lse;
};

static loom_status attention_forward(struct bench *b, void *what, struct loom_error *error) {
    const struct attention *a = what;
    (void)error;
    machine(b)->attention(machine(b), &a->shape, a->out, a->lse, a->q, a->k, a->v);
    return LOOM_OK;
}

static loom_status attention_backward(struct bench *b, void *what, struct loom_error *error) {
    const struct attention *a = what;
    (void)error;
    machine(b)->attention_backward(machine(b), &a->shape, a->dq, a->dk, a->dv, a->dout, a->out, a->lse, a->q, a->k,
                                   a->v);
    return LOOM_OK;
}

/* The layer's own shape; 9 arrays: q k v out, their gradients, lse. */
static loom_status open_attention(struct bench *b, struct attention *a, real **arrays, struct loom_error *error) {
    const struct loom_attention_layer *layer = &main_block(b)->attention;
    size_t batch = (size_t)b->setup.recipe.batch_size, seq = (size_t)b->setup.recipe.seq_len, rows = batch * seq;
    size_t heads = layer->heads, kv = layer->kv_heads, dim = layer->head_dim, value = layer->value_dim;
    a->shape = (struct loom_attention){.batch = batch,
                                       .queries = seq,
                                       .keys = seq,
                                       .heads = heads,
                                       .kv_heads = kv,
                                       .head_dim = dim,
                                       .value_dim = value,
                                       .scale = (real)0.125};
    const size_t counts[ARRAYS] = {rows * heads * dim,   rows * kv * dim,      rows * kv * value,
                                   rows * heads * value, rows * heads * dim,   rows * kv * dim,
                                   rows * kv * value,    rows * heads * value, rows * heads};
    loom_status status = open_arrays(b, arrays, counts, ARRAYS, error);
    struct loom_view *views[] = {&a->q, &a->k, &a->v, &a->out, &a->dq, &a->dk, &a->dv, &a->dout};
    const size_t view_heads[] = {heads, kv, kv, heads}, widths[] = {dim, dim, value, value};
    for (size_t i = 0; i < 8 && status == LOOM_OK; i++)
        *views[i] = loom_view_of(arrays[i], seq, view_heads[i % 4], widths[i % 4]);
    a->lse = arrays[8];
    return status;
}

static loom_status measure_attention(struct bench *b, struct loom_error *error) {
    struct attention a;
    real *arrays[ARRAYS] = {NULL};
    char name[96];
    loom_status status = open_attention(b, &a, arrays, error);
    struct work work = {name, "FLOP", 0, attention_forward, &a};
    const struct loom_attention *s = &a.shape;
    snprintf(name, sizeof name, "attention %zux%zux%zux%zu forward", s->batch, s->heads, s->queries, s->head_dim);
    if (status == LOOM_OK)
        status = measure(b, &work, error);
    snprintf(name, sizeof name, "attention %zux%zux%zux%zu backward", s->batch, s->heads, s->queries, s->head_dim);
    work.run = attention_backward;
    if (status == LOOM_OK)
        status = measure(b, &work, error);
    close_arrays(b, arrays);
    return status;
}

/* ---- training and decoding --------------------------------------------------------------------------------------- */

static loom_status train_step(struct bench *b, void *what, struct loom_error *error) {
    (void)what;
    struct loom_step step;
    return loom_trainer_step(&b->trainer, &step, error);
}

static loom_status measure_training(struct bench *b, struct loom_error *error) {
    const struct loom_recipe *r = &b->setup.recipe;
    double tokens = (double)r->gradient_accumulation_steps * r->batch_size * r->seq_len;
    struct work work = {"train", "tokens", tokens, train_step, NULL};
    return measure(b, &work, error);
}

/* Sequences that grow together, one token at a time, from `begin` to `end` tokens and again. */
struct decoding {
    struct loom_workspace ws;
    struct loom_cache cache;
    int *tokens;  /* (batch, prompt) the newest */
    int *history; /* (capacity) of one sequence */
    size_t batch, prompt, begin, end;
};

/* `count` more tokens for each sequence, and the logits of the last ones. */
static void extend(struct bench *b, struct decoding *d, size_t count) {
    const struct loom_model *model = &b->trainer.model;
    for (size_t i = 0; i < d->batch * count; i++)
        d->tokens[i] = (int)random_below(b, (uint64_t)b->setup.config.vocab_size);
    struct loom_forward f = {.weights = model->weights,
                             .ids = d->tokens,
                             .batch = d->batch,
                             .seq = count,
                             .loops = b->setup.config.max_loop_iters,
                             .cache = &d->cache,
                             .history = d->history};
    for (size_t i = 0; i < count; i++)
        d->history[d->cache.length + i] = d->tokens[i];
    loom_net_forward(&d->ws, &f);
    const real *last = d->ws.hidden + (count - 1) * (size_t)b->setup.config.dim;
    loom_net_logits(&d->ws, model->weights, loom_workspace_logits(&d->ws, d->batch), last, d->batch);
}

static loom_status decode_token(struct bench *b, void *what, struct loom_error *error) {
    struct decoding *d = what;
    (void)error;
    if (d->cache.length < d->begin || d->cache.length == d->end)
        d->cache.length = d->begin;
    extend(b, d, 1);
    return LOOM_OK;
}

/* Of one sequence. */
static loom_status read_prompt(struct bench *b, void *what, struct loom_error *error) {
    struct decoding *d = what;
    (void)error;
    d->cache.length = 0;
    extend(b, d, d->prompt);
    return LOOM_OK;
}

/* With a prompt sequences grow behind it, else from nothing to the context. */
static loom_status open_decoding(struct bench *b, struct decoding *d, size_t batch, struct loom_error *error) {
    const struct loom_net *net = &b->trainer.model.net;
    const int loops = net->config.max_loop_iters;
    const size_t capacity = (size_t)net->config.max_seq_len, behind = b->prompt + TOKENS_BEHIND;
    *d = (struct decoding){.batch = batch, .prompt = b->prompt ? b->prompt : 1, .begin = b->prompt, .end = capacity};
    if (b->prompt && behind < capacity)
        d->end = behind;
    struct loom_workspace_shape shape = {.batch = batch, .seq = d->prompt, .capacity = capacity, .loops = loops};
    loom_status status = loom_workspace_open(&d->ws, net, machine(b), &shape, error);
    if (status == LOOM_OK)
        status = loom_cache_open(&d->cache, machine(b), &net->config, loops, batch, d->end, error);
    d->tokens = calloc(batch * d->prompt, sizeof *d->tokens);
    d->history = calloc(capacity, sizeof *d->history);
    if (status == LOOM_OK && !(d->tokens && d->history))
        status = loom_fail_memory(error, "benchmark", capacity * sizeof *d->tokens);
    return status;
}

static void close_decoding(struct decoding *d) {
    loom_workspace_close(&d->ws);
    loom_cache_close(&d->cache);
    free(d->tokens);
    free(d->history);
}

static loom_status measure_batch(struct bench *b, size_t batch, const char *precision, struct loom_error *error) {
    struct decoding d;
    char name[64];
    struct work prefill = {name, "tokens", (double)b->prompt, read_prompt, &d};
    struct work decode = {name, "tokens", (double)batch, decode_token, &d};
    loom_status status = open_decoding(b, &d, batch, error);
    snprintf(name, sizeof name, "prefill %zu, %s", b->prompt, precision);
    if (status == LOOM_OK && b->prompt && batch == 1)
        status = measure(b, &prefill, error);
    snprintf(name, sizeof name, "decode batch %zu, %s", batch, precision);
    if (status == LOOM_OK)
        status = measure(b, &decode, error);
    close_decoding(&d);
    return status;
}

static const char *const precisions[] = {"float32", "bf16", "int8", "int4"};
enum { PRECISIONS = sizeof precisions / sizeof precisions[0] };

/* Whether a list of names, separated by commas, has one of them. */
static bool listed(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* In every wanted format that the machine has, against the peak that the other rows are held against. */
static loom_status measure_decoding(struct bench *b, const char *wanted, struct loom_error *error) {
    struct loom_model *model = &b->trainer.model;
    const size_t most = b->setup.config.ngram > 1 ? 1 : 8; /* n-grams look back in a cache of one sequence */
    loom_status status = LOOM_OK;
    for (size_t i = 0; i < PRECISIONS && status == LOOM_OK; i++) {
        if (wanted && !listed(wanted, precisions[i]))
            continue;
        if (!model->k->set_precision(model->k, (enum loom_precision)i))
            continue;
        status = loom_model_use_precision(model, precisions[i], error);
        for (size_t batch = 1; batch <= most && status == LOOM_OK; batch *= 8)
            status = measure_batch(b, batch, precisions[i], error);
    }
    return status;
}

/* ---- inference alone --------------------------------------------------------------------------------------------- */

/* Matrices of random numbers that keep the size of what they multiply. The same few are used again and again: drawing a
 * billion would take longer than the measurements. */
static loom_status fill_weights(struct bench *b, struct loom_error *error) {
    enum { COUNT = 1 << 16 };
    struct loom_model *model = &b->trainer.model;
    real *numbers = malloc(2 * COUNT * sizeof *numbers), *scaled = numbers + COUNT;
    if (!numbers)
        return loom_fail_memory(error, "benchmark", 2 * COUNT * sizeof *numbers);
    for (size_t i = 0; i < COUNT; i++)
        numbers[i] = (real)((double)random_below(b, 1 << 20) / (1 << 19) - 1);
    for (size_t i = 0; i < model->net.tensors.count; i++) {
        const struct loom_tensor *t = &model->net.tensors.items[i];
        const double size = t->rank == 2 ? sqrt(3 / (double)t->shape[1]) : 0;
        for (size_t j = 0; j < COUNT; j++)
            scaled[j] = (real)(t->mean + size * (double)numbers[j]);
        for (size_t j = 0; j < t->count; j += COUNT)
            model->k->upload(model->k, model->weights + t->offset + j, scaled,
                             (t->count - j < COUNT ? t->count - j : COUNT) * sizeof *scaled);
    }
    free(numbers);
    return LOOM_OK;
}

/* A model without what training it takes, on the counted machine of a trainer that is never opened. */
static loom_status measure_inference(struct bench *b, const struct loom_bench_options *o, struct loom_error *error) {
    struct loom_model *model = &b->trainer.model;
    loom_status status = loom_model_create(model, &b->setup.config, o->threads, error);
    if (status == LOOM_OK) {
        loom_counter_init(&b->trainer.counter, model->k);
        status = fill_weights(b, error);
    }
    if (status == LOOM_OK)
        status = measure_decoding(b, o->precisions, error);
    loom_model_close(model);
    return status;
}

/* The prompt and what follows it must fit the context. */
static loom_status check_inference(struct bench *b, const struct loom_bench_options *o, struct loom_error *error) {
    const int context = b->setup.config.max_seq_len;
    b->prompt = o->prompt ? (size_t)o->prompt : DEFAULT_PROMPT < context ? DEFAULT_PROMPT : (size_t)context / 2;
    if (o->prompt < 0 || b->prompt + 1 > (size_t)context)
        return loom_fail(error, LOOM_INVALID, "a prompt of %d tokens leaves no room in the context of %d", o->prompt,
                         context);
    bool any = !o->precisions;
    for (size_t i = 0; i < PRECISIONS && !any; i++)
        any = listed(o->precisions, precisions[i]);
    return any ? LOOM_OK
               : loom_fail(error, LOOM_INVALID, "the precisions \"%.64s\" name none of float32, bf16, int8, int4",
                           o->precisions);
}

/* ---- the benchmark ----------------------------------------------------------------------------------------------- */

static loom_status make_setup(struct bench *b, const struct loom_bench_options *o, struct loom_error *error) {
    loom_status status = loom_setup_preset(&b->setup, o->preset ? o->preset : "loom-small", error);
    if (status == LOOM_OK)
        status = loom_setup_apply(&b->setup, o->settings, o->n_settings, error);
    if (b->setup.config.vocab_size == 0)
        b->setup.config.vocab_size = VOCABULARY;
    return status ? status : loom_setup_check(&b->setup, error);
}

/* Random ids in the form of a token folder's shard: twice a context, from which training draws its windows. */
static loom_status make_tokens(struct bench *b, struct loom_error *error) {
    const int vocab = b->setup.config.vocab_size;
    size_t width = loom_token_width(vocab), count = 2 * (size_t)b->setup.recipe.seq_len + 2, bytes = count * width;
    unsigned char *ids = calloc(count, width);
    if (!ids)
        return loom_fail_memory(error, "benchmark", bytes);
    for (size_t i = 0; i < count; i++) {
        uint64_t id = random_below(b, (uint64_t)vocab);
        for (size_t byte = 0; byte < width; byte++) /* little-endian, as on the disk */
            ids[i * width + byte] = (unsigned char)(id >> (8 * byte));
    }
    b->shard = (struct loom_shard){.map = {ids, bytes}, .tokens = count, .split = LOOM_SPLIT_TRAIN};
    b->tokens = (struct loom_tokens){.counts = {count, count},
                                     .width = width,
                                     .vocab_size = (uint32_t)vocab,
                                     .shards = &b->shard,
                                     .n_shards = 1,
                                     .begin = {0, 1, 1}};
    b->folder = (struct loom_corpus_folder){"random tokens", &b->tokens, LOOM_MIX_SLOTS};
    b->corpus = (struct loom_corpus){&b->folder, 1};
    return LOOM_OK;
}

static loom_status measure_all(struct bench *b, struct loom_error *error) {
    struct loom_bench_row peak = {"machine peak", b->peak, "FLOP", b->peak, 1};
    b->on_row(b->user, &peak);
    loom_status status = measure_products(b, error);
    if (status == LOOM_OK)
        status = measure_attention(b, error);
    if (status == LOOM_OK)
        status = measure_training(b, error);
    return status ? status : measure_decoding(b, NULL, error);
}

loom_status loom_bench(const struct loom_bench_options *options, loom_bench_function on_row, void *user,
                       struct loom_error *error) {
    struct bench b = {.seconds = options->seconds > 0 ? options->seconds : default_seconds,
                      .clock = options->processor_time ? loom_clock_processor : loom_clock,
                      .on_row = on_row,
                      .user = user};
    if (options->machine)
        return loom_bench_machine(options->threads, on_row, user, error);
    if (options->processor_time && options->threads != 1)
        return loom_fail(error, LOOM_INVALID, "the processor's time tells a rate with one thread only");
    loom_status status = make_setup(&b, options, error);
    b.peak = loom_kernels_cpu_peak(options->threads, (enum loom_precision)b.setup.recipe.precision);
    if (status == LOOM_OK && options->inference) {
        status = check_inference(&b, options, error);
        return status ? status : measure_inference(&b, options, error);
    }
    if (status == LOOM_OK)
        status = make_tokens(&b, error);
    const struct loom_training_data data = {.corpus = &b.corpus,
                                            .tokenizer = b.folder.tokens ? b.folder.tokens->tokenizer : NULL};
    if (status == LOOM_OK)
        status = loom_trainer_open(&b.trainer, &b.setup, &data, options->threads, error);
    if (status == LOOM_OK) {
        status = measure_all(&b, error);
        loom_trainer_close(&b.trainer);
    }
    free((void *)(uintptr_t)b.shard.map.data); /* the map's own memory: nothing was mapped */
    return status;
}
