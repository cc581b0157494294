/* choices.c - see choices.h. */
#include "choices.h"

#include <inttypes.h>
#include <stdio.h>

#include "args.h"

/* How often an expert was chosen by one kind, or all of them (-1), in one loop, or all of them, in one layer. */
static uint64_t count(const struct loom_choices *c, int kind, int loop, int layer, int expert) {
    uint64_t sum = 0;
    for (int k = kind < 0 ? 0 : kind; k < (kind < 0 ? c->kinds : kind + 1); k++)
        for (int t = loop < 0 ? 0 : loop; t < (loop < 0 ? c->loops : loop + 1); t++)
            sum += c->choices[((k * c->loops + t) * c->layers + layer) * c->experts + expert];
    return sum;
}

static void print_shares(const struct loom_choices *c, int kind, int loop, int layer) {
    uint64_t all = 0;
    for (int e = 0; e < c->experts; e++)
        all += count(c, kind, loop, layer, e);
    for (int e = 0; e < c->experts; e++)
        printf(" %5.1f", all ? 100 * (double)count(c, kind, loop, layer, e) / (double)all : 0.0);
    putchar('\n');
}

static bool appears(const struct loom_choices *c, int kind) {
    for (int e = 0; e < c->experts; e++)
        if (count(c, kind, -1, 0, e) > 0)
            return true;
    return false;
}

void print_choices(const struct loom_choices *c) {
    for (int l = 0; l < c->layers; l++) {
        printf("\nlayer %d: shares of expert 1, 2, ... in percent\n", l + 1);
        for (int t = 0; t < c->loops; t++) {
            printf("  loop %-9d", t + 1);
            print_shares(c, -1, t, l);
        }
        for (int k = 0; k < c->kinds; k++)
            if (appears(c, k)) {
                printf("  %-14s", c->kind_names[k]);
                print_shares(c, k, -1, l);
            }
    }
    printf("\nof the choice the loop tells %.1f %%, the token's kind %.1f %%", 100 * c->by_loop, 100 * c->by_kind);
    for (int t = 1; t < c->loops; t++)
        printf("%s %.1f %%", t == 1 ? "; the loop before chose the same in" : ",", 100 * c->again[t]);
    putchar('\n');
}

static void print_counts_json(const struct loom_choices *c, int kind, int loop, int layer) {
    putchar('[');
    for (int e = 0; e < c->experts; e++)
        printf("%s%" PRIu64, e ? "," : "", count(c, kind, loop, layer, e));
    putchar(']');
}

/* The counts of all layers: [[...],...]. */
static void print_layers_json(const struct loom_choices *c, int kind, int loop) {
    putchar('[');
    for (int l = 0; l < c->layers; l++) {
        fputs(l ? "," : "", stdout);
        print_counts_json(c, kind, loop, l);
    }
    putchar(']');
}

void print_choices_json(const struct loom_choices *c) {
    fputs("\"experts\":{\"by_loop\":", stdout);
    print_json_number(stdout, c->by_loop);
    fputs(",\"by_kind\":", stdout);
    print_json_number(stdout, c->by_kind);
    fputs(",\"again\":[", stdout);
    for (int t = 0; t < c->loops; t++) {
        fputs(t ? "," : "", stdout);
        print_json_number(stdout, c->again[t]);
    }
    fputs("],\"loops\":[", stdout);
    for (int t = 0; t < c->loops; t++) {
        fputs(t ? "," : "", stdout);
        print_layers_json(c, -1, t);
    }
    fputs("],\"kinds\":{", stdout);
    for (int k = 0; k < c->kinds; k++) {
        printf("%s\"%s\":", k ? "," : "", c->kind_names[k]);
        print_layers_json(c, k, -1);
    }
    fputs("}}", stdout);
}
