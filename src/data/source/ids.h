/* ids.h - token ids: what text becomes on its way from a source to a token folder. */
#ifndef LOOM_DATA_IDS_H
#define LOOM_DATA_IDS_H

#include "base/status.h"

/* Token ids that grow in number; all zero is none. `data` is freed with free(). */
struct loom_ids {
    int *data;
    size_t count, capacity;
};

/* Makes room for `more` ids behind the present ones. */
loom_status loom_ids_reserve(struct loom_ids *ids, size_t more, struct loom_error *error);

#endif
