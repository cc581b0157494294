/* utf8.c - see utf8.h. */
#include "base/utf8.h"

#include <string.h>

/* The bytes of a character from its first byte; 0 when none begins so. */
static size_t length_of(unsigned char first) {
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

static bool is_surrogate(uint32_t point) {
    return point >= 0xD800 && point <= 0xDFFF;
}

size_t loom_utf8_decode(const char *text, size_t size, uint32_t *point) {
    /* The least code point that needs 1, 2, 3, 4 bytes: below it the form is overlong. */
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint32_t first_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t length = size > 0 ? length_of((unsigned char)text[0]) : 0;
    if (length == 0 || length > size)
        return 0;
    uint32_t value = (unsigned char)text[0] & first_bits[length];
    for (size_t i = 1; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (byte & 0x3Fu);
    }
    if (value < least[length] || value >= LOOM_UTF8_POINTS || is_surrogate(value))
        return 0;
    *point = value;
    return length;
}

size_t loom_utf8_encode(uint32_t point, char bytes[LOOM_UTF8_MAX]) {
    size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint32_t mark[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (size_t i = length; i-- > 1; point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3F));
    bytes[0] = (char)(mark[length] | point);
    return length;
}

size_t loom_utf8_unfinished(const char *text, size_t size) {
    for (size_t back = 1; back < LOOM_UTF8_MAX && back <= size; back++) {
        unsigned char byte = (unsigned char)text[size - back];
        if ((byte & 0xC0) != 0x80)
            return length_of(byte) > back ? back : 0;
    }
    return 0;
}

/* Bytes at the start of text[0..size) that are ASCII, as far as whole words of 8 show it. */
static size_t ascii_run(const char *text, size_t size) {
    size_t at = 0;
    uint64_t word;
    for (; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        if (word & 0x8080808080808080)
            break;
    }
    return at;
}

bool loom_utf8_check(const char *text, size_t size, size_t *offset) {
    uint32_t point;
    for (size_t at = 0, step; at < size; at += step) {
        step = ascii_run(text + at, size - at);
        if (step == 0)
            step = loom_utf8_decode(text + at, size - at, &point);
        if (step == 0) {
            if (offset)
                *offset = at;
            return false;
        }
    }
    return true;
}

/* Bytes of the longest beginning of a character at text[0..size), where no whole one is: 1 to 3. The second byte alone
 * shows overlong forms, surrogates and what lies above U+10FFFF (The Unicode Standard, table 3-7). */
static size_t bad_part(const char *text, size_t size) {
    unsigned char first = (unsigned char)text[0];
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    size_t length = length_of(first), at = 1;
    for (; at < length && at < size; at++, low = 0x80, high = 0xBF)
        if ((unsigned char)text[at] < low || (unsigned char)text[at] > high)
            break;
    return at;
}

size_t loom_utf8_replace(const char *text, size_t size, char *out) {
    size_t written = 0, offset;
    while (!loom_utf8_check(text, size, &offset)) {
        memcpy(out + written, text, offset);
        written += offset;
        written += loom_utf8_encode(0xFFFD, out + written);
        offset += bad_part(text + offset, size - offset);
        text += offset;
        size -= offset;
    }
    memcpy(out + written, text, size);
    return written + size;
}
