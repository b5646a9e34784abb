#!/usr/bin/env python3
"""llama.cpp: its own tools llama-bench and llama-batched-bench on a GGUF file.

`prepare` writes the file with the gguf package (LLaMA and GPT-NeoX shapes; the values of Q and K are not
reordered, which does not change the time) and quantizes it with llama-quantize. For a folder that has a
config.json and a tokenizer.json but no weights it writes random blocks of the wanted type. So a large model
can be timed without its checkpoint. The tools must be in PATH.
"""

import json
import os
import re
import subprocess
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402

FILE_TYPES = {"bf16": "BF16", "int8": "Q8_0", "int4": "Q4_0"}
LLAMA_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NEOX_NAMES = {
    "gpt_neox.embed_in": "token_embd", "gpt_neox.final_layer_norm": "output_norm", "embed_out": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
}
LAYER = re.compile(r"(?:model|gpt_neox)\.layers\.(\d+)\.(.+)")


def gguf_name(name, names):
    stem, kind = name.rsplit(".", 1)
    layer = LAYER.fullmatch(stem)
    if layer:
        return f"blk.{layer[1]}.{names[layer[2]]}.{kind}"
    return f"{names[stem]}.{kind}"


def write_header(writer, config, tokenizer):
    heads = config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    rotary = config["hidden_size"] // heads
    if config["model_type"] == "gpt_neox":
        rotary = int(rotary * config["rotary_pct"])
        writer.add_parallel_residual(config["use_parallel_residual"])
        writer.add_layer_norm_eps(config["layer_norm_eps"])
    else:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(rotary)
    words = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words + [f"<unused{i}>" for i in range(len(words), config["vocab_size"])])
    writer.add_token_types([1] * config["vocab_size"])
    writer.add_token_merges(merges)


def shards(model):
    return sorted(name for name in os.listdir(model) if name.endswith(".safetensors"))


def stored_tensors(model, config, block_type):
    """Yields (name, array, type) of every tensor in the folder; matrices stay bf16."""
    import gguf
    import torch
    from safetensors import safe_open

    del config, block_type
    for shard in shards(model):
        with safe_open(os.path.join(model, shard), "pt") as tensors:
            for name in tensors.keys():
                value = tensors.get_tensor(name)
                if value.dim() == 1:
                    yield name, value.float().numpy(), None
                else:
                    yield name, value.view(torch.uint8).numpy(), gguf.GGMLQuantizationType.BF16


def random_tensors(model, config, block_type):
    """Yields the same for random blocks of 32 weights: an f16 scale of 0.001, and random bytes."""
    import gguf
    import numpy

    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
    import make_random_model

    del model
    rng = numpy.random.Generator(numpy.random.SFC64(1))
    block_bytes = {"Q8_0": 34, "Q4_0": 18}[block_type]
    for name, shape in make_random_model.FAMILIES[config["model_type"]](config):
        if len(shape) == 1:
            yield name, numpy.full(shape, name.endswith(".weight"), dtype=numpy.float32), None
            continue
        rows = rng.integers(0, 256, (shape[0], shape[1] // 32, block_bytes), dtype=numpy.uint8)
        rows[:, :, :2] = numpy.frombuffer(numpy.float16(0.001).tobytes(), dtype=numpy.uint8)
        yield name, rows.reshape(shape[0], -1), gguf.GGMLQuantizationType[block_type]


def write_file(model, path, tensors, block_type=None):
    import gguf

    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(model, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    neox = config["model_type"] == "gpt_neox"
    names = NEOX_NAMES if neox else LLAMA_NAMES
    writer = gguf.GGUFWriter(path, "gptneox" if neox else "llama", use_temp_file=True)
    write_header(writer, config, tokenizer)
    for name, value, kind in tensors(model, config, block_type):
        writer.add_tensor(gguf_name(name, names), value, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prepare(arguments):
    os.makedirs(arguments.out, exist_ok=True)
    path = os.path.join(arguments.out, "model.gguf")
    if not shards(arguments.model):
        write_file(arguments.model, path, random_tensors, FILE_TYPES[arguments.format])
        return
    whole = path if arguments.format == "bf16" else os.path.join(arguments.out, "bf16.gguf")
    write_file(arguments.model, whole, stored_tensors)
    if whole != path:
        subprocess.run(["llama-quantize", whole, path, FILE_TYPES[arguments.format]], check=True)
        os.remove(whole)


def tool(arguments, name, *options):
    """Runs the tool and returns its rows, which it prints as JSON lines."""
    command = [name, "-m", os.path.join(arguments.model, "model.gguf"), "-t", str(arguments.threads), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def measure(arguments):
    work, repeats = arguments.workload, arguments.repeats
    if work["kind"] == "prompt":
        rows = tool(arguments, "llama-bench", "-p", str(work["prompt"]), "-n", "0", "-r", str(repeats), "-o", "jsonl")
        return rows[0]["samples_ts"]
    if work["kind"] in ("decode", "batch"):
        sequences, prompt, new = work["sequences"], work["prompt"], work["new"]
        options = ["-npp", str(prompt), "-ntg", str(new), "-npl", str(sequences), "-c",
                   str(sequences * (prompt + new) + 64), "-b", "2048", "-ub", "512", "--output-format", "jsonl"]
        rows = [tool(arguments, "llama-batched-bench", *options)[0] for _ in range(repeats)]
        return [row["speed_tg"] if work["kind"] == "decode" else row["t"] for row in rows]
    raise SystemExit(f"llama.cpp: no workload of kind {work['kind']!r}")


def version():
    done = subprocess.run(["llama-bench", "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return next((f"llama.cpp {line.split(':', 1)[1].strip()}" for line in lines if line.startswith("version")),
                "llama.cpp, version unknown")


def run(arguments):
    common.report(version(), None, measure(arguments))


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
