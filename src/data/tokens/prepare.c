/* prepare.c - text to a token folder, see loom_prepare in loom.h.
 *
 * One pass: documents go through the pipeline, and what comes out is written in order. Where the work stands is kept
 * in the folder's checkpoints, so that a run that was killed goes on; since nothing that is written depends on where
 * checkpoints fell, on threads or on time, the result is the same to the byte. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/pool.h"
#include "data/tokens/preparation.h"

enum { SCAN_BYTES = 1 << 20 };

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static bool has_rows(const struct loom_sources *sources) {
    for (size_t i = 0; i < sources->count; i++)
        if (sources->items[i].format != LOOM_FORMAT_TEXT)
            return true;
    return false;
}

static loom_status choose_split(struct loom_preparation *p, struct loom_error *error) {
    const char *split = p->options->split ? p->options->split : "auto";
    p->by_document = strcmp(split, "document") == 0 || (strcmp(split, "auto") == 0 && has_rows(&p->sources));
    if (p->by_document || strcmp(split, "tail") == 0 || strcmp(split, "auto") == 0)
        return LOOM_OK;
    return loom_fail(error, LOOM_INVALID, "the split must be auto, tail or document, not \"%s\"", split);
}

static loom_status check_options(struct loom_preparation *p, struct loom_error *error) {
    const struct loom_prepare_options *options = p->options;
    p->fraction = options->val_fraction == 0 ? 0.1 : options->val_fraction;
    if (!options->tokenizer || !options->out || !*options->out)
        return loom_fail(error, LOOM_INVALID, "prepare needs a tokenizer and an output folder");
    if (!(p->fraction > 0 && p->fraction < 1))
        return loom_fail(error, LOOM_INVALID, "the validation share must be above 0 and below 1, not %g", p->fraction);
    if (options->shard_tokens > LOOM_SHARD_TOKENS)
        return loom_fail(error, LOOM_INVALID, "a shard holds at most %" PRIu64 " tokens, not %" PRIu64,
                         LOOM_SHARD_TOKENS, options->shard_tokens);
    return loom_tokens_check_free(options->out, error);
}

/* ---- the char tokenizer's characters ----------------------------------------------------------------------------- */

static loom_status add_characters(void *user, int worker, const struct loom_piece *piece, struct loom_item *item,
                                  struct loom_ids *ids, struct loom_error *error) {
    struct loom_characters *characters = user;
    (void)item;
    (void)ids;
    return loom_characters_add(&characters[worker], piece, error);
}

static loom_status put_nothing(void *user, const struct loom_item *item, struct loom_error *error) {
    (void)user;
    bool broken = item->verdict == LOOM_BROKEN || item->verdict == LOOM_BROKEN_SOURCE;
    return broken ? loom_fail(error, LOOM_FAILED, "%s", item->reason) : LOOM_OK;
}

static loom_status ignore_broken(void *user, const struct loom_item *item, struct loom_error *error) {
    (void)user;
    (void)item;
    (void)error;
    return LOOM_OK;
}

static loom_status train_char(struct loom_preparation *p, struct loom_error *error) {
    const size_t words = sizeof(struct loom_characters) / sizeof(uint64_t);
    for (size_t i = 0; i < p->sources.count; i++)
        if (loom_source_is_input(&p->sources.items[i]))
            return loom_fail(error, LOOM_INVALID,
                             "a char tokenizer reads the text twice, and standard input can only be read once");
    struct loom_characters *characters = calloc((size_t)p->threads, sizeof *characters);
    if (!characters)
        return loom_fail_memory(error, "characters", (size_t)p->threads * sizeof *characters);
    struct loom_pipeline pipeline = {.sources = &p->sources,
                                     .read = &p->read,
                                     .threads = p->threads,
                                     .user = characters,
                                     .work = add_characters,
                                     .put = p->options->skip_broken ? ignore_broken : put_nothing};
    loom_status status = loom_reader_open(&p->sources, &p->read, &p->cursor, &pipeline.reader, error);
    if (status == LOOM_OK)
        status = loom_pipeline_run(&pipeline, error);
    loom_reader_free(pipeline.reader);
    for (int worker = 1; worker < p->threads; worker++)
        for (size_t i = 0; i < words; i++)
            characters[0].bits[i] |= characters[worker].bits[i];
    if (status == LOOM_OK)
        status = loom_tokenizer_char(&characters[0], &p->tokenizer, error);
    free(characters);
    return status;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static loom_status open_reader(struct loom_preparation *p, struct loom_error *error) {
    return loom_reader_open(&p->sources, &p->read, &p->cursor, &p->reader, error);
}

/* Opens reader and tokenizer of work that begins; those that take time start side by side. */
static loom_status open_both(struct loom_preparation *p, struct loom_error *error) {
    bool is_char = strcmp(p->options->tokenizer, "char") == 0;
    loom_status status = is_char ? train_char(p, error) : LOOM_OK;
    if (status == LOOM_OK)
        status = open_reader(p, error);
    return status == LOOM_OK && !is_char ? loom_tokenizer_open(p->options->tokenizer, &p->tokenizer, error) : status;
}

/* The same of work that goes on. */
static loom_status open_again(struct loom_preparation *p, const json_t *progress, uint64_t *hashes,
                              struct loom_error *error) {
    loom_status status = loom_preparation_go_on(p, progress, hashes, error);
    return status == LOOM_OK ? open_reader(p, error) : status;
}

static size_t cut(const void *context, const char *data, size_t size) {
    return loom_tokenizer_cut(context, data, size);
}

static loom_status open_encoders(struct loom_preparation *p, struct loom_error *error) {
    loom_status status = LOOM_OK;
    p->read.cut = cut;
    p->read.context = p->tokenizer;
    p->end_of_text = p->options->no_end_of_text ? -1 : loom_tokenizer_end_of_text(p->tokenizer);
    p->encoders = calloc((size_t)p->threads, sizeof *p->encoders);
    if (!p->encoders)
        return loom_fail_memory(error, "encoders", (size_t)p->threads * sizeof *p->encoders);
    for (int i = 0; status == LOOM_OK && i < p->threads; i++)
        status = loom_encoder_open(p->tokenizer, &p->encoders[i], error);
    return status;
}

static loom_status open_hashes(struct loom_preparation *p, uint64_t count, struct loom_error *error) {
    char *path = loom_path_join(loom_tokens_folder(p->writer), LOOM_HASHES_FILE);
    loom_status status =
        path ? loom_hashset_open(&p->seen, path, count, error) : loom_fail_memory(error, LOOM_HASHES_FILE, 0);
    free(path);
    return status;
}

/* Looks through a plain text: whether it can be read to its end, and the hash of its unpacked bytes. */
static loom_status scan_text(const struct loom_preparation *p, struct loom_source *source, struct loom_error *error) {
    struct loom_stream stream = {.descriptor = -1};
    struct loom_digest digest;
    uint64_t offset = 0;
    loom_status status = loom_digest_open(&digest, error);
    if (status == LOOM_OK)
        status = loom_stream_open(&stream, source->path, source->packing, error);
    while (status == LOOM_OK) {
        status = loom_stream_fill(&stream, SCAN_BYTES, error);
        size_t size = stream.size - (stream.ended ? 0 : loom_utf8_unfinished(stream.data, stream.size));
        if (status != LOOM_OK || size == 0)
            break;
        const struct loom_piece piece = {stream.data, size, source->path, offset};
        if (!loom_tokenizer_takes_bytes(p->tokenizer))
            status = loom_piece_check(&piece, error);
        loom_digest_put(&digest, stream.data, size);
        loom_stream_take(&stream, size);
        offset += size;
    }
    loom_digest_finish(&digest, source->content);
    source->has_content = status == LOOM_OK;
    loom_stream_close(&stream);
    loom_digest_close(&digest);
    return status;
}

/* A plain text is one document, and may be longer than memory: whether it is broken or a duplicate must be known before
 * its first token is written. Standard input cannot be looked through. */
static loom_status scan_texts(struct loom_preparation *p, bool fresh, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < p->sources.count; i++) {
        struct loom_source *source = &p->sources.items[i];
        struct loom_error why;
        if (source->format != LOOM_FORMAT_TEXT || loom_source_is_input(source))
            continue;
        status = scan_text(p, source, &why);
        source->left_out = status == LOOM_FAILED && p->options->skip_broken;
        if (source->left_out)
            status = fresh ? loom_preparation_skip(p, why.text, 1, error) : LOOM_OK;
        else if (status != LOOM_OK)
            status = loom_fail(error, status, "%s", why.text);
    }
    return status;
}

/* Everything up to the first record. */
static loom_status begin(struct loom_preparation *p, struct loom_error *error) {
    const struct loom_prepare_options *options = p->options;
    uint64_t hashes = 0, shard_tokens = options->shard_tokens ? options->shard_tokens : LOOM_SHARD_TOKENS;
    loom_status status = loom_tokens_create(options->out, shard_tokens, &p->writer, error);
    if (status != LOOM_OK)
        return status;
    const json_t *progress = loom_tokens_progress(p->writer);
    status = progress ? open_again(p, progress, &hashes, error) : open_both(p, error);
    if (status == LOOM_OK)
        status = loom_tokens_set_tokenizer(p->writer, p->tokenizer, error);
    if (status == LOOM_OK)
        status = open_encoders(p, error);
    if (status == LOOM_OK && options->remove_duplicates)
        status = open_hashes(p, hashes, error);
    if (status == LOOM_OK && (options->remove_duplicates || options->skip_broken))
        status = scan_texts(p, progress == NULL, error);
    return status;
}

static loom_status run(struct loom_preparation *p, struct loom_error *error) {
    const struct loom_pipeline pipeline = {.reader = p->reader,
                                           .sources = &p->sources,
                                           .read = &p->read,
                                           .threads = p->threads,
                                           .user = p,
                                           .work = loom_preparation_encode,
                                           .put = loom_preparation_put,
                                           .tick = loom_preparation_tick};
    p->started = p->saved = loom_clock();
    return loom_pipeline_run(&pipeline, error);
}

/* floor(total * (1 - fraction)), as nanoGPT's int(n * 0.9). The small term is for fractions whose 1 - P rounds down, so
 * that 10 tokens at 0.9 are 1 and 9; it is below the distance of any other product to the next integer. */
static uint64_t train_share(uint64_t total, double fraction) {
    double share = (double)total * (1 - fraction);
    return (uint64_t)floor(share + share * 0x1p-50);
}

static loom_status fail_empty(const struct loom_preparation *p, struct loom_error *error) {
    const struct loom_prepare_result *r = p->result;
    const char *first = json_string_value(json_array_get(p->skipped, 0));
    return loom_fail(error, LOOM_INVALID,
                     "no document is left of %zu source%s (%s%s): %" PRIu64 " filtered, %" PRIu64 " empty, %" PRIu64
                     " skipped%s%s",
                     p->sources.count, p->sources.count == 1 ? "" : "s", loom_source_name(&p->sources.items[0]),
                     p->sources.count == 1 ? "" : ", ...", r->filtered, r->empty, r->skipped,
                     first ? "; the first: " : "", first ? first : "");
}

static loom_status check_splits(const struct loom_preparation *p, struct loom_error *error) {
    const struct loom_prepare_result *r = p->result;
    if (r->train_tokens > 0 && r->val_tokens > 0)
        return LOOM_OK;
    if (r->documents == 0)
        return fail_empty(p, error);
    return loom_fail(error, LOOM_INVALID,
                     "the text has %" PRIu64 " tokens in %" PRIu64
                     " document%s; a validation share of %g by %s splits them into %" PRIu64 " and %" PRIu64
                     ", and neither may be empty%s",
                     r->train_tokens + r->val_tokens, r->documents, r->documents == 1 ? "" : "s", p->fraction,
                     p->by_document ? "document" : "tail", r->train_tokens, r->val_tokens,
                     p->by_document ? "; a split by tail cuts through documents" : "");
}

static loom_status split_off(struct loom_preparation *p, struct loom_error *error) {
    struct loom_prepare_result *r = p->result;
    uint64_t total = loom_tokens_written(p->writer, LOOM_SPLIT_TRAIN);
    r->train_tokens = p->by_document ? total : train_share(total, p->fraction);
    r->val_tokens = p->by_document ? loom_tokens_written(p->writer, LOOM_SPLIT_VAL) : total - r->train_tokens;
    r->vocab_size = loom_tokenizer_vocab_size(p->tokenizer);
    loom_status status = check_splits(p, error);
    return status == LOOM_OK && !p->by_document ? loom_tokens_move_tail(p->writer, r->val_tokens, error) : status;
}

/* The sources with what is known of them when they have been read. */
static json_t *read_sources_json(const struct loom_preparation *p) {
    json_t *list = loom_preparation_sources(p);
    bool whole = list != NULL;
    for (size_t i = 0; whole && i < p->sources.count; i++) {
        const struct loom_source *source = &p->sources.items[i];
        json_t *entry = json_array_get(list, i);
        if (source->sha256[0])
            whole = json_object_set_new(entry, "bytes", json_integer((json_int_t)source->bytes)) == 0 &&
                    json_object_set_new(entry, "sha256", json_string(source->sha256)) == 0;
    }
    if (!whole) {
        json_decref(list);
        return NULL;
    }
    return list;
}

/* The manifest's part about where the tokens come from. */
static json_t *about_json(const struct loom_preparation *p) {
    const struct loom_prepare_result *r = p->result;
    json_t *about = loom_preparation_settings(p);
    json_t *counts =
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:O}", "sources", read_sources_json(p), "filtered",
                  (json_int_t)r->filtered, "empty", (json_int_t)r->empty, "duplicates", (json_int_t)r->duplicates,
                  "skipped", (json_int_t)r->skipped, "skipped_first", p->skipped);
    if (!about || !counts || json_object_update(about, counts) != 0) {
        json_decref(about);
        about = NULL;
    }
    json_decref(counts);
    return about;
}

static loom_status finish(struct loom_preparation *p, struct loom_error *error) {
    json_t *about = about_json(p);
    loom_status status =
        about ? loom_tokens_finish(p->writer, about, error) : loom_fail_memory(error, p->options->out, 0);
    json_decref(about);
    return status;
}

/* What is said about rows must not pass without a word where there are none. */
static loom_status check_rows(const struct loom_preparation *p, struct loom_error *error) {
    const char *asked = p->options->n_filters > 0 ? "filter" : p->options->column ? "column" : NULL;
    if (!asked || has_rows(&p->sources))
        return LOOM_OK;
    return loom_fail(error, LOOM_INVALID, "%s is plain text, which has no rows: the %s means nothing there",
                     loom_source_name(&p->sources.items[0]), asked);
}

static loom_status open_inputs(struct loom_preparation *p, struct loom_error *error) {
    enum loom_format format;
    loom_status status = loom_format_find(p->options->format, &format, error);
    if (status == LOOM_OK)
        status = loom_filter_open(p->options->filters, p->options->n_filters, &p->filter, error);
    if (status == LOOM_OK)
        status = loom_sources_open(p->options->inputs, p->options->n_inputs, format, &p->sources, error);
    if (status == LOOM_OK)
        status = check_rows(p, error);
    return status == LOOM_OK ? choose_split(p, error) : status;
}

static void close_preparation(struct loom_preparation *p) {
    loom_hashset_close(&p->seen);
    loom_tokens_close(p->writer);
    for (int i = 0; p->encoders && i < p->threads; i++)
        loom_encoder_free(p->encoders[i]);
    free(p->encoders);
    loom_reader_free(p->reader);
    loom_tokenizer_free(p->tokenizer);
    loom_sources_free(&p->sources);
    loom_filter_free(&p->filter);
    json_decref(p->skipped);
}

loom_status loom_prepare(const struct loom_prepare_options *options, struct loom_prepare_result *result,
                         struct loom_error *error) {
    struct loom_preparation p = {.options = options, .result = result, .skipped = json_array()};
    p.read = (struct loom_read_options){.column = options->column, .filter = &p.filter};
    p.threads = loom_threads(options->threads);
    *result = (struct loom_prepare_result){.bytes = 0};
    loom_status status = p.skipped ? check_options(&p, error) : loom_fail_memory(error, "prepare", 0);
    if (status == LOOM_OK)
        status = open_inputs(&p, error);
    if (status == LOOM_OK)
        status = begin(&p, error);
    if (status == LOOM_OK)
        status = run(&p, error);
    if (status == LOOM_OK)
        status = split_off(&p, error);
    if (status == LOOM_OK)
        status = finish(&p, error);
    close_preparation(&p);
    return status;
}
