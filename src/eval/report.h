/* report.h - the sections of a report, between the files that write it: report.c the page of a run, report_run.c the
 * sections about one run, report_race.c the page of a race, which shows such sections for one of its runs too,
 * report_twins.c the page of a race of twins. */
#ifndef LOOM_EVAL_REPORT_H
#define LOOM_EVAL_REPORT_H

#include "base/text.h"
#include "eval/history.h"
#include "eval/svg.h"

/* The curve of one field over a quantity; the caller adds name and colour. It borrows the rows. */
struct loom_curve loom_report_curve(const struct loom_rows *rows, enum loom_quantity x, enum loom_field y);

/* What is missing or left out of the history. */
void loom_report_notes(struct loom_text *html, const struct loom_history *history);

/* Training and validation loss against steps, work and time. */
void loom_report_loss(struct loom_text *html, const struct loom_history *history);

/* What happened inside: expert load and exit depth for a model with a loop, samples, learning rate, gradient norm. */
void loom_report_inside(struct loom_text *html, const struct loom_history *history);

/* Each evaluation's numbers, folded; where the run came from; all its settings. */
void loom_report_numbers(struct loom_text *html, const struct loom_history *history);

/* Appends the page of a race from race.json and the run folders it names. Fails when race.json cannot be read. */
loom_status loom_report_race(struct loom_text *html, const char *folder, struct loom_error *error);

/* The same of a race of twins, from twins.json. */
loom_status loom_report_twins(struct loom_text *html, const char *folder, struct loom_error *error);

#endif
