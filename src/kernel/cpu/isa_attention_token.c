/* isa_attention_token.c - attention of one new token of each sequence to itself and those before it.
 *
 * A task is a key/value head of one sequence, or of several that share their first keys, and its rows are the query
 * heads that read it there. Shared keys meet the rows of all sequences in one packed product. Other keys meet few rows:
 * they are read once, where they lie, block by block as isa_attention.c has it. */
#include "kernel/cpu/isa_attention_bf16.h"

#include <math.h>

#include "kernel/cpu/cpu.h"

/* Keys of a block: with their values they stay in the first cache while all rows pass. */
enum { BLOCK = 64 };

/* From so many rows on, packing keys costs less than what it saves. */
enum { PACK_ROWS = 4 };

/* One call. */
struct call {
    const struct loom_attention *a;
    struct loom_view out, q, key, value;
    float *lse;
    size_t share; /* query heads that read a key/value head */
    /* Each `group` sequences share their first keys; tasks have `members` of them, in `chunks`, and the last the rest.
     */
    size_t group, members, chunks;
    bool bf16;
};

/* One task: sequences b0 .. b0+members-1, key/value head g. Row m * share + i is query head i of member m. */
struct task {
    size_t b0, members, g;
    bool followed;                /* by another task in the same hands */
    size_t source, first;         /* the sequence that has the shared keys; the first key that the queries see */
    float *sum, *largest, *total; /* (members, share), and for total value_dim of each */
    float *scores;                /* (TILE_ROWS, BLOCK) */
    float *keys, *values;         /* packed */
};

/* Queries that meet the same keys: those of rows row, row + step, ... */
struct strip {
    const float *query;
    size_t stride, row, step, rows;
};

/* Keys start .. start+width-1, as they lie in one sequence; `data` in the format of the views. Keys that are read next
 * lie `keys_ahead` bytes behind these. */
struct block {
    struct loom_matrix keys, values;
    size_t start, width;
    ptrdiff_t keys_ahead, values_ahead;
};

static struct block block_at(const struct call *f, const struct task *s, size_t sequence, size_t start, size_t width) {
    return (struct block){{head_place(f->key, sequence, start, s->g), f->key.row, 1},
                          {head_place(f->value, sequence, start, s->g), f->value.row, 1},
                          start,
                          width,
                          0,
                          0};
}

/* scores[j] = query . key j, for LANES keys at a time; those beyond the last are as the last. Key by key, as they lie:
 * the processor foresees one stream that rises without a gap, and no other. */
static void score_keys(float *scores, const float *query, struct loom_matrix keys, size_t width, size_t depth,
                       ptrdiff_t ahead) {
    for (size_t j = 0; j < width; j += LANES) {
        const float *key[LANES];
        vec sum[LANES] = {0};
        size_t d = 0;
        LOOM_UNROLL
        for (size_t i = 0; i < LANES; i++) {
            key[i] = keys.data + least(j + i, width - 1) * keys.row;
            for (d = 0; d + LANES <= depth; d += LANES) {
                __builtin_prefetch((const char *)(key[i] + d) + ahead);
                sum[i] += vec_load(query + d) * vec_load(key[i] + d);
            }
        }
        vec_store(scores + j, vec_totals(sum));
        for (size_t i = 0; i < LANES && d < depth; i++)
            for (size_t rest = d; rest < depth; rest++)
                scores[j + i] += query[rest] * key[i][rest];
    }
}

/* total[c] = the sum over keys of weight[j] * value[j][c], or += , for some vectors that stay in registers; even and
 * odd keys apart, so that one sum need not wait for the other. */
static inline __attribute__((always_inline)) void add_values(float *total, bool begun, const float *weight,
                                                             const float *value, size_t row, size_t width,
                                                             const int vectors) {
    vec even[TILE_VECTORS] = {0}, odd[TILE_VECTORS] = {0};
    size_t j = 0;
    for (; j + 2 <= width; j += 2) {
        LOOM_UNROLL
        for (int v = 0; v < vectors; v++) {
            even[v] += weight[j] * vec_load(value + j * row + (size_t)v * LANES);
            odd[v] += weight[j + 1] * vec_load(value + (j + 1) * row + (size_t)v * LANES);
        }
    }
    LOOM_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (j < width)
            even[v] += weight[j] * vec_load(value + j * row + (size_t)v * LANES);
        const vec sum = even[v] + odd[v];
        vec_store(total + v * LANES, begun ? vec_load(total + v * LANES) + sum : sum);
    }
}

static void sum_values(float *total, bool begun, const float *weight, struct loom_matrix values, size_t width,
                       size_t depth) {
    size_t c = 0;
    for (; c + PANEL <= depth; c += PANEL)
        add_values(total + c, begun, weight, values.data + c, values.row, width, TILE_VECTORS);
    for (; c + LANES <= depth; c += LANES)
        add_values(total + c, begun, weight, values.data + c, values.row, width, 1);
    for (; c < depth; c++) {
        float sum = begun ? total[c] : 0;
        for (size_t j = 0; j < width; j++)
            sum += weight[j] * values.data[j * values.row + c];
        total[c] = sum;
    }
}

/* Turns a strip's scores of a block, BLOCK apart, into weights: zeros where the queries do not see the key. */
static void weigh(const struct loom_attention *a, const struct task *s, struct strip strip, size_t start,
                  size_t width) {
    struct softmax_row query[LANES];
    for (size_t r = 0; r < strip.rows; r += LANES) {
        const size_t count = least(strip.rows - r, LANES);
        for (size_t i = 0; i < count; i++) {
            const size_t row = strip.row + (r + i) * strip.step;
            query[i] = (struct softmax_row){s->scores + (r + i) * BLOCK,
                                            s->first > start ? s->first - start : 0,
                                            width,
                                            width,
                                            start > s->first,
                                            s->sum + row,
                                            s->largest + row,
                                            s->total + row * a->value_dim,
                                            a->value_dim};
        }
        add_softmax(query, count, a->scale);
    }
}

/* The scores of one query with a block's keys. */
static void score_row(const struct call *f, float *scores, const float *query, struct block b) {
    const size_t depth = f->a->head_dim;
#if defined(__AVX512BF16__)
    if (f->key.format == LOOM_STORAGE_BF16) {
        uint16_t rounded[HEAD_LIMIT];
        round_to_bf16(rounded, query, depth);
        score_words(scores, rounded, (const void *)b.keys.data, b.keys.row, b.width, depth, b.keys_ahead);
        return;
    }
#endif
    score_keys(scores, query, b.keys, b.width, depth, b.keys_ahead);
}

/* What a block's values add to one query's total, by its weights. */
static void sum_row(const struct call *f, float *total, bool begun, const float *weights, struct block b) {
    const size_t depth = f->a->value_dim;
#if defined(__AVX512BF16__)
    if (f->value.format == LOOM_STORAGE_BF16) {
        uint16_t rounded[BLOCK + 3] = {0};
        round_to_bf16(rounded, weights, b.width);
        sum_words(total, begun, rounded, (const void *)b.values.data, b.values.row, b.width, depth, b.values_ahead);
        return;
    }
#endif
    sum_values(total, begun, weights, b.values, b.width, depth);
}

/* A block that is read where it lies, and at most TILE_ROWS rows. */
static void add_own(const struct call *f, const struct task *s, struct strip strip, struct block b) {
    const struct loom_attention *a = f->a;
    for (size_t r = 0; r < strip.rows; r++)
        score_row(f, s->scores + r * BLOCK, strip.query + r * strip.stride, b);
    weigh(a, s, strip, b.start, b.width);
    for (size_t r = 0; r < strip.rows; r++)
        sum_row(f, s->total + (strip.row + r * strip.step) * a->value_dim, b.start > s->first, s->scores + r * BLOCK,
                b);
}

/* A packed block and at most TILE_ROWS rows. */
static void add_packed(const struct call *f, const struct task *s, struct strip strip, struct loom_panels keys,
                       struct loom_panels values, size_t start) {
    const struct loom_attention *a = f->a;
    const size_t width = keys.columns;
    loom_cpu_multiply_as((struct loom_target){s->scores, BLOCK, false},
                         (struct loom_matrix){strip.query, strip.stride, 1}, keys, strip.rows, a->head_dim);
    weigh(a, s, strip, start, width);
    const struct loom_target total = {s->total + strip.row * a->value_dim, strip.step * a->value_dim, start > s->first};
    loom_cpu_multiply_as(total, (struct loom_matrix){s->scores, BLOCK, 1}, values, strip.rows, width);
}

/* A block that all members share. */
static void add_shared(const struct call *f, const struct task *s, struct block b) {
    const struct loom_attention *a = f->a;
    const struct loom_panels keys = loom_cpu_pack_from(
        f->bf16, s->keys, (struct loom_matrix){b.keys.data, 1, b.keys.row}, f->key.format, a->head_dim, b.width);
    const struct loom_panels values =
        loom_cpu_pack_from(f->bf16, s->values, b.values, f->value.format, b.width, a->value_dim);
    for (size_t i = 0; i < f->share; i++)
        for (size_t m = 0; m < s->members; m += TILE_ROWS) {
            const float *query = head_at(f->q, s->b0 + m, 0, s->g * f->share + i);
            add_packed(f, s,
                       (struct strip){query, f->q.batch, m * f->share + i, f->share, least(TILE_ROWS, s->members - m)},
                       keys, values, b.start);
        }
}

/* The first own keys of the next member, or of the next task's first; b itself where there is none. */
static struct block next_of(const struct call *f, const struct task *s, size_t member, struct block b) {
    const size_t start = f->a->shared;
    if (member + 1 < s->members)
        return block_at(f, s, s->b0 + member + 1, start, 0);
    if (!s->followed)
        return b;
    struct task next = *s;
    next.g = (s->g + 1) % f->a->kv_heads;
    return block_at(f, &next, next.g > 0 ? s->b0 : s->b0 + s->members, start, 0);
}

/* Keys start .. end-1 of a sequence against a member's rows, in even blocks. What is read behind each is fetched
 * meanwhile: a head's keys are too few for the processor to foresee where the next begin. */
static void add_range(const struct call *f, const struct task *s, size_t member, size_t sequence, size_t start,
                      size_t end) {
    const float *query = head_at(f->q, s->b0 + member, 0, s->g * f->share);
    for (size_t width; start < end; start += width) {
        const size_t blocks = (end - start + BLOCK - 1) / BLOCK;
        width = (end - start + blocks - 1) / blocks;
        struct block b = block_at(f, s, sequence, start, width);
        const struct block next = blocks > 1 ? block_at(f, s, sequence, start + width, 0) : next_of(f, s, member, b);
        b.keys_ahead = (const char *)next.keys.data - (const char *)b.keys.data;
        b.values_ahead = (const char *)next.values.data - (const char *)b.values.data;
        for (size_t i = 0; i < f->share && start + width > s->first; i += TILE_ROWS)
            add_own(f, s,
                    (struct strip){query + i * f->q.head, f->q.head, member * f->share + i, 1,
                                   least(TILE_ROWS, f->share - i)},
                    b);
    }
}

static void finish(const struct call *f, const struct task *s, size_t member) {
    const struct loom_attention *a = f->a;
    for (size_t i = 0; i < f->share; i++) {
        const size_t row = member * f->share + i, b = s->b0 + member, h = s->g * f->share + i;
        const float share = 1.0f / s->sum[row], *total = s->total + row * a->value_dim;
        float *out = head_at(f->out, b, 0, h);
        for (size_t c = 0; c < a->value_dim; c++)
            out[c] = total[c] * share;
        f->lse[b * a->heads + h] = a->scale * s->largest[row] + logf(s->sum[row]);
    }
}

static void run_task(const struct call *f, const struct task *s) {
    const struct loom_attention *a = f->a;
    const bool pack = s->members * f->share >= PACK_ROWS;
    for (size_t start = 0, next; pack && start < a->shared; start = next) {
        next = least(start + BLOCK, a->shared);
        if (next > s->first)
            add_shared(f, s, block_at(f, s, s->source, start, next - start));
    }
    for (size_t m = 0; m < s->members; m++) {
        if (!pack)
            add_range(f, s, m, s->source, 0, a->shared);
        add_range(f, s, m, s->b0 + m, a->shared, a->keys);
        finish(f, s, m);
    }
}

/* Scratch of a task without its rows'. */
static size_t block_floats(const struct loom_attention *a) {
    return loom_cpu_packed_size(a->head_dim, BLOCK) + loom_cpu_packed_size(BLOCK, a->value_dim) + TILE_ROWS * BLOCK;
}

static struct task task_at(const struct call *f, size_t item, float *scratch) {
    const struct loom_attention *a = f->a;
    const size_t group = item / a->kv_heads / f->chunks, chunk = item / a->kv_heads % f->chunks;
    struct task s = {.g = item % a->kv_heads, .source = group * f->group, .keys = scratch};
    s.b0 = s.source + chunk * f->members;
    s.members = least(f->members, f->group - chunk * f->members);
    s.first = first_key(a, s.b0, 0);
    s.values = s.keys + loom_cpu_packed_size(a->head_dim, BLOCK);
    s.scores = s.values + loom_cpu_packed_size(BLOCK, a->value_dim);
    s.total = s.scores + TILE_ROWS * BLOCK;
    s.sum = s.total + f->members * f->share * a->value_dim;
    s.largest = s.sum + f->members * f->share;
    return s;
}

static void run_part(const void *job, struct loom_cpu_part part) {
    for (size_t item = part.first; item < part.end; item++) {
        struct task s = task_at(job, item, part.scratch);
        s.followed = item + 1 < part.end;
        run_task(job, &s);
    }
}

bool loom_cpu_attend_token(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view out,
                           float *lse, struct loom_view q, struct loom_view key, struct loom_view value) {
    struct call f = {a, out, q, key, value, lse, .bf16 = loom_cpu_bf16(k), .share = a->heads / a->kv_heads};
    const size_t fixed = block_floats(a), each = f.share * (a->value_dim + 2);
    if (a->queries != 1 || a->dropout > 0 || fixed + each > LOOM_CPU_SCRATCH)
        return false;
    f.group = a->shared > 0 ? a->group : 1;
    f.members = least(f.group, (LOOM_CPU_SCRATCH - fixed) / each);
    f.chunks = (f.group + f.members - 1) / f.members;
    loom_cpu_share(k, a->batch / f.group * f.chunks * a->kv_heads,
                   f.members * f.share * (a->keys * (a->head_dim + a->value_dim) / 32), run_part, &f);
    return true;
}
