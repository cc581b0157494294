/* prepare_put.c - documents to tokens: what each thread does with a text, and what is written of it, in order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokens/preparation.h"

enum { HEAD_BYTES = 512, SKIPPED_SHOWN = 100 };

/* The first bytes of SHA-256 as a number. */
static uint64_t hash_number(const void *data, size_t size) {
    unsigned char hash[LOOM_SHA256_BYTES];
    uint64_t number = 0;
    loom_sha256(data, size, hash);
    for (int i = 0; i < 8; i++)
        number = number << 8 | hash[i];
    return number;
}

loom_status loom_preparation_encode(void *user, int worker, const struct loom_piece *piece, struct loom_item *item,
                                    struct loom_ids *ids, struct loom_error *error) {
    const struct loom_preparation *p = user;
    const struct loom_record *record = &item->record;
    if (record->begins)
        item->head = hash_number(piece->data, piece->size < HEAD_BYTES ? piece->size : HEAD_BYTES);
    if (record->begins && record->ends && p->options->remove_duplicates)
        loom_sha256(piece->data, piece->size, item->content);
    return loom_encoder_put_valid(p->encoders[worker], piece, ids, error);
}

loom_status loom_preparation_skip(struct loom_preparation *p, const char *reason, uint64_t rows,
                                  struct loom_error *error) {
    if (!p->options->skip_broken)
        return loom_fail(error, LOOM_FAILED, "%s", reason);
    p->result->skipped += rows;
    if (json_array_size(p->skipped) < SKIPPED_SHOWN && json_array_append_new(p->skipped, json_string(reason)) != 0)
        return loom_fail_memory(error, "skipped rows", strlen(reason));
    return LOOM_OK;
}

/* A document is of the validation split by its own first bytes: adding other documents moves none, and texts that begin
 * alike stay together. */
static enum loom_split split_of(const struct loom_preparation *p, const struct loom_item *item) {
    bool is_val = p->by_document && (double)item->head < p->fraction * 0x1p64;
    return is_val ? LOOM_SPLIT_VAL : LOOM_SPLIT_TRAIN;
}

/* Looks at a document that begins: it may be one to leave out. */
static loom_status begin_document(struct loom_preparation *p, const struct loom_item *item, struct loom_error *error) {
    const struct loom_source *source = &p->sources.items[item->record.source];
    bool empty = item->record.ends && item->bytes == 0, fresh = true;
    loom_status status = LOOM_OK;
    if (!empty && p->options->remove_duplicates)
        status = loom_hashset_add(&p->seen, source->has_content ? source->content : item->content, &fresh, error);
    p->result->empty += empty;
    p->result->duplicates += !fresh;
    p->dropping = empty || !fresh;
    p->split = split_of(p, item);
    return status == LOOM_OK && !p->dropping ? loom_tokens_begin(p->writer, p->split, error) : status;
}

static loom_status put_text(struct loom_preparation *p, const struct loom_item *item, struct loom_error *error) {
    loom_status status = item->record.begins ? begin_document(p, item, error) : LOOM_OK;
    if (status != LOOM_OK || p->dropping)
        return status;
    p->result->bytes += item->bytes;
    p->result->documents += item->record.ends;
    status = loom_tokens_put(p->writer, p->split, item->ids, item->count, item->bytes, error);
    if (status == LOOM_OK && item->record.ends && p->end_of_text >= 0)
        status = loom_tokens_put(p->writer, p->split, &p->end_of_text, 1, 0, error);
    return status;
}

/* A row can be left out, and the rest of a source of rows. A part of a plain text cannot: what stands before it has
 * been written. Files are looked through beforehand for that. */
static loom_status put_broken(struct loom_preparation *p, const struct loom_item *item, struct loom_error *error) {
    bool is_part =
        p->sources.items[item->record.source].format == LOOM_FORMAT_TEXT && !(item->record.begins && item->record.ends);
    uint64_t rows = item->verdict == LOOM_BROKEN_SOURCE ? item->lost : 1;
    return is_part ? loom_fail(error, LOOM_FAILED, "%s", item->reason)
                   : loom_preparation_skip(p, item->reason, rows, error);
}

static void advance(struct loom_cursor *cursor, const struct loom_item *item) {
    const struct loom_record *record = &item->record;
    if (item->verdict == LOOM_BROKEN_SOURCE)
        *cursor = item->behind;
    else if (record->begins && record->ends)
        *cursor = (struct loom_cursor){record->source, record->row, record->size};
    else
        *cursor = (struct loom_cursor){record->source, record->ends, record->offset + record->size};
}

loom_status loom_preparation_put(void *user, const struct loom_item *item, struct loom_error *error) {
    struct loom_preparation *p = user;
    loom_status status = LOOM_OK;
    p->result->filtered += item->record.filtered + (item->verdict == LOOM_FILTERED && !item->record.is_end);
    if (item->verdict == LOOM_TAKEN)
        status = put_text(p, item, error);
    else if (item->verdict != LOOM_FILTERED)
        status = put_broken(p, item, error);
    advance(&p->cursor, item);
    return status;
}
