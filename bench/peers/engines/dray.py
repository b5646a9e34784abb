#!/usr/bin/env python3
"""dray itself, through `dray bench`; for process start to first token, `dray generate`."""

import json
import os
import subprocess
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402


def prepare(arguments):
    """dray reads the folder itself and packs it while it loads."""
    os.makedirs(arguments.out, exist_ok=True)
    for name in os.listdir(arguments.model):
        os.symlink(os.path.abspath(os.path.join(arguments.model, name)), os.path.join(arguments.out, name))


def call(arguments, *options):
    command = ["dray", *options, "--dtype", arguments.format, "--threads", str(arguments.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def bench(arguments, *options):
    weights = [] if any(name.endswith((".safetensors", ".bin")) for name in os.listdir(arguments.model)) \
        else ["--load-format", "dummy"]
    text = call(arguments, "bench", arguments.model, *weights, "--repeats", str(arguments.repeats), "--json", *options)
    return json.loads(text)["rows"]


def start_seconds(arguments):
    prompt = " ".join(["word"] * arguments.workload["prompt"])
    start = time.perf_counter()
    call(arguments, "generate", arguments.model, "--prompt", prompt, "--max-new-tokens", "1")
    return time.perf_counter() - start


def pick(rows, **wanted):
    for row in rows:
        if all(row[key] == value for key, value in wanted.items()):
            return row
    raise SystemExit(f"dray bench printed no row with {wanted}")


def measure(arguments):
    """(load seconds, results)"""
    work = arguments.workload
    if work["kind"] == "start":
        return None, [start_seconds(arguments)]
    if work["kind"] == "prompt":
        rows = bench(arguments, "--prompt", str(work["prompt"]), "--batch", "1", "--output", "8")
        row = pick(rows, run="prompt")
        return row["load_seconds"], [row["tokens_per_second"]]
    sizes = ["--batch", str(work["sequences"]), "--input", str(work["prompt"]), "--output", str(work["new"])]
    if work["kind"] == "decode":
        row = pick(bench(arguments, "--prompt", "16", *sizes), run="batch", sequences=work["sequences"])
        return row["load_seconds"], [row["tokens_per_second"]]
    row = bench(arguments, "--grid", *sizes)[0]
    return row["load_seconds"], [row["p50_s"]]


def version():
    done = subprocess.run(["dray", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "dray"


def run(arguments):
    load_seconds, results = measure(arguments)
    common.report(version(), load_seconds, results)


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
