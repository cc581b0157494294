/* units.c - see units.h. */
#include "eval/units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A unit is taken when the largest value is at least `from`. */
struct step_up {
    double from;
    struct loom_unit unit;
};

static const struct step_up times[] = {
    {0, {"seconds", 1}}, {120, {"minutes", 60}}, {7200, {"hours", 3600}}, {172800, {"days", 86400}}};

static const struct step_up flops[] = {{0, {"FLOP", 1}},        {1e3, {"kFLOP", 1e3}},   {1e6, {"MFLOP", 1e6}},
                                       {1e9, {"GFLOP", 1e9}},   {1e12, {"TFLOP", 1e12}}, {1e15, {"PFLOP", 1e15}},
                                       {1e18, {"EFLOP", 1e18}}, {1e21, {"ZFLOP", 1e21}}};

static struct loom_unit choose(const struct step_up *units, size_t count, double largest) {
    size_t i = count - 1;
    while (i > 0 && !(largest >= units[i].from))
        i--;
    return units[i].unit;
}

struct loom_unit loom_unit_for(enum loom_quantity quantity, double largest) {
    switch (quantity) {
    case LOOM_SECONDS:
        return choose(times, sizeof times / sizeof times[0], largest);
    case LOOM_FLOPS:
        return choose(flops, sizeof flops / sizeof flops[0], largest);
    case LOOM_STEPS:
        break;
    }
    return (struct loom_unit){"steps", 1};
}

void loom_units_put(struct loom_text *text, enum loom_quantity quantity, double value) {
    if (!isfinite(value)) {
        loom_text_append(text, "unknown");
        return;
    }
    const struct loom_unit unit = loom_unit_for(quantity, value);
    if (quantity == LOOM_STEPS)
        loom_units_put_count(text, value);
    else
        loom_text_append(text, "%.3g %s", value / unit.size, unit.name);
}

void loom_units_put_count(struct loom_text *text, double value) {
    if (!isfinite(value) || fabs(value) >= 1e18) {
        loom_text_append(text, isfinite(value) ? "%.3g" : "unknown", value);
        return;
    }
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%.0f", fabs(value));
    if (value <= -0.5)
        loom_text_put(text, "-", 1);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            loom_text_put(text, ",", 1);
        loom_text_put(text, digits + i, 1);
    }
}

void loom_units_put_short(struct loom_text *text, double value) {
    static const struct step_up sizes[] = {{0, {"", 1}},      {1e4, {"k", 1e3}},   {1e6, {"M", 1e6}},
                                           {1e9, {"G", 1e9}}, {1e12, {"T", 1e12}}, {1e15, {"P", 1e15}}};
    const struct loom_unit unit = choose(sizes, sizeof sizes / sizeof sizes[0], fabs(value));
    if (unit.size == 1)
        loom_units_put_count(text, value);
    else
        loom_text_append(text, "%.3g %s", value / unit.size, unit.name);
}
