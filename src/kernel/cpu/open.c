/* open.c - the machine "cpu": which instruction set this processor has, its table, its threads' scratch. */
#include "kernel/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

bool loom_cpu_supports(enum loom_cpu_level level) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (level == LOOM_CPU_AVX512BF16)
        return loom_cpu_supports(LOOM_CPU_AVX512) && __builtin_cpu_supports("avx512bf16") &&
               __builtin_cpu_supports("avx512vnni");
    if (level == LOOM_CPU_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
    if (level == LOOM_CPU_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return level == LOOM_CPU_GENERIC;
}

static const char *const level_names[LOOM_CPU_LEVELS] = {"generic", "avx2", "avx512", "avx512bf16"};

/* What the processor runs of that name, or the best without a name; LOOM_CPU_LEVELS when there is none. */
static enum loom_cpu_level find_level(const char *name) {
    enum loom_cpu_level level = LOOM_CPU_LEVELS;
    for (int i = 0; i < LOOM_CPU_LEVELS; i++)
        if (loom_cpu_supports((enum loom_cpu_level)i) && (name == NULL || strcmp(name, level_names[i]) == 0))
            level = (enum loom_cpu_level)i;
    return level;
}

bool loom_kernels_cpu_has(const char *name) {
    return find_level(name) != LOOM_CPU_LEVELS;
}

const char *loom_kernels_cpu_names(void) {
    static const char *const lists[LOOM_CPU_LEVELS] = {"generic", "generic, avx2", "generic, avx2, avx512",
                                                       "generic, avx2, avx512, avx512bf16"};
    return lists[find_level(NULL)];
}

/* The level to open: the environment's where it names one, so that every command can be run as on an older processor.
 */
enum loom_cpu_level loom_cpu_chosen_level(void) {
    const char *name = getenv("LOOM_MACHINE");
    return find_level(loom_kernels_cpu_has(name) ? name : NULL);
}

static void fill_table(struct loom_kernels *table, enum loom_cpu_level level) {
    switch (level) {
#if defined(__x86_64__)
    case LOOM_CPU_AVX512BF16:
        table->name = "cpu-avx512bf16";
        loom_cpu_fill_avx512bf16(table);
        break;
    case LOOM_CPU_AVX512:
        table->name = "cpu-avx512";
        loom_cpu_fill_avx512(table);
        break;
    case LOOM_CPU_AVX2:
        table->name = "cpu-avx2";
        loom_cpu_fill_avx2(table);
        break;
#endif
    default:
        table->name = "cpu-generic";
        loom_cpu_fill_generic(table);
        break;
    }
}

static bool cpu_set_precision(const struct loom_kernels *k, enum loom_precision precision) {
    struct loom_cpu *cpu = k->self;
    if (precision != LOOM_PRECISION_FLOAT32 && cpu->level < LOOM_CPU_AVX512BF16)
        return false;
    cpu->precision = precision;
    return true;
}

static enum loom_storage cpu_factor_format(const struct loom_kernels *k) {
    return loom_cpu_bf16(k) ? LOOM_STORAGE_BF16 : LOOM_STORAGE_REAL;
}

bool loom_kernels_cpu_multiplies(enum loom_precision precision) {
    return precision == LOOM_PRECISION_FLOAT32 || loom_cpu_chosen_level() >= LOOM_CPU_AVX512BF16;
}

static void *cpu_alloc(const struct loom_kernels *k, size_t bytes) {
    (void)k;
    void *memory = loom_cpu_take(bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

static void cpu_release(const struct loom_kernels *k, void *memory) {
    (void)k;
    free(memory);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

size_t loom_cpu_threads(const struct loom_kernels *k, size_t work) {
    const struct loom_cpu *cpu = k->self;
    return work < LOOM_CPU_SMALL ? 1 : (size_t)loom_pool_threads(cpu->pool);
}

float *loom_cpu_shared_scratch(const struct loom_kernels *k) {
    const struct loom_cpu *cpu = k->self;
    return cpu->scratch + (size_t)loom_pool_threads(cpu->pool) * LOOM_CPU_SCRATCH;
}

/* One call's work on its way through the pool: a task is `step` items. */
struct shared {
    loom_cpu_run run;
    const void *job;
    size_t items, step;
    float *scratch;
};

static void run_task(void *job, size_t task, int worker) {
    const struct shared *s = job;
    const size_t first = task * s->step, end = s->items - first < s->step ? s->items : first + s->step;
    s->run(s->job, (struct loom_cpu_part){first, end, s->scratch + (size_t)worker * LOOM_CPU_SCRATCH});
}

void loom_cpu_share(const struct loom_kernels *k, size_t items, size_t cost, loom_cpu_run run, const void *job) {
    const struct loom_cpu *cpu = k->self;
    if (items * cost < LOOM_CPU_SMALL) {
        run(job, (struct loom_cpu_part){0, items, cpu->scratch});
        return;
    }
    const size_t step = cost < LOOM_CPU_SMALL ? LOOM_CPU_SMALL / cost : 1;
    struct shared shared = {run, job, items, step, cpu->scratch};
    loom_pool_run(cpu->pool, (items + step - 1) / step, run_task, &shared);
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static void close_cpu(struct loom_cpu *cpu) {
    loom_cpu_let_go(&cpu->table);
    loom_pool_close(cpu->pool);
    free(cpu->scratch);
    free(cpu);
}

struct loom_kernels *loom_kernels_cpu_open_at(enum loom_cpu_level level, int threads) {
    struct loom_cpu *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL)
        return NULL;
    cpu->table = *loom_kernels_ref();
    cpu->table.self = cpu;
    cpu->level = level;
    cpu->table.set_precision = cpu_set_precision;
    cpu->table.factor_format = cpu_factor_format;
    cpu->table.hold = loom_cpu_hold;
    cpu->table.alloc = cpu_alloc;
    cpu->table.release = cpu_release;
    fill_table(&cpu->table, level);
    cpu->pool = loom_pool_open(loom_threads(threads));
    if (cpu->pool != NULL)
        cpu->scratch =
            cpu_alloc(&cpu->table, ((size_t)loom_pool_threads(cpu->pool) + 1) * LOOM_CPU_SCRATCH * sizeof(float));
    if (cpu->scratch == NULL) {
        close_cpu(cpu);
        return NULL;
    }
    return &cpu->table;
}

struct loom_kernels *loom_kernels_cpu_open(int threads) {
    return loom_kernels_cpu_open_at(loom_cpu_chosen_level(), threads);
}

void loom_kernels_cpu_close(struct loom_kernels *k) {
    if (k != NULL)
        close_cpu(k->self);
}
