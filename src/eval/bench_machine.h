/* bench_machine.h - the machine's own limits, for loom_bench. */
#ifndef LOOM_EVAL_BENCH_MACHINE_H
#define LOOM_EVAL_BENCH_MACHINE_H

#include <loom/loom.h>

/* Rows for multiply-adds in each format and for reading blocks of several sizes, all threads together. */
loom_status loom_bench_machine(int threads, loom_bench_function on_row, void *user, struct loom_error *error);

#endif
