#!/usr/bin/env python3
"""Writes tests/golden/layouts/: golden models in the layouts of other programs.

Needs torch (made with 2.6) and numpy. The tests need neither: they read the files made here and expect what the plain
checkpoint computes, which is models/<model>, or plain-<model> where the weights were changed.

Each function does to the tensors what the original does, in its order of operations:
  neuronx       transformers_neuronx.module.save_split
  deepspeed     deepspeed.module_inject: a policy's tensors, transposed, cut by ReplaceWithTensorSlicing, saved by
                replace_transformer_layer
  ft_*          FasterTransformer's converters (faster_transformer_layout.py)
"""

import json
import pathlib
import re
import shutil
import struct
from collections import OrderedDict

import numpy as np
import torch

from faster_transformer_layout import ft_bloom, ft_gpt2, ft_gptj, ft_neox, ft_opt

MODELS = pathlib.Path(__file__).parent / "models"
OUT = pathlib.Path(__file__).parent / "layouts"


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, info in json.loads(data[8:8 + size]).items():
        if name == "__metadata__" or info["dtype"] != "F32":  # the others are masks
            continue
        begin, end = info["data_offsets"]
        values = np.frombuffer(data[8 + size + begin:8 + size + end], np.float32)
        tensors[name] = torch.from_numpy(values.reshape(info["shape"]).copy())
    return tensors


def write_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    names = {torch.float32: "F32", torch.float16: "F16"}
    for name, tensor in tensors.items():
        blob = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read_model(name, prefix):
    """Returns config.json as transformers 4 spells it, and the tensors, all with the base model's prefix."""
    folder = MODELS / name
    tensors = {}
    for path in sorted(folder.glob("model*.safetensors")):
        tensors |= read_safetensors(path)
    for path in sorted(folder.glob("*.bin")):
        tensors |= torch.load(path, map_location="cpu", weights_only=True)
    named = {}
    for key, tensor in tensors.items():
        is_head = key.startswith(("lm_head", "embed_out"))
        named[key if is_head or key.startswith(prefix) else prefix + key] = tensor.detach().float().contiguous()
    return json.loads((folder / "config.v4.json").read_text()), named


def narrow_neox(config, tensors, ffn):
    """A gpt_neox whose feed-forward width can be cut into equal slices."""
    for key in tensors:
        if "dense_h_to_4h" in key:
            tensors[key] = tensors[key][:ffn].contiguous()
        if "dense_4h_to_h.weight" in key:
            tensors[key] = tensors[key][:, :ffn].contiguous()
    config["intermediate_size"] = ffn


def start(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def plain(name, config, tensors):
    folder = start(name)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    write_safetensors(folder / "model.safetensors", tensors)


# transformers-neuronx

def neuronx(name, tensors):
    folder = start(name) / "pytorch_model.bin"
    folder.mkdir()
    files = {}
    for i, key in enumerate(tensors):
        files[key] = f"p{i}." + re.sub(r"(?u)[^-\w.]", "", key.strip().replace(" ", "_"))
    (folder / "key_to_filename.json").write_text(json.dumps(files, indent=2))
    for key, tensor in tensors.items():
        torch.save(tensor, folder / files[key])


# DeepSpeed

def copy(source, rank, ranks, axis):
    """ReplaceWithTensorSlicing.copy, for a parameter that is cut along `axis`."""
    return source.chunk(ranks, dim=axis)[rank].contiguous().clone()


def strided_copy(source, rank, ranks, num_splits):
    parts = torch.split(source, source.shape[-1] // num_splits, dim=-1)
    return torch.cat([part.chunk(ranks, dim=-1)[rank] for part in parts], dim=-1).contiguous()


def align_heads(source, heads):
    """MegatronContainer._align_qkv_transposed: from q, k, v of each head to all q, all k, all v."""
    by_head = source.view(*source.shape[:-1], heads, source.shape[-1] // heads)
    q, k, v = torch.split(by_head, by_head.shape[-1] // 3, dim=-1)
    shape = (*source.shape[:-1], -1)
    return torch.cat([part.reshape(shape) for part in (q, k, v)], dim=-1).contiguous()


def opt_layer(t, p):
    qkv = [torch.cat([t[f"{p}self_attn.{x}_proj.{w}"] for x in "qkv"], dim=0) for w in ("weight", "bias")]
    return (qkv[0].t(), qkv[1], t[p + "self_attn.out_proj.weight"].t(), t[p + "self_attn.out_proj.bias"],
            t[p + "fc1.weight"].t(), t[p + "fc1.bias"], t[p + "fc2.weight"].t(), t[p + "fc2.bias"],
            t[p + "final_layer_norm.weight"], t[p + "final_layer_norm.bias"],
            t[p + "self_attn_layer_norm.weight"], t[p + "self_attn_layer_norm.bias"])


def gptj_layer(t, p):
    qkv = torch.cat([t[f"{p}attn.{x}_proj.weight"] for x in "qkv"], dim=0)
    return (qkv.t(), None, t[p + "attn.out_proj.weight"].t(), None,
            t[p + "mlp.fc_in.weight"].t(), t[p + "mlp.fc_in.bias"], t[p + "mlp.fc_out.weight"].t(),
            t[p + "mlp.fc_out.bias"], None, None, t[p + "ln_1.weight"], t[p + "ln_1.bias"])


def gpt_neo_layer(t, p):
    qkv = torch.cat([t[f"{p}attn.attention.{x}_proj.weight"] for x in "qkv"], dim=0)
    return (qkv.t(), None, t[p + "attn.attention.out_proj.weight"].t(), t[p + "attn.attention.out_proj.bias"],
            t[p + "mlp.c_fc.weight"].t(), t[p + "mlp.c_fc.bias"], t[p + "mlp.c_proj.weight"].t(), t[p + "mlp.c_proj.bias"],
            t[p + "ln_2.weight"], t[p + "ln_2.bias"], t[p + "ln_1.weight"], t[p + "ln_1.bias"])


def gpt2_layer(t, p):
    return (t[p + "attn.c_attn.weight"], t[p + "attn.c_attn.bias"], t[p + "attn.c_proj.weight"],
            t[p + "attn.c_proj.bias"], t[p + "mlp.c_fc.weight"], t[p + "mlp.c_fc.bias"], t[p + "mlp.c_proj.weight"],
            t[p + "mlp.c_proj.bias"], t[p + "ln_2.weight"], t[p + "ln_2.bias"], t[p + "ln_1.weight"],
            t[p + "ln_1.bias"])


def megatron_layer(attention):
    def layer(t, p):
        a = p + attention
        return (t[a + "query_key_value.weight"].t(), t[a + "query_key_value.bias"], t[a + "dense.weight"].t(),
                t[a + "dense.bias"], t[p + "mlp.dense_h_to_4h.weight"].t(), t[p + "mlp.dense_h_to_4h.bias"],
                t[p + "mlp.dense_4h_to_h.weight"].t(), t[p + "mlp.dense_4h_to_h.bias"],
                t[p + "post_attention_layernorm.weight"], t[p + "post_attention_layernorm.bias"],
                t[p + "input_layernorm.weight"], t[p + "input_layernorm.bias"])
    return layer


def quantize(inputs):
    """GroupQuantizer.quantize of a matrix [out, in] that a checkpoint's shard holds: a scale for each row."""
    num_groups = inputs.shape[0]
    flat = inputs.reshape(num_groups, -1)

    def scales(part):
        low, high = part.min(dim=1, keepdim=True)[0].float(), part.max(dim=1, keepdim=True)[0].float()
        return torch.max(low.abs(), high.abs()) * 2.0 / 256

    scale = scales(flat)
    values = (flat / scale).round().clamp(-128, 127).reshape(inputs.shape).to(torch.int8)
    halves = inputs.split(inputs.shape[0] // 2, dim=0)
    parts = [scale] + [scales(half.reshape(num_groups, -1)) for half in halves]
    return values, torch.cat([part.squeeze().unsqueeze(0) for part in parts], dim=0).reshape(num_groups, -1).contiguous()


def quantized_rank(params, rank, ranks):
    """load_params with int8: matrices stay [out, in], are quantized whole, and cut then."""
    qkvw, qkvb, ow, ob, iw, ib, w2, b2, nw, nb, n1w, n1b = params

    def cut(matrix, axis):
        values, scale = quantize(matrix.t().contiguous())
        return [torch.nn.Parameter(copy(values, rank, ranks, axis), requires_grad=False), scale]

    return {
        "norm_w": n1w, "norm_b": n1b, "attention.attn_qkvw": cut(qkvw, 0), "attention.attn_qkvb": copy(qkvb, rank, ranks, 0),
        "attention.attn_ow": cut(ow, 1), "attention.attn_ob": ob, "mlp.attn_nw": nw, "mlp.attn_nb": nb,
        "mlp.inter_w": cut(iw, 0), "mlp.inter_b": copy(ib, rank, ranks, 0), "mlp.output_w": cut(w2, 1), "mlp.output_b": b2,
    }


def dequantized(tensors):
    """The plain checkpoint with the numbers that quantize keeps."""
    plain_tensors = {}
    for key, tensor in tensors.items():
        if ".h." in key and tensor.dim() == 2:
            values, scale = quantize(tensor)
            tensor = values.float() * scale.reshape(-1)[:tensor.shape[0]].unsqueeze(1)
        plain_tensors[key] = tensor
    return plain_tensors


def rank_layer(params, rank, ranks, qkv):
    qkvw, qkvb, ow, ob, iw, ib, w2, b2, nw, nb, n1w, n1b = [None if x is None else x.contiguous() for x in params]
    attention = (qkv(qkvw, rank, ranks), None if qkvb is None else qkv(qkvb, rank, ranks))
    return {
        "norm_w": n1w, "norm_b": n1b,
        "attention.attn_qkvw": attention[0], "attention.attn_qkvb": attention[1],
        "attention.attn_ow": copy(ow, rank, ranks, 0), "attention.attn_ob": ob,
        "mlp.attn_nw": nw, "mlp.attn_nb": nb,
        "mlp.inter_w": copy(iw, rank, ranks, 1), "mlp.inter_b": copy(ib, rank, ranks, 0),
        "mlp.output_w": copy(w2, rank, ranks, 0), "mlp.output_b": b2,
    }


def deepspeed(folder, tensors, ranks, layer_prefix, layer, qkv, transformer_name="", scaled=False, model_type="ds_model"):
    """`transformer_name` is "" for all but BLOOM: their files of slices also hold what is not cut. Without `qkv`
    the matrices become integers."""
    layers = 1 + max(int(m.group(1)) for k in tensors if (m := re.match(re.escape(layer_prefix) + r"(\d+)\.", k)))
    others = {k: v for k, v in tensors.items() if not k.startswith(layer_prefix)}
    states = []
    for rank in range(ranks):
        state = dict(others)
        for i in range(layers):
            prefix = f"{layer_prefix}{i}."
            params = layer(tensors, prefix)
            cut = quantized_rank(params, rank, ranks) if qkv is None else rank_layer(params, rank, ranks, qkv)
            for key, value in cut.items():
                if value is None:
                    continue
                if isinstance(value, list):
                    state[prefix + key] = value
                    continue
                # A parameter that went through the quantizer has a scale, also if it was not quantised: any number.
                is_weight = scaled and value.dim() == 2
                state[prefix + key] = [torch.nn.Parameter(value, requires_grad=False), torch.full((1,), 7.0)] if is_weight else value
        states.append(state)
    torch.save(OrderedDict({k: v for k, v in states[0].items() if transformer_name not in k}), folder / "non-tp.pt")
    parts = 8
    config = {
        "type": model_type, "base_dir": "/tmp/mp-checkpoint",
        "checkpoints": {"non_tp": ["non-tp.pt"],
                        "tp": [f"tp_{r:0>2d}_{m:0>2d}.pt" for m in range(parts) for r in range(ranks)]},
        "version": 1.0, "parallelization": "tp", "tp_size": ranks, "dtype": "float32",
    }
    (folder / "ds_inference_config.json").write_text(json.dumps(config))
    for rank, state in enumerate(states):
        keys = list(state)
        size = len(keys) // parts + 1
        for m in range(parts):
            part = OrderedDict({k: state[k] for k in keys[m * size:(m + 1) * size] if transformer_name in k})
            torch.save(part, folder / f"tp_{rank:0>2d}_{m:0>2d}.pt")


def main():
    gpt2, t_gpt2 = read_model("gpt2", "transformer.")
    opt, t_opt = read_model("opt", "model.")
    small, t_small = read_model("opt-350m", "model.")
    bloom, t_bloom = read_model("bloom-6-heads", "transformer.")
    gptj, t_gptj = read_model("gptj", "transformer.")
    _, t_gpt_neo = read_model("gpt_neo", "transformer.")
    neox, t_neox = read_model("gpt_neox", "gpt_neox.")
    narrow_neox(neox, t_neox, 75)
    t_neox = {k: v for k, v in t_neox.items() if not k.endswith((".attention.bias", "masked_bias", "inv_freq"))}

    plain("plain-gpt_neox", neox, t_neox)
    plain("plain-gpt2-f16", gpt2, {k: v.half() for k, v in t_gpt2.items()})

    neuronx("neuronx-opt", t_opt)

    strided = lambda x, r, n: strided_copy(x, r, n, 3)
    whole = lambda x, r, n: copy(x, r, n, -1)
    aligned = lambda x, r, n: strided_copy(align_heads(x, neox["num_attention_heads"]), r, n, 3)
    deepspeed(start("deepspeed-bloom-6-heads"), t_bloom, 2, "transformer.h.", megatron_layer("self_attention."), whole,
              transformer_name="transformer.h", scaled=True, model_type="bloom")
    plain("plain-bloom-int8", bloom, dequantized(t_bloom))
    deepspeed(start("deepspeed-bloom-int8"), t_bloom, 2, "transformer.h.", megatron_layer("self_attention."), None,
              transformer_name="transformer.h", model_type="bloom")
    deepspeed(start("deepspeed-opt"), t_opt, 3, "model.decoder.layers.", opt_layer, strided)
    deepspeed(start("deepspeed-gptj"), t_gptj, 3, "transformer.h.", gptj_layer, strided, scaled=True)
    deepspeed(start("deepspeed-gpt_neo"), t_gpt_neo, 3, "transformer.h.", gpt_neo_layer, strided)
    deepspeed(start("deepspeed-gpt2"), t_gpt2, 3, "transformer.h.", gpt2_layer, strided)
    deepspeed(start("deepspeed-gpt_neox"), t_neox, 3, "gpt_neox.layers.", megatron_layer("attention."),
              aligned)

    ft_gpt2(start("faster_transformer-gpt2"), gpt2, t_gpt2, 3, np.float32)
    ft_gpt2(start("faster_transformer-gpt2-f16"), gpt2, t_gpt2, 1, np.float16)
    ft_opt(start("faster_transformer-opt"), opt, t_opt, 3)
    ft_opt(start("faster_transformer-opt-350m"), small, t_small, 1)
    ft_bloom(start("faster_transformer-bloom-6-heads"), bloom, t_bloom, 3)
    ft_gptj(start("faster_transformer-gptj"), gptj, t_gptj, 3)
    ft_neox(start("faster_transformer-gpt_neox"), neox, t_neox, 3)


if __name__ == "__main__":
    main()
