/* random.h - counter-based random numbers.
 *
 * A number is a pure function of (seed, purpose, index): no state, so any thread, any machine and a resumed run draw
 * the same. Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). */
#ifndef LOOM_BASE_RANDOM_H
#define LOOM_BASE_RANDOM_H

#include <stdint.h>

/* What a number is drawn for: two purposes never share a stream. */
enum loom_purpose {
    LOOM_RANDOM_INIT = 1,     /* initial weights */
    LOOM_RANDOM_BATCH = 2,    /* which windows make a batch */
    LOOM_RANDOM_DROPOUT = 3,  /* dropout masks */
    LOOM_RANDOM_SAMPLE = 4,   /* tokens drawn while generating */
    LOOM_RANDOM_TEST = 5,     /* test inputs */
    LOOM_RANDOM_HASH = 6,     /* rows of hashed n-grams */
    LOOM_RANDOM_SHUFFLE = 7,  /* the order of an epoch */
    LOOM_RANDOM_MIX = 8,      /* the order of a mixture's slots */
    LOOM_RANDOM_DRILL = 9,    /* generated problems, and which are drawn */
    LOOM_RANDOM_LOOPS = 10,   /* how often the core runs in a training step */
    LOOM_RANDOM_CHAT = 11,    /* which conversations are held out, and the order of an epoch of them */
    LOOM_RANDOM_PRIVACY = 12, /* the noise and the sampling of a private training */
    LOOM_RANDOM_HIDE = 13     /* which n-grams a training hides */
};

/* One stream: key it once, then ask for any index. */
struct loom_random {
    uint64_t seed;
    uint64_t
        purpose; /* enum loom_purpose in the low bits; callers may put a sub-stream (a tensor, a step) above bit 8 */
};

uint64_t loom_random_bits(struct loom_random stream, uint64_t index);

/* Uniform in [0, 1), 53 bits. */
double loom_random_uniform(struct loom_random stream, uint64_t index);

/* Uniform integer in [0, bound), without modulo bias that matters (bound < 2^40). */
uint64_t loom_random_below(struct loom_random stream, uint64_t index, uint64_t bound);

/* Where a pseudo-random permutation of 0 .. count-1 sends `index`, which is one of them; no table, and each stream has
 * its own. count < 2^60. The generalised Feistel cipher of Black & Rogaway, "Ciphers with arbitrary finite domains"
 * (CT-RSA 2002), with cycle walking. */
uint64_t loom_random_permute(struct loom_random stream, uint64_t index, uint64_t count);

/* Standard normal, Box-Muller on the pair of uniforms at `index`. */
double loom_random_normal(struct loom_random stream, uint64_t index);

#endif
