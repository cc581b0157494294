/* progress.c - see progress.h.
 *
 * A line is a list of fields, the most useful first; on a terminal a field that does not fit the width is left out, so
 * that a line never wraps. The width is asked for at each drawing, which follows a resized window without a signal.
 * Text that a model wrote may hold escape codes: control characters never reach the terminal. */
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "units.h"

enum { BAR_COLUMNS = 16, NAME_COLUMNS = 24, PLAIN_COLUMNS = 400 };

static const double live_pause = 0.1, plain_pause = 5; /* seconds between two step lines */

/* A line under construction: columns are what the eye counts, without colours and the tails of UTF-8 characters. */
struct line {
    char text[1024];
    size_t size;
    int columns, limit;
};

/* ---- text -------------------------------------------------------------------------------------------------------- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int terminal_columns(void) {
    struct winsize window;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        return window.ws_col - 1; /* a full last column makes some terminals wrap */
    return 79;
}

static bool is_tail(char byte) {
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* The bytes of the character at `text`, at least 1, and whether a terminal may see it: not a stray byte, nor a control
 * character, C0, DEL or C1 (0xC2 and a tail below 0xA0 in UTF-8; U+009B begins an escape code). */
static size_t read_character(const char *text, bool *shown) {
    const unsigned char lead = (unsigned char)text[0];
    const size_t size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    bool whole = size > 0;
    for (size_t i = 1; whole && i < size; i++)
        whole = is_tail(text[i]);
    *shown = whole && lead >= ' ' && lead != 0x7F && !(lead == 0xC2 && (unsigned char)text[1] < 0xA0);
    return whole ? size : 1;
}

static int count_columns(const char *text) {
    int columns = 0;
    for (; *text; text++)
        columns += !is_tail(*text);
    return columns;
}

/* Appends a field after two spaces; nothing if it does not fit. */
__attribute__((format(printf, 2, 3))) static void line_add(struct line *line, const char *format, ...) {
    char field[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(field, sizeof field, format, arguments);
    va_end(arguments);
    const int gap = line->columns ? 2 : 0, columns = gap + count_columns(field);
    if (line->columns + columns > line->limit || line->size + strlen(field) + 3 > sizeof line->text)
        return;
    line->size += (size_t)snprintf(line->text + line->size, sizeof line->text - line->size, "%*s%s", gap, "", field);
    line->columns += columns;
}

/* The run's name, short. */
static void line_add_name(struct line *line, const char *name) {
    char clean[4 * NAME_COLUMNS + 1] = "";
    size_t used = 0;
    for (int columns = 0; name && *name && columns < NAME_COLUMNS; columns++) {
        bool shown;
        const size_t size = read_character(name, &shown);
        used += (size_t)snprintf(clean + used, sizeof clean - used, "%.*s", shown ? (int)size : 1, shown ? name : "?");
        name += size;
    }
    if (used)
        line_add(line, "%s", clean);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static void line_add_bar(struct line *line, double share, bool color) {
    const int width = line->limit < 100 ? BAR_COLUMNS / 2 : BAR_COLUMNS;
    const int done = (int)(share * width), columns = width + 9; /* with gap, brackets and percent */
    if (line->columns + columns > line->limit)
        return;
    line->size += (size_t)snprintf(line->text + line->size, sizeof line->text - line->size, "%*s[%s%.*s%s%*s] %3.0f%%",
                                   line->columns ? 2 : 0, "", color ? "\033[36m" : "", done, "################",
                                   color ? "\033[0m" : "", width - done, "", floor(100 * share));
    line->columns += columns;
}

static void line_add_time(struct line *line, double seconds, const char *what) {
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9)
        return;
    const long whole = lround(seconds);
    if (whole < 60)
        line_add(line, "%lds%s", whole, what);
    else if (whole < 3600)
        line_add(line, "%ldm %02lds%s", whole / 60, whole % 60, what);
    else if (whole < 86400)
        line_add(line, "%ldh %02ldm%s", whole / 3600, whole / 60 % 60, what);
    else
        line_add(line, "%ldd %02ldh%s", whole / 86400, whole / 3600 % 24, what);
}

static void line_add_speed(struct line *line, double speed) {
    if (!(speed > 0) || !isfinite(speed))
        return;
    if (speed < 1e4)
        line_add(line, "%.0f tok/s", speed);
    else if (speed < 1e6)
        line_add(line, "%.1fk tok/s", speed / 1e3);
    else
        line_add(line, "%.2fM tok/s", speed / 1e6);
}

static void line_add_step(struct line *line, const struct loom_event *event) {
    if (event->steps)
        line_add(line, "step %" PRIu64 "/%" PRIu64, event->step, event->steps);
    else
        line_add(line, "step %" PRIu64, event->step);
}

/* What a step tells, the most useful first. Numbers that are not known, or that the model does not have, are left
 * out. */
static void line_add_numbers(struct line *line, const struct loom_event *event) {
    if (isfinite(event->loss))
        line_add(line, "loss %.4f", event->loss);
    if (isfinite(event->val_loss))
        line_add(line, "val %.4f", event->val_loss);
    line_add_time(line, event->seconds_left, " left");
    line_add_speed(line, event->tokens_per_second);
    if (isfinite(event->learning_rate))
        line_add(line, "lr %.2e", event->learning_rate);
    if (isfinite(event->gradient_norm))
        line_add(line, "grad %.2f", event->gradient_norm);
    if (event->peak_share > 0)
        line_add(line, "%.0f%% of peak", 100 * event->peak_share);
    if (event->mean_loops > 0)
        line_add(line, "loops %.2f", event->mean_loops);
    if (event->expert_imbalance > 0)
        line_add(line, "imbalance %.2f", event->expert_imbalance);
}

/* ---- the screen -------------------------------------------------------------------------------------------------- */

static void erase_live(struct progress *progress) {
    if (progress->live)
        fputs("\r\033[K", stderr);
    progress->live = false;
}

static void show_live(struct progress *progress, const struct line *line) {
    fprintf(stderr, "\r%s\033[K", line->text);
    progress->live = true;
}

static void draw_live(struct progress *progress, const struct loom_event *event) {
    struct line line = {.limit = terminal_columns()};
    line_add_name(&line, event->run);
    line_add_bar(&line, event->steps ? fmin(1, (double)event->step / (double)event->steps) : 0, progress->color);
    line_add_step(&line, event);
    line_add_numbers(&line, event);
    show_live(progress, &line);
}

static void print_line(const struct line *line) {
    fprintf(stderr, "%s\n", line->text);
}

static void print_step(const struct loom_event *event) {
    struct line line = {.limit = PLAIN_COLUMNS};
    line_add_step(&line, event);
    line_add_numbers(&line, event);
    print_line(&line);
}

static void print_evaluation(const struct loom_event *event, int limit) {
    struct line line = {.limit = limit};
    line_add(&line, "step %" PRIu64, event->step);
    if (isfinite(event->val_loss))
        line_add(&line, "val %.4f", event->val_loss);
    if (isfinite(event->loss))
        line_add(&line, "loss %.4f", event->loss);
    line_add_time(&line, event->seconds, " trained");
    line_add_speed(&line, event->tokens_per_second);
    if (event->mean_loops > 0)
        line_add(&line, "loops %.2f", event->mean_loops);
    if (event->expert_imbalance > 0)
        line_add(&line, "imbalance %.2f", event->expert_imbalance);
    print_line(&line);
}

static void print_bounds(const struct loom_event *event, const char *what) {
    struct line line = {.limit = PLAIN_COLUMNS};
    line_add_name(&line, event->run);
    line_add(&line, "%s", what);
    line_add_step(&line, event);
    if (event->kind == LOOM_EVENT_END) {
        if (isfinite(event->val_loss))
            line_add(&line, "val %.4f", event->val_loss);
        line_add_time(&line, event->seconds, " trained");
    }
    print_line(&line);
}

/* Prints text with each line that is not empty indented, and "?" for what a terminal must not see. */
static void print_text(const char *text, int indent) {
    bool fresh = true;
    while (text && *text) {
        bool shown;
        const size_t size = read_character(text, &shown);
        if (*text != '\n' && fresh)
            fprintf(stderr, "%*s", indent, "");
        fresh = *text == '\n';
        if (shown || *text == '\n' || *text == '\t')
            fwrite(text, 1, size, stderr);
        else
            putc('?', stderr);
        text += size;
    }
    if (!fresh)
        putc('\n', stderr);
}

/* Events that leave lasting lines. */
static void print_event(const struct progress *progress, const struct loom_event *event) {
    switch (event->kind) {
    case LOOM_EVENT_START:
        print_bounds(event, "starts");
        break;
    case LOOM_EVENT_EVAL:
        print_evaluation(event, progress->terminal ? terminal_columns() : PLAIN_COLUMNS);
        break;
    case LOOM_EVENT_SAMPLE:
        print_text(event->text, 4);
        break;
    case LOOM_EVENT_SAVE:
        fputs("saved ", stderr);
        print_text(event->text, 0);
        break;
    case LOOM_EVENT_NOTE:
        print_text(event->text, 0);
        break;
    case LOOM_EVENT_END:
        print_bounds(event, "ends");
        break;
    case LOOM_EVENT_STEP:
        break;
    }
}

/* ---- interface --------------------------------------------------------------------------------------------------- */

void progress_open(struct progress *progress) {
    const char *kind = getenv("TERM"), *plain = getenv("NO_COLOR");
    const bool terminal = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
    *progress =
        (struct progress){.terminal = terminal, .color = terminal && !(plain && *plain), .drawn = -(double)INFINITY};
}

/* Whether it is time to show a step; then the next pause begins. */
static bool is_due(struct progress *progress) {
    const double time = now();
    const bool due = time - progress->drawn >= (progress->terminal ? live_pause : plain_pause);
    if (due)
        progress->drawn = time;
    return due;
}

void progress_event(void *user, const struct loom_event *event) {
    struct progress *progress = user;
    if (event->kind == LOOM_EVENT_STEP) {
        if (!is_due(progress))
            return;
    } else {
        erase_live(progress);
        print_event(progress, event);
    }
    if (progress->terminal && event->kind != LOOM_EVENT_END)
        draw_live(progress, event);
    else if (event->kind == LOOM_EVENT_STEP)
        print_step(event);
    fflush(stderr);
}

static void line_add_prepared(struct line *line, const struct loom_prepare_progress *done) {
    line_add(line, "%s documents", show_count((double)done->documents).text);
    line_add(line, "%s", show_bytes((double)done->bytes).text);
    line_add(line, "%s tokens", show_count((double)done->tokens).text);
    if (done->bytes_per_second > 0)
        line_add(line, "%s/s", show_bytes(done->bytes_per_second).text);
    line_add_time(line, done->seconds_left, " left");
    if (done->source && done->sources > 1)
        line_add(line, "file %zu/%zu", done->source_index + 1, done->sources);
}

/* Whether it is time for a line about work that has taken so long; short work needs none. */
static bool begin_line(struct progress *progress, double seconds, struct line *line) {
    *line = (struct line){.limit = progress->terminal ? terminal_columns() : PLAIN_COLUMNS};
    return (progress->terminal || seconds >= plain_pause) && is_due(progress);
}

static void end_line(struct progress *progress, struct line *line) {
    if (progress->terminal)
        show_live(progress, line);
    else
        print_line(line);
    fflush(stderr);
}

void progress_prepare(void *user, const struct loom_prepare_progress *done) {
    struct progress *progress = user;
    struct line line;
    if (!begin_line(progress, done->seconds, &line))
        return;
    if (isfinite(done->share))
        line_add_bar(&line, done->share, progress->color);
    line_add_prepared(&line, done);
    end_line(progress, &line);
}

void progress_tokenizer(void *user, const struct loom_tokenizer_train_progress *done) {
    struct progress *progress = user;
    struct line line;
    if (!begin_line(progress, done->seconds, &line))
        return;
    if (done->merges_wanted > 0)
        line_add_bar(&line, (double)done->merges / (double)done->merges_wanted, progress->color);
    line_add(&line, "%s documents", show_count((double)done->documents).text);
    line_add(&line, "%s", show_bytes((double)done->bytes).text);
    if (done->merges_wanted > 0)
        line_add(&line, "%s merges", show_count((double)done->merges).text);
    end_line(progress, &line);
}

void progress_close(struct progress *progress) {
    erase_live(progress);
    fflush(stderr);
}
