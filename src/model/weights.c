/* weights.c - see weights.h. */
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Moments of a buffer do not exist. */
static bool has_tensor(const struct loom_weights_block *block, const struct loom_tensor *t) {
    return block->prefix[0] == '\0' || !t->buffer;
}

static bool same_shape(const struct loom_tensor *t, const struct loom_tensor_view *view) {
    if (view->rank != t->rank)
        return false;
    for (int i = 0; i < t->rank; i++)
        if (view->shape[i] != t->shape[i])
            return false;
    return true;
}

static void describe(char *text, size_t size, int rank, const uint64_t *shape) {
    int used = snprintf(text, size, "(");
    for (int i = 0; i < rank && used > 0 && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    if (used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, ")");
}

static loom_status read_tensor(const struct loom_safetensors *file, const char *name, const struct loom_tensor *t,
                               real *data, struct loom_error *error) {
    const struct loom_tensor_view *view = loom_safetensors_find(file, name);
    if (!view)
        return loom_fail(error, LOOM_FAILED, "%s: the tensor \"%s\" is missing", file->path, name);
    if (view->dtype != LOOM_F32)
        return loom_fail(error, LOOM_FAILED, "%s: the tensor \"%s\" is %s, not F32", file->path, name,
                         loom_dtype_name(view->dtype));
    if (!same_shape(t, view)) {
        char found[128], wanted[128];
        uint64_t shape[LOOM_RANK_MAX] = {t->shape[0], t->shape[1], t->shape[2]};
        describe(found, sizeof found, view->rank, view->shape);
        describe(wanted, sizeof wanted, t->rank, shape);
        return loom_fail(error, LOOM_FAILED, "%s: the tensor \"%s\" has shape %s, the config asks for %s", file->path,
                         name, found, wanted);
    }
    return loom_safetensors_read_real(view, data, t->count, error);
}

/* Every name in the file must be one that was asked for. */
static loom_status check_names(const struct loom_safetensors *file, const struct loom_tensors *table,
                               const struct loom_weights_block *blocks, size_t count, struct loom_error *error) {
    for (size_t i = 0; i < file->count; i++) {
        bool known = false;
        for (size_t b = 0; b < count && !known; b++) {
            size_t length = strlen(blocks[b].prefix);
            known = strncmp(file->tensors[i].name, blocks[b].prefix, length) == 0 &&
                    loom_tensors_find(table, file->tensors[i].name + length) != NULL;
        }
        if (!known)
            return loom_fail(error, LOOM_FAILED, "%s: the tensor \"%.96s\" is none of this model's", file->path,
                             file->tensors[i].name);
    }
    return LOOM_OK;
}

static loom_status read_blocks(const struct loom_safetensors *file, const struct loom_tensors *table,
                               const struct loom_weights_block *blocks, size_t count, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t b = 0; b < count && status == LOOM_OK; b++)
        for (size_t i = 0; i < table->count && status == LOOM_OK; i++) {
            char name[2 * LOOM_NAME_MAX];
            if (!has_tensor(&blocks[b], &table->items[i]))
                continue;
            snprintf(name, sizeof name, "%s%s", blocks[b].prefix, table->items[i].name);
            real *to = blocks[b].put ? blocks[b].data : blocks[b].data + table->items[i].offset;
            status = read_tensor(file, name, &table->items[i], to, error);
            if (status == LOOM_OK && blocks[b].put)
                blocks[b].put(blocks[b].user, &table->items[i], to);
        }
    return status ? status : check_names(file, table, blocks, count, error);
}

loom_status loom_weights_read(const char *path, const struct loom_tensors *table,
                              const struct loom_weights_block *blocks, size_t count, struct loom_error *error) {
    struct loom_safetensors file;
    loom_status status = loom_safetensors_open(path, &file, error);
    if (status)
        return status;
    status = read_blocks(&file, table, blocks, count, error);
    loom_safetensors_close(&file);
    return status;
}

loom_status loom_weights_write(const char *path, const struct loom_tensors *table,
                               const struct loom_weights_block *blocks, size_t count, struct loom_error *error) {
    size_t most = table->count * count, used = 0;
    struct loom_tensor_source *sources = calloc(most, sizeof *sources);
    char(*names)[2 * LOOM_NAME_MAX] = calloc(most, sizeof *names);
    loom_status status = LOOM_OK;
    if (!sources || !names)
        status = loom_fail_memory(error, path, most * (sizeof *sources + sizeof *names));
    for (size_t b = 0; status == LOOM_OK && b < count; b++)
        for (size_t i = 0; i < table->count; i++) {
            const struct loom_tensor *t = &table->items[i];
            if (!has_tensor(&blocks[b], t))
                continue;
            snprintf(names[used], sizeof names[used], "%s%s", blocks[b].prefix, t->name);
            sources[used] = (struct loom_tensor_source){.name = names[used],
                                                        .dtype = LOOM_F32,
                                                        .rank = t->rank,
                                                        .shape = {t->shape[0], t->shape[1], t->shape[2]},
                                                        .data = blocks[b].data + t->offset,
                                                        .k = blocks[b].k};
            used++;
        }
    if (status == LOOM_OK)
        status = loom_safetensors_write(path, sources, used, NULL, 0, error);
    free(sources);
    free(names);
    return status;
}
