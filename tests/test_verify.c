/* test_verify.c - loom_verify on reference folders that the test writes: it passes on a true one, and fails on one that
 * is wrong in a single weight, setting or value, naming what is wrong.
 *
 * Logits and loss of these references come from the equations (oracle.h), the optimizer's losses from AdamW written
 * down once more, and the gradients from the library, whose own tests hold them against differences. The reference
 * folders beside the project, where there are any, are verified too. */
#include "oracle.h"
#include "tiny_model.h"

#include "train/objective.h"

enum { BATCH = 2, SEQ = 9, ROWS = BATCH * SEQ, VOCAB = 11, STEPS = 4, TENSORS_MAX = 96, NAMES = 64 };

static const char every_parameter[] = "lr=1e-2 betas=(0.9,0.95) eps=1e-8 weight_decay=0.1 on every parameter, gradient"
                                      " norm clipped at 0.5, same batch each step";

/* Hundreds of folders are written here, and none need outlive a power cut. */
int fsync(int descriptor) {
    (void)descriptor;
    return 0;
}

/* A reference folder and what is in it, all of it to be changed before it is written. */
struct folder {
    char *path;
    struct tiny m;
    struct loom_tensor_source tensors[TENSORS_MAX];
    char names[TENSORS_MAX][2 * LOOM_NAME_MAX];
    size_t count;
    struct loom_metadata metadata[2];
    size_t n_metadata;
};

/* What loom_verify told. */
struct heard {
    size_t rows, failed;
    char names[TENSORS_MAX + STEPS][NAMES + LOOM_NAME_MAX]; /* of the failed rows */
};

static void hear(void *user, const struct loom_verify_row *row) {
    struct heard *heard = user;
    assert_true(row->tolerance >= 0 && row->passed == (row->error <= row->tolerance));
    heard->rows++;
    if (!row->passed)
        snprintf(heard->names[heard->failed++], sizeof heard->names[0], "%s", row->name);
}

static bool heard_failure(const struct heard *heard, const char *name) {
    for (size_t i = 0; i < heard->failed; i++)
        if (strncmp(heard->names[i], name, strlen(name)) == 0)
            return true;
    return false;
}

/* ---- making a reference ------------------------------------------------------------------------------------------ */

/* Adds a tensor of zeros and returns its data. */
static real *add_tensor(struct folder *f, const char *prefix, const char *name, int rank, const uint64_t *shape) {
    struct loom_tensor_source *t = &f->tensors[f->count];
    size_t n = 1;
    assert_true(f->count < TENSORS_MAX);
    snprintf(f->names[f->count], sizeof f->names[0], "%s%s", prefix, name);
    *t = (struct loom_tensor_source){.name = f->names[f->count], .dtype = LOOM_F32, .rank = rank};
    for (int i = 0; i < rank; i++) {
        t->shape[i] = shape[i];
        n *= (size_t)shape[i];
    }
    f->count++;
    real *data = test_calloc(n, sizeof *data);
    t->data = data;
    return data;
}

static void add_ids(struct folder *f, const char *name, const int *ids) {
    struct loom_tensor_source *t = &f->tensors[f->count++];
    int64_t *data = test_calloc(ROWS, sizeof *data);
    for (size_t i = 0; i < ROWS; i++)
        data[i] = ids[i];
    *t = (struct loom_tensor_source){.name = name, .dtype = LOOM_I64, .rank = 2, .shape = {BATCH, SEQ}, .data = data};
}

static void add_logits(struct folder *f, const char *name, int loops) {
    const uint64_t shape[] = {BATCH, SEQ, VOCAB};
    oracle_logits(&f->m, loops, add_tensor(f, "", name, 3, shape), NULL);
}

static double oracle_loss(const struct folder *f) {
    real logits[ROWS * VOCAB];
    double loss = 0;
    oracle_logits(&f->m, f->m.loops, logits, NULL);
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0;
        for (size_t i = 0; i < VOCAB; i++)
            sum += exp((double)logits[r * VOCAB + i]);
        loss += log(sum) - (double)logits[r * VOCAB + (size_t)f->m.targets[r]];
    }
    return loss / ROWS;
}

/* m->gradients of the mean loss with the weights as they are; returns their norm. */
static double find_gradients(struct tiny *m) {
    struct loom_workspace ws;
    struct loom_objective_buffers buffers = {0};
    struct loom_workspace_shape shape = {.batch = BATCH, .seq = SEQ, .loops = m->loops, .keep = true};
    struct loom_forward forward = {
        .weights = m->weights, .ids = m->ids, .batch = BATCH, .seq = SEQ, .loops = m->loops, .keep = true};
    struct loom_objective o = {
        .forward = forward, .targets = m->targets, .scale = (real)1 / ROWS, .gradients = m->gradients};
    assert_int_equal(loom_workspace_open(&ws, &m->net, m->k, &shape, NULL), LOOM_OK);
    assert_int_equal(loom_objective_open(&buffers, m->k, ROWS, NULL), LOOM_OK);
    m->k->fill(m->k, m->gradients, 0, m->net.tensors.elements);
    loom_objective_run(&ws, &buffers, &o);
    loom_objective_close(&buffers, m->k);
    loom_workspace_close(&ws);
    return sqrt(m->k->sum_squares(m->k, m->gradients, m->net.tensors.elements));
}

/* One step of AdamW in double; the weights are rounded to float after it, as they are stored. */
static void descend(struct tiny *m, double *first, double *second, int step, double scale) {
    for (size_t i = 0; i < m->net.tensors.count; i++) {
        const struct loom_tensor *t = &m->net.tensors.items[i];
        for (size_t j = t->offset; j < t->offset + t->count && !t->buffer; j++) {
            double g = scale * (double)m->gradients[j], w = (double)m->weights[j];
            first[j] = 0.9 * first[j] + 0.1 * g;
            second[j] = 0.95 * second[j] + 0.05 * g * g;
            w -= 1e-2 * 0.1 * w;
            w -= 1e-2 * (first[j] / (1 - pow(0.9, step))) / (sqrt(second[j] / (1 - pow(0.95, step))) + 1e-8);
            m->weights[j] = (real)w;
        }
    }
}

/* adamw_losses; leaves the weights as they were and in m->gradients what the last step left, clipped. */
static void add_adamw(struct folder *f) {
    const uint64_t shape[] = {STEPS};
    real *losses = add_tensor(f, "", "adamw_losses", 1, shape);
    size_t n = f->m.net.tensors.elements;
    double *first = test_calloc(n, sizeof *first), *second = test_calloc(n, sizeof *second);
    real *before = test_calloc(n, sizeof *before);
    memcpy(before, f->m.weights, n * sizeof *before);
    for (int step = 1; step <= STEPS; step++) {
        losses[step - 1] = (real)oracle_loss(f);
        double scale = fmin(1, 0.5 / (find_gradients(&f->m) + 1e-6));
        descend(&f->m, first, second, step, scale);
        for (size_t j = 0; j < n; j++)
            f->m.gradients[j] *= (real)scale;
    }
    memcpy(f->m.weights, before, n * sizeof *before);
    test_free(first);
    test_free(second);
    test_free(before);
}

static void add_gradients(struct folder *f) {
    for (size_t i = 0; i < f->m.net.tensors.count; i++) {
        const struct loom_tensor *t = &f->m.net.tensors.items[i];
        const uint64_t shape[] = {t->shape[0], t->shape[1]};
        if (!t->buffer)
            memcpy(add_tensor(f, "grad.", t->name, t->rank, shape), f->m.gradients + t->offset,
                   t->count * sizeof(real));
    }
}

/* Fills everything; `last_step`: the gradients are those that the optimizer's last step left. */
static void open_folder(struct folder *f, const char *path, const struct loom_config *config, bool last_step) {
    const uint64_t one[] = {1};
    bool looped = loom_config_looped(config);
    *f = (struct folder){.path = strdup(path)};
    tiny_open(&f->m, config, loom_kernels_ref(), 6, BATCH, SEQ);
    add_ids(f, "input_ids", f->m.ids);
    add_ids(f, "target_ids", f->m.targets);
    add_logits(f, looped ? "logits.loops_3" : "logits", 3);
    if (looped) {
        add_logits(f, "logits.loops_1", 1);
        add_logits(f, "logits.loops_5", 5);
        add_logits(f, "logits_cached.loops_3", 3);
        f->metadata[f->n_metadata++] = (struct loom_metadata){"train_loops", "3"};
    }
    f->metadata[f->n_metadata++] = (struct loom_metadata){"adamw", every_parameter};
    add_tensor(f, "", "loss", 1, one)[0] = (real)oracle_loss(f);
    add_tensor(f, "", "grad_norm", 0, NULL)[0] = (real)find_gradients(&f->m);
    add_adamw(f);
    if (!last_step)
        find_gradients(&f->m);
    add_gradients(f);
}

static void close_folder(struct folder *f) {
    for (size_t i = 0; i < f->count; i++)
        test_free((void *)(uintptr_t)f->tensors[i].data);
    tiny_close(&f->m);
    free(f->path);
}

static void write_folder(struct folder *f) {
    struct loom_error error;
    tiny_folder_write(f->path, &f->m.net, f->m.weights);
    char *path = scratch_path(f->path, "reference.safetensors");
    expect(loom_safetensors_write(path, f->tensors, f->count, f->metadata, f->n_metadata, &error), LOOM_OK, &error, "");
    free(path);
}

static loom_status verify(const char *path, struct heard *heard, bool *passed, struct loom_error *error) {
    *heard = (struct heard){0};
    *passed = true;
    error->text[0] = '\0';
    loom_status status = loom_verify(path, &(struct loom_verify_options){.threads = 1}, hear, heard, passed, error);
    assert_false(status != LOOM_OK && *passed);
    return status;
}

/* The folder as it is now, with `what` changed, must fail, one way or the other, with `name` named. */
static void expect_failure_of(struct folder *f, const char *name, const char *what) {
    struct heard heard;
    struct loom_error error;
    bool passed;
    write_folder(f);
    loom_status status = verify(f->path, &heard, &passed, &error);
    if (status == LOOM_OK ? passed || !heard_failure(&heard, name) : !strstr(error.text, name))
        fail_msg("changed %s: status %d, %zu of %zu rows failed, \"%s\"", what, status, heard.failed, heard.rows,
                 error.text);
}

static void expect_failure(struct folder *f, const char *name) {
    expect_failure_of(f, name, name);
}

static void expect_success(struct folder *f) {
    struct heard heard;
    struct loom_error error;
    bool passed;
    write_folder(f);
    expect(verify(f->path, &heard, &passed, &error), LOOM_OK, &error, "");
    if (!passed)
        fail_msg("%zu of %zu rows failed, the first is %s", heard.failed, heard.rows, heard.names[0]);
    assert_int_equal(heard.rows, f->count - 2 + STEPS - 1); /* all but the ids, and a row for each step's loss */
}

static struct loom_tensor_source *find(struct folder *f, const char *name) {
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->tensors[i].name, name) == 0)
            return &f->tensors[i];
    fail_msg("there is no %s", name);
    return NULL;
}

static size_t count_of(const struct loom_tensor_source *t) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->shape[i];
    return n;
}

/* ---- true references --------------------------------------------------------------------------------------------- */

static struct loom_config grouped(void) {
    return tiny_looped(LOOM_ARCHITECTURE_OPENMYTHOS);
}

static struct loom_config latent(void) {
    struct loom_config c = tiny_latent(LOOM_ARCHITECTURE_OPENMYTHOS);
    c.n_shared_experts = 0;
    c.n_experts = 3; /* few enough that each is picked */
    return c;
}

static struct loom_config gpt(void) {
    return tiny_gpt(true);
}

static struct loom_config (*const configs[])(void) = {grouped, latent, gpt};
enum { CONFIGS = sizeof configs / sizeof configs[0] };

static void test_true(void **state) {
    for (size_t i = 0; i < CONFIGS; i++)
        for (int last_step = 0; last_step < 2; last_step++) {
            struct folder f;
            struct loom_config config = configs[i]();
            open_folder(&f, *state, &config, last_step != 0);
            expect_success(&f);
            close_folder(&f);
        }
}

/* ---- one thing changed ------------------------------------------------------------------------------------------- */

static void test_values(void **state) {
    for (size_t i = 0; i < CONFIGS; i++) {
        struct folder f;
        struct loom_config config = configs[i]();
        open_folder(&f, *state, &config, i == 1);
        for (size_t j = 2; j < f.count; j++) {
            size_t n = count_of(&f.tensors[j]);
            real *value = (real *)(uintptr_t)f.tensors[j].data, norm = 0;
            for (size_t e = 0; e < n; e++)
                norm += value[e] * value[e];
            real *changed = &value[(j * 7) % n], kept = *changed;
            *changed += norm > 0 ? (real)0.01 * (real)sqrt((double)norm) : (real)0.01;
            expect_failure(&f, f.tensors[j].name);
            *changed = (real)NAN;
            if (j < 9)
                expect_failure(&f, f.tensors[j].name);
            *changed = kept;
        }
        expect_success(&f);
        close_folder(&f);
    }
}

static void test_ids(void **state) {
    struct folder f;
    struct loom_config config = grouped();
    open_folder(&f, *state, &config, false);
    for (size_t j = 0; j < 2; j++) {
        int64_t *id = (int64_t *)(uintptr_t)f.tensors[j].data + 7, kept = *id;
        *id = (kept + 1) % VOCAB;
        expect_failure(&f, j ? "loss" : "logits.loops_1");
        *id = VOCAB;
        expect_failure(&f, j ? "target_ids[7] = 11" : "input_ids[7] = 11");
        *id = j ? -2 : -1;
        expect_failure(&f, j ? "target_ids[7] = -2" : "input_ids[7] = -1");
        *id = INT64_MAX;
        expect_failure(&f, f.tensors[j].name);
        *id = kept;
    }
    close_folder(&f);
}

/* One weight of every tensor. What only chooses must be moved far to show. */
static void test_weights(void **state) {
    for (size_t i = 0; i < CONFIGS; i++) {
        struct folder f;
        struct loom_config config = configs[i]();
        open_folder(&f, *state, &config, false);
        for (size_t j = 0; j < f.m.net.tensors.count; j++) {
            const struct loom_tensor *t = &f.m.net.tensors.items[j];
            real *weight = f.m.weights + t->offset, kept = *weight;
            *weight += strstr(t->name, "router") ? 9 : (real)0.05;
            expect_failure_of(&f, "logits", t->name);
            *weight = kept;
        }
        close_folder(&f);
    }
}

/* Settings are changed in the file alone: the weights stay what they are. */
static void test_settings(void **state) {
    static const struct {
        size_t config;
        const char *key, *value, *says;
    } changes[] = {
        {0, "act_threshold", "0.5", "logits"},
        {0, "rope_theta", "300", "logits"},
        {0, "n_kv_heads", "1", "wk.weight"},
        {0, "n_heads", "8", "wk.weight"},
        {0, "n_experts", "4", "router"},
        {0, "n_experts_per_tok", "3", "shared_experts"},
        {0, "n_shared_experts", "0", "shared_experts"},
        {0, "n_shared_experts", "2", "shared_experts.1"},
        {0, "max_loop_iters", "4", "lora.scale.weight"},
        {0, "prelude_layers", "0", "prelude.0"},
        {0, "coda_layers", "2", "coda.1"},
        {0, "attn_type", "mla", "q_down"},
        {0, "vocab_size", "12", "embed.weight"},
        {0, "dim", "32", "embed.weight"},
        {0, "max_seq_len", "8", "9 positions"},
        {1, "n_experts_per_tok", "1", "logits"},
        {1, "rope_theta", "300", "logits"},
        {1, "act_threshold", "0.5", "logits"},
        {1, "qk_rope_head_dim", "2", "q_up_rope"},
        {1, "v_head_dim", "5", "kv_up"},
        {2, "n_head", "2", "logits"},
        {2, "n_layer", "1", "transformer.h.1"},
        {2, "block_size", "9", "wpe"},
        {2, "bias", "false", "bias"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct folder f;
        struct loom_config config = configs[changes[i].config]();
        struct loom_error error;
        open_folder(&f, *state, &config, false);
        expect(loom_config_set(&f.m.net.config, changes[i].key, changes[i].value, &error), LOOM_OK, &error, "");
        expect_failure(&f, changes[i].says);
        f.m.net.config = config;
        close_folder(&f);
    }
}

static void test_optimizer_settings(void **state) {
    static const char *const texts[] = {
        "lr=2e-2 betas=(0.9,0.95) eps=1e-8 weight_decay=0.1, clipped at 0.5",
        "lr=1e-2 betas=(0.9,0.99) eps=1e-8 weight_decay=0.1, clipped at 0.5",
        "lr=1e-2 betas=(0.8,0.95) eps=1e-8 weight_decay=0.1, clipped at 0.5",
        "lr=1e-2 betas=(0.9,0.95) eps=1e-8 weight_decay=0.9, clipped at 0.5",
        "lr=1e-2 betas=(0.9,0.95) eps=1e-8 weight_decay=0.1 on tensors of 2 or more dimensions, clipped at 0.5",
    };
    struct folder f;
    struct loom_config config = grouped();
    open_folder(&f, *state, &config, false);
    struct loom_metadata *adamw = &f.metadata[1];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        adamw->value = texts[i];
        expect_failure(&f, "adamw_losses[");
    }
    adamw->value = "betas=(0.9,0.95)";
    expect_failure(&f, "adamw");
    adamw->value = "";
    expect_failure(&f, "adamw");
    f.n_metadata = 1;
    expect_failure(&f, "adamw");
    adamw->value = every_parameter;
    f.n_metadata = 2;
    f.metadata[0].value = "2";
    expect_failure(&f, "loss");
    f.metadata[0].value = "0";
    expect_failure(&f, "train_loops");
    f.metadata[0].value = "many";
    expect_failure(&f, "train_loops");
    f.metadata[0].value = "3";
    expect_success(&f);
    close_folder(&f);
}

/* ---- files that are no references -------------------------------------------------------------------------------- */

static void test_shapes(void **state) {
    struct folder f;
    struct loom_config config = grouped();
    open_folder(&f, *state, &config, false);
    static const struct {
        const char *name;
        int rank;
        uint64_t shape[3];
    } wrong[] = {
        {"logits.loops_1", 3, {BATCH, SEQ, VOCAB - 1}},
        {"logits.loops_1", 3, {SEQ, BATCH, VOCAB}},
        {"logits.loops_1", 2, {BATCH, SEQ}},
        {"logits_cached.loops_3", 2, {ROWS, VOCAB}},
        {"target_ids", 2, {SEQ, BATCH}},
        {"target_ids", 1, {SEQ}},
        {"input_ids", 1, {ROWS}},
        {"input_ids", 2, {0, SEQ}},
        {"grad.embed.weight", 2, {16, VOCAB}},
        {"grad.embed.weight", 1, {16}},
        {"adamw_losses", 2, {2, 2}},
        {"loss", 1, {0}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct loom_tensor_source *t = find(&f, wrong[i].name), kept = *t;
        t->rank = wrong[i].rank;
        memcpy(t->shape, wrong[i].shape, sizeof wrong[i].shape);
        expect_failure(&f, wrong[i].name);
        *t = kept;
    }
    expect_success(&f);
    close_folder(&f);
}

static void test_kinds(void **state) {
    struct folder f;
    struct loom_config config = grouped();
    open_folder(&f, *state, &config, false);
    static const struct {
        const char *name;
        enum loom_dtype dtype;
    } wrong[] = {
        {"input_ids", LOOM_F64}, {"target_ids", LOOM_F64},   {"logits.loops_1", LOOM_I32},   {"loss", LOOM_U32},
        {"grad_norm", LOOM_I32}, {"adamw_losses", LOOM_I32}, {"grad.norm.weight", LOOM_I32},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct loom_tensor_source *t = find(&f, wrong[i].name), kept = *t;
        t->dtype = wrong[i].dtype;
        expect_failure(&f, wrong[i].name);
        *t = kept;
    }
    close_folder(&f);
}

/* Names that no check reads, tensors of another model, and a reference that says nothing. */
static void test_names(void **state) {
    struct folder f;
    struct loom_config config = grouped();
    const uint64_t one[] = {1};
    open_folder(&f, *state, &config, false);
    static const char *const unknown[] = {"logitz",          "logits.loops_0",     "logits.loops_",
                                          "logits.loops_3x", "logits.loops_99999", "logits_cached.loop_3",
                                          "grad.",           "grad.nobody.weight", "losses"};
    add_tensor(&f, "", "unknown", 1, one);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        f.tensors[f.count - 1].name = unknown[i];
        expect_failure(&f, unknown[i]);
    }
    test_free((void *)(uintptr_t)f.tensors[--f.count].data);
    expect_success(&f);
    find(&f, "input_ids")->name = "logits.ids";
    expect_failure(&f, "input_ids");
    find(&f, "logits.ids")->name = "input_ids";
    size_t all = f.count;
    f.count = 2;
    expect_failure(&f, "reference.safetensors");
    f.count = 1;
    expect_failure(&f, "reference.safetensors");
    f.count = all;
    find(&f, "target_ids")->dtype = LOOM_I64;
    struct loom_tensor_source targets = f.tensors[1];
    f.tensors[1] = f.tensors[--f.count];
    expect_failure(&f, "target_ids");
    f.tensors[f.count++] = targets;
    close_folder(&f);
}

static void test_truncated(void **state) {
    struct folder f;
    struct loom_config config = grouped();
    static const char *const names[] = {"reference.safetensors", "model.safetensors"};
    open_folder(&f, *state, &config, false);
    for (size_t i = 0; i < 2; i++) {
        char *data, *path = scratch_path(f.path, names[i]);
        size_t size;
        write_folder(&f);
        assert_int_equal(loom_file_read(path, SIZE_MAX, &data, &size, NULL), LOOM_OK);
        for (size_t cut = 0; cut < size; cut += size / 23) {
            struct heard heard;
            struct loom_error error;
            bool passed;
            free(scratch_write(f.path, names[i], data, cut));
            expect(verify(f.path, &heard, &passed, &error), LOOM_FAILED, &error, names[i]);
        }
        assert_int_equal(remove(path), 0);
        struct heard heard;
        struct loom_error error;
        bool passed;
        expect(verify(f.path, &heard, &passed, &error), LOOM_IO, &error, names[i]);
        free(data);
        free(path);
    }
    close_folder(&f);
}

/* ---- the references beside the project --------------------------------------------------------------------------- */

static void verify_fixture(const char *path, size_t *count) {
    char *reference = loom_path_join(path, "reference.safetensors");
    struct heard heard;
    struct loom_error error;
    bool passed;
    if (reference && loom_path_exists(reference)) {
        expect(verify(path, &heard, &passed, &error), LOOM_OK, &error, "");
        if (!passed)
            fail_msg("%s: %zu of %zu rows failed, the first is %s", path, heard.failed, heard.rows, heard.names[0]);
        ++*count;
    }
    free(reference);
}

/* Every folder below `path`, to any depth, that has a reference. */
static void verify_fixtures(const char *path, size_t *count) {
    char **names;
    size_t n;
    verify_fixture(path, count);
    assert_int_equal(loom_folder_list(path, &names, &n, NULL), LOOM_OK);
    for (size_t i = 0; i < n; i++) {
        char *below = loom_path_join(path, names[i]);
        assert_non_null(below);
        if (loom_path_is_folder(below))
            verify_fixtures(below, count);
        free(below);
    }
    loom_names_free(names, n);
}

static void test_fixtures(void **state) {
    const char *shared = getenv("LOOM_SHARED");
    char *path = loom_path_join(shared ? shared : "../shared", "fixtures");
    size_t count = 0;
    (void)state;
    assert_non_null(path);
    bool there = loom_path_is_folder(path);
    if (there)
        verify_fixtures(path, &count);
    free(path);
    if (!there)
        skip();
    assert_true(count > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true),      cmocka_unit_test(test_values),   cmocka_unit_test(test_ids),
        cmocka_unit_test(test_weights),   cmocka_unit_test(test_settings), cmocka_unit_test(test_optimizer_settings),
        cmocka_unit_test(test_shapes),    cmocka_unit_test(test_kinds),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_fixtures),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
