"""The table of golden model variants: one entry per directory under tests/golden/models/.

Separate from make_model_goldens.py because this is data. `config` is the config.json that a transformers 4
release would write for such a model, with its names of keys (rope_theta, rope_scaling, rotary_pct,
torch_dtype, n_embed, ...). It is committed as config.v4.json. config.json beside it is written by the pinned
transformers 5 for the same model (rope_parameters, dtype, ...). Both must load as the same model.

Storage keys of a variant:
  storage   safetensors | safetensors-sharded | bin | bin-sharded | bin-legacy (torch before 1.6, no zip)
  dtype     float32 | bfloat16 | float16: how the file stores the weights (goldens: upcast to float32)
  rename    list of (from, to) prefixes applied to the tensor names, as other hub files spell them
  head      tied models only: whether the file also holds lm_head.weight
  extras    harmless buffers that old hub files carry
  views     .bin only: store some weights as parameters, transposed views and views into a shared storage
"""

from dataclasses import dataclass, field


@dataclass
class Variant:
    name: str
    config: dict
    storage: str = "safetensors"
    dtype: str = "float32"
    rename: list = field(default_factory=list)
    head: bool = False
    extras: str = ""
    views: bool = False
    note: str = ""


def gpt2(**changes):
    config = {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
        "bos_token_id": 256, "embd_pdrop": 0.1, "eos_token_id": 256, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 512, "n_embd": 36, "n_head": 3,
        "n_layer": 2, "n_positions": 512, "resid_pdrop": 0.1, "summary_activation": None,
        "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index",
        "summary_use_proj": True, "vocab_size": 257,
    }
    return config | changes


def opt(**changes):
    config = {
        "_remove_final_layer_norm": False, "activation_dropout": 0.0, "activation_function": "relu",
        "architectures": ["OPTForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 2,
        "do_layer_norm_before": True, "dropout": 0.1, "eos_token_id": 2, "ffn_dim": 75,
        "hidden_size": 36, "init_std": 0.02, "layerdrop": 0.0, "max_position_embeddings": 512,
        "model_type": "opt", "num_attention_heads": 3, "num_hidden_layers": 2, "pad_token_id": 1,
        "prefix": "</s>", "torch_dtype": "float16", "transformers_version": "4.21.0.dev0",
        "use_cache": True, "vocab_size": 263, "word_embed_proj_dim": 36,
    }
    return config | changes


def gptj(**changes):
    config = {
        "activation_function": "gelu_new", "architectures": ["GPTJForCausalLM"], "attn_pdrop": 0.0,
        "bos_token_id": 270, "embd_pdrop": 0.0, "eos_token_id": 270, "gradient_checkpointing": False,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gptj", "n_embd": 60,
        "n_head": 3, "n_inner": None, "n_layer": 2, "n_positions": 512, "resid_pdrop": 0.0,
        "rotary": True, "rotary_dim": 8, "scale_attn_weights": True, "tie_word_embeddings": False,
        "torch_dtype": "float32", "transformers_version": "4.18.0.dev0", "use_cache": True,
        "vocab_size": 271,
    }
    return config | changes


def gpt_neo(**changes):
    config = {
        "activation_function": "gelu_new", "architectures": ["GPTNeoForCausalLM"], "attention_dropout": 0,
        "attention_layers": ["global", "local", "local"], "attention_types": [[["global", "local"], 1], [["local"], 1]],
        "bos_token_id": 276, "embed_dropout": 0, "eos_token_id": 276, "gradient_checkpointing": False,
        "hidden_size": 36, "initializer_range": 0.02, "intermediate_size": None, "layer_norm_epsilon": 1e-05,
        "max_position_embeddings": 512, "model_type": "gpt_neo", "num_heads": 3, "num_layers": 3, "resid_dropout": 0,
        "tokenizer_class": "GPT2Tokenizer", "transformers_version": "4.9.0.dev0", "use_cache": True,
        "vocab_size": 277, "window_size": 31,
    }
    return config | changes


def gpt_neox(**changes):
    config = {
        "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0,
        "hidden_act": "gelu", "hidden_size": 72, "initializer_range": 0.02, "intermediate_size": 77,
        "layer_norm_eps": 1e-05, "max_position_embeddings": 512, "model_type": "gpt_neox",
        "num_attention_heads": 3, "num_hidden_layers": 2, "rotary_emb_base": 10000,
        "rotary_pct": 0.25, "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.24.0", "use_cache": True, "use_parallel_residual": True,
        "vocab_size": 277,
    }
    return config | changes


def bloom(**changes):
    config = {
        "apply_residual_connection_post_layernorm": False, "architectures": ["BloomForCausalLM"],
        "attention_dropout": 0.0, "attention_softmax_in_fp32": True, "bias_dropout_fusion": True,
        "bos_token_id": 1, "eos_token_id": 2, "hidden_dropout": 0.0, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "masked_softmax_fusion": True, "model_type": "bloom",
        "n_embed": 48, "n_inner": None, "n_layer": 2, "num_attention_heads": 4, "offset_alibi": 100,
        "pad_token_id": 3, "pretraining_tp": 2, "skip_bias_add": True, "skip_bias_add_qkv": False,
        "slow_but_exact": False, "transformers_version": "4.20.0", "unk_token_id": 0,
        "use_cache": True, "vocab_size": 281,
    }
    return config | changes


def llama(**changes):
    config = {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 60,
        "initializer_range": 0.02, "intermediate_size": 93, "max_position_embeddings": 512,
        "mlp_bias": False, "model_type": "llama", "num_attention_heads": 5, "num_hidden_layers": 2,
        "num_key_value_heads": 5, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": None,
        "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float32",
        "transformers_version": "4.43.0", "use_cache": True, "vocab_size": 283,
    }
    return config | changes


# LLaMA 1 as first published: no rope_theta, no key/value head count, no biases mentioned.
LLAMA_MINIMAL = {
    "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
    "hidden_size": 60, "initializer_range": 0.02, "intermediate_size": 93,
    "max_position_embeddings": 512, "model_type": "llama", "num_attention_heads": 5,
    "num_hidden_layers": 3, "pad_token_id": 0, "rms_norm_eps": 1e-06, "tie_word_embeddings": False,
    "torch_dtype": "float16", "transformers_version": "4.28.1", "use_cache": True, "vocab_size": 283,
}


def mistral(**changes):
    config = {
        "architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 72, "initializer_range": 0.02,
        "intermediate_size": 101, "max_position_embeddings": 512, "model_type": "mistral",
        "num_attention_heads": 6, "num_hidden_layers": 2, "num_key_value_heads": 3,
        "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 37,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.34.0",
        "use_cache": True, "vocab_size": 293,
    }
    return config | changes


def qwen2(**changes):
    config = {
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 5,
        "eos_token_id": 7, "hidden_act": "silu", "hidden_size": 60, "initializer_range": 0.02,
        "intermediate_size": 85, "max_position_embeddings": 512, "max_window_layers": 2,
        "model_type": "qwen2", "num_attention_heads": 5, "num_hidden_layers": 2,
        "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
        "sliding_window": 512, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "transformers_version": "4.40.1", "use_cache": True, "use_sliding_window": False,
        "vocab_size": 307,
    }
    return config | changes


def qwen3(**changes):
    config = {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 5, "eos_token_id": 7, "head_dim": 20, "hidden_act": "silu",
        "hidden_size": 48, "initializer_range": 0.02, "intermediate_size": 91,
        "max_position_embeddings": 512, "max_window_layers": 2, "model_type": "qwen3",
        "num_attention_heads": 6, "num_hidden_layers": 2, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000, "sliding_window": None,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "transformers_version": "4.51.0",
        "use_cache": True, "use_sliding_window": False, "vocab_size": 311,
    }
    return config | changes


NO_TRANSFORMER = [("transformer.", "")]
EMBED_OUT = [("lm_head.", "embed_out.")]  # files have embed_out, transformers 5 in memory has lm_head
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}
LLAMA3 = {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
          "original_max_position_embeddings": 64, "rope_type": "llama3"}

DIVISIBLE = "for tests of ranks: three layers, and query heads for four ranks"

VARIANTS = [
    # GPT-2
    Variant("gpt2", gpt2(), rename=NO_TRANSFORMER, extras="attn.bias",
            note="the hub's spelling: no transformer. prefix, mask buffers, no lm_head"),
    Variant("gpt2-scaled", gpt2(scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True,
                                n_inner=91, n_embd=60, n_head=5, n_layer=3),
            storage="bin", head=True, extras="attn.masked_bias"),
    Variant("gpt2-unscaled", gpt2(scale_attn_weights=False, activation_function="relu", n_inner=49),
            storage="safetensors-sharded", head=True),
    Variant("gpt2-bin-legacy", gpt2(n_layer=3, n_head=6), storage="bin-legacy",
            rename=NO_TRANSFORMER, extras="attn.masked_bias",
            note="the file as torch wrote it before 1.6: one pickle after another, no zip"),
    # OPT
    Variant("opt", opt(num_hidden_layers=3), storage="bin-sharded",
            rename=[("model.decoder.", "decoder.")]),
    Variant("opt-350m", opt(do_layer_norm_before=False, word_embed_proj_dim=20), head=True,
            storage="bin", note="post-norm, project_in and project_out, no final norm"),
    Variant("opt-no-bias", opt(enable_bias=False, layer_norm_elementwise_affine=False,
                               activation_function="gelu"),
            note="no biases, norms without weights, exact gelu"),
    Variant("opt-no-final-norm", opt(_remove_final_layer_norm=True), storage="bin", views=True,
            head=True, note="torch file holds parameters, transposed views and shared storages"),
    Variant("opt-4-heads", opt(hidden_size=40, word_embed_proj_dim=40, ffn_dim=66, num_attention_heads=4,
                               num_hidden_layers=3), note=DIVISIBLE),
    # GPT-J
    Variant("gptj", gptj(), storage="bin-sharded", extras="attn.masked_bias"),
    Variant("gptj-full-rotary", gptj(rotary_dim=12, n_embd=36, n_inner=81, activation_function="gelu"),
            note="rotary_dim equals head_dim"),
    Variant("gptj-4-heads", gptj(n_embd=48, n_head=4, n_layer=3, n_inner=70), note=DIVISIBLE),
    # GPT-Neo
    Variant("gpt_neo", gpt_neo(), storage="bin", extras="attention.masked_bias",
            note="layer 0 sees all, layers 1 and 2 a window of 31"),
    Variant("gpt_neo-4-heads", gpt_neo(hidden_size=40, num_heads=4, intermediate_size=66, window_size=5,
                                       attention_types=[[["local", "global", "local"], 1]],
                                       attention_layers=["local", "global", "local"]),
            head=True, note=DIVISIBLE),
    # GPT-NeoX
    Variant("gpt_neox", gpt_neox(), storage="safetensors-sharded", extras="neox", rename=EMBED_OUT),
    Variant("gpt_neox-sequential", gpt_neox(use_parallel_residual=False, attention_bias=False,
                                            hidden_act="gelu_new", hidden_size=60,
                                            num_attention_heads=5, rotary_pct=1.0,
                                            rotary_emb_base=5000, num_hidden_layers=3),
            rename=EMBED_OUT),
    Variant("gpt_neox-odd-rotary", gpt_neox(hidden_size=60, hidden_act="gelu_fast"), storage="bin",
            rename=EMBED_OUT,
            note="int(20 * 0.25) = 5 is odd: transformers rotates 6 dimensions (pairs i, i+3) with "
                 "exponents 0, 2/5, 4/5"),
    Variant("gpt_neox-rope-linear", gpt_neox(hidden_size=48, rotary_pct=0.5,
                                             rope_scaling={"type": "linear", "factor": 4.0}),
            rename=EMBED_OUT),
    Variant("gpt_neox-4-heads", gpt_neox(hidden_size=48, intermediate_size=70, num_attention_heads=4,
                                         num_hidden_layers=3, rotary_pct=0.5), rename=EMBED_OUT,
            note=DIVISIBLE),
    # BLOOM
    Variant("bloom", bloom(), rename=NO_TRANSFORMER, note="the hub's spelling, n_embed"),
    Variant("bloom-6-heads", bloom(n_embed=36, num_attention_heads=6), storage="bin-sharded", head=True),
    Variant("bloom-post-layernorm", {k: v for k, v in bloom(
        apply_residual_connection_post_layernorm=True, hidden_size=36, n_head=3, n_layer=3).items()
        if k not in ("n_embed", "num_attention_heads")}, storage="safetensors-sharded", head=True),
    Variant("bloom-5-heads", bloom(n_embed=40, num_attention_heads=5, n_layer=3), note=DIVISIBLE),
    # LLaMA
    Variant("llama", LLAMA_MINIMAL, storage="bin", extras="inv_freq",
            note="LLaMA 1 style config without rope_theta and num_key_value_heads"),
    Variant("llama-gqa", llama(head_dim=20, hidden_size=42, num_attention_heads=6,
                               num_key_value_heads=2, tie_word_embeddings=True, rope_theta=500000.0),
            storage="safetensors-sharded", note="head_dim differs from hidden_size / heads; tied"),
    Variant("llama-bias", llama(attention_bias=True, mlp_bias=True, num_attention_heads=3,
                                num_key_value_heads=1), storage="bin-sharded"),
    Variant("llama-rope-linear", llama(rope_scaling={"type": "linear", "factor": 2.5}, hidden_size=48,
                                       num_attention_heads=4, num_key_value_heads=2)),
    Variant("llama-rope-dynamic", llama(rope_scaling={"type": "dynamic", "factor": 4.0},
                                        max_position_embeddings=96, hidden_size=48,
                                        num_attention_heads=4, num_key_value_heads=4),
            note="sequences of more than 96 positions change the rotary base"),
    Variant("llama-rope-llama3", llama(rope_scaling=LLAMA3, num_attention_heads=3,
                                       num_key_value_heads=3)),
    Variant("llama-rope-yarn", llama(rope_scaling=dict(YARN), hidden_size=72, num_attention_heads=3,
                                     num_key_value_heads=1)),
    Variant("llama-rope-yarn-mscale", llama(
        rope_scaling=YARN | {"mscale": 1.0, "mscale_all_dim": 0.6, "beta_fast": 6, "beta_slow": 0.5},
        hidden_size=48, num_attention_heads=2, num_key_value_heads=2)),
    Variant("llama-rope-yarn-factor", llama(
        rope_scaling=YARN | {"attention_factor": 1.4, "truncate": False, "beta_fast": 4.0},
        hidden_size=40, num_attention_heads=2, num_key_value_heads=1)),
    Variant("llama-bf16", llama(torch_dtype="bfloat16", num_attention_heads=6, num_key_value_heads=3,
                                hidden_size=72), dtype="bfloat16", storage="safetensors-sharded"),
    # Mistral, Qwen
    Variant("mistral", mistral(), note="a window of 37: a token sees itself and the 36 before it"),
    Variant("mistral-f16", mistral(sliding_window=None, torch_dtype="float16", head_dim=10,
                                   rope_theta=1000000.0), dtype="float16", storage="bin"),
    Variant("mistral-4-heads", mistral(hidden_size=48, intermediate_size=70, num_attention_heads=4,
                                       num_key_value_heads=2, num_hidden_layers=3), note=DIVISIBLE),
    Variant("qwen2", qwen2(), note="query, key and value biases; one key/value head; tied"),
    Variant("qwen2-sliding", qwen2(use_sliding_window=True, sliding_window=37, max_window_layers=1,
                                   num_hidden_layers=3, num_key_value_heads=5, hidden_size=40,
                                   tie_word_embeddings=False),
            storage="safetensors-sharded", note="layer 0 sees all, layers 1 and 2 a window of 37"),
    Variant("qwen3", qwen3(), head=True, note="query and key norms per head"),
    Variant("qwen3-4-heads", qwen3(hidden_size=40, intermediate_size=70, head_dim=16, num_attention_heads=4,
                                   num_hidden_layers=3), note=DIVISIBLE),
    Variant("qwen3-sliding", qwen3(use_sliding_window=True, sliding_window=29, num_hidden_layers=3,
                                   attention_bias=True, tie_word_embeddings=False, hidden_size=36,
                                   layer_types=["sliding_attention", "full_attention",
                                                "sliding_attention"], num_attention_heads=3,
                                   num_key_value_heads=3, head_dim=16),
            storage="safetensors-sharded", note="layer_types given and not a prefix rule; biases"),
]
