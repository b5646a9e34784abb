#!/usr/bin/env python3
"""Runs dray and the installed peers with the same weights, threads and prompts, and prints a table.

    bench/peers/compare.py --model DIR --suite micro --engine dray --engine openvino_genai=/path/to/python ...

The engines take turns within every round, so that a slow hour of the machine affects all of them. The table
has medians over rounds and repeats. The weights are converted once for each engine, under --work. `dray
bench` measures the machine's limits before each workload of a round.
"""

import argparse
import datetime
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path("/tmp/dray-peers")
ENGINES = {  # [name]: the formats that the engine runs
    "dray": ("f32", "bf16", "int8", "int4"),
    "dray_artifact": ("bf16", "int8", "int4"),
    "openvino": ("f32", "bf16", "int8"),
    "openvino_genai": ("int8", "int4"),
    "onnxruntime": ("f32", "int8"),
    "ctranslate2": ("f32", "int8"),
    "llama_cpp": ("bf16", "int8", "int4"),
    "ik_llama_cpp": ("int8", "int4"),
    "xllamacpp": ("bf16", "int8", "int4"),
    "accelerate": ("bf16",),
}
OWN = ("dray", "dray_artifact")


def decode(sequences, prompt=128, new=48):
    return {"kind": "decode", "sequences": sequences, "prompt": prompt, "new": new}


def latency(prompt, new):
    return {"kind": "batch", "sequences": 1, "prompt": prompt, "new": new}


def encode(texts, tokens):
    return {"kind": "encode", "texts": texts, "tokens": tokens}


def answer(sequences, beams):
    return {"kind": "answer", "sequences": sequences, "beams": beams, "prompt": 64, "new": 32}


SUITES = {
    "micro": [{"kind": "prompt", "prompt": 512}, decode(1), decode(8), decode(32)],
    "integers": [{"kind": "prompt", "prompt": 512}, decode(1), decode(8, new=24)],
    "batch": [{"kind": "batch", "sequences": 4, "prompt": 256, "new": 256}],
    "start": [{"kind": "start", "prompt": 16}],
    "encoder": [*(encode(t, n) for t, n in itertools.product((1, 8, 32), (16, 128, 512))),
                {"kind": "encode_mixed", "texts": 16, "tokens": 512}],
    "text2text": [answer(1, 1), answer(4, 1), answer(1, 4)],
    "grid": [latency(p, n) for p, n in itertools.product((50, 200, 500, 1000), (50, 100, 150, 200))],
}
UNITS = {"prompt": "tok/s", "decode": "tok/s", "batch": "s", "start": "s", "answer": "tok/s", "encode": "tok/s",
         "encode_mixed": "tok/s"}


def label(work):
    if work["kind"] == "prompt":
        return f"prompt of {work['prompt']}"
    if work["kind"] == "start":
        return f"process start to first token, prompt of {work['prompt']}"
    if work["kind"] == "encode":
        return f"{work['texts']} x {work['tokens']}"
    if work["kind"] == "encode_mixed":
        return f"{work['texts']} of up to {work['tokens']}"
    shape = f"{work['prompt']} in, {work['new']} out"
    if work["kind"] == "answer":
        return f"{work['sequences']} x ({shape}), " + ("greedy" if work["beams"] == 1 else f"{work['beams']} beams")
    if work["kind"] == "decode":
        return f"decode, {work['sequences']} x ({shape})"
    return f"whole batch, {work['sequences']} x ({shape})"


def is_wanted(work, only):
    return only is None or any(text in label(work) for text in only)


class Engine:
    def __init__(self, name, python):
        self.name = name
        self.command = [python, str(HERE / "engines" / f"{name}.py")]
        self.version = name

    def prepared(self, options, weights):
        """The folder that this engine reads, made if it is not there. None: the engine refuses."""
        out = options.work / f"{self.name}-{options.model.name}-{weights}"
        if out.exists():
            return out
        partial = out.with_name(out.name + ".partial")
        subprocess.run(["rm", "-rf", partial], check=True)
        done = subprocess.run([*self.command, "prepare", "--model", options.model, "--format", weights, "--out",
                               partial], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{self.name}: cannot prepare {weights}:\n{done.stderr[-1500:]}", file=sys.stderr)
            return None
        partial.rename(out)
        return out

    def run(self, options, weights, folder, work):
        command = [*self.command, "run", "--model", folder, "--format", weights, "--threads",
                   str(options.threads), "--repeats", str(options.repeats), json.dumps(work)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{self.name}: {label(work)}: exit {done.returncode}\n{done.stderr[-1500:]}", file=sys.stderr)
            return None
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        self.version = answer["version"]
        return answer


def machine_limits(options):
    done = subprocess.run(["dray", "bench", "--limits", "--json", "--threads", str(options.threads)],
                          capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["rows"][0] if done.returncode == 0 else None


def measure(options, engines):
    """One record for each (engine, format, workload): every result, and the limits of each round."""
    records, limits = {}, []
    pairs = [(engine, weights) for weights in options.formats for engine in engines
             if weights in ENGINES[engine.name]]
    folders = {(e.name, w): e.prepared(options, w) for e, w in pairs}
    works = [work for work in SUITES[options.suite] if is_wanted(work, options.only)]
    for number, work in itertools.product(range(options.rounds), works):
        limits.append(machine_limits(options))
        for engine, weights in pairs:
            folder = folders[engine.name, weights]
            answer = engine.run(options, weights, folder, work) if folder else None
            if answer is None:
                continue
            key = (label(work), UNITS[work["kind"]], weights, engine.name)
            record = records.setdefault(key, {"results": [], "load_seconds": []})
            record["results"] += answer["results"]
            record["load_seconds"].append(answer["load_seconds"])
            middle = statistics.median(answer["results"])
            print(f"round {number + 1}: {label(work)}: {engine.name} {weights}: {middle:.2f} "
                  f"{UNITS[work['kind']]}", file=sys.stderr, flush=True)
    return records, limits


def machine_facts():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = {line.split(":", 1)[1].strip() for line in file if line.startswith("model name")}
    return f"{', '.join(sorted(models))}; {os.cpu_count()} processors; {platform.system()} {platform.release()}"


def ratio(value, best, unit):
    return value / best if unit == "tok/s" else best / value


def markdown(options, engines, records, limits):
    names = [engine.name for engine in engines]
    lines = [f"{options.suite}, {options.model.name}, {options.threads} threads, "
             f"{datetime.date.today().isoformat()}; {machine_facts()}.",
             "Versions: " + "; ".join(engine.version for engine in engines) + ".",
             f"Medians of {options.rounds} rounds of {options.repeats}, engines alternating.", ""]
    known = [limit for limit in limits if limit]
    if known:
        for key in sorted(k for k, v in known[0].items() if isinstance(v, (int, float))):
            values = sorted(limit[key] for limit in known)
            lines.append(f"- {key}: {values[0]:.3g} to {values[-1]:.3g}, median {statistics.median(values):.3g}")
        lines.append("")
    lines.append("| workload | unit | weights | " + " | ".join(names) + " | dray to the best other |")
    lines.append("| --- " * (len(names) + 4) + "|")
    for what, unit, weights in dict.fromkeys(key[:3] for key in records):
        medians = {name: statistics.median(records[what, unit, weights, name]["results"])
                   for name in names if (what, unit, weights, name) in records}
        better = max if unit == "tok/s" else min
        best = better((value for name, value in medians.items() if name not in OWN), default=None)
        ours = better((value for name, value in medians.items() if name in OWN), default=None)
        last = f"{ratio(ours, best, unit):.2f} x" if best and ours else ""
        cells = [f"{medians[name]:.4g}" if name in medians else "" for name in names]
        lines.append(f"| {what} | {unit} | {weights} | " + " | ".join(cells) + f" | {last} |")
    return "\n".join(lines) + "\n"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=pathlib.Path, help="Hugging Face folder")
    parser.add_argument("--work", type=pathlib.Path, default=WORK,
                        help="where converted weights are kept")
    parser.add_argument("--suite", choices=SUITES, default="micro")
    parser.add_argument("--only", action="append", metavar="TEXT",
                        help="leave out workloads whose name, as the table has it, contains none of these texts")
    parser.add_argument("--formats", type=lambda text: text.split(","), default=["bf16", "int8", "int4"])
    parser.add_argument("--engine", action="append", required=True, metavar="NAME[=PYTHON]",
                        help=f"one of {', '.join(ENGINES)}, with the Python that has it")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, help="where every single result goes")
    options = parser.parse_args()
    options.model = options.model.resolve()
    return options


def make_engines(texts):
    """Engines from arguments of the form NAME or NAME=PYTHON."""
    engines = []
    for text in texts:
        name, _, python = text.partition("=")
        if name not in ENGINES:
            raise SystemExit(f"no engine {name!r}; there are {', '.join(ENGINES)}")
        engines.append(Engine(name, python or sys.executable))
    return engines


def main():
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    engines = make_engines(options.engine)
    records, limits = measure(options, engines)
    if options.json:
        flat = [{"workload": k[0], "unit": k[1], "weights": k[2], "engine": k[3], **v} for k, v in records.items()]
        options.json.write_text(json.dumps({"limits": limits, "records": flat}, indent=1) + "\n", encoding="utf-8")
    print(markdown(options, engines, records, limits))


if __name__ == "__main__":
    main()
