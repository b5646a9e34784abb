#!/usr/bin/env python3
"""What llama.cpp's formats cost in quality, on a model and on models made of it with outlier channels.

    bench/peers/quality.py --tools DIR --outlier-tool build/release/tests/outlier_tool [--model models/demo]

DIR holds llama-quantize and llama-perplexity. Every model is written as f32 by dray's outlier_tool, converted with the
Python packages gguf and numpy, rounded by llama-quantize (token table and head as Q8_0) and measured by
llama-perplexity on the beginning of the held-out text. The table has the f32 model's perplexity, and for each format
how many more bits it needs, as a share of the f32 model's bits. It stands beside the table of quality_bench:
llama-perplexity cuts the text elsewhere, so only shares can be compared.
"""

import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "engines"))
import llama_cpp  # noqa: E402

KINDS = ("norms", "ffn", "values", "stream", "all")
FORMATS = ("Q8_0", "Q4_0", "Q4_1", "IQ4_NL")
PERPLEXITY = re.compile(r"Final estimate: PPL = ([0-9.]+)")


def read_floats(folder):
    """Yields (name, f32 array) of every tensor of the model.safetensors that outlier_tool writes."""
    import numpy

    data = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8:start]).items():
        first, last = entry["data_offsets"]
        yield name, numpy.frombuffer(data[start + first:start + last], "<f4").reshape(entry["shape"])


def rotated_pairs(weight, heads):
    """Reorders the rows of each head: llama.cpp rotates neighbours, Hugging Face row i with row i + half."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write_gguf(folder, path):
    import gguf

    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    llama_cpp.write_header(writer, config, json.loads((folder / "tokenizer.json").read_text()))
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_add_bos_token(True)
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, value in read_floats(folder):
        part = name.split(".")[-2]
        if part in heads:
            value = rotated_pairs(value, heads[part])
        writer.add_tensor(llama_cpp.gguf_name(name, llama_cpp.LLAMA_NAMES), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def run(*command):
    """Returns what the command printed, on both outputs."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: exit {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout + done.stderr


def perplexity(options, path, text):
    found = PERPLEXITY.search(run(options.tools / "llama-perplexity", "-m", path, "-f", text, "-c", options.context,
                                  "-t", options.threads))
    if found is None:
        raise SystemExit(f"{path}: llama-perplexity printed no final estimate; the text may be too short")
    return float(found[1])


def make_folder(options, kind, folder):
    """A factor of 1 leaves the model as it is, in f32."""
    outliers = ["--kind", kind, "--factor", options.factor] if kind else ["--kind", "norms", "--factor", 1]
    run(options.outlier_tool, options.model, folder, *outliers, "--seed", options.seed)


def measure(options, kind, work):
    """The perplexities of a kind of outliers (None: of the model as it is) by format; "F32" is not rounded."""
    folder = work / (kind or "plain")
    make_folder(options, kind, folder)
    whole, rounded = folder / "f32.gguf", folder / "rounded.gguf"
    write_gguf(folder, whole)
    results = {"F32": perplexity(options, whole, work / "text")}
    for name in options.formats:
        run(options.tools / "llama-quantize", "--token-embedding-type", "q8_0", "--output-tensor-type", "q8_0",
            whole, rounded, name)
        results[name] = perplexity(options, rounded, work / "text")
    return results


def share(perplexity_of_format, perplexity_of_floats):
    """How many more bits a token takes, in percent of what it takes with float weights."""
    return 100 * (math.log(perplexity_of_format) / math.log(perplexity_of_floats) - 1)


def markdown(columns, formats):
    """`columns`: (name, perplexities by format) of every model."""
    lines = ["| weights | " + " | ".join(name for name, _ in columns) + " |",
             "| --- |" + " --- |" * len(columns),
             "| F32, perplexity | " + " | ".join(f"{results['F32']:.4f}" for _, results in columns) + " |"]
    for name in formats:
        shares = [f"{share(results[name], results['F32']):+.2f} %" for _, results in columns]
        lines.append(f"| {name} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def first_stories(path, count):
    return "\n\n".join(path.read_text(encoding="utf-8").split("\n\n")[:count])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="folder of llama.cpp's programs")
    parser.add_argument("--outlier-tool", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/demo"))
    parser.add_argument("--text", type=pathlib.Path, default=pathlib.Path("models/demo/heldout.txt"))
    parser.add_argument("--stories", type=int, default=20)
    parser.add_argument("--outliers", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    parser.add_argument("--factor", type=float, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (work / "text").write_text(first_stories(options.text, options.stories), encoding="utf-8")
        columns = [(kind or "as it is", measure(options, kind, work)) for kind in [None, *options.outliers]]
    print(markdown(columns, options.formats))


if __name__ == "__main__":
    main()
