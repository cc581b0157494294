/* test_allocation.c - the n-th allocation fails, for every n, in whole operations from opening a file to training.
 *
 * The linker puts the functions below between the library and the allocator. An operation is repeated with its first
 * allocation refused, its second, and so on until it succeeds: once with that one refused alone, and once with all that
 * follow. Each time it must say so in a sentence, and give back everything it took. */
#include "tiny_model.h"

#include <jansson.h>

#include "data/tokens/tokens.h"
#include "generate/session.h"

/* ---- the allocator ----------------------------------------------------------------------------------------------- */

/* Counts every allocation of the library and of jansson; refuses some while it is armed. */
static struct {
    size_t live; /* allocated and not freed */
    size_t seen; /* asked for since it was armed */
    size_t nth;  /* the one to refuse; 0: none */
    bool all;    /* and those that follow */
    bool parsing;
    size_t refused;
} allocator;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *memory);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *memory);
json_t *__real_json_loadb(const char *data, size_t size, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *data, size_t size, size_t flags, json_error_t *error);
double __wrap_loom_kernels_cpu_peak(int threads, enum loom_precision precision);

static bool refused(void) {
    allocator.seen++;
    bool no =
        allocator.nth > 0 && (allocator.seen == allocator.nth || (allocator.all && allocator.seen > allocator.nth));
    allocator.refused += no;
    return no;
}

static void *counted(void *memory) {
    allocator.live += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size) {
    return refused() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return refused() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size) {
    if (refused())
        return NULL;
    void *moved = __real_realloc(memory, size);
    return memory ? moved : counted(moved);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return refused() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    if (refused())
        return 12; /* ENOMEM */
    int status = __real_posix_memalign(memory, alignment, size);
    allocator.live += status == 0;
    return status;
}

char *__wrap_strdup(const char *text) {
    return refused() ? NULL : counted(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size) {
    return refused() ? NULL : counted(__real_strndup(text, size));
}

void __wrap_free(void *memory) {
    allocator.live -= memory != NULL;
    __real_free(memory);
}

/* jansson 2.14 does not survive every refusal while it parses: its text buffer drops a character that it has no room
 * for, be it a string's last quote. A whole parse counts as one allocation here. */
static void *json_malloc(size_t size) {
    return counted(allocator.parsing || !refused() ? __real_malloc(size) : NULL);
}

json_t *__wrap_json_loadb(const char *data, size_t size, size_t flags, json_error_t *error) {
    if (refused()) {
        if (error)
            *error = (json_error_t){.line = -1}; /* as when its first allocation fails */
        return NULL;
    }
    allocator.parsing = true;
    json_t *json = __real_json_loadb(data, size, flags, error);
    allocator.parsing = false;
    return json;
}

/* Thousands of runs are started here: the machine is not measured in each. */
double __wrap_loom_kernels_cpu_peak(int threads, enum loom_precision precision) {
    (void)precision;
    return threads + 1e9;
}

/* ... and no file need outlive a power cut. */
int fsync(int descriptor) {
    (void)descriptor;
    return 0;
}

/* ---- the repetition ---------------------------------------------------------------------------------------------- */

typedef loom_status (*operation)(const char *folder, struct loom_error *error);

static void check_one(const char *name, operation run, const char *folder, size_t nth, bool all) {
    struct loom_error error = {""};
    size_t before = allocator.live;
    allocator.seen = allocator.refused = 0;
    allocator.all = all;
    allocator.nth = nth;
    loom_status status = run(folder, &error);
    allocator.nth = 0;
    if (allocator.live != before)
        fail_msg("%s: allocation %zu refused: %td blocks lost", name, nth, (ptrdiff_t)(allocator.live - before));
    if (status != LOOM_OK && error.text[0] == '\0')
        fail_msg("%s: allocation %zu refused: status %d without a sentence", name, nth, status);
    if (allocator.refused > 0 && (status == LOOM_OK || !strstr(error.text, "memory")))
        fail_msg("%s: allocation %zu refused: status %d, \"%s\"", name, nth, status, error.text);
    if (allocator.refused == 0 && status != LOOM_OK)
        fail_msg("%s: status %d without a refusal: %s", name, status, error.text);
}

/* `undo`, when not NULL, removes what a run may leave in the folder. */
static void check_all(const char *name, operation run, operation undo, const char *folder) {
    for (int all = 0; all < 2; all++) {
        size_t nth = 0;
        do {
            nth += all ? 1 + nth / 32 : 1; /* refused alone for every n, with all that follow for many */
            check_one(name, run, folder, nth, all != 0);
            if (undo)
                assert_int_equal(undo(folder, NULL), LOOM_OK);
        } while (allocator.refused > 0);
        assert_true(nth > 1); /* the operation does allocate */
    }
}

/* ---- what operations work on ------------------------------------------------------------------------------------- */

enum { SEQ = 6 };

static const char text[] = "the quick brown fox jumps over the lazy dog; then the dog, not lazy any more, jumps too.\n";

static char *input_path, *model_path, *tokens_path, *run_path;

static struct loom_config byte_config(void) {
    struct loom_config c = tiny_latent(LOOM_ARCHITECTURE_LOOM);
    c.vocab_size = 256;
    c.core_layers = 2;
    return c;
}

static void add_zeros(struct loom_tensor_source *t, const char *name, enum loom_dtype dtype, int rank,
                      const size_t *shape) {
    static const double zeros[512 * 64];
    *t = (struct loom_tensor_source){.name = name, .dtype = dtype, .rank = rank, .data = zeros};
    for (int i = 0; i < rank; i++)
        t->shape[i] = shape[i];
}

/* A reference of zeros: every row is wrong, and every comparison is made. */
static void write_reference(const char *folder) {
    static const struct loom_metadata adamw = {"adamw", "lr=1e-3 betas=(0.9,0.95) eps=1e-8 weight_decay=0.1"};
    const size_t ids[] = {1, SEQ}, logits[] = {1, SEQ, 256}, embed[] = {256, 16}, losses[] = {2};
    struct loom_tensor_source t[7];
    struct loom_error error;
    add_zeros(&t[0], "input_ids", LOOM_I64, 2, ids);
    add_zeros(&t[1], "target_ids", LOOM_I64, 2, ids);
    add_zeros(&t[2], "logits", LOOM_F32, 3, logits);
    add_zeros(&t[3], "logits_cached.loops_2", LOOM_F32, 3, logits);
    add_zeros(&t[4], "loss", LOOM_F32, 0, NULL);
    add_zeros(&t[5], "grad.embed.weight", LOOM_F32, 2, embed);
    add_zeros(&t[6], "adamw_losses", LOOM_F32, 1, losses);
    char *path = loom_path_join(folder, "reference.safetensors");
    expect(loom_safetensors_write(path, t, 7, &adamw, 1, &error), LOOM_OK, &error, "");
    free(path);
}

static loom_status prepare_into(const char *out, const char *tokenizer, struct loom_error *error) {
    struct loom_prepare_result result;
    const char *inputs[] = {input_path};
    struct loom_prepare_options options = {
        .tokenizer = tokenizer, .out = out, .inputs = inputs, .n_inputs = 1, .val_fraction = 0.3};
    return loom_prepare(&options, &result, error);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static loom_status open_weights(const char *folder, struct loom_error *error) {
    struct loom_safetensors file;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, LOOM_WEIGHTS_FILE);
    loom_status status = loom_safetensors_open(path, &file, error);
    if (status == LOOM_OK)
        loom_safetensors_close(&file);
    return status;
}

static loom_status open_model(const char *folder, struct loom_error *error) {
    struct loom_model *model;
    loom_status status = loom_model_open(folder, 1, &model, error);
    assert_int_equal(status == LOOM_OK, model != NULL);
    loom_model_free(model);
    return status;
}

/* Generation, with the model open before. */
static struct loom_model *opened;

static loom_status generate(const char *folder, struct loom_error *error) {
    struct loom_generate_result result;
    struct loom_generate_options options = {.prompt = "a", .max_tokens = 3, .loops = 4};
    (void)folder;
    return loom_generate(opened, &options, &result, error);
}

/* No prompt: the text begins as after a line's end, or not at all. */
static loom_status generate_freely(const char *folder, struct loom_error *error) {
    struct loom_generate_result result;
    struct loom_generate_options options = {.max_tokens = 1};
    (void)folder;
    return loom_generate(opened, &options, &result, error);
}

/* A tokenizer keeps its threads and their encoders until it is freed. */
static loom_status encode(const char *folder, struct loom_error *error) {
    const struct loom_encode_options options = {.threads = 2};
    struct loom_tokenizer *tokenizer;
    loom_status status = loom_tokenizer_open(folder, &tokenizer, error);
    for (int i = 0; status == LOOM_OK && i < 2; i++) {
        int *tokens;
        size_t count;
        status = loom_tokenizer_encode_with(tokenizer, text, sizeof text - 1, &options, &tokens, &count, error);
        free(tokens);
    }
    if (tokenizer)
        loom_tokenizer_free(tokenizer);
    return status;
}

static loom_status open_session(const char *folder, struct loom_error *error) {
    static const int tokens[] = {1, 2, 3};
    struct loom_session *session;
    const float *logits;
    (void)folder;
    loom_status status = loom_session_open(opened, 0, &session, error);
    if (status == LOOM_OK)
        status = loom_session_sync(session, tokens, 3, &logits, error);
    loom_session_free(session);
    return status;
}

static loom_status verify(const char *folder, struct loom_error *error) {
    bool passed;
    return loom_verify(folder, &(struct loom_verify_options){.threads = 1}, NULL, NULL, &passed, error);
}

static loom_status prepare_bytes(const char *folder, struct loom_error *error) {
    return prepare_into(folder, "byte", error);
}

static loom_status prepare_characters(const char *folder, struct loom_error *error) {
    return prepare_into(folder, "char", error);
}

static loom_status open_tokens(const char *folder, struct loom_error *error) {
    struct loom_tokens *tokens;
    loom_status status = loom_tokens_open(folder, &tokens, error);
    if (status == LOOM_OK)
        loom_tokens_free(tokens);
    return status;
}

static loom_status train_steps(const char *folder, uint64_t steps, bool resume, struct loom_error *error) {
    static const struct loom_setting settings[] = {
        {"dim", "8"},         {"n_heads", "2"},       {"n_kv_heads", "1"},    {"n_experts", "2"},
        {"expert_dim", "3"},  {"max_seq_len", "8"},   {"lora_rank", "1"},     {"max_loop_iters", "2"},
        {"batch_size", "2"},  {"sample_tokens", "2"}, {"eval_interval", "1"}, {"prelude_layers", "0"},
        {"coda_layers", "0"},
    };
    struct loom_train_result result;
    const char *data[] = {tokens_path};
    struct loom_train_options options = {.data = data,
                                         .n_data = 1,
                                         .out = folder,
                                         .settings = settings,
                                         .n_settings = sizeof settings / sizeof settings[0],
                                         .steps = steps,
                                         .resume = resume,
                                         .threads = 1};
    return loom_train(&options, &result, error);
}

static loom_status train(const char *folder, struct loom_error *error) {
    return train_steps(folder, 1, false, error);
}

static loom_status resume(const char *folder, struct loom_error *error) {
    return train_steps(folder, 1, true, error);
}

static loom_status report(const char *folder, struct loom_error *error) {
    return loom_report(folder, error);
}

static loom_status evaluate(const char *folder, struct loom_error *error) {
    struct loom_evaluate_result result;
    struct loom_evaluate_options options = {.data = folder};
    return loom_evaluate(opened, &options, &result, error);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_model(void **state) {
    (void)state;
    check_all("safetensors", open_weights, NULL, model_path);
    check_all("model", open_model, NULL, model_path);
}

static void test_generation(void **state) {
    struct loom_error error;
    (void)state;
    check_all("encode", encode, NULL, "byte");
    expect(generate(NULL, &error), LOOM_OK, &error, ""); /* from here on the model's tokenizer has its encoder */
    check_all("session", open_session, NULL, model_path);
    check_all("generate", generate, NULL, model_path);
    check_all("generate without a prompt", generate_freely, NULL, model_path);
}

static void test_verification(void **state) {
    (void)state;
    check_all("verify", verify, NULL, model_path);
}

/* A failed preparation leaves nothing, neither the folder nor a temporary one. */
static void test_preparation(void **state) {
    char *out = scratch_path(*state, "prepared");
    size_t before = scratch_count(*state);
    check_all("prepare bytes", prepare_bytes, loom_folder_remove, out);
    check_all("prepare characters", prepare_characters, loom_folder_remove, out);
    assert_int_equal(scratch_count(*state), before);
    check_all("tokens", open_tokens, NULL, tokens_path);
    free(out);
}

static void test_training(void **state) {
    char *out = scratch_path(*state, "trained");
    check_all("train", train, loom_folder_remove, out);
    free(out);
}

static void test_run(void **state) {
    (void)state;
    check_all("resume", resume, NULL, run_path);
    check_all("model of a run", open_model, NULL, run_path);
    check_all("evaluate", evaluate, NULL, tokens_path);
    check_all("report", report, NULL, run_path);
}

static int set_up(void **state) {
    struct loom_error error;
    struct tiny m;
    struct loom_config config = byte_config();
    json_set_alloc_funcs(json_malloc, __wrap_free);
    if (scratch_create(state))
        return -1;
    input_path = scratch_write(*state, "input.txt", text, sizeof text - 1);
    model_path = scratch_path(*state, "model");
    tokens_path = scratch_path(*state, "tokens");
    run_path = scratch_path(*state, "run");
    tiny_open(&m, &config, loom_kernels_ref(), 1, 1, SEQ);
    tiny_folder_write(model_path, &m.net, m.weights);
    tiny_folder_tokenizer(model_path);
    write_reference(model_path);
    tiny_close(&m);
    expect(prepare_into(tokens_path, "byte", &error), LOOM_OK, &error, "");
    expect(train_steps(run_path, 1, false, &error), LOOM_OK, &error, "");
    expect(loom_model_open(model_path, 1, &opened, &error), LOOM_OK, &error, "");
    return 0;
}

static int tear_down(void **state) {
    loom_model_free(opened);
    free(input_path);
    free(model_path);
    free(tokens_path);
    free(run_path);
    return scratch_remove(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),       cmocka_unit_test(test_generation), cmocka_unit_test(test_verification),
        cmocka_unit_test(test_preparation), cmocka_unit_test(test_training),   cmocka_unit_test(test_run),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
