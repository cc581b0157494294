/* crew.c - see crew.h. */
#include "data/tokenizer/crew.h"

#include <stdatomic.h>
#include <stdlib.h>

struct loom_crew_place {
    _Atomic(struct loom_crew *) idle;
};

static void close_crew(struct loom_crew *crew) {
    if (!crew)
        return;
    for (int i = 0; crew->encoders && i < crew->threads; i++)
        loom_encoder_free(crew->encoders[i]);
    free(crew->encoders);
    loom_pool_close(crew->pool);
    free(crew);
}

static loom_status open_crew(int threads, struct loom_crew **crew, struct loom_error *error) {
    *crew = calloc(1, sizeof **crew);
    if (!*crew)
        return loom_fail_memory(error, "threads", sizeof **crew);
    (*crew)->threads = threads;
    (*crew)->pool = loom_pool_open(threads);
    (*crew)->encoders = calloc((size_t)threads, sizeof *(*crew)->encoders);
    if ((*crew)->pool && (*crew)->encoders)
        return LOOM_OK;
    close_crew(*crew);
    *crew = NULL;
    return loom_fail_memory(error, "threads", (size_t)threads * sizeof *(*crew)->encoders);
}

struct loom_crew_place *loom_crew_place_open(void) {
    struct loom_crew_place *place = malloc(sizeof *place);
    if (place)
        atomic_init(&place->idle, NULL);
    return place;
}

void loom_crew_place_close(struct loom_crew_place *place) {
    if (place)
        close_crew(atomic_load(&place->idle));
    free(place);
}

loom_status loom_crew_take(struct loom_crew_place *place, int threads, struct loom_crew **crew,
                           struct loom_error *error) {
    *crew = atomic_exchange(&place->idle, NULL);
    if (*crew && (*crew)->threads == threads)
        return LOOM_OK;
    close_crew(*crew);
    return open_crew(threads, crew, error);
}

void loom_crew_give(struct loom_crew_place *place, struct loom_crew *crew) {
    close_crew(atomic_exchange(&place->idle, crew));
}
