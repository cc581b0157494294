/* crew.h - threads and their encoders, which stay together from one text to the next.
 *
 * Threads take time to start and an encoder's words time to learn: over texts of a megabyte a crew that is opened anew
 * for each costs a fifth of the encoding. So a tokenizer keeps the crew that was last given back. */
#ifndef LOOM_DATA_CREW_H
#define LOOM_DATA_CREW_H

#include "base/pool.h"
#include "data/tokenizer/tokenizer.h"

struct loom_crew {
    struct loom_pool *pool;
    struct loom_encoder **encoders; /* by worker; NULL: not needed so far */
    int threads;                    /* as it was asked for: the pool may have fewer */
};

/* Where a tokenizer keeps its idle crew. */
struct loom_crew_place;

/* NULL when memory is short. */
struct loom_crew_place *loom_crew_place_open(void);
/* Closes the crew that is kept there too. */
void loom_crew_place_close(struct loom_crew_place *place);

/* The kept crew if it has so many threads, else a new one; no other caller has it until it is given back. */
loom_status loom_crew_take(struct loom_crew_place *place, int threads, struct loom_crew **crew,
                           struct loom_error *error);
void loom_crew_give(struct loom_crew_place *place, struct loom_crew *crew);

#endif
