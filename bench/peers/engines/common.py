"""Shared by the scripts of all engines: the command line, and one way to time a generation.

An engine's script is called by compare.py, with the Python that has the engine installed:

    ENGINE.py prepare --model DIR --format f32|bf16|int8|int4 --out DIR
    ENGINE.py run --model DIR --threads N --repeats N WORKLOAD     (WORKLOAD: a JSON object)

`prepare` converts a Hugging Face folder for the engine, once. `run` loads the result and prints one JSON
object as its last line: {"version": ..., "load_seconds": ..., "results": [one per repeat]}; a result is the
metric of its workload:

    {"kind": "prompt", "prompt": P}                          prompt tokens a second, one sequence
    {"kind": "decode", "sequences": S, "prompt": P, "new": N}    new tokens a second, all sequences together,
                                                                 first tokens and prompts left out
    {"kind": "batch", "sequences": S, "prompt": P, "new": N}     seconds from the call to the last token
    {"kind": "start", "prompt": P}                           seconds from process start to the first token
    {"kind": "answer", "sequences": S, "beams": K, "prompt": P, "new": N}
                                                             new tokens a second of an encoder-decoder, one answer for
                                                             each of S sources; the time of the sources counts
    {"kind": "encode", "texts": T, "tokens": L}              tokens a second of an encoder
    {"kind": "encode_mixed", "texts": T, "tokens": L}        the same for texts of mixed_lengths(T, L)
"""

import argparse
import json
import os
import random
import statistics
import sys
import time

FORMATS = ("f32", "bf16", "int8", "int4")
# A result of an encoder is the median of calls that take so many seconds together: single calls are short.
ENCODE_SECONDS = 0.5
SHORTEST_MIXED = 8  # tokens


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


def mixed_lengths(texts, longest):
    """Lengths from SHORTEST_MIXED to `longest` in equal ratios, shuffled; the same for every engine."""
    steps = max(texts - 1, 1)
    lengths = [round(SHORTEST_MIXED * (longest / SHORTEST_MIXED) ** (i / steps)) for i in range(texts)]
    random.Random(7).shuffle(lengths)
    return lengths


def texts_of(work, vocab):
    if work["kind"] == "encode_mixed":
        lengths = mixed_lengths(work["texts"], work["tokens"])
    else:
        lengths = [work["tokens"]] * work["texts"]
    return [prompt[:length] for prompt, length in zip(prompts(len(lengths), max(lengths), vocab), lengths)]


def padded(texts):
    """Token ids and attention mask as numpy arrays, [texts, longest]."""
    import numpy

    shape = (len(texts), max(len(text) for text in texts))
    ids, mask = numpy.zeros(shape, dtype=numpy.int64), numpy.zeros(shape, dtype=numpy.int64)
    for row, text in enumerate(texts):
        ids[row, :len(text)] = text
        mask[row, :len(text)] = 1
    return ids, mask


def ways_to_batch(texts):
    """How a caller may give texts of several lengths to an engine that pads: all at once, sorted in groups of eight,
    or one by one."""
    by_length = sorted(texts, key=len)
    groups = [by_length[i:i + 8] for i in range(0, len(by_length), 8)]
    return [[texts], groups, [[text] for text in texts]]


def median_seconds(call, at_least=None):
    at_least = ENCODE_SECONDS if at_least is None else at_least
    times = []
    while sum(times) < at_least:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run_encoder(encode, vocab, arguments, version, load_seconds):
    """Measures encode(texts), which computes the states of all tokens. Of texts of several lengths, the best way to
    batch them counts."""
    texts = texts_of(arguments.workload, vocab)
    ways = ways_to_batch(texts) if arguments.workload["kind"] == "encode_mixed" else [[texts]]
    tokens = sum(len(text) for text in texts)

    def seconds_of(way, at_least=None):
        return median_seconds(lambda: [encode(batch) for batch in way], at_least)

    best = min(ways, key=lambda way: seconds_of(way, ENCODE_SECONDS / 2))
    report(version, load_seconds, [tokens / seconds_of(best) for _ in range(arguments.repeats)])


def run_answers(answer, vocab, arguments, version, load_seconds):
    """Measures answer(sources, beams, new), which must generate that many tokens for each source."""
    work = arguments.workload
    sources = prompts(work["sequences"], work["prompt"], vocab)
    answer(sources, work["beams"], min(work["new"], 4))
    results = []
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        answer(sources, work["beams"], work["new"])
        results.append(work["sequences"] * work["new"] / (time.perf_counter() - start))
    report(version, load_seconds, results)


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
