/* symbols.h - GPT-2's printable stand-ins for bytes, in which vocabularies and merges are written (Radford et al.
 * 2019): a byte that prints stands for itself; the 68 others, in order, for the code points from 256 on. */
#ifndef LOOM_DATA_SYMBOLS_H
#define LOOM_DATA_SYMBOLS_H

#include "base/text.h"

#include <stdint.h>

uint32_t loom_byte_symbol(unsigned char byte);

/* Writes the bytes that a text of symbols stands for, at most its size, to `bytes`, which may be the text itself;
 * returns their number. When a character is no symbol, SIZE_MAX. */
size_t loom_symbols_decode(const char *symbols, size_t size, char *bytes);

/* Appends the symbols of some bytes as they stand between the quotation marks of a JSON string. */
void loom_symbols_put_json(struct loom_text *text, const char *bytes, size_t size);

#endif
