/* test_batch.c - batches: random windows are nanoGPT's; a shuffled epoch has every token once; ranks share a batch
 * whose bits do not depend on their number; mixtures keep their proportions to the sample; validation has every token
 * once; and all of it is a function of the sample's number alone. */
#include <math.h>

#include "token_folder.h"

#include "data/tokens/batch.h"

enum { FOLDERS_MAX = 3 };

/* A corpus of byte tokens, made by hand. Folder f's ids lie in [f*80, f*80 + 80), so that an id tells its folder. */
struct scene {
    struct loom_corpus corpus;
    struct loom_tokenizer *tokenizer;
    struct token_text train[FOLDERS_MAX], val[FOLDERS_MAX];
    char *paths[FOLDERS_MAX];
    size_t n;
};

static void add_folder(struct scene *s, void *scratch, size_t train, size_t val, double begins, size_t shard) {
    const char name[] = {"ABC"[s->n], 0};
    struct token_text *texts[] = {&s->train[s->n], &s->val[s->n]};
    if (!s->tokenizer)
        assert_int_equal(loom_tokenizer_byte(&s->tokenizer, NULL), LOOM_OK);
    *texts[0] = token_text_random(2 * s->n, train, 80, begins);
    *texts[1] = token_text_random(2 * s->n + 1, val, 80, begins);
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; i < texts[t]->count; i++)
            texts[t]->ids[i] += (int)(80 * s->n);
    s->paths[s->n] = token_folder_write(scratch, name, s->tokenizer, texts[0], texts[1], shard);
    s->n++;
}

static void open_corpus(struct scene *s, const double *mix) {
    struct loom_error error;
    expect(loom_corpus_open((const char *const *)s->paths, mix, s->n, &s->corpus, &error), LOOM_OK, &error, "");
}

static void close_scene(struct scene *s) {
    loom_corpus_close(&s->corpus);
    loom_tokenizer_free(s->tokenizer);
    for (size_t i = 0; i < s->n; i++) {
        assert_int_equal(loom_folder_remove(s->paths[i], NULL), LOOM_OK);
        free(s->paths[i]);
        token_text_free(&s->train[i]);
        token_text_free(&s->val[i]);
    }
    *s = (struct scene){.n = 0};
}

static struct loom_batch open_batch(size_t rows, size_t seq_len) {
    struct loom_batch batch;
    assert_int_equal(loom_batch_open(&batch, rows, seq_len, true, NULL), LOOM_OK);
    return batch;
}

static void draw(const struct loom_batches *b, uint64_t sample, size_t rows, const struct loom_batch *batch) {
    struct loom_error error;
    expect(loom_batches_draw(b, sample, rows, batch, &error), LOOM_OK, &error, "");
}

/* Where in folder f's training text a row's inputs lie: found by the ids, of which few runs are alike. */
static size_t find_start(const struct token_text *text, const int *inputs, size_t seq_len) {
    const size_t ring = text->count - 1;
    for (size_t start = 0; start < ring; start++) {
        size_t i = 0;
        while (i < seq_len && text->ids[(start + i) % ring] == inputs[i])
            i++;
        if (i == seq_len)
            return start;
    }
    fail_msg("a row that is nowhere in the text");
    return 0;
}

/* Targets are the next tokens, and first keys the documents', in a row that begins at `start` of the ring. */
static void check_row(const struct token_text *text, size_t start, const struct loom_batch *batch, size_t at,
                      size_t seq_len) {
    const size_t ring = text->count - 1;
    for (size_t i = 0, begin = 0; i < seq_len; i++) {
        const size_t place = (start + i) % ring;
        begin = text->begins[place] || (i > 0 && place == 0) ? i : begin;
        assert_int_equal(batch->inputs[at + i], text->ids[place]);
        assert_int_equal(batch->targets[at + i], text->ids[place + 1]);
        assert_int_equal(batch->first[at + i], begin);
    }
}

/* ---- random ------------------------------------------------------------------------------------------------------ */

static void test_random(void **state) {
    enum { TRAIN = 900, B = 3, T = 17, STEPS = 200, SEED = 5 };
    struct scene s = {.n = 0};
    struct loom_batches b;
    add_folder(&s, *state, TRAIN, 100, 0.05, 64);
    open_corpus(&s, NULL);
    loom_batches_init(&b, &s.corpus, T, LOOM_SAMPLING_RANDOM, SEED);
    struct loom_batch batch = open_batch(B, T);
    for (uint64_t step = 0; step < STEPS; step++) {
        draw(&b, step * B, B, &batch);
        for (uint64_t row = 0; row < B; row++) {
            const struct loom_random stream = {SEED, LOOM_RANDOM_BATCH};
            uint64_t start = loom_random_below(stream, step * B + row, TRAIN - T);
            check_row(&s.train[0], start, &batch, row * T, T);
        }
    }
    loom_batch_close(&batch);
    close_scene(&s);
}

static void test_too_little(void **state) {
    struct scene s = {.n = 0};
    struct loom_batches b;
    struct loom_error error;
    add_folder(&s, *state, 9, 1, 0, 100);
    open_corpus(&s, NULL);
    expect(loom_batches_check(&s.corpus, 9, &error), LOOM_INVALID, &error,
           "A: the training split has 9 tokens; windows of 9 and their next token need 10");
    expect(loom_batches_check(&s.corpus, 0, &error), LOOM_INVALID, &error, "windows of 0");
    expect(loom_batches_check(&s.corpus, 8, &error), LOOM_INVALID, &error, "validation split has 1 tokens");
    s.corpus.folders[0].tokens->counts[LOOM_SPLIT_VAL] = 2; /* the check alone, without its data */
    assert_int_equal(loom_batches_check(&s.corpus, 8, NULL), LOOM_OK);
    struct loom_batch batch = open_batch(1, 8);
    for (int sampling = LOOM_SAMPLING_RANDOM; sampling <= LOOM_SAMPLING_SHUFFLE; sampling++) {
        loom_batches_init(&b, &s.corpus, 8, sampling, 1);
        draw(&b, 0, 1, &batch); /* the one window there is, from the first token or round the ring */
        check_row(&s.train[0], sampling ? find_start(&s.train[0], batch.inputs, 8) : 0, &batch, 0, 8);
    }
    loom_batch_close(&batch);
    close_scene(&s);
}

/* ---- shuffle ----------------------------------------------------------------------------------------------------- */

/* Adds to `seen` the places of the ring that an epoch's windows hold; returns the order's first starts. */
static void draw_epoch(const struct scene *s, const struct loom_batches *b, uint64_t epoch, int *seen, size_t *starts) {
    const size_t T = b->seq_len, ring = s->train[0].count - 1, windows = ring / T;
    struct loom_batch batch = open_batch(1, T);
    for (uint64_t i = 0; i < windows; i++) {
        draw(b, epoch * windows + i, 1, &batch);
        size_t start = find_start(&s->train[0], batch.inputs, T);
        check_row(&s->train[0], start, &batch, 0, T);
        for (size_t j = 0; j < T; j++)
            seen[(start + j) % ring]++;
        starts[i] = start;
    }
    loom_batch_close(&batch);
}

/* Every token that has a next one is an input once an epoch, but for what does not fill a window. */
static void check_epochs(void *scratch, size_t train, size_t seq_len, size_t shard) {
    struct scene s = {.n = 0};
    struct loom_batches b;
    add_folder(&s, scratch, train, 10, 0.05, shard);
    open_corpus(&s, NULL);
    loom_batches_init(&b, &s.corpus, seq_len, LOOM_SAMPLING_SHUFFLE, train);
    const size_t ring = train - 1, windows = ring / seq_len;
    size_t *starts[2], same = 0;
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        int *seen = calloc(ring, sizeof *seen);
        starts[epoch] = calloc(windows, sizeof *starts[epoch]);
        draw_epoch(&s, &b, epoch, seen, starts[epoch]);
        size_t once = 0;
        for (size_t i = 0; i < ring; i++) {
            assert_true(seen[i] <= 1);
            once += seen[i] == 1;
        }
        assert_int_equal(once, windows * seq_len);
        free(seen);
    }
    for (size_t i = 0; i < windows; i++)
        same += starts[0][i] == starts[1][i];
    assert_true(windows < 10 || same < windows / 2); /* another order */
    free(starts[0]);
    free(starts[1]);
    close_scene(&s);
}

static void test_epochs(void **state) {
    /* The first has no rest; the second is one window; the last two cross many shards. */
    static const size_t cases[][3] = {{1001, 10, 300}, {40, 39, 100}, {500, 7, 100}, {613, 64, 5}, {850, 33, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_epochs(*state, cases[i][0], cases[i][1], cases[i][2]);
}

/* ---- ranks and steps --------------------------------------------------------------------------------------------- */

/* Rows of any rank of any world, drawn by themselves in any order, are those of the whole batch. */
static void test_ranks(void **state) {
    enum { GLOBAL = 13, T = 9 };
    struct scene s = {.n = 0};
    add_folder(&s, *state, 400, 10, 0.05, 64);
    add_folder(&s, *state, 300, 10, 0.05, 64);
    open_corpus(&s, NULL);
    s.corpus.folders[0].tokens->large = true; /* fetched before it is read, which changes nothing */
    struct loom_batch whole = open_batch(GLOBAL, T), part = open_batch(GLOBAL, T);
    for (int sampling = LOOM_SAMPLING_RANDOM; sampling <= LOOM_SAMPLING_SHUFFLE; sampling++)
        for (uint64_t step = 40; step-- > 0;) {
            struct loom_batches b;
            loom_batches_init(&b, &s.corpus, T, sampling, 3);
            draw(&b, step * GLOBAL, GLOBAL, &whole);
            for (size_t world = 1; world <= 5; world++)
                for (size_t rank = 0, next = 0; rank < world; rank++) {
                    struct loom_rows rows = loom_batches_share(GLOBAL, rank, world);
                    const size_t at = rows.first * T, bytes = rows.count * T * sizeof(int);
                    assert_int_equal(rows.first, next);
                    assert_true(rows.count == GLOBAL / world || rows.count == GLOBAL / world + 1);
                    draw(&b, step * GLOBAL + rows.first, rows.count, &part);
                    assert_memory_equal(part.inputs, whole.inputs + at, bytes);
                    assert_memory_equal(part.targets, whole.targets + at, bytes);
                    assert_memory_equal(part.first, whole.first + at, bytes);
                    next += rows.count;
                    assert_true(rank + 1 < world || next == GLOBAL);
                }
        }
    loom_batch_close(&whole);
    loom_batch_close(&part);
    close_scene(&s);
}

/* ---- mixtures ---------------------------------------------------------------------------------------------------- */

static void check_slots(const struct scene *s, const int want[FOLDERS_MAX]) {
    struct loom_batches b;
    int count[FOLDERS_MAX] = {0};
    loom_batches_init(&b, &s->corpus, 1, LOOM_SAMPLING_RANDOM, 9);
    struct loom_batch batch = open_batch(1, 1);
    for (uint64_t sample = 0; sample < LOOM_MIX_SLOTS; sample++) {
        draw(&b, 7 * LOOM_MIX_SLOTS + sample, 1, &batch);
        count[batch.inputs[0] / 80]++;
    }
    for (size_t f = 0; f < s->n; f++) {
        assert_int_equal(s->corpus.folders[f].slots, want[f]);
        assert_int_equal(count[f], want[f]);
    }
    loom_batch_close(&batch);
}

static void test_shares(void **state) {
    static const struct {
        double mix[FOLDERS_MAX];
        int slots[FOLDERS_MAX];
    } cases[] = {
        {{1, 1, 2}, {1024, 1024, 2048}},
        {{0.7, 0.2, 0.1}, {2867, 819, 410}}, /* 2867.2, 819.2, 409.6 */
        {{1, 1, 1}, {1366, 1365, 1365}},
        {{1e9, 1e9, 4e5}, {2047, 2048, 1}}, /* 2047.590, 2047.590, 0.819: the last and the first have it */
        {{1e-12, 3e-12, 4e-12}, {512, 1536, 2048}},
    };
    struct scene s = {.n = 0};
    struct loom_error error;
    add_folder(&s, *state, 100, 10, 0, 64);
    add_folder(&s, *state, 200, 10, 0, 64);
    add_folder(&s, *state, 100, 10, 0, 64);
    open_corpus(&s, NULL); /* by tokens */
    check_slots(&s, (const int[]){1024, 2048, 1024});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loom_corpus_close(&s.corpus);
        open_corpus(&s, cases[i].mix);
        if (i == 3) { /* equal remainders: the first folder is served first */
            assert_int_equal(s.corpus.folders[2].slots, 1);
            assert_int_equal(s.corpus.folders[0].slots + s.corpus.folders[1].slots, LOOM_MIX_SLOTS - 1);
        } else
            check_slots(&s, cases[i].slots);
    }
    loom_corpus_close(&s.corpus);
    static const double bad[][FOLDERS_MAX] = {{1, 0, 1}, {1, -1, 1}, {1, (double)NAN, 1}, {1, 1, (double)INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect(loom_corpus_open((const char *const *)s.paths, bad[i], 3, &s.corpus, &error), LOOM_INVALID, &error,
               "its weight must be above 0, not");
    expect(loom_corpus_open((const char *const *)s.paths, (const double[]){1, 1e-5, 1}, 3, &s.corpus, &error),
           LOOM_INVALID, &error, "B: its weight of 1e-05 in 2.00001 comes to less than one window in 4096");
    close_scene(&s);
}

/* In a mixture each folder gives its own sequence, as if it were alone: an epoch of it has every window once. */
static void test_mixed_epochs(void **state) {
    enum { T = 10, SAMPLES = 40000 };
    static const double mix[] = {0.8, 0.15, 0.05};
    struct scene s = {.n = 0};
    struct loom_batches b;
    size_t drawn[FOLDERS_MAX] = {0};
    int *seen[FOLDERS_MAX];
    add_folder(&s, *state, 301, 10, 0.05, 64);
    add_folder(&s, *state, 155, 10, 0.05, 64);
    add_folder(&s, *state, 401, 10, 0.05, 64);
    open_corpus(&s, mix);
    loom_batches_init(&b, &s.corpus, T, LOOM_SAMPLING_SHUFFLE, 4);
    struct loom_batch batch = open_batch(1, T);
    for (size_t f = 0; f < s.n; f++)
        seen[f] = calloc(s.train[f].count, sizeof(int));
    for (uint64_t sample = 0; sample < SAMPLES; sample++) {
        draw(&b, sample, 1, &batch);
        size_t f = (size_t)batch.inputs[0] / 80, ring = s.train[f].count - 1, windows = ring / T;
        size_t start = find_start(&s.train[f], batch.inputs, T);
        for (size_t i = 0; i < T; i++)
            assert_int_equal(seen[f][(start + i) % ring]++, 0); /* not twice in an epoch */
        if (++drawn[f] % windows == 0)
            memset(seen[f], 0, ring * sizeof(int));
    }
    for (size_t f = 0; f < s.n; f++) {
        double want = SAMPLES * mix[f], period = LOOM_MIX_SLOTS; /* off by a slot a period, and one period's order */
        assert_true(fabs((double)drawn[f] - want) <= SAMPLES / period + period * mix[f]);
        assert_true(drawn[f] > 3 * ((s.train[f].count - 1) / T));
        free(seen[f]);
    }
    loom_batch_close(&batch);
    close_scene(&s);
}

static void test_other_tokenizer(void **state) {
    struct scene s = {.n = 0};
    struct loom_error error;
    struct loom_characters *characters = calloc(1, sizeof *characters);
    assert_non_null(characters);
    add_folder(&s, *state, 100, 10, 0, 64);
    struct loom_tokenizer *byte = s.tokenizer;
    for (int c = 1; c <= 256; c++) /* as many tokens, with other texts */
        characters->bits[c / 64] |= (uint64_t)1 << (c % 64);
    assert_int_equal(loom_tokenizer_char(characters, &s.tokenizer, NULL), LOOM_OK);
    add_folder(&s, *state, 100, 10, 0, 64);
    expect(loom_corpus_open((const char *const *)s.paths, NULL, 2, &s.corpus, &error), LOOM_INVALID, &error,
           "B: its token 0 is another text than in ");
    loom_tokenizer_free(s.tokenizer);
    characters->bits[4] |= 2;
    assert_int_equal(loom_tokenizer_char(characters, &s.tokenizer, NULL), LOOM_OK);
    add_folder(&s, *state, 100, 10, 0, 64);
    const char *paths[] = {s.paths[0], s.paths[2]};
    expect(loom_corpus_open(paths, NULL, 2, &s.corpus, &error), LOOM_INVALID, &error,
           "C: its vocabulary of 257 tokens is not the 256 of ");
    loom_tokenizer_free(byte);
    free(characters);
    close_scene(&s);
}

/* A run's record: the same corpus meets it, another does not. */
static void test_record(void **state) {
    struct scene s = {.n = 0};
    struct loom_error error;
    double mix[2];
    add_folder(&s, *state, 100, 10, 0, 64);
    add_folder(&s, *state, 200, 10, 0, 64);
    open_corpus(&s, (const double[]){0.7, 0.3});
    json_t *record = loom_corpus_record(&s.corpus);
    assert_int_equal(loom_corpus_check_record(&s.corpus, record, "run", NULL), LOOM_OK);
    assert_true(loom_corpus_recorded_mix(record, 2, mix));
    assert_false(loom_corpus_recorded_mix(record, 1, mix));
    loom_corpus_close(&s.corpus);
    open_corpus(&s, mix);
    assert_int_equal(loom_corpus_check_record(&s.corpus, record, "run", NULL), LOOM_OK);
    loom_corpus_close(&s.corpus);
    open_corpus(&s, NULL);
    expect(loom_corpus_check_record(&s.corpus, record, "run", &error), LOOM_INVALID, &error,
           "its share of the run run is 0.699951, not 0.33");
    loom_corpus_close(&s.corpus);
    const char *turned[] = {s.paths[1], s.paths[0]};
    assert_int_equal(loom_corpus_open(turned, mix, 2, &s.corpus, NULL), LOOM_OK);
    expect(loom_corpus_check_record(&s.corpus, record, "run", &error), LOOM_INVALID, &error,
           "B: these are not the tokens that the run run began with");
    loom_corpus_close(&s.corpus);
    assert_int_equal(loom_corpus_open(turned, NULL, 1, &s.corpus, NULL), LOOM_OK);
    expect(loom_corpus_check_record(&s.corpus, record, "run", &error), LOOM_INVALID, &error,
           "the run run began with 2 token folders, not 1");
    json_decref(record);
    close_scene(&s);
}

/* ---- broken data ------------------------------------------------------------------------------------------------- */

/* What goes wrong on the disk after the folder was opened is found by whoever draws it. */
static void test_broken_later(void **state) {
    enum { T = 10 };
    struct scene s = {.n = 0};
    struct loom_batches b;
    struct loom_error error;
    add_folder(&s, *state, 100, 10, 0, 1000);
    open_corpus(&s, NULL);
    loom_batches_init(&b, &s.corpus, T, LOOM_SAMPLING_SHUFFLE, 1);
    char *path = scratch_path(s.paths[0], "train-00000.bin");
    FILE *stream = fopen(path, "r+b");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 2 * 50, SEEK_SET), 0);
    assert_int_equal(fwrite("\1\1", 1, 2, stream), 2);
    assert_int_equal(fclose(stream), 0);
    struct loom_batch batch = open_batch(9, T);
    expect(loom_batches_draw(&b, 0, 9, &batch, &error), LOOM_FAILED, &error,
           "train-00000.bin: token 50 is 257, outside the vocabulary of 256");
    loom_batch_close(&batch);
    free(path);
    close_scene(&s);
}

/* ---- validation -------------------------------------------------------------------------------------------------- */

/* Every validation token but the first is a target exactly once, behind the token before it. */
static void check_validation(const struct loom_tokens *tokens, const struct token_text *val, size_t size,
                             size_t seq_len) {
    uint64_t windows = loom_validation_windows(tokens, seq_len);
    size_t position = 0, total = 0, count, predicted = val->count - 1;
    struct loom_batch batch = open_batch(size, seq_len);
    assert_int_equal(windows, (predicted - 1) / seq_len + 1);
    for (uint64_t index = 0; index * size < windows; index++) {
        assert_int_equal(loom_validation_get(tokens, index, size, seq_len, &batch, &count, NULL), LOOM_OK);
        total += count;
        for (size_t i = 0, begin = 0; i < size * seq_len; i++) {
            size_t place = i % seq_len;
            bool real_token = position < predicted;
            begin = place == 0 || (real_token && val->begins[position]) ||
                            (!real_token && position == predicted && batch.targets[i - 1] >= 0)
                        ? place
                        : begin;
            assert_int_equal(batch.inputs[i], real_token ? val->ids[position] : 0);
            assert_int_equal(batch.targets[i], real_token ? val->ids[position + 1] : -1);
            assert_int_equal(batch.first[i], begin);
            position += real_token;
        }
    }
    assert_int_equal(total, predicted);
    assert_int_equal(position, predicted);
    loom_batch_close(&batch);
}

static void test_validation(void **state) {
    static const size_t shapes[][2] = {{1, 1}, {1, 7}, {3, 7}, {4, 33}, {2, 99}, {1, 100}, {5, 899}};
    struct scene s = {.n = 0};
    add_folder(&s, *state, 20, 100, 0.1, 13);
    open_corpus(&s, NULL);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_validation(s.corpus.folders[0].tokens, &s.val[0], shapes[i][0], shapes[i][1]);
    close_scene(&s);
    for (size_t count = 0; count < 2; count++) {
        add_folder(&s, *state, 20, count, 0.1, 13);
        open_corpus(&s, NULL);
        assert_int_equal(loom_validation_windows(s.corpus.folders[0].tokens, 7), 0);
        close_scene(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_too_little, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_epochs, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_ranks, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_shares, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_mixed_epochs, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_other_tokenizer, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_record, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_broken_later, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_validation, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
