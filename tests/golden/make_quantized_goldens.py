"""Writes tests/golden/quantized/: tiny GPTQ and AWQ checkpoints, and what transformers computes with their weights.

Pinned: torch 2.6.0, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6 (CPU, float32, eager attention).
Usage: python make_quantized_goldens.py [--only NAME ...]

No quantization library is needed. Integers, scales and zero points are drawn at random; the float weights are
w = scale * (q - zero); and the integers are packed as the tools' own pack functions pack them. The logits are those
of the float model, so they share no code with the reader that they check. golden.safetensors also has some of the
float weights, which a reader must reproduce bit by bit. The names that begin with rounded_ are the logits of the same
model when the inputs of its quantized layers are rounded as dray rounds them: each row to 8-bit integers by its
largest number. If dray's kernels have no format for the integers (IN_ROWS), the weights are rounded in the same way,
to 8 bits by the largest number of each row.
"""

import argparse
import json
import pathlib
import shutil
import zlib

import numpy
import safetensors.numpy
import torch
import transformers

OUT = pathlib.Path(__file__).parent / "quantized"
PROMPT_LENGTHS = (5, 33)
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "bos_token_id": 1, "eos_token_id": 2,
    "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 128,
    "model_type": "llama", "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
    "rms_norm_eps": 1e-05, "tie_word_embeddings": False, "vocab_size": 101, "torch_dtype": "float16",
}
QWEN2 = {key: value for key, value in LLAMA.items() if key != "attention_bias"} | {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
}
NEOX = {
    "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "gelu",
    "hidden_size": 64, "intermediate_size": 96, "layer_norm_eps": 1e-05, "max_position_embeddings": 128,
    "model_type": "gpt_neox", "num_attention_heads": 2, "num_hidden_layers": 2, "rotary_pct": 0.25,
    "tie_word_embeddings": False, "use_parallel_residual": True, "vocab_size": 101, "torch_dtype": "float16",
}
GPT2 = {
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "bos_token_id": 100,
    "eos_token_id": 100, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_embd": 64, "n_head": 2,
    "n_inner": 96, "n_layer": 2, "n_positions": 128, "vocab_size": 101, "torch_dtype": "float16",
}


def gptq(bits, group, **changes):
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": False, "desc_act": False,
            "damp_percent": 0.01, "true_sequential": True} | changes


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True,
       "modules_to_not_convert": None}

VARIANTS = {
    "gptq-g32": (LLAMA, gptq(4, 32)),
    "gptq-v2-g64-bias": (QWEN2, gptq(4, 64, checkpoint_format="gptq_v2")),
    "gptq-sym-g128": (LLAMA, gptq(4, 128, sym=True, checkpoint_format="gptq")),
    "gptq-whole-rows": (LLAMA, gptq(4, -1)),
    "gptq-g48": (LLAMA, gptq(4, 48)),
    "gptq-desc-act": (LLAMA, gptq(4, 32, desc_act=True)),
    "gptq-8bit-sym-whole-rows": (LLAMA, gptq(8, -1, sym=True)),
    "gptq-8bit-g32": (LLAMA, gptq(8, 32)),
    "gptq-gpt_neox": (NEOX, gptq(4, 32)),
    "gptq-gpt2": (GPT2, gptq(4, 32)),
    "awq-g32": (LLAMA, AWQ),
    "awq-g64": (QWEN2, AWQ | {"group_size": 64}),
}
IN_ROWS = ("gptq-g48", "gptq-desc-act")


# ---- one linear layer ----------------------------------------------------------------------------


def draw(bits, groups, rows, order, sym, rng):
    """Returns q [in, out], zeros and scales [groups, out], and the float weight [out, in] that they represent."""
    q = rng.integers(0, 2**bits, (len(order), rows), dtype=numpy.uint32)
    zeros = rng.integers(0, 2**bits, (groups, rows), dtype=numpy.uint32)
    if sym:
        zeros[:] = 2**(bits - 1)
    scales = (rng.uniform(0.5, 1.5, (groups, rows)) * 5 / 2**bits / len(order)**0.5).astype(numpy.float16)
    steps = q.astype(numpy.float32) - zeros[order].astype(numpy.float32)
    return q, zeros, scales, (scales[order].astype(numpy.float32) * steps).T.copy()


def pack(values, bits, axis, order=None):
    """Packs integers along `axis` into int32 words, lowest bits first; field i of a word holds its number order[i]."""
    per_word = 32 // bits
    parts = numpy.moveaxis(values, axis, -1)
    parts = parts.reshape(*parts.shape[:-1], -1, per_word)
    words = numpy.zeros(parts.shape[:-1], dtype=numpy.uint32)
    for i in range(per_word):
        words |= parts[..., order[i] if order else i] << numpy.uint32(bits * i)
    return numpy.ascontiguousarray(numpy.moveaxis(words, -1, axis))


def quantize(name, rows, cols, quantization, rng):
    bits, group = quantization["bits"], quantization["group_size"]
    group = cols if group == -1 else group
    groups = -(-cols // group)
    order = numpy.arange(cols) // group
    if quantization.get("desc_act"):
        order = rng.permutation(order)
    q, zeros, scales, weight = draw(bits, groups, rows, order, quantization.get("sym"), rng)
    out = {f"{name}.scales": scales}
    if quantization["quant_method"] == "awq":
        out[f"{name}.qweight"] = pack(q, bits, 1, AWQ_ORDER).view(numpy.int32)
        out[f"{name}.qzeros"] = pack(zeros, bits, 1, AWQ_ORDER).view(numpy.int32)
        return out, weight
    out[f"{name}.qweight"] = pack(q, bits, 0).view(numpy.int32)
    packed_zeros = pack(zeros, bits, 1)
    if quantization.get("checkpoint_format", "gptq") == "gptq":  # the first version stores zero points less one
        packed_zeros -= numpy.uint32(0x11111111 if bits == 4 else 0x01010101)
    out[f"{name}.qzeros"] = packed_zeros.view(numpy.int32)
    out[f"{name}.g_idx"] = order.astype(numpy.int32)
    return out, weight


# ---- models --------------------------------------------------------------------------------------


def is_quantized(name, module):
    kinds = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
    return isinstance(module, kinds) and name not in ("lm_head", "embed_out")


def set_float(parameter, rng):
    std = 0.2 if parameter.dim() == 1 else 0.5
    values = rng.standard_normal(tuple(parameter.shape)) * std + (1.0 if parameter.dim() == 1 else 0.0)
    parameter.copy_(torch.from_numpy(values.astype(numpy.float16).astype(numpy.float32)))


@torch.no_grad()
def fill(model, quantization, rng):
    """Draws all weights into the model; returns the tensors of the checkpoint and the float weights."""
    packed, weights = {}, {}
    for name, module in model.named_modules():
        if not is_quantized(name, module):
            continue
        is_conv1d = not isinstance(module, torch.nn.Linear)
        cols, rows = module.weight.shape if is_conv1d else module.weight.shape[::-1]
        tensors, weight = quantize(name, rows, cols, quantization, rng)
        packed |= tensors
        weights[name] = weight
        module.weight.copy_(torch.from_numpy(weight.T if is_conv1d else weight))
    tied = model.config.tie_word_embeddings
    for name, parameter in model.named_parameters():
        if name.rsplit(".", 1)[0] in weights and name.endswith("weight"):
            continue
        set_float(parameter, rng)
        if not (tied and name == "lm_head.weight"):
            packed[name] = parameter.detach().to(torch.float16).numpy()
    return packed, weights


def round_rows(values):
    """Rounds each vector along the last axis to 8-bit integers by its largest number."""
    peak = values.abs().amax(-1, keepdim=True)
    return torch.round(values * (127.0 / peak)) * (peak / 127.0)


def round_model(model, weights, in_rows):
    for name in weights:
        module = model.get_submodule(name)
        module.register_forward_pre_hook(lambda _, inputs: (round_rows(inputs[0]),))
        if in_rows:
            scale = module.weight.abs().amax(-1, keepdim=True) / 127.0
            module.weight.copy_(torch.round(module.weight * (1.0 / scale)) * scale)


@torch.no_grad()
def goldens(name, model, weights, rng):
    tensors, prompts = {}, []
    for length in PROMPT_LENGTHS:
        prompts.append({"ids": rng.integers(0, model.config.vocab_size, length).tolist(), "greedy": [],
                        "logit_positions": sorted({0, length // 2, length - 1}),
                        "logits": f"prompt_{length}"})
    for prefix in ("", "rounded_"):
        if prefix:
            round_model(model, weights, name in IN_ROWS)
        for prompt in prompts:
            logits = model(torch.tensor([prompt["ids"]])).logits[0, prompt["logit_positions"]]
            tensors[prefix + prompt["logits"]] = logits.numpy()
    for name in (list(weights)[0], list(weights)[-1]):
        tensors[f"weight {name}"] = weights[name]
    return tensors, {"prompts": prompts, "min_margin": 0, "torch": torch.__version__,
                     "transformers": transformers.__version__}


def make_variant(name):
    config, quantization = VARIANTS[name]
    rng = numpy.random.default_rng(zlib.crc32(name.encode()))
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    text = json.dumps(config | {"quantization_config": quantization}, indent=2, sort_keys=True)
    (out / "config.json").write_text(text + "\n")
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**config), attn_implementation="eager", dtype=torch.float32).eval()
    packed, weights = fill(model, quantization, rng)
    safetensors.numpy.save_file(packed, out / "model.safetensors", metadata={"format": "pt"})
    tensors, facts = goldens(name, model, weights, rng)
    safetensors.numpy.save_file(tensors, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps(facts, indent=1) + "\n")
    logits = tensors[f"prompt_{PROMPT_LENGTHS[-1]}"]
    rounding = abs(tensors[f"rounded_prompt_{PROMPT_LENGTHS[-1]}"] - logits).max() / abs(logits).max()
    print(f"{name}: largest logit {abs(logits).max():.2f}, rounding {rounding:.4f}, {sum(f.stat().st_size for f in out.iterdir())} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[])
    names = parser.parse_args().only or VARIANTS
    torch.set_num_threads(1)
    for name in names:
        make_variant(name)


if __name__ == "__main__":
    main()
