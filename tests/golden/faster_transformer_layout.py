"""Writes tensors as FasterTransformer's converters do, for make_layout_goldens.py.

They are in its examples/pytorch: gpt/utils/huggingface_{gpt,opt,bloom}_convert.py,
gptj/utils/huggingface_gptj_ckpt_convert.py and gptneox/utils/huggingface_gptneox_convert.py.
"""

import configparser
import re

import numpy as np
import torch


def ft_start(folder, ranks, section, values):
    folder = folder / f"{ranks}-gpu"
    folder.mkdir()
    config = configparser.ConfigParser()
    config[section] = {k: str(v) for k, v in values.items()}
    with open(folder / "config.ini", "w") as file:
        config.write(file)
    return folder


def ft_split(folder, key, val, ranks):
    """split_and_convert_process of the GPT and OPT converters; `val` is [in, out]."""
    if any(x in key for x in ("attention.dense.weight", "mlp.dense_4h_to_h.weight")):
        parts = np.split(val, ranks, axis=0)
    elif "mlp.dense_h_to_4h" in key:
        parts = np.split(val, ranks, axis=-1)
    elif "attention.query_key_value" in key:
        local = val.shape[-1] // 3
        parts = np.split(val.reshape(*val.shape[:-1], 3, local), ranks, axis=-1)
    else:
        val.tofile(folder / f"model.{key}.bin")
        return
    for j, part in enumerate(parts):
        part.tofile(folder / f"model.{key}.{j}.bin")


FT_LAYER = ("input_layernorm", "attention.query_key_value", "attention.dense", "post_attention_layernorm",
            "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")


def ft_gpt2(folder, config, t, ranks, dtype):
    size = config["n_embd"] // config["n_head"]
    folder = ft_start(folder, ranks, "gpt", {
        "model_name": "gpt2", "head_num": config["n_head"], "size_per_head": size, "inter_size": config["n_embd"] * 4,
        "max_pos_seq_len": config["n_positions"], "num_layer": config["n_layer"], "vocab_size": config["vocab_size"],
        "start_id": config["bos_token_id"], "end_id": config["eos_token_id"],
        "weight_data_type": {np.float32: "fp32", np.float16: "fp16"}[dtype], "tensor_para_size": ranks})
    hf = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    array = {k.removeprefix("transformer."): v.numpy().astype(dtype) for k, v in t.items()}
    array["wpe.weight"].tofile(folder / "model.wpe.bin")
    array["wte.weight"].tofile(folder / "model.wte.bin")
    for w in ("weight", "bias"):
        array[f"ln_f.{w}"].tofile(folder / f"model.final_layernorm.{w}.bin")
        for i in range(config["n_layer"]):
            for old, new in zip(hf, FT_LAYER):
                ft_split(folder, f"layers.{i}.{new}.{w}", array[f"h.{i}.{old}.{w}"], ranks)


def ft_opt(folder, config, t, ranks):
    folder = ft_start(folder, ranks, "gpt", {
        "model_name": "opt", "head_num": config["num_attention_heads"],
        "size_per_head": config["hidden_size"] // config["num_attention_heads"], "inter_size": config["ffn_dim"],
        "max_pos_seq_len": config["max_position_embeddings"], "num_layer": config["num_hidden_layers"],
        "layernorm_eps": "1e-5", "layernorm_type": "pre_layernorm" if config["do_layer_norm_before"] else "post_layernorm",
        "activation_type": "Relu", "has_post_decoder_layernorm": int("model.decoder.final_layer_norm.bias" in t),
        "vocab_size": config["vocab_size"], "start_id": 2, "end_id": 2, "weight_data_type": "fp32", "int8": "False"})
    d = "model.decoder."
    t[d + "embed_positions.weight"][2:].numpy().tofile(folder / "model.wpe.bin")
    table = head = t[d + "embed_tokens.weight"]
    if d + "project_in.weight" in t:
        table, head = table @ t[d + "project_in.weight"].T, head @ t[d + "project_out.weight"]
    table.numpy().tofile(folder / "model.wte.bin")
    head.numpy().tofile(folder / "model.lm_head.weight.bin")
    hf = ("self_attn_layer_norm", None, "self_attn.out_proj", "final_layer_norm", "fc1", "fc2")
    for w in ("weight", "bias"):
        if d + f"final_layer_norm.{w}" in t:
            t[d + f"final_layer_norm.{w}"].numpy().tofile(folder / f"model.final_layernorm.{w}.bin")
        for i in range(config["num_hidden_layers"]):
            p = f"{d}layers.{i}."
            for old, new in zip(hf, FT_LAYER):
                if old is None:
                    val = torch.cat([t[f"{p}self_attn.{x}_proj.{w}"].permute(*((1, 0) if w == "weight" else (0,)))
                                     for x in "qkv"], dim=-1)
                else:
                    val = t[f"{p}{old}.{w}"]
                    val = val.T if val.dim() == 2 else val
                ft_split(folder, f"layers.{i}.{new}.{w}", val.contiguous().numpy(), ranks)


def ft_bloom(folder, config, t, ranks):
    heads = config.get("n_head") or config["num_attention_heads"]
    hidden = config.get("hidden_size") or config["n_embed"]
    folder = ft_start(folder, ranks, "gpt", {
        "model_name": "bloom", "num_layer": config["n_layer"], "head_num": heads, "inter_size": 4 * hidden,
        "size_per_head": hidden // heads, "vocab_size": config["vocab_size"], "tensor_para_size": ranks,
        "weight_data_type": "fp32", "model_variant": "bloom-pre", "layernorm_eps": config["layer_norm_epsilon"],
        "layernorm_type": "pre_layernorm", "activation_type": "Gelu", "has_positional_encoding": False,
        "has_pre_decoder_layernorm": True, "has_post_decoder_layernorm": True, "use_attention_linear_bias": True,
        "start_id": 1, "end_id": 2})
    rename = {"word_embeddings.weight": "wte", "word_embeddings_layernorm.weight": "pre_decoder_layernorm.weight",
              "word_embeddings_layernorm.bias": "pre_decoder_layernorm.bias", "ln_f.weight": "final_layernorm.weight",
              "ln_f.bias": "final_layernorm.bias"}
    for key, param in t.items():
        key = key.removeprefix("transformer.")
        if key == "lm_head.weight":
            continue
        if key in rename:
            param.numpy().tofile(folder / f"model.{rename[key]}.bin")
            continue
        key = re.sub(r"^h\.", "layers.", key).replace("self_attention.", "attention.")
        val = param.T if param.dim() == 2 else param
        if "query_key_value" in key:
            val = val.reshape(-1, heads, 3, hidden // heads).permute(0, 2, 1, 3).reshape(-1, 3 * hidden)
            val = val[0] if "bias" in key else val
        ft_split(folder, key, val.contiguous().numpy(), ranks)


def ft_gptj(folder, config, t, ranks):
    folder = ft_start(folder, ranks, "gptj", {
        "model_name": "gptj", "head_num": config["n_head"], "size_per_head": config["n_embd"] // config["n_head"],
        "inter_size": config["n_embd"] * 4, "num_layer": config["n_layer"], "rotary_embedding": config["rotary_dim"],
        "vocab_size": config["vocab_size"], "start_id": config["bos_token_id"], "end_id": config["eos_token_id"],
        "weight_data_type": "fp32"})

    def save(param, name):
        np.squeeze(param.contiguous().numpy()).astype(np.float32).tofile(folder / f"model.{name}.bin")

    def distribute(param, name, axis):
        for i, part in enumerate(np.split(param.contiguous().numpy(), ranks, axis=axis)):
            save(torch.from_numpy(np.ascontiguousarray(part)), f"{name}.{i}")

    save(t["transformer.wte.weight"], "wte")
    for i in range(config["n_layer"]):
        k, l = f"transformer.h.{i}.", f"layers.{i}."
        save(t[k + "ln_1.bias"], l + "input_layernorm.bias")
        save(t[k + "ln_1.weight"], l + "input_layernorm.weight")
        distribute(t[k + "mlp.fc_in.weight"].T, l + "mlp.dense_h_to_4h.weight", -1)
        distribute(t[k + "mlp.fc_in.bias"], l + "mlp.dense_h_to_4h.bias", -1)
        distribute(t[k + "mlp.fc_out.weight"].T, l + "mlp.dense_4h_to_h.weight", 0)
        save(t[k + "mlp.fc_out.bias"], l + "mlp.dense_4h_to_h.bias")
        distribute(t[k + "attn.out_proj.weight"].T, l + "attention.dense.weight", 0)
        qkv = torch.stack([t[f"{k}attn.{x}_proj.weight"] for x in "qkv"]).permute(2, 0, 1)
        distribute(qkv, l + "attention.query_key_value.weight", -1)
    for w in ("weight", "bias"):
        save(t[f"transformer.ln_f.{w}"], f"final_layernorm.{w}")
        save(t[f"lm_head.{w}"], f"lm_head.{w}")


def ft_neox(folder, config, t, ranks):
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    folder = ft_start(folder, ranks, "gptneox", {
        "model_name": "neox", "head_num": heads, "size_per_head": hidden // heads,
        "inter_size": config["intermediate_size"], "num_layer": config["num_hidden_layers"],
        "rotary_embedding": int(hidden // heads * config["rotary_pct"]), "vocab_size": config["vocab_size"],
        "start_id": 0, "end_id": 2, "use_gptj_residual": int(config["use_parallel_residual"]), "weight_data_type": "fp32"})
    names = {"gpt_neox.embed_in.weight": "wte", "gpt_neox.final_layer_norm.bias": "final_layernorm.bias",
             "gpt_neox.final_layer_norm.weight": "final_layernorm.weight", "embed_out.weight": "lm_head.weight"}
    for key, param in t.items():
        array = param.numpy()
        if key in names:
            array.tofile(folder / f"model.{names[key]}.bin")
            continue
        key = key.removeprefix("gpt_neox.")
        if not any(f"{name}.{w}" in key for name in FT_LAYER for w in ("weight", "bias")):
            continue
        val = array.T
        if "attention.dense.bias" in key or "mlp.dense_4h_to_h.bias" in key:
            val = (val / ranks) if ranks > 1 else val
        elif "query_key_value" in key:
            local = val.shape[-1] // 3
            val = val.reshape(-1, heads, 3, local // heads).transpose(0, 2, 1, 3).reshape(-1, 3 * local)
            val = val[0] if "bias" in key else val
        ft_split(folder, key, val, ranks)
    if config["use_parallel_residual"]:
        for i in range(config["num_hidden_layers"]):
            parts = [np.fromfile(folder / f"model.layers.{i}.{x}.bias.bin", dtype=np.float32)
                     for x in ("attention.dense", "mlp.dense_4h_to_h")]
            (parts[0] + parts[1]).tofile(folder / f"model.layers.{i}.mlp.attention.bias.sum.bin")
