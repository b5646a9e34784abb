"""Shared by the scripts of all engines: the command line, and one way to time a generation.

An engine's script is called by compare.py, with the Python that has the engine installed:

    ENGINE.py prepare --model DIR --format bf16|int8|int4 --out DIR
    ENGINE.py run --model DIR --threads N --repeats N WORKLOAD     (WORKLOAD: a JSON object)

`prepare` converts a Hugging Face folder for the engine, once. `run` loads the result and prints one JSON
object as its last line: {"version": ..., "load_seconds": ..., "results": [one per repeat]}; a result is the
metric of its workload:

    {"kind": "prompt", "prompt": P}                          prompt tokens a second, one sequence
    {"kind": "decode", "sequences": S, "prompt": P, "new": N}    new tokens a second, all sequences together,
                                                                 first tokens and prompts left out
    {"kind": "batch", "sequences": S, "prompt": P, "new": N}     seconds from the call to the last token
    {"kind": "start", "prompt": P}                           seconds from process start to the first token
"""

import argparse
import json
import os
import sys
import time

FORMATS = ("bf16", "int8", "int4")


def process_age():
    """Seconds since the kernel started this process, so that imports count."""
    with open("/proc/self/stat", encoding="ascii") as stat:
        started = int(stat.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def prompts(count, tokens, vocab_size):
    """`count` different prompts; the ids are spread over the vocabulary and the same for every engine."""
    return [[10 + (s * 7919 + i * 104729) % (vocab_size - 20) for i in range(tokens)] for s in range(count)]


def vocab_size(model):
    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        return json.load(file)["vocab_size"]


class Timed:
    """Measures workloads through one call, generate(prompts, new_tokens), which must generate that many tokens."""

    def __init__(self, generate, vocab):
        self.generate = generate
        self.vocab = vocab

    def _seconds(self, sequences, prompt, new):
        batch = prompts(sequences, prompt, self.vocab)
        start = time.perf_counter()
        self.generate(batch, new)
        return time.perf_counter() - start

    def measure(self, work):
        if work["kind"] == "prompt":
            return work["prompt"] / self._seconds(1, work["prompt"], 1)
        if work["kind"] == "decode":
            first = self._seconds(work["sequences"], work["prompt"], 1)
            whole = self._seconds(work["sequences"], work["prompt"], work["new"])
            return work["sequences"] * (work["new"] - 1) / (whole - first)
        if work["kind"] == "batch":
            return self._seconds(work["sequences"], work["prompt"], work["new"])
        if work["kind"] == "start":
            self._seconds(1, work["prompt"], 1)
            return process_age()
        raise SystemExit(f"no workload of kind {work['kind']!r}")


def run_timed(load, arguments, version):
    """`load(model, threads)` returns the generate call and the vocabulary's size. Warms up with a short run."""
    start = time.perf_counter()
    timed = Timed(*load(arguments.model, arguments.threads))
    load_seconds = time.perf_counter() - start
    work = arguments.workload
    if work["kind"] == "start":
        results = [timed.measure(work)]
    else:
        timed.measure({**work, "new": min(work.get("new", 1), 8)})
        results = [timed.measure(work) for _ in range(arguments.repeats)]
    report(version, load_seconds, results)


def report(version, load_seconds, results):
    print(json.dumps({"version": version, "load_seconds": load_seconds, "results": results}), flush=True)


def parse(description):
    parser = argparse.ArgumentParser(description=description)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="convert a Hugging Face folder")
    prepare.add_argument("--model", required=True)
    prepare.add_argument("--format", required=True, choices=FORMATS)
    prepare.add_argument("--out", required=True)
    run = commands.add_parser("run", help="measure one workload")
    run.add_argument("--model", required=True)
    run.add_argument("--format", required=True, choices=FORMATS)
    run.add_argument("--threads", type=int, required=True)
    run.add_argument("--repeats", type=int, default=3)
    run.add_argument("workload", type=json.loads)
    return parser.parse_args()


def main(description, prepare, run):
    arguments = parse(description)
    if arguments.command == "prepare":
        prepare(arguments)
    else:
        run(arguments)
    sys.exit(0)
