/* split.h - text into the words that byte-level BPE merges within: the pre-tokenisation patterns of GPT-2, GPT-4 and
 * GPT-4o, each as a scanner written by hand that finds what a backtracking regular expression would find.
 *
 * All spellings in use are of three families (tiktoken and the tokenizers library spell one expression differently):
 *   GPT-2:  '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   GPT-4:  (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   o200k:  words in two parts, upper case before lower case, with a contraction behind; else as GPT-4 */
#ifndef LOOM_DATA_SPLIT_H
#define LOOM_DATA_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

enum loom_split_family { LOOM_SPLIT_GPT2, LOOM_SPLIT_GPT4, LOOM_SPLIT_O200K };

struct loom_split {
    enum loom_split_family family;
    int digits;     /* the most digits in a word; 0: any number */
    bool whole_end; /* white space that ends the text is one word even when it has line ends (tiktoken's cl100k) */
};

/* Finds the pattern's family and numbers from its text; false when it is of no known family. */
bool loom_split_recognise(const char *pattern, struct loom_split *split);

/* The pattern in a spelling that tokenizers' regular expressions take, freed with free(); NULL when memory is short. */
char *loom_split_pattern(const struct loom_split *split);

/* The end of the word that begins at text[at], at < size. The text must be valid UTF-8. */
size_t loom_split_next(const struct loom_split *split, const char *text, size_t size, size_t at);

/* The longest prefix, shorter than `limit`, at whose end the pattern always cuts, whatever comes before and behind, and
 * finds the same words on both sides when they are apart; 0 when there is none. The text may be of any bytes. */
size_t loom_split_cut(const struct loom_split *split, const char *text, size_t size, size_t limit);

#endif
