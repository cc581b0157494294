/* random.c - Philox4x32-10, see random.h. */
#include "base/random.h"

#include <math.h>

/* The round constants of Salmon et al. 2011, table 2 and section 4. */
enum { PHILOX_ROUNDS = 10 };
static const uint32_t multiplier_0 = 0xD2511F53u, multiplier_1 = 0xCD9E8D57u;
static const uint32_t weyl_0 = 0x9E3779B9u, weyl_1 = 0xBB67AE85u;

struct block {
    uint32_t word[4];
};

static struct block philox(struct loom_random stream, uint64_t index) {
    struct block x = {
        {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream.purpose, (uint32_t)(stream.purpose >> 32)}};
    uint32_t key_0 = (uint32_t)stream.seed, key_1 = (uint32_t)(stream.seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t a = (uint64_t)multiplier_0 * x.word[0], b = (uint64_t)multiplier_1 * x.word[2];
        struct block next = {{(uint32_t)(b >> 32) ^ x.word[1] ^ key_0, (uint32_t)b,
                              (uint32_t)(a >> 32) ^ x.word[3] ^ key_1, (uint32_t)a}};
        x = next;
        key_0 += weyl_0;
        key_1 += weyl_1;
    }
    return x;
}

static uint64_t join(uint32_t high, uint32_t low) {
    return (uint64_t)high << 32 | low;
}

static double unit(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t loom_random_bits(struct loom_random stream, uint64_t index) {
    struct block x = philox(stream, index);
    return join(x.word[0], x.word[1]);
}

double loom_random_uniform(struct loom_random stream, uint64_t index) {
    return unit(loom_random_bits(stream, index));
}

uint64_t loom_random_below(struct loom_random stream, uint64_t index, uint64_t bound) {
    return (uint64_t)(loom_random_uniform(stream, index) * (double)bound);
}

/* The smallest number whose square is not less than `count`. */
static uint64_t root_of(uint64_t count) {
    uint64_t root = (uint64_t)sqrt((double)count);
    while (root * root < count)
        root++;
    while (root > 1 && (root - 1) * (root - 1) >= count)
        root--;
    return root;
}

/* Each half of a round adds to one coordinate of (left, right) a number that depends on the other, which can be taken
 * back: a permutation of left_size x right_size pairs, of which there are hardly more than `count`. What falls beyond
 * goes round again until it comes back. */
uint64_t loom_random_permute(struct loom_random stream, uint64_t index, uint64_t count) {
    enum { HALF_ROUNDS = 8 };
    const uint64_t left_size = root_of(count), right_size = (count + left_size - 1) / left_size;
    do {
        uint64_t left = index % left_size, right = index / left_size;
        for (uint64_t round = 0; round < HALF_ROUNDS; round += 2) {
            left = (left + loom_random_bits(stream, right * HALF_ROUNDS + round) % left_size) % left_size;
            right = (right + loom_random_bits(stream, left * HALF_ROUNDS + round + 1) % right_size) % right_size;
        }
        index = right * left_size + left;
    } while (index >= count);
    return index;
}

double loom_random_normal(struct loom_random stream, uint64_t index) {
    struct block x = philox(stream, index);
    double radius = sqrt(-2.0 * log1p(-unit(join(x.word[0], x.word[1]))));
    return radius * cos(6.283185307179586 * unit(join(x.word[2], x.word[3])));
}
