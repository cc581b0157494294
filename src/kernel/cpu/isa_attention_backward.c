/* isa_attention_backward.c - the backward of causal attention.
 *
 * A task is one key/value head of one sequence, with all the query heads that read it, so that nobody else adds to its
 * dk and dv. For each block of keys and each block of queries that sees it, the weights p = exp(score - lse) are
 * computed again and, with m the dropout's factor and dp = m (dout . v), their slopes ds = scale p (dp - dout . out).
 * Then dq += ds k, dk += ds^T q, dv += (m p)^T dout. Dao et al. 2022, appendix B. */
#include <math.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_attention.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_random.h"
#include "kernel/cpu/isa_rows.h"
#include "kernel/cpu/vector_math.h"

/* The length of a block of keys, and of queries, where heads are not too wide. */
enum { BLOCK = 256 };

/* One call. */
struct backward {
    const struct loom_attention *a;
    struct loom_view dq, dk, dv, dout, out, q, key, value;
    const float *lse;
    bool bf16;
};

/* One task's blocks: keys start .. start+width-1, queries first .. first+queries-1 of head h. */
struct blocks {
    size_t b, g, h, start, width, first, queries, block;
    float *scores, *dots;               /* (TILE_ROWS, block): of a strip's queries: q . k and dout . v */
    struct loom_output weights, slopes; /* (queries, block), in the format of the products */
    float *mean;                        /* (queries): dout . out */
    float *pack[5];
    struct loom_panels keys_transposed, values_transposed; /* (head_dim, width), (value_dim, width) */
    struct loom_panels keys, q, dout; /* (width, head_dim), (queries, head_dim), (queries, value_dim) */
    bool add;                         /* to dk and dv, which have their first part */
};

/* Floats that so many words of weights or slopes take. */
static size_t pairs_size(const struct blocks *s) {
    return s->block * s->block * loom_storage_size(s->weights.format) / sizeof(float);
}

/* Lays a task's blocks out in `scratch`, unless that is NULL; returns the floats they take. */
static size_t lay_out(struct blocks *s, const struct loom_attention *a, float *scratch) {
    const size_t size[10] = {loom_cpu_packed_size(a->head_dim, s->block),
                             loom_cpu_packed_size(a->value_dim, s->block),
                             loom_cpu_packed_size(s->block, a->head_dim),
                             loom_cpu_packed_size(s->block, a->head_dim),
                             loom_cpu_packed_size(s->block, a->value_dim),
                             TILE_ROWS * s->block,
                             TILE_ROWS * s->block,
                             pairs_size(s),
                             pairs_size(s),
                             s->block};
    float *at[10] = {NULL};
    size_t total = 0;
    for (int i = 0; i < 10; total += size[i++])
        at[i] = scratch != NULL ? scratch + total : NULL;
    for (int i = 0; i < 5; i++)
        s->pack[i] = at[i];
    s->scores = at[5];
    s->dots = at[6];
    s->weights.data = at[7];
    s->slopes.data = at[8];
    s->mean = at[9];
    return total;
}

/* A task with the longest block that fits the scratch. */
static struct blocks blocks_of(const struct backward *f) {
    const enum loom_storage format = f->bf16 ? LOOM_STORAGE_BF16 : LOOM_STORAGE_REAL;
    struct blocks s = {.block = BLOCK, .weights.format = format, .slopes.format = format};
    while (s.block > PANEL && lay_out(&s, f->a, NULL) > LOOM_CPU_SCRATCH)
        s.block /= 2;
    return s;
}

/* The first query that sees key j. */
static size_t first_query(const struct loom_attention *a, size_t j) {
    const size_t cached = a->keys - a->queries;
    return j > cached ? j - cached : 0;
}

static void pack_keys(const struct backward *f, struct blocks *s) {
    const struct loom_attention *a = f->a;
    const float *key = head_place(f->key, s->b, s->start, s->g), *value = head_place(f->value, s->b, s->start, s->g);
    const enum loom_storage format = f->key.format;
    s->keys_transposed = loom_cpu_pack_from(f->bf16, s->pack[0], (struct loom_matrix){key, 1, f->key.row}, format,
                                            a->head_dim, s->width);
    s->values_transposed = loom_cpu_pack_from(f->bf16, s->pack[1], (struct loom_matrix){value, 1, f->value.row}, format,
                                              a->value_dim, s->width);
    s->keys = loom_cpu_pack_from(f->bf16, s->pack[2], (struct loom_matrix){key, f->key.row, 1}, format, s->width,
                                 a->head_dim);
}

/* The sum of products of each lane. */
static inline vec lane_products(const float *a, const float *b, size_t n) {
    vec lanes = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes += vec_load(a + i) * vec_load(b + i);
    for (; i < n; i++)
        lanes[0] += a[i] * b[i];
    return lanes;
}

/* dout . out of queries row .. row+rows-1 of the block, at most LANES. */
static void mean_rows(const struct backward *f, const struct blocks *s, size_t row, size_t rows) {
    const size_t n = f->a->value_dim;
    vec of_row[LANES];
    _Alignas(64) float room[HEAD_LIMIT];
    for (size_t i = 0; i < LANES; i++) {
        of_row[i] = (vec){0};
        if (i < rows) {
            if (row + i + HEADS_AHEAD < s->queries)
                fetch_head(f->out, s->b, s->first + row + i + HEADS_AHEAD, s->h, n, false);
            const size_t query = s->first + row + i, at = head_index(f->out, s->b, query, s->h);
            const float *out = read_input(f->out.data, f->out.format, at, room, n);
            of_row[i] = lane_products(head_at(f->dout, s->b, query, s->h), out, n);
        }
    }
    vec_store(s->mean + row, vec_totals(of_row));
}

static void pack_queries(const struct backward *f, struct blocks *s) {
    const struct loom_attention *a = f->a;
    const float *q = head_place(f->q, s->b, s->first, s->h), *dout = head_at(f->dout, s->b, s->first, s->h);
    s->q = loom_cpu_pack_from(f->bf16, s->pack[3], (struct loom_matrix){q, f->q.row, 1}, f->q.format, s->queries,
                              a->head_dim);
    s->dout =
        loom_cpu_pack_as(f->bf16, s->pack[4], (struct loom_matrix){dout, f->dout.row, 1}, s->queries, a->value_dim);
    for (size_t row = 0; row < s->queries; row += LANES)
        mean_rows(f, s, row, least(LANES, s->queries - row));
}

/* Weights and slopes from whole vectors of scores and of dout . v, which they may replace; `factor` is the dropout's,
 * or NULL. */
static inline __attribute__((always_inline)) void slope_range(float *weight, float *slope, const float *score,
                                                              const float *dot, const float *factor, size_t length,
                                                              float scale, float lse, float mean) {
    const float power = scale * log2_e, shift = lse * log2_e;
    for (size_t j = 0; j < length; j += LANES) {
        const vec p = vec_exp2(vec_load(score + j) * power - shift), d = vec_load(dot + j);
        if (factor == NULL) {
            vec_store(weight + j, p);
            vec_store(slope + j, p * scale * (d - mean));
        } else {
            const vec m = vec_load(factor + j);
            vec_store(weight + j, p * m);
            vec_store(slope + j, p * scale * (d * m - mean));
        }
    }
}

/* Weights and slopes of query `row` of the block, from its row of scores and of dout . v: of the first `width` keys
 * of the block that it sees, and zeros for the block's others. */
static void differentiate(const struct backward *f, const struct blocks *s, size_t row, float *score, float *dot,
                          size_t width) {
    const struct loom_attention *a = f->a;
    const size_t i = s->first + row, first = first_key(a, s->b, i), end = keys_seen(a, i), at = row * s->block;
    const size_t stop = end > s->start ? least(end - s->start, width) : 0;
    const size_t skip = first > s->start ? least(first - s->start, stop) : 0;
    const struct seen seen = seen_keys(skip, stop);
    const size_t begin = seen.whole_first, length = seen.whole_end - begin;
    float *weights = begin_output(s->weights, at, score), *slopes = begin_output(s->slopes, at, dot);
    float *weight = weights + begin, *slope = slopes + begin;
    const float lse = f->lse[(s->b * a->heads + s->h) * a->queries + i], mean = s->mean[row];
    float factor[BLOCK];
    if (a->dropout > 0) {
        dropout_factors(factor, a->dropout, a->dropout_seed, pair_index(a, s->b, s->h, i) + s->start + begin, length);
        slope_range(weight, slope, score + begin, dot + begin, factor, length, a->scale, lse, mean);
    } else {
        slope_range(weight, slope, score + begin, dot + begin, NULL, length, a->scale, lse, mean);
    }
    fill_range(weights, 0, skip, 0);
    fill_range(slopes, 0, skip, 0);
    fill_range(weights, stop, s->width, 0);
    fill_range(slopes, stop, s->width, 0);
    finish_output(s->weights, at, weights, s->width);
    finish_output(s->slopes, at, slopes, s->width);
}

/* Weights, slopes and dq of queries row .. row+rows-1 of the block, at most TILE_ROWS. */
static void query_strip(const struct backward *f, const struct blocks *s, size_t row, size_t rows) {
    const struct loom_attention *a = f->a;
    const size_t i = s->first + row, last = keys_seen(a, i + rows - 1);
    const size_t width = last > s->start ? least(last - s->start, s->width) : 0;
    const struct loom_matrix q = {head_place(f->q, s->b, i, s->h), f->q.row, 1};
    const struct loom_matrix dout = {head_at(f->dout, s->b, i, s->h), f->dout.row, 1};
    loom_cpu_multiply_from((struct loom_target){s->scores, s->block, false}, q, f->q.format,
                           panels_seen(s->keys_transposed, width), rows, a->head_dim);
    loom_cpu_multiply_as((struct loom_target){s->dots, s->block, false}, dout, panels_seen(s->values_transposed, width),
                         rows, a->value_dim);
    for (size_t r = 0; r < rows; r++)
        differentiate(f, s, row + r, s->scores + r * s->block, s->dots + r * s->block, width);
    const bool add = s->start > first_key(a, s->b, i);
    const float *slopes = loom_storage_at(s->slopes.data, s->slopes.format, row * s->block);
    loom_cpu_multiply_from((struct loom_target){head_at(f->dq, s->b, i, s->h), f->dq.row, add},
                           (struct loom_matrix){slopes, s->block, 1}, s->slopes.format, s->keys, rows, width);
}

/* What the block of queries adds to dk and dv of keys `column` onwards of the block, at most TILE_ROWS: only queries
 * that see the first of them count. */
static void key_strip(const struct backward *f, struct blocks *s, size_t column, size_t columns) {
    const size_t j = s->start + column, first = first_query(f->a, j);
    /* An even number, as bf16 wants: the slopes and weights of the query before are zero. */
    const size_t skip = first > s->first ? least(first - s->first, s->queries) / 2 * 2 : 0;
    const size_t depth = s->queries - skip, at = skip * s->block + column;
    s->q.first = s->dout.first = skip;
    const enum loom_storage format = s->slopes.format;
    const struct loom_matrix slopes = {loom_storage_at(s->slopes.data, format, at), 1, s->block};
    const struct loom_matrix weights = {loom_storage_at(s->weights.data, format, at), 1, s->block};
    loom_cpu_multiply_from((struct loom_target){head_at(f->dk, s->b, j, s->g), f->dk.row, s->add}, slopes, format, s->q,
                           columns, depth);
    loom_cpu_multiply_from((struct loom_target){head_at(f->dv, s->b, j, s->g), f->dv.row, s->add}, weights, format,
                           s->dout, columns, depth);
}

static void run_queries(const struct backward *f, struct blocks *s) {
    pack_queries(f, s);
    for (size_t row = 0; row < s->queries; row += TILE_ROWS)
        query_strip(f, s, row, least(TILE_ROWS, s->queries - row));
    for (size_t column = 0; column < s->width; column += TILE_ROWS)
        key_strip(f, s, column, least(TILE_ROWS, s->width - column));
    s->add = true;
}

/* How many queries of the block to take: up to the last strip whose first query sees a key of the block of keys. A
 * strip is never cut, so that its dq is written whole with its first key. */
static size_t queries_taken(const struct loom_attention *a, const struct blocks *s) {
    size_t queries = least(s->block, a->queries - s->first), taken = 0;
    while (taken < queries && first_key(a, s->b, s->first + taken) < s->start + s->width)
        taken += TILE_ROWS;
    return least(taken, queries);
}

/* dk and dv of keys that no query sees. */
static void clear_keys(const struct backward *f, const struct blocks *s) {
    for (size_t j = s->start; j < s->start + s->width; j++) {
        float *dk = head_at(f->dk, s->b, j, s->g), *dv = head_at(f->dv, s->b, j, s->g);
        for (size_t c = 0; c < f->a->head_dim; c++)
            dk[c] = 0;
        for (size_t c = 0; c < f->a->value_dim; c++)
            dv[c] = 0;
    }
}

/* One block of keys against all queries that see any of it. */
static void run_keys(const struct backward *f, struct blocks *s) {
    const struct loom_attention *a = f->a;
    const size_t share = a->heads / a->kv_heads;
    pack_keys(f, s);
    s->add = false;
    for (s->h = s->g * share; s->h < (s->g + 1) * share; s->h++) {
        for (s->first = first_query(a, s->start) / s->block * s->block; s->first < a->queries; s->first += s->block) {
            s->queries = queries_taken(a, s);
            if (s->queries == 0)
                break;
            run_queries(f, s);
        }
    }
    if (!s->add)
        clear_keys(f, s);
}

static void run_part(const void *job, struct loom_cpu_part part) {
    const struct backward *f = job;
    const struct loom_attention *a = f->a;
    for (size_t task = part.first; task < part.end; task++) {
        struct blocks s = blocks_of(f);
        s.b = task / a->kv_heads;
        s.g = task % a->kv_heads;
        lay_out(&s, a, part.scratch);
        for (s.start = 0; s.start < a->keys; s.start += s.block) {
            s.width = least(s.block, a->keys - s.start);
            run_keys(f, &s);
        }
    }
}

static void attention_backward(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view dq,
                               struct loom_view dk, struct loom_view dv, struct loom_view dout, struct loom_view out,
                               const real *lse, struct loom_view q, struct loom_view key, struct loom_view value) {
    if (a->head_dim > HEAD_LIMIT || a->value_dim > HEAD_LIMIT) {
        loom_kernels_ref()->attention_backward(k, a, dq, dk, dv, dout, out, lse, q, key, value);
        return;
    }
    const size_t share = a->heads / a->kv_heads;
    loom_cpu_share(k, a->batch * a->kv_heads, share * a->queries * a->keys * (a->head_dim + a->value_dim) / 32,
                   run_part, &(struct backward){a, dq, dk, dv, dout, out, q, key, value, lse, loom_cpu_bf16(k)});
}

void LOOM_ISA_NAME(loom_cpu_fill_attention_backward)(struct loom_kernels *table) {
    table->attention_backward = attention_backward;
}
