/* card.c - see card.h. */
#include "train/card.h"

#include <inttypes.h>
#include <math.h>

#include "base/file.h"
#include "base/text.h"

static void put_front(struct loom_text *text) {
    loom_text_append(text, "---\nlibrary_name: loom\npipeline_tag: text-generation\ntags:\n- loom\n---\n\n");
}

static void put_model(struct loom_text *text, const struct loom_trainer *t) {
    const struct loom_config *c = &t->setup.config;
    const struct loom_net *net = &t->model.net;
    loom_text_append(text, "# %s\n\nA language model of the architecture `%s`: %" PRIu64 " parameters", t->setup.preset,
                     loom_architecture_name(c->architecture), loom_tensors_parameters(&net->tensors));
    if (loom_config_looped(c))
        loom_text_append(text,
                         ", %" PRIu64 " of them met by one token; %d loops over %d block%s with %d experts, %d "
                         "for each token",
                         loom_net_active_parameters(net), c->max_loop_iters, c->core_layers,
                         c->core_layers == 1 ? "" : "s", c->n_experts, c->n_experts_per_tok);
    loom_text_append(text, ". Vocabulary %d, context %d.\n\n", c->vocab_size, c->max_seq_len);
}

static void put_training(struct loom_text *text, const struct loom_trainer *t) {
    const struct loom_progress *p = &t->progress;
    loom_text_append(text,
                     "## Training\n\n| | |\n|---|---|\n| optimizer steps | %" PRIu64 " of %" PRIu64
                     " |\n| tokens seen | %" PRIu64 " |\n| FLOPs | %.4g |\n| seed | %" PRIu64 " |\n",
                     p->step, t->setup.recipe.max_iters, p->tokens, p->flops, t->setup.recipe.seed);
    if (isfinite(p->val_loss))
        loom_text_append(text, "| validation loss (nats a token) | %.4f |\n", p->val_loss);
    if (t->data.chat)
        loom_text_append(text, "| conversations | %zu, %zu of them held out |\n| their SHA-256 | `%s` |\n",
                         t->data.chat->count, t->data.chat->n_val, t->data.chat->sha256);
    if (t->data.task)
        loom_text_append(text, "| problems of the task %s | %zu, %zu of them held out |\n", t->data.task->kind->name,
                         t->data.task->count, t->data.n_val);
    for (size_t i = 0; t->data.corpus && i < t->data.corpus->n_folders; i++) {
        const struct loom_corpus_folder *folder = &t->data.corpus->folders[i];
        loom_text_append(text, "| training tokens' SHA-256, %.4g%% of the samples | `%s` |\n",
                         100.0 * folder->slots / LOOM_MIX_SLOTS, folder->tokens->sha256);
    }
    loom_text_append(text, "| written by | loom %s |\n\n", LOOM_VERSION);
    loom_text_append(text, "Run it: `loom generate --model . --prompt \"...\"`\n");
}

loom_status loom_card_write(const struct loom_trainer *trainer, const char *path, struct loom_error *error) {
    struct loom_text text = {0};
    put_front(&text);
    put_model(&text, trainer);
    put_training(&text, trainer);
    loom_status status =
        text.failed ? loom_fail_memory(error, path, text.size) : loom_file_replace(path, text.data, text.size, error);
    loom_text_free(&text);
    return status;
}
