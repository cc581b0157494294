/* utf8.h - one character at a time, in and out of UTF-8 (RFC 3629).
 *
 * Strict: overlong forms, surrogates and code points above U+10FFFF are not characters. */
#ifndef LOOM_BASE_UTF8_H
#define LOOM_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOOM_UTF8_POINTS = 0x110000, LOOM_UTF8_MAX = 4 }; /* code points there are; bytes of the longest character */

/* Decodes the character at text[0..size): returns its bytes (1 to 4) and sets *point; 0 when there is none. */
size_t loom_utf8_decode(const char *text, size_t size, uint32_t *point);

/* Encodes a valid code point; returns its bytes. */
size_t loom_utf8_encode(uint32_t point, char bytes[LOOM_UTF8_MAX]);

/* How many bytes at the end of text[0..size) begin a character that more bytes could complete: 0 to 3. */
size_t loom_utf8_unfinished(const char *text, size_t size);

/* Copies text[0..size) with U+FFFD in place of each part that is no character, which is the longest beginning of one
 * or, failing that, one byte (The Unicode Standard, section 3.9, "U+FFFD substitution of maximal subparts"; as Python's
 * errors="replace" does). Returns the bytes written, at most 3 * size. */
size_t loom_utf8_replace(const char *text, size_t size, char *out);

/* Is text[0..size) valid UTF-8? If not, *offset (may be NULL) is its first byte that is no part of a character. */
bool loom_utf8_check(const char *text, size_t size, size_t *offset);

#endif
