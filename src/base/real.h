/* real.h - the floating-point type of tensors.
 *
 * The library computes in float. The same sources compile a second time in double, for tests alone, so that every
 * backward can be held against finite differences far below float's rounding. */
#ifndef LOOM_BASE_REAL_H
#define LOOM_BASE_REAL_H

#ifdef LOOM_DOUBLE
typedef double real;
#else
typedef float real;
#endif

#endif
