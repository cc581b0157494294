/* isa_fill.h - what each isa_*.c file puts into the table of its instruction set. */
#ifndef LOOM_KERNEL_CPU_ISA_FILL_H
#define LOOM_KERNEL_CPU_ISA_FILL_H

#include "kernel/cpu/isa.h"

void LOOM_ISA_NAME(loom_cpu_fill_arrays)(struct loom_kernels *table);
void LOOM_ISA_NAME(loom_cpu_fill_rows)(struct loom_kernels *table);
void LOOM_ISA_NAME(loom_cpu_fill_norm)(struct loom_kernels *table);
void LOOM_ISA_NAME(loom_cpu_fill_loop)(struct loom_kernels *table);
void LOOM_ISA_NAME(loom_cpu_fill_linear)(struct loom_kernels *table);
void LOOM_ISA_NAME(loom_cpu_fill_attention)(struct loom_kernels *table);
void LOOM_ISA_NAME(loom_cpu_fill_attention_backward)(struct loom_kernels *table);

#endif
