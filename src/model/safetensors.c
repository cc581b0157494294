/* safetensors.c - see safetensors.h.
 *
 * READING. The header is the only part of a file that can lie, so nothing in it is trusted: lengths are compared with
 * the size of the mapped file before use, products are checked for overflow, and the only memory taken is the parsed
 * header and one view for each tensor in it. Sorted by place, the tensors must chain: each begins where the one before
 * it ended, the first at 0, the last ending with the file. That single walk excludes overlaps, holes and trailing
 * bytes.
 *
 * WRITING. Sizes are known before any data, so the header goes first and the weights stream behind it, uncopied. */
#include "model/safetensors.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian and is read in place");

/* The format's own limit on the header, which keeps a broken length from asking for the machine's memory. */
enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100000000 };

/* Numbers that are converted, or brought from a machine, at a time. */
enum { PIECE = 1024 };

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {[LOOM_F64] = {"F64", 8},  [LOOM_F32] = {"F32", 4}, [LOOM_F16] = {"F16", 2}, [LOOM_BF16] = {"BF16", 2},
              [LOOM_I64] = {"I64", 8},  [LOOM_I32] = {"I32", 4}, [LOOM_I16] = {"I16", 2}, [LOOM_I8] = {"I8", 1},
              [LOOM_U64] = {"U64", 8},  [LOOM_U32] = {"U32", 4}, [LOOM_U16] = {"U16", 2}, [LOOM_U8] = {"U8", 1},
              [LOOM_BOOL] = {"BOOL", 1}};

const char *loom_dtype_name(enum loom_dtype dtype) {
    return dtypes[dtype].name;
}

size_t loom_dtype_bytes(enum loom_dtype dtype) {
    return dtypes[dtype].bytes;
}

/* false when the product leaves 64 bits, even if a later axis is 0. */
static bool shape_bytes(const uint64_t *shape, int rank, enum loom_dtype dtype, uint64_t *bytes) {
    uint64_t product = 1;
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(product, shape[i], &product))
            return false;
    return !__builtin_mul_overflow(product, (uint64_t)loom_dtype_bytes(dtype), bytes);
}

/* ---- reading the header ------------------------------------------------------------------------------------------ */

static loom_status read_length(const char *path, struct loom_map map, size_t *length, struct loom_error *error) {
    uint64_t value;
    if (map.size < LENGTH_BYTES)
        return loom_fail(error, LOOM_FAILED, "%s: not a safetensors file: %zu bytes, its length field needs 8", path,
                         map.size);
    memcpy(&value, map.data, sizeof value);
    if (value > HEADER_LIMIT)
        return loom_fail(error, LOOM_FAILED, "%s: not a safetensors file: header of %llu bytes, more than %d allowed",
                         path, (unsigned long long)value, HEADER_LIMIT);
    if (value > map.size - LENGTH_BYTES)
        return loom_fail(error, LOOM_FAILED, "%s: cut short: header of %llu bytes in a file of %zu", path,
                         (unsigned long long)value, map.size);
    if (value == 0 || map.data[LENGTH_BYTES] != '{') {
        return loom_fail(error, LOOM_FAILED, "%s: not a safetensors file: header of %llu bytes does not begin with {",
                         path, (unsigned long long)value);
    }
    *length = (size_t)value;
    return LOOM_OK;
}

static loom_status check_metadata(const struct loom_safetensors *file, struct loom_error *error) {
    json_t *metadata = json_object_get(file->header, "__metadata__");
    const char *key;
    json_t *value;
    if (!metadata)
        return LOOM_OK;
    if (!json_is_object(metadata))
        return loom_fail(error, LOOM_FAILED, "%s: __metadata__ is not an object", file->path);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return loom_fail(error, LOOM_FAILED, "%s: metadata %s is not a string", file->path, key);
    }
    return LOOM_OK;
}

static loom_status read_dtype(const json_t *entry, struct loom_tensor_view *view, struct loom_error *error) {
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name)
        return loom_fail(error, LOOM_FAILED, "%s: tensor %s has no dtype", view->path, view->name);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            view->dtype = (enum loom_dtype)i;
            return LOOM_OK;
        }
    }
    return loom_fail(error, LOOM_FAILED, "%s: tensor %s has unknown dtype %s", view->path, view->name, name);
}

/* Copies an array of at most `limit` integers that are not negative; returns how many, or -1. */
static int read_sizes(const json_t *array, uint64_t *sizes, size_t limit) {
    size_t n = json_array_size(array);
    if (!json_is_array(array) || n > limit)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *size = json_array_get(array, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return -1;
        sizes[i] = (uint64_t)json_integer_value(size);
    }
    return (int)n;
}

static loom_status read_place(const json_t *entry, struct loom_tensor_view *view, const unsigned char *data,
                              size_t data_bytes, struct loom_error *error) {
    uint64_t place[2], bytes;
    if (read_sizes(json_object_get(entry, "data_offsets"), place, 2) != 2)
        return loom_fail(error, LOOM_FAILED, "%s: tensor %s: data_offsets are not two sizes", view->path, view->name);
    unsigned long long begin = place[0], end = place[1];
    if (begin > end || end > data_bytes)
        return loom_fail(error, LOOM_FAILED, "%s: tensor %s lies at bytes %llu to %llu of %zu", view->path, view->name,
                         begin, end, data_bytes);
    if (!shape_bytes(view->shape, view->rank, view->dtype, &bytes))
        return loom_fail(error, LOOM_FAILED, "%s: tensor %s: the product of its shape does not fit in 64 bits",
                         view->path, view->name);
    if (bytes != end - begin)
        return loom_fail(error, LOOM_FAILED, "%s: tensor %s has %llu bytes, its shape in %s needs %llu", view->path,
                         view->name, end - begin, loom_dtype_name(view->dtype), (unsigned long long)bytes);
    view->data = data + begin;
    view->bytes = (size_t)bytes;
    return LOOM_OK;
}

static loom_status read_entry(const json_t *entry, struct loom_tensor_view *view, const unsigned char *data,
                              size_t data_bytes, struct loom_error *error) {
    if (json_object_size(entry) != 3)
        return loom_fail(error, LOOM_FAILED, "%s: tensor %s is not an object of dtype, shape and data_offsets",
                         view->path, view->name);
    loom_status status = read_dtype(entry, view, error);
    if (status)
        return status;
    view->rank = read_sizes(json_object_get(entry, "shape"), view->shape, LOOM_RANK_LIMIT);
    if (view->rank < 0)
        return loom_fail(error, LOOM_FAILED, "%s: tensor %s: its shape is not a list of at most %d sizes", view->path,
                         view->name, LOOM_RANK_LIMIT);
    return read_place(entry, view, data, data_bytes, error);
}

/* Fills file->tensors in the header's order. */
static loom_status read_entries(struct loom_safetensors *file, size_t length, struct loom_error *error) {
    const unsigned char *data = file->map.data + LENGTH_BYTES + length;
    size_t data_bytes = file->map.size - LENGTH_BYTES - length;
    size_t bytes = (json_object_size(file->header) + 1) * sizeof *file->tensors; /* never 0 */
    const char *name;
    json_t *entry;
    file->tensors = malloc(bytes);
    if (!file->tensors)
        return loom_fail_memory(error, file->path, bytes);
    json_object_foreach(file->header, name, entry) {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        struct loom_tensor_view *view = &file->tensors[file->count++];
        *view = (struct loom_tensor_view){.path = file->path, .name = name};
        loom_status status = read_entry(entry, view, data, data_bytes, error);
        if (status)
            return status;
    }
    return LOOM_OK;
}

/* ---- the layout -------------------------------------------------------------------------------------------------- */

/* Empty tensors come before the one that shares their place, so that places chain. */
static int compare_place(const void *a, const void *b) {
    const struct loom_tensor_view *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int compare_name(const void *a, const void *b) {
    const struct loom_tensor_view *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static loom_status check_layout(struct loom_safetensors *file, size_t length, struct loom_error *error) {
    const unsigned char *data = file->map.data + LENGTH_BYTES + length;
    const unsigned char *end = file->map.data + file->map.size;
    const unsigned char *at = data;
    qsort(file->tensors, file->count, sizeof *file->tensors, compare_place);
    for (size_t i = 0; i < file->count; i++) {
        const struct loom_tensor_view *view = &file->tensors[i];
        if (view->data != at)
            return loom_fail(error, LOOM_FAILED, "%s: tensor %s begins at byte %td, %s at byte %td", file->path,
                             view->name, view->data - data,
                             view->data < at ? "inside the one that ends" : "after a hole that begins", at - data);
        at += view->bytes;
    }
    if (at != end)
        return loom_fail(error, LOOM_FAILED, "%s: %td bytes after the last tensor belong to none", file->path,
                         end - at);
    return LOOM_OK;
}

/* ---- open, find, close ------------------------------------------------------------------------------------------- */

static loom_status read_file(struct loom_safetensors *file, struct loom_error *error) {
    size_t length = 0;
    loom_status status = read_length(file->path, file->map, &length, error);
    if (status == LOOM_OK) {
        const char *text = (const char *)file->map.data + LENGTH_BYTES;
        status = loom_json_parse(text, length, file->path, &file->header, error);
    }
    if (status == LOOM_OK)
        status = check_metadata(file, error);
    if (status == LOOM_OK)
        status = read_entries(file, length, error);
    if (status == LOOM_OK)
        status = check_layout(file, length, error);
    return status;
}

loom_status loom_safetensors_open(const char *path, struct loom_safetensors *file, struct loom_error *error) {
    *file = (struct loom_safetensors){.path = strdup(path)};
    if (!file->path)
        return loom_fail_memory(error, path, strlen(path) + 1);
    loom_status status = loom_map_open(path, &file->map, error);
    if (status == LOOM_OK)
        status = read_file(file, error);
    if (status) {
        loom_safetensors_close(file);
        return status;
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, compare_name);
    return LOOM_OK;
}

void loom_safetensors_close(struct loom_safetensors *file) {
    if (file->map.data)
        loom_map_close(&file->map);
    json_decref(file->header);
    free(file->tensors);
    free(file->path);
    *file = (struct loom_safetensors){0};
}

const struct loom_tensor_view *loom_safetensors_find(const struct loom_safetensors *file, const char *name) {
    struct loom_tensor_view key = {.name = name};
    return file->count ? bsearch(&key, file->tensors, file->count, sizeof key, compare_name) : NULL;
}

const char *loom_safetensors_metadata(const struct loom_safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static loom_status check_elements(const struct loom_tensor_view *view, size_t n, struct loom_error *error) {
    size_t elements = view->bytes / loom_dtype_bytes(view->dtype);
    if (elements != n)
        return loom_fail(error, LOOM_INVALID, "%s: tensor %s has %zu elements, %zu are needed", view->path, view->name,
                         elements, n);
    return LOOM_OK;
}

static loom_status refuse_dtype(const struct loom_tensor_view *view, const char *wanted, struct loom_error *error) {
    return loom_fail(error, LOOM_INVALID, "%s: tensor %s is %s, not %s", view->path, view->name,
                     loom_dtype_name(view->dtype), wanted);
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 of fraction. */
static float float_of_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 31u;
    uint32_t fraction = half & 1023u;
    if (exponent == 0) { /* zero, or a subnormal in units of 2^-24: float holds both exactly */
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    uint32_t wide = exponent == 31 ? 255 : exponent + 127 - 15; /* infinities and NaNs stay what they are */
    return float_of_bits(sign | wide << 23 | fraction << 13);
}

static void read_f64(real *out, const unsigned char *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, data + i * sizeof value, sizeof value);
        out[i] = (real)value;
    }
}

static void read_f32(real *out, const unsigned char *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float value;
        memcpy(&value, data + i * sizeof value, sizeof value);
        out[i] = (real)value;
    }
}

static void read_16(real *out, const unsigned char *data, size_t n, enum loom_dtype dtype) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, data + i * sizeof bits, sizeof bits);
        out[i] = (real)(dtype == LOOM_F16 ? float_of_half(bits) : float_of_bits((uint32_t)bits << 16));
    }
}

loom_status loom_safetensors_read_real(const struct loom_tensor_view *view, real *out, size_t n,
                                       struct loom_error *error) {
    loom_status status = check_elements(view, n, error);
    if (status)
        return status;
    switch (view->dtype) {
    case LOOM_F64:
        read_f64(out, view->data, n);
        return LOOM_OK;
    case LOOM_F32:
        read_f32(out, view->data, n);
        return LOOM_OK;
    case LOOM_F16:
    case LOOM_BF16:
        read_16(out, view->data, n, view->dtype);
        return LOOM_OK;
    default:
        return refuse_dtype(view, "F64, F32, F16 or BF16", error);
    }
}

static int64_t read_integer(const struct loom_tensor_view *view, size_t index) {
    int64_t wide;
    int32_t narrow;
    if (view->dtype == LOOM_I64) {
        memcpy(&wide, view->data + index * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, view->data + index * sizeof narrow, sizeof narrow);
    return narrow;
}

loom_status loom_safetensors_read_int(const struct loom_tensor_view *view, int *out, size_t n,
                                      struct loom_error *error) {
    loom_status status = check_elements(view, n, error);
    if (status)
        return status;
    if (view->dtype != LOOM_I64 && view->dtype != LOOM_I32)
        return refuse_dtype(view, "I64 or I32", error);
    for (size_t i = 0; i < n; i++) {
        int64_t value = read_integer(view, i);
        if (value < INT_MIN || value > INT_MAX)
            return loom_fail(error, LOOM_FAILED, "%s: tensor %s: element %zu is %lld, which does not fit in 32 bits",
                             view->path, view->name, i, (long long)value);
        out[i] = (int)value;
    }
    return LOOM_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* {"dtype":.., "shape":[..], "data_offsets":[..]}; NULL when memory is short. */
static json_t *pack_entry(const struct loom_tensor_source *tensor, uint64_t begin, uint64_t end) {
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++) {
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]))) {
            json_decref(shape);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", loom_dtype_name(tensor->dtype), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

/* Adds name: value to a JSON object; takes the reference to value. */
static loom_status add_name(json_t *object, const char *name, json_t *value, const char *path,
                            struct loom_error *error) {
    if (json_object_get(object, name)) {
        json_decref(value);
        return loom_fail(error, LOOM_INVALID, "%s: cannot write %s twice", path, name);
    }
    if (json_object_set_new(object, name, value))
        return loom_fail(error, LOOM_INVALID, "%s: cannot write %s: it is not UTF-8, or memory is short", path, name);
    return LOOM_OK;
}

static loom_status add_metadata(json_t *header, const struct loom_metadata *metadata, size_t count, const char *path,
                                struct loom_error *error) {
    json_t *object = json_pack("{s:s}", "format", "pt");
    loom_status status = add_name(header, "__metadata__", object, path, error); /* the header owns it from here */
    for (size_t i = 0; status == LOOM_OK && i < count; i++)
        status = add_name(object, metadata[i].key, json_string(metadata[i].value), path, error);
    return status;
}

static loom_status add_tensors(json_t *header, const struct loom_tensor_source *tensors, size_t count, const char *path,
                               struct loom_error *error) {
    uint64_t begin = 0, end = 0, bytes = 0;
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < count; i++, begin = end) {
        const struct loom_tensor_source *tensor = &tensors[i];
        if (tensor->rank < 0 || tensor->rank > LOOM_RANK_LIMIT)
            return loom_fail(error, LOOM_INVALID, "%s: tensor %s has rank %d, not 0 to %d", path, tensor->name,
                             tensor->rank, LOOM_RANK_LIMIT);
        if (!shape_bytes(tensor->shape, tensor->rank, tensor->dtype, &bytes) ||
            __builtin_add_overflow(begin, bytes, &end) || end > INT64_MAX) {
            return loom_fail(error, LOOM_INVALID, "%s: tensor %s: the bytes of its shape do not fit in 63 bits", path,
                             tensor->name);
        }
        status = add_name(header, tensor->name, pack_entry(tensor, begin, end), path, error);
    }
    return status;
}

/* The header's length and text, padded with spaces so that data begin at a multiple of 8 bytes. */
static loom_status put_text(struct loom_writer *writer, const char *text, size_t size, struct loom_error *error) {
    size_t padding = (LENGTH_BYTES - size % LENGTH_BYTES) % LENGTH_BYTES;
    uint64_t length = size + padding;
    loom_status status = loom_writer_put(writer, &length, sizeof length, error);
    if (status == LOOM_OK)
        status = loom_writer_put(writer, text, size, error);
    if (status == LOOM_OK)
        status = loom_writer_put(writer, "       ", padding, error);
    return status;
}

/* n floats from numbers on the host; where real is double they are rounded first. */
static loom_status put_floats(struct loom_writer *writer, const real *data, size_t n, struct loom_error *error) {
    float buffer[PIECE];
    if (sizeof(real) == sizeof(float))
        return loom_writer_put(writer, data, n * sizeof(float), error);
    for (size_t i = 0; i < n; i++)
        buffer[i] = (float)data[i];
    return loom_writer_put(writer, buffer, n * sizeof(float), error);
}

/* F32 from an array of real, piece by piece, so that a machine's memory needs no copy on the host. */
static loom_status put_real(struct loom_writer *writer, const struct loom_kernels *k, const real *data, size_t n,
                            struct loom_error *error) {
    real buffer[PIECE];
    loom_status status = LOOM_OK;
    for (size_t i = 0; status == LOOM_OK && i < n; i += PIECE) {
        const size_t count = n - i < PIECE ? n - i : PIECE;
        if (k)
            k->download(k, buffer, data + i, count * sizeof *buffer);
        status = put_floats(writer, k ? buffer : data + i, count, error);
    }
    return status;
}

static loom_status put_tensor(struct loom_writer *writer, const struct loom_tensor_source *tensor,
                              struct loom_error *error) {
    uint64_t bytes = 0; /* add_tensors has seen that it fits */
    shape_bytes(tensor->shape, tensor->rank, tensor->dtype, &bytes);
    if (tensor->dtype == LOOM_F32)
        return put_real(writer, tensor->k, tensor->data, (size_t)bytes / sizeof(float), error);
    return loom_writer_put(writer, tensor->data, (size_t)bytes, error);
}

static loom_status put_file(const char *path, const char *text, const struct loom_tensor_source *tensors, size_t count,
                            struct loom_error *error) {
    struct loom_writer writer;
    size_t size = strlen(text);
    if (size > HEADER_LIMIT - LENGTH_BYTES)
        return loom_fail(error, LOOM_INVALID, "%s: a header of %zu bytes is more than the format's %d", path, size,
                         HEADER_LIMIT);
    loom_status status = loom_writer_open(&writer, path, error);
    if (status == LOOM_OK) {
        status = put_text(&writer, text, size, error);
        for (size_t i = 0; status == LOOM_OK && i < count; i++)
            status = put_tensor(&writer, &tensors[i], error);
        if (status == LOOM_OK) { /* a writer that failed has been abandoned */
            status = loom_writer_commit(&writer, error);
        }
    }
    return status;
}

loom_status loom_safetensors_write(const char *path, const struct loom_tensor_source *tensors, size_t count,
                                   const struct loom_metadata *metadata, size_t metadata_count,
                                   struct loom_error *error) {
    json_t *header = json_object();
    char *text = NULL;
    if (!header)
        return loom_fail_memory(error, path, sizeof *header);
    loom_status status = add_metadata(header, metadata, metadata_count, path, error);
    if (status == LOOM_OK)
        status = add_tensors(header, tensors, count, path, error);
    if (status == LOOM_OK) {
        text = loom_json_text(header, JSON_COMPACT);
        status = text ? put_file(path, text, tensors, count, error) : loom_fail_memory(error, path, HEADER_LIMIT);
    }
    free(text);
    json_decref(header);
    return status;
}
