/* pipeline.c - see pipeline.h. */
#include "data/source/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

enum { BATCH_BYTES = 1 << 20, BATCH_RECORDS = 4096, STAGES = 3 };

/* An item, and where its ids lie until all threads are done. */
struct entry {
    struct loom_item item;
    loom_status status; /* of a failure that ends the run */
    int worker;
    size_t first;
    char *reason;
};

struct batch {
    struct loom_text bytes;
    struct entry *entries; /* (BATCH_RECORDS) */
    size_t count;
    struct loom_ids *ids; /* (threads) */
    bool last;            /* nothing follows it */
};

struct run {
    const struct loom_pipeline *pipeline;
    struct loom_reader *reader;
    struct loom_text *scratch; /* (threads) */
    struct batch batches[STAGES];
    struct batch *reading, *working, *putting; /* this round's; NULL: none */
    loom_status status;                        /* of putting */
    struct loom_error error;
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void empty_batch(struct batch *batch, int threads) {
    for (size_t i = 0; i < batch->count; i++)
        free(batch->entries[i].reason);
    for (int i = 0; i < threads; i++)
        batch->ids[i].count = 0;
    batch->count = 0;
    batch->bytes.size = 0;
    batch->last = false;
}

/* Keeps the sentence of a failure; without memory for it the run ends. */
static void keep_failure(struct entry *entry, loom_status status, const struct loom_error *error) {
    entry->reason = strdup(error->text);
    entry->status = !entry->reason ? LOOM_NO_MEMORY : status == LOOM_FAILED ? LOOM_OK : status;
    entry->item.reason = entry->reason;
}

/* A source that cannot be read any further is an entry like others, so that what was read before it is put first. */
static void note_broken_source(struct run *run, struct entry *entry, loom_status status,
                               const struct loom_error *error) {
    uint64_t bytes;
    entry->item.record = (struct loom_record){.source = loom_reader_source(run->reader, &bytes)};
    entry->item.verdict = LOOM_BROKEN_SOURCE;
    keep_failure(entry, status, error);
    loom_reader_skip(run->reader);
}

static void read_batch(struct run *run, struct batch *batch) {
    empty_batch(batch, run->pipeline->threads);
    while (!batch->last && batch->count < BATCH_RECORDS && batch->bytes.size < BATCH_BYTES) {
        struct entry *entry = &batch->entries[batch->count];
        struct loom_error error;
        *entry = (struct entry){.status = LOOM_OK};
        loom_status status = loom_reader_next(run->reader, &batch->bytes, &entry->item.record, &batch->last, &error);
        if (status != LOOM_OK)
            note_broken_source(run, entry, status, &error);
        batch->count += !batch->last;
        batch->last = batch->last || entry->status != LOOM_OK;
    }
}

/* ---- working ----------------------------------------------------------------------------------------------------- */

/* A row's sentences tell the row, which the functions that read its text do not know. */
static void name_row(const struct loom_record *record, struct loom_error *error) {
    size_t size = strlen(error->text);
    if (record->is_json || (record->begins && record->ends))
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
        name_row(&item->record, &error);
        keep_failure(entry, status, &error);
        ids->count = entry->first;
    }
    item->count = ids->count - entry->first;
}

/* ---- putting ----------------------------------------------------------------------------------------------------- */

static void put_batch(struct run *run, struct batch *batch) {
    for (size_t i = 0; run->status == LOOM_OK && i < batch->count; i++) {
        struct entry *entry = &batch->entries[i];
        if (entry->item.count > 0)
            entry->item.ids = batch->ids[entry->worker].data + entry->first;
        if (entry->status != LOOM_OK)
            run->status = loom_fail(&run->error, entry->status, "%s", entry->reason ? entry->reason : "no memory");
        else
            run->status = run->pipeline->put(run->pipeline->user, &entry->item, &run->error);
    }
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

/* A round's tasks: putting, reading, and then one for each record. */
static void do_task(void *job, size_t task, int worker) {
    struct run *run = job;
    if (task == 0 && run->putting)
        put_batch(run, run->putting);
    else if (task == 1 && run->reading)
        read_batch(run, run->reading);
    else if (task >= 2)
        work_on(run, run->working, &run->working->entries[task - 2], worker);
}

static loom_status report(struct run *run, struct loom_error *error) {
    uint64_t bytes;
    if (run->status != LOOM_OK) {
        *error = run->error;
        return run->status;
    }
    if (!run->pipeline->tick)
        return LOOM_OK;
    size_t source = loom_reader_source(run->reader, &bytes);
    return run->pipeline->tick(run->pipeline->user, source, bytes, error);
}

static loom_status do_rounds(struct run *run, struct loom_pool *pool, struct loom_error *error) {
    loom_status status = LOOM_OK;
    run->reading = &run->batches[0];
    for (size_t round = 0; status == LOOM_OK && (run->reading || run->working || run->putting); round++) {
        loom_pool_run(pool, 2 + (run->working ? run->working->count : 0), do_task, run);
        status = report(run, error);
        run->putting = run->working;
        run->working = run->reading;
        run->reading = run->working && !run->working->last ? &run->batches[(round + 1) % STAGES] : NULL;
    }
    return status;
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
    for (int i = 0; whole && i < STAGES; i++)
        whole = make_batch(&run->batches[i], pipeline->threads);
    loom_status status = whole && run->scratch ? LOOM_OK : loom_fail_memory(error, "text", BATCH_BYTES);
    if (status == LOOM_OK)
        status = loom_reader_open(pipeline->sources, pipeline->read, &pipeline->from, &run->reader, error);
    if (status == LOOM_OK)
        status = do_rounds(run, pool, error);
    return status;
}

loom_status loom_pipeline_run(const struct loom_pipeline *pipeline, struct loom_error *error) {
    struct run run = {.pipeline = pipeline, .status = LOOM_OK};
    struct loom_pool *pool = loom_pool_open(pipeline->threads);
    loom_status status = run_with(&run, pool, error);
    loom_reader_free(run.reader);
    for (int i = 0; i < STAGES; i++)
        free_batch(&run.batches[i], pipeline->threads);
    for (int i = 0; run.scratch && i < pipeline->threads; i++)
        loom_text_free(&run.scratch[i]);
    free(run.scratch);
    loom_pool_close(pool);
    return status;
}
