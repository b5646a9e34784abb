"""Random configurations for compare_models.py: for each family, everything that transformers' class accepts.

A configuration is the config.json of a transformers 4 release; the pinned transformers 5 reads it too, and
writes its own spelling of it. Sizes are tiny but awkward: odd, one, no powers of two. This is data with random
choices, so it is separate from compare_models.py.
"""

ACTIVATIONS = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python", "gelu_accurate", "relu",
               "silu", "swish")
HEAD_DIMS = (1, 2, 3, 4, 6, 7, 8, 10, 16, 18, 20, 24, 32, 33, 40, 64, 80, 96, 128, 160, 256)
VOCABS = (1, 2, 3, 7, 33, 33, 100, 257, 257, 257, 1000, 1000, 5003, 70001)
POSITIONS = (16, 33, 64, 100, 100, 512, 512, 512, 2304, 4096)


def pick_heads(rng, even, hidden_limit=330):
    """(heads, head_dim) whose product is small."""
    while True:
        heads = rng.choice((1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 12, 14, 33))
        head_dim = rng.choice(HEAD_DIMS)
        if heads * head_dim <= hidden_limit and not (even and head_dim % 2):
            return heads, head_dim


def pick_tokens(rng, vocab):
    """Special tokens inside the vocabulary, in the forms that files have."""
    bos, eos = rng.randrange(vocab), rng.randrange(vocab)
    return {"bos_token_id": rng.choice((bos, None)), "eos_token_id": rng.choice((eos, [eos], [0, eos], None)),
            "pad_token_id": rng.choice((None, rng.randrange(vocab)))}


def pick_eps(rng):
    return rng.choice((1e-5, 1e-5, 1e-6, 1e-12, 1e-3, 0.1))


def common(rng, model_type):
    vocab = rng.choice(VOCABS)
    config = {"model_type": model_type, "vocab_size": vocab} | pick_tokens(rng, vocab)
    tied = rng.choice((True, False, None))
    return config if tied is None else config | {"tie_word_embeddings": tied}


def gpt2(rng):
    heads, head_dim = pick_heads(rng, even=False)
    hidden = heads * head_dim
    config = common(rng, "gpt2") | {
        "n_embd": hidden, "n_head": heads, "n_layer": rng.choice((1, 1, 2, 3, 5)),
        "n_positions": rng.choice(POSITIONS), "activation_function": rng.choice(ACTIVATIONS),
        "layer_norm_epsilon": pick_eps(rng), "n_inner": rng.choice((None, 1, 7, 33, 2 * hidden + 1)),
        "scale_attn_weights": rng.choice((True, True, False)),
        "scale_attn_by_inverse_layer_idx": rng.choice((True, False)),
        "reorder_and_upcast_attn": rng.choice((True, False)), "attn_pdrop": 0.1, "n_ctx": 1024,
    }
    if rng.random() < 0.3:
        for old, new in (("n_embd", "hidden_size"), ("n_head", "num_attention_heads"),
                         ("n_layer", "num_hidden_layers"), ("n_positions", "max_position_embeddings")):
            if rng.random() < 0.7:
                config[new] = config.pop(old)
    return config, ("activation_function", "layer_norm_epsilon", "scale_attn_weights", "n_positions", "n_layer")


def opt(rng):
    heads, head_dim = pick_heads(rng, even=False)
    hidden = heads * head_dim
    config = common(rng, "opt") | {
        "hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": rng.choice((1, 2, 2, 3)),
        "ffn_dim": rng.choice((1, 7, 33, 4 * hidden)), "max_position_embeddings": rng.choice(POSITIONS),
        "do_layer_norm_before": rng.choice((True, False)), "activation_function": rng.choice(ACTIVATIONS),
        "_remove_final_layer_norm": rng.choice((True, False, False)),
        "word_embed_proj_dim": rng.choice((None, hidden, hidden, 1, 5, hidden + 3, 2 * hidden)),
        "enable_bias": rng.choice((True, True, False)), "dropout": 0.1, "layerdrop": 0.0,
        "layer_norm_elementwise_affine": rng.choice((True, True, False)), "prefix": "</s>",
    }
    return config, ("activation_function", "do_layer_norm_before", "_remove_final_layer_norm", "enable_bias",
                    "word_embed_proj_dim", "max_position_embeddings", "ffn_dim")


def gptj(rng):
    heads, head_dim = pick_heads(rng, even=True)
    hidden = heads * head_dim
    rotary = rng.choice([d for d in (2, 4, 8, 16, 64) if d <= head_dim] + [head_dim])
    config = common(rng, "gptj") | {
        "n_embd": hidden, "n_head": heads, "n_layer": rng.choice((1, 2, 3)),
        "n_positions": rng.choice(POSITIONS), "activation_function": rng.choice(ACTIVATIONS),
        "layer_norm_epsilon": pick_eps(rng), "n_inner": rng.choice((None, 1, 7, 33)),
        "rotary_dim": rotary, "rotary": True, "scale_attn_weights": True,
    }
    return config, ("activation_function", "layer_norm_epsilon", "n_positions") + (
        ("rotary_dim",) if head_dim >= 64 else ())


def gpt_neo(rng):
    heads, head_dim = pick_heads(rng, even=False)
    layers = [rng.choice(("global", "local")) for _ in range(rng.choice((1, 2, 3)))]
    types = rng.choice(([[layers, 1]], [[[kind], 1] for kind in layers]))
    config = common(rng, "gpt_neo") | {
        "hidden_size": heads * head_dim, "num_heads": heads, "num_layers": len(layers), "attention_types": types,
        "attention_layers": layers, "window_size": rng.choice((1, 2, 5, 31, 256)),
        "max_position_embeddings": rng.choice(POSITIONS), "activation_function": rng.choice(ACTIVATIONS),
        "layer_norm_epsilon": pick_eps(rng), "intermediate_size": rng.choice((None, 1, 7, 33)), "resid_dropout": 0.0,
    }
    return config, ("activation_function", "layer_norm_epsilon", "max_position_embeddings", "window_size",
                    "attention_layers")


def bloom(rng):
    heads, head_dim = pick_heads(rng, even=False)
    config = common(rng, "bloom") | {
        rng.choice(("hidden_size", "n_embed")): heads * head_dim,
        rng.choice(("n_head", "num_attention_heads")): heads,
        rng.choice(("n_layer", "num_hidden_layers")): rng.choice((1, 2, 3)),
        "layer_norm_epsilon": pick_eps(rng), "seq_length": rng.choice((2048, 4096)),
        "apply_residual_connection_post_layernorm": rng.choice((True, False)),
        "attention_softmax_in_fp32": True, "bias_dropout_fusion": True, "masked_softmax_fusion": True,
        "offset_alibi": 100, "n_inner": None, "skip_bias_add": True, "pretraining_tp": rng.choice((1, 1, 2)),
    }
    config["slow_but_exact"] = config["pretraining_tp"] == 1 and rng.choice((True, False))
    return config, ("layer_norm_epsilon", "seq_length", "n_layer")


def pick_scaling(rng, positions):
    """A rope_scaling of some type, in one of its spellings; or None."""
    kind = rng.choice((None, None, "default", "linear", "dynamic", "llama3", "yarn", "yarn"))
    if kind is None:
        return None
    scaling = {rng.choice(("type", "rope_type")): kind}
    if rng.random() < 0.3:
        scaling |= {"type": kind, "rope_type": kind}
    if kind != "default":
        scaling["factor"] = rng.choice((1.0, 1.5, 2, 4.0, 8.0, 32.0))
    if kind == "llama3":
        low = rng.choice((0.5, 1.0, 2.0))
        scaling |= {"low_freq_factor": low, "high_freq_factor": low * rng.choice((2.0, 4.0)),
                    "original_max_position_embeddings": rng.choice((16, 64, positions))}
    if kind == "yarn":
        options = {"original_max_position_embeddings": rng.choice((16, 64, positions)), "beta_fast": 16,
                   "beta_slow": rng.choice((0.5, 2)), "mscale": 1.0, "mscale_all_dim": 0.7,
                   "attention_factor": rng.choice((0.8, 1.3)), "truncate": rng.choice((True, False))}
        scaling |= {key: value for key, value in options.items() if rng.random() < 0.4}
    return scaling


def rope(rng, positions):
    theta = rng.choice((10000, 10000.0, 100.0, 500000.0, 1e6, 123456.789))
    config = {"max_position_embeddings": positions, "rope_theta": theta}
    scaling = pick_scaling(rng, positions)
    return config | ({"rope_scaling": scaling} if scaling or rng.random() < 0.5 else {})


def gpt_neox(rng):
    heads, head_dim = pick_heads(rng, even=False)
    hidden = heads * head_dim
    positions = rng.choice(POSITIONS)
    config = common(rng, "gpt_neox") | {
        "hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": rng.choice((1, 2, 3)),
        "intermediate_size": rng.choice((1, 7, 33, 4 * hidden)), "hidden_act": rng.choice(ACTIVATIONS),
        "rotary_pct": rng.choice((0.1, 0.25, 0.25, 0.5, 0.7, 1.0)),
        "layer_norm_eps": pick_eps(rng), "use_parallel_residual": rng.choice((True, False)),
        "attention_bias": rng.choice((True, True, False)),
    } | rope(rng, positions)
    config["rotary_emb_base"] = config.pop("rope_theta")
    return config, ("hidden_act", "layer_norm_eps", "use_parallel_residual", "attention_bias", "rotary_pct",
                    "rotary_emb_base", "max_position_embeddings", "intermediate_size")


def llama_shape(rng, model_type):
    heads, head_dim = pick_heads(rng, even=True)
    explicit = rng.random() < 0.5
    hidden = heads * (rng.choice((1, 2, 5, 7, 16)) if explicit else head_dim)
    kv_heads = rng.choice([n for n in range(1, heads + 1) if heads % n == 0])
    config = common(rng, model_type) | {
        "hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": rng.choice((1, 2, 3)),
        "num_key_value_heads": kv_heads, "intermediate_size": rng.choice((1, 7, 33, 93, 3 * hidden)),
        "hidden_act": rng.choice(("silu", "silu") + ACTIVATIONS), "rms_norm_eps": pick_eps(rng),
    } | rope(rng, rng.choice(POSITIONS))
    if explicit or rng.random() < 0.3:
        config["head_dim"] = head_dim
    elif rng.random() < 0.2:
        config["head_dim"] = None
    if rng.random() < 0.2 and model_type != "mistral":
        config["num_key_value_heads"] = None
    return config


LLAMA_DROPPABLE = ("hidden_act", "rms_norm_eps", "rope_theta", "max_position_embeddings", "intermediate_size",
                   "num_key_value_heads")


def llama(rng):
    config = llama_shape(rng, "llama") | {"attention_bias": rng.choice((True, False)), "pretraining_tp": 1,
                                          "mlp_bias": rng.choice((True, False))}
    return config, LLAMA_DROPPABLE + ("attention_bias", "mlp_bias")


def mistral(rng):
    window = rng.choice((None, 1, 2, 5, 16, 17, 33, 64, 4096))
    return llama_shape(rng, "mistral") | {"sliding_window": window}, LLAMA_DROPPABLE + ("sliding_window",)


def qwen_windows(rng, config):
    layers = config["num_hidden_layers"]
    windows = {"use_sliding_window": rng.choice((True, False)), "max_window_layers": rng.randrange(layers + 2),
               "sliding_window": rng.choice((None, 1, 5, 16, 33, 100))}
    if windows["use_sliding_window"] and windows["sliding_window"] and rng.random() < 0.5:
        windows["layer_types"] = [rng.choice(("full_attention", "sliding_attention")) for _ in range(layers)]
    return windows


def qwen2(rng):
    config = llama_shape(rng, "qwen2")
    if config.get("head_dim", 1) is None:
        del config["head_dim"]  # the class lacks this member, so it would keep the null
    return config | qwen_windows(rng, config), LLAMA_DROPPABLE


def qwen3(rng):
    config = llama_shape(rng, "qwen3")
    if not config.get("head_dim"):
        config["head_dim"] = rng.choice((2, 6, 16, 30, 128))
    config["attention_bias"] = rng.choice((True, False))
    return config | qwen_windows(rng, config), LLAMA_DROPPABLE + ("attention_bias", "head_dim")


FAMILIES = {"gpt2": gpt2, "opt": opt, "gptj": gptj, "gpt_neo": gpt_neo, "gpt_neox": gpt_neox,
            "bloom": bloom, "llama": llama, "mistral": mistral, "qwen2": qwen2, "qwen3": qwen3}


def random_config(family, rng):
    """Returns a configuration. Sometimes a key with a default is left out, or unknown keys are added."""
    config, droppable = FAMILIES[family](rng)
    is_dynamic = "dynamic" in (config.get("rope_scaling") or {}).values()
    if is_dynamic and config.get("sliding_window") == 1:
        config["sliding_window"] = 2  # with 1, the cache of transformers that dynamic scaling needs does not slide
    for key in droppable:
        if rng.random() < 0.06:
            config.pop(key, None)
    if rng.random() < 0.3:
        config |= {"transformers_version": "4.30.2", "use_cache": rng.choice((True, False)),
                   "unknown_key": {"a": [1, 2.5, None]}, "torch_dtype": rng.choice(("float16", "bfloat16"))}
    return config


def trained_positions(config):
    """The most tokens that a prompt may have. Stretched rope would allow more."""
    for key in ("n_positions", "max_position_embeddings", "seq_length"):
        if config.get(key):
            return config[key]
    return 1024


def random_prompts(config, rng):
    most = trained_positions(config)
    lengths = (1, 2, 15, 16, 17, 31, 32, 33, 47, 64, 65, 100, 255)
    chosen = [rng.choice(lengths) for _ in range(3)]
    if rng.random() < (0.5 if most > 2000 else 0.1):
        chosen.append(rng.choice((600, 1030, 2100)))
    scaling = config.get("rope_scaling") or {}
    if "dynamic" in scaling.values():
        most = int(most * scaling["factor"])
    return [[rng.randrange(config["vocab_size"]) for _ in range(min(n, most))] for n in chosen]
