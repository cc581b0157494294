/* ids.c - see ids.h. */
#include "data/source/ids.h"

#include "base/grow.h"

loom_status loom_ids_reserve(struct loom_ids *ids, size_t more, struct loom_error *error) {
    if (more <= ids->capacity - ids->count)
        return LOOM_OK;
    size_t wanted = more <= SIZE_MAX - ids->count ? ids->count + more : SIZE_MAX;
    int *grown = loom_grow(ids->data, &ids->capacity, wanted, sizeof *grown);
    if (!grown)
        return loom_fail_memory(error, "tokens", wanted);
    ids->data = grown;
    return LOOM_OK;
}
