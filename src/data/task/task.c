/* task.c - files of problems. See task.h. */
#include "data/task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#include "base/file.h"
#include "base/grow.h"
#include "data/source/source.h"
#include "data/task/rows.h"

struct reading {
    struct loom_task *task;
    char *group, *preface; /* of the file at hand; preface may be NULL */
    size_t row;            /* counted from 0 */
    size_t *place;         /* (rows) 1 + where a row belongs, 0: nowhere; NULL: all rows in their order */
    size_t rows;
};

/* ---- one problem ------------------------------------------------------------------------------------------------- */

static struct loom_problem *grow(struct loom_task *task) {
    struct loom_problem *problems = loom_grow(task->problems, &task->capacity, task->count + 1, sizeof *problems);
    if (!problems)
        return NULL;
    task->problems = problems;
    task->problems[task->count] = (struct loom_problem){0};
    return &task->problems[task->count++];
}

/* The row's own name, or its number among those taken. */
static char *name_of(const json_t *row, size_t number) {
    static const char *const keys[] = {"task_id", "id", "unique_id"};
    char text[32];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *value = json_object_get(row, keys[i]);
        if (json_is_string(value))
            return strdup(json_string_value(value));
        if (json_is_integer(value)) {
            snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
            return strdup(text);
        }
    }
    snprintf(text, sizeof text, "%zu", number);
    return strdup(text);
}

static loom_status add_row(void *user, json_t *row, const char *name, struct loom_error *error) {
    struct reading *r = user;
    size_t at = r->row++;
    if (r->place && (at >= r->rows || !r->place[at]))
        return LOOM_OK;
    size_t number = r->place ? r->place[at] - 1 : r->task->count;
    struct loom_problem *problem = grow(r->task);
    if (!problem)
        return loom_fail_memory(error, name, sizeof *problem);
    problem->place = number;
    problem->id = name_of(row, number);
    problem->group = strdup(r->group);
    if (!problem->id || !problem->group)
        return loom_fail_memory(error, name, 1);
    return r->task->kind->read(row, name, r->preface, problem, error);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* The length of the name of a file of rows without .json or .jsonl and what says how it is packed; 0: it is none. */
static size_t stem_of(const char *name) {
    static const char *const endings[] = {".json", ".jsonl"};
    size_t length = strlen(name);
    loom_packing_of(name, &length);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t size = strlen(endings[i]);
        if (length > size && strncmp(name + length - size, endings[i], size) == 0)
            return length - size;
    }
    return 0;
}

/* A text of worked examples: what is behind a line of dashes, or all of it, with an empty line before the question. */
static loom_status read_worked(const char *path, char **worked, struct loom_error *error) {
    char *text;
    size_t size;
    loom_status status = loom_file_read(path, 1 << 20, &text, &size, error);
    if (status)
        return status;
    const char *mark = strstr(text, "-----\n"), *start = mark ? mark + 6 : text;
    *worked = malloc(strlen(start) + 3);
    if (*worked)
        strcat(strcpy(*worked, start), "\n\n");
    free(text);
    return *worked ? LOOM_OK : loom_fail_memory(error, path, size);
}

/* X.txt beside the file of rows X, if this kind of task has it. */
static loom_status read_preface(struct reading *r, const char *path, struct loom_error *error) {
    size_t stem = stem_of(path);
    char *beside = malloc(stem + sizeof ".txt");
    loom_status status = beside ? LOOM_OK : loom_fail_memory(error, path, strlen(path));
    if (beside) {
        memcpy(beside, path, stem);
        strcpy(beside + stem, ".txt");
    }
    if (beside && r->task->kind->beside && stem > 0 && loom_path_exists(beside))
        status = read_worked(beside, &r->preface, error);
    free(beside);
    return status;
}

/* The file's name without folder and kind. */
static char *group_of(const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    return strndup(base, strcspn(base, "."));
}

static loom_status read_file(struct reading *r, const char *path, struct loom_error *error) {
    r->group = group_of(path);
    r->preface = NULL;
    r->row = 0;
    loom_status status = r->group ? read_preface(r, path, error) : loom_fail_memory(error, path, strlen(path));
    if (status == LOOM_OK)
        status = loom_rows_each(path, add_row, r, error);
    free(r->group);
    free(r->preface);
    return status;
}

static loom_status read_folder(struct reading *r, const char *folder, struct loom_error *error) {
    char **names;
    size_t count;
    loom_status status = loom_folder_list(folder, &names, &count, error);
    if (status)
        return status;
    for (size_t i = 0; i < count && status == LOOM_OK; i++) {
        if (stem_of(names[i]) == 0)
            continue;
        char *path = loom_path_join(folder, names[i]);
        status = path ? read_file(r, path, error) : loom_fail_memory(error, folder, strlen(folder));
        free(path);
    }
    loom_names_free(names, count);
    return status;
}

static loom_status read_indices(struct reading *r, const char *path, struct loom_error *error) {
    json_t *list;
    loom_status status = loom_json_read(path, &list, error);
    if (status)
        return status;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t value = json_integer_value(json_array_get(list, i));
        if (!json_is_integer(json_array_get(list, i)) || value < 0 || value > 1 << 30)
            status = loom_fail(error, LOOM_INVALID, "%s: entry %zu is no row number", path, i);
        else if ((size_t)value >= r->rows)
            r->rows = (size_t)value + 1;
    }
    if (status == LOOM_OK && !json_is_array(list))
        status = loom_fail(error, LOOM_INVALID, "%s: not an array of row numbers", path);
    if (status == LOOM_OK && !(r->place = calloc(r->rows + 1, sizeof *r->place)))
        status = loom_fail_memory(error, path, r->rows);
    for (size_t i = 0; status == LOOM_OK && i < json_array_size(list); i++)
        r->place[json_integer_value(json_array_get(list, i))] = i + 1;
    json_decref(list);
    return status;
}

static int by_place(const void *a, const void *b) {
    size_t x = ((const struct loom_problem *)a)->place, y = ((const struct loom_problem *)b)->place;
    return (x > y) - (x < y);
}

loom_status loom_task_open(struct loom_task *task, const char *name, const char *path, const char *indices,
                           struct loom_error *error) {
    struct reading reading = {.task = task};
    *task = (struct loom_task){0};
    loom_status status = loom_task_kind_find(name, &task->kind, error);
    if (status == LOOM_OK && indices && loom_path_is_folder(path))
        status = loom_fail(error, LOOM_INVALID, "%s: row numbers are of one file, not of a folder", path);
    if (status == LOOM_OK && indices)
        status = read_indices(&reading, indices, error);
    if (status == LOOM_OK)
        status = loom_path_is_folder(path) ? read_folder(&reading, path, error) : read_file(&reading, path, error);
    if (reading.place && task->count > 1)
        qsort(task->problems, task->count, sizeof *task->problems, by_place);
    if (status == LOOM_OK && task->count == 0)
        status = loom_fail(error, LOOM_INVALID, "%s: there is no problem of task %s in it", path, name);
    free(reading.place);
    if (status)
        loom_task_close(task);
    return status;
}

static loom_status put_worked(const struct loom_task *examples, const char *path, size_t count, struct loom_text *text,
                              struct loom_error *error) {
    if (examples->count < count)
        return loom_fail(error, LOOM_INVALID, "%s: %zu problems, fewer than the %zu examples asked for", path,
                         examples->count, count);
    for (size_t i = 0; i < count; i++) {
        const struct loom_problem *p = &examples->problems[i];
        if (!p->worked)
            return loom_fail(error, LOOM_INVALID, "%s: problem %s of task %s has no answer to show", path, p->id,
                             examples->kind->name);
        loom_text_append(text, "%s%s\n\n", p->prompt, p->worked);
    }
    return text->failed ? loom_fail_memory(error, path, count) : LOOM_OK;
}

static loom_status put_before(struct loom_problem *p, const char *shown, struct loom_error *error) {
    struct loom_text prompt = {0};
    loom_text_append(&prompt, "%s%s", shown, p->prompt);
    if (prompt.failed) {
        loom_text_free(&prompt);
        return loom_fail_memory(error, p->id, strlen(shown));
    }
    free(p->prompt);
    p->prompt = prompt.data;
    return LOOM_OK;
}

static loom_status show_rows(const struct loom_task *task, const char *path, size_t count, struct loom_text *shown,
                             struct loom_error *error) {
    struct loom_task examples;
    loom_status status = loom_task_open(&examples, task->kind->name, path, NULL, error);
    if (status)
        return status;
    status = put_worked(&examples, path, count, shown, error);
    loom_task_close(&examples);
    return status;
}

static loom_status show_text(const char *path, struct loom_text *shown, struct loom_error *error) {
    char *worked;
    if (stem_of(path) > 0)
        return loom_fail(error, LOOM_INVALID, "%s: of rows it must be said how many go before each prompt", path);
    loom_status status = read_worked(path, &worked, error);
    if (status)
        return status;
    loom_text_append(shown, "%s", worked);
    free(worked);
    return shown->failed ? loom_fail_memory(error, path, shown->size) : LOOM_OK;
}

loom_status loom_task_show(struct loom_task *task, const char *path, size_t count, struct loom_error *error) {
    struct loom_text shown = {0};
    loom_status status = count ? show_rows(task, path, count, &shown, error) : show_text(path, &shown, error);
    for (size_t i = 0; i < task->count && status == LOOM_OK; i++)
        status = put_before(&task->problems[i], shown.data ? shown.data : "", error);
    loom_text_free(&shown);
    return status;
}

void loom_task_close(struct loom_task *task) {
    for (size_t i = 0; i < task->count; i++) {
        struct loom_problem *p = &task->problems[i];
        free(p->id);
        free(p->group);
        free(p->prompt);
        free(p->answer);
        free(p->test);
        free(p->worked);
    }
    free(task->problems);
    *task = (struct loom_task){0};
}

loom_status loom_task_hash(const struct loom_task *task, char text[LOOM_SHA256_TEXT], struct loom_error *error) {
    struct loom_digest digest;
    loom_status status = loom_digest_open(&digest, error);
    for (size_t i = 0; i < task->count && status == LOOM_OK; i++) {
        const struct loom_problem *p = &task->problems[i];
        const char *const parts[] = {p->id, p->group, p->prompt, p->answer, p->test ? p->test : ""};
        for (size_t j = 0; j < sizeof parts / sizeof parts[0]; j++)
            loom_digest_put(&digest, parts[j], strlen(parts[j]) + 1); /* their ends are hashed too */
    }
    if (status == LOOM_OK)
        loom_digest_text(&digest, text);
    loom_digest_close(&digest);
    return status;
}

size_t loom_task_cut(const struct loom_task_kind *kind, const char *response) {
    size_t size = strlen(response);
    for (const char *const *stop = kind->stops; *stop; stop++) {
        const char *found = strstr(response, *stop);
        if (found && (size_t)(found - response) < size)
            size = (size_t)(found - response);
    }
    return size;
}
