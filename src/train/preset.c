/* preset.c - see preset.h. */
#include "train/preset.h"

#include <string.h>

/* What Muon would use, where `optimizer` asks for it. */
#define MUON_TRAINING                                                                                                  \
    "muon_lr=0.02 muon_momentum=0.95 muon_momentum_start=0.85 muon_momentum_warmup=300 muon_beta2=0.95 "               \
    "muon_decay=0 muon_cautious=true muon_iterations=5 muon_block=0 cooldown=0.5"

/* What adapters, a private training and a reinforced one would use, where they are asked for. */
#define ADAPTER_TRAINING                                                                                               \
    " adapter_rank=0 adapter_alpha=16 adapter_targets=* dp_clip=0 dp_noise=0 dp_epsilon=0 dp_delta=1e-5 "              \
    "rl_objective=grpo rl_credit=last rl_prompts=8 rl_group=8 rl_max_tokens=32 rl_updates=1 rl_temperature=1 "         \
    "rl_clip_low=0 rl_clip_high=0 rl_kl=0 rl_resample=0 rl_overlong=0 rl_seconds=10"

/* Every training starts from these: nanoGPT's settings for a small model on a CPU. */
#define NANOGPT_SMALL_TRAINING                                                                                         \
    "batch_size=12 gradient_accumulation_steps=1 max_iters=2000 learning_rate=1e-3 min_lr=1e-4 warmup_iters=100 "      \
    "beta1=0.9 beta2=0.99 epsilon=1e-8 weight_decay=0.1 decay=matrices grad_clip=1 eval_interval=125 "                 \
    "keep_checkpoints=1 sample_tokens=300 seed=1 precision=auto " MUON_TRAINING ADAPTER_TRAINING

/* The house recipe; docs/race.md has what each choice is worth. */
#define LOOM_BLOCK                                                                                                     \
    "attn_type=gqa activation=relu2 qk_norm=1.2 zero_init=true norm_gain=false init_gain=0.6 embed_std=0.4 "           \
    "tie_word_embeddings=false halting=none "
#define LOOM_TRAINING                                                                                                  \
    NANOGPT_SMALL_TRAINING                                                                                             \
    " optimizer=muon learning_rate=3e-3 embedding_lr=0.1 head_lr=0.01 muon_lr=0.03 muon_block=32 schedule=linear "     \
    "cooldown=0.9 min_lr=0 warmup_iters=0 weight_decay=0 grad_clip=0 router_bias_rate=1e-2"

/* The reference's own training: AdamW with decay on every tensor. */
#define MYTHOS_TRAINING                                                                                                \
    "batch_size=8 gradient_accumulation_steps=32 max_iters=57220 learning_rate=3e-4 min_lr=3e-5 warmup_iters=2000 "    \
    "beta1=0.9 beta2=0.95 epsilon=1e-8 weight_decay=0.1 decay=all grad_clip=1 eval_interval=1000 "                     \
    "keep_checkpoints=2 sample_tokens=300 seed=1 seq_len=2048 precision=auto " MUON_TRAINING ADAPTER_TRAINING

/* The sides of the race at nanoGPT's small settings; its larger size changes a few of them. */
#define LOOM_SMALL                                                                                                     \
    LOOM_BLOCK "dim=64 n_heads=4 n_kv_heads=4 max_seq_len=64 prelude_layers=0 coda_layers=0 core_layers=1 "            \
               "max_loop_iters=2 n_experts=4 n_experts_per_tok=2 n_shared_experts=0 expert_dim=64 lora_rank=2 "        \
               "rope_theta=200 ngram=4 ngram_rows=3879 " LOOM_TRAINING " max_iters=300 eval_interval=5"
#define DENSE_SMALL                                                                                                    \
    LOOM_BLOCK "dim=64 n_heads=4 n_kv_heads=4 max_seq_len=64 prelude_layers=1 coda_layers=0 core_layers=0 "            \
               "n_experts=0 max_loop_iters=1 ffn_dim=256 rope_theta=200 ngram=4 ngram_rows=3885 " LOOM_TRAINING        \
               " max_iters=300 eval_interval=5"
#define MODERN_SMALL                                                                                                   \
    LOOM_BLOCK "dim=128 n_heads=4 n_kv_heads=4 max_seq_len=64 prelude_layers=4 coda_layers=0 core_layers=0 "           \
               "n_experts=0 max_loop_iters=1 ffn_dim=512 rope_theta=10000 " LOOM_TRAINING                              \
               " max_iters=500 eval_interval=25 embedding_lr=0.2 head_lr=4e-3 embed_std=0.8"
#define NANOGPT_SMALL "n_layer=4 n_head=4 n_embd=128 block_size=64 bias=false dropout=0 " NANOGPT_SMALL_TRAINING

/* A block and a looped one that learn a generated task; docs/depth.md has what each choice is worth. */
#define LOOM_DRILL                                                                                                     \
    LOOM_BLOCK                                                                                                         \
    "dim=64 n_heads=2 n_kv_heads=2 max_seq_len=192 prelude_layers=1 coda_layers=0 core_layers=1 "                      \
    "n_experts=0 ffn_dim=256 max_loop_iters=8 injection=none loop_index=false lora_rank=0 "                            \
    "loop_keys=prelude loop_norm=true rope_theta=1000000 qk_norm=0 embed_shift=true init_match=true " LOOM_TRAINING    \
    " batch_size=32 max_iters=500 curriculum=0.6 cooldown=0.7 task_loops=given eval_interval=250 "                     \
    "sample_tokens=0 muon_lr=0.01 muon_block=0 muon_momentum=0.9 learning_rate=3e-3 embedding_lr=5e-3 head_lr=3e-3 "   \
    "grad_clip=0.3"

static const struct loom_preset presets[] = {
    {"loom-small", "looped mixture of experts with n-gram tables, 0.8 M parameters: the demo's side of the race",
     LOOM_ARCHITECTURE_LOOM, LOOM_SMALL},
    {"dense-small", "loom-small without its loop and its experts, as large and trained alike", LOOM_ARCHITECTURE_LOOM,
     DENSE_SMALL},
    {"modern-small", "nanogpt-small with loom-small's block and optimizer, without its n-gram tables",
     LOOM_ARCHITECTURE_LOOM, MODERN_SMALL},
    {"nanogpt-small", "nanoGPT at its small CPU settings: 4 layers, 4 heads, width 128, context 64",
     LOOM_ARCHITECTURE_GPT, NANOGPT_SMALL},
    {"nanogpt-small-tuned", "nanogpt-small with the best learning rate of a sweep on Tiny Shakespeare",
     LOOM_ARCHITECTURE_GPT, NANOGPT_SMALL " learning_rate=8e-3"},
    {"loom-6m", "loom-small twice as wide, with larger tables: 6 M parameters on bytes", LOOM_ARCHITECTURE_LOOM,
     LOOM_SMALL " dim=128 expert_dim=128 ngram_rows=15090 max_iters=400"},
    {"dense-6m", "loom-6m without its loop and its experts, as large and trained alike", LOOM_ARCHITECTURE_LOOM,
     DENSE_SMALL " dim=128 ffn_dim=512 ngram_rows=15094 max_iters=400"},
    {"modern-6m", "nanogpt-6m with loom-6m's block and optimizer, without its n-gram tables", LOOM_ARCHITECTURE_LOOM,
     MODERN_SMALL " dim=288 n_heads=6 n_kv_heads=6 prelude_layers=6 ffn_dim=1152 eval_interval=50"},
    {"nanogpt-6m", "nanogpt-small with 6 layers, 6 heads and width 288: 6 M parameters", LOOM_ARCHITECTURE_GPT,
     NANOGPT_SMALL " n_layer=6 n_head=6 n_embd=288 eval_interval=250"},
    {"loom-shakespeare", "looped mixture of experts, 6.3 M parameters, for nanoGPT's larger character settings",
     LOOM_ARCHITECTURE_LOOM,
     LOOM_SMALL " dim=256 max_seq_len=256 prelude_layers=1 core_layers=2 coda_layers=1 ffn_dim=1024 expert_dim=512 "
                "rope_theta=10000 ngram=2 ngram_rows=8192 ngram_dropout=0.2 dropout=0.15 embed_std=0.8 batch_size=64 "
                "max_iters=437 eval_interval=23 embedding_lr=0.2 head_lr=4e-3 muon_block=0 muon_momentum_warmup=100 "
                "muon_decay=1 weight_decay=0.1"},
    {"loom-drill", "a block and a looped one, run once for each step of a generated task", LOOM_ARCHITECTURE_LOOM,
     LOOM_DRILL},
    {"loom-gate", "loom-drill with a gate that learns how many loops a problem takes, to 99", LOOM_ARCHITECTURE_LOOM,
     LOOM_DRILL " halting=gate gate_loops=99 answer_steps=8 head_lr=0.02 max_iters=1000 eval_interval=500"},
    {"loom-chain", "loom-drill for tasks in which each step begins where the one before ended", LOOM_ARCHITECTURE_LOOM,
     LOOM_DRILL " loop_keys=state injection=parcae n_heads=4 n_kv_heads=1 rope_theta=100 sliding_window=12 "
                "max_iters=2000 eval_interval=500"},
    {"loom-story", "loom-drill with experts, for word problems", LOOM_ARCHITECTURE_LOOM,
     LOOM_BLOCK
     "dim=64 n_heads=2 n_kv_heads=2 max_seq_len=256 prelude_layers=1 coda_layers=0 core_layers=1 "
     "n_experts=4 n_experts_per_tok=2 n_shared_experts=0 expert_dim=128 max_loop_iters=5 injection=add "
     "loop_index=false lora_rank=0 rope_theta=1000000 qk_norm=0 embed_shift=true init_match=true " LOOM_TRAINING
     " batch_size=32 max_iters=1500 curriculum=0 cooldown=0.3 task_loops=given "
     "eval_interval=500 sample_tokens=0 muon_lr=0.01 embedding_lr=0.0025 learning_rate=1.5e-3 head_lr=0.005"},
    {"finetune", "training that starts from a model (--init), whose sizes take the place of loom-small's",
     LOOM_ARCHITECTURE_LOOM,
     "dim=128 n_heads=4 n_kv_heads=4 max_seq_len=64 max_loop_iters=2 " NANOGPT_SMALL_TRAINING
     " batch_size=8 max_iters=300 learning_rate=3e-4 min_lr=3e-5 warmup_iters=20 beta2=0.95 weight_decay=0 "
     "eval_interval=50 sample_tokens=0 router_bias_rate=0"},
    {"openmythos-small", "the looped reference, unmended, at the small settings", LOOM_ARCHITECTURE_OPENMYTHOS,
     "dim=128 n_heads=4 n_kv_heads=4 max_seq_len=64 attn_type=gqa prelude_layers=1 coda_layers=1 "
     "max_loop_iters=3 n_experts=8 n_experts_per_tok=2 n_shared_experts=1 expert_dim=112 lora_rank=4 "
     "rope_theta=10000 " NANOGPT_SMALL_TRAINING " decay=all"},
    {"gqa-bench", "a looped model of width 384 with grouped-query attention, for timing", LOOM_ARCHITECTURE_OPENMYTHOS,
     "dim=384 n_heads=6 n_kv_heads=2 max_seq_len=256 attn_type=gqa prelude_layers=1 coda_layers=1 max_loop_iters=4 "
     "n_experts=8 n_experts_per_tok=2 n_shared_experts=1 expert_dim=256 lora_rank=16 " NANOGPT_SMALL_TRAINING
     " batch_size=8"},
    {"mla-bench", "the same with latent attention", LOOM_ARCHITECTURE_OPENMYTHOS,
     "dim=384 n_heads=6 max_seq_len=256 attn_type=mla kv_lora_rank=128 q_lora_rank=192 qk_rope_head_dim=32 "
     "qk_nope_head_dim=32 v_head_dim=64 prelude_layers=1 coda_layers=1 max_loop_iters=4 n_experts=8 "
     "n_experts_per_tok=2 n_shared_experts=1 expert_dim=256 lora_rank=16 " NANOGPT_SMALL_TRAINING " batch_size=8"},
    {"llama-bench", "a dense model of Llama's shape, 1.1 B parameters, for timing inference", LOOM_ARCHITECTURE_LOOM,
     "vocab_size=32000 dim=2048 n_heads=32 n_kv_heads=4 max_seq_len=512 attn_type=gqa prelude_layers=22 core_layers=0 "
     "coda_layers=0 "
     "max_loop_iters=1 n_experts=0 ffn_dim=5632 tie_word_embeddings=false " NANOGPT_SMALL_TRAINING},
    {"mixtral-bench", "eight experts, two for each token, in each of 8 layers, 288 M parameters, for timing inference",
     LOOM_ARCHITECTURE_LOOM,
     "vocab_size=32000 dim=1024 n_heads=16 n_kv_heads=4 max_seq_len=512 attn_type=gqa prelude_layers=0 core_layers=8 "
     "coda_layers=0 "
     "max_loop_iters=1 n_experts=8 n_experts_per_tok=2 n_shared_experts=0 expert_dim=1024 injection=none "
     "loop_index=false lora_rank=0 halting=none tie_word_embeddings=false " NANOGPT_SMALL_TRAINING},
    {"llama2-bench", "a dense model of 110 M parameters, for timing inference", LOOM_ARCHITECTURE_LOOM,
     "vocab_size=32000 dim=768 n_heads=12 n_kv_heads=12 max_seq_len=1024 attn_type=gqa prelude_layers=12 core_layers=0 "
     "coda_layers=0 "
     "max_loop_iters=1 n_experts=0 ffn_dim=2048 " NANOGPT_SMALL_TRAINING},
    {"nanogpt-shakespeare", "nanoGPT at its larger character settings: 6 layers, width 384, context 256",
     LOOM_ARCHITECTURE_GPT,
     "n_layer=6 n_head=6 n_embd=384 block_size=256 bias=false dropout=0.2 " NANOGPT_SMALL_TRAINING
     " batch_size=64 max_iters=5000"},
    {"mythos-1b", "the reference's 1 B sizes", LOOM_ARCHITECTURE_OPENMYTHOS,
     "vocab_size=32000 kv_lora_rank=256 q_lora_rank=512 qk_rope_head_dim=32 qk_nope_head_dim=64 v_head_dim=64 "
     "expert_dim=2048 lora_rank=8 " MYTHOS_TRAINING},
    {"mythos-3b", "the reference's 3 B sizes", LOOM_ARCHITECTURE_OPENMYTHOS,
     "vocab_size=32000 dim=3072 n_heads=24 n_kv_heads=6 kv_lora_rank=384 q_lora_rank=768 qk_rope_head_dim=32 "
     "qk_nope_head_dim=96 v_head_dim=96 expert_dim=4096 lora_rank=8 " MYTHOS_TRAINING},
    {"mythos-10b", "the reference's 10 B sizes", LOOM_ARCHITECTURE_OPENMYTHOS,
     "vocab_size=32000 dim=4096 n_heads=32 n_kv_heads=8 max_seq_len=8192 max_loop_iters=24 kv_lora_rank=512 "
     "q_lora_rank=1024 n_experts=128 expert_dim=5632 " MYTHOS_TRAINING},
    {"mythos-50b", "the reference's 50 B sizes", LOOM_ARCHITECTURE_OPENMYTHOS,
     "vocab_size=32000 dim=6144 n_heads=48 n_kv_heads=8 max_seq_len=8192 max_loop_iters=32 prelude_layers=3 "
     "coda_layers=3 n_experts=256 n_shared_experts=4 expert_dim=9728 lora_rank=32 " MYTHOS_TRAINING},
    {"mythos-100b", "the reference's 100 B sizes", LOOM_ARCHITECTURE_OPENMYTHOS,
     "vocab_size=32000 dim=8192 n_heads=64 n_kv_heads=8 max_seq_len=1000000 max_loop_iters=32 prelude_layers=4 "
     "coda_layers=4 q_lora_rank=2048 n_experts=256 n_shared_experts=4 n_experts_per_tok=8 expert_dim=13568 "
     "rope_theta=1000000 lora_rank=64 max_output_tokens=131072 " MYTHOS_TRAINING},
    {"mythos-500b", "the reference's 500 B sizes", LOOM_ARCHITECTURE_OPENMYTHOS,
     "vocab_size=100000 dim=12288 n_heads=96 n_kv_heads=16 max_seq_len=1000000 max_loop_iters=48 prelude_layers=4 "
     "coda_layers=4 kv_lora_rank=1024 q_lora_rank=3072 n_experts=512 n_shared_experts=8 n_experts_per_tok=8 "
     "expert_dim=23040 rope_theta=1000000 lora_rank=128 max_output_tokens=131072 " MYTHOS_TRAINING},
    {"mythos-1t", "the reference's 1 T sizes", LOOM_ARCHITECTURE_OPENMYTHOS,
     "vocab_size=100000 dim=16384 n_heads=128 n_kv_heads=16 max_seq_len=1000000 max_loop_iters=64 prelude_layers=6 "
     "coda_layers=6 kv_lora_rank=1024 q_lora_rank=4096 n_experts=512 n_shared_experts=8 n_experts_per_tok=8 "
     "expert_dim=34560 rope_theta=2000000 lora_rank=256 max_output_tokens=131072 " MYTHOS_TRAINING},
};

enum { PRESETS = sizeof presets / sizeof presets[0] };

const struct loom_preset *loom_preset_find(const char *name) {
    for (size_t i = 0; i < PRESETS; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

size_t loom_preset_count(void) {
    return PRESETS;
}

const char *loom_preset_name(size_t index) {
    return index < PRESETS ? presets[index].name : NULL;
}

const char *loom_preset_summary(const char *name) {
    const struct loom_preset *preset = loom_preset_find(name);
    return preset ? preset->summary : NULL;
}

/* The rates that suit a preset's dense twins; docs/twins.md has the sweep. */
static const struct {
    const char *preset;
    struct loom_setting settings[LOOM_PRESET_TWIN];
} twins[] = {
    {"loom-story",
     {{"muon_lr", "0.0025"}, {"embedding_lr", "0.000625"}, {"learning_rate", "3.75e-4"}, {"head_lr", "0.00125"}}},
};

const struct loom_setting *loom_preset_twin(const char *name, size_t *count) {
    for (size_t i = 0; i < sizeof twins / sizeof twins[0]; i++)
        if (strcmp(twins[i].preset, name) == 0) {
            *count = LOOM_PRESET_TWIN;
            return twins[i].settings;
        }
    *count = 0;
    return NULL;
}
