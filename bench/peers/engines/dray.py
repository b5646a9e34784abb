#!/usr/bin/env python3
"""dray itself, through `dray bench`; for process start to first token, `dray generate`.

With integer weights a decoder's keys and values are kept in 8 bits, as OpenVINO's are.
"""

import json
import os
import subprocess
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402


def prepare(arguments):
    """Does nothing: dray reads the original folder and packs the weights while it loads."""
    os.makedirs(arguments.out, exist_ok=True)
    for name in os.listdir(arguments.model):
        os.symlink(os.path.abspath(os.path.join(arguments.model, name)), os.path.join(arguments.out, name))


DTYPES = {"f32": "fp32"}  # where dray's name is another one


def engine_options(weights, threads, kind="serve"):
    is_decoder = kind not in ("answer", "encode", "encode_mixed")
    kept = ["--kv-cache-dtype", "int8"] if is_decoder and weights in ("int8", "int4") else []
    return ["--dtype", DTYPES.get(weights, weights), "--threads", str(threads), *kept]


def call(arguments, *options):
    command = ["dray", *options, *engine_options(arguments.format, arguments.threads, arguments.workload["kind"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def bench(arguments, *options):
    has_weights = any(name.endswith((".safetensors", ".bin", ".dray")) for name in os.listdir(arguments.model))
    weights = [] if has_weights else ["--load-format", "dummy"]
    text = call(arguments, "bench", arguments.model, *weights, "--repeats", str(arguments.repeats), "--json", *options)
    return json.loads(text)["rows"]


def start_seconds(arguments):
    prompt = " ".join(["word"] * arguments.workload["prompt"])
    start = time.perf_counter()
    call(arguments, "generate", arguments.model, "--prompt", prompt, "--max-new-tokens", "1")
    return time.perf_counter() - start


def encoder_rates(arguments, work):
    """Returns (load seconds, tokens a second). `dray bench` has the same lengths of mixed texts as this folder."""
    mode = "--texts" if work["kind"] == "encode" else "--mixed-texts"
    row = bench(arguments, mode, "--batch", str(work["texts"]), "--input", str(work["tokens"]))[0]
    return row["load_seconds"], [1000 * row["tokens"] / ms for ms in row["repeats_ms"]]


def measure(arguments):
    """Returns (load seconds, results)."""
    work = arguments.workload
    if work["kind"] == "start":
        return None, [start_seconds(arguments)]
    if work["kind"] == "prompt":
        row = bench(arguments, "--run", "prompt", "--prompt", str(work["prompt"]))[0]
        return row["load_seconds"], [1000 * work["prompt"] / ms for ms in row["repeats_ms"]]
    if work["kind"] in ("encode", "encode_mixed"):
        return encoder_rates(arguments, work)
    sequences, new = work["sequences"], work["new"]
    sizes = ["--batch", str(sequences), "--input", str(work["prompt"]), "--output", str(new)]
    if work["kind"] == "decode":
        row = bench(arguments, "--run", "batch", *sizes)[0]
        return row["load_seconds"], [1000 * sequences / ms for ms in row["repeats_ms"]]
    if work["kind"] == "answer":
        row = bench(arguments, "--batch-table", *sizes, "--num-beams", str(work["beams"]))[0]
        return row["load_seconds"], [sequences * new / seconds for seconds in row["repeats_s"]]
    row = bench(arguments, "--batch-table", *sizes)[0]
    return row["load_seconds"], row["repeats_s"]


def version():
    done = subprocess.run(["dray", "--version"], capture_output=True, text=True, check=False)
    return f"dray {done.stdout.strip()}"


def run(arguments):
    load_seconds, results = measure(arguments)
    common.report(version(), load_seconds, results)


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
