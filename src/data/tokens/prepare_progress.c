/* prepare_progress.c - where a preparation stands: shown to who watches, kept in checkpoints, and taken up again. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "data/tokens/preparation.h"

static const double checkpoint_pause = 10, progress_pause = 0.1; /* seconds */

/* ---- what is written down ---------------------------------------------------------------------------------------- */

static json_t *strings_json(const char *const *items, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, json_string(items[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

json_t *loom_preparation_settings(const struct loom_preparation *p) {
    const struct loom_prepare_options *options = p->options;
    return json_pack("{s:s, s:s, s:f, s:s, s:o, s:b, s:b}", "tokenizer", options->tokenizer, "split",
                     p->by_document ? "document" : "tail", "val_fraction", p->fraction, "column",
                     p->read.column ? p->read.column : "text", "filters",
                     strings_json(options->filters, options->n_filters), "duplicates_removed",
                     options->remove_duplicates, "end_of_text", !options->no_end_of_text);
}

/* Standard input has no size before it is read. */
static json_t *source_json(const struct loom_source *source) {
    json_t *entry = json_pack("{s:s, s:s}", "path", source->path, "format", loom_format_names[source->format]);
    bool sized = source->bytes > 0 && strcmp(source->path, "-") != 0;
    if (entry && sized && json_object_set_new(entry, "bytes", json_integer((json_int_t)source->bytes)) != 0) {
        json_decref(entry);
        return NULL;
    }
    return entry;
}

json_t *loom_preparation_sources(const struct loom_preparation *p) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < p->sources.count; i++)
        if (json_array_append_new(list, source_json(&p->sources.items[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *hashes_json(const struct loom_preparation *p) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < p->cursor.source && i < p->sources.count; i++)
        if (json_array_append_new(list, json_string(p->sources.items[i].sha256)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *progress_json(const struct loom_preparation *p) {
    const struct loom_prepare_result *r = p->result;
    return json_pack("{s:o, s:o, s:o, s:O, s:[I,I,I], s:i, s:b, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I}}", "settings",
                     loom_preparation_settings(p), "sources", loom_preparation_sources(p), "sha256", hashes_json(p),
                     "skipped", p->skipped, "cursor", (json_int_t)p->cursor.source, (json_int_t)p->cursor.row,
                     (json_int_t)p->cursor.offset, "document_split", (int)p->split, "dropping", p->dropping, "hashes",
                     (json_int_t)p->seen.count, "counts", "bytes", (json_int_t)r->bytes, "documents",
                     (json_int_t)r->documents, "skipped", (json_int_t)r->skipped, "filtered", (json_int_t)r->filtered,
                     "empty", (json_int_t)r->empty, "duplicates", (json_int_t)r->duplicates);
}

static loom_status save(struct loom_preparation *p, struct loom_error *error) {
    loom_status status = p->options->remove_duplicates ? loom_hashset_sync(&p->seen, error) : LOOM_OK;
    p->saved = loom_clock();
    return status == LOOM_OK ? loom_tokens_checkpoint(p->writer, progress_json(p), error) : status;
}

/* How much of the stored bytes has been read, as a share; NAN where their number is not known. */
static double share_read(const struct loom_preparation *p, size_t source, uint64_t bytes) {
    uint64_t total = 0, done = bytes;
    for (size_t i = 0; i < p->sources.count; i++) {
        total += p->sources.items[i].bytes;
        done += i < source ? p->sources.items[i].bytes : 0;
    }
    return total ? fmin(1, (double)done / (double)total) : (double)NAN;
}

/* What this run has read tells the rate, not what an earlier one had, which it must first read past. */
static void show(struct loom_preparation *p, size_t source, uint64_t bytes) {
    double now = loom_clock(), share = share_read(p, source, bytes), seconds = now - p->started;
    if (p->shown == 0 && p->result->resumed) {
        p->first_share = share;
        p->first_bytes = p->result->bytes;
    }
    if (!p->options->on_progress || now - p->shown < progress_pause)
        return;
    p->shown = now;
    const struct loom_prepare_progress progress = {
        .documents = p->result->documents,
        .bytes = p->result->bytes,
        .tokens = loom_tokens_written(p->writer, LOOM_SPLIT_TRAIN) + loom_tokens_written(p->writer, LOOM_SPLIT_VAL),
        .seconds = seconds,
        .share = share,
        .seconds_left = share > p->first_share ? seconds * (1 - share) / (share - p->first_share) : (double)NAN,
        .bytes_per_second = seconds > 0 ? (double)(p->result->bytes - p->first_bytes) / seconds : 0,
        .source = source < p->sources.count ? loom_source_name(&p->sources.items[source]) : NULL,
        .sources = p->sources.count,
        .source_index = source};
    p->options->on_progress(p->options->user, &progress);
}

loom_status loom_preparation_tick(void *user, size_t source, uint64_t bytes, struct loom_error *error) {
    struct loom_preparation *p = user;
    bool stop = p->options->stop && *p->options->stop;
    double pause = p->options->checkpoint_seconds > 0 ? p->options->checkpoint_seconds : checkpoint_pause;
    loom_status status = stop || loom_clock() - p->saved >= pause ? save(p, error) : LOOM_OK;
    show(p, source, bytes);
    if (status == LOOM_OK && stop)
        status = loom_fail(error, LOOM_STOPPED,
                           "stopped after %" PRIu64 " documents, which are kept in %s; the same command goes on",
                           p->result->documents, loom_tokens_folder(p->writer));
    return status;
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

/* The first key in which the unfinished work differs from what is asked now. */
static const char *find_difference(const json_t *before, json_t *now) {
    const char *key;
    json_t *value;
    json_object_foreach(now, key, value) {
        if (!json_equal(value, json_object_get(before, key)))
            return key;
    }
    return NULL;
}

static loom_status check_same_work(const struct loom_preparation *p, const json_t *progress, struct loom_error *error) {
    json_t *settings = loom_preparation_settings(p), *sources = loom_preparation_sources(p);
    loom_status status = settings && sources ? LOOM_OK : loom_fail_memory(error, p->options->out, 0);
    const char *differs = NULL;
    if (status == LOOM_OK) {
        differs = find_difference(json_object_get(progress, "settings"), settings);
        if (!differs && !json_equal(sources, json_object_get(progress, "sources")))
            differs = "sources";
    }
    if (differs)
        status = loom_fail(error, LOOM_INVALID,
                           "%s holds unfinished work with other %s; go on with the same command, or remove the folder",
                           loom_tokens_folder(p->writer), differs);
    json_decref(settings);
    json_decref(sources);
    return status;
}

/* Reads the counts at `items`, (name, place) pairs, out of a JSON object. */
struct count_key {
    const char *name;
    uint64_t *place;
};

static loom_status read_counts(const json_t *json, const char *name, const struct count_key *keys, size_t count,
                               struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < count; i++)
        status = loom_json_count(json, keys[i].name, name, keys[i].place, error);
    return status;
}

static loom_status read_cursor(struct loom_preparation *p, const json_t *progress, const char *name,
                               struct loom_error *error) {
    const json_t *cursor = json_object_get(progress, "cursor"), *skipped = json_object_get(progress, "skipped");
    json_int_t source = json_integer_value(json_array_get(cursor, 0)),
               row = json_integer_value(json_array_get(cursor, 1)),
               offset = json_integer_value(json_array_get(cursor, 2));
    if (json_array_size(cursor) != 3 || source < 0 || (size_t)source > p->sources.count || row < 0 || offset < 0 ||
        !json_is_array(skipped))
        return loom_fail(error, LOOM_FAILED, "%s does not say where the work stands; remove the folder", name);
    p->cursor = (struct loom_cursor){(size_t)source, (uint64_t)row, (uint64_t)offset};
    p->split = json_integer_value(json_object_get(progress, "document_split")) == LOOM_SPLIT_VAL ? LOOM_SPLIT_VAL
                                                                                                 : LOOM_SPLIT_TRAIN;
    p->dropping = json_is_true(json_object_get(progress, "dropping"));
    json_decref(p->skipped);
    p->skipped = json_deep_copy(skipped);
    return p->skipped ? LOOM_OK : loom_fail_memory(error, name, 0);
}

static void read_hashes(struct loom_preparation *p, const json_t *progress) {
    size_t index;
    json_t *value;
    json_array_foreach(json_object_get(progress, "sha256"), index, value) {
        const char *hash = json_string_value(value);
        if (index < p->sources.count && hash && strlen(hash) < sizeof p->sources.items[index].sha256)
            strcpy(p->sources.items[index].sha256, hash);
    }
}

loom_status loom_preparation_go_on(struct loom_preparation *p, const json_t *progress, uint64_t *hashes,
                                   struct loom_error *error) {
    struct loom_prepare_result *r = p->result;
    const struct count_key counts[] = {{"bytes", &r->bytes},     {"documents", &r->documents},
                                       {"skipped", &r->skipped}, {"filtered", &r->filtered},
                                       {"empty", &r->empty},     {"duplicates", &r->duplicates}};
    const struct count_key seen = {"hashes", hashes};
    const char *name = loom_tokens_folder(p->writer);
    loom_status status = check_same_work(p, progress, error);
    if (status == LOOM_OK)
        status = read_cursor(p, progress, name, error);
    if (status == LOOM_OK)
        status = read_counts(json_object_get(progress, "counts"), name, counts, sizeof counts / sizeof *counts, error);
    if (status == LOOM_OK)
        status = read_counts(progress, name, &seen, 1, error);
    if (status != LOOM_OK)
        return status;
    read_hashes(p, progress);
    r->resumed = true;
    return loom_tokenizer_open(name, &p->tokenizer, error);
}
