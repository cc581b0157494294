/* loads.c - see loads.h. */
#include "model/loads.h"

#include <stdlib.h>

bool loom_loads_open(struct loom_loads *loads, const struct loom_config *c, int loops) {
    *loads = (struct loom_loads){.loops = loops, .layers = c->core_layers, .experts = c->n_experts};
    size_t choices = (size_t)loops * (size_t)c->core_layers * (size_t)c->n_experts;
    loads->choices = calloc(choices + 1, sizeof *loads->choices); /* not NULL without experts */
    loads->running = calloc((size_t)loops, sizeof *loads->running);
    loads->scratch = calloc((size_t)c->n_experts + 1, sizeof *loads->scratch);
    return loads->choices && loads->running && loads->scratch;
}

void loom_loads_close(struct loom_loads *loads) {
    free(loads->choices);
    free(loads->running);
    free(loads->scratch);
}

void loom_loads_clear(struct loom_loads *loads) {
    size_t cells = (size_t)loads->layers * (size_t)loads->experts;
    for (size_t t = 0; t < (size_t)loads->loops; t++) {
        loads->running[t] = 0;
        for (size_t i = 0; i < cells; i++)
            loads->choices[t * cells + i] = 0;
    }
}

double loom_loads_mean_loops(const struct loom_loads *loads) {
    uint64_t sum = 0;
    for (int t = 0; t < loads->loops; t++)
        sum += loads->running[t];
    return sum ? (double)sum / (double)loads->running[0] : 0;
}

double loom_loads_exit_share(const struct loom_loads *loads, int t) {
    uint64_t next = t + 1 < loads->loops ? loads->running[t + 1] : 0;
    return loads->running[0] ? (double)(loads->running[t] - next) / (double)loads->running[0] : 0;
}

uint64_t loom_loads_choices(const struct loom_loads *loads, size_t layer, size_t expert) {
    uint64_t load = 0;
    for (size_t t = 0; t < (size_t)loads->loops; t++)
        load += loads->choices[(t * (size_t)loads->layers + layer) * (size_t)loads->experts + expert];
    return load;
}

double loom_loads_imbalance(const struct loom_loads *loads) {
    double worst = 0;
    size_t experts = (size_t)loads->experts, layers = (size_t)loads->layers;
    for (size_t l = 0; l < layers; l++) {
        uint64_t all = 0, busiest = 0;
        for (size_t e = 0; e < experts; e++) {
            uint64_t load = loom_loads_choices(loads, l, e);
            all += load;
            busiest = load > busiest ? load : busiest;
        }
        double share = all ? (double)busiest * (double)experts / (double)all : 0;
        worst = share > worst ? share : worst;
    }
    return worst;
}
