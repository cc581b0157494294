/* test_muon.c - the orthogonal step: what it does to singular values, to blocks, to rows, and to what it leaves alone.
 */
#include "tiny.h"

#include "train/muon.h"
#include "train/optimizer.h"
#include "train/schedule.h"

enum { WIDE_ROWS = 12, WIDE_COLS = 20, TALL_ROWS = 18, TALL_COLS = 6 };

static const struct loom_recipe recipe_of_one_step = {.optimizer = LOOM_OPTIMIZER_MUON,
                                                      .learning_rate = 0.01,
                                                      .beta1 = 0.9,
                                                      .beta2 = 0.99,
                                                      .epsilon = 1e-8,
                                                      .muon_lr = 1,
                                                      .muon_iterations = LOOM_MUON_ITERATIONS_MAX};

struct scene {
    const struct loom_kernels *k;
    struct loom_tensors table;
    struct loom_optimizer optimizer;
    real *weights, *gradients;
};

/* A wide and a tall matrix, an embedding and a vector, with random gradients and weights of 0. */
static void open_scene(struct scene *s, const struct loom_recipe *recipe) {
    struct loom_error error;
    const struct loom_random stream = {3, LOOM_RANDOM_TEST};
    *s = (struct scene){.k = loom_kernels_ref()};
    loom_tensors_add(&s->table, (struct loom_tensor_spec){.rows = WIDE_ROWS, .cols = WIDE_COLS}, "", "wide");
    loom_tensors_add(&s->table, (struct loom_tensor_spec){.rows = TALL_ROWS, .cols = TALL_COLS}, "", "tall");
    loom_tensors_add(&s->table, (struct loom_tensor_spec){.rows = 5, .cols = 3, .kind = LOOM_TENSOR_EMBEDDING}, "",
                     "embedding");
    loom_tensors_add(&s->table, (struct loom_tensor_spec){.cols = 7}, "", "vector");
    s->weights = test_calloc(s->table.elements, sizeof(real));
    s->gradients = test_calloc(s->table.elements, sizeof(real));
    for (size_t i = 0; i < s->table.elements; i++)
        s->gradients[i] = (real)(1e-3 * loom_random_normal(stream, i));
    assert_int_equal(loom_optimizer_open(&s->optimizer, s->k, &s->table, recipe, &error), LOOM_OK);
}

static void close_scene(struct scene *s) {
    loom_optimizer_close(&s->optimizer);
    loom_tensors_free(&s->table);
    test_free(s->weights);
    test_free(s->gradients);
}

static const real *tensor(const struct scene *s, const real *block, const char *name) {
    const struct loom_tensor *t = loom_tensors_find(&s->table, name);
    assert_non_null(t);
    return block + t->offset;
}

/* Rows of a matrix are orthonormal to within what the polynomials leave of small singular values. */
static void assert_orthonormal(const real *rows, size_t count, size_t cols) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j <= i; j++) {
            double dot = 0;
            for (size_t c = 0; c < cols; c++)
                dot += (double)rows[i * cols + c] * (double)rows[j * cols + c];
            if (fabs(dot - (i == j ? 1 : 0)) > 0.3)
                fail_msg("rows %zu and %zu: product %g", i, j, dot);
        }
}

static void test_wide(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, &recipe_of_one_step);
    loom_optimizer_update(&s.optimizer, &recipe_of_one_step, 0.01, 1, s.weights, s.gradients);
    const real *w = tensor(&s, s.weights, "wide"), *g = tensor(&s, s.gradients, "wide");
    assert_orthonormal(w, WIDE_ROWS, WIDE_COLS);
    double along = 0;
    for (size_t i = 0; i < WIDE_ROWS * WIDE_COLS; i++)
        along += (double)w[i] * (double)g[i];
    assert_true(along < 0); /* downhill */
    close_scene(&s);
}

/* Columns become orthogonal, and as long as the rows of a wide matrix would be: sqrt(rows / cols). */
static void test_tall(void **state) {
    (void)state;
    struct scene s;
    open_scene(&s, &recipe_of_one_step);
    loom_optimizer_update(&s.optimizer, &recipe_of_one_step, 0.01, 1, s.weights, s.gradients);
    const real *w = tensor(&s, s.weights, "tall");
    real columns[TALL_COLS * TALL_ROWS];
    for (size_t r = 0; r < TALL_ROWS; r++)
        for (size_t c = 0; c < TALL_COLS; c++)
            columns[c * TALL_ROWS + r] = w[r * TALL_COLS + c] / (real)sqrt((double)TALL_ROWS / TALL_COLS);
    assert_orthonormal(columns, TALL_COLS, TALL_ROWS);
    close_scene(&s);
}

/* Cut into blocks, each block is orthonormal by itself, and what one block holds does not reach another. */
static void test_blocks(void **state) {
    (void)state;
    struct loom_recipe recipe = recipe_of_one_step;
    struct scene a, b;
    recipe.muon_block = 5; /* 12 rows: three blocks of 4 */
    open_scene(&a, &recipe);
    open_scene(&b, &recipe);
    for (size_t i = 4 * WIDE_COLS; i < 8 * WIDE_COLS; i++)
        b.gradients[i] *= (real)i;
    loom_optimizer_update(&a.optimizer, &recipe, 0.01, 1, a.weights, a.gradients);
    loom_optimizer_update(&b.optimizer, &recipe, 0.01, 1, b.weights, b.gradients);
    for (size_t block = 0; block < 3; block++)
        assert_orthonormal(a.weights + block * 4 * WIDE_COLS, 4, WIDE_COLS);
    assert_memory_equal(a.weights, b.weights, 4 * WIDE_COLS * sizeof(real));
    assert_memory_equal(a.weights + 8 * WIDE_COLS, b.weights + 8 * WIDE_COLS, 4 * WIDE_COLS * sizeof(real));
    assert_memory_not_equal(a.weights + 4 * WIDE_COLS, b.weights + 4 * WIDE_COLS, 4 * WIDE_COLS * sizeof(real));
    close_scene(&a);
    close_scene(&b);
}

/* With second moments that remember nothing every row is equally long, and the whole as long as before. */
static void test_rows(void **state) {
    (void)state;
    struct loom_recipe recipe = recipe_of_one_step;
    struct scene s;
    recipe.muon_beta2 = 1e-9;
    recipe.muon_iterations = 1; /* rows that still differ */
    open_scene(&s, &recipe);
    loom_optimizer_update(&s.optimizer, &recipe, 0.01, 1, s.weights, s.gradients);
    const real *w = tensor(&s, s.weights, "wide");
    double first = s.k->sum_squares(s.k, w, WIDE_COLS);
    for (size_t r = 1; r < WIDE_ROWS; r++)
        assert_true(fabs(s.k->sum_squares(s.k, w + r * WIDE_COLS, WIDE_COLS) - first) < 1e-4 * first);
    close_scene(&s);
}

/* Embeddings and vectors go the way of AdamW: the first step of each element is its learning rate. */
static void test_rest(void **state) {
    (void)state;
    struct loom_recipe recipe = recipe_of_one_step;
    struct scene s;
    recipe.embedding_lr = 0.5;
    open_scene(&s, &recipe);
    loom_optimizer_update(&s.optimizer, &recipe, 0.001, 1, s.weights, s.gradients); /* a tenth of the highest rate */
    for (size_t i = 0; i < 15; i++)
        assert_true(fabs(fabs((double)tensor(&s, s.weights, "embedding")[i]) - 0.05) < 1e-4);
    for (size_t i = 0; i < 7; i++)
        assert_true(fabs(fabs((double)tensor(&s, s.weights, "vector")[i]) - 0.001) < 1e-5);
    close_scene(&s);
}

/* Decay shrinks what the update does not want to grow. */
static void test_decay(void **state) {
    (void)state;
    struct loom_recipe recipe = recipe_of_one_step;
    struct scene plain, decayed;
    open_scene(&plain, &recipe);
    recipe.muon_decay = 0.1;
    recipe.muon_cautious = true;
    open_scene(&decayed, &recipe);
    for (size_t i = 0; i < WIDE_ROWS * WIDE_COLS; i++)
        plain.weights[i] = decayed.weights[i] = 1;
    loom_optimizer_update(&plain.optimizer, &recipe_of_one_step, 0.01, 1, plain.weights, plain.gradients);
    loom_optimizer_update(&decayed.optimizer, &recipe, 0.01, 1, decayed.weights, decayed.gradients);
    for (size_t i = 0; i < WIDE_ROWS * WIDE_COLS; i++) {
        double want = plain.weights[i] < 1 ? 0.1 : 0; /* the step went the way of the decay */
        assert_true(fabs((double)plain.weights[i] - (double)decayed.weights[i] - want) < 1e-5);
    }
    close_scene(&plain);
    close_scene(&decayed);
}

static void test_momentum(void **state) {
    (void)state;
    const struct loom_recipe recipe = {.muon_momentum = 0.95, .muon_momentum_start = 0.85, .muon_momentum_warmup = 10};
    assert_true(fabs(loom_muon_momentum(&recipe, 0) - 0.85) < 1e-12);
    assert_true(fabs(loom_muon_momentum(&recipe, 5) - 0.90) < 1e-12);
    assert_true(fabs(loom_muon_momentum(&recipe, 10) - 0.95) < 1e-12);
    assert_true(fabs(loom_muon_momentum(&recipe, 1000) - 0.95) < 1e-12);
}

/* Level, then a straight line down to min_lr. */
static void test_line(void **state) {
    (void)state;
    const struct loom_recipe recipe = {
        .schedule = LOOM_SCHEDULE_LINEAR, .learning_rate = 1, .min_lr = 0.2, .lr_decay_iters = 100, .cooldown = 0.25};
    assert_true(fabs(loom_learning_rate(&recipe, 0) - 1) < 1e-12);
    assert_true(fabs(loom_learning_rate(&recipe, 75) - 1) < 1e-12);
    assert_true(fabs(loom_learning_rate(&recipe, 90) - (0.2 + 0.4 * 0.8)) < 1e-12);
    assert_true(fabs(loom_learning_rate(&recipe, 100) - 0.2) < 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wide),     cmocka_unit_test(test_tall), cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_rest), cmocka_unit_test(test_decay),
        cmocka_unit_test(test_momentum), cmocka_unit_test(test_line),
    };
    return cmocka_run_group_tests_name("muon", tests, NULL, NULL);
}
