/* bench_machine.c - the limits that everything else is held against: multiply-adds from registers, and memory. */
#include "eval/bench_machine.h"

#include "base/status.h"
#include "kernel/kernel.h"

static void tell_multiply(int threads, enum loom_precision precision, const char *name, loom_bench_function on_row,
                          void *user) {
    if (!loom_kernels_cpu_multiplies(precision))
        return;
    const double rate = loom_kernels_cpu_peak(threads, precision);
    on_row(user, &(struct loom_bench_row){name, rate, "FLOP", rate, 1});
}

loom_status loom_bench_machine(int threads, loom_bench_function on_row, void *user, struct loom_error *error) {
    /* One size for each cache that processors have, and one that none holds; of each thread. */
    static const struct {
        const char *name;
        size_t bytes;
    } blocks[] = {{"read 16 KiB a thread", 16 << 10},
                  {"read 512 KiB a thread", 512 << 10},
                  {"read 4 MiB a thread", 4 << 20},
                  {"read 256 MiB a thread", 256 << 20}};
    tell_multiply(threads, LOOM_PRECISION_FLOAT32, "multiply-add float32", on_row, user);
    tell_multiply(threads, LOOM_PRECISION_BF16, "multiply-add bf16", on_row, user);
    tell_multiply(threads, LOOM_PRECISION_INT8, "multiply-add int8", on_row, user);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        const double rate = loom_kernels_cpu_read_rate(threads, blocks[i].bytes);
        if (rate <= 0)
            return loom_fail_memory(error, "benchmark", blocks[i].bytes);
        on_row(user, &(struct loom_bench_row){blocks[i].name, rate, "bytes", 0, 0});
    }
    return LOOM_OK;
}
