/* svg.h - charts as inline SVG: curves, bars, and a heat map.
 *
 * A chart is a struct that says what is shown; the writer finds the ranges, ticks and units. Colours come from the
 * page's style sheet (classes k0..k5), so that one drawing serves light and dark. Each chart is a <figure> whose
 * caption holds title and legend, with a spoken summary in <desc>; one without a single finite number is a sentence
 * instead. */
#ifndef LOOM_EVAL_SVG_H
#define LOOM_EVAL_SVG_H

#include "eval/units.h"

struct loom_curve {
    const char *name;    /* in the legend; NULL: not listed there */
    const double *x, *y; /* (count), each `stride` numbers apart; x does not fall; a NAN in y is a gap */
    size_t count, stride;
    int color;   /* 0..5 */
    bool faint;  /* thin and pale: raw data behind another curve */
    bool smooth; /* the means of about a hundred stretches */
    bool marked; /* a dot with its numbers at each point, when there are few */
};

struct loom_chart {
    const char *title; /* says y, its unit, and x */
    enum loom_quantity x;
    const struct loom_curve *curves;
    size_t n_curves;
    double rule;           /* a dashed horizontal line; NAN: none */
    const char *rule_name; /* in the legend */
    bool focus;            /* leave far higher values, such as a first loss, above the frame, and say so */
};

void loom_svg_chart(struct loom_text *html, const struct loom_chart *chart);

struct loom_bars {
    const char *title, *x_name; /* x is 1, 2, ... count */
    const double *share;        /* (count), 0 to 1, shown in percent */
    size_t count;
};

void loom_svg_bars(struct loom_text *html, const struct loom_bars *bars);

struct loom_heat {
    const char *title, *row_name; /* rows are numbered from 1 */
    const char *column_name;      /* columns are numbered from 0 */
    const double *share;          /* (rows, columns), 0 to 1, shown in percent; NAN: an empty cell */
    size_t rows, columns;
};

void loom_svg_heat(struct loom_text *html, const struct loom_heat *heat);

#endif
