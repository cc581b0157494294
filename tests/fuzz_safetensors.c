/* fuzz_safetensors.c - libFuzzer target: any bytes as a safetensors file. Whatever opens must keep the reader's
 * promise: the tensors' bytes add up to the data, every value can be read, every name finds its own tensor. */
#include <stdio.h>
#include <stdlib.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_values(const struct loom_tensor_view *view) {
    size_t n = view->bytes / loom_dtype_bytes(view->dtype);
    real *values = calloc(n + 1, sizeof *values);
    int *numbers = calloc(n + 1, sizeof *numbers);
    if (values && numbers) {
        bool is_real = view->dtype <= LOOM_BF16;
        if ((loom_safetensors_read_real(view, values, n, NULL) == LOOM_OK) != is_real)
            abort();
        loom_safetensors_read_int(view, numbers, n, NULL); /* may fail on a value too large */
    }
    free(values);
    free(numbers);
}

static void check_promises(const struct loom_safetensors *file) {
    size_t total = 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct loom_tensor_view *view = &file->tensors[i];
        total += view->bytes;
        read_values(view);
        if (loom_safetensors_find(file, view->name) != view)
            abort();
    }
    if (total > file->map.size - sizeof(uint64_t))
        abort();
    loom_safetensors_metadata(file, "format");
}

/* The reader wants a path: that of an unnamed temporary file, which is never flushed to the disk. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    struct loom_safetensors file;
    struct loom_error error;
    FILE *stream = tmpfile();
    if (!stream || fwrite(data, 1, size, stream) != size || fflush(stream) != 0)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(stream));
    if (loom_safetensors_open(path, &file, &error) == LOOM_OK) {
        check_promises(&file);
        loom_safetensors_close(&file);
    }
    fclose(stream);
    return 0;
}
