"""Writes the GGUF files under tests/golden/gguf/ with the `gguf` package, and the results expected of them.

Pinned: gguf 0.19.0, torch 2.6.0, transformers 5.23.0, numpy (CPU, float32, eager attention).
Usage: python make_gguf_goldens.py [--out DIR] [--only blocks models quantised tokenizers seeds]

  blocks.gguf        random blocks of every format that dray reads, and f32 tensors named
                     "<format>.decoded" with the results of gguf.dequantize
  <variant>.gguf     golden models of models/ as a converter writes them; expected are the logits
                     and tokens of models/<variant>/golden.json
  quantised-*/       random models in mixed formats with golden.json and golden.safetensors, from
                     transformers reading the GGUF file
  tokenizer-*.gguf   tokenizers of tokenizers/ as metadata; expected are the ids of
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

from gguf_blocks import encode, random_blocks

HERE = pathlib.Path(__file__).parent
PINNED_GGUF = "0.19.0"
BLOCK_TYPES = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0,
               Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]


def rng_for(name):
    return numpy.random.default_rng(zlib.crc32(name.encode()))


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- blocks --------------------------------------------------------------------------------------


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
# [variant of models/]: the number of files to write it to
MODELS = {"bloom-6-heads": 1, "gpt2": 1, "gpt_neox": 1,
          "llama-bias": 1, "llama-gqa": 1, "llama-rope-llama3": 1, "llama-rope-yarn": 1, "qwen2": 3,
          "qwen3": 1}


def arch_enum(name):
    return next(arch for arch, text in gguf.MODEL_ARCH_NAMES.items() if text == name)


def load_state_dict(directory):
    """Returns the tensors in f32, with the names that they have in transformers' model."""
    import transformers
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tied = model.config.tie_word_embeddings
    return model.config, {name: value.detach() for name, value in model.named_parameters()
                          if not (tied and name == "lm_head.weight")}


def interleave_halves(weight, heads):
    """Reorders the rows of each head to 0, half, 1, half + 1, ..., as programs that rotate neighbours need them."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def split_heads_apart(weight, heads):
    """Reorders rows stored as q, k, v of head 0, then of head 1, ..., to all of q, all of k, all of v."""
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
    """Returns llama3's rope scaling as one divisor for each pair, by its definition."""
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


# ---- quantised -----------------------------------------------------------------------------------

# The types of a file's matrices by the ends of their names; the first match counts. Rows of 256 can have any
# type, rows of 64 only a type with blocks of 32.
MIXES = {
    "q4_k_m": [("token_embd.weight", Type.Q4_K), ("output.weight", Type.Q6_K),
               ("0.attn_v.weight", Type.Q6_K), ("attn_output.weight", Type.Q5_0),
               ("ffn_down.weight", Type.Q8_0), (".weight", Type.Q4_K)],
    "q4_0": [("output.weight", Type.Q6_K), (".weight", Type.Q4_0)],
    "q8_0": [("token_embd.weight", Type.F16), ("attn_q.weight", Type.BF16), (".weight", Type.Q8_0)],
    "small": [("output.weight", Type.Q5_K), ("attn_q.weight", Type.Q2_K), ("attn_k.weight", Type.Q3_K),
              ("attn_v.weight", Type.Q4_1), ("attn_output.weight", Type.Q5_1),
              ("ffn_down.weight", Type.Q5_1), (".weight", Type.Q5_K)],
}
QUANTISED = {"quantised-llama-q4_k_m": "q4_k_m", "quantised-llama-q4_0": "q4_0",
             "quantised-qwen2-q8_0": "q8_0", "quantised-llama-small": "small"}


def tiny_config(family):
    import transformers
    shared = dict(hidden_size=256, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, vocab_size=96, max_position_embeddings=512,
                  tie_word_embeddings=False, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
    if family == "qwen2":
        return transformers.Qwen2Config(**shared)
    return transformers.LlamaConfig(head_dim=16, **shared)


def quantised_type(name, value, mix):
    if value.ndim == 1:
        return Type.F32
    kind = next(kind for ending, kind in MIXES[mix] if name.endswith(ending))
    if value.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        return Type.Q8_0
    return kind


def make_quantised_model(name, mix, out, attempt):
    import make_model_goldens as goldens
    import transformers
    family = name.split("-")[1]
    config = tiny_config(family)
    rng = numpy.random.default_rng([zlib.crc32(name.encode()), attempt])
    blank = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    tensors = gguf_tensors(config, goldens.draw_weights(blank, rng))
    writer = gguf.GGUFWriter(out / "model.gguf", ARCHITECTURES[config.model_type])
    writer.add_name(name)
    writer.add_vocab_size(config.vocab_size)
    add_config(writer, config, tensors)
    for tensor, value in tensors.items():
        kind = quantised_type(tensor, value, mix)
        data = value if kind == Type.F32 else encode(value, kind, rng)
        writer.add_tensor(tensor, data, raw_dtype=kind)
    finish(writer)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        out, gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager")
    model.generation_config = transformers.GenerationConfig()
    return model.eval(), rng


def make_quantised(out):
    import make_model_goldens as goldens
    from golden_variants import Variant
    goldens.PROMPT_LENGTHS = (1, 7, 33, 64)
    for name, mix in QUANTISED.items():
        directory = out / name
        directory.mkdir(exist_ok=True)
        for attempt in range(40):
            model, rng = make_quantised_model(name, mix, directory, attempt)
            entries, tensors = goldens.make_goldens(model, rng)
            if entries is not None and goldens.mean_distinct(entries) >= goldens.MIN_DISTINCT:
                break
            print(f"  {name}: attempt {attempt} rejected")
        variant = Variant(name, {}, storage="gguf", dtype=mix, note="read by transformers from the GGUF file")
        print(goldens.write_goldens(variant, model, entries, tensors, directory))


# ---- tokenizers ----------------------------------------------------------------------------------

# [name under tokenizers/]: the pre-tokenizer of a byte-level one, or None
TOKENIZERS = {"gpt2": "gpt-2", "llama3": "llama-bpe", "qwen2": "qwen2", "bloom": "bloom",
              "llama2": None}


def token_table(tokenizer):
    """Returns the tokens and their types by id, as converters write them."""
    vocab = {id: token for token, id in tokenizer["model"]["vocab"].items()}
    kinds = {}
    for token in tokenizer["added_tokens"]:
        vocab[token["id"]] = token["content"]
        kinds[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    tokens, types = [], []
    for id in range(max(vocab) + 1):
        tokens.append(vocab.get(id, f"[PAD{id}]"))
        types.append(kinds.get(id, gguf.TokenType.NORMAL) if id in vocab else gguf.TokenType.UNUSED)
    return tokens, types


def scores_of_merges(tokenizer, tokens, types):
    """Returns scores that give the same merges. As in SentencePiece's BPE, a token's score is minus the rank of
    the merge that makes it."""
    made = {}
    for rank, merge in enumerate(tokenizer["model"]["merges"]):
        left, right = merge if isinstance(merge, list) else merge.split(" ")
        made.setdefault(left + right, rank)
    lowest = -float(len(made) + 1)
    return [0.0 if kind != gguf.TokenType.NORMAL else -float(made[token]) if token in made else lowest
            for token, kind in zip(tokens, types)]


def make_tokenizer(name, rule, out):
    tokenizer = json.loads((HERE / "tokenizers" / name / "tokenizer.json").read_text())
    tokens, types = token_table(tokenizer)
    writer = gguf.GGUFWriter(out / f"tokenizer-{name}.gguf", "llama")
    writer.add_tokenizer_model("gpt2" if rule else "llama")
    ids = {token: id for id, token in enumerate(tokens)}
    if rule:
        writer.add_tokenizer_pre(rule)
        merges = tokenizer["model"]["merges"]
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    else:
        types = [gguf.TokenType.BYTE if token.startswith("<0x") and len(token) == 6 else kind
                 for token, kind in zip(tokens, types)]
        types[ids["<unk>"]] = gguf.TokenType.UNKNOWN
        writer.add_token_scores(scores_of_merges(tokenizer, tokens, types))
        writer.add_unk_token_id(ids["<unk>"])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    for key, token in {"bos": "<|begin_of_text|>" if rule else "<s>", "eos": "</s>"}.items():
        if token in ids:
            getattr(writer, f"add_{key}_token_id")(ids[token])
    writer.add_chat_template("{{ messages[0].content }}")
    finish(writer)


def make_tokenizers(out):
    for name, rule in TOKENIZERS.items():
        make_tokenizer(name, rule, out)


# ---- seeds ---------------------------------------------------------------------------------------


def make_seeds(_):
    """Writes small files as seeds of the fuzz target."""
    out = HERE.parent.parent / "fuzz/corpus/gguf"
    for name, pre in {"bytes": "gpt-2", "pieces": None}.items():
        writer = gguf.GGUFWriter(out / f"{name}.gguf", "llama")
        writer.add_block_count(1)
        tokens = ["<unk>", "<s>", "<0x0A>", "e", "w", "ew", "\u2581"]
        kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.BYTE] + [gguf.TokenType.NORMAL] * 4
        writer.add_tokenizer_model("gpt2" if pre else "llama")
        if pre:
            writer.add_tokenizer_pre(pre)
            writer.add_token_merges(["e w"])
        else:
            writer.add_token_scores([0.0, 0.0, 0.0, -3.0, -4.0, -1.0, -2.0])
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
        writer.add_bos_token_id(1)
        for kind in (Type.Q4_0, Type.Q6_K) if pre else (Type.Q4_K, Type.Q8_0):
            rows = random_blocks(kind, (1, gguf.GGML_QUANT_SIZES[kind][0]), 0.01, rng_for(name))
            writer.add_tensor(kind.name, rows, raw_dtype=kind)
        finish(writer)


# ---- all -----------------------------------------------------------------------------------------


PARTS = {"blocks": make_blocks, "models": make_models, "quantised": make_quantised,
         "tokenizers": make_tokenizers, "seeds": make_seeds}


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
