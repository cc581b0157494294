/* continue.c - the library from another program: continue a text with a trained model.
 *
 *   cc continue.c $(pkg-config --cflags --libs loom) -o continue
 *   ./continue RUN "Once upon a time" 200
 */
#include <stdio.h>
#include <stdlib.h>

#include <loom/loom.h>

static void write_token(void *user, int token, const char *bytes, size_t size) {
    (void)user;
    (void)token;
    fwrite(bytes, 1, size, stdout);
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct loom_model *model;
    struct loom_error error;
    struct loom_generate_result result;
    if (argc != 4) {
        fprintf(stderr, "usage: continue MODEL TEXT TOKENS\n");
        return 2;
    }
    struct loom_generate_options options = {.prompt = argv[2],
                                            .max_tokens = atoi(argv[3]),
                                            .temperature = 0.8,
                                            .has_temperature = true,
                                            .seed = 1,
                                            .on_token = write_token};
    loom_status status = loom_model_open(argv[1], 0, &model, &error);
    if (status == LOOM_OK)
        status = loom_generate(model, &options, &result, &error);
    if (status)
        fprintf(stderr, "\ncontinue: %s\n", error.text);
    else
        printf("\n%.0f tokens/s\n", (double)result.completion_tokens / result.seconds);
    loom_model_free(model);
    return status ? 1 : 0;
}
