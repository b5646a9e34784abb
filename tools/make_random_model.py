#!/usr/bin/env python3
"""Writes a checkpoint of full size with random weights, to measure speed and memory without a download.

Usage: tools/make_random_model.py --shape opt-1.3b|neox-1.4b|llama-1.3b|bert-base|flan-t5-large --out DIR
                                  [--dtype bf16|f16|f32]
       tools/make_random_model.py --config some/config.json --out DIR [--std 0.02] [--without-weights]
Writes config.json, sharded safetensors with an index, tokenizer.json, tokenizer_config.json and
generation_config.json. Needs only numpy. Weights are normal(0, std), weights of norms 1 + normal(0, std). The
same seed gives the same bytes. Tensors are drawn one after the other, so that only one is in memory.
"""

import argparse
import itertools
import json
import pathlib
import sys

import numpy

SHAPES = {
    "opt-1.3b": {
        "model_type": "opt", "architectures": ["OPTForCausalLM"], "hidden_size": 2048, "ffn_dim": 8192,
        "num_hidden_layers": 24, "num_attention_heads": 32, "vocab_size": 50272,
        "max_position_embeddings": 2048, "word_embed_proj_dim": 2048, "activation_function": "relu",
        "do_layer_norm_before": True, "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1,
    },
    "neox-1.4b": {
        "model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_size": 2048,
        "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 16,
        "vocab_size": 50304, "max_position_embeddings": 2048, "hidden_act": "gelu", "rotary_pct": 0.25,
        "rotary_emb_base": 10000, "layer_norm_eps": 1e-5, "use_parallel_residual": True,
        "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0,
    },
    "llama-1.3b": {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048,
        "intermediate_size": 5504, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 16, "vocab_size": 32000, "max_position_embeddings": 4096,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
    },
    "bert-base": {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 768, "intermediate_size": 3072,
        "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 30522, "max_position_embeddings": 512,
        "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
    },
    "flan-t5-large": {
        "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 1024, "d_ff": 2816,
        "d_kv": 64, "num_heads": 16, "num_layers": 24, "num_decoder_layers": 24, "vocab_size": 32128,
        "feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6, "n_positions": 512,
        "tie_word_embeddings": False, "is_encoder_decoder": True, "decoder_start_token_id": 0, "pad_token_id": 0,
        "eos_token_id": 1,
    },
}
DTYPES = {"bf16": ("BF16", "bfloat16", 2), "f16": ("F16", "float16", 2), "f32": ("F32", "float32", 4)}


# ---- which tensors a family has ------------------------------------------------------------------


def linear(name, out_size, in_size, bias):
    yield name + ".weight", (out_size, in_size)
    if bias:
        yield name + ".bias", (out_size,)


def norm(name, size, bias=True):
    yield name + ".weight", (size,)
    if bias:
        yield name + ".bias", (size,)


def conv1d(name, in_size, out_size):
    yield name + ".weight", (in_size, out_size)
    yield name + ".bias", (out_size,)


def gpt2_tensors(c):
    hidden, inner = c["n_embd"], c.get("n_inner") or 4 * c["n_embd"]
    yield "transformer.wte.weight", (c["vocab_size"], hidden)
    yield "transformer.wpe.weight", (c["n_positions"], hidden)
    for i in range(c["n_layer"]):
        h = f"transformer.h.{i}."
        yield from norm(h + "ln_1", hidden)
        yield from conv1d(h + "attn.c_attn", hidden, 3 * hidden)
        yield from conv1d(h + "attn.c_proj", hidden, hidden)
        yield from norm(h + "ln_2", hidden)
        yield from conv1d(h + "mlp.c_fc", hidden, inner)
        yield from conv1d(h + "mlp.c_proj", inner, hidden)
    yield from norm("transformer.ln_f", hidden)


def opt_tensors(c):
    hidden, embed = c["hidden_size"], c.get("word_embed_proj_dim") or c["hidden_size"]
    bias, affine = c.get("enable_bias", True), c.get("layer_norm_elementwise_affine", True)
    layer_norm = norm if affine else lambda name, size: ()
    d = "model.decoder."
    yield d + "embed_tokens.weight", (c["vocab_size"], embed)
    yield d + "embed_positions.weight", (c["max_position_embeddings"] + 2, hidden)
    if embed != hidden:
        yield d + "project_in.weight", (hidden, embed)
        yield d + "project_out.weight", (embed, hidden)
    for i in range(c["num_hidden_layers"]):
        h = f"{d}layers.{i}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(h + "self_attn." + part, hidden, hidden, bias)
        yield from layer_norm(h + "self_attn_layer_norm", hidden)
        yield from linear(h + "fc1", c["ffn_dim"], hidden, bias)
        yield from linear(h + "fc2", hidden, c["ffn_dim"], bias)
        yield from layer_norm(h + "final_layer_norm", hidden)
    if c.get("do_layer_norm_before", True) and not c.get("_remove_final_layer_norm", False):
        yield from layer_norm(d + "final_layer_norm", hidden)


def gptj_tensors(c):
    hidden, inner = c["n_embd"], c.get("n_inner") or 4 * c["n_embd"]
    yield "transformer.wte.weight", (c["vocab_size"], hidden)
    for i in range(c["n_layer"]):
        h = f"transformer.h.{i}."
        yield from norm(h + "ln_1", hidden)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(h + "attn." + part, hidden, hidden, False)
        yield from linear(h + "mlp.fc_in", inner, hidden, True)
        yield from linear(h + "mlp.fc_out", hidden, inner, True)
    yield from norm("transformer.ln_f", hidden)
    yield from linear("lm_head", c["vocab_size"], hidden, True)


def gpt_neo_tensors(c):
    hidden, inner = c["hidden_size"], c.get("intermediate_size") or 4 * c["hidden_size"]
    yield "transformer.wte.weight", (c["vocab_size"], hidden)
    yield "transformer.wpe.weight", (c["max_position_embeddings"], hidden)
    for i in range(c["num_layers"]):
        h = f"transformer.h.{i}."
        yield from norm(h + "ln_1", hidden)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(h + "attn.attention." + part, hidden, hidden, part == "out_proj")
        yield from norm(h + "ln_2", hidden)
        yield from linear(h + "mlp.c_fc", inner, hidden, True)
        yield from linear(h + "mlp.c_proj", hidden, inner, True)
    yield from norm("transformer.ln_f", hidden)


def gpt_neox_tensors(c):
    hidden, inner, bias = c["hidden_size"], c["intermediate_size"], c.get("attention_bias", True)
    yield "gpt_neox.embed_in.weight", (c["vocab_size"], hidden)
    for i in range(c["num_hidden_layers"]):
        h = f"gpt_neox.layers.{i}."
        yield from norm(h + "input_layernorm", hidden)
        yield from norm(h + "post_attention_layernorm", hidden)
        yield from linear(h + "attention.query_key_value", 3 * hidden, hidden, bias)
        yield from linear(h + "attention.dense", hidden, hidden, bias)
        yield from linear(h + "mlp.dense_h_to_4h", inner, hidden, True)
        yield from linear(h + "mlp.dense_4h_to_h", hidden, inner, True)
    yield from norm("gpt_neox.final_layer_norm", hidden)
    yield "embed_out.weight", (c["vocab_size"], hidden)


def bloom_tensors(c):
    hidden = c.get("n_embed") or c["hidden_size"]
    yield "transformer.word_embeddings.weight", (c["vocab_size"], hidden)
    yield from norm("transformer.word_embeddings_layernorm", hidden)
    for i in range(c.get("n_layer") or c["num_hidden_layers"]):
        h = f"transformer.h.{i}."
        yield from norm(h + "input_layernorm", hidden)
        yield from linear(h + "self_attention.query_key_value", 3 * hidden, hidden, True)
        yield from linear(h + "self_attention.dense", hidden, hidden, True)
        yield from norm(h + "post_attention_layernorm", hidden)
        yield from linear(h + "mlp.dense_h_to_4h", 4 * hidden, hidden, True)
        yield from linear(h + "mlp.dense_4h_to_h", hidden, 4 * hidden, True)
    yield from norm("transformer.ln_f", hidden)


def llama_tensors(c):
    """Yields the tensors of LLaMA, Mistral, Qwen2 and Qwen3; keys that are absent have the family's default."""
    kind, hidden, heads = c["model_type"], c["hidden_size"], c["num_attention_heads"]
    default_head = 128 if kind == "qwen3" else hidden // heads
    head_dim = c.get("head_dim") or default_head
    q_size, kv_size = heads * head_dim, (c.get("num_key_value_heads") or heads) * head_dim
    qkv_bias = kind == "qwen2" or c.get("attention_bias", False)
    out_bias, mlp_bias = c.get("attention_bias", False), c.get("mlp_bias", False)
    yield "model.embed_tokens.weight", (c["vocab_size"], hidden)
    for i in range(c["num_hidden_layers"]):
        h = f"model.layers.{i}."
        yield from norm(h + "input_layernorm", hidden, bias=False)
        for part, size in (("q_proj", q_size), ("k_proj", kv_size), ("v_proj", kv_size)):
            yield from linear(h + "self_attn." + part, size, hidden, qkv_bias)
        yield from linear(h + "self_attn.o_proj", hidden, q_size, out_bias)
        if kind == "qwen3":
            yield from norm(h + "self_attn.q_norm", head_dim, bias=False)
            yield from norm(h + "self_attn.k_norm", head_dim, bias=False)
        yield from norm(h + "post_attention_layernorm", hidden, bias=False)
        for part in ("gate_proj", "up_proj"):
            yield from linear(h + "mlp." + part, c["intermediate_size"], hidden, mlp_bias)
        yield from linear(h + "mlp.down_proj", hidden, c["intermediate_size"], mlp_bias)
    yield from norm("model.norm", hidden, bias=False)
    if not c.get("tie_word_embeddings", False):
        yield "lm_head.weight", (c["vocab_size"], hidden)


def bert_tensors(c):
    hidden, inner = c["hidden_size"], c["intermediate_size"]
    for name, rows in (("word", c["vocab_size"]), ("position", c["max_position_embeddings"]),
                       ("token_type", c["type_vocab_size"])):
        yield f"embeddings.{name}_embeddings.weight", (rows, hidden)
    yield from norm("embeddings.LayerNorm", hidden)
    for i in range(c["num_hidden_layers"]):
        h = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            yield from linear(h + "attention.self." + part, hidden, hidden, True)
        yield from linear(h + "attention.output.dense", hidden, hidden, True)
        yield from norm(h + "attention.output.LayerNorm", hidden)
        yield from linear(h + "intermediate.dense", inner, hidden, True)
        yield from linear(h + "output.dense", hidden, inner, True)
        yield from norm(h + "output.LayerNorm", hidden)
    yield from linear("pooler.dense", hidden, hidden, True)


def t5_attention(c, name):
    width = c["num_heads"] * c["d_kv"]
    for part in ("q", "k", "v"):
        yield from linear(f"{name}.{part}", width, c["d_model"], False)
    yield from linear(name + ".o", c["d_model"], width, False)


def t5_stack(c, stack, num_layers):
    """Yields a stack's tensors; each of its sublayers has a norm."""
    inputs = ("wi_0", "wi_1") if c["feed_forward_proj"].startswith("gated") else ("wi",)
    attentions = ("SelfAttention",) if stack == "encoder" else ("SelfAttention", "EncDecAttention")
    bias = (c["relative_attention_num_buckets"], c["num_heads"])
    yield f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", bias
    for i in range(num_layers):
        h = f"{stack}.block.{i}.layer."
        for number, attention in enumerate(attentions):
            yield from t5_attention(c, f"{h}{number}.{attention}")
            yield from norm(f"{h}{number}.layer_norm", c["d_model"], bias=False)
        last = f"{h}{len(attentions)}."
        for part in inputs:
            yield from linear(last + "DenseReluDense." + part, c["d_ff"], c["d_model"], False)
        yield from linear(last + "DenseReluDense.wo", c["d_model"], c["d_ff"], False)
        yield from norm(last + "layer_norm", c["d_model"], bias=False)
    yield from norm(f"{stack}.final_layer_norm", c["d_model"], bias=False)


def t5_tensors(c):
    yield "shared.weight", (c["vocab_size"], c["d_model"])
    yield from t5_stack(c, "encoder", c["num_layers"])
    yield from t5_stack(c, "decoder", c["num_decoder_layers"])
    if not c["tie_word_embeddings"]:
        yield "lm_head.weight", (c["vocab_size"], c["d_model"])


FAMILIES = {"gpt2": gpt2_tensors, "opt": opt_tensors, "gptj": gptj_tensors,
            "gpt_neo": gpt_neo_tensors, "gpt_neox": gpt_neox_tensors, "bloom": bloom_tensors, "llama": llama_tensors,
            "mistral": llama_tensors, "qwen2": llama_tensors, "qwen3": llama_tensors, "bert": bert_tensors,
            "t5": t5_tensors}


# ---- weights -------------------------------------------------------------------------------------


def to_bytes(values, dtype):
    """Converts float32 to the file's type; bfloat16 rounds to nearest, ties to even."""
    if dtype == "f32":
        return values.tobytes()
    if dtype == "f16":
        return values.astype(numpy.float16).tobytes()
    bits = values.view(numpy.uint32)
    odd = (bits >> 16) & 1
    bits += odd + 0x7FFF
    return (bits >> 16).astype(numpy.uint16).tobytes()


def draw(rng, name, shape, dtype, std):
    values = rng.standard_normal(shape, dtype=numpy.float32)
    values *= std
    if name.endswith(".weight") and ("norm" in name.lower() or ".ln_" in name):
        values += 1.0
    return to_bytes(values, dtype)


def split_shards(tensors, item_bytes, shard_bytes):
    shards, size = [[]], 0
    for name, shape in tensors:
        bytes_here = int(numpy.prod(shape)) * item_bytes
        if shards[-1] and size + bytes_here > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += bytes_here
    return shards


def write_shard(path, tensors, dtype, rng, std):
    """Writes a safetensors file: the header's length, the JSON header padded to 8 bytes, then the data."""
    code, _, item_bytes = DTYPES[dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = offset + int(numpy.prod(shape)) * item_bytes
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors:
            file.write(draw(rng, name, shape, dtype, std))
    return offset


def write_weights(config, dtype, out, shard_bytes, seed, std):
    tensors = list(FAMILIES[config["model_type"]](config))
    shards = split_shards(tensors, DTYPES[dtype][2], shard_bytes)
    rng, index, total = numpy.random.Generator(numpy.random.SFC64(seed)), {}, 0
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        total += write_shard(out / name, shard, dtype, rng, std)
        index |= {tensor: name for tensor, _ in shard}
        print(f"{name}: {total / 1e9:.2f} GB written so far", flush=True)
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1)
    (out / "model.safetensors.index.json").write_text(text + "\n")


# ---- tokenizer -----------------------------------------------------------------------------------


def byte_alphabet():
    """Returns, by byte value, the printable character that stands for each byte in byte-level BPE files."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet, extra = {}, 256
    for byte in range(256):
        alphabet[byte] = chr(byte) if byte in plain else chr(extra)
        extra += byte not in plain
    return alphabet


def invented_words():
    """Yields word pieces without end, each with the pair that makes it: letters after letters or after a space."""
    letters = "etaoinshrdlcumwfgypbvkjxqz"
    shorter = ["\u0120", *letters]
    while True:
        longer = []
        for left, right in itertools.product(shorter, letters):
            longer.append(left + right)
            yield left + right, (left, right)
        shorter = longer


def special_tokens(config):
    """Returns names for the ids that the config calls special."""
    names = {}
    for key, text in (("eos_token_id", "</s>"), ("bos_token_id", "<s>"), ("pad_token_id", "<pad>")):
        token = config.get(key)
        token = token[0] if isinstance(token, list) else token
        if token is not None and token not in names:
            names[token] = text
    return names


def write_tokenizer(config, out):
    size, special = config["vocab_size"], special_tokens(config)
    pieces = [(text, None) for text in byte_alphabet().values()]
    supply = itertools.chain(pieces, invented_words())
    if size < 256 + len(special):
        sys.exit(f"vocab_size {size} is too small for a byte-level tokenizer: at least {256 + len(special)}")
    vocab, merges = {}, []
    for token in range(size):
        text, pair = (special[token], None) if token in special else next(supply)
        vocab[text] = token
        if pair:
            merges.append(list(pair))
    added = [{"id": token, "content": text, "special": True, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False} for token, text in sorted(special.items())]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": False, "vocab": vocab, "merges": merges}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
             "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
             "model": model}
    (out / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False) + "\n", encoding="utf-8")
    names = {f"{key}_token": special[config[f"{key}_token_id"]] for key in ("bos", "eos", "pad")
             if config.get(f"{key}_token_id") in special}
    names |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (out / "tokenizer_config.json").write_text(json.dumps(names, indent=1) + "\n")


def write_configs(config, dtype, out):
    (out / "config.json").write_text(json.dumps(config | {"torch_dtype": DTYPES[dtype][1]}, indent=1) + "\n")
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    generation = {key: config[key] for key in keys if config.get(key) is not None}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--shape", choices=sorted(SHAPES))
    source.add_argument("--config", type=pathlib.Path, help="a config.json of a family known here")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="bf16")
    parser.add_argument("--shard-gb", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--std", type=float, default=0.02, help="the weights' standard deviation")
    parser.add_argument("--without-weights", action="store_true", help="write the other files only")
    args = parser.parse_args()
    config = SHAPES[args.shape] if args.shape else json.loads(args.config.read_text())
    if config.get("model_type") not in FAMILIES:
        sys.exit(f"model_type {config.get('model_type')} is unknown; known: {', '.join(FAMILIES)}")
    args.out.mkdir(parents=True, exist_ok=True)
    write_configs(config, args.dtype, args.out)
    write_tokenizer(config, args.out)
    if not args.without_weights:
        write_weights(config, args.dtype, args.out, int(args.shard_gb * 1e9), args.seed, args.std)


if __name__ == "__main__":
    main()
