/* isa_softmax.h - attention's weights: the exponential, and the softmax of several queries that meet a block of keys.
 *
 * Milakov & Gimelshein 2018. A row is short, so that its largest score and its sum would be waited for; those of as
 * many rows as a vector has lanes are taken together. */
#ifndef LOOM_KERNEL_CPU_ISA_SOFTMAX_H
#define LOOM_KERNEL_CPU_ISA_SOFTMAX_H

#include <math.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "kernel/cpu/isa_transpose.h"
#include "kernel/cpu/vector_math.h"

/* 2^x for x of at most 128, where it is a power of e that is wanted: log2(e) x. 0 from -150 down, or -126 where the
 * instruction set makes no powers; NaN stays NaN. The relative error is about 1e-7, and x's own. The coefficients are
 * the minimax fit of degree 6 over [-1/2, 1/2]. */
static inline vec vec_exp2(vec x) {
#if defined(__AVX512F__)
    const __m512 z = _mm512_max_ps(_mm512_set1_ps(-150.0f), (__m512)x);
    const vec n = (vec)_mm512_roundscale_ps(z, 0), f = (vec)z - n;
#else
    /* Added to a float, this leaves the nearest integer in the lowest bits. */
    const float rounder = 0x1.8p23f;
    const vec_mask low = x < (vec){0} - 126.0f;
    const vec z = (vec)((~low & (vec_mask)x) | (low & (vec_mask)((vec){0} - 126.0f)));
    const vec rounded = z + rounder, n = rounded - rounder, f = z - n;
#endif
    vec p = (vec){0} + 0.00015345812f;
    p = p * f + 0.0013399931f;
    p = p * f + 0.009618489f;
    p = p * f + 0.055503286f;
    p = p * f + 0.24022646f;
    p = p * f + 0.6931472f;
    p = p * f + 1.0f;
#if defined(__AVX512F__)
    return (vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    const vec power = (vec)(((vec_mask)rounded + 127) << 23);
    return (vec)(~low & (vec_mask)(p * power));
#endif
}

static const float log2_e = 1.44269504f;

/* x, but -inf before lane `first` and from lane `end` on. */
static inline vec keep_lanes(vec x, size_t first, size_t end) {
    static const int numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vec_mask lane;
    __builtin_memcpy(&lane, numbers, sizeof lane);
    const vec_mask kept = (lane >= (int)first) & (lane < (int)end);
    return (vec)((kept & (vec_mask)x) | (~kept & (vec_mask)((vec){0} - INFINITY)));
}

/* A query's scores for a block of `width` keys, of which it sees skip .. stop-1, and its softmax over the keys that it
 * has met, where `begun`. */
struct softmax_row {
    float *score;
    size_t skip, stop, width;
    bool begun;
    float *sum, *largest; /* of the weights so far; of the unscaled scores */
    float *total;         /* (value_dim): of weight * value so far */
    size_t value_dim;
};

/* Where the whole vectors around the seen keys begin and end. */
static inline size_t whole_first(const struct softmax_row *r) {
    return r->skip / LANES * LANES;
}

static inline size_t whole_end(const struct softmax_row *r) {
    return (r->stop + LANES - 1) / LANES * LANES;
}

/* Gives unseen keys the score -inf, within the whole vectors; returns the largest score in each lane. */
static inline vec mask_scores(const struct softmax_row *r) {
    vec most = (vec){0} - INFINITY;
    const size_t first = whole_first(r), end = whole_end(r);
    if (r->skip > first)
        vec_store(r->score + first, keep_lanes(vec_load(r->score + first), r->skip - first, LANES));
    if (r->stop < end)
        vec_store(r->score + end - LANES, keep_lanes(vec_load(r->score + end - LANES), 0, LANES - (end - r->stop)));
    for (size_t j = first; j < end; j += LANES)
        most = vec_larger(vec_load(r->score + j), most);
    return most;
}

/* When a larger score than all before comes, what has been added up shrinks to its scale. */
static inline void meet_largest(const struct softmax_row *r, float largest, float scale) {
    if (!r->begun) {
        *r->sum = 0;
        *r->largest = largest;
    } else if (largest > *r->largest) {
        const float shrink = vector_exp(scale * (*r->largest - largest));
        *r->sum *= shrink;
        for (size_t c = 0; c < r->value_dim; c++)
            r->total[c] *= shrink;
        *r->largest = largest;
    }
}

/* Turns the whole vectors of scores into weights, and all before and behind them into zeros; returns the weights' sum
 * in each lane. */
static inline vec weigh_scores(const struct softmax_row *r, float scale) {
    const size_t first = whole_first(r), end = whole_end(r);
    const float largest = *r->largest, power = scale * log2_e;
    vec sum = {0};
    for (size_t j = 0; j < first; j += LANES)
        vec_store(r->score + j, (vec){0});
    for (size_t j = first; j < end; j += LANES) {
        const vec weight = vec_exp2((vec_load(r->score + j) - largest) * power);
        vec_store(r->score + j, weight);
        sum += weight;
    }
    for (size_t j = end; j < r->width; j++)
        r->score[j] = 0;
    return sum;
}

/* Scores become weights, zero where a key is not seen, for at most LANES rows. Scores have room for whole vectors. */
static inline void add_softmax(const struct softmax_row *row, size_t rows, float scale) {
    vec of_row[LANES];
    float value[LANES];
    for (size_t i = 0; i < LANES; i++)
        of_row[i] = i < rows ? mask_scores(row + i) : (vec){0};
    vec_store(value, vec_largests(of_row));
    for (size_t i = 0; i < rows; i++)
        if (row[i].skip < row[i].stop)
            meet_largest(row + i, value[i], scale);
    for (size_t i = 0; i < LANES; i++)
        of_row[i] = i < rows ? weigh_scores(row + i, scale) : (vec){0};
    vec_store(value, vec_totals(of_row));
    for (size_t i = 0; i < rows; i++)
        *row[i].sum += value[i];
}

#endif
