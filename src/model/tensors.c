/* tensors.c - see tensors.h. */
#include "model/tensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/random.h"

static bool grow(struct loom_tensors *table) {
    struct loom_tensor *items = loom_grow(table->items, &table->capacity, table->count + 1, sizeof *items);
    if (items)
        table->items = items;
    return items != NULL;
}

size_t loom_tensors_add(struct loom_tensors *table, struct loom_tensor_spec spec, const char *prefix,
                        const char *format, ...) {
    if (!grow(table)) {
        table->failed = true;
        return 0;
    }
    struct loom_tensor *t = &table->items[table->count++];
    *t = (struct loom_tensor){.rank = spec.rows ? 2 : 1,
                              .offset = table->elements,
                              .count = (spec.rows ? spec.rows : 1) * spec.cols,
                              .mean = spec.mean,
                              .std = spec.std,
                              .buffer = spec.buffer,
                              .twin = spec.twin,
                              .kind = spec.kind};
    t->shape[0] = spec.rows ? spec.rows : spec.cols;
    t->shape[1] = spec.rows ? spec.cols : 0;
    int used = snprintf(t->name, sizeof t->name, "%s", prefix);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t->name + used, sizeof t->name - (size_t)used, format, arguments);
    va_end(arguments);
    table->elements += t->count;
    return t->offset;
}

void loom_tensors_free(struct loom_tensors *table) {
    free(table->items);
    *table = (struct loom_tensors){0};
}

const struct loom_tensor *loom_tensors_find(const struct loom_tensors *table, const char *name) {
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->items[i].name, name) == 0)
            return &table->items[i];
    return NULL;
}

uint64_t loom_tensors_parameters(const struct loom_tensors *table) {
    uint64_t sum = 0;
    for (size_t i = 0; i < table->count; i++)
        sum += table->items[i].buffer ? 0 : table->items[i].count;
    return sum;
}

void loom_tensors_init(const struct loom_tensors *table, real *weights, uint64_t seed) {
    for (size_t i = 0; i < table->count; i++) {
        const struct loom_tensor *t = &table->items[i];
        struct loom_random stream = {seed, LOOM_RANDOM_INIT | (uint64_t)(i - t->twin) << 8};
        for (size_t j = 0; j < t->count; j++)
            weights[t->offset + j] = (real)(t->mean + (t->std > 0 ? t->std * loom_random_normal(stream, j) : 0));
    }
}
