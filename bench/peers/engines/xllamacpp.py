#!/usr/bin/env python3
"""llama.cpp: its server as the Python package xllamacpp embeds it, whose wheels are built for AVX2 alone.

For machines where llama.cpp's own programs are not built, and for comparisons that are held to AVX2. `prepare` writes the
same GGUF file as llama_cpp.py's.
"""

import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
sys.path.append(HERE)
import common  # noqa: E402


def prepare(arguments):
    import llama_cpp

    llama_cpp.prepare(arguments)
    shutil.copy(os.path.join(arguments.model, "config.json"), arguments.out)


def make_server(path, threads, sequences, tokens):
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = path
    options.n_ctx, options.n_parallel = tokens, sequences
    options.n_batch, options.n_ubatch = 2048, 512
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = threads
    options.warmup = False
    return xllamacpp.Server(options)


def generate(server, prompts, new):
    answer = server.handle_completions({"prompt": prompts if len(prompts) > 1 else prompts[0], "max_tokens": new,
                                        "ignore_eos": True, "cache_prompt": False, "temperature": 0})
    made = answer["usage"]["completion_tokens"] if isinstance(answer, dict) else None
    if made != new * len(prompts):
        raise SystemExit(f"xllamacpp: asked for {new} tokens of {len(prompts)} sequences, got {made}: {answer}"[:500])


def run(arguments):
    work = arguments.workload
    sequences = work.get("sequences", 1)
    # The server divides its tokens evenly, and needs some beyond the prompt's.
    tokens = sequences * (work["prompt"] + work.get("new", 1) + 16)

    def load(model, threads):
        server = make_server(os.path.join(model, "model.gguf"), threads, sequences, tokens)
        return lambda prompts, new: generate(server, prompts, new), common.vocab_size(model)

    common.run_timed(load, arguments, version())


def version():
    from importlib import metadata

    return f"xllamacpp {metadata.version('xllamacpp')}"


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
