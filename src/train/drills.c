/* drills.c - see drills.h. */
#include "train/drills.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

/* ---- finding the problems ---------------------------------------------------------------------------------------- */

enum { STEPS_WRITTEN = 2 }; /* digits in front of a record */

/* Folders of old say nothing of what counts. */
static loom_status read_counts(const json_t *drill, const char *path, struct loom_drills *drills,
                               struct loom_error *error) {
    const char *name = json_string_value(json_object_get(drill, "counts"));
    drills->hides = json_is_true(json_object_get(drill, "stepwise"));
    drills->counts = drills->hides ? LOOM_DRILL_LAST : LOOM_DRILL_EACH;
    for (enum loom_drill_counts i = LOOM_DRILL_EACH; name && i <= LOOM_DRILL_ALL; i++)
        if (strcmp(name, loom_drill_counts_name(i)) == 0) {
            drills->counts = i;
            return LOOM_OK;
        }
    return name ? loom_fail(error, LOOM_FAILED, "%s: \"counts\" is none of each, last and all: \"%.32s\"", path, name)
                : LOOM_OK;
}

/* The length of a record, or 0 when the manifest names no drill, and what counts. */
static loom_status read_manifest(const char *folder, struct loom_drills *drills, struct loom_error *error) {
    char *path = loom_path_join(folder, LOOM_MANIFEST_FILE);
    json_t *json = NULL;
    int64_t value = 0;
    loom_status status = path ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder));
    if (path && loom_path_exists(path)) /* random tokens for timing lie in no folder */
        status = loom_json_read(path, &json, error);
    const json_t *drill = json ? json_object_get(json, LOOM_DRILL_KEY) : NULL;
    if (drill)
        status = loom_json_integer(drill, "length", path, 2, 1 << 24, &value, error);
    drills->length = (size_t)value;
    if (drill && status == LOOM_OK)
        status = read_counts(drill, path, drills, error);
    json_decref(json);
    free(path);
    return status;
}

/* The id of one character, which every drill's tokenizer has. */
static loom_status find_id(const struct loom_tokens *tokens, const char *character, int *id, struct loom_error *error) {
    int *ids = NULL;
    size_t count;
    loom_status status = loom_tokenizer_encode(tokens->tokenizer, character, 1, &ids, &count, error);
    if (status == LOOM_OK)
        *id = ids[0];
    free(ids);
    return status;
}

/* The steps in front of a record; 0 when there are none. */
static int steps_of(const int *record, int zero) {
    int tens = record[0] - zero, ones = record[1] - zero; /* ids go with the code points */
    return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? 10 * tens + ones : 0;
}

/* Two passes of a counting sort by steps. */
static loom_status sort_split(struct loom_drills *d, enum loom_split split, int zero, struct loom_error *error) {
    struct loom_drill_split *s = &d->splits[split];
    size_t count = (size_t)(d->tokens->counts[split] / d->length), cursor[LOOM_DRILL_STEPS_MAX + 2];
    s->order = calloc(count + 1, sizeof *s->order);
    if (!s->order)
        return loom_fail_memory(error, "problems", count * sizeof *s->order);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            loom_status status = loom_tokens_get(d->tokens, split, i * d->length, 2, d->record, error);
            if (status)
                return status;
            int steps = steps_of(d->record, zero);
            if (pass == 0)
                s->begin[steps + 1]++;
            else
                s->order[cursor[steps]++] = (uint32_t)i;
        }
        for (int steps = 1; pass == 0 && steps <= LOOM_DRILL_STEPS_MAX + 1; steps++)
            s->begin[steps] += s->begin[steps - 1];
        memcpy(cursor, s->begin, sizeof cursor);
    }
    return LOOM_OK;
}

static void find_range(struct loom_drills *d) {
    for (int steps = 1; steps <= LOOM_DRILL_STEPS_MAX; steps++)
        if (loom_drills_count(d, LOOM_SPLIT_TRAIN, steps) > 0 || loom_drills_count(d, LOOM_SPLIT_VAL, steps) > 0) {
            d->low = d->low ? d->low : steps;
            d->high = steps;
        }
}

loom_status loom_drills_open(struct loom_drills *drills, const char *path, const struct loom_tokens *tokens,
                             struct loom_error *error) {
    int zero = 0;
    *drills = (struct loom_drills){.tokens = tokens};
    loom_status status = read_manifest(path, drills, error);
    if (status || drills->length == 0)
        return status;
    drills->record = calloc(drills->length, sizeof *drills->record);
    if (!drills->record)
        return loom_fail_memory(error, path, drills->length * sizeof *drills->record);
    status = find_id(tokens, "0", &zero, error);
    if (status == LOOM_OK)
        status = find_id(tokens, "=", &drills->equals, error);
    if (status == LOOM_OK)
        status = find_id(tokens, "\n", &drills->newline, error);
    if (status == LOOM_OK)
        status = find_id(tokens, " ", &drills->space, error);
    if (status == LOOM_OK)
        status = find_id(tokens, "#", &drills->mask, error);
    for (enum loom_split split = LOOM_SPLIT_TRAIN; status == LOOM_OK && split < LOOM_SPLITS; split++)
        status = sort_split(drills, split, zero, error);
    find_range(drills);
    return status;
}

void loom_drills_close(struct loom_drills *drills) {
    for (int split = 0; split < LOOM_SPLITS; split++)
        free(drills->splits[split].order);
    free(drills->record);
    *drills = (struct loom_drills){0};
}

size_t loom_drills_count(const struct loom_drills *drills, enum loom_split split, int steps) {
    const size_t *begin = drills->splits[split].begin;
    return begin[steps + 1] - begin[steps];
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* One row: the record without its last token. Behind each "=" the answer's tokens, up to a space or the newline, are
 * targets. A later question must not read the answers of those before it, from which its own is a short way: what a
 * model reads in their place is a "#". An answer of several tokens reads what it has said itself, so only drills with
 * answers of one token ask several questions. */
static size_t fill_row(const struct loom_drills *d, size_t seq, int *inputs, int *targets) {
    size_t count = 0;
    bool answering = false;
    for (size_t i = 0; i < seq; i++) {
        bool inside = i + 1 < d->length, asked = inside && d->record[i] == d->equals;
        int next = inside ? d->record[i + 1] : d->newline;
        bool wanted = (answering || asked) && next != d->newline && next != d->space;
        bool hidden = (answering && next == d->space) || (d->hides && i < STEPS_WRITTEN);
        inputs[i] = !inside ? 0 : hidden ? d->mask : d->record[i];
        targets[i] = wanted ? next : -1;
        count += wanted;
        answering = wanted;
    }
    return count;
}

loom_status loom_drills_get(const struct loom_drills *drills, enum loom_split split, int steps, const size_t *rows,
                            size_t count, size_t seq, const struct loom_batch *batch, size_t *targets,
                            struct loom_error *error) {
    const struct loom_drill_split *s = &drills->splits[split];
    *targets = 0;
    for (size_t row = 0; row < count; row++) {
        uint64_t at = s->order[s->begin[steps] + rows[row]];
        loom_status status =
            loom_tokens_get(drills->tokens, split, at * drills->length, drills->length, drills->record, error);
        if (status)
            return status;
        *targets += fill_row(drills, seq, batch->inputs + row * seq, batch->targets + row * seq);
    }
    return LOOM_OK;
}

/* The one of the numbers of steps up to `most` that the training split has, by a random number; with `half`, half of
 * the time the last. */
static int choose_steps(const struct loom_drills *d, struct loom_random stream, uint64_t micro, int most, bool half) {
    int found[LOOM_DRILL_STEPS_MAX + 1], count = 0;
    for (int steps = d->low; steps <= d->high; steps++)
        if (loom_drills_count(d, LOOM_SPLIT_TRAIN, steps) > 0 && (steps <= most || count == 0))
            found[count++] = steps;
    uint64_t all = (uint64_t)count, drawn = loom_random_below(stream, micro, half ? 2 * all : all);
    return found[drawn < all ? drawn : all - 1];
}

/* Of tokens that are no answers a gate learns one in so many, or answers would be lost among them. */
enum { OTHERS_TAUGHT = 16 };

/* What a gate is to learn in one row, whose answers are no targets from then on when it is for the gate alone. */
static void fill_depths(const struct loom_drill_draw *d, int steps, bool alone, int *targets, int *depths) {
    for (size_t i = 0; i < d->seq; i++) {
        bool asked = targets[i] >= 0, taught = asked || (i + d->micro) % OTHERS_TAUGHT == 0;
        bool hidden = d->whole && i < STEPS_WRITTEN; /* the number of steps has not been read */
        depths[i] = !taught || hidden ? -1 : asked || d->whole ? steps - 1 : 0;
        if (alone)
            targets[i] = -1;
    }
}

/* Row i of the batch: a random problem of so many steps, or for the gate alone of any. */
static loom_status draw_row(const struct loom_drills *drills, const struct loom_drill_draw *d, size_t i, int steps,
                            size_t *targets, struct loom_error *error) {
    const struct loom_random stream = {d->seed, LOOM_RANDOM_BATCH}, choice = {d->seed, LOOM_RANDOM_DRILL};
    const uint64_t number = d->micro * d->rows + i;
    bool alone = d->depths && i >= d->rows - d->rows / 4;
    if (alone)
        steps = choose_steps(drills, choice, ~number, drills->high, false);
    size_t row = loom_random_below(stream, number, loom_drills_count(drills, LOOM_SPLIT_TRAIN, steps));
    size_t at = i * d->seq, some = 0;
    struct loom_batch place = {d->batch->inputs + at, d->batch->targets + at, NULL};
    loom_status status = loom_drills_get(drills, LOOM_SPLIT_TRAIN, steps, &row, 1, d->seq, &place, &some, error);
    if (status == LOOM_OK && d->depths)
        fill_depths(d, steps, alone, place.targets, d->depths + at);
    *targets += alone ? 0 : some;
    return status;
}

loom_status loom_drills_draw(const struct loom_drills *drills, const struct loom_drill_draw *draw, int *steps,
                             size_t *targets, struct loom_error *error) {
    const struct loom_random choice = {draw->seed, LOOM_RANDOM_DRILL};
    loom_status status = LOOM_OK;
    *steps = choose_steps(drills, choice, draw->micro, draw->most, draw->half);
    *targets = 0;
    for (size_t i = 0; status == LOOM_OK && i < draw->rows; i++)
        status = draw_row(drills, draw, i, *steps, targets, error);
    return status;
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

/* One row's answers under the logits (seq, V), all of which count to the loss. */
static void score_row(const real *logits, const int *targets, size_t seq, size_t vocab, enum loom_drill_counts counts,
                      struct loom_drill_score *s) {
    uint64_t asked = 0, answered = 0;
    bool right = true, last = false;
    for (size_t i = 0; i < seq; i++) {
        if (targets[i] < 0)
            continue;
        const real *row = logits + i * vocab;
        size_t best = 0;
        for (size_t v = 1; v < vocab; v++)
            best = row[v] > row[best] ? v : best;
        s->loss += loom_readout_log_total(row, vocab) - (double)row[targets[i]];
        s->targets++;
        right = right && best == (size_t)targets[i];
        if (i + 1 < seq && targets[i + 1] >= 0)
            continue; /* the answer goes on */
        asked++;
        answered += right;
        last = right;
        right = true;
    }
    bool each = counts == LOOM_DRILL_EACH;
    s->problems += each ? asked : 1;
    s->right += each ? answered : counts == LOOM_DRILL_LAST ? last : answered == asked;
}

static loom_status score_batch(const struct loom_drills *d, struct loom_workspace *ws, const struct loom_drill_test *t,
                               size_t first, size_t count, real *host, struct loom_drill_score *score,
                               struct loom_error *error) {
    size_t rows = count * t->seq, vocab = (size_t)ws->net->config.vocab_size, targets;
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        size_t row = first + i, at = i * t->seq;
        struct loom_batch place = {t->scratch->inputs + at, t->scratch->targets + at, NULL};
        status = loom_drills_get(d, LOOM_SPLIT_VAL, t->steps, &row, 1, t->seq, &place, &targets, error);
    }
    if (status)
        return status;
    struct loom_forward f = {.weights = t->weights,
                             .ids = t->scratch->inputs,
                             .batch = count,
                             .seq = t->seq,
                             .loops = t->loops,
                             .cache = t->cache,
                             .exit = t->cache != NULL,
                             .count_loads = true};
    if (t->cache)
        t->cache->length = 0;
    loom_net_forward(ws, &f);
    real *logits = loom_workspace_logits(ws, rows);
    loom_net_logits(ws, t->weights, logits, ws->hidden, rows);
    ws->k->download(ws->k, host, logits, rows * vocab * sizeof *host);
    for (size_t i = 0; t->cache && i < rows; i++)
        score->loops += t->scratch->targets[i] >= 0 ? (uint64_t)ws->exits.depth[i] : 0;
    for (size_t i = 0; i < count; i++)
        score_row(host + i * t->seq * vocab, t->scratch->targets + i * t->seq, t->seq, vocab, d->counts, score);
    return LOOM_OK;
}

loom_status loom_drills_score(const struct loom_drills *drills, struct loom_workspace *ws,
                              const struct loom_drill_test *test, struct loom_drill_score *score,
                              struct loom_error *error) {
    size_t all = loom_drills_count(drills, LOOM_SPLIT_VAL, test->steps);
    size_t wanted = test->limit && test->limit < all ? test->limit : all;
    size_t elements = test->batch * test->seq * (size_t)ws->net->config.vocab_size;
    real *host = calloc(elements, sizeof *host);
    loom_status status = host ? LOOM_OK : loom_fail_memory(error, "scores", elements * sizeof *host);
    *score = (struct loom_drill_score){0};
    for (size_t first = 0; status == LOOM_OK && first < wanted; first += test->batch) {
        size_t count = wanted - first < test->batch ? wanted - first : test->batch;
        if (test->stop && *test->stop)
            status = loom_fail(error, LOOM_STOPPED, "stopped during validation");
        else
            status = score_batch(drills, ws, test, first, count, host, score, error);
    }
    free(host);
    return status;
}
