/* symbols.c - see symbols.h. */
#include "data/tokenizer/symbols.h"

#include "base/utf8.h"

enum { LAST_SYMBOL = 256 + 67 }; /* 68 bytes do not print */

uint32_t loom_byte_symbol(unsigned char byte) {
    if ((byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD))
        return byte;
    if (byte <= 0x20)
        return 256u + byte;
    return byte == 0xAD ? LAST_SYMBOL : 256u + 33u + (byte - 0x7Fu);
}

/* The byte that a symbol stands for; -1: it is none. */
static int byte_of(uint32_t symbol) {
    if (symbol < 256)
        return loom_byte_symbol((unsigned char)symbol) == symbol ? (int)symbol : -1;
    if (symbol > LAST_SYMBOL)
        return -1;
    uint32_t order = symbol - 256;
    return symbol == LAST_SYMBOL ? 0xAD : (int)(order <= 0x20 ? order : order - 33 + 0x7F);
}

size_t loom_symbols_decode(const char *symbols, size_t size, char *bytes) {
    size_t count = 0, step;
    uint32_t point;
    for (size_t at = 0; at < size; at += step) {
        step = loom_utf8_decode(symbols + at, size - at, &point);
        int byte = step > 0 ? byte_of(point) : -1;
        if (byte < 0)
            return SIZE_MAX;
        bytes[count++] = (char)byte;
    }
    return count;
}

void loom_symbols_put_json(struct loom_text *text, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char symbol[LOOM_UTF8_MAX];
        size_t length = loom_utf8_encode(loom_byte_symbol((unsigned char)bytes[i]), symbol);
        if (bytes[i] == '"' || bytes[i] == '\\')
            loom_text_put(text, "\\", 1);
        loom_text_put(text, symbol, length);
    }
}
