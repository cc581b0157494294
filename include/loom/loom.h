/* loom.h - looped mixture-of-experts language models: prepare text, train, race, evaluate, generate, verify.
 *
 * The library never prints and never exits. A function that can fail returns a loom_status and, when it fails, puts one
 * sentence with the name and the numbers of what is wrong into a struct loom_error. Options are plain structs: zero
 * everything, set what you mean, and the rest takes its default. Pointers in an options struct are borrowed for the
 * call. One thread at a time may use an object. */
#ifndef LOOM_LOOM_H
#define LOOM_LOOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LOOM_VERSION "0.1.0"

#if defined(__GNUC__)
#define LOOM_API __attribute__((visibility("default")))
#else
#define LOOM_API
#endif

/* ---- errors ------------------------------------------------------------------------------------------------------ */

typedef int loom_status;

enum {
    LOOM_OK = 0,
    LOOM_FAILED = -1, /* it was tried and did not work: a file is broken, a tolerance is missed, a loss is not finite */
    LOOM_INVALID = -2,   /* it was asked wrongly: an unknown key, an impossible size */
    LOOM_NO_MEMORY = -3, /* an allocation failed */
    LOOM_IO = -4,        /* the system refused: missing, unreadable, full */
    LOOM_STOPPED = -5    /* the caller's stop flag ended the work; what was done is saved */
};

struct loom_error {
    char text[1024]; /* one sentence, no newline */
};

/* In the place of a number of loops: one for each step of a generated task's problem; and as many as the model itself
 * chooses for each token, which then takes no more (LOOM_INVALID for a model without halting). */
enum { LOOM_LOOPS_GIVEN = -1, LOOM_LOOPS_CHOSEN = -2 };

LOOM_API const char *loom_version(void);

/* ---- text to tokens ---------------------------------------------------------------------------------------------- */

/* A tokenizer: "byte" (256 tokens, any data), "char" (one token for each distinct character of a text), or byte-level
 * BPE (Radford et al. 2019) from the files of GPT-2, tiktoken or the tokenizers library. Any number of threads may use
 * one. */
struct loom_tokenizer;

/* Opens what `path` names: "byte", which needs no file; a tokenizer.json, or a folder that has one; a tiktoken rank
 * file
 * (*.tiktoken), whose encoding its number of ranks tells or FILE#NAME says (r50k_base, p50k_base, p50k_edit,
 * cl100k_base, o200k_base, o200k_harmony); or vocab.bpe or merges.txt with encoder.json or vocab.json beside it. */
LOOM_API loom_status loom_tokenizer_open(const char *path, struct loom_tokenizer **tokenizer, struct loom_error *error);
LOOM_API void loom_tokenizer_free(struct loom_tokenizer *tokenizer);
LOOM_API int loom_tokenizer_vocab_size(const struct loom_tokenizer *tokenizer);

/* Writes FOLDER/tokenizer.json: the file that was read, byte for byte, or one made for a tokenizer of another origin,
 * with which Hugging Face's tokenizers library encodes equally. */
LOOM_API loom_status loom_tokenizer_save(const struct loom_tokenizer *tokenizer, const char *folder,
                                         struct loom_error *error);

/* Encodes `size` bytes of UTF-8 as plain text: what looks like a special token is not one. On success *tokens is an
 * array of *count ids, freed with free(). A character that a char tokenizer lacks is an error that names it and its
 * byte offset; BPE encodes U+FFFD for each part that is not UTF-8. */
LOOM_API loom_status loom_tokenizer_encode(const struct loom_tokenizer *tokenizer, const char *text, size_t size,
                                           int **tokens, size_t *count, struct loom_error *error);

struct loom_encode_options {
    bool all_special;           /* finds all special tokens in the text, */
    const char *const *special; /* or those of these names */
    size_t n_special;
    int threads; /* 0: one for each processor. The tokens do not depend on it */
};

/* As loom_tokenizer_encode. Fails with LOOM_INVALID on a name that is no special token's. */
LOOM_API loom_status loom_tokenizer_encode_with(const struct loom_tokenizer *tokenizer, const char *text, size_t size,
                                                const struct loom_encode_options *options, int **tokens, size_t *count,
                                                struct loom_error *error);

/* The bytes of one token, not NUL-terminated; none for an id that the vocabulary leaves out; NULL for an id outside it.
 */
LOOM_API const char *loom_tokenizer_token(const struct loom_tokenizer *tokenizer, int id, size_t *size);

/* Tokens to text as they come, in whole characters: bytes that begin a character are kept until it is whole. */
struct loom_decoder;

LOOM_API loom_status loom_decoder_open(const struct loom_tokenizer *tokenizer, struct loom_decoder **decoder,
                                       struct loom_error *error);
LOOM_API void loom_decoder_free(struct loom_decoder *decoder);
/* *text[0..*size), valid until the next call, is what `id` completes: valid UTF-8, with U+FFFD for bytes that can no
 * longer become a character. Fails with LOOM_INVALID on an id outside the vocabulary. */
LOOM_API loom_status loom_decoder_put(struct loom_decoder *decoder, int id, const char **text, size_t *size,
                                      struct loom_error *error);
/* What is left at the end: U+FFFD for a character that never became whole, else nothing. The decoder then begins anew.
 */
LOOM_API void loom_decoder_end(struct loom_decoder *decoder, const char **text, size_t *size);

/* How far the training of a tokenizer is: first words are counted, then merges are found. */
struct loom_tokenizer_train_progress {
    uint64_t bytes, documents;      /* of text, read */
    uint64_t merges, merges_wanted; /* 0 while words are counted */
    double seconds;
};

struct loom_tokenizer_train_options {
    const char *const *inputs; /* as loom_prepare takes them */
    size_t n_inputs;
    const char *format;         /* as loom_prepare takes it */
    const char *column;         /* that holds a row's text; NULL: "text" */
    const char *out;            /* the tokenizer.json to write, or a folder to write it into */
    int vocab_size;             /* 256 bytes, the special tokens, and what merges make */
    const char *const *special; /* special tokens besides <|endoftext|> */
    size_t n_special;
    int threads;                       /* 0: one for each processor. The result does not depend on it */
    const volatile sig_atomic_t *stop; /* when it becomes non-zero: return LOOM_STOPPED, with nothing written */
    void (*on_progress)(void *user, const struct loom_tokenizer_train_progress *progress); /* some times a second */
    void *user;
};

struct loom_tokenizer_train_result {
    int vocab_size; /* less than was asked for when each word of the text has become one token */
    uint64_t merges, bytes, documents, words; /* words: distinct ones */
    double seconds;
};

/* Trains byte-level BPE with GPT-4's split pattern and writes it as a tokenizer.json that Hugging Face's tokenizers
 * library loads and encodes equally with. Of pairs as frequent as each other the one with the lesser ids is merged
 * first, so that the result is a function of the text. Fails with LOOM_FAILED on text that is not UTF-8. */
LOOM_API loom_status loom_tokenizer_train(const struct loom_tokenizer_train_options *options,
                                          struct loom_tokenizer_train_result *result, struct loom_error *error);

/* What a preparation has done so far. */
struct loom_prepare_progress {
    uint64_t documents, bytes, tokens; /* written; bytes of text */
    double seconds;                    /* of this run */
    double share;                      /* of all stored bytes that is read; NAN where their number is not known */
    double seconds_left;               /* NAN where it is not known */
    double bytes_per_second;           /* of text, in this run */
    const char *source;                /* the file that is read; NULL at the end */
    size_t source_index, sources;
};

struct loom_prepare_options {
    const char *tokenizer; /* "byte", "char", or a tokenizer's file */
    /* The token folder to write; must not exist or be empty. The work is done in OUT.partial; when that holds the
     * unfinished work of the same options and inputs, it goes on, and the result is equal byte for byte. */
    const char *out;
    /* Files of plain text, .jsonl or .parquet, each also as .gz or .zst; folders of them; patterns; "-" for standard
     * input; addresses of Parquet such as hf://... A plain text is one document, of others each row. */
    const char *const *inputs;
    size_t n_inputs;
    const char *format;         /* of all inputs: "text", "jsonl", "parquet"; NULL or "auto": by their names */
    const char *column;         /* that holds a row's text; NULL: "text" */
    const char *const *filters; /* conditions such as "int_score >= 3" that a row must meet, all of them */
    size_t n_filters;
    double val_fraction; /* 0 means 0.1 */
    /* "document": a document is of the validation split by the hash of its first 512 bytes, whatever else there is;
     * "tail": the last fraction of all tokens is; NULL or "auto": "document" where there are rows, else "tail". */
    const char *split;
    bool skip_broken;                  /* a broken row, file or page is counted and left out; else it stops the work */
    bool remove_duplicates;            /* of equal documents only the first is taken */
    bool no_end_of_text;               /* else the tokenizer's <|endoftext|>, where it has one, ends each document */
    uint64_t shard_tokens;             /* 0: 2^28 */
    double checkpoint_seconds;         /* 0: 10 */
    int threads;                       /* 0: one for each processor */
    const volatile sig_atomic_t *stop; /* when it becomes non-zero: save, and return LOOM_STOPPED */
    void (*on_progress)(void *user, const struct loom_prepare_progress *progress); /* some times a second */
    void *user;
};

struct loom_prepare_result {
    uint64_t bytes; /* of text */
    uint64_t train_tokens, val_tokens;
    uint64_t documents;                            /* written */
    uint64_t filtered, empty, duplicates, skipped; /* rows left out; of `skipped` the manifest names the first */
    int vocab_size;
    bool resumed; /* it went on from a checkpoint */
};

struct loom_drill_options {
    const char *drill;         /* a name of loom_drill_name's list */
    const char *out;           /* the token folder to write; must not exist or be empty */
    int steps_low, steps_high; /* of the problems; 0: 1 and 8 */
    uint64_t train_samples, val_samples;
    uint64_t seed;
    size_t length; /* of a record in characters, when the longest problem is shorter */
};

/* Generates problems that take a known number of steps, with exact answers, as a token folder. */
LOOM_API loom_status loom_prepare_drill(const struct loom_drill_options *options, struct loom_prepare_result *result,
                                        struct loom_error *error);
/* The generated tasks by index, NULL beyond the last, and one line about each. */
LOOM_API const char *loom_drill_name(size_t index);
LOOM_API const char *loom_drill_summary(size_t index);

LOOM_API loom_status loom_prepare(const struct loom_prepare_options *options, struct loom_prepare_result *result,
                                  struct loom_error *error);

/* An open token folder, to look into. */
struct loom_data;

LOOM_API loom_status loom_data_open(const char *folder, struct loom_data **data, struct loom_error *error);
LOOM_API void loom_data_free(struct loom_data *data);

enum { LOOM_LENGTHS_SHOWN = 40 };

struct loom_data_info {
    uint64_t train_tokens, val_tokens, train_documents, val_documents;
    uint64_t train_bytes, val_bytes; /* of text */
    int vocab_size;
    size_t shards;
    const char *type;   /* of a token in the files: "uint16", "uint32" */
    const char *sha256; /* names the tokens as a whole */
    /* Documents of 2^i .. 2^(i+1)-1 tokens, their <|endoftext|> counted; the last: all longer ones. */
    uint64_t lengths[LOOM_LENGTHS_SHOWN];
    uint64_t shortest, longest; /* document, in tokens */
};

LOOM_API void loom_data_info(const struct loom_data *data, struct loom_data_info *info);

/* The beginning of a document, at most `tokens` tokens of it, as text; documents are counted through both splits, from
 * 0, those of training first. *text is freed with free(); *length is all of the document's tokens. */
LOOM_API loom_status loom_data_document(const struct loom_data *data, uint64_t index, size_t tokens, char **text,
                                        size_t *size, uint64_t *length, struct loom_error *error);

/* ---- what long work reports while it runs ------------------------------------------------------------------------ */

enum loom_event_kind {
    LOOM_EVENT_START,  /* sizes are known; nothing has been computed */
    LOOM_EVENT_STEP,   /* one optimizer step is done */
    LOOM_EVENT_EVAL,   /* validation is done */
    LOOM_EVENT_SAMPLE, /* a sample of the model's text */
    LOOM_EVENT_SAVE,   /* a checkpoint is complete: text is its path */
    LOOM_EVENT_NOTE,   /* a sentence for the person who watches */
    LOOM_EVENT_END
};

struct loom_event {
    enum loom_event_kind kind;
    const char *run;                                     /* the name of the run: "baseline seed 1", ... */
    uint64_t step, steps;                                /* steps done, steps in all */
    uint64_t tokens;                                     /* training tokens seen */
    double seconds;                                      /* training time, evaluation not counted */
    double flops;                                        /* counted from the work done so far */
    double loss, val_loss, learning_rate, gradient_norm; /* NAN where not known yet */
    double tokens_per_second;
    double peak_share;       /* FLOP/s reached as a share of the machine's measured peak; 0 when not measured */
    double mean_loops;       /* loops a token runs before it halts; 0 for a model without a loop */
    double expert_imbalance; /* the busiest expert's load over the mean load; 0 for a model without experts */
    double seconds_left;
    const char *text; /* SAMPLE, SAVE, NOTE */
};

typedef void (*loom_event_function)(void *user, const struct loom_event *event);

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* One key=value of --set; see docs/config.md for the keys. */
struct loom_setting {
    const char *key, *value;
};

/* The most token folders of one run. */
enum { LOOM_DATA_MAX = 256 };

struct loom_train_options {
    const char *const *data; /* token folders, all with one tokenizer */
    size_t n_data;
    const double *mix;       /* (n_data): their weights in training, above 0; NULL: by their tokens */
    const char *const *chat; /* files of conversations, in place of token folders: only the answers are learned */
    size_t n_chat;
    const char *task,
        *problems;      /* in place of both: a task (its name) and its rows, which answers are drawn to and judged */
    const char *init;   /* NULL: fresh weights; else the model that training starts from; chat needs its tokenizer */
    const char *out;    /* run folder; must not hold a run unless resume */
    const char *preset; /* NULL: "loom-small", or "finetune" with init, whose model takes the place of the preset's */
    const struct loom_setting *settings;
    size_t n_settings;
    uint64_t steps; /* 0: the preset's */
    uint64_t seed;
    bool has_seed; /* false: the preset's seed, 1 */
    bool resume;
    bool dry_run;                      /* only fill the result's sizes */
    int threads;                       /* 0: one for each processor */
    const volatile sig_atomic_t *stop; /* when it becomes non-zero: save, and return LOOM_STOPPED within one step */
    loom_event_function on_event;
    void *user;
    const char *run_name; /* for events; NULL: the run folder's name */
};

struct loom_train_result {
    uint64_t parameters, active_parameters; /* active: those one token uses, an expert counted if it is picked */
    uint64_t trained_parameters;            /* the adapters' where they are trained in place of the weights */
    uint64_t bytes_weights, bytes_gradients, bytes_optimizer, bytes_activations;
    double flops_per_step, flops_total;
    uint64_t tokens_per_step;
    uint64_t steps;       /* done in all */
    double val_loss;      /* the last */
    double best_val_loss; /* the lowest */
    uint64_t best_step;
    double seconds, flops;
};

LOOM_API loom_status loom_train(const struct loom_train_options *options, struct loom_train_result *result,
                                struct loom_error *error);

/* The presets' names by index, NULL beyond the last, and one line about each. */
LOOM_API size_t loom_preset_count(void);
LOOM_API const char *loom_preset_name(size_t index);
LOOM_API const char *loom_preset_summary(const char *name);

/* ---- the race ---------------------------------------------------------------------------------------------------- */

enum { LOOM_RACE_SEEDS_MAX = 64 };

struct loom_race_options {
    const char *data, *out;
    const char *preset;                  /* NULL: "loom-small" */
    const char *baseline;                /* NULL: "nanogpt-small" */
    const struct loom_setting *settings; /* for both runs: steps, batch, context, ... */
    size_t n_settings;
    int seeds; /* 0: 1 */
    int threads;
    const volatile sig_atomic_t *stop;
    loom_event_function on_event;
    void *user;
};

/* The least and the greatest over seeds. */
struct loom_race_range {
    double low, high;
};

struct loom_race_side {
    uint64_t parameters;
    double best_val_loss; /* median over seeds */
    struct loom_race_range best_val_loss_range;
    uint64_t best_step;
    double seconds, flops; /* to the end, medians */
};

struct loom_race_result {
    struct loom_race_side baseline, loom;
    /* The baseline's cost to its best validation loss over Loom's cost to first reach that loss; medians over seeds,
     * NAN when Loom did not reach it in more than half of them. */
    double ratio_steps, ratio_flops, ratio_seconds;
    /* Of the seeds where Loom got there; NAN when there is none. */
    struct loom_race_range ratio_steps_range, ratio_flops_range, ratio_seconds_range;
    int seeds, reached;
};

LOOM_API loom_status loom_race(const struct loom_race_options *options, struct loom_race_result *result,
                               struct loom_error *error);

/* ---- the dense twins --------------------------------------------------------------------------------------------- */

/* A looped model; a dense one of the same block with as many parameters; and one that does as much work in a step. */
enum { LOOM_TWIN_LOOPED, LOOM_TWIN_PARAMETERS, LOOM_TWIN_FLOPS, LOOM_TWINS };

struct loom_twins_options {
    /* A generated task: its name (then `out` gets problems of 1 to 5 steps to train on and of 2 to 8 to test on), or
     * the token folder of one to train on. Or the name of a task of loom_task_name's list, trained on `data`'s text. */
    const char *task;
    const char *data; /* a token folder, for a task of the list alone */
    const char *test; /* what is asked: a generated task's folder (NULL: the training folder), or the task's rows */
    size_t limit;     /* problems that are asked of each number of steps, or of all rows; 0: all */
    const char *out;
    const char *preset;                  /* of architecture loom with a loop; NULL: "loom-story" */
    const struct loom_setting *settings; /* for all sides */
    size_t n_settings;
    const struct loom_setting *twin_settings; /* for the dense sides alone, behind those */
    size_t n_twin_settings;
    const int *loops; /* (n_loops) at which the looped model is asked; none: as it was trained */
    size_t n_loops;
    int seeds; /* 0: 1 */
    int threads;
    const volatile sig_atomic_t *stop;
    loom_event_function on_event;
    void *user;
};

struct loom_twins_side {
    uint64_t parameters, active_parameters;
    double best_val_loss, seconds, flops; /* medians over seeds; flops and seconds of the whole training */
    char made_by[512];                    /* the settings that make the twin of the preset */
};

/* The share of right answers among problems of one kind ("3 steps", a task's group, "all"), all seeds together, with
 * Wilson's 95 % interval and the least and the most of the seeds. */
struct loom_twins_row {
    int side, loops; /* 0: as trained, LOOM_LOOPS_GIVEN, or how many */
    char group[64], metric[32];
    double value, low, high, least, most;
    uint64_t problems;
};

struct loom_twins_result {
    struct loom_twins_side sides[LOOM_TWINS];
    int seeds;
};

/* "looped", "equal parameters", "equal FLOPs". */
LOOM_API const char *loom_twins_side_name(int side);

/* Trains the looped model and both twins on the same data, batches and steps, and asks each its best checkpoint's
 * answers. A preset may name rates that suit its twins better; `settings` come before those. `out` gets twins.json,
 * report.html and a run folder for each side and seed; a race that was stopped goes on when it is asked for again. */
LOOM_API loom_status loom_race_twins(const struct loom_twins_options *options,
                                     void (*on_row)(void *user, const struct loom_twins_row *row), void *user,
                                     struct loom_twins_result *result, struct loom_error *error);

/* Writes report.html for a run folder or a race folder from the files in it. */
LOOM_API loom_status loom_report(const char *folder, struct loom_error *error);

/* ---- models ------------------------------------------------------------------------------------------------------ */

/* A loaded model, immutable but for its precision. `path` is a model folder, or a run folder (its best checkpoint). */
struct loom_model;

LOOM_API loom_status loom_model_open(const char *path, int threads, struct loom_model **model,
                                     struct loom_error *error);
LOOM_API void loom_model_free(struct loom_model *model);

/* Writes an opened model, its adapter added to its weights, as a model folder that holds no model yet. */
LOOM_API loom_status loom_model_save(const struct loom_model *model, const char *folder, struct loom_error *error);

/* How the model's products round from now on: "float32" (as it was opened), "bf16", or with weights of 8 or 4 bits,
 * "int8", "int4", one scale for each 32; router, norms and halting stay float32. LOOM_INVALID for another name and
 * where the processor has no such products; LOOM_NO_MEMORY when there is none for the rounded weights. */
LOOM_API loom_status loom_model_use_precision(struct loom_model *model, const char *precision,
                                              struct loom_error *error);

struct loom_model_info {
    const char *architecture; /* "gpt", "openmythos", "loom" */
    uint64_t parameters, active_parameters;
    int vocab_size, context, dim, loops, experts, experts_per_token;
    uint64_t weight_bytes, cache_bytes_per_token; /* cache: all blocks and loops */
    double flops_per_token; /* one forward at full context and the trained loops, averaged over its tokens */
    double spectral_radius; /* the largest factor A of the injection; 0 without a loop */
    const char *path;       /* the model folder that was opened */
};

LOOM_API void loom_model_info(const struct loom_model *model, struct loom_model_info *info);

/* Which experts a model's routers chose over a text, by kinds of tokens. */
struct loom_choices {
    int kinds, loops, layers, experts;
    const char *const *kind_names; /* (kinds), static */
    uint64_t *choices;             /* (kinds, loops, layers, experts) */
    double
        *again; /* (loops): share of a loop's choices that the loop before had made for the same token; the first: 0 */
    double by_loop, by_kind; /* how much of the choice the loop, or the token's kind, tells: mutual information over the
                                choice's entropy, 0 to 1, the mean over layers */
};

LOOM_API void loom_choices_free(struct loom_choices *choices);

struct loom_evaluate_options {
    struct loom_choices *choices; /* to be filled, and freed by the caller; or NULL. Not with `exit` */
    const char *data;             /* token folder: its validation split, whole */
    int loops;                    /* 0: as trained; or LOOM_LOOPS_CHOSEN: with `exit` */
    bool document_mask;           /* no attention across documents, for a model that was trained so */
    bool exit;                    /* halted tokens take no further loop, as in a session: what that costs in loss */
};

enum { LOOM_LOOPS_SHOWN = 64, LOOM_EXPERTS_SHOWN = 256, LOOM_LOSS_BINS = 6 };

/* Tokens by how hard they were to predict: those of a loss below `below` (and not below the bin's before; the last has
 * no bound, INFINITY). */
struct loom_loss_bin {
    double below;
    uint64_t tokens;
    double mean_loops; /* 0 without tokens */
};

struct loom_evaluate_result {
    double loss, bits_per_byte; /* nats per token; bits per byte where the data's bytes are known, else 0 */
    uint64_t tokens;
    double seconds;
    double mean_loops;
    int loops;
    bool exit;                                    /* tokens took no more loops than they chose: then */
    struct loom_loss_bin by_loss[LOOM_LOSS_BINS]; /* how many, by their loss */
    double exit_depth[LOOM_LOOPS_SHOWN]; /* share of tokens that leave after loop 1, 2, ... (the last: all others) */
};

LOOM_API loom_status loom_evaluate(const struct loom_model *model, const struct loom_evaluate_options *options,
                                   struct loom_evaluate_result *result, struct loom_error *error);

/* One number of steps of a generated task's validation problems, under one number of loops. */
struct loom_drill_row {
    int steps, loops;
    uint64_t problems, right; /* right: the whole answer, greedily */
    double loss;              /* nats per character of the answers */
    double mean_loops;        /* of the answers' characters */
};

struct loom_drill_evaluate_options {
    const char *data; /* a token folder of loom_prepare_drill */
    int loops;        /* 0: as trained; or LOOM_LOOPS_CHOSEN */
    bool given;       /* once for each step of the problem, instead */
    uint64_t limit;   /* problems of each number of steps at most; 0: all */
};

/* Whether the folder is one of loom_prepare_drill. */
LOOM_API loom_status loom_drill_folder(const char *path, bool *drill, struct loom_error *error);
/* Calls on_row for each number of steps that the folder's validation split has. */
LOOM_API loom_status loom_evaluate_drill(const struct loom_model *model,
                                         const struct loom_drill_evaluate_options *options,
                                         void (*on_row)(void *user, const struct loom_drill_row *row), void *user,
                                         struct loom_error *error);

/* ---- tasks with answers to check --------------------------------------------------------------------------------- */

/* The tasks' names by index, NULL beyond the last, and one line about each. */
LOOM_API const char *loom_task_name(size_t index);
LOOM_API const char *loom_task_summary(size_t index);

struct loom_task_options {
    const char *task;     /* a name of the list */
    const char *data;     /* a file of rows, or a folder of such files */
    const char *indices;  /* NULL, or a JSON array of the row numbers that are taken */
    const char *examples; /* NULL, or a file of rows whose first `shots` go before each prompt, worked out; or a text */
    int shots;            /* 0: `examples` is a text */
    const char *predictions; /* NULL: the model answers; else recorded responses, a JSON object with an id a line */
    const char *save;        /* NULL, or the file to write every response and verdict to, a JSON object a line */
    size_t limit;            /* only the first problems; 0: all */
    int samples;             /* responses to each problem; 0: 1 */
    double temperature;      /* 0: the likeliest token, always */
    bool chat;               /* each prompt is a user's message */
    int loops;               /* 0: as trained */
    int max_tokens;          /* of a response; 0: the task's own */
    double seconds;          /* for running one response's program; 0: 10 */
    int threads;             /* programs that run at once; 0: one for each processor */
    uint64_t seed;
    const volatile sig_atomic_t *stop;
    void (*on_progress)(void *user, size_t done, size_t all);
    void *user;
};

/* One figure: the share that is right among all problems (group ""), or among those of a group, with its 95 %
 * confidence interval: Wilson's score interval for one response each, the normal one over problems for several. */
struct loom_task_row {
    const char *group, *metric; /* "exact_match", "pass@1", ... */
    double value, low, high;
    size_t problems;
};

struct loom_task_result {
    size_t problems, responses;
    size_t unreadable;   /* prompts with characters that the vocabulary lacks: counted as wrong */
    size_t long_prompts; /* longer than the context: only their end was seen */
    uint64_t tokens;     /* that the model wrote */
    double seconds;
    int loops; /* 0 for recorded responses */
};

/* Scores a model, or with `predictions` recorded responses (then `model` may be NULL). A program that a response holds
 * is run in a sandbox; where the system refuses one, LOOM_FAILED says so and nothing was run. */
LOOM_API loom_status loom_evaluate_task(const struct loom_model *model, const struct loom_task_options *options,
                                        void (*on_row)(void *user, const struct loom_task_row *row), void *user,
                                        struct loom_task_result *result, struct loom_error *error);

/* A row kept for a page. */
struct loom_task_figure {
    char group[64], metric[32];
    int loops; /* 0: recorded responses */
    double value, low, high;
    size_t problems;
};

/* Writes figures as one HTML page that opens offline. `subject` says whose they are. */
LOOM_API loom_status loom_task_page(const char *path, const char *task, const char *subject,
                                    const struct loom_task_figure *figures, size_t count, struct loom_error *error);

/* ---- generation -------------------------------------------------------------------------------------------------- */

/* One mutable sequence over a model: tokens so far, their key/value cache (one per loop), the last logits. Callers hand
 * over the full sequence each time; what it shares with the tokens already in the cache is not computed again. */
struct loom_session;

LOOM_API loom_status loom_session_open(const struct loom_model *model, int loops, struct loom_session **session,
                                       struct loom_error *error);
LOOM_API void loom_session_free(struct loom_session *session);

/* Whether a token that has halted (a session of LOOM_LOOPS_CHOSEN begins so) takes no further loop from now on. What it
 * wrote to the cache in its last loop then stands for the later ones, so that logits differ a little from those of all
 * loops. What the session holds is forgotten when this changes. LOOM_INVALID for a model without halting. */
LOOM_API loom_status loom_session_exit(struct loom_session *session, bool exit, struct loom_error *error);

/* Makes the session hold exactly tokens[0..count). *logits (vocab_size), valid until the next call, are for the token
 * after the last. The sequence must fit the model's context. */
LOOM_API loom_status loom_session_sync(struct loom_session *session, const int *tokens, size_t count,
                                       const float **logits, struct loom_error *error);

struct loom_generate_options {
    const char *prompt; /* NULL or "": starts from the end-of-text token, else newline's, else token 0 */
    size_t prompt_size; /* 0: strlen(prompt) */
    bool chat;          /* the prompt is a user's message; the text is the answer, without its end mark */
    int max_tokens;     /* 0: 256 */
    int loops;          /* 0: as trained; or LOOM_LOOPS_CHOSEN: with `exit` */
    bool exit;          /* see loom_session_exit */
    double temperature; /* 0 with has_temperature: greedy; default 1 */
    bool has_temperature;
    int top_k;    /* 0: all */
    double top_p; /* 0: 1 */
    uint64_t seed;
    const volatile sig_atomic_t *stop;
    /* Called for each token as it is drawn, with the text that it completes: whole characters of UTF-8, or none yet. At
     * the end token -1 brings U+FFFD for a character that was begun and never completed, if there is one. */
    void (*on_token)(void *user, int token, const char *text, size_t size);
    void *user;
};

struct loom_generate_result {
    size_t prompt_tokens, completion_tokens;
    double seconds;
    double mean_loops; /* of a token, the prompt's among them; 0 unless tokens exit */
};

LOOM_API loom_status loom_generate(const struct loom_model *model, const struct loom_generate_options *options,
                                   struct loom_generate_result *result, struct loom_error *error);

/* ---- differential privacy ---------------------------------------------------------------------------------------- */

/* DP-SGD's plan: noise of standard deviation `noise` times the clipping bound, each example taken with probability
 * `rate` in each of `steps` steps. */
struct loom_privacy_plan {
    double noise, rate;
    uint64_t steps;
};

struct loom_privacy_spent {
    double epsilon;      /* the estimate; for the rdp accountant the same as upper */
    double lower, upper; /* epsilon is certainly at most upper; prv also bounds it from below */
    double order;        /* rdp: the Renyi order that gave it */
};

/* Epsilon at delta by Renyi divergences (an upper bound), or by the privacy loss itself on a grid fine enough for an
 * error of epsilon_error, which upper and lower contain. Sources: src/train/privacy*.c. */
LOOM_API loom_status loom_privacy_rdp(const struct loom_privacy_plan *plan, double delta,
                                      struct loom_privacy_spent *spent, struct loom_error *error);
LOOM_API loom_status loom_privacy_prv(const struct loom_privacy_plan *plan, double delta, double epsilon_error,
                                      struct loom_privacy_spent *spent, struct loom_error *error);

/* The Renyi divergence of the whole plan at an order above 1. */
LOOM_API double loom_privacy_divergence(const struct loom_privacy_plan *plan, double order);

enum loom_accountant { LOOM_ACCOUNTANT_PRV, LOOM_ACCOUNTANT_RDP };

/* Finds the least noise (to 0.1 %) whose upper epsilon at delta is at most `epsilon`; plan->noise is filled.
 * LOOM_FAILED when no noise below 1e4 is enough. */
LOOM_API loom_status loom_privacy_noise(struct loom_privacy_plan *plan, enum loom_accountant accountant, double epsilon,
                                        double delta, struct loom_privacy_spent *spent, struct loom_error *error);

/* ---- verification ------------------------------------------------------------------------------------------------ */

struct loom_verify_row {
    const char *name; /* "logits.loops_3", "grad.embed.weight", "adamw_losses[4]" */
    double error;     /* relative: |ours - reference| / |reference| */
    double tolerance;
    bool passed;
};

typedef void (*loom_verify_function)(void *user, const struct loom_verify_row *row);

struct loom_verify_options {
    int threads;
    const char *precision; /* of products: "float32" (NULL), or "bf16" with wider tolerances */
};

/* Holds a model folder with a reference.safetensors against this library, tensor by tensor. *passed tells whether every
 * row is within its tolerance; LOOM_OK only says that the comparison could be made. */
LOOM_API loom_status loom_verify(const char *folder, const struct loom_verify_options *options,
                                 loom_verify_function on_row, void *user, bool *passed, struct loom_error *error);

/* ---- benchmark --------------------------------------------------------------------------------------------------- */

struct loom_bench_row {
    const char *name; /* "train", "decode batch 1", "linear 768x384x128", ... */
    double per_second;
    const char *unit; /* "tokens", "FLOP" */
    double flops_per_second;
    double peak_share;
};

typedef void (*loom_bench_function)(void *user, const struct loom_bench_row *row);

struct loom_bench_options {
    const char *preset; /* NULL: "loom-small" */
    const struct loom_setting *settings;
    size_t n_settings;
    int threads;
    double seconds; /* about how long each row is measured; 0: 2 */
    bool machine;   /* the machine's limits instead of a model */
    /* A prompt's tokens and those behind it alone, on a model without what training takes: for sizes of billions. */
    bool inference;
    int prompt;             /* tokens; 0: 128, or half of a shorter context */
    const char *precisions; /* of inference: names, separated by commas; NULL: all that the processor has */
    bool processor_time;    /* rates by the processor's time, for a machine that does something else; one thread only */
};

LOOM_API loom_status loom_bench(const struct loom_bench_options *options, loom_bench_function on_row, void *user,
                                struct loom_error *error);

#ifdef __cplusplus
}
#endif

#endif
