/* bench_linear.c - what the matrix products reach, beside the processor's peak.
 *
 * bench_linear [THREADS [bf16]] prints one line a shape: GFLOP/s of y = x W^T, dx = dy W and dW += dy^T x, and each
 * one's share of the peak. Each number is the best of several short windows, because other programs only ever take
 * away. One thread is measured by the processor's time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "kernel/kernel.h"

enum { WINDOWS = 12, KINDS = 3, GROUPS_MAX = 64 };

struct shape {
    size_t rows, n_in, n_out, groups;
};

struct arrays {
    float *x, *y, *w;
};

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void fill(float *to, size_t n) {
    const struct loom_random stream = {1, LOOM_RANDOM_TEST};
    for (size_t i = 0; i < n; i++)
        to[i] = (float)(loom_random_uniform(stream, i) - 0.5);
}

static void call(const struct loom_kernels *k, const struct loom_linear *s, struct arrays a, int kind) {
    if (kind == 0)
        k->linear(k, s, a.y, a.x, a.w, false);
    else if (kind == 1)
        k->linear_input(k, s, a.x, a.y, a.w, false);
    else
        k->linear_weight(k, s, a.w, a.y, a.x);
}

/* FLOP/s of the best window of about 10 ms. */
static double rate(const struct loom_kernels *k, const struct loom_linear *s, struct arrays a, int kind,
                   clockid_t clock) {
    const double flops = 2.0 * (double)s->rows * (double)s->n_in * (double)s->n_out;
    double best = 0;
    for (int i = 0; i < WINDOWS; i++) {
        const double start = seconds(clock);
        double now = start;
        size_t calls = 0;
        for (; now - start < 0.01; calls++) {
            call(k, s, a, kind);
            now = seconds(clock);
        }
        const double reached = flops * (double)calls / (now - start);
        best = reached > best ? reached : best;
    }
    return best;
}

static int measure(const struct loom_kernels *k, struct shape shape, double peak, clockid_t clock) {
    int offset[GROUPS_MAX + 1];
    for (size_t g = 0; g <= shape.groups; g++)
        offset[g] = (int)(shape.rows * g / shape.groups);
    const struct loom_linear s = {
        .rows = shape.rows, .n_in = shape.n_in, .n_out = shape.n_out, .groups = shape.groups, .offset = offset};
    const size_t weights = shape.groups * s.n_in * s.n_out;
    struct arrays a = {k->alloc(k, s.rows * s.n_in * sizeof(float)), k->alloc(k, s.rows * s.n_out * sizeof(float)),
                       k->alloc(k, weights * sizeof(float))};
    const int ok = a.x != NULL && a.y != NULL && a.w != NULL;
    if (ok) {
        fill(a.x, s.rows * s.n_in);
        fill(a.w, weights);
        printf("%6zu x %6zu x %5zu, %2zu groups:", s.rows, s.n_out, s.n_in, shape.groups);
        for (int kind = 0; kind < KINDS; kind++) {
            double reached = rate(k, &s, a, kind, clock);
            printf(" %7.1f (%3.0f %%)", reached * 1e-9, 100 * reached / peak);
        }
        printf("\n");
    }
    k->release(k, a.x);
    k->release(k, a.y);
    k->release(k, a.w);
    return ok;
}

int main(int argc, char **argv) {
    static const struct shape shapes[] = {
        {1024, 1024, 1024, 1}, {4096, 768, 768, 1}, {4096, 768, 2048, 1}, {64, 768, 2048, 1},    {512, 384, 384, 1},
        {64, 512, 128, 1},     {64, 128, 512, 1},   {768, 128, 384, 1},   {768, 128, 512, 1},    {768, 512, 128, 1},
        {768, 128, 128, 1},    {768, 128, 65, 1},   {3072, 384, 1152, 1}, {1024, 384, 50304, 1}, {128, 384, 256, 8},
        {512, 384, 256, 8},    {1600, 256, 384, 8}, {1600, 512, 256, 8},  {1, 4096, 4096, 1},    {8, 4096, 4096, 1},
        {1, 384, 1536, 1},     {4, 384, 1536, 1},
    };
    const int threads = argc > 1 ? atoi(argv[1]) : 0;
    const enum loom_precision precision =
        argc > 2 && strcmp(argv[2], "bf16") == 0 ? LOOM_PRECISION_BF16 : LOOM_PRECISION_FLOAT32;
    struct loom_kernels *k = loom_kernels_cpu_open(threads);
    if (k == NULL) {
        fprintf(stderr, "bench_linear: out of memory\n");
        return 1;
    }
    if (!k->set_precision(k, precision)) {
        fprintf(stderr, "bench_linear: %s has no products in bf16\n", k->name);
        return 1;
    }
    const double peak = loom_kernels_cpu_peak(threads, precision);
    printf("%s, peak %.1f GFLOP/s\n  rows  x  n_out x  n_in:            forward          input         weight\n",
           k->name, peak * 1e-9);
    int ok = 1;
    for (size_t i = 0; ok && i < sizeof shapes / sizeof *shapes; i++)
        ok = measure(k, shapes[i], peak, threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
    loom_kernels_cpu_close(k);
    return ok ? 0 : 1;
}
