/* units.h - quantities as a person reads them: "12.4 minutes", "3.21 PFLOP", "10,745,088". */
#ifndef LOOM_EVAL_UNITS_H
#define LOOM_EVAL_UNITS_H

#include "base/text.h"

enum loom_quantity { LOOM_STEPS, LOOM_SECONDS, LOOM_FLOPS };

struct loom_unit {
    const char *name;
    double size; /* in the quantity's own unit: 60 for minutes */
};

/* The unit in which values up to `largest` are told in few digits. */
struct loom_unit loom_unit_for(enum loom_quantity quantity, double largest);

/* A value with its unit, three digits; "unknown" when it is not finite. */
void loom_units_put(struct loom_text *text, enum loom_quantity quantity, double value);

/* A whole number with commas between thousands; "unknown" when it is not finite. */
void loom_units_put_count(struct loom_text *text, double value);

/* About a number, for tight places: 950, 10.7 M, 3.2 G. */
void loom_units_put_short(struct loom_text *text, double value);

#endif
