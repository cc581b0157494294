/* lora.c - see lora.h. */
#include "model/lora.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which matrices ---------------------------------------------------------------------------------------------- */

/* Copies the next pattern of a list; false at its end. */
static bool next_pattern(const char **list, char pattern[LOOM_ADAPTER_TARGETS]) {
    size_t size = strcspn(*list, ",");
    if (**list == '\0')
        return false;
    size_t kept = size < LOOM_ADAPTER_TARGETS ? size : LOOM_ADAPTER_TARGETS - 1;
    memcpy(pattern, *list, kept);
    pattern[kept] = '\0';
    *list += size + ((*list)[size] == ',');
    return true;
}

/* The name that patterns are held against: without ".weight". False for what is no matrix. */
static bool matrix_name(const struct loom_tensor *t, char name[LOOM_NAME_MAX]) {
    strcpy(name, t->name);
    size_t size = strlen(name);
    if (size > 7 && strcmp(name + size - 7, ".weight") == 0)
        name[size - 7] = '\0';
    return t->rank == 2 && !t->buffer;
}

static bool matches(const char *pattern, const struct loom_tensor *t) {
    char name[LOOM_NAME_MAX];
    return matrix_name(t, name) && fnmatch(pattern, name, 0) == 0;
}

/* A pattern that names nothing is told some of the names that there are. */
static loom_status refuse(const struct loom_tensors *table, const char *pattern, struct loom_error *error) {
    char names[256] = "", name[LOOM_NAME_MAX];
    size_t used = 0, all = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (!matrix_name(&table->items[i], name))
            continue;
        all++;
        if (used + strlen(name) + 3 < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
    }
    return loom_fail(error, LOOM_INVALID,
                     "adapter_targets: the model has no matrix called \"%s\"; among its %zu are %s", pattern, all,
                     names);
}

/* A matrix that has no more than r rows or columns is left as it is. */
static bool is_target(const struct loom_lora *lora, const char *targets, const struct loom_tensor *t) {
    char pattern[LOOM_ADAPTER_TARGETS];
    bool large = t->rank == 2 && t->shape[0] > lora->rank && t->shape[1] > lora->rank;
    while (large && next_pattern(&targets, pattern))
        if (matches(pattern, t))
            return true;
    return false;
}

static loom_status check_patterns(const struct loom_lora *lora, const struct loom_tensors *table, const char *targets,
                                  struct loom_error *error) {
    char pattern[LOOM_ADAPTER_TARGETS];
    while (next_pattern(&targets, pattern)) {
        bool named = false, found = false;
        for (size_t i = 0; i < table->count; i++) {
            named = named || matches(pattern, &table->items[i]);
            found = found || is_target(lora, pattern, &table->items[i]);
        }
        if (!named)
            return refuse(table, pattern, error);
        if (!found)
            return loom_fail(error, LOOM_INVALID,
                             "adapter_rank %zu is not below the rows and columns of any matrix called \"%s\"",
                             lora->rank, pattern);
    }
    return LOOM_OK;
}

static void add_site(struct loom_lora *lora, const struct loom_tensor *t) {
    size_t r = lora->rank, out = t->shape[0], in = t->shape[1];
    struct loom_tensor_spec a = {.rows = r, .cols = in, .std = 1 / sqrt((double)in)}, b = {.rows = out, .cols = r};
    struct loom_lora_site *site = &lora->sites[lora->n_sites++];
    *site = (struct loom_lora_site){.weight = t->offset, .base = lora->base_elements, .n_in = in, .n_out = out};
    int length = (int)strlen(t->name) - 7;
    site->a = loom_tensors_add(&lora->factors, a, "", "base_model.model.%.*s.lora_A.weight", length, t->name);
    site->b = loom_tensors_add(&lora->factors, b, "", "base_model.model.%.*s.lora_B.weight", length, t->name);
    lora->base_elements += t->count;
    size_t larger = r * (in > out ? in : out);
    lora->scratch_elements = larger > lora->scratch_elements ? larger : lora->scratch_elements;
}

loom_status loom_lora_open(struct loom_lora *lora, const struct loom_kernels *k, const struct loom_tensors *table,
                           const char *targets, int rank, double alpha, struct loom_error *error) {
    *lora = (struct loom_lora){.k = k,
                               .rank = (size_t)rank,
                               .alpha = alpha,
                               .sites = calloc(table->count + 1, sizeof *lora->sites),
                               .starts = calloc(table->count + 1, sizeof *lora->starts)};
    if (!lora->sites || !lora->starts)
        return loom_fail_memory(error, "adapters", table->count * sizeof *lora->sites);
    loom_status status = check_patterns(lora, table, targets, error);
    for (size_t i = 0; i < table->count && status == LOOM_OK; i++)
        if (is_target(lora, targets, &table->items[i]))
            add_site(lora, &table->items[i]);
    if (status == LOOM_OK && lora->n_sites == 0)
        status = loom_fail(error, LOOM_INVALID, "adapter_targets names no matrix");
    if (status == LOOM_OK && lora->factors.failed)
        status = loom_fail_memory(error, "adapters", lora->n_sites * sizeof *lora->sites);
    if (status || !k)
        return status;
    lora->base = k->alloc(k, lora->base_elements * sizeof(real));
    lora->scratch = k->alloc(k, lora->scratch_elements * sizeof(real));
    return lora->base && lora->scratch ? LOOM_OK
                                       : loom_fail_memory(error, "adapters", lora->base_elements * sizeof(real));
}

void loom_lora_close(struct loom_lora *lora) {
    if (lora->k) {
        lora->k->release(lora->k, lora->base);
        lora->k->release(lora->k, lora->scratch);
    }
    loom_tensors_free(&lora->factors);
    free(lora->sites);
    free(lora->starts);
    *lora = (struct loom_lora){0};
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* A factor times alpha / r, in the scratch. */
static const real *scaled(const struct loom_lora *lora, const real *factor, size_t count) {
    const struct loom_kernels *k = lora->k;
    k->fill(k, lora->scratch, 0, count);
    k->add_scaled(k, lora->scratch, (real)(lora->alpha / (double)lora->rank), factor, count);
    return lora->scratch;
}

void loom_lora_keep_base(struct loom_lora *lora, const real *weights) {
    for (size_t i = 0; i < lora->n_sites; i++) {
        const struct loom_lora_site *s = &lora->sites[i];
        lora->k->copy(lora->k, lora->base + s->base, weights + s->weight, s->n_in * s->n_out);
    }
}

/* B A is a product dy W with dy = B (out, r) and W = A (r, in). */
void loom_lora_apply(const struct loom_lora *lora, real *weights, const real *factors) {
    const struct loom_kernels *k = lora->k;
    for (size_t i = 0; i < lora->n_sites; i++) {
        const struct loom_lora_site *s = &lora->sites[i];
        struct loom_linear product = {.rows = s->n_out, .n_in = s->n_in, .n_out = lora->rank, .groups = 1};
        k->copy(k, weights + s->weight, lora->base + s->base, s->n_in * s->n_out);
        k->linear_input(k, &product, weights + s->weight, scaled(lora, factors + s->b, s->n_out * lora->rank),
                        factors + s->a, true);
    }
}

const struct loom_lora_site *loom_lora_from(const struct loom_lora *lora, size_t place) {
    size_t low = 0, high = lora->n_sites;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct loom_lora_site *site = &lora->sites[middle];
        if (site->weight + site->n_in * site->n_out <= place)
            low = middle + 1;
        else
            high = middle;
    }
    return lora->sites + low;
}

const struct loom_lora_site *loom_lora_at(const struct loom_lora *lora, size_t place) {
    const struct loom_lora_site *site = loom_lora_from(lora, place);
    return site < lora->sites + lora->n_sites && site->weight <= place ? site : NULL;
}
