/* test_safetensors.c - the weights format: what is written is read back bit for bit, what is conforming is accepted
 * however unusual, and each way in which a file can lie is refused with a sentence that says where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "model/safetensors.h"

/* A header and how many data bytes follow it. */
struct sample {
    const char *header;
    size_t data;
    const char *says; /* part of the error; NULL when the file is good */
};

static const char *sample_path(void **state) {
    return *state;
}

static void write_bytes(const char *path, const void *data, size_t size) {
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(data, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
}

/* A file with this length field, header and `data` bytes 0, 1, 2, ... */
static void write_sample(const char *path, uint64_t length, const char *header, size_t data) {
    size_t text = strlen(header), size = sizeof length + text + data;
    unsigned char *bytes = malloc(size);
    assert_non_null(bytes);
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + sizeof length, header, text);
    for (size_t i = 0; i < data; i++)
        bytes[sizeof length + text + i] = (unsigned char)i;
    write_bytes(path, bytes, size);
    free(bytes);
}

static void expect_refusal(const char *path, const char *what, const char *says) {
    struct loom_safetensors file;
    struct loom_error error = {""};
    loom_status status = loom_safetensors_open(path, &file, &error);
    if (status != LOOM_FAILED || !strstr(error.text, says) || !strstr(error.text, path))
        fail_msg("%s\n  status %d: %s\n  wanted: %s", what, status, error.text, says);
    assert_null(file.tensors); /* nothing is left to close */
    loom_safetensors_close(&file);
}

static void open_good(const char *path, struct loom_safetensors *file) {
    struct loom_error error = {""};
    if (loom_safetensors_open(path, file, &error) != LOOM_OK)
        fail_msg("refused: %s", error.text);
}

/* The table ends with an empty row. */
static void check_samples(const char *path, const struct sample *sample) {
    for (; sample->header; sample++) {
        write_sample(path, strlen(sample->header), sample->header, sample->data);
        if (sample->says) {
            expect_refusal(path, sample->header, sample->says);
            continue;
        }
        struct loom_safetensors file;
        open_good(path, &file);
        loom_safetensors_close(&file);
    }
}

/* An entry of the header. */
#define A(dtype, shape, begin, end) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

/* ---- what must be accepted --------------------------------------------------------------------------------------- */

static void conforming_files_are_accepted(void **state) {
    static const struct sample samples[] = {
        {"{}", 0, NULL},
        {"{}      ", 0, NULL},
        {"{\"__metadata__\":{}}", 0, NULL},
        {"{\"__metadata__\":{\"a\":\"b\",\"\":\"\"}}", 0, NULL},
        {"{\"a\":" A("F32", "[1]", "0", "4") "}", 4, NULL},
        {"{ \"shape\" : " A("F64", "[ ]", "0", "8") " }  ", 8, NULL},
        {"{\"scalar\":" A("BF16", "[]", "0", "2") "}", 2, NULL},
        {"{\"b\":" A("U8", "[3]", "1", "4") ",\"a\":" A("BOOL", "[1]", "0", "1") "}", 4, NULL},
        {"{\"odd\":" A("I8", "[3]", "0", "3") ",\"after\":" A("I64", "[1]", "3", "11") "}", 11, NULL},
        {"{\"empty\":" A("F32", "[0]", "0", "0") "}", 0, NULL},
        {"{\"x\":" A("I16", "[2]", "0", "4") ",\"empty\":" A("F32", "[7,0]", "4", "4") "}", 4, NULL},
        {"{\"x\":" A("U16", "[2]", "0", "4") ",\"empty\":" A("F32", "[0,7]", "0", "0") "}", 4, NULL},
        {"{\"r\":" A("U32", "[1,1,1,1,1,1,1,2]", "0", "8") "}", 8, NULL},
        {"{\"\":" A("U64", "[1]", "0", "8") ",\"gr\xc3\xbc\xc3\x9f\":" A("F16", "[1]", "8", "10") "}", 10, NULL},
        {NULL, 0, NULL},
    };
    check_samples(sample_path(state), samples);
}

/* An empty tensor may sit between two others, and then all three share one place. */
static void empty_tensors_share_a_place(void **state) {
    static const char header[] = "{\"b\":" A("U8", "[2]", "2", "4") ",\"none\":" A(
        "F32", "[3,0]", "2", "2") ",\"a\":" A("U8", "[2]", "0", "2") "}";
    struct loom_safetensors file;
    write_sample(sample_path(state), sizeof header - 1, header, 4);
    open_good(sample_path(state), &file);
    assert_int_equal(file.count, 3);
    assert_int_equal(loom_safetensors_find(&file, "none")->bytes, 0);
    assert_int_equal(loom_safetensors_find(&file, "none")->shape[0], 3);
    assert_int_equal(loom_safetensors_find(&file, "a")->data[1], 1);
    assert_int_equal(loom_safetensors_find(&file, "b")->data[0], 2);
    assert_null(loom_safetensors_find(&file, "c"));
    loom_safetensors_close(&file);
}

/* ---- what must be refused ---------------------------------------------------------------------------------------- */

static void broken_lengths_are_refused(void **state) {
    const char *path = sample_path(state);
    static const struct {
        uint64_t length;
        const char *says;
    } cases[] = {{0, "0 bytes"},
                 {3, "header of 3 bytes in a file of 10"},
                 {UINT64_C(100000000), "header of 100000000 bytes in a file of 10"},
                 {UINT64_C(100000001), "header of 100000001 bytes, more than 100000000"},
                 {UINT64_C(1) << 63, "header of 9223372036854775808 bytes, more than 100000000"},
                 {UINT64_MAX, "header of 18446744073709551615 bytes"},
                 {UINT64_MAX - 7, "header of 18446744073709551608 bytes"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_sample(path, cases[i].length, "{}", 0);
        expect_refusal(path, "length", cases[i].says);
    }
    write_sample(path, 1, "{}", 0);
    expect_refusal(path, "length cuts the header", "JSON");
    for (size_t size = 0; size < 8; size++) {
        write_bytes(path, "\2\0\0\0\0\0\0\0", size);
        expect_refusal(path, "short file", "its length field needs 8");
    }
}

static void broken_headers_are_refused(void **state) {
    static const struct sample samples[] = {
        {"[]", 0, "begin with {"},
        {" {}", 0, "begin with {"},
        {"{", 0, "JSON"},
        {"{}x", 0, "JSON"},
        {"{\"a\":1,}", 0, "JSON"},
        {"{\"\xff\":1}", 0, "JSON"},
        {"{\"a\":" A("U8", "[1]", "0", "1") ",\"a\":" A("U8", "[1]", "0", "1") "}", 1, "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "duplicate"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"}}", 0, "duplicate"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"step\":3}}", 0, "metadata step is not a string"},
        {"{\"__metadata__\":{\"step\":null}}", 0, "metadata step is not a string"},
        {"{\"a\":[]}", 0, "tensor a is not an object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 0, "tensor a is not an object of"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"more\":0}}", 1,
         "tensor a is not an object of"},
        {"{\"a\":{\"type\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "tensor a has no dtype"},
        {"{\"a\":{\"dtype\":8,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "tensor a has no dtype"},
        {"{\"a\":" A("Q4", "[1]", "0", "1") "}", 1, "tensor a has unknown dtype Q4"},
        {"{\"a\":" A("f32", "[1]", "0", "4") "}", 4, "tensor a has unknown dtype f32"},
        {NULL, 0, NULL},
    };
    check_samples(sample_path(state), samples);
}

static void broken_shapes_are_refused(void **state) {
    static const struct sample samples[] = {
        {"{\"a\":" A("U8", "1", "0", "1") "}", 1, "tensor a: its shape is not a list"},
        {"{\"a\":" A("U8", "[-1]", "0", "1") "}", 1, "tensor a: its shape is not a list"},
        {"{\"a\":" A("U8", "[1.0]", "0", "1") "}", 1, "tensor a: its shape is not a list"},
        {"{\"a\":" A("U8", "[\"1\"]", "0", "1") "}", 1, "tensor a: its shape is not a list"},
        {"{\"a\":" A("U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "at most 8 sizes"},
        {"{\"a\":" A("U8", "[2]", "0", "1") "}", 1, "tensor a has 1 bytes, its shape in U8 needs 2"},
        {"{\"a\":" A("F32", "[2]", "0", "4") "}", 4, "tensor a has 4 bytes, its shape in F32 needs 8"},
        {"{\"a\":" A("F32", "[0]", "0", "4") "}", 4, "tensor a has 4 bytes, its shape in F32 needs 0"},
        {"{\"a\":" A("F32", "[]", "0", "0") "}", 0, "tensor a has 0 bytes, its shape in F32 needs 4"},
        {"{\"a\":" A("U8", "[9223372036854775807,3]", "0", "1") "}", 1, "tensor a: the product of its shape"},
        {"{\"a\":" A("U8", "[4294967296,4294967296]", "0", "0") "}", 0, "tensor a: the product of its shape"},
        {"{\"a\":" A("F64", "[2305843009213693952]", "0", "0") "}", 0, "tensor a: the product of its shape"},
        {"{\"a\":" A("U8", "[4294967296,4294967296,0]", "0", "0") "}", 0, "tensor a: the product of its shape"},
        {"{\"a\":" A("U8", "[9223372036854775808]", "0", "1") "}", 1, "JSON"},
        {"{\"a\":" A("U8", "[18446744073709551617]", "0", "1") "}", 1, "JSON"},
        {NULL, 0, NULL},
    };
    check_samples(sample_path(state), samples);
}

static void broken_places_are_refused(void **state) {
    static const struct sample samples[] = {
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0]}}", 1, "tensor a: data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1,2]}}", 1, "tensor a: data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":{}}}", 1, "tensor a: data_offsets"},
        {"{\"a\":" A("U8", "[1]", "-1", "0") "}", 1, "tensor a: data_offsets"},
        {"{\"a\":" A("U8", "[1]", "1", "0") "}", 1, "tensor a lies at bytes 1 to 0 of 1"},
        {"{\"a\":" A("U8", "[2]", "0", "2") "}", 1, "tensor a lies at bytes 0 to 2 of 1"},
        {"{\"a\":" A("U8", "[1]", "9223372036854775806", "9223372036854775807") "}", 1, "tensor a lies at bytes 92"},
        {"{\"a\":" A("U8", "[0]", "2", "2") "}", 1, "tensor a lies at bytes 2 to 2 of 1"},
        {"{}", 1, "1 bytes after the last tensor"},
        {"{\"a\":" A("U8", "[2]", "0", "2") "}", 5, "3 bytes after the last tensor"},
        {"{\"a\":" A("U8", "[2]", "1", "3") "}", 3, "tensor a begins at byte 1, after a hole that begins at byte 0"},
        {"{\"a\":" A("U8", "[1]", "0", "1") ",\"b\":" A("U8", "[1]", "2", "3") "}", 3,
         "tensor b begins at byte 2, after"},
        {"{\"a\":" A("U8", "[2]", "0", "2") ",\"b\":" A("U8", "[2]", "1", "3") "}", 3,
         "tensor b begins at byte 1, inside"},
        {"{\"a\":" A("U8", "[2]", "0", "2") ",\"b\":" A("U8", "[2]", "0", "2") "}", 2, "begins at byte 0, inside"},
        {"{\"a\":" A("U8", "[3]", "0", "3") ",\"b\":" A("U8", "[0]", "1", "1") "}", 3,
         "tensor b begins at byte 1, inside"},
        {"{\"a\":" A("U8", "[1]", "0", "1") ",\"b\":" A("U8", "[0]", "2", "2") "}", 2,
         "tensor b begins at byte 2, after"},
        {NULL, 0, NULL},
    };
    check_samples(sample_path(state), samples);
}

static void missing_file_is_an_io_error(void **state) {
    struct loom_safetensors file;
    struct loom_error error = {""};
    unlink(sample_path(state));
    assert_int_equal(loom_safetensors_open(sample_path(state), &file, &error), LOOM_IO);
    assert_non_null(strstr(error.text, sample_path(state)));
}

/* ---- writing and reading back ------------------------------------------------------------------------------------ */

enum { ODD = 2051 }; /* more than the writer's buffer holds twice, and not a multiple of anything */

static void fill_random(real *x, size_t n) {
    struct loom_random stream = {1, LOOM_RANDOM_TEST};
    for (size_t i = 0; i < n; i++)
        x[i] = (real)(float)loom_random_normal(stream, i);
}

/* Writes a matrix, a scalar, an empty tensor and ids. */
static loom_status write_four(const char *path, const real *matrix, const real *scalar, const int64_t *ids,
                              struct loom_error *error) {
    struct loom_tensor_source tensors[] = {
        {"z.matrix", LOOM_F32, 2, {ODD / 7, 7}, matrix, NULL},
        {"scalar", LOOM_F32, 0, {0}, scalar, NULL},
        {"none", LOOM_F32, 3, {3, 0, 5}, NULL, NULL},
        {"a.ids", LOOM_I64, 2, {1, 3}, ids, NULL},
    };
    struct loom_metadata metadata[] = {{"source", "a \"quoted\" name\n"}, {"step", "3"}};
    return loom_safetensors_write(path, tensors, 4, metadata, 2, error);
}

static void written_file_is_read_back(void **state) {
    static real matrix[ODD], back[ODD];
    const real scalar = (real)-0.25;
    const int64_t ids[3] = {INT_MAX, INT_MIN, -1};
    int back_ids[3];
    struct loom_safetensors file;
    struct loom_error error = {""};
    fill_random(matrix, ODD);
    if (write_four(sample_path(state), matrix, &scalar, ids, &error) != LOOM_OK)
        fail_msg("%s", error.text);
    open_good(sample_path(state), &file);
    assert_int_equal(file.count, 4);
    assert_string_equal(file.tensors[0].name, "a.ids"); /* sorted by name */
    assert_string_equal(loom_safetensors_metadata(&file, "format"), "pt");
    assert_string_equal(loom_safetensors_metadata(&file, "source"), "a \"quoted\" name\n");
    assert_null(loom_safetensors_metadata(&file, "absent"));
    const struct loom_tensor_view *view = loom_safetensors_find(&file, "z.matrix");
    assert_int_equal(view->rank, 2);
    assert_int_equal(view->shape[0], ODD / 7);
    assert_int_equal((view->data - file.map.data) % 8, 0);
    assert_int_equal(loom_safetensors_read_real(view, back, ODD, &error), LOOM_OK);
    assert_memory_equal(back, matrix, sizeof back);
    assert_int_equal(loom_safetensors_read_real(loom_safetensors_find(&file, "scalar"), back, 1, &error), LOOM_OK);
    assert_true(back[0] == scalar);
    assert_int_equal(loom_safetensors_read_real(loom_safetensors_find(&file, "none"), back, 0, &error), LOOM_OK);
    assert_int_equal(loom_safetensors_read_int(loom_safetensors_find(&file, "a.ids"), back_ids, 3, &error), LOOM_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(back_ids[i], ids[i]);
    loom_safetensors_close(&file);
    loom_safetensors_close(&file); /* closing twice is fine */
}

/* Whatever the header's length, it is padded with spaces, not with other bytes, to a multiple of 8. */
static void data_begin_aligned(void **state) {
    const real value = 3;
    struct loom_safetensors file;
    for (size_t length = 1; length <= 8; length++) {
        char name[9] = "nnnnnnnn";
        name[length] = '\0';
        struct loom_tensor_source tensor = {name, LOOM_F32, 0, {0}, &value, NULL};
        assert_int_equal(loom_safetensors_write(sample_path(state), &tensor, 1, NULL, 0, NULL), LOOM_OK);
        open_good(sample_path(state), &file);
        assert_int_equal((file.tensors[0].data - file.map.data) % 8, 0);
        loom_safetensors_close(&file);
    }
}

/* Every prefix of a good file is a bad file, and so is the file with one byte more. */
static void every_truncation_is_refused(void **state) {
    const char *path = sample_path(state);
    const real values[5] = {1, 2, 3, 4, 5};
    struct loom_tensor_source tensors[] = {{"a", LOOM_F32, 1, {2}, values, NULL},
                                           {"b", LOOM_F32, 1, {3}, values, NULL}};
    struct loom_map map;
    struct loom_error error = {""};
    assert_int_equal(loom_safetensors_write(path, tensors, 2, NULL, 0, &error), LOOM_OK);
    assert_int_equal(loom_map_open(path, &map, &error), LOOM_OK);
    size_t size = map.size;
    unsigned char *bytes = calloc(size + 1, 1);
    assert_non_null(bytes);
    memcpy(bytes, map.data, size);
    loom_map_close(&map);
    for (size_t cut = 0; cut < size; cut++) {
        write_bytes(path, bytes, cut);
        expect_refusal(path, "cut file", "");
    }
    write_bytes(path, bytes, size + 1);
    expect_refusal(path, "long file", "1 bytes after the last tensor");
    free(bytes);
}

static void expect_write_refusal(const char *path, const struct loom_tensor_source *tensors, size_t count,
                                 const struct loom_metadata *metadata, size_t metadata_count, const char *says) {
    struct loom_error error = {""};
    assert_int_equal(loom_safetensors_write(path, tensors, count, metadata, metadata_count, &error), LOOM_INVALID);
    if (!strstr(error.text, says) || !strstr(error.text, path))
        fail_msg("%s\n  wanted: %s", error.text, says);
    assert_false(loom_path_exists(path));
}

static void impossible_writes_are_refused(void **state) {
    const char *path = sample_path(state);
    const real one = 1;
    struct loom_tensor_source twice[] = {{"a", LOOM_F32, 0, {0}, &one, NULL}, {"a", LOOM_F32, 0, {0}, &one, NULL}};
    struct loom_tensor_source rank = {"deep", LOOM_F32, 9, {0}, &one, NULL};
    struct loom_tensor_source huge = {"huge", LOOM_F32, 2, {UINT64_C(1) << 62, 4}, &one, NULL};
    struct loom_tensor_source large = {"large", LOOM_U8, 1, {UINT64_C(1) << 63}, &one, NULL};
    struct loom_tensor_source latin = {"na\xefve", LOOM_F32, 0, {0}, &one, NULL};
    struct loom_tensor_source reserved = {"__metadata__", LOOM_F32, 0, {0}, &one, NULL};
    struct loom_metadata format = {"format", "np"}, pairs[] = {{"k", "1"}, {"k", "2"}};
    unlink(path);
    expect_write_refusal(path, twice, 2, NULL, 0, "cannot write a twice");
    expect_write_refusal(path, &rank, 1, NULL, 0, "tensor deep has rank 9");
    expect_write_refusal(path, &huge, 1, NULL, 0, "tensor huge: the bytes of its shape");
    expect_write_refusal(path, &large, 1, NULL, 0, "tensor large: the bytes of its shape");
    expect_write_refusal(path, &latin, 1, NULL, 0, "it is not UTF-8");
    expect_write_refusal(path, &reserved, 1, NULL, 0, "cannot write __metadata__ twice");
    expect_write_refusal(path, NULL, 0, &format, 1, "cannot write format twice");
    expect_write_refusal(path, NULL, 0, pairs, 2, "cannot write k twice");
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void half_precision_is_exact(void **state) {
    (void)state;
    static const struct {
        enum loom_dtype dtype;
        uint16_t bits;
        double value;
    } cases[] = {{LOOM_F16, 0x3c00, 1},
                 {LOOM_F16, 0xc000, -2},
                 {LOOM_F16, 0x7bff, 65504},
                 {LOOM_F16, 0x0400, 0x1p-14},
                 {LOOM_F16, 0x0001, 0x1p-24},
                 {LOOM_F16, 0x83ff, -1023 * 0x1p-24},
                 {LOOM_F16, 0x3555, 0x1.554p-2},
                 {LOOM_F16, 0x7c00, (double)INFINITY},
                 {LOOM_F16, 0xfc00, -(double)INFINITY},
                 {LOOM_F16, 0x8000, 0},
                 {LOOM_BF16, 0x3f80, 1},
                 {LOOM_BF16, 0xc049, -3.140625},
                 {LOOM_BF16, 0x0001, 0x1p-133},
                 {LOOM_BF16, 0xff80, -(double)INFINITY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        real value = 7;
        struct loom_tensor_view view = {.dtype = cases[i].dtype, .data = (const void *)&cases[i].bits, .bytes = 2};
        assert_int_equal(loom_safetensors_read_real(&view, &value, 1, NULL), LOOM_OK);
        assert_true((double)value == cases[i].value);
        assert_int_equal(signbit(value) != 0, cases[i].bits >> 15);
    }
    const uint16_t nan_bits = 0x7e00;
    real value = 0;
    struct loom_tensor_view view = {.dtype = LOOM_F16, .data = (const void *)&nan_bits, .bytes = 2};
    assert_int_equal(loom_safetensors_read_real(&view, &value, 1, NULL), LOOM_OK);
    assert_true(isnan(value));
}

/* Values at an odd address, as they are after a tensor of bytes. */
static void misaligned_values_are_read(void **state) {
    (void)state;
    unsigned char bytes[1 + 2 * sizeof(double)];
    const double doubles[2] = {-1.5, DBL_MIN};
    const int32_t ints[2] = {INT32_MIN, 12};
    real values[2];
    int numbers[2];
    struct loom_tensor_view view = {.dtype = LOOM_F64, .data = bytes + 1, .bytes = sizeof doubles};
    memcpy(bytes + 1, doubles, sizeof doubles);
    assert_int_equal(loom_safetensors_read_real(&view, values, 2, NULL), LOOM_OK);
    assert_true(values[0] == (real)-1.5 && values[1] == (real)DBL_MIN);
    view = (struct loom_tensor_view){.dtype = LOOM_I32, .data = bytes + 1, .bytes = sizeof ints};
    memcpy(bytes + 1, ints, sizeof ints);
    assert_int_equal(loom_safetensors_read_int(&view, numbers, 2, NULL), LOOM_OK);
    assert_true(numbers[0] == INT_MIN && numbers[1] == 12);
}

static void wrong_reads_are_refused(void **state) {
    (void)state;
    const int64_t large[2] = {1, (int64_t)INT_MAX + 1};
    real value;
    int numbers[2];
    struct loom_error error;
    struct loom_tensor_view view = {
        .path = "f", .name = "ids", .dtype = LOOM_I64, .data = (const void *)large, .bytes = sizeof large};
    assert_int_equal(loom_safetensors_read_int(&view, numbers, 2, &error), LOOM_FAILED);
    assert_non_null(strstr(error.text, "f: tensor ids: element 1 is 2147483648"));
    assert_int_equal(loom_safetensors_read_int(&view, numbers, 1, &error), LOOM_INVALID);
    assert_non_null(strstr(error.text, "tensor ids has 2 elements, 1 are needed"));
    assert_int_equal(loom_safetensors_read_real(&view, &value, 2, &error), LOOM_INVALID);
    assert_non_null(strstr(error.text, "tensor ids is I64, not F64"));
    view.dtype = LOOM_F64;
    assert_int_equal(loom_safetensors_read_int(&view, numbers, 2, &error), LOOM_INVALID);
    assert_non_null(strstr(error.text, "tensor ids is F64, not I64"));
}

/* ---- the suite --------------------------------------------------------------------------------------------------- */

static int make_path(void **state) {
    char folder[] = "/tmp/loom-safetensors-XXXXXX";
    *state = mkdtemp(folder) ? loom_path_join(folder, "file.safetensors") : NULL;
    return *state ? 0 : -1;
}

static int remove_path(void **state) {
    char *path = *state;
    unlink(path);
    *strrchr(path, '/') = '\0';
    int failed = rmdir(path); /* also fails when a writer left its temporary file */
    free(path);
    return failed;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conforming_files_are_accepted),
        cmocka_unit_test(empty_tensors_share_a_place),
        cmocka_unit_test(broken_lengths_are_refused),
        cmocka_unit_test(broken_headers_are_refused),
        cmocka_unit_test(broken_shapes_are_refused),
        cmocka_unit_test(broken_places_are_refused),
        cmocka_unit_test(missing_file_is_an_io_error),
        cmocka_unit_test(written_file_is_read_back),
        cmocka_unit_test(data_begin_aligned),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(impossible_writes_are_refused),
        cmocka_unit_test(half_precision_is_exact),
        cmocka_unit_test(misaligned_values_are_read),
        cmocka_unit_test(wrong_reads_are_refused),
    };
    return cmocka_run_group_tests_name("safetensors", tests, make_path, remove_path);
}
