/* drill.c - see drill.h: the list of drills, and the token folder of one. */
#include "data/task/drill.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokens/tokens.h"

static const struct loom_drill drills[] = {
    {"pointer", "follow a permutation of 16 letters", 99, loom_drill_pointer, LOOM_DRILL_EACH, false},
    {"phop", "back to a letter's last occurrence and one on", 99, loom_drill_phop, LOOM_DRILL_EACH, false},
    {"s5", "words of permutations of five things", 99, loom_drill_s5, LOOM_DRILL_LAST, true},
    {"modular", "chains of +, - and * modulo 10", 99, loom_drill_modular, LOOM_DRILL_LAST, true},
    {"addition", "sums of two numbers, column by column", 99, loom_drill_addition, LOOM_DRILL_ALL, true},
    {"maze", "the first move of the shortest way through a maze", 24, loom_drill_maze, LOOM_DRILL_EACH, false},
    {"story", "word problems: things come and go, asked after every step", 99, loom_drill_story, LOOM_DRILL_LAST, true},
};
enum { DRILLS = sizeof drills / sizeof drills[0] };

static const char *const counts_names[] = {"each", "last", "all"};

const char *loom_drill_counts_name(enum loom_drill_counts counts) {
    return counts_names[counts];
}

uint64_t loom_dice_below(struct loom_dice *dice, uint64_t bound) {
    return loom_random_below(dice->stream, dice->drawn++, bound);
}

/* Fisher and Yates. */
void loom_dice_permute(struct loom_dice *dice, int *order, int n) {
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)loom_dice_below(dice, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

const struct loom_drill *loom_drill_at(size_t index) {
    return index < DRILLS ? &drills[index] : NULL;
}

const struct loom_drill *loom_drill_find(const char *name) {
    for (size_t i = 0; i < DRILLS; i++)
        if (strcmp(drills[i].name, name) == 0)
            return &drills[i];
    return NULL;
}

void loom_drill_write(const struct loom_drill *drill, uint64_t seed, uint64_t index, int steps,
                      struct loom_text *text) {
    struct loom_dice dice = {{seed, LOOM_RANDOM_DRILL | index << 8}, 0};
    loom_text_append(text, "%02d:", steps);
    drill->write(&dice, steps, text);
    loom_text_append(text, "\n");
}

const char *loom_drill_name(size_t index) {
    return index < DRILLS ? drills[index].name : NULL;
}

const char *loom_drill_summary(size_t index) {
    return index < DRILLS ? drills[index].summary : NULL;
}

/* ---- the token folder -------------------------------------------------------------------------------------------- */

struct preparation {
    const struct loom_drill_options *options;
    const struct loom_drill *drill;
    struct loom_tokenizer *tokenizer;
    struct loom_tokens_writer *writer;
    struct loom_text text; /* of one problem */
    size_t length;         /* of a record */
    int low, high;         /* steps */
};

static loom_status check_options(struct preparation *p, struct loom_error *error) {
    const struct loom_drill_options *o = p->options;
    p->drill = o->drill ? loom_drill_find(o->drill) : NULL;
    p->low = o->steps_low ? o->steps_low : 1;
    p->high = o->steps_high ? o->steps_high : 8;
    if (!p->drill)
        return loom_fail(error, LOOM_INVALID, "there is no generated task \"%.64s\"", o->drill ? o->drill : "");
    if (!o->out)
        return loom_fail(error, LOOM_INVALID, "a generated task needs an output folder");
    if (p->low < 1 || p->low > p->high || p->high > p->drill->steps_max)
        return loom_fail(error, LOOM_INVALID, "%s has 1 to %d steps, not %d to %d", p->drill->name, p->drill->steps_max,
                         p->low, p->high);
    if (o->val_samples < 1 || o->train_samples < 1)
        return loom_fail(error, LOOM_INVALID,
                         "%" PRIu64 " training and %" PRIu64 " validation problems: each must be some",
                         o->train_samples, o->val_samples);
    return loom_tokens_check_free(o->out, error);
}

/* Problem `index`, whose steps go round from the fewest to the most. */
static void write_problem(struct preparation *p, uint64_t index) {
    int steps = p->low + (int)(index % (uint64_t)(p->high - p->low + 1));
    p->text.size = 0;
    loom_drill_write(p->drill, p->options->seed, index, steps, &p->text);
}

/* The longest problem makes the record's length. */
static void measure(struct preparation *p) {
    p->length = p->options->length;
    for (uint64_t i = 0; i < p->options->train_samples + p->options->val_samples; i++) {
        write_problem(p, i);
        p->length = p->text.size > p->length ? p->text.size : p->length;
    }
}

static loom_status put_problem(struct preparation *p, enum loom_split split, uint64_t index, struct loom_error *error) {
    int *ids = NULL;
    size_t count = 0;
    write_problem(p, index);
    while (!p->text.failed && p->text.size < p->length)
        loom_text_put(&p->text, " ", 1);
    if (p->text.failed)
        return loom_fail_memory(error, p->drill->name, p->length);
    loom_status status = loom_tokenizer_encode(p->tokenizer, p->text.data, p->text.size, &ids, &count, error);
    if (status == LOOM_OK)
        status = loom_tokens_begin(p->writer, split, error);
    if (status == LOOM_OK)
        status = loom_tokens_put(p->writer, split, ids, count, p->text.size, error);
    free(ids);
    return status;
}

static loom_status open_tokenizer(struct preparation *p, struct loom_error *error) {
    const struct loom_piece alphabet = {LOOM_DRILL_ALPHABET, sizeof LOOM_DRILL_ALPHABET - 1, p->drill->name, 0};
    struct loom_characters *characters = calloc(1, sizeof *characters);
    if (!characters)
        return loom_fail_memory(error, p->drill->name, sizeof *characters);
    loom_status status = loom_characters_add(characters, &alphabet, error);
    if (status == LOOM_OK)
        status = loom_tokenizer_char(characters, &p->tokenizer, error);
    free(characters);
    return status;
}

static loom_status put_all(struct preparation *p, struct loom_error *error) {
    const struct loom_drill_options *o = p->options;
    loom_status status = loom_tokens_create(o->out, LOOM_SHARD_TOKENS, &p->writer, error);
    if (status == LOOM_OK)
        status = loom_tokens_set_tokenizer(p->writer, p->tokenizer, error);
    for (uint64_t i = 0; status == LOOM_OK && i < o->train_samples + o->val_samples; i++)
        status = put_problem(p, i < o->train_samples ? LOOM_SPLIT_TRAIN : LOOM_SPLIT_VAL, i, error);
    if (status)
        return status;
    json_t *about = json_pack("{s:{s:s,s:I,s:[i,i],s:I,s:b,s:s}}", LOOM_DRILL_KEY, "name", p->drill->name, "length",
                              (json_int_t)p->length, "steps", p->low, p->high, "seed", (json_int_t)o->seed, "stepwise",
                              p->drill->hides, "counts", loom_drill_counts_name(p->drill->counts));
    status = about ? loom_tokens_finish(p->writer, about, error) : loom_fail_memory(error, o->out, sizeof *p);
    json_decref(about);
    return status;
}

loom_status loom_prepare_drill(const struct loom_drill_options *options, struct loom_prepare_result *result,
                               struct loom_error *error) {
    struct preparation p = {.options = options};
    *result = (struct loom_prepare_result){0};
    loom_status status = check_options(&p, error);
    if (status == LOOM_OK)
        status = open_tokenizer(&p, error);
    if (status == LOOM_OK) {
        measure(&p);
        status = put_all(&p, error);
    }
    result->documents = options->train_samples + options->val_samples;
    result->train_tokens = options->train_samples * p.length;
    result->val_tokens = options->val_samples * p.length;
    result->bytes = result->train_tokens + result->val_tokens;
    result->vocab_size = (int)sizeof LOOM_DRILL_ALPHABET - 1;
    loom_tokens_close(p.writer);
    loom_tokenizer_free(p.tokenizer);
    loom_text_free(&p.text);
    return status;
}
