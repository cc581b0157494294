/* census.c - see census.h. */
#include "eval/census.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* ---- kinds of tokens --------------------------------------------------------------------------------------------- */

enum kind { LETTER, CAPITAL, DIGIT, PUNCTUATION, SPACE, NEWLINE, OTHER, KINDS };
static const char *const kind_names[] = {"letter", "capital", "digit", "punctuation", "space", "newline", "other"};

static enum kind kind_of_byte(unsigned char byte) {
    if (byte >= 'a' && byte <= 'z')
        return LETTER;
    if (byte >= 'A' && byte <= 'Z')
        return CAPITAL;
    if (byte >= '0' && byte <= '9')
        return DIGIT;
    if (byte == '\n' || byte == '\r')
        return NEWLINE;
    if (byte == ' ' || byte == '\t')
        return SPACE;
    return byte > ' ' && byte < 0x7F ? PUNCTUATION : OTHER;
}

/* A token's kind is that of its first byte behind spaces. */
static enum kind kind_of_token(const struct loom_tokenizer *tokenizer, int id) {
    size_t size = 0, at = 0;
    const char *bytes = loom_tokenizer_token(tokenizer, id, &size);
    if (!bytes || size == 0)
        return OTHER;
    while (at + 1 < size && kind_of_byte((unsigned char)bytes[at]) == SPACE)
        at++;
    return kind_of_byte((unsigned char)bytes[at]);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static size_t cells_of(const struct loom_census *census) {
    return (size_t)census->kinds * (size_t)census->loops * (size_t)census->layers * (size_t)census->experts;
}

static loom_status take_arrays(struct loom_census *census, size_t vocab, size_t picks, struct loom_error *error) {
    census->kind_of = calloc(vocab, sizeof *census->kind_of);
    census->choices = calloc(cells_of(census), sizeof *census->choices);
    census->again = calloc((size_t)census->loops, sizeof *census->again);
    census->ids = calloc(picks, sizeof *census->ids);
    census->before = calloc((size_t)census->layers * picks, sizeof *census->before);
    if (census->kind_of && census->choices && census->again && census->ids && census->before)
        return LOOM_OK;
    return loom_fail_memory(error, "expert choices", cells_of(census) * sizeof *census->choices);
}

loom_status loom_census_open(struct loom_census *census, const struct loom_model *model,
                             const struct loom_tokenizer *tokenizer, int loops, size_t rows, struct loom_error *error) {
    const struct loom_config *c = &model->net.config;
    *census = (struct loom_census){.kinds = KINDS, .loops = loops, .layers = c->core_layers, .experts = c->n_experts};
    if (!loom_config_routed(c))
        return loom_fail(error, LOOM_INVALID, "%s has no routed experts", model->path);
    loom_status status = take_arrays(census, (size_t)c->vocab_size, rows * (size_t)c->n_experts_per_tok, error);
    for (int id = 0; status == LOOM_OK && id < c->vocab_size; id++)
        census->kind_of[id] = (int)kind_of_token(tokenizer, id);
    return status;
}

void loom_census_close(struct loom_census *census) {
    free(census->kind_of);
    free(census->choices);
    free(census->again);
    free(census->ids);
    free(census->before);
    *census = (struct loom_census){.kinds = 0};
}

/* ---- what it tells ----------------------------------------------------------------------------------------------- */

/* The entropy of shares, in nats. */
static double entropy(const double *counts, size_t n) {
    double sum = 0, weighted = 0;
    for (size_t i = 0; i < n; i++)
        sum += counts[i];
    for (size_t i = 0; i < n; i++)
        weighted += counts[i] > 0 ? counts[i] * log(counts[i]) : 0;
    return sum > 0 ? log(sum) - weighted / sum : 0;
}

/* counts (groups, experts): mutual information of group and expert over the entropy of the expert. */
static double told_by(const double *counts, size_t groups, size_t experts, double *total) {
    double sum = 0, within = 0;
    memset(total, 0, experts * sizeof *total);
    for (size_t g = 0; g < groups; g++) {
        const double *row = counts + g * experts;
        double row_sum = 0;
        for (size_t e = 0; e < experts; e++) {
            row_sum += row[e];
            total[e] += row[e];
        }
        sum += row_sum;
        within += row_sum * entropy(row, experts);
    }
    double whole = entropy(total, experts);
    return whole > 0 && sum > 0 ? fmax(1 - within / sum / whole, 0) : 0; /* rounding may go below 0 */
}

/* How often an expert of one layer was chosen, by kind (`by_kind`) or by loop. */
static void sum_layer(const struct loom_census *census, int layer, bool by_kind, double *counts) {
    const size_t experts = (size_t)census->experts, loops = (size_t)census->loops, layers = (size_t)census->layers;
    memset(counts, 0, (size_t)(by_kind ? census->kinds : census->loops) * experts * sizeof *counts);
    for (size_t kind = 0; kind < (size_t)census->kinds; kind++)
        for (size_t t = 0; t < loops; t++)
            for (size_t e = 0; e < experts; e++)
                counts[(by_kind ? kind : t) * experts + e] +=
                    (double)census->choices[((kind * loops + t) * layers + (size_t)layer) * experts + e];
}

static void conclude(const struct loom_census *census, double *counts, struct loom_choices *choices) {
    const size_t experts = (size_t)census->experts;
    double *total = counts + (size_t)(census->kinds + census->loops) * experts, picks = 0;
    for (int l = 0; l < census->layers; l++) {
        sum_layer(census, l, false, counts);
        choices->by_loop += told_by(counts, (size_t)census->loops, experts, total) / census->layers;
        sum_layer(census, l, true, counts);
        choices->by_kind += told_by(counts, (size_t)census->kinds, experts, total) / census->layers;
    }
    for (size_t i = 0; i < cells_of(census); i++)
        picks += (double)census->choices[i];
    for (int t = 0; t < census->loops; t++)
        choices->again[t] = picks > 0 ? (double)census->again[t] * census->loops / picks : 0;
}

loom_status loom_census_result(struct loom_census *census, struct loom_choices *choices, struct loom_error *error) {
    size_t cells = (size_t)(census->kinds + census->loops + 1) * (size_t)census->experts;
    double *counts = calloc(cells, sizeof *counts);
    *choices = (struct loom_choices){.kinds = census->kinds,
                                     .loops = census->loops,
                                     .layers = census->layers,
                                     .experts = census->experts,
                                     .kind_names = kind_names,
                                     .again = calloc((size_t)census->loops, sizeof *choices->again)};
    if (!counts || !choices->again) {
        free(counts);
        loom_choices_free(choices);
        return loom_fail_memory(error, "expert choices", cells * sizeof *counts);
    }
    conclude(census, counts, choices);
    choices->choices = census->choices;
    census->choices = NULL;
    free(counts);
    return LOOM_OK;
}

void loom_choices_free(struct loom_choices *choices) {
    free(choices->choices);
    free(choices->again);
    *choices = (struct loom_choices){.kinds = 0};
}
