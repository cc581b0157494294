/* verify.c - is this the reference's model? A folder's logits, loss, gradients and first optimizer steps, tensor by
 * tensor, against those the reference computed. See loom_verify in loom.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/folder.h"
#include "model/safetensors.h"
#include "train/objective.h"
#include "train/optimizer.h"

/* Relative errors that a format can hold; a gradient may also miss by a little of the whole gradient's norm. bf16
 * rounds to 2^-9, and a pass rounds again in every layer. */
struct tolerances {
    double logits, loss, gradient, floor, adamw;
};

static const struct tolerances float32_tolerances = {1e-5, 1e-6, 1e-4, 1e-6, 1e-4};
static const struct tolerances bf16_tolerances = {1e-2, 1e-3, 4e-2, 1e-5, 1e-3};

#define REFERENCE_FILE "reference.safetensors"

struct verify {
    struct loom_model model;
    struct loom_safetensors reference;
    size_t batch, seq; /* B, T of input_ids */
    int train_loops;
    int *inputs, *targets; /* (B*T); targets NULL without target_ids */
    struct loom_workspace ws;
    struct loom_objective_buffers buffers;
    real *gradients; /* on the machine */
    real *states[2]; /* gradients on the host, see below; NULL: not known */
    double norms[2]; /* of the whole gradient in each state */
    const struct tolerances *allowed;
    loom_verify_function on_row;
    void *user;
    size_t rows; /* told so far */
    bool passed;
};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void report(struct verify *v, const char *name, double error, double tolerance) {
    struct loom_verify_row row = {name, error, tolerance, error <= tolerance};
    v->rows++;
    v->passed = v->passed && row.passed;
    if (v->on_row)
        v->on_row(v->user, &row);
}

/* |ours - theirs| and |theirs|, in double. A NaN anywhere makes the error NaN, which no tolerance admits. */
static double distance(const real *ours, const real *theirs, size_t n, double *norm) {
    double difference = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)ours[i] - (double)theirs[i];
        difference += d * d;
        square += (double)theirs[i] * (double)theirs[i];
    }
    *norm = sqrt(square);
    return sqrt(difference);
}

static double relative(double difference, double norm) {
    return norm > 0 ? difference / norm : difference;
}

/* As many numbers in another arrangement would be other numbers. */
static loom_status check_shape(const struct loom_tensor_view *view, int rank, const size_t *shape,
                               struct loom_error *error) {
    bool same = view->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = view->shape[i] == shape[i];
    if (same)
        return LOOM_OK;
    char wanted[64] = "";
    for (int i = 0; i < rank; i++)
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%zu", i ? ", " : "", shape[i]);
    return loom_fail(error, LOOM_FAILED, "%s: the tensor \"%.96s\" must have the shape (%s)", view->path, view->name,
                     wanted);
}

/* The reference tensor as numbers; it must have n elements. Freed with free(). */
static loom_status read_reference(const struct loom_tensor_view *view, size_t n, real **data,
                                  struct loom_error *error) {
    *data = calloc(n + 1, sizeof **data);
    if (!*data)
        return loom_fail_memory(error, view->name, n * sizeof **data);
    loom_status status = loom_safetensors_read_real(view, *data, n, error);
    if (status) {
        free(*data);
        *data = NULL;
    }
    return status;
}

/* One row for a tensor of ours that lies on the host. */
static loom_status compare(struct verify *v, const struct loom_tensor_view *view, const real *ours, size_t n,
                           double tolerance, struct loom_error *error) {
    real *theirs;
    double norm;
    loom_status status = read_reference(view, n, &theirs, error);
    if (status)
        return status;
    double difference = distance(ours, theirs, n, &norm);
    report(v, view->name, relative(difference, norm), tolerance);
    free(theirs);
    return LOOM_OK;
}

/* ---- logits ------------------------------------------------------------------------------------------------------ */

static struct loom_forward forward_of(const struct verify *v, int loops) {
    return (struct loom_forward){
        .weights = v->model.weights, .ids = v->inputs, .batch = v->batch, .seq = v->seq, .loops = loops};
}

static loom_status full_logits(struct verify *v, int loops, real *out, struct loom_error *error) {
    struct loom_workspace ws;
    struct loom_workspace_shape shape = {.batch = v->batch, .seq = v->seq, .loops = loops};
    size_t rows = v->batch * v->seq, vocab = (size_t)v->model.net.config.vocab_size;
    loom_status status = loom_workspace_open(&ws, &v->model.net, v->model.k, &shape, error);
    if (status == LOOM_OK) {
        struct loom_forward f = forward_of(v, loops);
        loom_net_forward(&ws, &f);
        real *logits = loom_workspace_logits(&ws, rows);
        loom_net_logits(&ws, v->model.weights, logits, ws.hidden, rows);
        v->model.k->download(v->model.k, out, logits, rows * vocab * sizeof *out);
    }
    loom_workspace_close(&ws);
    return status;
}

/* Tokens first .. first+count-1 of every sequence, through the cache; their logits go to their places in out (B,T,V).
 */
static void cached_piece(struct verify *v, struct loom_workspace *ws, struct loom_cache *cache, int *piece,
                         size_t first, size_t count, int loops, real *out) {
    size_t vocab = (size_t)v->model.net.config.vocab_size;
    for (size_t b = 0; b < v->batch; b++)
        memcpy(piece + b * count, v->inputs + b * v->seq + first, count * sizeof *piece);
    struct loom_forward f = forward_of(v, loops);
    f.ids = piece;
    f.seq = count;
    f.cache = cache;
    loom_net_forward(ws, &f);
    real *logits = loom_workspace_logits(ws, v->batch * count);
    loom_net_logits(ws, v->model.weights, logits, ws->hidden, v->batch * count);
    for (size_t b = 0; b < v->batch; b++)
        v->model.k->download(v->model.k, out + (b * v->seq + first) * vocab, logits + b * count * vocab,
                             count * vocab * sizeof *out);
}

/* The first half at once, then one token at a time. */
static loom_status cached_logits(struct verify *v, int loops, real *out, struct loom_error *error) {
    struct loom_workspace ws;
    struct loom_cache cache = {0};
    size_t half = v->seq / 2, most = half ? half : 1;
    struct loom_workspace_shape shape = {.batch = v->batch, .seq = most, .capacity = v->seq, .loops = loops};
    int *piece = calloc(v->batch * most, sizeof *piece);
    loom_status status = loom_workspace_open(&ws, &v->model.net, v->model.k, &shape, error);
    if (status == LOOM_OK)
        status = loom_cache_open(&cache, v->model.k, &v->model.net.config, loops, v->batch, v->seq, error);
    if (status == LOOM_OK && !piece)
        status = loom_fail_memory(error, "cached tokens", v->batch * most * sizeof *piece);
    for (size_t t = 0; status == LOOM_OK && t < v->seq;) {
        size_t count = t == 0 ? most : 1;
        cached_piece(v, &ws, &cache, piece, t, count, loops, out);
        t += count;
    }
    free(piece);
    loom_cache_close(&cache);
    loom_workspace_close(&ws);
    return status;
}

/* "logits", "logits.loops_N", "logits_cached.loops_N". *loops is as trained when the name has none; false for another
 * name. */
static bool logits_name(const struct verify *v, const char *name, bool *cached, int *loops) {
    static const char plain[] = "logits", behind_cache[] = "logits_cached";
    *cached = strncmp(name, behind_cache, sizeof behind_cache - 1) == 0;
    const char *rest = name + (*cached ? sizeof behind_cache : sizeof plain) - 1;
    if (!*cached && strncmp(name, plain, sizeof plain - 1) != 0)
        return false;
    *loops = v->model.net.config.max_loop_iters;
    if (*rest == '\0')
        return true;
    char *end;
    if (strncmp(rest, ".loops_", 7) != 0)
        return false;
    long value = strtol(rest + 7, &end, 10);
    *loops = (int)value;
    return *end == '\0' && end != rest + 7 && value >= 1 && value <= 4096;
}

static loom_status verify_logits(struct verify *v, const struct loom_tensor_view *view, bool cached, int loops,
                                 struct loom_error *error) {
    const size_t shape[] = {v->batch, v->seq, (size_t)v->model.net.config.vocab_size};
    size_t n = shape[0] * shape[1] * shape[2];
    loom_status status = check_shape(view, 3, shape, error);
    if (status)
        return status;
    real *ours = calloc(n, sizeof *ours);
    if (!ours)
        return loom_fail_memory(error, view->name, n * sizeof *ours);
    status = cached ? cached_logits(v, loops, ours, error) : full_logits(v, loops, ours, error);
    if (status == LOOM_OK)
        status = compare(v, view, ours, n, v->allowed->logits, error);
    free(ours);
    return status;
}

/* ---- loss -------------------------------------------------------------------------------------------------------- */

/* Loss and gradients of the reference's batch with the weights as they are; returns the mean loss. */
static double run_batch(struct verify *v) {
    const struct loom_kernels *k = v->model.k;
    size_t counted = 0, rows = v->batch * v->seq;
    for (size_t i = 0; i < rows; i++)
        counted += v->targets[i] >= 0;
    k->fill(k, v->gradients, 0, v->model.net.tensors.elements);
    struct loom_objective o = {.forward = forward_of(v, v->train_loops),
                               .targets = v->targets,
                               .scale = (real)(1 / (double)counted),
                               .gradients = v->gradients};
    o.forward.keep = true;
    return loom_objective_run(&v->ws, &v->buffers, &o) / (double)counted;
}

static loom_status verify_scalar(struct verify *v, const char *name, double ours, double tolerance,
                                 struct loom_error *error) {
    const struct loom_tensor_view *view = loom_safetensors_find(&v->reference, name);
    if (!view)
        return LOOM_OK;
    real value = (real)ours;
    return compare(v, view, &value, 1, tolerance, error);
}

/* ---- gradients ----------------------------------------------------------------------------------------------------
 *
 * A reference holds gradients in one of two states. Either those of the given weights; or, because PyTorch clips and
 * clears gradients in place, what the last of the optimizer's steps left: the gradients before the last update,
 * clipped. `loss` and `grad_norm` are of the given weights in both. Each file is held against the state that more of
 * its tensors fit. */

enum { GIVEN_WEIGHTS, LAST_STEP, GRADIENT_STATES };

/* A gradient tensor's error, relative to its own norm, may also reach a little of the whole gradient's. That of an
 * expert which no token picked must be exactly zero. */
static loom_status measure_gradient(const struct verify *v, const struct loom_tensor_view *view, int state,
                                    struct loom_verify_row *row, struct loom_error *error) {
    const struct loom_tensor *t = loom_tensors_find(&v->model.net.tensors, view->name + strlen("grad."));
    if (!t)
        return loom_fail(error, LOOM_FAILED, "%s: \"%s\" names no tensor of this model", v->reference.path, view->name);
    real *theirs;
    double norm;
    loom_status status = check_shape(view, t->rank, t->shape, error);
    if (status == LOOM_OK)
        status = read_reference(view, t->count, &theirs, error);
    if (status)
        return status;
    double difference = distance(v->states[state] + t->offset, theirs, t->count, &norm);
    double relative_error = relative(difference, norm), floor = v->allowed->floor * v->norms[state];
    bool unpicked = norm <= 0 && strstr(view->name, "routed_experts");
    double tolerance = unpicked ? 0 : norm > 0 ? v->allowed->gradient + floor / norm : floor;
    *row = (struct loom_verify_row){view->name, relative_error, tolerance, relative_error <= tolerance};
    free(theirs);
    return LOOM_OK;
}

/* Goes over all gradient tensors in one state: reports them, or only counts those that fit. */
static loom_status each_gradient(struct verify *v, int state, bool reported, size_t *fit, struct loom_error *error) {
    *fit = 0;
    for (size_t i = 0; i < v->reference.count; i++) {
        const struct loom_tensor_view *view = &v->reference.tensors[i];
        struct loom_verify_row row = {0};
        if (strncmp(view->name, "grad.", 5) != 0)
            continue;
        loom_status status = measure_gradient(v, view, state, &row, error);
        if (status)
            return status;
        *fit += row.passed;
        if (reported)
            report(v, row.name, row.error, row.tolerance);
    }
    return LOOM_OK;
}

static loom_status verify_gradients(struct verify *v, struct loom_error *error) {
    size_t fit[GRADIENT_STATES] = {0}, again;
    loom_status status = LOOM_OK;
    for (int state = 0; state < GRADIENT_STATES && status == LOOM_OK; state++)
        if (v->states[state])
            status = each_gradient(v, state, false, &fit[state], error);
    int best = fit[LAST_STEP] > fit[GIVEN_WEIGHTS] ? LAST_STEP : GIVEN_WEIGHTS;
    return status ? status : each_gradient(v, best, true, &again, error);
}

/* Brings the gradients, times `scale`, to the host as one of the two states. */
static loom_status keep_state(struct verify *v, int state, double scale, struct loom_error *error) {
    size_t elements = v->model.net.tensors.elements;
    v->states[state] = calloc(elements, sizeof(real));
    if (!v->states[state])
        return loom_fail_memory(error, "gradients", elements * sizeof(real));
    v->model.k->download(v->model.k, v->states[state], v->gradients, elements * sizeof(real));
    for (size_t i = 0; i < elements; i++)
        v->states[state][i] *= (real)scale;
    v->norms[state] = loom_gradient_norm(v->model.k, v->gradients, elements, scale);
    return LOOM_OK;
}

static loom_status verify_loss(struct verify *v, struct loom_error *error) {
    double loss = run_batch(v);
    loom_status status = keep_state(v, GIVEN_WEIGHTS, 1, error);
    if (status == LOOM_OK)
        status = verify_scalar(v, "loss", loss, v->allowed->loss, error);
    if (status == LOOM_OK)
        status = verify_scalar(v, "grad_norm", v->norms[GIVEN_WEIGHTS], v->allowed->gradient, error);
    return status;
}

/* ---- the optimizer's first steps --------------------------------------------------------------------------------- */

/* The number behind `label` in the settings; false when it is not there. */
static bool setting(const char *text, const char *label, double *value) {
    const char *place = strstr(text, label);
    char *end;
    if (!place)
        return false;
    *value = strtod(place + strlen(label), &end);
    return end != place + strlen(label);
}

static loom_status read_settings(struct verify *v, struct loom_recipe *recipe, struct loom_error *error) {
    const char *text = loom_safetensors_metadata(&v->reference, "adamw");
    const char *betas = text ? strstr(text, "betas=(") : NULL;
    *recipe = (struct loom_recipe){0};
    if (!betas || sscanf(betas, "betas=(%lf,%lf)", &recipe->beta1, &recipe->beta2) != 2 ||
        !setting(text, "lr=", &recipe->learning_rate) || !setting(text, "eps=", &recipe->epsilon) ||
        !setting(text, "weight_decay=", &recipe->weight_decay))
        return loom_fail(error, LOOM_FAILED, "%s: the metadata \"adamw\" must give lr, betas, eps and weight_decay",
                         v->reference.path);
    if (!setting(text, "clipped at ", &recipe->grad_clip))
        recipe->grad_clip = 0;
    recipe->decay = strstr(text, "2 or more dimensions") ? LOOM_DECAY_MATRICES : LOOM_DECAY_ALL;
    return LOOM_OK;
}

/* losses[i] is the loss before update i, the same batch each time. Leaves the weights updated. */
static loom_status descend(struct verify *v, struct loom_optimizer *optimizer, const struct loom_recipe *recipe,
                           real *losses, size_t count, struct loom_error *error) {
    size_t elements = v->model.net.tensors.elements;
    double factor = 1;
    for (size_t i = 0; i < count; i++) {
        losses[i] = (real)run_batch(v);
        factor = loom_clip_factor(loom_gradient_norm(v->model.k, v->gradients, elements, 1), recipe->grad_clip);
        loom_optimizer_update(optimizer, recipe, recipe->learning_rate, factor, v->model.weights, v->gradients);
    }
    return keep_state(v, LAST_STEP, factor, error);
}

static loom_status report_losses(struct verify *v, const struct loom_tensor_view *view, const real *losses,
                                 size_t count, struct loom_error *error) {
    real *theirs;
    loom_status status = read_reference(view, count, &theirs, error);
    for (size_t i = 0; status == LOOM_OK && i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "adamw_losses[%zu]", i);
        report(v, name, relative(fabs((double)losses[i] - (double)theirs[i]), fabs((double)theirs[i])),
               v->allowed->adamw);
    }
    free(theirs);
    return status;
}

static loom_status verify_adamw(struct verify *v, struct loom_error *error) {
    const struct loom_tensor_view *view = loom_safetensors_find(&v->reference, "adamw_losses");
    struct loom_recipe recipe;
    if (!view)
        return LOOM_OK;
    size_t count = view->rank == 1 ? (size_t)view->shape[0] : 0;
    loom_status status = read_settings(v, &recipe, error);
    if (status)
        return status;
    struct loom_optimizer optimizer;
    real *losses = calloc(count + 1, sizeof *losses);
    status = loom_optimizer_open(&optimizer, v->model.k, &v->model.net.tensors, &recipe, error);
    if (status == LOOM_OK && !losses)
        status = loom_fail_memory(error, "losses", count * sizeof *losses);
    if (status == LOOM_OK)
        status = descend(v, &optimizer, &recipe, losses, count, error);
    if (status == LOOM_OK)
        status = report_losses(v, view, losses, count, error);
    loom_optimizer_close(&optimizer);
    free(losses);
    return status;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static loom_status read_ids(struct verify *v, const char *name, int lowest, int **ids, struct loom_error *error) {
    const struct loom_tensor_view *view = loom_safetensors_find(&v->reference, name);
    int vocab = v->model.net.config.vocab_size;
    size_t n = v->batch * v->seq;
    const size_t shape[] = {v->batch, v->seq};
    if (!view)
        return LOOM_OK;
    *ids = calloc(n, sizeof **ids);
    if (!*ids)
        return loom_fail_memory(error, name, n * sizeof **ids);
    loom_status status = check_shape(view, 2, shape, error);
    if (status == LOOM_OK)
        status = loom_safetensors_read_int(view, *ids, n, error);
    size_t counted = 0;
    for (size_t i = 0; i < n && status == LOOM_OK; i++) {
        counted += (*ids)[i] >= 0;
        if ((*ids)[i] < lowest || (*ids)[i] >= vocab)
            status = loom_fail(error, LOOM_FAILED, "%s: %s[%zu] = %d is outside the vocabulary of %d",
                               v->reference.path, name, i, (*ids)[i], vocab);
    }
    if (status == LOOM_OK && counted == 0)
        status = loom_fail(error, LOOM_FAILED, "%s: every one of %s is -1", v->reference.path, name);
    return status;
}

static loom_status read_shape(struct verify *v, struct loom_error *error) {
    const struct loom_tensor_view *view = loom_safetensors_find(&v->reference, "input_ids");
    const char *loops = loom_safetensors_metadata(&v->reference, "train_loops");
    int longest = v->model.net.config.max_seq_len;
    if (!view || view->rank != 2 || view->shape[0] == 0 || view->shape[1] == 0)
        return loom_fail(error, LOOM_FAILED, "%s: \"input_ids\" of shape (B, T) is missing", v->reference.path);
    if (view->shape[1] > (uint64_t)longest)
        return loom_fail(error, LOOM_FAILED, "%s: input_ids has %llu positions, the model at most %d",
                         v->reference.path, (unsigned long long)view->shape[1], longest);
    v->batch = (size_t)view->shape[0];
    v->seq = (size_t)view->shape[1];
    char *end = NULL;
    long count = loops ? strtol(loops, &end, 10) : v->model.net.config.max_loop_iters;
    v->train_loops = (int)count;
    if (loops && (end == loops || *end != '\0' || count < 1 || count > 4096))
        return loom_fail(error, LOOM_FAILED, "%s: the metadata train_loops = \"%.32s\" is outside 1 to 4096",
                         v->reference.path, loops);
    return LOOM_OK;
}

/* float32, or what the options name. */
static loom_status choose_precision(struct verify *v, const char *name, struct loom_error *error) {
    const bool bf16 = name && strcmp(name, "bf16") == 0;
    if (name && !bf16 && strcmp(name, "float32") != 0)
        return loom_fail(error, LOOM_INVALID, "the precision \"%.32s\" is neither float32 nor bf16", name);
    v->allowed = bf16 ? &bf16_tolerances : &float32_tolerances;
    return loom_model_set_precision(&v->model, bf16 ? LOOM_PRECISION_BF16 : LOOM_PRECISION_FLOAT32, error);
}

static loom_status open_folder(struct verify *v, const char *folder, const struct loom_verify_options *options,
                               struct loom_error *error) {
    loom_status status = loom_model_read(&v->model, folder, options->threads, error);
    if (status == LOOM_OK)
        status = choose_precision(v, options->precision, error);
    if (status)
        return status;
    v->model.net.config.dropout = 0; /* references are computed without */
    char *path = loom_path_join(folder, REFERENCE_FILE);
    status = path ? loom_safetensors_open(path, &v->reference, error) : loom_fail_memory(error, folder, strlen(folder));
    free(path);
    if (status == LOOM_OK)
        status = read_shape(v, error);
    if (status == LOOM_OK)
        status = read_ids(v, "input_ids", 0, &v->inputs, error);
    if (status == LOOM_OK)
        status = read_ids(v, "target_ids", -1, &v->targets, error);
    return status;
}

static loom_status open_training(struct verify *v, struct loom_error *error) {
    struct loom_workspace_shape shape = {.batch = v->batch, .seq = v->seq, .loops = v->train_loops, .keep = true};
    size_t bytes = v->model.net.tensors.elements * sizeof *v->gradients;
    loom_status status = loom_workspace_open(&v->ws, &v->model.net, v->model.k, &shape, error);
    if (status == LOOM_OK)
        status = loom_objective_open(&v->buffers, v->model.k, v->batch * v->seq, error);
    if (status == LOOM_OK && !(v->gradients = v->model.k->alloc(v->model.k, bytes)))
        status = loom_fail_memory(error, "gradients", bytes);
    return status;
}

/* Every tensor of the reference must be one this function knows: an unread one would pass unseen. */
static loom_status verify_all_logits(struct verify *v, struct loom_error *error) {
    loom_status status = LOOM_OK;
    for (size_t i = 0; i < v->reference.count && status == LOOM_OK; i++) {
        const struct loom_tensor_view *view = &v->reference.tensors[i];
        static const char *const others[] = {"input_ids", "target_ids", "loss", "grad_norm", "adamw_losses"};
        bool cached, known = strncmp(view->name, "grad.", 5) == 0;
        int loops;
        for (size_t j = 0; j < sizeof others / sizeof others[0]; j++)
            known = known || strcmp(view->name, others[j]) == 0;
        if (logits_name(v, view->name, &cached, &loops))
            status = verify_logits(v, view, cached, loops, error);
        else if (!known)
            status = loom_fail(error, LOOM_FAILED, "%s: there is no check for a tensor \"%.96s\"", v->reference.path,
                               view->name);
        else if (!v->targets && strcmp(view->name, "input_ids") != 0)
            status = loom_fail(error, LOOM_FAILED, "%s: \"%.96s\" needs \"target_ids\", which is missing",
                               v->reference.path, view->name);
    }
    return status;
}

static void close_all(struct verify *v) {
    if (v->model.k) {
        loom_objective_close(&v->buffers, v->model.k);
        v->model.k->release(v->model.k, v->gradients);
    }
    loom_workspace_close(&v->ws);
    loom_model_close(&v->model);
    loom_safetensors_close(&v->reference);
    free(v->inputs);
    free(v->targets);
    free(v->states[GIVEN_WEIGHTS]);
    free(v->states[LAST_STEP]);
}

loom_status loom_verify(const char *folder, const struct loom_verify_options *options, loom_verify_function on_row,
                        void *user, bool *passed, struct loom_error *error) {
    struct verify v = {.on_row = on_row, .user = user, .passed = true};
    loom_status status = open_folder(&v, folder, options, error);
    if (status == LOOM_OK)
        status = verify_all_logits(&v, error);
    if (status == LOOM_OK && v.targets) {
        status = open_training(&v, error);
        if (status == LOOM_OK)
            status = verify_loss(&v, error);
        if (status == LOOM_OK)
            status = verify_adamw(&v, error);
        if (status == LOOM_OK)
            status = verify_gradients(&v, error);
    }
    if (status == LOOM_OK && v.rows == 0)
        status = loom_fail(error, LOOM_FAILED, "%s: there is nothing to hold the model against", v.reference.path);
    *passed = status == LOOM_OK && v.passed;
    close_all(&v);
    return status;
}
