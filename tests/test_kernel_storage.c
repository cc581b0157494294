/* test_kernel_storage.c - arrays in bf16 that products alone read: what kernels write there and what products make of
 * it, against the same in floats, which test_kernel_cpu holds to ref. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernel/kernel.h"

enum { MOST = 1 << 18 };

struct scene {
    struct loom_kernels *k;
    uint64_t drawn;
    float *a, *b, *c, *d, *e;  /* (MOST) each */
    uint16_t *r, *s, *t, *now; /* (MOST) each */
};

static float number(struct scene *s) {
    return (float)(2 * loom_random_uniform((struct loom_random){3, LOOM_RANDOM_TEST}, s->drawn++) - 1);
}

static void draw(struct scene *s, float *x, size_t n) {
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++)
        x[i] = number(s);
}

/* To the nearest, to even between two, of a number that is none too large and no NaN. */
static uint16_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* That `now` holds x, rounded. */
static void assert_rounded(const uint16_t *now, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        assert_int_equal(now[i], rounded(x[i]));
}

/* A fresh machine. */
static int open_scene(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    float **floats[] = {&s->a, &s->b, &s->c, &s->d, &s->e};
    uint16_t **shorts[] = {&s->r, &s->s, &s->t, &s->now};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        *floats[i] = calloc(MOST, sizeof **floats[i]);
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
        *shorts[i] = calloc(MOST, sizeof **shorts[i]);
    s->k = loom_kernels_cpu_open(2);
    *state = s;
    return s->k == NULL;
}

static int close_scene(void **state) {
    struct scene *s = *state;
    float *floats[] = {s->a, s->b, s->c, s->d, s->e};
    uint16_t *shorts[] = {s->r, s->s, s->t, s->now};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        free(floats[i]);
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
        free(shorts[i]);
    loom_kernels_cpu_close(s->k);
    free(s);
    return 0;
}

static bool has_bf16(struct scene *s) {
    assert_int_equal(s->k->factor_format(s->k), LOOM_STORAGE_REAL);
    if (!s->k->set_precision(s->k, LOOM_PRECISION_BF16))
        return false;
    assert_int_equal(s->k->factor_format(s->k), LOOM_STORAGE_BF16);
    return true;
}

/* Rows, columns in and out, and groups; widths of odd numbers, of few, of powers of two, and deeper than is staged at
 * once; but none whose products have one to four columns over, which are float32 where the factors are. */
static const struct loom_linear shapes[] = {
    {.rows = 1, .n_in = 32, .n_out = 32, .groups = 1},    {.rows = 29, .n_in = 384, .n_out = 256, .groups = 1},
    {.rows = 40, .n_in = 37, .n_out = 23, .groups = 1},   {.rows = 17, .n_in = 1024, .n_out = 80, .groups = 1},
    {.rows = 15, .n_in = 2050, .n_out = 32, .groups = 1}, {.rows = 33, .n_in = 64, .n_out = 48, .groups = 3},
    {.rows = 450, .n_in = 48, .n_out = 70, .groups = 2},  {.rows = 20, .n_in = 6, .n_out = 8, .groups = 1}};

static void one_product(struct scene *s, struct loom_linear shape, const int *offset) {
    const struct loom_kernels *k = s->k;
    const size_t xs = shape.rows * shape.n_in, ys = shape.rows * shape.n_out;
    const size_t ws = shape.groups * shape.n_in * shape.n_out;
    float *x = s->a, *dy = s->b, *w = s->c, *whole = s->d, *now = s->e;
    struct loom_linear stored = shape;
    shape.offset = stored.offset = offset;
    stored.x = stored.y = LOOM_STORAGE_BF16;
    draw(s, x, xs);
    draw(s, dy, ys);
    draw(s, w, ws);
    k->convert(k, s->r, LOOM_STORAGE_BF16, x, xs);
    k->convert(k, s->s, LOOM_STORAGE_BF16, dy, ys);
    k->linear(k, &shape, whole, x, w, false);
    k->linear(k, &stored, now, s->r, w, false);
    assert_memory_equal(now, whole, ys * sizeof *now);
    k->linear_input(k, &shape, whole, dy, w, false);
    k->linear_input(k, &stored, now, s->s, w, false);
    assert_memory_equal(now, whole, xs * sizeof *now);
    memset(whole, 0, ws * sizeof *whole);
    memset(now, 0, ws * sizeof *now);
    k->linear_weight(k, &shape, whole, dy, x);
    k->linear_weight(k, &stored, now, s->s, s->r);
    assert_memory_equal(now, whole, ws * sizeof *now);
    stored.x = LOOM_STORAGE_REAL; /* each alone */
    memset(now, 0, ws * sizeof *now);
    k->linear_weight(k, &stored, now, s->s, x);
    assert_memory_equal(now, whole, ws * sizeof *now);
    stored.x = LOOM_STORAGE_BF16;
    stored.y = LOOM_STORAGE_REAL;
    memset(now, 0, ws * sizeof *now);
    k->linear_weight(k, &stored, now, dy, s->r);
    assert_memory_equal(now, whole, ws * sizeof *now);
}

static void products_are_the_same(void **state) {
    struct scene *s = *state;
    const int uneven[] = {0, 1, 1, 33};
    if (!has_bf16(s))
        return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        one_product(s, shapes[i], NULL);
        if (shapes[i].groups == 3)
            one_product(s, shapes[i], uneven);
    }
}

/* Where columns are over, the factors are rounded all the same: numbers that bf16 holds lose nothing. */
static void columns_over_are_rounded(void **state) {
    struct scene *s = *state;
    struct loom_linear shape = {.rows = 20, .n_in = 40, .n_out = 65, .groups = 1};
    if (!has_bf16(s))
        return;
    for (size_t i = 0; i < 20 * 40; i++)
        s->a[i] = (float)((int)i * 7 % 31 - 15);
    for (size_t i = 0; i < 65 * 40; i++)
        s->c[i] = (float)((int)i * 5 % 23 - 11);
    s->k->convert(s->k, s->r, LOOM_STORAGE_BF16, s->a, 20 * 40);
    loom_kernels_ref()->linear(loom_kernels_ref(), &shape, s->d, s->a, s->c, false);
    shape.x = LOOM_STORAGE_BF16;
    s->k->linear(s->k, &shape, s->e, s->r, s->c, false);
    assert_memory_equal(s->e, s->d, 20 * 65 * sizeof *s->d);
}

static void conversion_rounds_to_even(void **state) {
    struct scene *s = *state;
    if (!has_bf16(s))
        return;
    for (size_t n = 0; n < 70; n++) {
        draw(s, s->a, n);
        s->now[n] = 0x1234;
        s->k->convert(s->k, s->now, LOOM_STORAGE_BF16, s->a, n);
        assert_rounded(s->now, s->a, n);
        assert_int_equal(s->now[n], 0x1234); /* and nothing behind */
    }
    const float ties[] = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, -1 - 0x1p-8f, 0};
    s->k->convert(s->k, s->now, LOOM_STORAGE_BF16, ties, 4);
    assert_rounded(s->now, ties, 4);
}

static void norms_are_rounded(void **state) {
    struct scene *s = *state;
    const struct loom_kernels *k = s->k;
    const size_t cols[] = {7, 384, 1030};
    enum { ROWS = 9 };
    float rstd[ROWS], mean[ROWS];
    if (!has_bf16(s))
        return;
    for (size_t i = 0; i < 3; i++) {
        const size_t n = ROWS * cols[i];
        draw(s, s->a, n);
        draw(s, s->b, cols[i]);
        draw(s, s->c, cols[i]);
        k->rmsnorm(k, s->d, LOOM_STORAGE_REAL, rstd, s->a, s->b, ROWS, cols[i], 1e-5f);
        k->rmsnorm(k, s->now, LOOM_STORAGE_BF16, rstd, s->a, s->b, ROWS, cols[i], 1e-5f);
        assert_rounded(s->now, s->d, n);
        k->layernorm(k, s->d, LOOM_STORAGE_REAL, mean, rstd, s->a, s->b, s->c, ROWS, cols[i], 1e-5f);
        k->layernorm(k, s->now, LOOM_STORAGE_BF16, mean, rstd, s->a, s->b, s->c, ROWS, cols[i], 1e-5f);
        assert_rounded(s->now, s->d, n);
    }
}

/* The eight leading bits of a number, which bf16 holds. */
static void shorten(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= UINT32_C(0xffff0000);
        memcpy(x + i, &bits, sizeof bits);
    }
}

enum { ACTIVATED = 40003 };

static void activations_are_rounded(void **state) {
    struct scene *s = *state;
    const struct loom_kernels *k = s->k;
    if (!has_bf16(s))
        return;
    draw(s, s->a, ACTIVATED);
    draw(s, s->b, ACTIVATED);
    k->swiglu(k, s->d, LOOM_STORAGE_REAL, s->a, s->b, ACTIVATED);
    k->swiglu(k, s->now, LOOM_STORAGE_BF16, s->a, s->b, ACTIVATED);
    assert_rounded(s->now, s->d, ACTIVATED);
    k->gelu(k, s->d, LOOM_STORAGE_REAL, s->a, ACTIVATED);
    k->gelu(k, s->now, LOOM_STORAGE_BF16, s->a, ACTIVATED);
    assert_rounded(s->now, s->d, ACTIVATED);
    k->relu2(k, s->d, LOOM_STORAGE_REAL, s->a, ACTIVATED);
    k->relu2(k, s->now, LOOM_STORAGE_BF16, s->a, ACTIVATED);
    assert_rounded(s->now, s->d, ACTIVATED);
}

/* gelu's reads what the forward read in the format that it writes, and may write over it. */
static void slopes_are_rounded(void **state) {
    struct scene *s = *state;
    const struct loom_kernels *k = s->k;
    if (!has_bf16(s))
        return;
    draw(s, s->a, ACTIVATED);
    draw(s, s->b, ACTIVATED);
    draw(s, s->c, ACTIVATED);
    k->relu2_backward(k, s->d, s->e, LOOM_STORAGE_REAL, s->c, s->a, ACTIVATED);
    k->relu2_backward(k, s->now, s->t, LOOM_STORAGE_BF16, s->c, s->a, ACTIVATED);
    assert_rounded(s->now, s->d, ACTIVATED);
    assert_rounded(s->t, s->e, ACTIVATED);
    shorten(s->a, ACTIVATED);
    k->convert(k, s->r, LOOM_STORAGE_BF16, s->a, ACTIVATED);
    k->gelu_backward(k, s->d, s->e, LOOM_STORAGE_REAL, s->c, s->a, ACTIVATED);
    k->gelu_backward(k, s->now, s->r, LOOM_STORAGE_BF16, s->c, s->r, ACTIVATED);
    assert_rounded(s->now, s->d, ACTIVATED);
    assert_rounded(s->r, s->e, ACTIVATED);
    k->swiglu_backward(k, s->now, s->r, s->t, LOOM_STORAGE_BF16, s->c, s->a, s->b, ACTIVATED);
    k->swiglu_backward(k, s->d, s->a, s->b, LOOM_STORAGE_REAL, s->c, s->a, s->b, ACTIVATED);
    assert_rounded(s->now, s->d, ACTIVATED);
    assert_rounded(s->r, s->a, ACTIVATED);
    assert_rounded(s->t, s->b, ACTIVATED);
}

static void rows_are_rounded(void **state) {
    struct scene *s = *state;
    const struct loom_kernels *k = s->k;
    enum { ROWS = 5, K = 2, COLS = 523 };
    const struct loom_route route = {.rows = ROWS, .experts = 4, .top_k = K};
    const int slot[ROWS * K] = {3, 0, 9, 1, 2, 4, 5, 8, 7, 6}, source[ROWS * K] = {1, 3, 4, 0, 5, 6, 9, 8, 7, 2};
    float gates[ROWS * K], dgates[ROWS * K], again[ROWS * K];
    if (!has_bf16(s))
        return;
    draw(s, s->a, ROWS * COLS);
    draw(s, s->b, ROWS * K * COLS);
    draw(s, gates, ROWS * K);
    k->convert(k, s->r, LOOM_STORAGE_BF16, s->a, ROWS * COLS);
    k->gather(k, &route, s->d, s->a, LOOM_STORAGE_REAL, source, COLS);
    k->gather(k, &route, s->now, s->r, LOOM_STORAGE_BF16, source, COLS);
    assert_rounded(s->now, s->d, ROWS * K * COLS);
    k->combine_backward(k, &route, s->d, LOOM_STORAGE_REAL, dgates, s->a, s->b, gates, slot, COLS);
    k->combine_backward(k, &route, s->now, LOOM_STORAGE_BF16, again, s->a, s->b, gates, slot, COLS);
    assert_rounded(s->now, s->d, ROWS * K * COLS);
    assert_memory_equal(again, dgates, sizeof again);
    for (size_t i = 0; i < ROWS * COLS; i++)
        s->a[i] = (float)((int)i % 97 - 48); /* bf16 holds these, and the sums are exact */
    k->convert(k, s->r, LOOM_STORAGE_BF16, s->a, ROWS * COLS);
    memset(s->d, 0, COLS * sizeof *s->d);
    memset(s->e, 0, COLS * sizeof *s->e);
    k->sum_rows(k, s->d, s->a, LOOM_STORAGE_REAL, ROWS, COLS);
    k->sum_rows(k, s->e, s->r, LOOM_STORAGE_BF16, ROWS, COLS);
    assert_memory_equal(s->e, s->d, COLS * sizeof *s->d);
}

/* Views of heads in wider rows. */
static struct loom_view view_of(void *data, enum loom_storage format, size_t seq, size_t heads, size_t width) {
    const size_t row = heads * width + 4;
    return (struct loom_view){data, seq * row, row, width, format};
}

static void heads_are_rounded(void **state) {
    struct scene *s = *state;
    const struct loom_kernels *k = s->k;
    enum { BATCH = 2, SEQ = 5, HEADS = 3, WIDTH = 46 };
    const size_t n = BATCH * SEQ * (HEADS * WIDTH + 4);
    if (!has_bf16(s))
        return;
    draw(s, s->a, n);
    draw(s, s->b, (SEQ + 1) * WIDTH);
    const struct loom_view x = view_of(s->a, LOOM_STORAGE_REAL, SEQ, HEADS, WIDTH);
    const struct loom_view y = view_of(s->d, LOOM_STORAGE_REAL, SEQ, HEADS, WIDTH);
    const struct loom_view stored = view_of(s->now, LOOM_STORAGE_BF16, SEQ, HEADS, WIDTH);
    memset(s->d, 0, n * sizeof *s->d);
    k->rope(k, y, x, BATCH, SEQ, HEADS, WIDTH / 2, s->b, 1, false);
    k->rope(k, stored, x, BATCH, SEQ, HEADS, WIDTH / 2, s->b, 1, false);
    assert_rounded(s->now, s->d, n);
    struct loom_view one = x;
    one.head = 0;
    k->copy_heads(k, loom_view_from(y, 1), one, BATCH, SEQ, HEADS, WIDTH);
    k->copy_heads(k, loom_view_from(stored, 1), one, BATCH, SEQ, HEADS, WIDTH);
    assert_rounded(s->now, s->d, n);
}

/* From views in bf16 to an output in bf16, forward and backward, against the same numbers as floats: scores and sums
 * are the same, and the backward reads the output as it was rounded. */
static void attend(struct scene *s, struct loom_attention a) {
    const struct loom_kernels *k = s->k;
    const size_t n_q = a.batch * a.queries * (a.heads * a.head_dim + 4);
    const size_t n_k = a.batch * a.keys * (a.kv_heads * a.head_dim + 4);
    float *lse = s->e, *again = s->e + a.batch * a.heads * a.queries, *dq = s->d;
    draw(s, s->a, n_q);
    draw(s, s->b, n_k);
    draw(s, s->c, n_q); /* dout */
    k->convert(k, s->r, LOOM_STORAGE_BF16, s->a, n_q);
    k->convert(k, s->s, LOOM_STORAGE_BF16, s->b, n_k);
    const struct loom_view key = view_of(s->b, LOOM_STORAGE_REAL, a.keys, a.kv_heads, a.head_dim);
    const struct loom_view stored = view_of(s->s, LOOM_STORAGE_BF16, a.keys, a.kv_heads, a.head_dim);
    const struct loom_view q = view_of(s->a, LOOM_STORAGE_REAL, a.queries, a.heads, a.head_dim);
    struct loom_view short_q = q, out = q, short_out = q;
    short_q.data = (float *)(void *)s->r;
    short_out.data = (float *)(void *)s->now;
    short_q.format = short_out.format = LOOM_STORAGE_BF16;
    out.data = s->d;
    memset(s->d, 0, n_q * sizeof *s->d);
    memset(s->now, 0, n_q * sizeof *s->now);
    k->attention(k, &a, out, lse, q, key, key);
    k->attention(k, &a, short_out, again, short_q, stored, stored);
    assert_rounded(s->now, s->d, n_q);
    assert_memory_equal(again, lse, a.batch * a.heads * a.queries * sizeof *lse);
    for (size_t i = 0; i < n_q; i++) { /* the output as it was rounded */
        const uint32_t bits = (uint32_t)s->now[i] << 16;
        memcpy(s->d + i, &bits, sizeof bits);
    }
    const size_t size = n_q + 2 * n_k;
    float *first = calloc(size, sizeof *first), *second = calloc(size, sizeof *second);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct loom_view d = q, dk = key, dv = key, dout = q;
        dq = bf16 ? second : first;
        d.data = dq;
        dk.data = dq + n_q;
        dv.data = dq + n_q + n_k;
        dout.data = s->c;
        if (bf16)
            k->attention_backward(k, &a, d, dk, dv, dout, short_out, lse, short_q, stored, stored);
        else
            k->attention_backward(k, &a, d, dk, dv, dout, out, lse, q, key, key);
    }
    assert_memory_equal(second, first, size * sizeof *first);
    free(first);
    free(second);
}

static void attention_reads_and_writes_bf16(void **state) {
    struct scene *s = *state;
    const struct loom_attention each[] = {
        {.batch = 2, .queries = 2, .keys = 3, .heads = 2, .kv_heads = 1, .head_dim = 16},
        {.batch = 1, .queries = 130, .keys = 300, .heads = 4, .kv_heads = 2, .head_dim = 33},
        {.batch = 2, .queries = 70, .keys = 70, .heads = 3, .kv_heads = 3, .head_dim = 64},
        {.batch = 1, .queries = 20, .keys = 20, .heads = 1, .kv_heads = 1, .head_dim = 1024}};
    if (!has_bf16(s))
        return;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        struct loom_attention a = each[i];
        a.value_dim = a.head_dim;
        a.scale = 0.2f;
        attend(s, a);
    }
}

/* Keys and values as a cache holds them, a head's one behind another. */
static struct loom_view cached(void *data, const struct loom_attention *a, size_t width, enum loom_storage format) {
    return (struct loom_view){data, a->kv_heads * a->keys * width, width, a->keys * width, format};
}

static struct loom_view tokens(float *data, const struct loom_attention *a, size_t width) {
    return (struct loom_view){data, a->queries * a->heads * width, a->heads * width, width, LOOM_STORAGE_REAL};
}

/* One shape with a cache of floats that bf16 holds, and with the same in bf16. */
static void one_attention(struct scene *s, const struct loom_attention *a) {
    const struct loom_kernels *k = s->k;
    const size_t rows = a->batch * a->queries * a->heads, past = a->batch * a->kv_heads * a->keys;
    const struct loom_view q = tokens(s->a, a, a->head_dim);
    float lse[512], lse_now[512];
    assert_true(rows <= 512);
    draw(s, s->a, rows * a->head_dim);
    draw(s, s->b, past * a->head_dim);
    draw(s, s->c, past * a->value_dim);
    shorten(s->a, rows * a->head_dim);
    shorten(s->b, past * a->head_dim);
    shorten(s->c, past * a->value_dim);
    const struct loom_view keys = cached(s->b, a, a->head_dim, LOOM_STORAGE_REAL);
    const struct loom_view values = cached(s->c, a, a->value_dim, LOOM_STORAGE_REAL);
    const struct loom_view rounded_keys = cached(s->r, a, a->head_dim, LOOM_STORAGE_BF16);
    const struct loom_view rounded_values = cached(s->s, a, a->value_dim, LOOM_STORAGE_BF16);
    k->copy_heads(k, rounded_keys, keys, a->batch, a->keys, a->kv_heads, a->head_dim);
    k->copy_heads(k, rounded_values, values, a->batch, a->keys, a->kv_heads, a->value_dim);
    k->attention(k, a, tokens(s->d, a, a->value_dim), lse, q, keys, values);
    k->attention(k, a, tokens(s->e, a, a->value_dim), lse_now, q, rounded_keys, rounded_values);
    for (size_t i = 0; i < rows; i++)
        assert_float_equal(lse_now[i], lse[i], 1e-5);
    for (size_t i = 0; i < rows * a->value_dim; i++) /* weights are rounded, and their sum is 1 */
        assert_float_equal(s->e[i], s->d[i], a->queries > 1 ? 0 : 0x1p-8);
}

/* Heads of odd width and of more than one vector, one block of keys and several, keys that groups share, and some that
 * no query sees; several queries at once are the same to the bit. */
static void a_cache_is_read(void **state) {
    struct scene *s = *state;
    int first[80];
    const struct loom_attention cases[] = {
        {3, 1, 1, 2, 2, 32, 32, 0.2f, 0, 0, NULL, 0, 0},    {2, 1, 37, 6, 2, 17, 19, 0.2f, 0, 0, NULL, 0, 0},
        {5, 1, 96, 4, 4, 32, 32, 0.18f, 0, 0, first, 0, 0}, {2, 1, 301, 8, 1, 72, 64, 0.1f, 0, 0, first, 0, 0},
        {6, 1, 90, 4, 4, 32, 32, 0.18f, 0, 0, NULL, 70, 3}, {16, 1, 150, 2, 1, 64, 33, 0.1f, 0, 0, NULL, 64, 16},
        {3, 1, 9, 2, 2, 8, 8, 0.3f, 0, 0, NULL, 3, 3},      {2, 7, 70, 4, 2, 32, 48, 0.2f, 0, 0, NULL, 0, 0}};
    if (!has_bf16(s))
        return;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        first[i] = (int)(i * 17 % 90);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        one_attention(s, &cases[i]);
}

/* What moves from one cache to another stays as it is. */
static void heads_in_bf16_are_copied(void **state) {
    struct scene *s = *state;
    enum { HEADS = 3, ROWS = 5, WIDTH = 37 };
    const struct loom_attention a = {.batch = 2, .keys = ROWS, .kv_heads = HEADS};
    const size_t n = 2 * HEADS * ROWS * WIDTH;
    const struct loom_view from = cached(s->a, &a, WIDTH, LOOM_STORAGE_REAL);
    const struct loom_view to = cached(s->r, &a, WIDTH, LOOM_STORAGE_BF16);
    if (!has_bf16(s))
        return;
    draw(s, s->a, n);
    s->k->copy_heads(s->k, to, from, 2, ROWS, HEADS, WIDTH);
    assert_rounded(s->r, s->a, n);
    s->k->copy_heads(s->k, cached(s->t, &a, WIDTH, LOOM_STORAGE_BF16), to, 2, ROWS, HEADS, WIDTH);
    assert_memory_equal(s->t, s->r, n * sizeof *s->r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(products_are_the_same, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(columns_over_are_rounded, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(conversion_rounds_to_even, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(norms_are_rounded, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(activations_are_rounded, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(slopes_are_rounded, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(rows_are_rounded, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(a_cache_is_read, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(heads_in_bf16_are_copied, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(heads_are_rounded, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(attention_reads_and_writes_bf16, open_scene, close_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
