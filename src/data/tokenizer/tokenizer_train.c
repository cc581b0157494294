/* tokenizer_train.c - a byte-level BPE vocabulary for a text; see loom_tokenizer_train in loom.h. Threads count words,
 * and then the merges are found from the counts, so that memory goes with the number of distinct words and the result
 * depends on the text alone. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/pool.h"
#include "base/file.h"
#include "data/tokenizer/bpe_train.h"
#include "data/source/pipeline.h"
#include "data/tokenizer/symbols.h"
#include "data/tokenizer/tokenizer_kinds.h"

enum { BYTES = 256, VOCABULARY_MAX = 1 << 22, SPECIALS_MAX = 1024, PIECE_MAX = 256 /* bytes of a token */ };

static const char end_of_text[] = "<|endoftext|>";

struct training {
    const struct loom_tokenizer_train_options *options;
    struct loom_split split;
    struct loom_word_counts *counts; /* (threads) */
    int threads;
    double begin, told;
    struct loom_tokenizer_train_progress progress;
    struct loom_tokenizer_train_result *result;
};

/* ---- progress ---------------------------------------------------------------------------------------------------- */

/* Tells how far it is, at most ten times a second; false when the caller wants to stop. */
static bool tell(struct training *t) {
    const struct loom_tokenizer_train_options *o = t->options;
    double now = loom_clock();
    t->progress.seconds = now - t->begin;
    if (o->on_progress && now - t->told >= 0.1) {
        t->told = now;
        o->on_progress(o->user, &t->progress);
    }
    return !(o->stop && *o->stop);
}

static bool on_merges(void *user, size_t done, size_t wanted) {
    struct training *t = user;
    t->progress.merges = done;
    t->progress.merges_wanted = wanted;
    return tell(t);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static loom_status count_words(void *user, int worker, const struct loom_piece *piece, struct loom_item *item,
                               struct loom_ids *ids, struct loom_error *error) {
    struct training *t = user;
    (void)item;
    (void)ids;
    loom_status status = loom_piece_check(piece, error);
    if (status != LOOM_OK)
        return status;
    return loom_word_counts_add(&t->counts[worker], &t->split, piece->data, piece->size, error);
}

static loom_status put_item(void *user, const struct loom_item *item, struct loom_error *error) {
    struct training *t = user;
    if (item->verdict == LOOM_BROKEN || item->verdict == LOOM_BROKEN_SOURCE)
        return loom_fail(error, LOOM_FAILED, "%s", item->reason);
    t->progress.bytes += item->bytes;
    t->progress.documents += item->record.ends;
    if (!tell(t))
        return loom_fail(error, LOOM_STOPPED, "stopped after %llu bytes of text",
                         (unsigned long long)t->progress.bytes);
    return LOOM_OK;
}

static size_t cut(const void *context, const char *data, size_t size) {
    return loom_split_cut(context, data, size, size);
}

/* Counts the words of all inputs into counts[0]. */
static loom_status count_all(struct training *t, struct loom_error *error) {
    const struct loom_tokenizer_train_options *o = t->options;
    struct loom_sources sources;
    const struct loom_filter none = {NULL, 0};
    const struct loom_read_options read = {.column = o->column, .filter = &none, .cut = cut, .context = &t->split};
    const struct loom_cursor start = {0, 0, 0};
    struct loom_pipeline pipeline = {
        .sources = &sources, .read = &read, .threads = t->threads, .user = t, .work = count_words, .put = put_item};
    enum loom_format format;
    loom_status status = loom_format_find(o->format, &format, error);
    if (status == LOOM_OK)
        status = loom_sources_open(o->inputs, o->n_inputs, format, &sources, error);
    if (status != LOOM_OK)
        return status;
    status = loom_reader_open(&sources, &read, &start, &pipeline.reader, error);
    if (status == LOOM_OK)
        status = loom_pipeline_run(&pipeline, error);
    for (int i = 1; status == LOOM_OK && i < t->threads; i++)
        status = loom_word_counts_join(&t->counts[0], &t->counts[i], error);
    for (int i = 1; i < t->threads; i++)
        loom_word_counts_free(&t->counts[i]);
    loom_reader_free(pipeline.reader);
    loom_sources_free(&sources);
    return status;
}

/* ---- the tokenizer ----------------------------------------------------------------------------------------------- */

/* Bytes have their ids in the order of their symbols, as in GPT-2's vocabulary. */
static void order_bytes(unsigned char byte_ids[BYTES], char bytes[BYTES]) {
    int next = 0;
    for (uint32_t symbol = 0; next < BYTES; symbol++)
        for (int byte = 0; byte < BYTES; byte++)
            if (loom_byte_symbol((unsigned char)byte) == symbol) {
                bytes[next] = (char)byte;
                byte_ids[byte] = (unsigned char)next++;
            }
}

/* Special tokens: <|endoftext|>, and the caller's; each once. */
static size_t list_specials(const struct loom_tokenizer_train_options *o, struct loom_added_token *specials) {
    size_t count = 0;
    for (size_t i = 0; i <= o->n_special; i++) {
        const char *content = i == 0 ? end_of_text : o->special[i - 1];
        size_t known = 0;
        while (known < count && strcmp(specials[known].content, content) != 0)
            known++;
        if (known == count)
            specials[count++] = (struct loom_added_token){content, strlen(content), 0, true, false};
    }
    return count;
}

/* What the vocabulary is put together from. */
struct assembly {
    struct loom_bpe_parts parts;
    char bytes[BYTES];
    char *made; /* bytes of the tokens of merges */
};

static loom_status add_tokens(struct assembly *a, struct loom_error *error) {
    struct loom_bpe_parts *parts = &a->parts;
    struct loom_token *tokens = parts->tokens;
    size_t used = 0;
    a->made = malloc(parts->n_merges * PIECE_MAX + 1);
    if (!a->made)
        return loom_fail_memory(error, "vocabulary", parts->n_merges * PIECE_MAX);
    for (int i = 0; i < BYTES; i++)
        tokens[i] = (struct loom_token){.id = i, .bytes = &a->bytes[i], .size = 1};
    for (size_t i = 0; i < parts->n_merges; i++) {
        const struct loom_token *left = &tokens[parts->merges[i].left], *right = &tokens[parts->merges[i].right];
        char *bytes = a->made + used;
        memcpy(bytes, left->bytes, left->size);
        memcpy(bytes + left->size, right->bytes, right->size);
        tokens[BYTES + i] = (struct loom_token){.id = BYTES + (int)i, .bytes = bytes, .size = left->size + right->size};
        used += left->size + right->size;
    }
    parts->n_tokens = BYTES + parts->n_merges;
    for (size_t i = 0; i < parts->n_added; i++) {
        struct loom_added_token *special = &parts->added[i];
        special->id = (int)parts->n_tokens;
        tokens[parts->n_tokens++] = (struct loom_token){
            .id = special->id, .bytes = special->content, .size = (uint32_t)special->size, .hidden = true};
    }
    return LOOM_OK;
}

/* Finds the merges and makes the tokenizer of them. */
static loom_status build(struct training *t, struct loom_added_token *specials, size_t n_specials,
                         struct loom_tokenizer **tokenizer, struct loom_error *error) {
    size_t wanted = (size_t)t->options->vocab_size - BYTES - n_specials;
    unsigned char byte_ids[BYTES];
    struct assembly a = {.parts = {.name = "the trained vocabulary", .added = specials, .n_added = n_specials}};
    a.parts.split = t->split;
    a.parts.merges = malloc((wanted + 1) * sizeof *a.parts.merges);
    a.parts.tokens = malloc((size_t)t->options->vocab_size * sizeof *a.parts.tokens);
    order_bytes(byte_ids, a.bytes);
    loom_status status = a.parts.merges && a.parts.tokens
                             ? loom_bpe_train(&t->counts[0], byte_ids, PIECE_MAX, wanted, on_merges, t, a.parts.merges,
                                              &a.parts.n_merges, error)
                             : loom_fail_memory(error, "vocabulary", wanted * sizeof *a.parts.tokens);
    if (status == LOOM_OK)
        status = add_tokens(&a, error);
    if (status == LOOM_OK)
        status = loom_tokenizer_bpe(&a.parts, tokenizer, error);
    t->result->merges = a.parts.n_merges;
    free(a.made);
    free(a.parts.tokens);
    free(a.parts.merges);
    return status;
}

static loom_status write_file(const char *out, const struct loom_tokenizer *tokenizer, struct loom_error *error) {
    size_t size;
    if (loom_path_is_folder(out))
        return loom_tokenizer_save(tokenizer, out, error);
    char *text = loom_tokenizer_text(tokenizer, &size);
    loom_status status = text ? loom_file_replace(out, text, size, error) : loom_fail_memory(error, out, 0);
    free(text);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static loom_status check_options(const struct loom_tokenizer_train_options *o, struct loom_error *error) {
    if (!o->out)
        return loom_fail(error, LOOM_INVALID, "training a tokenizer needs a file to write");
    if (o->n_special > SPECIALS_MAX)
        return loom_fail(error, LOOM_INVALID, "%zu special tokens are too many; at most %d", o->n_special,
                         SPECIALS_MAX);
    for (size_t i = 0; i < o->n_special; i++) {
        size_t size = strlen(o->special[i]);
        if (size < 2 || size > PIECE_MAX || !loom_utf8_check(o->special[i], size, NULL))
            return loom_fail(error, LOOM_INVALID, "the special token \"%.64s\" must be 2 to %d bytes of UTF-8",
                             o->special[i], PIECE_MAX);
    }
    return LOOM_OK;
}

static loom_status train(struct training *t, struct loom_error *error) {
    const struct loom_tokenizer_train_options *o = t->options;
    struct loom_added_token specials[SPECIALS_MAX + 1];
    struct loom_tokenizer *tokenizer = NULL;
    size_t n_specials = list_specials(o, specials);
    int least = BYTES + (int)n_specials;
    if (o->vocab_size < least || o->vocab_size > VOCABULARY_MAX)
        return loom_fail(error, LOOM_INVALID,
                         "the vocabulary's size must be from %d, its %d bytes and %zu special tokens, to %d, not %d",
                         least, BYTES, n_specials, VOCABULARY_MAX, o->vocab_size);
    loom_status status = count_all(t, error);
    if (status == LOOM_OK)
        status = build(t, specials, n_specials, &tokenizer, error);
    if (status == LOOM_OK)
        status = write_file(o->out, tokenizer, error);
    if (status == LOOM_OK)
        t->result->vocab_size = loom_tokenizer_vocab_size(tokenizer);
    loom_tokenizer_free(tokenizer);
    return status;
}

loom_status loom_tokenizer_train(const struct loom_tokenizer_train_options *options,
                                 struct loom_tokenizer_train_result *result, struct loom_error *error) {
    /* GPT-4's pattern, as tokenizers and Llama 3 spell it. */
    struct training t = {.options = options,
                         .split = {LOOM_SPLIT_GPT4, 3, false},
                         .threads = loom_threads(options->threads),
                         .begin = loom_clock(),
                         .result = result};
    *result = (struct loom_tokenizer_train_result){.vocab_size = 0};
    loom_status status = check_options(options, error);
    if (status != LOOM_OK)
        return status;
    t.counts = calloc((size_t)t.threads, sizeof *t.counts);
    if (!t.counts)
        return loom_fail_memory(error, "words", (size_t)t.threads * sizeof *t.counts);
    status = train(&t, error);
    result->bytes = t.progress.bytes;
    result->documents = t.progress.documents;
    result->words = t.counts[0].count;
    result->seconds = loom_clock() - t.begin;
    for (int i = 0; i < t.threads; i++)
        loom_word_counts_free(&t.counts[i]);
    free(t.counts);
    return status;
}
