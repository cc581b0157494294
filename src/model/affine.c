/* affine.c - see affine.h. */
#include "model/affine.h"

#include "model/gradient.h"

struct loom_affine loom_affine_declare(struct loom_tensors *table, size_t n_in, size_t n_out, bool bias, double std,
                                       const char *prefix, const char *name) {
    struct loom_affine a = {.bias = LOOM_NO_TENSOR, .n_in = n_in, .n_out = n_out};
    struct loom_tensor_spec matrix = {.rows = n_out, .cols = n_in, .std = std}, zeros = {.cols = n_out};
    a.weight = loom_tensors_add(table, matrix, prefix, "%s.weight", name);
    if (bias)
        a.bias = loom_tensors_add(table, zeros, prefix, "%s.bias", name);
    return a;
}

static struct loom_linear shape(const struct loom_affine *a, size_t rows, enum loom_storage x, enum loom_storage y) {
    return (struct loom_linear){.rows = rows, .n_in = a->n_in, .n_out = a->n_out, .groups = 1, .x = x, .y = y};
}

void loom_affine_forward(struct loom_pass *p, const struct loom_affine *a, real *y, struct loom_factor x, size_t rows) {
    const struct loom_kernels *k = p->k;
    struct loom_linear s = shape(a, rows, x.format, LOOM_STORAGE_REAL);
    k->linear(k, &s, y, x.data, p->w + a->weight, false);
    if (a->bias != LOOM_NO_TENSOR)
        k->add_row(k, y, p->w + a->bias, rows, a->n_out);
}

void loom_affine_backward_input(struct loom_pass *p, const struct loom_affine *a, real *dx, struct loom_factor dy,
                                size_t rows, bool accumulate) {
    struct loom_linear s = shape(a, rows, LOOM_STORAGE_REAL, dy.format);
    p->k->linear_input(p->k, &s, dx, dy.data, p->w + a->weight, accumulate);
}

void loom_affine_backward_weight(struct loom_pass *p, const struct loom_affine *a, struct loom_factor dy,
                                 struct loom_factor x, size_t rows) {
    const struct loom_kernels *k = p->k;
    struct loom_linear s = shape(a, rows, x.format, dy.format);
    loom_gradient_linear(p, &s, a->weight, dy.data, x.data);
    real *dbias = loom_gradient(p, a->bias);
    if (dbias)
        k->sum_rows(k, dbias, dy.data, dy.format, rows, a->n_out);
}

void loom_affine_backward(struct loom_pass *p, const struct loom_affine *a, real *dx, struct loom_factor dy,
                          struct loom_factor x, size_t rows, bool accumulate) {
    loom_affine_backward_input(p, a, dx, dy, rows, accumulate);
    loom_affine_backward_weight(p, a, dy, x, rows);
}
