/* task.h - published tasks with answers to check: their files read, their prompts put together, an answer judged. */
#ifndef LOOM_DATA_TASK_H
#define LOOM_DATA_TASK_H

#include "base/digest.h"
#include "base/json.h"
#include "base/sandbox.h"

enum { LOOM_TASK_METRICS = 2, LOOM_TASK_STOPS = 6 };

struct loom_problem {
    char *id, *group, *prompt, *answer;
    char *test;   /* of a programming task: what follows the response in the program, NULL otherwise */
    char *worked; /* what follows the prompt where the problem is a worked example; NULL where it cannot be one */
    int choices;  /* of a multiple choice: how many letters there are; 0 otherwise */
    size_t place; /* in the order of the file, or of the indices */
};

struct loom_task_kind {
    const char *name, *summary;
    /* Puts one row of a file into a problem, whose id and group are filled already. */
    loom_status (*read)(const json_t *row, const char *name, const char *preface, struct loom_problem *problem,
                        struct loom_error *error);
    /* Whether a response is right, by each metric. LOOM_OK says that it could be judged. */
    loom_status (*judge)(const struct loom_problem *problem, const char *response,
                         const struct loom_sandbox_limits *limits, bool right[LOOM_TASK_METRICS],
                         struct loom_error *error);
    const char *metrics[LOOM_TASK_METRICS + 1]; /* their names, NULL at the end */
    const char *stops[LOOM_TASK_STOPS];         /* a response ends before any of these; NULL at the end */
    int response_tokens;                        /* the longest response asked for by default */
    bool beside;                                /* a file of rows X.json has its worked examples beside it, in X.txt */
};

struct loom_task {
    const struct loom_task_kind *kind;
    struct loom_problem *problems;
    size_t count, capacity;
};

/* The kinds by index, NULL beyond the last; by name, LOOM_INVALID when there is none. */
const struct loom_task_kind *loom_task_kind_at(size_t index);
loom_status loom_task_kind_find(const char *name, const struct loom_task_kind **kind, struct loom_error *error);

/* Reads a file of rows, or all .json and .jsonl files of a folder, packed (.gz, .zst) or not, each
 * a group of its own name. Where the kind says so, X.txt beside a file X.json is its
 * prompt with worked examples (what follows a line "-----"). `indices` (may be NULL) is a JSON array of
 * the row numbers, counted from 0, that are taken, in its order. */
loom_status loom_task_open(struct loom_task *task, const char *name, const char *path, const char *indices,
                           struct loom_error *error);
/* Puts the first `count` problems of another file, worked out, before each prompt, an empty line behind each. With
 * count 0 the file is a text, which is put there as it is (what follows a line "-----"). */
loom_status loom_task_show(struct loom_task *task, const char *path, size_t count, struct loom_error *error);
void loom_task_close(struct loom_task *task);

/* The SHA-256 of all problems, in hexadecimal: of what is asked, and of what is right. */
loom_status loom_task_hash(const struct loom_task *task, char text[LOOM_SHA256_TEXT], struct loom_error *error);

/* The length of the response that ends before the first of the kind's stops. */
size_t loom_task_cut(const struct loom_task_kind *kind, const char *response);

#endif
