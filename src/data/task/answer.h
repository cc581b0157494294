/* answer.h - whether a text answers a question: the rules by which published tasks are scored.
 *
 * They are rules of form, not of meaning, and comparable only if they are the same to the letter; so each is that of
 * lm-evaluation-harness where it has the task, its odd corners included. Texts are UTF-8. */
#ifndef LOOM_DATA_ANSWER_H
#define LOOM_DATA_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

/* Functions that make a text return it on the heap, freed with free(); NULL when memory is short. */

/* gsm8k: the number behind the first "#### ", or else the last thing that looks like a number; "[invalid]" without. */
char *loom_answer_gsm8k_strict(const char *text);
char *loom_answer_gsm8k_flexible(const char *text);
/* What gsm8k compares: no commas, no dollars, nothing up to the last "#### ", no final period, lower case. */
char *loom_answer_gsm8k_plain(const char *text);

/* MATH (hendrycks_math): what stands in the last \boxed{} of a solution; NULL also when there is none. */
char *loom_answer_boxed(const char *solution);
/* What lies between the first and the last dollar of a response; all of it when there are not two. */
char *loom_answer_between_dollars(const char *response);
/* Whether two answers are the same once their LaTeX is brought to one form. *failed is set when memory is short. */
bool loom_answer_math_equal(const char *a, const char *b, bool *failed);

/* The same problems asked as Minerva was: what a response calls its final answer; an answer in one form; whether two
 * have one form, or are one number. */
char *loom_answer_minerva_final(const char *response);
char *loom_answer_minerva_plain(const char *answer);
bool loom_answer_minerva_equal(const char *a, const char *b, bool *failed);

/* bbh, chain of thought: what follows the first "the answer is " on its line, less the last character. */
char *loom_answer_bbh(const char *text);

/* A multiple choice: the index of the first letter A.. of `count` that stands alone; -1 without. */
int loom_answer_letter(const char *text, int count);

/* The last number of a text (commas within it dropped) as a number; NAN without. */
double loom_answer_number(const char *text);

/* Whether two texts are the same but for spaces around them. */
bool loom_answer_same(const char *a, const char *b);

#endif
