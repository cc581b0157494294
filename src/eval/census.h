/* census.h - which experts a model's routers choose, by loops and by kinds of tokens. */
#ifndef LOOM_EVAL_CENSUS_H
#define LOOM_EVAL_CENSUS_H

#include <loom/loom.h>

#include "model/model.h"

/* For passes of at most `rows` tokens. Fails with LOOM_INVALID on a model without routed experts. */
loom_status loom_census_open(struct loom_census *census, const struct loom_model *model,
                             const struct loom_tokenizer *tokenizer, int loops, size_t rows, struct loom_error *error);
void loom_census_close(struct loom_census *census);

/* Moves what was counted to `choices`, with what can be concluded. */
loom_status loom_census_result(struct loom_census *census, struct loom_choices *choices, struct loom_error *error);

#endif
