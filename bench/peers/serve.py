#!/usr/bin/env python3
"""Compares servers with concurrent clients: dray and llama-server over HTTP, OpenVINO's pipeline in process.

    bench/peers/serve.py --model DIR --engine dray --engine llama_cpp --engine openvino_genai=/path/to/python

Each client sends one prompt, all at the same time. `dray bench --url` sends both servers the same requests.
Weights are int8 (Q8_0), in the folders that compare.py prepares. The engines take turns in each round. The
table has the medians over rounds of output tokens a second and of the median time to the first token.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request

import compare

sys.path.append(str(compare.HERE / "engines"))
import dray  # noqa: E402

PORT = 18431
START_SECONDS = 120


# A prompt that was cut to N tokens may have a few more after decoding and encoding it again.
SPARE_TOKENS = 16


def dray_command(options, folder):
    room = options.prompt + options.new + SPARE_TOKENS
    return ["dray", "serve", folder, "--port", str(PORT), "--max-model-len", str(room),
            "--max-rolling-batch-size", str(max(options.clients)),
            *dray.engine_options("int8", options.threads)], "/ping", "lmi"


def llama_command(options, folder):
    slots = max(options.clients)
    room = slots * (options.prompt + options.new + SPARE_TOKENS)
    return ["llama-server", "-m", folder / "model.gguf", "--port", str(PORT), "-t", str(options.threads), "-np",
            str(slots), "-c", str(room), "--no-webui", "--cache-ram", "0"], "/health", "openai"


SERVERS = {"dray": dray_command, "llama_cpp": llama_command}


def wait_until_up(server, path):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit(f"the server ended by itself, exit {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"no answer from the server in {START_SECONDS} s")


def over_http(options, name, folder, clients):
    command, health, api = SERVERS[name](options, folder)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_up(server, health)
        load = ["dray", "bench", options.model, "--url", f"http://127.0.0.1:{PORT}", "--api", api, "--clients",
                str(clients), "--requests", str(clients), "--warm-up", str(clients), "--input",
                str(options.prompt), "--output", str(options.new), "--json"]
        done = subprocess.run(load, capture_output=True, text=True, check=False)
    finally:
        server.terminate()
        server.wait()
    if done.returncode != 0:
        raise SystemExit(f"dray bench --url: exit {done.returncode}\n{done.stderr[-1500:]}")
    row = json.loads(done.stdout)["rows"][0]
    wanted = clients * options.new
    if row["errors"] or row["output_tokens"] != wanted:
        raise SystemExit(f"{name}: {row['errors']} errors, {row['output_tokens']} of {wanted} tokens")
    return [row["output_tokens_per_second"], row["ttft_p50_s"]]


def in_process(options, engine, folder, clients):
    work = {"kind": "serve", "clients": clients, "prompt": options.prompt, "new": options.new}
    command = [*engine.command, "run", "--model", folder, "--format", "int8", "--threads", str(options.threads),
               "--repeats", "1", json.dumps(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{engine.name}: exit {done.returncode}\n{done.stderr[-1500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])["results"][0]


def measure(options, engines):
    """{(clients, engine's name): [[tokens a second, first token s] of each round]}"""
    results = {}
    folders = {engine.name: engine.prepared(options, "int8") for engine in engines}
    for number, clients, engine in itertools.product(range(options.rounds), options.clients, engines):
        folder = folders[engine.name]
        if folder is None:
            continue
        result = over_http(options, engine.name, folder, clients) if engine.name in SERVERS \
            else in_process(options, engine, folder, clients)
        results.setdefault((clients, engine.name), []).append(result)
        print(f"round {number + 1}: {clients} clients: {engine.name}: {result[0]:.1f} tok/s, first token "
              f"{result[1]:.2f} s", file=sys.stderr, flush=True)
    return results


def markdown(options, engines, results):
    names = [engine.name for engine in engines]
    lines = [f"{options.prompt} in, {options.new} out, int8, {options.model.name}, {options.threads} threads, "
             f"{compare.datetime.date.today().isoformat()}; {compare.machine_facts()}. Medians of "
             f"{options.rounds} rounds. Output tok/s, median first token in s.", "",
             "| clients | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for clients in options.clients:
        cells = []
        for name in names:
            rounds = results.get((clients, name), [])
            middle = [statistics.median(column) for column in zip(*rounds)]
            cells.append(f"{middle[0]:.1f} · {middle[1]:.2f}" if middle else "")
        lines.append(f"| {clients} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=pathlib.Path, help="Hugging Face folder")
    parser.add_argument("--work", type=pathlib.Path, default=compare.WORK, help="where converted weights are kept")
    parser.add_argument("--engine", action="append", required=True, metavar="NAME[=PYTHON]")
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 8, 16])
    parser.add_argument("--prompt", type=int, default=128, help="tokens of each prompt")
    parser.add_argument("--new", type=int, default=64, help="new tokens of each answer")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.model = options.model.resolve()
    return options


def main():
    options = parse()
    engines = compare.make_engines(options.engine)
    print(markdown(options, engines, measure(options, engines)))


if __name__ == "__main__":
    main()
