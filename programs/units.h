/* units.h - numbers as a person reads them. */
#ifndef LOOM_PROGRAMS_UNITS_H
#define LOOM_PROGRAMS_UNITS_H

/* A number that was written into a small buffer, to be handed to printf in one expression. */
struct shown {
    char text[32];
};

/* "812", "803.2 k", "1.07 M", "2.3 T": thousands. */
struct shown show_count(double value);
/* "7.68 TFLOP" */
struct shown show_flops(double flops);
/* "512 B", "3.2 MiB", "1.4 TiB". */
struct shown show_bytes(double bytes);
/* "12.3 s", "4 min 05 s", "3 h 12 min". */
struct shown show_time(double seconds);
/* "1.8765", or "-" when it is not finite. */
struct shown show_loss(double loss);
/* "8", "given", "chosen": a number of loops or what stands for one; "as trained" for 0. */
struct shown show_loops(int loops);

#endif
