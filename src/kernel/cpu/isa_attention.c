/* isa_attention.c - causal attention, and rotary positions.
 *
 * A task is a chunk of queries of one head, or of all heads that read the same keys. It walks over blocks of keys: it
 * packs a block's keys and values, and for each strip of as many queries as a register tile has rows it computes the
 * scores, turns them into weights with a running maximum and sum, and adds the weighted values to the chunk's
 * accumulators. Milakov & Gimelshein 2018; Dao et al. 2022. Memory is the thread's scratch, whatever the length. */
#include "kernel/cpu/isa_attention.h"

#include <math.h>

#include "kernel/cpu/cpu.h"
#include "kernel/cpu/isa_fill.h"
#include "kernel/cpu/isa_random.h"

/* Blocks of keys begin at multiples of their length, so that how queries are cut makes no difference to a sum. */
enum { KEY_BLOCK = 256 };

/* What a task costs to pack against how evenly threads share: chunks are long when tasks are many. */
enum { LONG_CHUNK = 256, SHORT_CHUNK = 112, TASKS_PER_THREAD = 4 };

/* How a call's queries are cut: `together` heads of `queries` queries are a task. */
struct cut {
    size_t together, queries, chunks;
};

/* One call. */
struct forward {
    const struct loom_attention *a;
    struct loom_view out, q, key, value;
    float *lse;
    struct cut cut;
    bool bf16;
};

/* One task: queries first .. first+queries-1 of `heads` heads from h0 on; its accumulators and its block of keys, in
 * scratch. Head h is the one in hand, and sum, largest and total are its own. */
struct chunk {
    size_t b, h0, heads, g, first, queries, h;
    float *sums, *largests;       /* (heads, queries): of the weights so far; of the unscaled scores */
    float *totals;                /* (heads, queries, value_dim): of weight * value so far */
    float *sum, *largest, *total; /* those of head h */
    float *scores;                /* (TILE_ROWS, block) */
    float *packed_keys, *packed_values;
    struct loom_panels keys, values; /* of keys start .. start+width-1 */
    size_t start, width, block;
};

static size_t scratch_size(const struct loom_attention *a, size_t block, size_t rows) {
    return loom_cpu_packed_size(a->head_dim, block) + loom_cpu_packed_size(block, a->value_dim) + TILE_ROWS * block +
           rows * (a->value_dim + 2);
}

/* The longest block of keys that fits the scratch beside a short chunk. */
static size_t block_of(const struct loom_attention *a) {
    size_t block = KEY_BLOCK;
    while (block > PANEL && scratch_size(a, block, SHORT_CHUNK) > LOOM_CPU_SCRATCH)
        block /= 2;
    return block;
}

/* Chunks of at most `longest` queries, whole strips but for the last. */
static struct cut cut_at(const struct loom_attention *a, size_t together, size_t longest) {
    struct cut cut = {.together = together};
    const size_t chunks = (a->queries + longest - 1) / longest;
    cut.queries = round_to((a->queries + chunks - 1) / chunks, TILE_ROWS);
    cut.chunks = (a->queries + cut.queries - 1) / cut.queries;
    return cut;
}

/* The coarsest of three cuts that gives every thread some tasks. */
static struct cut cut_of(const struct loom_attention *a, size_t threads) {
    const size_t share = a->heads / a->kv_heads, wanted = threads > 1 ? TASKS_PER_THREAD * threads : 1;
    const struct cut cuts[] = {cut_at(a, share, LONG_CHUNK), cut_at(a, 1, LONG_CHUNK), cut_at(a, 1, SHORT_CHUNK)};
    size_t i = 0;
    while (i < 2 && (a->batch * a->heads / cuts[i].together * cuts[i].chunks < wanted ||
                     scratch_size(a, block_of(a), cuts[i].together * cuts[i].queries) > LOOM_CPU_SCRATCH))
        i++;
    return cuts[i];
}

static struct chunk chunk_of(const struct loom_attention *a, const struct cut *cut, size_t task, float *scratch) {
    struct chunk s = {.block = block_of(a), .heads = cut->together};
    const size_t parts = a->heads / cut->together, rows = cut->together * cut->queries;
    s.b = task / cut->chunks / parts;
    s.h0 = task / cut->chunks % parts * cut->together;
    s.g = s.h0 / (a->heads / a->kv_heads);
    /* The last queries see the most keys: they go first, so that the threads end together. */
    s.first = (cut->chunks - 1 - task % cut->chunks) * cut->queries;
    s.queries = least(cut->queries, a->queries - s.first);
    s.packed_keys = scratch;
    s.packed_values = s.packed_keys + loom_cpu_packed_size(a->head_dim, s.block);
    s.scores = s.packed_values + loom_cpu_packed_size(s.block, a->value_dim);
    s.totals = s.scores + TILE_ROWS * s.block;
    s.sums = s.totals + rows * a->value_dim;
    s.largests = s.sums + rows;
    return s;
}

static void take_head(const struct loom_attention *a, struct chunk *s, size_t i) {
    s->h = s->h0 + i;
    s->sum = s->sums + i * s->queries;
    s->largest = s->largests + i * s->queries;
    s->total = s->totals + i * s->queries * a->value_dim;
}

/* The weights of query i for keys `key` onwards. */
static void drop_scores(const struct loom_attention *a, const struct chunk *s, float *score, size_t i, size_t key,
                        size_t seen) {
    float factor[KEY_BLOCK];
    dropout_factors(factor, a->dropout, a->dropout_seed, pair_index(a, s->b, s->h, i) + key, seen);
#pragma omp simd
    for (size_t j = 0; j < seen; j++)
        score[j] *= factor[j];
}

/* What query `row` of the chunk sees of the first `width` keys of the block. */
static struct softmax_row softmax_row(const struct loom_attention *a, const struct chunk *s, float *score, size_t row,
                                      size_t width) {
    const size_t i = s->first + row, first = first_key(a, s->b, i), end = keys_seen(a, i);
    struct softmax_row r = {
        score,       0, 0, width, s->start > first, s->sum + row, s->largest + row, s->total + row * a->value_dim,
        a->value_dim};
    const size_t skip = first > s->start ? least(first - s->start, width) : 0;
    const size_t stop = end > s->start ? least(end - s->start, width) : 0;
    if (skip < stop)
        r.skip = skip, r.stop = stop;
    return r;
}

/* Turns the scores of queries row .. row+rows-1 of the chunk for the first `width` keys of the block into weights. */
static void weigh(const struct loom_attention *a, const struct chunk *s, size_t row, size_t rows, size_t width) {
    struct softmax_row query[LANES];
    for (size_t r = 0; r < rows; r += LANES) {
        const size_t count = least(rows - r, LANES);
        for (size_t i = 0; i < count; i++)
            query[i] = softmax_row(a, s, s->scores + (r + i) * s->block, row + r + i, width);
        add_softmax(query, count, a->scale);
        for (size_t i = 0; i < count && a->dropout > 0; i++)
            drop_scores(a, s, query[i].score + query[i].skip, s->first + row + r + i, s->start + query[i].skip,
                        query[i].stop - query[i].skip);
    }
}

/* Queries row .. row+rows-1 of the chunk, at most TILE_ROWS, against the block of keys. */
static void add_strip(const struct forward *f, const struct chunk *s, size_t row, size_t rows) {
    const struct loom_attention *a = f->a;
    const size_t i = s->first + row, first = first_key(a, s->b, i), last = keys_seen(a, i + rows - 1);
    if (last <= s->start || first >= s->start + s->width)
        return;
    const size_t width = least(last - s->start, s->width);
    const struct loom_target scores = {s->scores, s->block, false};
    const float *query = head_place(f->q, s->b, i, s->h);
    loom_cpu_multiply_from(scores, (struct loom_matrix){query, f->q.row, 1}, f->q.format, panels_seen(s->keys, width),
                           rows, a->head_dim);
    weigh(a, s, row, rows, width);
    loom_cpu_multiply_as((struct loom_target){s->total + row * a->value_dim, a->value_dim, s->start > first},
                         (struct loom_matrix){s->scores, s->block, 1}, s->values, rows, width);
}

static void pack_block(const struct forward *f, struct chunk *s) {
    const struct loom_attention *a = f->a;
    const struct loom_matrix keys = {head_place(f->key, s->b, s->start, s->g), 1, f->key.row};
    const struct loom_matrix values = {head_place(f->value, s->b, s->start, s->g), f->value.row, 1};
    s->keys = loom_cpu_pack_from(f->bf16, s->packed_keys, keys, f->key.format, a->head_dim, s->width);
    s->values = loom_cpu_pack_from(f->bf16, s->packed_values, values, f->value.format, s->width, a->value_dim);
}

static void finish_row(const struct forward *f, const struct chunk *s, size_t row) {
    const struct loom_attention *a = f->a;
    const size_t i = s->first + row, at = head_index(f->out, s->b, i, s->h);
    const struct loom_output to = {f->out.data, f->out.format};
    const float share = 1.0f / s->sum[row], *total = s->total + row * a->value_dim;
    _Alignas(64) float room[HEAD_LIMIT];
    float *out = begin_output(to, at, room);
#pragma omp simd
    for (size_t c = 0; c < a->value_dim; c++)
        out[c] = total[c] * share;
    finish_output(to, at, room, a->value_dim);
    f->lse[(s->b * a->heads + s->h) * a->queries + i] = a->scale * s->largest[row] + logf(s->sum[row]);
}

static void run_chunk(const struct forward *f, struct chunk *s) {
    const size_t keys = keys_seen(f->a, s->first + s->queries - 1);
    for (s->start = first_key(f->a, s->b, s->first) / s->block * s->block; s->start < keys; s->start += s->block) {
        s->width = least(s->block, keys - s->start);
        pack_block(f, s);
        for (size_t i = 0; i < s->heads; i++) {
            take_head(f->a, s, i);
            for (size_t row = 0; row < s->queries; row += TILE_ROWS) {
                for (size_t next = row + TILE_ROWS; next < least(row + 2 * TILE_ROWS, s->queries); next++)
                    fetch_head(f->q, s->b, s->first + next, s->h, f->a->head_dim, false);
                add_strip(f, s, row, least(TILE_ROWS, s->queries - row));
            }
        }
    }
    for (size_t i = 0; i < s->heads; i++) {
        take_head(f->a, s, i);
        for (size_t row = 0; row < s->queries; row++) {
            if (row + HEADS_AHEAD < s->queries)
                fetch_head(f->out, s->b, s->first + row + HEADS_AHEAD, s->h, f->a->value_dim, true);
            finish_row(f, s, row);
        }
    }
}

static void run_part(const void *job, struct loom_cpu_part part) {
    const struct forward *f = job;
    for (size_t task = part.first; task < part.end; task++) {
        struct chunk s = chunk_of(f->a, &f->cut, task, part.scratch);
        run_chunk(f, &s);
    }
}

static void attention(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view out, real *lse,
                      struct loom_view q, struct loom_view key, struct loom_view value) {
    const bool real_views = q.format == LOOM_STORAGE_REAL && out.format == LOOM_STORAGE_REAL;
    if (real_views && loom_cpu_attend_token(k, a, out, lse, q, key, value))
        return;
    if (a->head_dim > HEAD_LIMIT || a->value_dim > HEAD_LIMIT || a->shared > 0) {
        loom_kernels_ref()->attention(k, a, out, lse, q, key, value);
        return;
    }
    const size_t each = a->keys * (a->head_dim + a->value_dim) / 32, all = a->batch * a->heads * a->queries * each;
    const struct cut cut = cut_of(a, loom_cpu_threads(k, all));
    loom_cpu_share(k, a->batch * a->heads / cut.together * cut.chunks, cut.together * cut.queries * each, run_part,
                   &(struct forward){a, out, q, key, value, lse, cut, loom_cpu_bf16(k)});
}

/* ---- rotary positions -------------------------------------------------------------------------------------------- */

/* The signs of each pair's sines. */
static inline vec sine_signs(float sign) {
    return interleave_low((vec){0} - sign, (vec){0} + sign);
}

static inline vec rotated(const float *x, const float *table, vec signs) {
    const vec angle = vec_load(table), pairs = vec_load(x);
    return pairs * first_twice(angle) + swap_neighbours(pairs) * (second_twice(angle) * signs);
}

/* n channels, of n / 2 pairs; y may be x. */
static void rotate(float *y, const float *x, const float *table, size_t n, float sign) {
    const vec signs = sine_signs(sign);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, rotated(x + i, table + i, signs));
    for (; i < n; i += 2) {
        const float cosine = table[i], sine = sign * table[i + 1], even = x[i], odd = x[i + 1];
        y[i] = even * cosine - odd * sine;
        y[i + 1] = even * sine + odd * cosine;
    }
}

/* The same, rounded, of the whole pairs of vectors; returns their channels. */
static size_t rotate_to_bf16(uint16_t *y, const float *x, const float *table, size_t n, float sign) {
    size_t i = 0;
#if defined(__AVX512BF16__)
    const vec signs = sine_signs(sign);
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const vec low = rotated(x + i, table + i, signs), high = rotated(x + i + LANES, table + i + LANES, signs);
        _mm512_storeu_si512(y + i, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
    }
#else
    (void)y;
    (void)x;
    (void)table;
    (void)n;
    (void)sign; /* no array has this format here */
#endif
    return i;
}

/* Rows that are asked for ahead: a few kilobytes. */
enum { ROWS_AHEAD = 2 };

struct rotation {
    struct loom_view y, x;
    size_t rows, heads, pairs;
    const float *table; /* (rows, pairs, 2) */
    float sign;
};

static void rotate_head(const struct rotation *s, size_t b, size_t t, size_t h) {
    const struct loom_output to = {s->y.data, s->y.format};
    const float *x = head_at(s->x, b, t, h), *table = s->table + t * s->pairs * 2;
    const size_t channels = 2 * s->pairs, at = head_index(s->y, b, t, h);
    _Alignas(64) float room[ROOM];
    size_t first = 0;
    if (to.format == LOOM_STORAGE_BF16)
        first = rotate_to_bf16((uint16_t *)to.data + at, x, table, channels, s->sign);
    for (; first < channels; first += ROOM) {
        const size_t n = least(ROOM, channels - first);
        rotate(begin_output(to, at + first, room), x + first, table + first, n, s->sign);
        finish_output(to, at + first, room, n);
    }
}

static void rope_part(const void *job, struct loom_cpu_part part) {
    const struct rotation *s = job;
    for (size_t row = part.first; row < part.end; row++) {
        const size_t b = row / s->rows, t = row % s->rows;
        for (size_t h = 0; h < s->heads; h++) {
            if (t + ROWS_AHEAD < s->rows) {
                fetch_head(s->x, b, t + ROWS_AHEAD, h, 2 * s->pairs, false);
                fetch_head(s->y, b, t + ROWS_AHEAD, h, 2 * s->pairs, true);
            }
            rotate_head(s, b, t, h);
        }
    }
}

static void rope(const struct loom_kernels *k, struct loom_view y, struct loom_view x, size_t batch, size_t rows,
                 size_t heads, size_t pairs, const real *table, size_t first, bool inverse) {
    const float *angles = table + first * pairs * 2, sign = inverse ? -1.0f : 1.0f;
    loom_cpu_share(k, batch * rows, heads * pairs * 2, rope_part,
                   &(struct rotation){y, x, rows, heads, pairs, angles, sign});
}

void LOOM_ISA_NAME(loom_cpu_fill_attention)(struct loom_kernels *table) {
    table->attention = attention;
    table->rope = rope;
}
