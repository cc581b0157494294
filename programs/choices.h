/* choices.h - which experts a model chose, as a person reads it and as JSON. */
#ifndef LOOM_PROGRAMS_CHOICES_H
#define LOOM_PROGRAMS_CHOICES_H

#include <loom/loom.h>

/* Tables of shares in percent: by loop and layer, and by kind of token. */
void print_choices(const struct loom_choices *choices);
/* "experts":{...}, a part of an object. */
void print_choices_json(const struct loom_choices *choices);

#endif
