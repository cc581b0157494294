/* drill_story.c - word problems of so many steps about a number of things between 0 and 9. See drill.h. */
#include "data/task/drill.h"

static const char *const names[] = {"tom", "ann", "sam", "kim", "ben", "eve", "max", "ida"};
static const char *const things[] = {"pens", "nuts", "figs", "cups", "eggs", "keys", "toys", "caps"};
enum { NAMES = sizeof names / sizeof names[0], THINGS = sizeof things / sizeof things[0], MOST = 9 };

/* One way in which a number changes; "%d" in the phrase is by how much. */
struct event {
    const char *phrase;
    enum { GAIN, LOSS, DOUBLE, HALF } kind;
};

static const struct event events[] = {{"finds %d", GAIN},       {"buys %d more", GAIN}, {"gets %d as a gift", GAIN},
                                      {"loses %d", LOSS},       {"sells %d", LOSS},     {"gives %d away", LOSS},
                                      {"doubles them", DOUBLE}, {"keeps half", HALF}};
enum { EVENTS = sizeof events / sizeof events[0] };

static bool possible(const struct event *e, int count) {
    switch (e->kind) {
    case GAIN:
        return count < MOST;
    case LOSS:
        return count > 0;
    case DOUBLE:
        return count > 0 && 2 * count <= MOST;
    default:
        return count > 0 && count % 2 == 0;
    }
}

/* Appends the event's phrase and returns how many things there are then. */
static int happen(const struct event *e, int count, struct loom_dice *dice, struct loom_text *text) {
    int change = 0;
    if (e->kind == GAIN)
        change = 1 + (int)loom_dice_below(dice, (uint64_t)(MOST - count));
    else if (e->kind == LOSS)
        change = 1 + (int)loom_dice_below(dice, (uint64_t)count);
    for (const char *c = e->phrase; *c; c++)
        if (c[0] == '%')
            loom_text_append(text, "%d", change), c++;
        else
            loom_text_put(text, c, 1);
    return e->kind == GAIN     ? count + change
           : e->kind == LOSS   ? count - change
           : e->kind == DOUBLE ? 2 * count
                               : count / 2;
}

void loom_drill_story(struct loom_dice *dice, int steps, struct loom_text *text) {
    int count = 1 + (int)loom_dice_below(dice, MOST);
    const char *name = names[loom_dice_below(dice, NAMES)], *thing = things[loom_dice_below(dice, THINGS)];
    loom_text_append(text, "%s has %d %s", name, count, thing);
    for (int step = 0; step < steps; step++) {
        const struct event *e;
        do
            e = &events[loom_dice_below(dice, EVENTS)];
        while (!possible(e, count));
        loom_text_append(text, " ");
        count = happen(e, count, dice, text);
        loom_text_append(text, "=%d", count);
    }
}
