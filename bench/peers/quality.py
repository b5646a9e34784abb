#!/usr/bin/env python3
"""What llama.cpp's formats cost in quality, on a model and on models made of it with outlier channels.

    bench/peers/quality.py --outlier-tool build/release/tests/outlier_tool [--tools DIR] [--model models/demo]

Every model is written as f32 by dray's outlier_tool, converted with the Python packages gguf and numpy, and rounded by
llama-quantize (token table and head as Q8_0). The table has the bits of the f32 model, and for each format how many
more it needs, as a share of the f32 model's bits. There are two ways to measure:

    with --tools   DIR holds llama.cpp's llama-quantize and llama-perplexity. The latter cuts the text elsewhere than
                   quality_bench does, so only shares can be compared with those of dray; bits are those of a token
    without        the Python package ik-llama-cpp-python has ik_llama.cpp's llama-quantize and library. Stories are
                   read one by one, and bits are those of a byte, as quality_bench counts them
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ENGINES = pathlib.Path(__file__).resolve().parent / "engines"
sys.path.append(str(ENGINES))
import llama_cpp  # noqa: E402

KINDS = ("norms", "ffn", "values", "keys", "stream", "all")
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


class PerplexityTool:
    """llama.cpp's programs in a folder."""

    def __init__(self, options):
        self.options, self.quantize = options, options.tools / "llama-quantize"

    def bits(self, path, stories, config):
        """Of a token."""
        del config
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write("\n\n".join(stories))
            file.flush()
            found = PERPLEXITY.search(run(self.options.tools / "llama-perplexity", "-m", path, "-f", file.name, "-c",
                                          self.options.context, "-t", self.options.threads))
        if found is None:
            raise SystemExit(f"{path}: llama-perplexity printed no final estimate; the text may be too short")
        return math.log2(float(found[1]))


class IkLibrary:
    """ik_llama.cpp as its Python package."""

    def __init__(self, options):
        # By its path, because the package has the same name.
        spec = importlib.util.spec_from_file_location("ik_engine", ENGINES / "ik_llama_cpp.py")
        self.engine = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.engine)
        self.options, self.quantize = options, pathlib.Path(self.engine.tools_folder()) / "llama-quantize"

    def bits(self, path, stories, config):
        """Of a byte. A story is <s>, its tokens and </s>; the bits are those of all tokens after the first one."""
        library = self.engine.Library(str(path), self.options.threads, 1, config["max_position_embeddings"])
        total = 0.0
        for story in stories:
            library.clear()
            tokens = [config["bos_token_id"], *library.tokens(story), config["eos_token_id"]]
            library.decode([(token, i, 0, True) for i, token in enumerate(tokens)])
            total -= sum(self.log2_probability(library, i, token) for i, token in enumerate(tokens[1:]))
        library.close()
        return total / sum(len(story.encode()) for story in stories)

    @staticmethod
    def log2_probability(library, entry, token):
        import numpy

        logits = numpy.ctypeslib.as_array(library.logits(entry), (library.vocab_size,)).astype(numpy.float64)
        largest = logits.max()
        return (logits[token] - largest - math.log(numpy.exp(logits - largest).sum())) / math.log(2)


def make_folder(options, kind, folder):
    """A factor of 1 leaves the model as it is, in f32."""
    outliers = ["--kind", kind, "--factor", options.factor] if kind else ["--kind", "norms", "--factor", 1]
    run(options.outlier_tool, options.model, folder, *outliers, "--seed", options.seed)


def measure(options, program, kind, stories, work):
    """The bits of a kind of outliers (None: of the model as it is) by format; "F32" is not rounded."""
    folder = work / (kind or "plain")
    make_folder(options, kind, folder)
    config = json.loads((folder / "config.json").read_text())
    whole, rounded = folder / "f32.gguf", folder / "rounded.gguf"
    write_gguf(folder, whole)
    results = {"F32": program.bits(whole, stories, config)}
    for name in options.formats:
        run(program.quantize, "--token-embedding-type", "q8_0", "--output-tensor-type", "q8_0", whole, rounded, name)
        results[name] = program.bits(rounded, stories, config)
    return results


def share(bits_of_format, bits_of_floats):
    """How many more bits the text takes, in percent of what it takes with float weights."""
    return 100 * (bits_of_format / bits_of_floats - 1)


def markdown(columns, formats):
    """`columns`: (name, bits by format) of every model."""
    lines = ["| weights | " + " | ".join(name for name, _ in columns) + " |",
             "| --- |" + " --- |" * len(columns),
             "| F32, bits | " + " | ".join(f"{results['F32']:.5f}" for _, results in columns) + " |"]
    for name in formats:
        shares = [f"{share(results[name], results['F32']):+.3f} %" for _, results in columns]
        lines.append(f"| {name} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def first_stories(path, count):
    stories = [story.strip("\n") for story in path.read_text(encoding="utf-8").split("\n\n")]
    return [story for story in stories if story][:count]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=pathlib.Path, help="folder of llama.cpp's programs")
    parser.add_argument("--outlier-tool", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/demo"))
    parser.add_argument("--text", type=pathlib.Path, default=pathlib.Path("models/demo/heldout.txt"))
    parser.add_argument("--stories", type=int, default=20)
    parser.add_argument("--outliers", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    parser.add_argument("--factor", type=float, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--context", type=int, default=512, help="of llama-perplexity")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    options = parse()
    program = PerplexityTool(options) if options.tools else IkLibrary(options)
    stories = first_stories(options.text, options.stories)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        columns = [(kind or "as it is", measure(options, program, kind, stories, work))
                   for kind in [None, *options.outliers]]
    print(markdown(columns, options.formats))


if __name__ == "__main__":
    main()
