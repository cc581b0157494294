/* units.c - see units.h. */
#include "units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <loom/loom.h>

/* Four digits that count, with the prefix that keeps the number below `base`. */
static struct shown scale(double value, double base, const char *const *prefixes, const char *unit) {
    struct shown shown;
    int i = 0;
    for (; value >= base && prefixes[i + 1]; i++)
        value /= base;
    int digits = (i == 0 && value == floor(value)) || value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3;
    const char *gap = *prefixes[i] || *unit ? " " : "";
    snprintf(shown.text, sizeof shown.text, "%.*f%s%s%s", digits, value, gap, prefixes[i], unit);
    return shown;
}

static const char *const thousands[] = {"", "k", "M", "G", "T", "P", "E", "Z", "Y", NULL};

struct shown show_count(double value) {
    return scale(value, 1000, thousands, "");
}

struct shown show_flops(double flops) {
    return scale(flops, 1000, thousands, "FLOP");
}

struct shown show_bytes(double bytes) {
    static const char *const prefixes[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", NULL};
    return scale(bytes, 1024, prefixes, "B");
}

struct shown show_time(double seconds) {
    struct shown shown;
    if (!(seconds < 1e9))
        snprintf(shown.text, sizeof shown.text, "-");
    else if (seconds < 60)
        snprintf(shown.text, sizeof shown.text, "%.1f s", seconds);
    else if (seconds < 3600)
        snprintf(shown.text, sizeof shown.text, "%ld min %02ld s", lround(seconds) / 60, lround(seconds) % 60);
    else
        snprintf(shown.text, sizeof shown.text, "%ld h %02ld min", lround(seconds) / 3600, lround(seconds) / 60 % 60);
    return shown;
}

struct shown show_loss(double loss) {
    struct shown shown = {"-"};
    if (isfinite(loss))
        snprintf(shown.text, sizeof shown.text, "%.4f", loss);
    return shown;
}

struct shown show_loops(int loops) {
    struct shown shown = {"as trained"};
    if (loops == LOOM_LOOPS_GIVEN)
        strcpy(shown.text, "given");
    else if (loops == LOOM_LOOPS_CHOSEN)
        strcpy(shown.text, "chosen");
    else if (loops)
        snprintf(shown.text, sizeof shown.text, "%d", loops);
    return shown;
}
