/* split.c - see split.h. Each scanner follows its pattern's alternatives in their order; where the pattern backtracks,
 * a comment says what it finds in the end. Every scanner walks a run of like characters once or twice, so that no text
 * takes more than time in proportion to its size. */
#include "data/tokenizer/split.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "data/tokenizer/unicode.h"

struct text {
    const unsigned char *data;
    size_t size;
};

enum { OTHER_MASK = LOOM_LETTER | LOOM_NUMBER | LOOM_SPACE }; /* [^\s\p{L}\p{N}]: none of these */

/* ---- characters -------------------------------------------------------------------------------------------------- */

/* The code point that begins with a byte from 0xC2 on, in valid UTF-8. */
static uint32_t decode_long(const unsigned char *at, size_t *step) {
    uint32_t second = at[1] & 0x3Fu;
    if (at[0] < 0xE0) {
        *step = 2;
        return (at[0] & 0x1Fu) << 6 | second;
    }
    if (at[0] < 0xF0) {
        *step = 3;
        return (at[0] & 0x0Fu) << 12 | second << 6 | (at[2] & 0x3Fu);
    }
    *step = 4;
    return (at[0] & 0x07u) << 18 | second << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
}

/* The class of the character at data[at], at < size, and its bytes. */
static inline unsigned class_at(const struct text *text, size_t at, size_t *step) {
    unsigned char first = text->data[at];
    if (first < 0x80) {
        *step = 1;
        return loom_unicode_classes[first];
    }
    return loom_unicode_class(decode_long(text->data + at, step));
}

/* The class behind the text's end is none, not even "other". */
enum { BEHIND = LOOM_SPACE };

static inline unsigned class_or_end(const struct text *text, size_t at) {
    size_t step;
    return at < text->size ? class_at(text, at, &step) : BEHIND;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* The end of the run of characters from `at` on that are of one of the classes in `mask`. */
static size_t run_of(const struct text *text, size_t at, unsigned mask) {
    for (size_t step; at < text->size && class_at(text, at, &step) & mask; at += step)
        ;
    return at;
}

static size_t run_of_others(const struct text *text, size_t at) {
    for (size_t step; at < text->size && !(class_at(text, at, &step) & OTHER_MASK); at += step)
        ;
    return at;
}

/* Bit 7 of each of 8 bytes that are ASCII letters; `fold` is 0x20 in each byte for both cases, 0 for lower case. */
static inline uint64_t ascii_letters(uint64_t word, uint64_t fold) {
    const uint64_t each = 0x0101010101010101;
    uint64_t low = (word | fold) & 0x7F * each;
    return (low + (0x80 - 'a') * each) & ~(low + (0x7F - 'z') * each) & ~word & 0x80 * each;
}

/* As run_of, where the mask holds the ASCII letters that `fold` tells: 8 bytes at a time as long as there are such. */
static inline size_t run_of_letters(const struct text *text, size_t at, unsigned mask, uint64_t fold) {
    const uint64_t all = 0x8080808080808080;
    for (uint64_t word; text->size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text->data + at, sizeof word);
        uint64_t rest = ascii_letters(word, fold) ^ all;
        if (rest) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            at += (size_t)__builtin_ctzll(rest) / 8;
#else
            at += (size_t)__builtin_clzll(rest) / 8;
#endif
            break;
        }
    }
    return run_of(text, at, mask);
}

static inline size_t run_of_any_case(const struct text *text, size_t at) {
    return run_of_letters(text, at, LOOM_LETTER, 0x2020202020202020);
}

/* \p{N}{1,most} */
static size_t run_of_digits(const struct text *text, size_t at, int most) {
    size_t step;
    if (most == 0)
        return run_of(text, at, LOOM_NUMBER);
    for (int i = 0; i < most && at < text->size && class_at(text, at, &step) & LOOM_NUMBER; i++)
        at += step;
    return at;
}

/* ---- parts that the families share ------------------------------------------------------------------------------- */

/* Bytes of 's 'd 'm 't 'll 've 're at `at`, where an apostrophe stands; 0 when there is none. With any case, the long s
 * U+017F is an s too, as its case folds to one. */
static size_t contraction(const struct text *text, size_t at, bool any_case) {
    const unsigned char *data = text->data + at, fold = any_case ? 0x20 : 0;
    size_t left = text->size - at;
    if (left < 2)
        return 0;
    unsigned char first = data[1] | fold, second = left > 2 ? data[2] | fold : 0;
    if (first == 's' || first == 'd' || first == 'm' || first == 't')
        return 2;
    if ((first == 'l' && second == 'l') || ((first == 'v' || first == 'r') && second == 'e'))
        return 3;
    return any_case && left > 2 && data[1] == 0xC5 && data[2] == 0xBF ? 3 : 0;
}

/* White space from `at` on: \s*[\r\n]+ (where `lines`), then \s+(?!\S), then \s+. The first ends behind the run's last
 * line end; the second leaves the last character to what follows the run, if there are two. */
static size_t white_space(const struct loom_split *split, const struct text *text, size_t at) {
    size_t end = run_of(text, at, LOOM_SPACE), last = end - 1;
    if (end == text->size && (split->whole_end || split->family == LOOM_SPLIT_GPT2))
        return end;
    for (size_t line = end; split->family != LOOM_SPLIT_GPT2 && line > at; line--)
        if (text->data[line - 1] == '\n' || text->data[line - 1] == '\r')
            return line;
    if (end == text->size)
        return end;
    while (last > at && (text->data[last] & 0xC0) == 0x80)
        last--;
    return last > at ? last : end;
}

/* ---- the families ------------------------------------------------------------------------------------------------ */

static size_t next_gpt2(const struct loom_split *split, const struct text *text, size_t at) {
    unsigned char first = text->data[at];
    size_t short_form = first == '\'' ? contraction(text, at, false) : 0;
    if (short_form > 0)
        return at + short_form;
    size_t start = at + (first == ' ');
    unsigned class = class_or_end(text, start);
    if (class & LOOM_LETTER)
        return run_of_any_case(text, start);
    if (class & LOOM_NUMBER)
        return run_of_digits(text, start, split->digits);
    if (!(class & LOOM_SPACE))
        return run_of_others(text, start);
    return white_space(split, text, at);
}

/* A text's rest that is no word of letters: digits, other characters with the line ends behind them, white space.
 * o200k takes slashes among the line ends. */
static size_t next_rest(const struct loom_split *split, const struct text *text, size_t at, unsigned class) {
    if (class & LOOM_NUMBER)
        return run_of_digits(text, at, split->digits);
    size_t start = at + (text->data[at] == ' ');
    if (class_or_end(text, start) & OTHER_MASK)
        return white_space(split, text, at);
    size_t end = run_of_others(text, start);
    bool slash = split->family == LOOM_SPLIT_O200K;
    while (end < text->size &&
           (text->data[end] == '\r' || text->data[end] == '\n' || (slash && text->data[end] == '/')))
        end++;
    return end;
}

static size_t next_gpt4(const struct loom_split *split, const struct text *text, size_t at) {
    size_t step, short_form = text->data[at] == '\'' ? contraction(text, at, true) : 0;
    if (short_form > 0)
        return at + short_form;
    unsigned class = class_at(text, at, &step);
    if (class & LOOM_LETTER)
        return run_of_any_case(text, at);
    if (!(class & (LOOM_NUMBER | LOOM_NEWLINE)) && class_or_end(text, at + step) & LOOM_LETTER)
        return run_of_any_case(text, at + step);
    return next_rest(split, text, at, class);
}

/* The end of UPPER*LOWER+ from `at` on; 0 when there is none, and then *upper is the end of UPPER*. The first part
 * takes all that it can. When no LOWER follows, it gives back characters until one is also LOWER, which then is the
 * whole second part: what stands behind it is not LOWER, or the first part would not have had to give that back too. */
static size_t upper_lower(const struct text *text, size_t at, size_t *upper) {
    size_t step, both = 0;
    unsigned class = 0;
    for (; at < text->size && (class = class_at(text, at, &step)) & LOOM_UPPER; at += step)
        both = class & LOOM_LOWER ? at + step : both;
    *upper = at;
    if (at < text->size && class & LOOM_LOWER)
        return run_of_letters(text, at, LOOM_LOWER, 0);
    return both;
}

/* Alternatives in order: UPPER*LOWER+ behind the optional prefix, then without it; UPPER+ likewise. A mark may be the
 * prefix or part of a word. */
static size_t word_o200k(const struct text *text, size_t at) {
    size_t step, upper, upper_at = at;
    unsigned class = class_at(text, at, &step);
    size_t start = class & (LOOM_LETTER | LOOM_NUMBER | LOOM_NEWLINE) ? at : at + step;
    size_t end = upper_lower(text, start, &upper);
    if (end == 0 && start > at && class & LOOM_UPPER)
        end = upper_lower(text, at, &upper_at);
    if (end == 0)
        end = upper > start ? upper : upper_at > at ? upper_at : 0;
    if (end > 0 && end < text->size && text->data[end] == '\'')
        end += contraction(text, end, true);
    return end;
}

size_t loom_split_next(const struct loom_split *split, const char *data, size_t size, size_t at) {
    const struct text text = {(const unsigned char *)data, size};
    size_t step, end;
    switch (split->family) {
    case LOOM_SPLIT_GPT2:
        return next_gpt2(split, &text, at);
    case LOOM_SPLIT_GPT4:
        return next_gpt4(split, &text, at);
    default:
        end = word_o200k(&text, at);
        return end > 0 ? end : next_rest(split, &text, at, class_at(&text, at, &step));
    }
}

/* ---- where a text may be cut ------------------------------------------------------------------------------------- */

/* The class of the character that ends before text[at]; BEHIND when it is none. */
static unsigned class_before(const char *text, size_t at) {
    uint32_t point;
    size_t start = at;
    while (start > 0 && at - start < LOOM_UTF8_MAX && (start == at || (text[start] & 0xC0) == 0x80))
        start--;
    return loom_utf8_decode(text + start, at - start, &point) == at - start ? loom_unicode_class(point) : BEHIND;
}

static bool is_white(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Before ASCII white space every word of GPT-2's ends, and so does a letter's or digit's word of the others, which may
 * have line ends only behind other characters. There a line begins with a letter only behind a word's end. */
static bool may_cut(const struct loom_split *split, const char *text, size_t size, size_t at) {
    uint32_t point;
    if (is_white(text[at])) {
        unsigned before = class_before(text, at);
        return split->family == LOOM_SPLIT_GPT2 ? !(before & LOOM_SPACE) : before & (LOOM_LETTER | LOOM_NUMBER);
    }
    if (text[at - 1] != '\n' || split->family == LOOM_SPLIT_GPT2)
        return false;
    return loom_utf8_decode(text + at, size - at, &point) > 0 && loom_unicode_class(point) & LOOM_LETTER;
}

size_t loom_split_cut(const struct loom_split *split, const char *text, size_t size, size_t limit) {
    size_t at = limit < size ? limit : size;
    while (at-- > 1)
        if (may_cut(split, text, size, at))
            return at;
    return 0;
}
