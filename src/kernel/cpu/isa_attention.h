/* isa_attention.h - what attention's forward and backward share. */
#ifndef LOOM_KERNEL_CPU_ISA_ATTENTION_H
#define LOOM_KERNEL_CPU_ISA_ATTENTION_H

#include <math.h>

#include "kernel/cpu/isa_format.h"
#include "kernel/cpu/isa_rows.h"
#include "kernel/cpu/isa_softmax.h"
#include "kernel/cpu/isa_tile.h"

#define loom_cpu_attend_token LOOM_ISA_NAME(loom_cpu_attend_token)

/* `attention` of kernel.h for one query of each sequence. False, and nothing done, where another way must be taken. */
bool loom_cpu_attend_token(const struct loom_kernels *k, const struct loom_attention *a, struct loom_view out,
                           float *lse, struct loom_view q, struct loom_view key, struct loom_view value);

/* Heads wider than this are left to ref: their blocks would not fit the scratch. */
enum { HEAD_LIMIT = LOOM_ATTENTION_WIDEST };

/* Which element a head begins with, and where it lies. */
static inline size_t head_index(struct loom_view v, size_t b, size_t t, size_t h) {
    return b * v.batch + t * v.row + h * v.head;
}

static inline const float *head_place(struct loom_view v, size_t b, size_t t, size_t h) {
    return loom_storage_at(v.data, v.format, head_index(v, b, t, h));
}

static inline float *head_at(struct loom_view v, size_t b, size_t t, size_t h) {
    return v.data + head_index(v, b, t, h);
}

/* Rows of one head lie too far apart for the processor to guess the next: so many ahead are asked for. */
enum { HEADS_AHEAD = 16 };

/* Asks for the `width` elements of a head. */
static inline __attribute__((always_inline)) void fetch_head(struct loom_view v, size_t b, size_t t, size_t h,
                                                             size_t width, bool write) {
    fetch_lines(head_place(v, b, t, h), width * loom_storage_size(v.format), write);
}

/* How many keys query i sees. */
static inline size_t keys_seen(const struct loom_attention *a, size_t i) {
    return a->keys - a->queries + i + 1;
}

/* The first key that query i sees. */
static inline size_t first_key(const struct loom_attention *a, size_t b, size_t i) {
    return a->first != NULL ? (size_t)a->first[b * a->queries + i] : 0;
}

/* Where the pair (query i, key 0) lies among all weights, which is its dropout's index. */
static inline uint64_t pair_index(const struct loom_attention *a, size_t b, size_t h, size_t i) {
    return ((b * a->heads + h) * a->queries + i) * a->keys;
}

/* The keys that a query sees within a block of scores, first .. end-1, and the whole vectors around them. */
struct seen {
    size_t first, end, whole_first, whole_end;
};

static inline struct seen seen_keys(size_t first, size_t end) {
    return (struct seen){first, end, first / LANES * LANES, (end + LANES - 1) / LANES * LANES};
}

static inline void fill_range(float *x, size_t first, size_t end, float value) {
    for (size_t j = first; j < end; j++)
        x[j] = value;
}

static inline size_t round_to(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* The first `seen` columns of packed panels, rounded up to whole panels. */
static inline struct loom_panels panels_seen(struct loom_panels panels, size_t seen) {
    panels.columns = least(panels.columns, round_to(seen, PANEL));
    return panels;
}

#endif
