/* chat_set.c - see chat_set.h. */
#include "data/chat/chat_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/random.h"
#include "data/task/rows.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct reading {
    struct loom_chat_set *set;
    size_t n_tokens, token_capacity, learned_capacity, example_capacity;
};

loom_status loom_chat_encode(const struct loom_tokenizer *tokenizer, const char *text, size_t size, const char *name,
                             struct loom_ids *ids, struct loom_error *error) {
    struct loom_encoder *encoder;
    struct loom_piece piece = {.data = text, .size = size, .name = name};
    loom_status status = loom_encoder_open(tokenizer, &encoder, error);
    if (status)
        return status;
    for (size_t i = 0; loom_chat_mark(i); i++) /* one that it has not is plain text */
        loom_encoder_allow(encoder, loom_chat_mark(i), NULL);
    status = loom_encoder_put(encoder, &piece, ids, error);
    loom_encoder_free(encoder);
    return status;
}

static bool reserve(struct reading *r, size_t tokens) {
    struct loom_chat_set *set = r->set;
    int *ids = loom_grow(set->tokens, &r->token_capacity, r->n_tokens + tokens, sizeof *ids);
    bool *learned = loom_grow(set->learned, &r->learned_capacity, r->n_tokens + tokens, sizeof *learned);
    size_t *begins = loom_grow(set->begins, &r->example_capacity, set->count + 2, sizeof *begins);
    set->tokens = ids ? ids : set->tokens;
    set->learned = learned ? learned : set->learned;
    set->begins = begins ? begins : set->begins;
    return ids && learned && begins;
}

/* Keeps the tokens; one is learned when it begins inside an answer. */
static loom_status keep(struct reading *r, const struct loom_ids *ids, const struct loom_span *spans, size_t n_spans,
                        const char *name, struct loom_error *error) {
    struct loom_chat_set *set = r->set;
    size_t at = 0, span = 0;
    if (ids->count > set->seq_len + 1)
        return loom_fail(error, LOOM_INVALID, "%s: %zu tokens are more than the sequence of %zu can learn from", name,
                         ids->count, set->seq_len);
    if (!reserve(r, ids->count))
        return loom_fail_memory(error, name, ids->count * sizeof *set->tokens);
    set->begins[set->count] = r->n_tokens;
    for (size_t i = 0; i < ids->count; i++) {
        size_t size;
        while (span < n_spans && spans[span].end <= at)
            span++;
        set->tokens[r->n_tokens] = ids->data[i];
        set->learned[r->n_tokens++] = span < n_spans && spans[span].begin <= at;
        loom_tokenizer_token(set->tokenizer, ids->data[i], &size);
        at += size;
    }
    set->begins[++set->count] = r->n_tokens;
    return LOOM_OK;
}

static loom_status add_conversation(void *user, const struct loom_conversation *conversation, const char *name,
                                    struct loom_error *error) {
    struct reading *r = user;
    struct loom_text text = {0};
    struct loom_ids ids = {0};
    size_t n_spans;
    struct loom_span *spans = calloc(conversation->count, sizeof *spans);
    loom_status status = spans ? loom_chat_render(conversation, false, name, &text, spans, &n_spans, error)
                               : loom_fail_memory(error, name, conversation->count * sizeof *spans);
    if (status == LOOM_OK)
        status = loom_chat_encode(r->set->tokenizer, text.data, text.size, name, &ids, error);
    if (status == LOOM_OK)
        status = keep(r, &ids, spans, n_spans, name, error);
    free(ids.data);
    free(spans);
    loom_text_free(&text);
    return status;
}

static loom_status add_row(void *user, json_t *row, const char *name, struct loom_error *error) {
    return loom_chat_row(row, name, add_conversation, user, error);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* Inputs of an example: its last token is only ever a target. */
static size_t inputs_of(const struct loom_chat_set *set, size_t example) {
    return set->begins[example + 1] - set->begins[example] - 1;
}

/* Each example goes to the fullest of the last rows that has room for it. */
enum { OPEN_ROWS = 64 };

struct open_row {
    size_t row, used;
};

static struct open_row *choose_row(struct open_row *open, size_t size, size_t limit) {
    struct open_row *best = NULL, *emptiest = open;
    for (struct open_row *o = open; o < open + OPEN_ROWS; o++) {
        if (o->used + size <= limit && (!best || o->used > best->used))
            best = o;
        if (o->used > emptiest->used) /* the fullest gives way to a new row */
            emptiest = o;
    }
    return best ? best : emptiest;
}

/* row_of[i] is the row of examples[i]. */
static size_t assign_rows(const struct loom_chat_set *set, const size_t *examples, size_t count, size_t *row_of) {
    struct open_row open[OPEN_ROWS];
    size_t rows = 0;
    for (size_t i = 0; i < OPEN_ROWS; i++)
        open[i] = (struct open_row){SIZE_MAX, 0};
    for (size_t i = 0; i < count; i++) {
        size_t size = inputs_of(set, examples[i]);
        struct open_row *o = choose_row(open, size, set->seq_len);
        if (o->row == SIZE_MAX || o->used + size > set->seq_len)
            *o = (struct open_row){rows++, 0};
        o->used += size;
        row_of[i] = o->row;
    }
    return rows;
}

/* Lists the examples by row, in their order. */
static loom_status pack(const struct loom_chat_set *set, const size_t *examples, size_t count, struct loom_chat_rows *p,
                        struct loom_error *error) {
    size_t *row_of = calloc(count + 1, sizeof *row_of);
    if (!row_of)
        return loom_fail_memory(error, "packing", count * sizeof *row_of);
    p->rows = assign_rows(set, examples, count, row_of);
    p->examples = calloc(count + 1, sizeof *p->examples);
    p->offsets = calloc(p->rows + 2, sizeof *p->offsets);
    if (p->examples && p->offsets) {
        for (size_t i = 0; i < count; i++)
            p->offsets[row_of[i] + 2]++;
        for (size_t r = 0; r < p->rows; r++)
            p->offsets[r + 2] += p->offsets[r + 1];
        for (size_t i = 0; i < count; i++)
            p->examples[p->offsets[row_of[i] + 1]++] = examples[i];
    }
    free(row_of);
    return p->examples && p->offsets ? LOOM_OK : loom_fail_memory(error, "packing", count * sizeof *p->examples);
}

/* Chooses what is held out and packs both parts. */
static loom_status arrange(struct loom_chat_set *set, const char *name, double val_fraction, struct loom_error *error) {
    const struct loom_random stream = {0, LOOM_RANDOM_CHAT};
    if (set->count < 2)
        return loom_fail(error, LOOM_INVALID, "%s: %zu example%s; one to learn from and one to hold out are needed",
                         name, set->count, set->count == 1 ? "" : "s");
    set->n_val = (size_t)(val_fraction * (double)set->count);
    set->n_val = set->n_val < 1 ? 1 : set->n_val < set->count ? set->n_val : set->count - 1;
    set->order = calloc(set->count, sizeof *set->order);
    if (!set->order)
        return loom_fail_memory(error, name, set->count * sizeof *set->order);
    for (size_t i = 0; i < set->count; i++)
        set->order[loom_random_permute(stream, i, set->count)] = i;
    loom_status status = pack(set, set->order, set->n_val, &set->val, error);
    return status ? status : pack(set, set->order + set->n_val, set->count - set->n_val, &set->train, error);
}

/* The hash of the hashes of tokens, flags and places. */
static void hash(struct loom_chat_set *set) {
    unsigned char parts[3][LOOM_SHA256_BYTES], whole[LOOM_SHA256_BYTES];
    size_t tokens = set->begins[set->count];
    loom_sha256(set->tokens, tokens * sizeof *set->tokens, parts[0]);
    loom_sha256(set->learned, tokens * sizeof *set->learned, parts[1]);
    loom_sha256(set->begins, (set->count + 1) * sizeof *set->begins, parts[2]);
    loom_sha256(parts, sizeof parts, whole);
    loom_sha256_text(whole, set->sha256);
}

loom_status loom_chat_set_open(struct loom_chat_set *set, const char *const *paths, size_t n_paths,
                               const struct loom_tokenizer *tokenizer, size_t seq_len, double val_fraction,
                               struct loom_error *error) {
    struct reading reading = {.set = set};
    *set = (struct loom_chat_set){.tokenizer = tokenizer, .seq_len = seq_len};
    loom_status status = LOOM_OK;
    for (size_t i = 0; i < n_paths && status == LOOM_OK; i++)
        status = loom_rows_each(paths[i], add_row, &reading, error);
    if (status == LOOM_OK)
        status = arrange(set, n_paths ? paths[0] : "", val_fraction, error);
    if (status == LOOM_OK)
        hash(set);
    else
        loom_chat_set_close(set);
    return status;
}

static void free_packing(struct loom_chat_rows *p) {
    free(p->examples);
    free(p->offsets);
}

void loom_chat_set_close(struct loom_chat_set *set) {
    free(set->tokens);
    free(set->learned);
    free(set->begins);
    free(set->order);
    free_packing(&set->train);
    free_packing(&set->val);
    *set = (struct loom_chat_set){0};
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* Appends one example at place `at` of a row; returns the place behind it. */
static size_t put_example(const struct loom_chat_set *set, size_t example, const struct loom_batch *batch, size_t row,
                          size_t at) {
    size_t base = row * set->seq_len, begin = set->begins[example], count = inputs_of(set, example);
    for (size_t i = 0; i < count; i++) {
        batch->inputs[base + at + i] = set->tokens[begin + i];
        batch->targets[base + at + i] = set->learned[begin + i + 1] ? set->tokens[begin + i + 1] : -1;
        batch->first[base + at + i] = (int)at;
    }
    return at + count;
}

/* What is left of a row predicts nothing; each place sees itself alone. */
static void put_padding(const struct loom_chat_set *set, const struct loom_batch *batch, size_t row, size_t at) {
    for (size_t base = row * set->seq_len; at < set->seq_len; at++) {
        batch->inputs[base + at] = 0;
        batch->targets[base + at] = -1;
        batch->first[base + at] = (int)at;
    }
}

static void put_row(const struct loom_chat_set *set, const struct loom_chat_rows *p, size_t index,
                    const struct loom_batch *batch, size_t row) {
    size_t at = 0;
    for (size_t i = index < p->rows ? p->offsets[index] : 0; index < p->rows && i < p->offsets[index + 1]; i++)
        at = put_example(set, p->examples[i], batch, row, at);
    put_padding(set, batch, row, at);
}

void loom_chat_set_draw(const struct loom_chat_set *set, uint64_t seed, uint64_t sample, size_t rows,
                        const struct loom_batch *batch) {
    for (size_t r = 0; r < rows; r++) {
        uint64_t epoch = (sample + r) / set->train.rows, index = (sample + r) % set->train.rows;
        const struct loom_random stream = {seed, LOOM_RANDOM_CHAT | (epoch + 1) << 8};
        put_row(set, &set->train, (size_t)loom_random_permute(stream, index, set->train.rows), batch, r);
    }
}

void loom_chat_set_example(const struct loom_chat_set *set, size_t index, const struct loom_batch *batch, size_t row) {
    put_padding(set, batch, row, put_example(set, set->order[set->n_val + index], batch, row, 0));
}

size_t loom_chat_set_validation(const struct loom_chat_set *set, size_t index, size_t batch_size,
                                const struct loom_batch *batch) {
    size_t count = 0;
    for (size_t r = 0; r < batch_size; r++)
        put_row(set, &set->val, index * batch_size + r, batch, r);
    for (size_t i = 0; i < batch_size * set->seq_len; i++)
        count += batch->targets[i] >= 0;
    return count;
}
