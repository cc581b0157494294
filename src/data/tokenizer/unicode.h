/* unicode.h - what split patterns ask about a character.
 *
 * A two-level table: code points that share their high bits share a block, and equal blocks are kept once. Version 16
 * of Unicode, because that is what tiktoken's and tokenizers' regular expressions know. */
#ifndef LOOM_DATA_UNICODE_H
#define LOOM_DATA_UNICODE_H

#include <stdint.h>

enum {
    LOOM_LETTER = 1,  /* L */
    LOOM_UPPER = 2,   /* may stand in the first part of o200k's words: Lu, Lt, Lm, Lo, M */
    LOOM_LOWER = 4,   /* may stand in their second part: Ll, Lm, Lo, M */
    LOOM_NUMBER = 8,  /* N */
    LOOM_SPACE = 16,  /* White_Space */
    LOOM_NEWLINE = 32 /* \r and \n, which are also white space */
};

enum { LOOM_UNICODE_BLOCK_BITS = 7 };

extern const unsigned char loom_unicode_blocks[]; /* by the code point's high bits */
extern const unsigned char loom_unicode_classes[];

static inline unsigned loom_unicode_class(uint32_t point) {
    uint32_t block = loom_unicode_blocks[point >> LOOM_UNICODE_BLOCK_BITS];
    return loom_unicode_classes[block << LOOM_UNICODE_BLOCK_BITS | (point & ((1 << LOOM_UNICODE_BLOCK_BITS) - 1))];
}

#endif
