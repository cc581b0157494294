/* material.c - see material.h. */
#include "train/material.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/folder.h"

static const double held_out = 0.05; /* the share of conversations */

static loom_status join(const char *folder, const char *name, char **path, struct loom_error *error) {
    *path = loom_path_join(folder, name);
    return *path ? LOOM_OK : loom_fail_memory(error, folder, strlen(folder));
}

/* ---- the model to start from ------------------------------------------------------------------------------------- */

static loom_status open_init(struct loom_material *m, struct loom_setup *setup, struct loom_error *error) {
    char *path = NULL;
    struct loom_config config;
    loom_status status = loom_model_resolve(m->options->init, &m->init, error);
    if (status == LOOM_OK)
        status = join(m->init, LOOM_CONFIG_FILE, &path, error);
    if (status == LOOM_OK)
        status = loom_config_read(path, &config, error);
    if (status == LOOM_OK)
        setup->config = config;
    free(path);
    return status;
}

loom_status loom_material_open(struct loom_material *material, const struct loom_train_options *options,
                               struct loom_setup *setup, struct loom_error *error) {
    *material = (struct loom_material){.options = options};
    if ((options->n_chat > 0) + (options->n_data > 0) + (options->task != NULL) > 1)
        return loom_fail(error, LOOM_INVALID,
                         "a run learns from token folders, conversations or problems, from one of these alone");
    if ((options->n_chat || options->task) && !options->init)
        return loom_fail(error, LOOM_INVALID,
                         "conversations and problems need a model to start from, with its tokenizer");
    return options->init ? open_init(material, setup, error) : LOOM_OK;
}

void loom_material_close(struct loom_material *material) {
    loom_chat_set_close(&material->chat);
    loom_task_close(&material->task);
    loom_corpus_close(&material->corpus);
    loom_tokenizer_free(material->tokenizer);
    free(material->init);
    *material = (struct loom_material){0};
}

loom_status loom_material_weights(const struct loom_material *material, struct loom_trainer *trainer,
                                  struct loom_error *error) {
    char *path;
    bool adapter;
    if (!material->init)
        return LOOM_OK;
    loom_status status = loom_adapter_in(material->init, &adapter, error);
    if (status || adapter)
        return status ? status : loom_adapter_load(&trainer->model, material->init, error);
    status = join(material->init, LOOM_WEIGHTS_FILE, &path, error);
    if (status == LOOM_OK)
        status = loom_model_load(&trainer->model, path, error);
    free(path);
    if (status == LOOM_OK)
        loom_trainer_adapt(trainer, true);
    return status;
}

/* A run that goes on needs the model that it began with where its weights are still read: beneath adapters, and as the
 * one that rewards do not pull away from. */
static loom_status check_base(const struct loom_material *m, const json_t *record, struct loom_error *error) {
    const char *hash = json_string_value(json_object_get(record, "init_sha256"));
    return !hash || strcmp(hash, m->sha256) == 0
               ? LOOM_OK
               : loom_fail(error, LOOM_INVALID, "%s: these are not the weights that the run %s began with", m->init,
                           m->options->out);
}

loom_status loom_material_base(struct loom_material *material, const json_t *record, const struct loom_setup *setup,
                               struct loom_error *error) {
    struct loom_material *m = material;
    bool adapters = setup->recipe.adapter_rank > 0, adapter = false;
    if (adapters && !m->init)
        return loom_fail(error, LOOM_INVALID, "adapters (adapter_rank %d) need a model to start from",
                         setup->recipe.adapter_rank);
    if (!adapters && !(m->data.task && setup->recipe.rl_kl > 0))
        return LOOM_OK;
    loom_status status = adapters ? LOOM_OK : loom_adapter_in(m->init, &adapter, error);
    if (status || adapter) /* an adapter names the weights that it is for itself */
        return status;
    m->data.init = m->init;
    m->data.init_sha256 = m->sha256;
    status = loom_adapter_hash(m->init, m->sha256, error);
    return status ? status : check_base(m, record, error);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* A resumed run keeps its shares unless the command names others, which are then refused. */
static loom_status open_corpus(struct loom_material *m, const json_t *record, struct loom_error *error) {
    const struct loom_train_options *o = m->options;
    double recorded[LOOM_DATA_MAX];
    const double *mix = o->mix;
    if (o->n_data > LOOM_DATA_MAX)
        return loom_fail(error, LOOM_INVALID, "%zu token folders are more than %d", o->n_data, LOOM_DATA_MAX);
    if (record && !mix && loom_corpus_recorded_mix(record, o->n_data, recorded))
        mix = recorded;
    loom_status status = loom_corpus_open(o->data, mix, o->n_data, &m->corpus, error);
    return status == LOOM_OK && record ? loom_corpus_check_record(&m->corpus, record, o->out, error) : status;
}

loom_status loom_material_text(struct loom_material *material, const json_t *record, struct loom_setup *setup,
                               struct loom_error *error) {
    struct loom_material *m = material;
    int *vocab = &setup->config.vocab_size;
    if (m->options->n_data == 0 && *vocab == 0)
        return loom_fail(error, LOOM_INVALID, "the preset %s takes its vocabulary from the data: name a token folder",
                         setup->preset);
    if (m->options->n_data == 0)
        return LOOM_OK;
    loom_status status = open_corpus(m, record, error);
    if (status)
        return status;
    int size = loom_tokenizer_vocab_size(loom_corpus_tokenizer(&m->corpus));
    if (m->init && size != *vocab)
        return loom_fail(error, LOOM_INVALID, "%s: its vocabulary of %d tokens is not the %d of %s",
                         m->options->data[0], size, *vocab, m->init);
    *vocab = size;
    m->data = (struct loom_training_data){.corpus = &m->corpus, .tokenizer = loom_corpus_tokenizer(&m->corpus)};
    return LOOM_OK;
}

/* ---- conversations ----------------------------------------------------------------------------------------------- */

/* What is learned from must be what the run began with: `what` it is, from `path`. */
static loom_status check_record(const struct loom_material *m, const json_t *record, const char *sha256,
                                const char *what, const char *path, struct loom_error *error) {
    const char *hash = json_string_value(json_object_get(record, "sha256"));
    if (!record || (hash && strcmp(hash, sha256) == 0))
        return LOOM_OK;
    return loom_fail(error, LOOM_INVALID, "%s: these are not the %s that the run %s began with", path, what,
                     m->options->out);
}

static loom_status open_tokenizer(struct loom_material *m, struct loom_error *error) {
    char *path;
    loom_status status = join(m->init, LOOM_TOKENIZER_FILE, &path, error);
    if (status == LOOM_OK)
        status = loom_tokenizer_open(path, &m->tokenizer, error);
    free(path);
    return status;
}

static loom_status open_problems(struct loom_material *m, const json_t *record, const struct loom_setup *setup,
                                 struct loom_error *error) {
    const struct loom_train_options *o = m->options;
    if (!o->problems)
        return loom_fail(error, LOOM_INVALID, "the task %s needs a file of problems", o->task);
    if (setup->recipe.router_bias_rate > 0)
        return loom_fail(error, LOOM_INVALID,
                         "router_bias_rate %g would move the experts between drawing and learning: set it to 0",
                         setup->recipe.router_bias_rate);
    loom_status status = loom_recipe_refuse_unheeded(&setup->recipe, "a training by rewards", error);
    if (status == LOOM_OK)
        status = loom_task_open(&m->task, o->task, o->problems, NULL, error);
    if (status == LOOM_OK && m->task.count < 2)
        status =
            loom_fail(error, LOOM_INVALID, "%s: one problem to learn from and one to hold out are needed", o->problems);
    if (status == LOOM_OK)
        status = loom_task_hash(&m->task, m->task_sha256, error);
    if (status == LOOM_OK)
        status = check_record(m, record, m->task_sha256, "problems", o->problems, error);
    if (status)
        return status;
    size_t n_val = (size_t)(held_out * (double)m->task.count);
    m->data = (struct loom_training_data){.task = &m->task,
                                          .n_val = n_val < 1     ? 1
                                                   : n_val < 200 ? n_val
                                                                 : 200,
                                          .tokenizer = m->tokenizer};
    return LOOM_OK;
}

loom_status loom_material_chat(struct loom_material *material, const json_t *record, const struct loom_setup *setup,
                               struct loom_error *error) {
    struct loom_material *m = material;
    const struct loom_train_options *o = m->options;
    if (o->n_chat == 0 && !o->task)
        return LOOM_OK;
    loom_status status = open_tokenizer(m, error);
    if (status == LOOM_OK && o->task)
        return open_problems(m, record, setup, error);
    if (status == LOOM_OK)
        status = loom_chat_set_open(&m->chat, o->chat, o->n_chat, m->tokenizer, (size_t)setup->recipe.seq_len, held_out,
                                    error);
    if (status)
        return status;
    m->data = (struct loom_training_data){.chat = &m->chat, .tokenizer = m->tokenizer};
    return check_record(m, record, m->chat.sha256, "conversations", o->chat[0], error);
}

json_t *loom_material_record(const struct loom_material *material) {
    const struct loom_material *m = material;
    json_t *json;
    if (m->data.task)
        json = json_pack("{s:s,s:s,s:s,s:I,s:I,s:I}", "task", m->options->task, "problems", m->options->problems,
                         "sha256", m->task_sha256, "examples", (json_int_t)m->task.count, "held_out",
                         (json_int_t)m->data.n_val, "vocab_size", (json_int_t)loom_tokenizer_vocab_size(m->tokenizer));
    else if (m->data.chat) {
        json = json_pack("{s:s,s:I,s:I,s:I,s:I}", "sha256", m->chat.sha256, "examples", (json_int_t)m->chat.count,
                         "held_out", (json_int_t)m->chat.n_val, "rows", (json_int_t)m->chat.train.rows, "vocab_size",
                         (json_int_t)loom_tokenizer_vocab_size(m->tokenizer));
        json_t *paths = json_array();
        for (size_t i = 0; i < m->options->n_chat; i++)
            json_array_append_new(paths, json_string(m->options->chat[i]));
        if (json && json_object_set_new(json, "chat", paths)) {
            json_decref(json);
            json = NULL;
        }
    } else
        json = loom_corpus_record(&m->corpus);
    bool failed = json && m->init && json_object_set_new(json, "init", json_string(m->init));
    if (json && m->sha256[0])
        failed = json_object_set_new(json, "init_sha256", json_string(m->sha256)) || failed;
    if (failed) {
        json_decref(json);
        json = NULL;
    }
    return json;
}
