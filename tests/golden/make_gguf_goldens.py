"""Writes the GGUF files under tests/golden/gguf/ with the `gguf` package, and what they must give.

Pinned: gguf 0.19.0, torch 2.6.0, transformers 5.23.0, numpy (CPU, float32, eager attention).
Usage: python make_gguf_goldens.py [--out DIR] [--only blocks|models|quantised|tokenizers ...]

  blocks.gguf        random blocks of every format that dray reads, and, as f32 tensors named
                     "<format>.decoded", what gguf.dequantize makes of them
  <variant>.gguf     golden models of models/ as a converter writes them; they must give the logits
                     and tokens of models/<variant>/golden.json
  quantised-*/       random models in mixed formats with golden.json and golden.safetensors, from
                     transformers reading the GGUF file
  tokenizer-*.gguf   tokenizers of tokenizers/ as metadata; they must give the ids of
                     tokenizers/<name>/cases.json

README.md beside this file describes the goldens.
"""

import argparse
import json
import pathlib
import sys
import zlib

import gguf
import numpy
import safetensors.torch
import torch
from gguf import GGMLQuantizationType as Type

HERE = pathlib.Path(__file__).parent
PINNED_GGUF = "0.19.0"
BLOCK_TYPES = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0,
               Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]

# Where a block's f16 scales lie, in bytes; everything else in it may be any byte.
SCALE_PLACES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
                Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
                Type.Q6_K: [208]}


def rng_for(name):
    return numpy.random.default_rng(zlib.crc32(name.encode()))


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- blocks --------------------------------------------------------------------------------------


def random_blocks(kind, shape, scale, rng):
    """A tensor's bytes: random numbers under f16 scales of about `scale`, of both signs."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (*shape[:-1], shape[-1] // elements, size), dtype=numpy.uint8)
    for place in SCALE_PLACES[kind]:
        halves = (rng.standard_normal(blocks.shape[:-1]) * scale).astype(numpy.float16)
        blocks[..., place:place + 2] = halves[..., None].view(numpy.uint8)
    return blocks.reshape(*shape[:-1], -1)


def make_blocks(out):
    writer = gguf.GGUFWriter(out / "blocks.gguf", "none")
    for kind in BLOCK_TYPES:
        elements, _ = gguf.GGML_QUANT_SIZES[kind]
        data = random_blocks(kind, (4, 2 * elements), 0.01, rng_for(kind.name))
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        writer.add_tensor(kind.name + ".decoded", gguf.dequantize(data, kind))
    finish(writer)


# ---- models --------------------------------------------------------------------------------------

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
                 "gpt2": "gpt2", "gpt_neox": "gptneox", "bloom": "bloom"}
# Variants of models/; the number of files that hold each.
MODELS = {"bloom-6-heads": 1, "gpt2": 1, "gpt_neox": 1,
          "llama-bias": 1, "llama-gqa": 1, "llama-rope-llama3": 1, "llama-rope-yarn": 1, "qwen2": 3,
          "qwen3": 1}


def arch_enum(name):
    return next(arch for arch, text in gguf.MODEL_ARCH_NAMES.items() if text == name)


def load_state_dict(directory):
    """The tensors under the names that transformers' model has for them, in f32."""
    import transformers
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tied = model.config.tie_word_embeddings
    return model.config, {name: value.detach() for name, value in model.named_parameters()
                          if not (tied and name == "lm_head.weight")}


def interleave_halves(weight, heads):
    """Of each head, rows 0, half, 1, half + 1, ...: what a rotation of neighbours wants."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def split_heads_apart(weight, heads):
    """Rows q, k, v of head 0, then of head 1, ... become all of q, all of k, all of v."""
    return weight.reshape(heads, 3, -1, *weight.shape[1:]).swapaxes(0, 1).reshape(weight.shape)


def convert_tensor(config, name, value):
    heads = config.num_attention_heads
    if config.model_type in ("llama", "mistral"):
        if ".q_proj." in name:
            return interleave_halves(value, heads)
        if ".k_proj." in name:
            return interleave_halves(value, config.num_key_value_heads)
    if config.model_type in ("gpt_neox", "bloom") and "query_key_value" in name:
        return split_heads_apart(value, heads)
    if config.model_type == "gpt2" and value.dim() == 2 and ".h." in name:
        return value.T
    return value


def gguf_tensors(config, state):
    names = gguf.get_tensor_name_map(arch_enum(ARCHITECTURES[config.model_type]),
                                     config.num_hidden_layers)
    out = {}
    for name, value in state.items():
        stem, _, ending = name.rpartition(".")
        new = names.get_name(stem) or names.get_name(stem.removeprefix("transformer."))
        assert new is not None, name
        out[f"{new}.{ending}"] = convert_tensor(config, name, value).contiguous().numpy()
    return out


def rope_divisors(rope, dims):
    """llama3's stretching as one number for each pair, by its definition."""
    frequencies = rope["rope_theta"] ** -(numpy.arange(0, dims, 2) / dims)
    waves = 2 * numpy.pi / frequencies
    context = rope["original_max_position_embeddings"]
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    smooth = (context / waves - low) / (high - low)
    blended = 1 / ((1 - smooth) / factor + smooth)
    result = numpy.where(waves < context / high, 1, numpy.where(waves > context / low, factor, blended))
    return result.astype(numpy.float32)


def add_rope(writer, config, tensors, head_dim):
    rope = config.rope_parameters
    dims = head_dim
    if config.model_type == "gpt_neox":
        dims = int(head_dim * rope.get("partial_rotary_factor", 1.0))
    writer.add_rope_dimension_count(dims)
    writer.add_rope_freq_base(rope["rope_theta"])
    kind = rope["rope_type"]
    if kind == "llama3":
        tensors["rope_freqs.weight"] = rope_divisors(rope, dims)
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def add_config(writer, config, tensors):
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    context = getattr(config, "max_position_embeddings", None) or 512
    writer.add_context_length(context)
    ffn = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
    writer.add_feed_forward_length(ffn or 4 * config.hidden_size)
    if config.model_type in ("llama", "mistral", "qwen2", "qwen3"):
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    else:
        eps = getattr(config, "layer_norm_eps", None) or config.layer_norm_epsilon
        writer.add_layer_norm_eps(eps)
    if config.model_type == "gpt_neox":
        writer.add_parallel_residual(config.use_parallel_residual)
    if config.model_type not in ("gpt2", "bloom"):
        add_rope(writer, config, tensors, head_dim)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)


def make_model(name, files, out):
    config, state = load_state_dict(HERE / "models" / name)
    tensors = gguf_tensors(config, state)
    per_file = -(-len(tensors) // files) if files > 1 else 0
    writer = gguf.GGUFWriter(out / f"{name}.gguf", ARCHITECTURES[config.model_type],
                             split_max_tensors=per_file)
    writer.add_name(name)
    add_config(writer, config, tensors)
    for tensor, value in tensors.items():
        writer.add_tensor(tensor, value)
    finish(writer)


def make_models(out):
    for name, files in MODELS.items():
        for old in out.glob(f"{name}*.gguf"):
            old.unlink()
        make_model(name, files, out)


# ---- all -----------------------------------------------------------------------------------------


PARTS = {"blocks": make_blocks, "models": make_models}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "gguf")
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=list(PARTS))
    args = parser.parse_args()
    import importlib.metadata
    if importlib.metadata.version("gguf") != PINNED_GGUF:
        sys.exit(f"golden files are made with gguf {PINNED_GGUF}")
    args.out.mkdir(parents=True, exist_ok=True)
    for part in args.only:
        PARTS[part](args.out)


if __name__ == "__main__":
    main()
