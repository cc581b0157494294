/* svg.c - see svg.h.
 *
 * Every drawing is in units of a view box about as many pixels wide as a phone's screen, so that text stays readable
 * when the page shows it at that size, and grows with it on a wider one. The plot area is a nested <svg>, which clips
 * what it holds without an id. */
#include "eval/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/numbers.h"

enum { WIDTH = 400, HEIGHT = 250, LEFT = 46, RIGHT = 16, TOP = 12, BOTTOM = 42 };
enum { PLOT_WIDTH = WIDTH - LEFT - RIGHT, PLOT_HEIGHT = HEIGHT - TOP - BOTTOM };
enum { BUCKETS = 300, SMOOTH_BUCKETS = 100, POINTS_MAX = 2 * BUCKETS, MARKS_MAX = 60, TICKS_MAX = 12 };

/* Maps low..high to 0..size; size is negative where the screen runs the other way. */
struct scale {
    double low, high, size;
    bool decades; /* each power of ten takes as much room; low > 0 */
};

static double place(const struct scale *scale, double value) {
    const double share = scale->decades ? log(fmax(value, scale->low) / scale->low) / log(scale->high / scale->low)
                                        : (value - scale->low) / (scale->high - scale->low);
    const double at = share * scale->size;
    const double limit = 4 * fabs(scale->size); /* far outside: keeps the digits of a clipped point few */
    return fmax(-limit, fmin(limit, at));
}

/* ---- text and figures -------------------------------------------------------------------------------------------- */

static void put_escaped(struct loom_text *html, const char *text) {
    loom_text_put_html(html, text, strlen(text));
}

static void open_figure(struct loom_text *html, const char *title) {
    loom_text_append(html, "<figure class=\"chart\"><figcaption><b>");
    put_escaped(html, title);
    loom_text_append(html, "</b>");
}

static void put_key(struct loom_text *html, const char *style, int color, const char *name) {
    loom_text_append(html, " <span class=\"key %s k%d\">", style, color);
    put_escaped(html, name);
    loom_text_append(html, "</span>");
}

/* Ends the caption and opens the drawing, with the summary that a screen reader speaks left open. A drawing wider than
 * a phone scrolls sideways there instead of shrinking until its numbers cannot be read. */
static void open_drawing(struct loom_text *html, double width, double height, const char *title) {
    loom_text_append(html, "</figcaption>\n<div class=\"scroll\"><svg role=\"img\" viewBox=\"0 0 %.0f %.0f\" ", width,
                     height);
    loom_text_append(html, "style=\"min-width:%.0fpx;max-width:%.0fpx\"><title>", width > WIDTH ? 0.85 * width : 0,
                     (width > WIDTH ? 1.15 : 1.5) * width);
    put_escaped(html, title);
    loom_text_append(html, "</title><desc>");
}

static void close_drawing(struct loom_text *html) {
    loom_text_append(html, "</svg></div></figure>\n");
}

static void put_missing(struct loom_text *html, const char *title) {
    open_figure(html, title);
    loom_text_append(html, "</figcaption><p class=\"missing\">Nothing was recorded for this chart.</p></figure>\n");
}

/* ---- axes -------------------------------------------------------------------------------------------------------- */

/* The distance between ticks: 1, 2 or 5 times a power of ten, about `count` of them in the span. */
static double tick_step(double span, int count) {
    const double raw = span / count, power = pow(10, floor(log10(raw)));
    const double lead = raw / power;
    return power * (lead <= 1.5 ? 1 : lead <= 3.5 ? 2 : lead <= 7.5 ? 5 : 10);
}

static void put_tick(struct loom_text *html, double value, double step) {
    if (fabs(value) < step / 2)
        loom_text_append(html, "0");
    else if (step < 1e-3) {
        const double power = floor(log10(fabs(value)) + 1e-9);
        loom_text_append(html, "%.3ge%.0f", value / pow(10, power), power);
    } else if (step < 1)
        loom_text_append(html, "%.*f", (int)ceil(-log10(step) - 1e-9), value);
    else if (step >= 1e4)
        loom_units_put_short(html, value);
    else
        loom_units_put_count(html, value);
}

/* A horizontal grid line with its number; y->size is negative. */
static void put_y_tick(struct loom_text *html, const struct scale *y, double value, double step, const char *suffix) {
    const double at = TOP + PLOT_HEIGHT + place(y, value);
    loom_text_append(html, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">", LEFT, at,
                     WIDTH - RIGHT, LEFT - 6, at + 4);
    put_tick(html, value, step);
    loom_text_append(html, "%s</text>\n", suffix);
}

static void put_y_axis(struct loom_text *html, const struct scale *y, const char *suffix) {
    if (y->decades) {
        const double first = ceil(log10(y->low)), last = floor(log10(y->high));
        const double every = ceil((last - first + 1) / TICKS_MAX);
        for (double power = first; power <= last; power += every)
            put_y_tick(html, y, pow(10, power), pow(10, power), suffix);
        return;
    }
    const double step = tick_step(y->high - y->low, 5);
    const double first = ceil(y->low / step - 1e-9);
    for (int i = 0; i < TICKS_MAX && (first + i) * step <= y->high + 1e-9 * step; i++)
        put_y_tick(html, y, (first + i) * step, step, suffix);
}

static void put_x_name(struct loom_text *html, const char *name) {
    loom_text_append(html, "<text class=\"mid name\" x=\"%d\" y=\"%d\">", LEFT + PLOT_WIDTH / 2, HEIGHT - 6);
    put_escaped(html, name);
    loom_text_append(html, "</text>\n");
}

/* A mark with its number; `value` is in the axis' unit. */
static void put_x_tick(struct loom_text *html, const struct scale *x, double unit, double value, double step) {
    const double at = LEFT + place(x, value * unit);
    loom_text_append(html, "<path class=\"axis\" d=\"M%.1f %dv4\"/><text class=\"mid\" x=\"%.1f\" y=\"%d\">", at,
                     TOP + PLOT_HEIGHT, at, TOP + PLOT_HEIGHT + 17);
    put_tick(html, value, step);
    loom_text_append(html, "</text>\n");
}

static void put_x_axis(struct loom_text *html, const struct scale *x, double unit, const char *name) {
    loom_text_append(html, "<path class=\"axis\" d=\"M%d %dH%d\"/>", LEFT, TOP + PLOT_HEIGHT, WIDTH - RIGHT);
    const double low = x->low / unit, high = x->high / unit;
    if (x->decades)
        for (double power = pow(10, ceil(log10(low) - 1e-9)); power <= high * (1 + 1e-9); power *= 10)
            put_x_tick(html, x, unit, power, fmin(power, 1));
    else {
        const double step = tick_step(high, 5);
        for (int i = 0; i < TICKS_MAX && i * step <= high * (1 + 1e-9); i++)
            put_x_tick(html, x, unit, i * step, step);
    }
    put_x_name(html, name);
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

static double curve_x(const struct loom_curve *curve, size_t i) {
    return curve->x[i * curve->stride];
}

static double curve_y(const struct loom_curve *curve, size_t i) {
    return curve->y[i * curve->stride];
}

static bool is_shown(const struct loom_curve *curve, size_t i) {
    return isfinite(curve_x(curve, i)) && isfinite(curve_y(curve, i));
}

/* All finite heights of a chart, sorted; freed by the caller. NULL with *count 0 when there are none, or no memory. */
static double *sorted_heights(struct loom_text *html, const struct loom_chart *chart, size_t *count) {
    size_t total = 0;
    for (size_t c = 0; c < chart->n_curves; c++)
        total += chart->curves[c].count;
    *count = 0;
    double *heights = total ? malloc(total * sizeof *heights) : NULL;
    html->failed |= total && !heights;
    for (size_t c = 0; heights && c < chart->n_curves; c++)
        for (size_t i = 0; i < chart->curves[c].count; i++)
            if (is_shown(&chart->curves[c], i))
                heights[(*count)++] = curve_y(&chart->curves[c], i);
    if (heights)
        loom_numbers_sort(heights, *count);
    return heights;
}

/* The range of y, from the finite heights: all of them, or with `focus` up to four times the median's distance from the
 * lowest, which keeps an untrained model's loss from pressing the rest flat. Heights that fall by more than three
 * powers of ten, as the loss of a few conversations does, are told by their powers. */
static struct scale y_range(const struct loom_chart *chart, const double *heights, size_t count) {
    const double reach = heights[0] + 4 * (heights[count / 2] - heights[0]);
    double low = heights[0], high = heights[count - 1];
    const bool decades = chart->focus && low > 0 && high / low > 1000 && !(chart->rule <= 0);
    if (chart->focus && !decades && count > 2 && reach < high && reach > low)
        high = reach;
    if (isfinite(chart->rule)) {
        low = fmin(low, chart->rule);
        high = fmax(high, chart->rule);
    }
    if (decades)
        return (struct scale){low, high, -PLOT_HEIGHT, true};
    const double margin = high > low ? 0.05 * (high - low) : fmax(fabs(high) * 0.1, 1e-9);
    low = low >= 0 && low < margin ? 0 : low - margin; /* below zero only where numbers are */
    return (struct scale){low, high + margin, -PLOT_HEIGHT, false};
}

/* The first and the last place of a curve that is above zero; both 0 where there is none. */
static void curve_reach(const struct loom_curve *curve, double *first, double *last) {
    *first = *last = 0;
    for (size_t i = 0; i < curve->count; i++) {
        if (!is_shown(curve, i) || !(curve_x(curve, i) > 0))
            continue;
        *first = *first > 0 ? *first : curve_x(curve, i);
        *last = curve_x(curve, i);
    }
}

/* From zero on; by powers of ten where one curve ends before a tenth of another's way, which would press it flat
 * against the axis. */
static struct scale x_range(const struct loom_chart *chart) {
    double low = (double)INFINITY, high = 0, shortest = (double)INFINITY;
    for (size_t c = 0; c < chart->n_curves; c++) {
        double first, last;
        curve_reach(&chart->curves[c], &first, &last);
        low = first > 0 ? fmin(low, first) : low;
        shortest = last > 0 ? fmin(shortest, last) : shortest;
        high = fmax(high, last);
    }
    const bool decades = high > 10 * shortest;
    return (struct scale){decades ? low : 0, high > 0 ? high : 1, PLOT_WIDTH, decades};
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

struct point {
    double x, y;
};

static struct point point_at(const struct loom_curve *curve, size_t i) {
    return (struct point){curve_x(curve, i), curve_y(curve, i)};
}

/* The lowest and the highest of the points from..to, in their order, so that a spike stays in sight. */
static size_t keep_extremes(const struct loom_curve *curve, size_t from, size_t to, struct point *kept) {
    size_t low = from, high = from;
    for (size_t i = from; i < to; i++) {
        if (!(curve_y(curve, low) <= curve_y(curve, i)))
            low = i;
        if (!(curve_y(curve, high) >= curve_y(curve, i)))
            high = i;
    }
    kept[0] = point_at(curve, low < high ? low : high);
    kept[1] = point_at(curve, low < high ? high : low);
    return low == high ? 1 : 2;
}

/* The mean of the points from..to that are shown; a gap when none is. */
static size_t keep_mean(const struct loom_curve *curve, size_t from, size_t to, struct point *kept) {
    size_t count = 0;
    *kept = (struct point){0, 0};
    for (size_t i = from; i < to; i++)
        if (is_shown(curve, i)) {
            kept->x += curve_x(curve, i);
            kept->y += curve_y(curve, i);
            count++;
        }
    kept->x /= (double)count;
    kept->y /= (double)count;
    return 1;
}

/* Fills `kept` with the points to draw and returns their number: all when they are few. */
static size_t thin(const struct loom_curve *curve, struct point kept[POINTS_MAX]) {
    const size_t buckets = curve->smooth ? SMOOTH_BUCKETS : BUCKETS;
    size_t count = 0;
    if (curve->count <= 2 * buckets) {
        for (; count < curve->count; count++)
            kept[count] = point_at(curve, count);
        return count;
    }
    for (size_t bucket = 0; bucket < buckets; bucket++) {
        const size_t from = bucket * curve->count / buckets, to = (bucket + 1) * curve->count / buckets;
        count += (curve->smooth ? keep_mean : keep_extremes)(curve, from, to, kept + count);
    }
    return count;
}

static void put_line(struct loom_text *html, const struct loom_curve *curve, const struct scale *x,
                     const struct scale *y) {
    struct point kept[POINTS_MAX];
    const size_t count = thin(curve, kept);
    bool drawing = false;
    loom_text_append(html, "<path class=\"line k%d%s\" d=\"", curve->color, curve->faint ? " faint" : "");
    for (size_t i = 0; i < count; i++) {
        const bool shown = isfinite(kept[i].x) && isfinite(kept[i].y);
        if (shown)
            loom_text_append(html, "%c%.1f %.1f", drawing ? 'L' : 'M', place(x, kept[i].x),
                             PLOT_HEIGHT + place(y, kept[i].y));
        drawing = shown;
    }
    loom_text_append(html, "\"/>\n");
}

/* A dot at each point; the page shows its <title> under the pointer. */
static void put_marks(struct loom_text *html, const struct loom_curve *curve, const struct loom_chart *chart,
                      const struct scale *x, const struct scale *y) {
    for (size_t i = 0; curve->marked && curve->count <= MARKS_MAX && i < curve->count; i++) {
        if (!is_shown(curve, i))
            continue;
        loom_text_append(html, "<circle class=\"dot k%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"><title>", curve->color,
                         place(x, curve_x(curve, i)), PLOT_HEIGHT + place(y, curve_y(curve, i)));
        if (curve->name)
            put_escaped(html, curve->name);
        loom_text_append(html, " %.4g at ", curve_y(curve, i));
        loom_units_put(html, chart->x, curve_x(curve, i));
        loom_text_append(html, "%s</title></circle>\n", chart->x == LOOM_STEPS ? " steps" : "");
    }
}

static void put_legend(struct loom_text *html, const struct loom_chart *chart) {
    for (size_t c = 0; c < chart->n_curves; c++)
        if (chart->curves[c].name)
            put_key(html, chart->curves[c].faint ? "faint" : "line", chart->curves[c].color, chart->curves[c].name);
    if (isfinite(chart->rule))
        put_key(html, "rule", 0, chart->rule_name);
}

/* "NAME: 4.17 at first, 1.9 at last" for each curve in the legend. */
static void put_summary(struct loom_text *html, const struct loom_chart *chart) {
    for (size_t c = 0; c < chart->n_curves; c++) {
        const struct loom_curve *curve = &chart->curves[c];
        size_t first = 0, last = curve->count;
        while (first < curve->count && !is_shown(curve, first))
            first++;
        while (last > first && !is_shown(curve, last - 1))
            last--;
        if (!curve->name || first == last)
            continue;
        put_escaped(html, curve->name);
        loom_text_append(html, ": %.4g at first, %.4g at last. ", curve_y(curve, first), curve_y(curve, last - 1));
    }
    loom_text_append(html, "</desc>\n");
}

static const char *axis_name(enum loom_quantity quantity) {
    switch (quantity) {
    case LOOM_SECONDS:
        return "training time";
    case LOOM_FLOPS:
        return "work done";
    case LOOM_STEPS:
        break;
    }
    return "steps";
}

static void put_chart_axes(struct loom_text *html, const struct loom_chart *chart, const struct scale *x,
                           const struct scale *y) {
    const struct loom_unit unit = loom_unit_for(chart->x, x->decades ? sqrt(x->low * x->high) : x->high);
    struct loom_text name = {0};
    loom_text_append(&name, "%s", axis_name(chart->x));
    if (chart->x != LOOM_STEPS)
        loom_text_append(&name, " (%s)", unit.name);
    html->failed |= name.failed;
    put_y_axis(html, y, "");
    put_x_axis(html, x, unit.size, name.failed ? "" : name.data);
    loom_text_free(&name);
}

static void put_plot(struct loom_text *html, const struct loom_chart *chart, const struct scale *x,
                     const struct scale *y) {
    /* A little wider than the plot, so that the first and the last dot are not cut. */
    loom_text_append(html, "<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" viewBox=\"-4 0 %d %d\">\n", LEFT - 4, TOP,
                     PLOT_WIDTH + 8, PLOT_HEIGHT, PLOT_WIDTH + 8, PLOT_HEIGHT);
    for (size_t c = 0; c < chart->n_curves; c++)
        put_line(html, &chart->curves[c], x, y);
    if (isfinite(chart->rule))
        loom_text_append(html, "<path class=\"rule\" d=\"M0 %.1fH%d\"/>\n", PLOT_HEIGHT + place(y, chart->rule),
                         PLOT_WIDTH);
    for (size_t c = 0; c < chart->n_curves; c++)
        put_marks(html, &chart->curves[c], chart, x, y);
    loom_text_append(html, "</svg>\n");
}

void loom_svg_chart(struct loom_text *html, const struct loom_chart *chart) {
    size_t count;
    double *heights = sorted_heights(html, chart, &count);
    if (count == 0) {
        free(heights);
        put_missing(html, chart->title);
        return;
    }
    const struct scale y = y_range(chart, heights, count), x = x_range(chart);
    open_figure(html, chart->title);
    put_legend(html, chart);
    if (heights[count - 1] > y.high)
        loom_text_append(html, " <span>highest %.3g, above the frame</span>", heights[count - 1]);
    open_drawing(html, WIDTH, HEIGHT, chart->title);
    put_summary(html, chart);
    put_chart_axes(html, chart, &x, &y);
    put_plot(html, chart, &x, &y);
    close_drawing(html);
    free(heights);
}

/* ---- bars -------------------------------------------------------------------------------------------------------- */

static double largest(const double *share, size_t count) {
    double high = 0;
    for (size_t i = 0; i < count; i++)
        high = isfinite(share[i]) ? fmax(high, share[i]) : high;
    return high;
}

/* Columns and rows are labelled one by one when there is room, else every 2nd, 5th, 10th, ... */
static size_t label_every(size_t count, double room, double needed) {
    static const size_t steps[] = {1, 2, 5, 10, 20, 50, 100};
    size_t i = 0;
    while (i + 1 < sizeof steps / sizeof steps[0] && room / (double)count * (double)steps[i] < needed)
        i++;
    return steps[i];
}

static void put_bar(struct loom_text *html, const struct loom_bars *bars, size_t i, const struct scale *y) {
    const double slot = (double)PLOT_WIDTH / (double)bars->count, width = fmin(0.75 * slot, 48);
    const double middle = LEFT + ((double)i + 0.5) * slot, base = TOP + PLOT_HEIGHT;
    const double share = isfinite(bars->share[i]) ? 100 * bars->share[i] : 0;
    const double height = -place(y, share);
    loom_text_append(html, "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
                     middle - width / 2, base - height, width, height);
    put_escaped(html, bars->x_name);
    loom_text_append(html, " %zu: %.3g %%</title></rect>\n", i + 1, share);
    if (slot >= 34)
        loom_text_append(html, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%.3g %%</text>\n", middle, base - height - 5,
                         share);
    if (i % label_every(bars->count, PLOT_WIDTH, 18) == 0)
        loom_text_append(html, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%zu</text>\n", middle, base + 17, i + 1);
}

void loom_svg_bars(struct loom_text *html, const struct loom_bars *bars) {
    const double high = 100 * largest(bars->share, bars->count);
    if (high <= 0) {
        put_missing(html, bars->title);
        return;
    }
    const struct scale y = {0, 1.12 * high, -PLOT_HEIGHT, false}; /* room for the number on top */
    open_figure(html, bars->title);
    open_drawing(html, WIDTH, HEIGHT, bars->title);
    for (size_t i = 0; i < bars->count; i++)
        loom_text_append(html, "%zu: %.3g %%. ", i + 1, 100 * bars->share[i]);
    loom_text_append(html, "</desc>\n");
    put_y_axis(html, &y, " %");
    loom_text_append(html, "<path class=\"axis\" d=\"M%d %dH%d\"/>", LEFT, TOP + PLOT_HEIGHT, WIDTH - RIGHT);
    for (size_t i = 0; i < bars->count; i++)
        put_bar(html, bars, i, &y);
    put_x_name(html, bars->x_name);
    close_drawing(html);
}

/* ---- heat map ---------------------------------------------------------------------------------------------------- */

enum { HEAT_LEFT = 58, HEAT_TOP = 34, HEAT_NUMBERS = 24 };

/* How large a cell is, and whether it holds its number. */
struct cell {
    double width, height, strongest; /* strongest: the share that is painted solid */
    bool number;
};

static struct cell cell_of(const struct loom_heat *heat) {
    const bool number = heat->columns <= HEAT_NUMBERS;
    return (struct cell){
        .width = number ? fmax(36, fmin(64, 720.0 / (double)heat->columns)) : fmax(3, 720.0 / (double)heat->columns),
        .height = number             ? 28
                  : heat->rows <= 16 ? 20
                                     : 12,
        .strongest = fmax(largest(heat->share, heat->rows * heat->columns), 2.0 / (double)heat->columns),
        .number = number,
    };
}

static void put_cell(struct loom_text *html, const struct loom_heat *heat, const struct cell *cell, size_t row,
                     size_t column) {
    const double share = heat->share[row * heat->columns + column];
    const double x = HEAT_LEFT + (double)column * cell->width, y = HEAT_TOP + (double)row * cell->height;
    const double gap = cell->width > 8 ? 1 : 0;
    if (!isfinite(share))
        return;
    const double strength = share / cell->strongest;
    loom_text_append(html,
                     "<rect class=\"heat\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                     "fill-opacity=\"%.3f\"><title>%s %zu, %s %zu: %.3g %%</title></rect>",
                     x, y, cell->width - gap, cell->height - gap, 0.04 + 0.96 * strength, heat->row_name, row + 1,
                     heat->column_name, column, 100 * share);
    if (cell->number)
        loom_text_append(html, "<text class=\"mid%s\" x=\"%.1f\" y=\"%.1f\">%.1f</text>", strength > 0.55 ? " on" : "",
                         x + (cell->width - gap) / 2, y + cell->height / 2 + 3.5, 100 * share);
    loom_text_append(html, "\n");
}

static void put_heat_labels(struct loom_text *html, const struct loom_heat *heat, const struct cell *cell) {
    const double width = cell->width * (double)heat->columns, height = cell->height * (double)heat->rows;
    const size_t every_row = label_every(heat->rows, height, 12), every = label_every(heat->columns, width, 28);
    loom_text_append(html, "<text class=\"name\" x=\"%d\" y=\"12\">", HEAT_LEFT);
    put_escaped(html, heat->column_name);
    loom_text_append(html, "</text>\n");
    for (size_t column = 0; column < heat->columns; column += every)
        loom_text_append(html, "<text class=\"mid\" x=\"%.1f\" y=\"%d\">%zu</text>\n",
                         HEAT_LEFT + ((double)column + 0.5) * cell->width, HEAT_TOP - 6, column);
    for (size_t row = 0; row < heat->rows; row += every_row)
        loom_text_append(html, "<text class=\"end\" x=\"%d\" y=\"%.1f\">%s %zu</text>\n", HEAT_LEFT - 8,
                         HEAT_TOP + ((double)row + 0.5) * cell->height + 4, heat->row_name, row + 1);
}

void loom_svg_heat(struct loom_text *html, const struct loom_heat *heat) {
    if (heat->rows == 0 || heat->columns == 0 || largest(heat->share, heat->rows * heat->columns) <= 0) {
        put_missing(html, heat->title);
        return;
    }
    const struct cell cell = cell_of(heat);
    const double width = HEAT_LEFT + cell.width * (double)heat->columns + 4;
    open_figure(html, heat->title);
    loom_text_append(html, " <span class=\"ramp\">0 %% <i></i> %.3g %%</span>", 100 * cell.strongest);
    loom_text_append(html, " <span>an even share is %.3g %%</span>", 100 / (double)heat->columns);
    open_drawing(html, width, HEAT_TOP + cell.height * (double)heat->rows + 4, heat->title);
    loom_text_append(html, "%zu rows, %zu columns; the largest share is %.3g %%.</desc>\n", heat->rows, heat->columns,
                     100 * largest(heat->share, heat->rows * heat->columns));
    put_heat_labels(html, heat, &cell);
    for (size_t row = 0; row < heat->rows; row++)
        for (size_t column = 0; column < heat->columns; column++)
            put_cell(html, heat, &cell, row, column);
    close_drawing(html);
}
