/* ref.c - the table of the plain C machine. */
#include "kernel/ref/ref.h"

/* One precision, real's own. */
bool loom_ref_set_precision(const struct loom_kernels *k, enum loom_precision precision) {
    (void)k;
    return precision == LOOM_PRECISION_FLOAT32;
}

enum loom_storage loom_ref_factor_format(const struct loom_kernels *k) {
    (void)k;
    return LOOM_STORAGE_REAL;
}

/* No form is better than another. */
bool loom_ref_hold(const struct loom_kernels *k, const real *weights, size_t count) {
    (void)k;
    (void)weights;
    (void)count;
    return true;
}

const struct loom_kernels *loom_kernels_ref(void) {
    static const struct loom_kernels table = {
        .name = "ref",
        .set_precision = loom_ref_set_precision,
        .factor_format = loom_ref_factor_format,
        .alloc = loom_ref_alloc,
        .release = loom_ref_release,
        .upload = loom_ref_transfer,
        .download = loom_ref_transfer,
        .hold = loom_ref_hold,
        .fill = loom_ref_fill,
        .copy = loom_ref_copy,
        .convert = loom_ref_convert,
        .add = loom_ref_add,
        .add_scaled = loom_ref_add_scaled,
        .blend = loom_ref_blend,
        .sum = loom_ref_sum,
        .sum_squares = loom_ref_sum_squares,
        .count_below = loom_ref_count_below,
        .dropout = loom_ref_dropout,
        .copy_columns = loom_ref_copy_columns,
        .copy_heads = loom_ref_copy_heads,
        .add_row = loom_ref_add_row,
        .sum_rows = loom_ref_sum_rows,
        .scale_columns = loom_ref_scale_columns,
        .sum_products = loom_ref_sum_products,
        .add_scaled_rows = loom_ref_add_scaled_rows,
        .dot_rows = loom_ref_dot_rows,
        .linear = loom_ref_linear,
        .linear_input = loom_ref_linear_input,
        .linear_weight = loom_ref_linear_weight,
        .rmsnorm = loom_ref_rmsnorm,
        .rmsnorm_backward = loom_ref_rmsnorm_backward,
        .layernorm = loom_ref_layernorm,
        .layernorm_backward = loom_ref_layernorm_backward,
        .swiglu = loom_ref_swiglu,
        .swiglu_backward = loom_ref_swiglu_backward,
        .relu2 = loom_ref_relu2,
        .relu2_backward = loom_ref_relu2_backward,
        .softcap = loom_ref_softcap,
        .softcap_backward = loom_ref_softcap_backward,
        .gelu = loom_ref_gelu,
        .gelu_backward = loom_ref_gelu_backward,
        .embed = loom_ref_embed,
        .embed_backward = loom_ref_embed_backward,
        .rope = loom_ref_rope,
        .attention = loom_ref_attention,
        .attention_backward = loom_ref_attention_backward,
        .route = loom_ref_route,
        .route_backward = loom_ref_route_backward,
        .balance = loom_ref_balance,
        .group = loom_ref_group,
        .gather = loom_ref_gather,
        .gather_backward = loom_ref_gather_backward,
        .combine = loom_ref_combine,
        .combine_backward = loom_ref_combine_backward,
        .lti = loom_ref_lti,
        .lti_backward = loom_ref_lti_backward,
        .halt = loom_ref_halt,
        .halt_backward = loom_ref_halt_backward,
        .cross_entropy = loom_ref_cross_entropy,
        .adamw = loom_ref_adamw,
        .muon = loom_ref_muon,
    };
    return &table;
}
