/* bench_experts.c - what sorting tokens by expert costs: the grouped products of a layer of experts beside dense
 * products of the same FLOPs, which give all the tokens to one expert.
 *
 * bench_experts [float32] measures one thread by the processor's time, the two in turn. A forward is the three products
 * of SwiGLU, a backward their six; weights are held, as in training. Prints the median of the pairs' ratios. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "kernel/kernel.h"

enum { PAIRS = 41, EXPERTS = 8, DIM = 384, WIDTH = 256, MOST = 512 };

struct layer {
    const struct loom_kernels *k;
    struct loom_linear in, out; /* gate and up; down */
    float *x, *inner, *y, *dx, *dinner, *weights, *gradients;
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The first of three kinds of matrices: gate, up, down. */
static float *matrices(float *block, size_t kind) {
    return block + kind * EXPERTS * DIM * WIDTH;
}

static void forward(const struct layer *l) {
    const struct loom_kernels *k = l->k;
    k->linear(k, &l->in, l->inner, l->x, matrices(l->weights, 0), false);
    k->linear(k, &l->in, l->inner, l->x, matrices(l->weights, 1), false);
    k->linear(k, &l->out, l->y, l->inner, matrices(l->weights, 2), false);
}

static void backward(const struct layer *l) {
    const struct loom_kernels *k = l->k;
    k->linear_input(k, &l->out, l->dinner, l->y, matrices(l->weights, 2), false);
    k->linear_weight(k, &l->out, matrices(l->gradients, 2), l->y, l->inner);
    for (size_t kind = 0; kind < 2; kind++) {
        k->linear_input(k, &l->in, l->dx, l->dinner, matrices(l->weights, kind), kind > 0);
        k->linear_weight(k, &l->in, matrices(l->gradients, kind), l->dinner, l->x);
    }
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median over pairs of grouped seconds over dense ones. */
static double ratio(const struct layer *grouped, const struct layer *dense, void (*pass)(const struct layer *)) {
    double ratios[PAIRS];
    pass(grouped), pass(dense);
    for (int i = 0; i < PAIRS; i++) {
        const double begin = seconds();
        pass(i % 2 == 0 ? grouped : dense);
        const double middle = seconds();
        pass(i % 2 == 0 ? dense : grouped);
        const double first = middle - begin, second = seconds() - middle;
        ratios[i] = i % 2 == 0 ? first / second : second / first;
    }
    qsort(ratios, PAIRS, sizeof *ratios, by_size);
    return ratios[PAIRS / 2];
}

static void measure(struct layer grouped, size_t each) {
    int offset[EXPERTS + 1];
    for (int g = 0; g <= EXPERTS; g++)
        offset[g] = g * (int)each;
    grouped.in = (struct loom_linear){.rows = EXPERTS * each, .n_in = DIM, .n_out = WIDTH, .groups = EXPERTS};
    grouped.in.offset = offset;
    grouped.out = grouped.in;
    grouped.out.n_in = WIDTH, grouped.out.n_out = DIM;
    struct layer dense = grouped;
    dense.in.groups = dense.out.groups = 1;
    dense.in.offset = dense.out.offset = NULL;
    printf("%4zu tokens an expert: forward %.2f, backward %.2f\n", each, ratio(&grouped, &dense, forward),
           ratio(&grouped, &dense, backward));
    fflush(stdout);
}

static float *draw(const struct loom_kernels *k, size_t n) {
    float *x = k->alloc(k, n * sizeof *x);
    for (size_t i = 0; x != NULL && i < n; i++)
        x[i] = (float)(loom_random_uniform((struct loom_random){1, LOOM_RANDOM_TEST}, i) - 0.5);
    return x;
}

int main(int argc, char **argv) {
    const bool words = argc < 2 || strcmp(argv[1], "float32") != 0;
    const size_t wide = (size_t)EXPERTS * MOST * DIM, narrow = (size_t)EXPERTS * MOST * WIDTH;
    const size_t all = (size_t)3 * EXPERTS * DIM * WIDTH;
    struct loom_kernels *k = loom_kernels_cpu_open(1);
    if (k == NULL || !k->set_precision(k, words ? LOOM_PRECISION_BF16 : LOOM_PRECISION_FLOAT32)) {
        fprintf(stderr, "bench_experts: no memory, or no products in bf16 (try: bench_experts float32)\n");
        return 1;
    }
    struct layer l = {.k = k, .x = draw(k, wide), .inner = draw(k, narrow), .y = draw(k, wide), .dx = draw(k, wide)};
    l.dinner = draw(k, narrow), l.weights = draw(k, all), l.gradients = draw(k, all);
    if (!l.x || !l.inner || !l.y || !l.dx || !l.dinner || !l.weights || !l.gradients || !k->hold(k, l.weights, all)) {
        fprintf(stderr, "bench_experts: out of memory\n");
        return 1;
    }
    printf("%s, %s, %d experts of %d x %d: time over dense products of the same FLOPs\n", k->name,
           words ? "bf16" : "float32", EXPERTS, WIDTH, DIM);
    for (size_t each = 16; each <= MOST; each *= 2)
        measure(l, each);
    float *const arrays[] = {l.x, l.inner, l.y, l.dx, l.dinner, l.weights, l.gradients};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        k->release(k, arrays[i]);
    loom_kernels_cpu_close(k);
    return 0;
}
