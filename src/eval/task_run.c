/* task_run.c - loom_evaluate_task: responses made or read, judged and counted. See loom.h. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/text.h"
#include "data/task/judge.h"
#include "data/task/rows.h"
#include "eval/task_score.h"
#include "generate/session.h"

struct evaluation {
    const struct loom_model *model;
    const struct loom_task_options *options;
    struct loom_task task;
    struct loom_tally *tallies; /* (count) */
    size_t count;               /* problems that are looked at */
    struct loom_sandbox_limits limits;
    int threads;
    struct waiting {
        struct loom_response *items; /* (room): up to where they stop, an own copy */
        char **wholes;               /* (room): as they came */
        size_t count, room;
    } waiting;                 /* responses that are not judged yet */
    struct loom_writer writer; /* stream NULL: nothing is saved */
    struct loom_task_result *result;
};

/* ---- a response -------------------------------------------------------------------------------------------------- */

static loom_status save(struct evaluation *e, const struct loom_problem *p, const char *response,
                        const bool right[LOOM_TASK_METRICS], struct loom_error *error) {
    struct loom_text clean = {0};
    if (!e->writer.stream)
        return LOOM_OK;
    loom_text_put_utf8(&clean, response, strlen(response));
    json_t *line = json_pack("{s:s,s:s,s:s}", "id", p->id, "group", p->group, "response", clean.data ? clean.data : "");
    for (int m = 0; line && e->task.kind->metrics[m]; m++)
        if (json_object_set_new(line, e->task.kind->metrics[m], json_boolean(right[m])))
            clean.failed = true;
    char *text = line && !clean.failed ? loom_json_text(line, JSON_COMPACT) : NULL;
    loom_status status = text ? loom_writer_put(&e->writer, text, strlen(text), error)
                              : loom_fail_memory(error, e->options->save, clean.size);
    if (status == LOOM_OK)
        status = loom_writer_put(&e->writer, "\n", 1, error);
    else if (!text)
        loom_writer_abandon(&e->writer);
    if (status)
        e->writer.stream = NULL; /* it has been abandoned */
    free(text);
    json_decref(line);
    loom_text_free(&clean);
    return status;
}

static void drop_waiting(struct waiting *w) {
    for (size_t i = 0; i < w->count; i++) {
        free((char *)w->items[i].text);
        free(w->wholes[i]);
    }
    w->count = 0;
}

static loom_status count(struct evaluation *e, const struct loom_response *r, const char *whole,
                         struct loom_error *error) {
    struct loom_tally *tally = &e->tallies[r->problem];
    tally->responses++;
    for (int m = 0; m < LOOM_TASK_METRICS; m++)
        tally->right[m] += r->right[m];
    e->result->responses++;
    return save(e, &e->task.problems[r->problem], whole, r->right, error);
}

/* All that wait, counted and saved in the order in which they came. */
static loom_status judge_waiting(struct evaluation *e, struct loom_error *error) {
    struct waiting *w = &e->waiting;
    loom_status status = loom_task_judge(&e->task, w->items, w->count, &e->limits, e->threads, error);
    for (size_t i = 0; i < w->count && status == LOOM_OK; i++)
        status = count(e, &w->items[i], w->wholes[i], error);
    drop_waiting(w);
    return status;
}

static loom_status judge(struct evaluation *e, size_t i, const char *response, struct loom_error *error) {
    struct waiting *w = &e->waiting;
    char *cut = strndup(response, loom_task_cut(e->task.kind, response)), *whole = strdup(response);
    if (!cut || !whole) {
        free(cut);
        free(whole);
        return loom_fail_memory(error, e->task.problems[i].id, strlen(response));
    }
    w->items[w->count] = (struct loom_response){.problem = i, .text = cut};
    w->wholes[w->count++] = whole;
    return w->count == w->room ? judge_waiting(e, error) : LOOM_OK;
}

/* ---- recorded responses ------------------------------------------------------------------------------------------ */

/* The problem that a row answers: by its id, or by its number; SIZE_MAX for none of those looked at. */
static size_t find_problem(const struct evaluation *e, const json_t *row) {
    static const char *const keys[] = {"task_id", "id", "unique_id"};
    const json_t *number = json_object_get(row, "doc_id");
    if (json_is_integer(number))
        return json_integer_value(number) >= 0 && (size_t)json_integer_value(number) < e->count
                   ? (size_t)json_integer_value(number)
                   : SIZE_MAX;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const json_t *id = json_object_get(row, keys[k]);
        char text[32];
        if (json_is_integer(id))
            snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
        const char *name = json_is_integer(id) ? text : json_string_value(id);
        for (size_t i = 0; name && i < e->count; i++)
            if (strcmp(e->task.problems[i].id, name) == 0)
                return i;
    }
    return SIZE_MAX;
}

/* "response", "prediction" or "completion"; or the harness's own "resps", [["..."]]. */
static const char *find_response(const json_t *row) {
    static const char *const keys[] = {"response", "prediction", "completion"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        if (json_is_string(json_object_get(row, keys[k])))
            return json_string_value(json_object_get(row, keys[k]));
    const json_t *inner = json_array_get(json_object_get(row, "resps"), 0);
    return json_string_value(json_is_array(inner) ? json_array_get(inner, 0) : inner);
}

struct predictions {
    struct evaluation *e;
    char *filter; /* the harness writes a row for each of its filters: those of the first are taken */
};

static loom_status judge_row(void *user, json_t *row, const char *name, struct loom_error *error) {
    struct predictions *p = user;
    const char *response = find_response(row), *filter = json_string_value(json_object_get(row, "filter"));
    if (p->e->options->stop && *p->e->options->stop)
        return loom_fail(error, LOOM_STOPPED, "stopped after %zu responses", p->e->result->responses);
    if (!response)
        return loom_fail(error, LOOM_INVALID, "%s: no \"response\", \"prediction\", \"completion\" or \"resps\"", name);
    if (filter && !p->filter && !(p->filter = strdup(filter)))
        return loom_fail_memory(error, name, strlen(filter));
    if (filter && strcmp(filter, p->filter) != 0)
        return LOOM_OK;
    size_t i = find_problem(p->e, row);
    if (i == SIZE_MAX && p->e->count < p->e->task.count)
        return LOOM_OK; /* one beyond the limit */
    if (i == SIZE_MAX)
        return loom_fail(error, LOOM_INVALID, "%s: no \"id\", \"task_id\" or \"doc_id\" of a problem", name);
    loom_status status = judge(p->e, i, response, error);
    if (status == LOOM_OK && p->e->options->on_progress)
        p->e->options->on_progress(p->e->options->user, p->e->result->responses, p->e->count);
    return status;
}

static loom_status judge_predictions(struct evaluation *e, struct loom_error *error) {
    struct predictions p = {.e = e};
    loom_status status = loom_rows_each(e->options->predictions, judge_row, &p, error);
    size_t missing = 0;
    if (status == LOOM_OK)
        status = judge_waiting(e, error);
    for (size_t i = 0; i < e->count; i++)
        missing += e->tallies[i].responses == 0;
    if (status == LOOM_OK && missing > 0)
        status = loom_fail(error, LOOM_INVALID, "%s: %zu of %zu problems have no response", e->options->predictions,
                           missing, e->count);
    free(p.filter);
    return status;
}

/* ---- the model's own responses ----------------------------------------------------------------------------------- */

struct writing {
    const struct evaluation *e;
    struct loom_text text;
    volatile sig_atomic_t end;
};

static void add_token(void *user, int token, const char *bytes, size_t size) {
    struct writing *w = user;
    (void)token;
    loom_text_put(&w->text, bytes, size);
    bool stopped = w->e->options->stop && *w->e->options->stop;
    w->end = stopped || (w->text.data && loom_task_cut(w->e->task.kind, w->text.data) < strlen(w->text.data));
}

static loom_status write_response(struct evaluation *e, const struct loom_problem *p, uint64_t seed,
                                  struct loom_text *response, struct loom_error *error) {
    struct writing w = {.e = e};
    struct loom_generate_result made;
    struct loom_generate_options options = {.prompt = p->prompt,
                                            .chat = e->options->chat,
                                            .max_tokens = e->options->max_tokens ? e->options->max_tokens
                                                                                 : e->task.kind->response_tokens,
                                            .loops = e->options->loops,
                                            .temperature = e->options->temperature,
                                            .has_temperature = true,
                                            .seed = seed,
                                            .stop = &w.end,
                                            .on_token = add_token,
                                            .user = &w};
    loom_status status = loom_generate(e->model, &options, &made, error);
    e->result->tokens += made.completion_tokens;
    status = status == LOOM_STOPPED && !(e->options->stop && *e->options->stop) ? LOOM_OK : status;
    loom_text_put(&w.text, "", 0);
    if (status == LOOM_OK && w.text.failed)
        status = loom_fail_memory(error, p->id, w.text.size);
    *response = w.text;
    return status;
}

/* The log probability of tokens[prompt..count) after tokens[0..prompt), of which at most the context is seen. */
static loom_status weigh(struct loom_session *session, const int *tokens, size_t prompt, size_t count, double *sum,
                         struct loom_error *error) {
    size_t context = session->capacity, start = count > context ? count - context : 0;
    int vocab = session->model->net.config.vocab_size;
    *sum = 0;
    for (size_t i = prompt; i < count; i++) {
        const float *logits;
        loom_status status = loom_session_sync(session, tokens + start, i - start, &logits, error);
        if (status)
            return status;
        *sum += (double)logits[tokens[i]] - loom_readout_log_total(logits, (size_t)vocab);
    }
    return LOOM_OK;
}

/* The likeliest of " A", " B", ... after the prompt. */
static loom_status choose(struct evaluation *e, const struct loom_problem *p, struct loom_session *session,
                          struct loom_text *response, struct loom_error *error) {
    double best = -HUGE_VAL;
    char letter = 'A';
    struct loom_text text = {0};
    loom_status status = LOOM_OK;
    for (int c = 0; c < p->choices && status == LOOM_OK; c++) {
        int *prompt = NULL, *tokens = NULL;
        size_t before = 0, count = 0;
        double sum;
        text.size = 0;
        loom_text_append(&text, "%s %c", p->prompt, 'A' + c);
        if (text.failed)
            return loom_fail_memory(error, p->id, strlen(p->prompt));
        status = loom_tokenizer_encode(e->model->tokenizer, text.data, text.size - 2, &prompt, &before, error);
        if (status == LOOM_OK)
            status = loom_tokenizer_encode(e->model->tokenizer, text.data, text.size, &tokens, &count, error);
        if (status == LOOM_OK)
            status = weigh(session, tokens, before, count, &sum, error);
        if (status == LOOM_OK && sum > best) {
            best = sum;
            letter = (char)('A' + c);
        }
        free(prompt);
        free(tokens);
    }
    loom_text_free(&text);
    loom_text_append(response, "%c", letter);
    return status == LOOM_OK && response->failed ? loom_fail_memory(error, p->id, 1) : status;
}

/* Whether the vocabulary has the prompt's characters; counts a prompt that the context cannot hold. */
static bool readable(struct evaluation *e, const struct loom_problem *p) {
    int *tokens;
    size_t count;
    if (loom_tokenizer_encode(e->model->tokenizer, p->prompt, strlen(p->prompt), &tokens, &count, NULL))
        return false;
    free(tokens);
    e->result->long_prompts += count >= (size_t)e->model->net.config.max_seq_len;
    return true;
}

static loom_status answer_problem(struct evaluation *e, size_t i, struct loom_session *session,
                                  struct loom_error *error) {
    const struct loom_problem *p = &e->task.problems[i];
    int samples = e->options->samples && !p->choices ? e->options->samples : 1;
    bool can = readable(e, p);
    loom_status status = LOOM_OK;
    e->result->unreadable += !can;
    for (int s = 0; s < samples && status == LOOM_OK; s++) {
        struct loom_text response = {0};
        const struct loom_random stream = {e->options->seed, LOOM_RANDOM_SAMPLE};
        uint64_t seed = loom_random_bits(stream, (uint64_t)i << 16 | (uint64_t)s);
        if (can)
            status =
                p->choices ? choose(e, p, session, &response, error) : write_response(e, p, seed, &response, error);
        if (status == LOOM_OK)
            status = judge(e, i, response.data ? response.data : "", error);
        loom_text_free(&response);
    }
    return status;
}

static loom_status answer_all(struct evaluation *e, struct loom_error *error) {
    struct loom_session *session = NULL;
    loom_status status = LOOM_OK;
    if (!e->model->tokenizer)
        return loom_fail(error, LOOM_FAILED, "the model has no " LOOM_TOKENIZER_FILE " to read the problems with");
    status = loom_net_loops(&e->model->net, e->options->loops, &e->result->loops, error);
    if (status == LOOM_OK && e->task.problems[0].choices)
        status = loom_session_open(e->model, e->options->loops, &session, error);
    for (size_t i = 0; i < e->count && status == LOOM_OK; i++) {
        if (e->options->stop && *e->options->stop)
            status = loom_fail(error, LOOM_STOPPED, "stopped after %zu of %zu problems", i, e->count);
        if (status == LOOM_OK)
            status = answer_problem(e, i, session, error);
        if (status == LOOM_OK && e->options->on_progress)
            e->options->on_progress(e->options->user, i + 1, e->count);
    }
    loom_session_free(session);
    return status ? status : judge_waiting(e, error);
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

const char *loom_task_name(size_t index) {
    const struct loom_task_kind *kind = loom_task_kind_at(index);
    return kind ? kind->name : NULL;
}

const char *loom_task_summary(size_t index) {
    const struct loom_task_kind *kind = loom_task_kind_at(index);
    return kind ? kind->summary : NULL;
}

/* Programs are gathered so that threads need not wait for each other's last; anything else is judged as it comes. */
static loom_status open_waiting(struct evaluation *e, struct loom_error *error) {
    struct waiting *w = &e->waiting;
    e->threads = loom_threads(e->options->threads);
    w->room = e->task.problems[0].test ? 8 * (size_t)e->threads : 1;
    w->items = calloc(w->room, sizeof *w->items);
    w->wholes = calloc(w->room, sizeof *w->wholes);
    return w->items && w->wholes ? LOOM_OK : loom_fail_memory(error, "responses", w->room * sizeof *w->items);
}

static loom_status open_evaluation(struct evaluation *e, struct loom_error *error) {
    const struct loom_task_options *o = e->options;
    e->limits = loom_sandbox_default();
    e->limits.seconds = o->seconds > 0 ? o->seconds : e->limits.seconds;
    if (!o->task || !o->data)
        return loom_fail(error, LOOM_INVALID, "a task needs its name and its data");
    if (!o->predictions && !e->model)
        return loom_fail(error, LOOM_INVALID, "a task needs a model to answer, or recorded responses");
    loom_status status = loom_task_open(&e->task, o->task, o->data, o->indices, error);
    if (status == LOOM_OK && o->examples)
        status = loom_task_show(&e->task, o->examples, (size_t)o->shots, error);
    if (status)
        return status;
    e->count = o->limit && o->limit < e->task.count ? o->limit : e->task.count;
    e->result->problems = e->count;
    e->tallies = calloc(e->count, sizeof *e->tallies);
    status = e->tallies ? open_waiting(e, error) : loom_fail_memory(error, o->task, e->count * sizeof *e->tallies);
    if (status)
        return status;
    return o->save ? loom_writer_open(&e->writer, o->save, error) : LOOM_OK;
}

loom_status loom_evaluate_task(const struct loom_model *model, const struct loom_task_options *options,
                               void (*on_row)(void *user, const struct loom_task_row *row), void *user,
                               struct loom_task_result *result, struct loom_error *error) {
    struct evaluation e = {.model = model, .options = options, .result = result};
    *result = (struct loom_task_result){0};
    double begin = loom_clock();
    loom_status status = open_evaluation(&e, error);
    if (status == LOOM_OK)
        status = options->predictions ? judge_predictions(&e, error) : answer_all(&e, error);
    if (e.writer.stream && status == LOOM_OK)
        status = loom_writer_commit(&e.writer, error);
    else if (e.writer.stream)
        loom_writer_abandon(&e.writer);
    result->seconds = loom_clock() - begin;
    if (status == LOOM_OK)
        loom_task_rows(&e.task, e.tallies, e.count, on_row, user);
    drop_waiting(&e.waiting);
    free(e.waiting.items);
    free(e.waiting.wholes);
    free(e.tallies);
    loom_task_close(&e.task);
    return status;
}
