/* pipeline.c - see pipeline.h.
 *
 * Batches go round in a ring. Under one lock each thread chooses what to do next and says when it is done; what it does
 * is outside the lock. No thread waits for another while there is anything to do, and one that waits sleeps, so that
 * the process that reads Parquet has its processor. */
#include "data/source/pipeline.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

enum { BATCH_BYTES = 1 << 20, BATCH_RECORDS = 4096, BATCHES = 4, STRIP_BYTES = 32 << 10, STRIP_RECORDS = 64 };

/* An item, and where its ids lie until the batch is put. */
struct entry {
    struct loom_item item;
    loom_status status; /* of a failure that ends the run */
    int worker;
    size_t first;
    char *reason;
};

struct batch {
    struct loom_text bytes;
    struct entry *entries;     /* (BATCH_RECORDS) */
    size_t count, taken, done; /* records, those that a thread has taken to work on, and those that are ready to put */
    struct loom_ids *ids;      /* (threads) */
    bool last;                 /* nothing follows it */
};

/* What `lock` guards stands below it; a batch belongs to the thread that reads, works on or puts it. */
struct run {
    const struct loom_pipeline *pipeline;
    struct loom_text *scratch; /* (threads) */
    struct batch batches[BATCHES];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n_read, n_put; /* batch i lies at i % BATCHES */
    bool reading, last_read;
    bool tick_due; /* no batch is read until it has been */
    bool over;
    loom_status status;
    struct loom_error error;
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void empty_batch(struct batch *batch, int threads) {
    for (size_t i = 0; i < batch->count; i++)
        free(batch->entries[i].reason);
    for (int i = 0; i < threads; i++)
        batch->ids[i].count = 0;
    batch->count = batch->taken = batch->done = 0;
    batch->bytes.size = 0;
    batch->last = false;
}

/* Keeps the sentence of a failure; without memory for it the run ends. */
static void keep_failure(struct entry *entry, loom_status status, const struct loom_error *error) {
    entry->reason = strdup(error->text);
    entry->status = !entry->reason ? LOOM_NO_MEMORY : status == LOOM_FAILED ? LOOM_OK : status;
    entry->item.reason = entry->reason;
}

/* What cannot be read is an entry like others, so that what was read before it is put first. */
static void note_broken_source(struct run *run, struct entry *entry, loom_status status,
                               const struct loom_error *error) {
    uint64_t bytes;
    entry->item.record = (struct loom_record){.source = loom_reader_source(run->pipeline->reader, &bytes)};
    entry->item.verdict = LOOM_BROKEN_SOURCE;
    keep_failure(entry, status, error);
    entry->item.lost = loom_reader_skip(run->pipeline->reader, &entry->item.behind);
}

static void read_batch(struct run *run, struct batch *batch) {
    empty_batch(batch, run->pipeline->threads);
    while (!batch->last && batch->count < BATCH_RECORDS && batch->bytes.size < BATCH_BYTES) {
        struct entry *entry = &batch->entries[batch->count];
        struct loom_error error;
        *entry = (struct entry){.status = LOOM_OK};
        loom_status status =
            loom_reader_next(run->pipeline->reader, &batch->bytes, &entry->item.record, &batch->last, &error);
        if (status != LOOM_OK)
            note_broken_source(run, entry, status, &error);
        batch->count += !batch->last;
        batch->last = batch->last || entry->status != LOOM_OK;
    }
}

/* ---- working ----------------------------------------------------------------------------------------------------- */

/* A row's sentences tell the row, which the functions that read its text do not know. */
static void name_row(const struct run *run, const struct loom_record *record, struct loom_error *error) {
    size_t size = strlen(error->text);
    if (run->pipeline->sources->items[record->source].format != LOOM_FORMAT_TEXT)
        if (!strstr(error->text, ", row "))
            snprintf(error->text + size, sizeof error->text - size, " (row %" PRIu64 ")", record->row);
}

static void work_on(struct run *run, struct batch *batch, struct entry *entry, int worker) {
    const struct loom_pipeline *pipeline = run->pipeline;
    struct loom_ids *ids = &batch->ids[worker];
    struct loom_item *item = &entry->item;
    struct loom_piece piece;
    struct loom_error error;
    bool taken;
    if (item->verdict == LOOM_BROKEN_SOURCE)
        return;
    entry->worker = worker;
    entry->first = ids->count;
    loom_status status =
        loom_record_text(pipeline->read, pipeline->sources, &item->record, batch->bytes.data + item->record.start,
                         &run->scratch[worker], &piece, &taken, &error);
    item->verdict = taken ? LOOM_TAKEN : LOOM_FILTERED;
    if (status == LOOM_OK && taken) {
        item->bytes = piece.size;
        status = pipeline->work(pipeline->user, worker, &piece, item, ids, &error);
    }
    if (status != LOOM_OK) {
        item->verdict = LOOM_BROKEN;
        name_row(run, &item->record, &error);
        keep_failure(entry, status, &error);
        ids->count = entry->first;
    }
    item->count = ids->count - entry->first;
}

/* ---- putting ----------------------------------------------------------------------------------------------------- */

static loom_status put_batch(const struct loom_pipeline *pipeline, struct batch *batch, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < batch->count; i++) {
        struct entry *entry = &batch->entries[i];
        if (entry->item.count > 0)
            entry->item.ids = batch->ids[entry->worker].data + entry->first;
        if (entry->status != LOOM_OK)
            status = loom_fail(error, entry->status, "%s", entry->reason ? entry->reason : "no memory");
        else
            status = pipeline->put(pipeline->user, &entry->item, error);
    }
    return status;
}

/* ---- what a thread does next; all with the lock held, except for the work itself -------------------------------- */

static struct batch *batch_at(struct run *run, size_t index) {
    return &run->batches[index % BATCHES];
}

static void end_run(struct run *run, loom_status status, const struct loom_error *error) {
    if (run->status == LOOM_OK && status != LOOM_OK) {
        run->status = status;
        run->error = *error;
    }
    run->over = true;
}

/* The caller's thread alone puts and ticks, so that what it watches is called by it. */
static bool put_one(struct run *run, int worker) {
    struct batch *batch = batch_at(run, run->n_put);
    struct loom_error error;
    if (worker != 0 || run->n_put == run->n_read || batch->done < batch->count)
        return false;
    bool last = batch->last;
    pthread_mutex_unlock(&run->lock);
    loom_status status = put_batch(run->pipeline, batch, &error);
    pthread_mutex_lock(&run->lock);
    run->n_put++;
    run->tick_due = run->pipeline->tick != NULL;
    if (status != LOOM_OK || (last && !run->tick_due))
        end_run(run, status, &error);
    return true;
}

/* The reader and the sources are still meanwhile. */
static bool tick_once(struct run *run, int worker) {
    struct loom_error error;
    uint64_t bytes;
    if (worker != 0 || !run->tick_due || run->reading)
        return false;
    pthread_mutex_unlock(&run->lock);
    size_t source = loom_reader_source(run->pipeline->reader, &bytes);
    loom_status status = run->pipeline->tick(run->pipeline->user, source, bytes, &error);
    pthread_mutex_lock(&run->lock);
    run->tick_due = false;
    if (status != LOOM_OK || (run->last_read && run->n_put == run->n_read))
        end_run(run, status, &error);
    return true;
}

static bool read_one(struct run *run) {
    struct batch *batch = batch_at(run, run->n_read);
    if (run->reading || run->last_read || run->tick_due || run->n_read - run->n_put == BATCHES)
        return false;
    run->reading = true;
    pthread_mutex_unlock(&run->lock);
    read_batch(run, batch);
    pthread_mutex_lock(&run->lock);
    run->reading = false;
    run->last_read = batch->last;
    run->n_read++;
    return true;
}

/* Takes some records of the first batch that has any left, and works on them. */
static bool work_some(struct run *run, int worker) {
    struct batch *batch = NULL;
    for (size_t i = run->n_put; !batch && i < run->n_read; i++)
        if (batch_at(run, i)->taken < batch_at(run, i)->count)
            batch = batch_at(run, i);
    if (!batch)
        return false;
    size_t first = batch->taken, end = first, bytes = 0;
    while (end < batch->count && end - first < STRIP_RECORDS && bytes < STRIP_BYTES)
        bytes += batch->entries[end++].item.record.size;
    batch->taken = end;
    pthread_mutex_unlock(&run->lock);
    for (size_t i = first; i < end; i++)
        work_on(run, batch, &batch->entries[i], worker);
    pthread_mutex_lock(&run->lock);
    batch->done += end - first;
    return true;
}

/* Whoever is not the caller's thread reads before it works, so that there is always a batch to work on; the caller's,
 * which has to put, reads when it has nothing else to do. */
static bool do_something(struct run *run, int worker) {
    if (worker != 0)
        return read_one(run) || work_some(run, worker);
    return put_one(run, worker) || tick_once(run, worker) || work_some(run, worker) || read_one(run);
}

static void live(void *job, size_t task, int worker) {
    struct run *run = job;
    (void)task;
    pthread_mutex_lock(&run->lock);
    while (!run->over)
        if (do_something(run, worker))
            pthread_cond_broadcast(&run->changed);
        else
            pthread_cond_wait(&run->changed, &run->lock);
    pthread_mutex_unlock(&run->lock);
}

static loom_status run_threads(struct run *run, struct loom_pool *pool, struct loom_error *error) {
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    loom_pool_run(pool, (size_t)loom_pool_threads(pool), live, run);
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->lock);
    if (run->status != LOOM_OK)
        *error = run->error;
    return run->status;
}

static bool make_batch(struct batch *batch, int threads) {
    batch->entries = calloc(BATCH_RECORDS, sizeof *batch->entries);
    batch->ids = calloc((size_t)threads, sizeof *batch->ids);
    return batch->entries && batch->ids;
}

static void free_batch(struct batch *batch, int threads) {
    if (batch->entries && batch->ids)
        empty_batch(batch, threads);
    for (int i = 0; batch->ids && i < threads; i++)
        free(batch->ids[i].data);
    free(batch->entries);
    free(batch->ids);
    loom_text_free(&batch->bytes);
}

static loom_status run_with(struct run *run, struct loom_pool *pool, struct loom_error *error) {
    const struct loom_pipeline *pipeline = run->pipeline;
    bool whole = pool != NULL;
    run->scratch = calloc((size_t)pipeline->threads, sizeof *run->scratch);
    for (int i = 0; whole && i < BATCHES; i++)
        whole = make_batch(&run->batches[i], pipeline->threads);
    loom_status status = whole && run->scratch ? LOOM_OK : loom_fail_memory(error, "text", BATCH_BYTES);
    if (status == LOOM_OK)
        status = run_threads(run, pool, error);
    return status;
}

loom_status loom_pipeline_run(const struct loom_pipeline *pipeline, struct loom_error *error) {
    struct run run = {.pipeline = pipeline, .status = LOOM_OK};
    struct loom_pool *pool = loom_pool_open(pipeline->threads);
    loom_status status = run_with(&run, pool, error);
    for (int i = 0; i < BATCHES; i++)
        free_batch(&run.batches[i], pipeline->threads);
    for (int i = 0; run.scratch && i < pipeline->threads; i++)
        loom_text_free(&run.scratch[i]);
    free(run.scratch);
    loom_pool_close(pool);
    return status;
}
