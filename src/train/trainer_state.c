/* trainer_state.c - see trainer_state.h. */
#include "train/trainer_state.h"

#include "train/measure.h"

const struct loom_tensors *loom_trainer_table(const struct loom_trainer *trainer) {
    return trainer->factors ? &trainer->lora.factors : &trainer->model.net.tensors;
}

real *loom_trainer_trained(const struct loom_trainer *trainer) {
    return trainer->factors ? trainer->factors : trainer->model.weights;
}

void loom_trainer_adapt(struct loom_trainer *trainer, bool keep_base) {
    if (!trainer->factors)
        return;
    if (keep_base)
        loom_lora_keep_base(&trainer->lora, trainer->model.weights);
    loom_lora_apply(&trainer->lora, trainer->model.weights, trainer->factors);
}

bool loom_trainer_hold(struct loom_trainer *trainer) {
    const struct loom_kernels *k = trainer->ws.k;
    if (!trainer->data.task && !loom_setup_holds(&trainer->setup)) /* rollouts read the weights at every token */
        return true;
    return k->hold(k, trainer->model.weights, trainer->model.net.tensors.elements);
}
