/* bench_batch.c - what drawing batches from a token folder costs: opening it, and windows from the page cache and from
 * the disk.
 *
 * bench_batch FOLDER [SEQ_LEN [SECONDS]] prints for each way of sampling the tokens drawn a second, by one thread.
 * "disk" asks the system to forget the shards first; it reads what a run reads in its first steps. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "data/tokens/batch.h"

enum { ROWS = 64 };

static void forget(const struct loom_tokens *tokens) {
    for (size_t i = 0; i < tokens->n_shards; i++) {
        int descriptor = open(tokens->shards[i].path, O_RDONLY);
        if (descriptor >= 0) {
            posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
            close(descriptor);
        }
    }
}

/* Tokens a second from sample `*sample` on; 0 after an error, which is printed. */
static double rate(const struct loom_batches *batches, const struct loom_batch *batch, double seconds,
                   uint64_t *sample) {
    struct loom_error error;
    const double begin = loom_clock();
    double now = begin;
    uint64_t rows = 0;
    for (; now - begin < seconds; now = loom_clock(), rows += ROWS)
        if (loom_batches_draw(batches, *sample + rows, ROWS, batch, &error)) {
            fprintf(stderr, "%s\n", error.text);
            return 0;
        }
    *sample += rows;
    return (double)rows * (double)batches->seq_len / (now - begin);
}

/* Opens the folder anew: pages that a process has mapped are not forgotten. */
static loom_status measure(const char *folder, int sampling, size_t seq_len, double seconds, struct loom_error *error) {
    struct loom_corpus corpus;
    struct loom_batches batches;
    struct loom_batch batch = {NULL, NULL, NULL};
    double begin = loom_clock(), opened;
    loom_status status = loom_corpus_open(&folder, NULL, 1, &corpus, error);
    if (status)
        return status;
    opened = loom_clock() - begin;
    status = loom_batches_check(&corpus, seq_len, error);
    if (status == LOOM_OK)
        status = loom_batch_open(&batch, ROWS, seq_len, true, error);
    if (status == LOOM_OK) {
        loom_batches_init(&batches, &corpus, seq_len, sampling, 1);
        forget(corpus.folders[0].tokens);
        uint64_t drawn = 0, again = 0;
        double disk = rate(&batches, &batch, seconds, &drawn), memory = 0;
        for (uint64_t sample = 0; sample < drawn; sample += ROWS)
            loom_batches_draw(&batches, sample, ROWS, &batch, NULL);
        begin = loom_clock();
        for (; again < drawn && loom_clock() - begin < seconds; again += ROWS)
            loom_batches_draw(&batches, again, ROWS, &batch, NULL);
        memory = (double)again * (double)seq_len / (loom_clock() - begin);
        printf("%-8s %12.4g %12.4g %12.4g %10.4f\n", sampling == LOOM_SAMPLING_RANDOM ? "random" : "shuffle",
               (double)loom_corpus_tokens(&corpus, LOOM_SPLIT_TRAIN), disk, memory, opened);
    }
    loom_batch_close(&batch);
    loom_corpus_close(&corpus);
    return status;
}

int main(int argc, char **argv) {
    struct loom_error error;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_batch FOLDER [SEQ_LEN [SECONDS]]\n");
        return 2;
    }
    size_t seq_len = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
    printf("%-8s %12s %12s %12s %10s\n", "sampling", "of tokens", "disk, /s", "memory, /s", "opened, s");
    for (int sampling = LOOM_SAMPLING_RANDOM; sampling <= LOOM_SAMPLING_SHUFFLE; sampling++)
        if (measure(argv[1], sampling, seq_len, seconds, &error)) {
            fprintf(stderr, "%s\n", error.text);
            return 1;
        }
    return 0;
}
