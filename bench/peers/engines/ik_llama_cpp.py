#!/usr/bin/env python3
"""ik_llama.cpp: its library as the Python package ik-llama-cpp-python brings it, which is built for AVX2 alone.

Weights are repacked while they are loaded. `prepare` writes the same GGUF file as llama_cpp.py's, with the package's
llama-quantize.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
sys.path.append(HERE)
import common  # noqa: E402

PACKAGE = "ik_llama_cpp"  # this file has the same name, so it is imported before HERE is searched
MICRO_BATCH = 512
BATCH = 2048


def tools_folder():
    import importlib.util

    return os.path.join(importlib.util.find_spec(PACKAGE).submodule_search_locations[0], "bin")


def prepare(arguments):
    import llama_cpp

    os.environ["PATH"] = tools_folder() + os.pathsep + os.environ["PATH"]
    llama_cpp.prepare(arguments)


class Library:
    """A model and a context for `tokens` tokens of `sequences` sequences together."""

    def __init__(self, path, threads, sequences, tokens):
        from ik_llama_cpp import _ctypes_api as api

        self.api = api
        settings = api.llama_model_default_params()
        settings.repack_tensors = True
        settings.use_mmap = False  # what is mapped is not repacked
        self.model = api.llama_model_load_from_file(path.encode(), settings)
        options = api.llama_context_default_params()
        options.n_ctx, options.n_seq_max = tokens, sequences
        options.n_batch, options.n_ubatch = BATCH, MICRO_BATCH
        options.n_threads = options.n_threads_batch = threads
        # With several sequences its flash attention ends with a failed assertion.
        options.flash_attn = sequences == 1
        self.context = api.llama_init_from_model(self.model, options)
        if not self.context:
            raise SystemExit(f"ik_llama.cpp: no context for {tokens} tokens")
        self.vocab_size = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.batch = api.llama_batch_init(BATCH, 0, 1)

    def clear(self):
        self.api.llama_kv_cache_clear(self.context)

    def decode(self, entries):
        """Computes at most BATCH entries: (token, position, sequence, whether its logits are wanted)."""
        batch = self.batch
        batch.n_tokens = len(entries)
        for i, (token, position, sequence, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
            batch.seq_id[i][0] = sequence
        status = self.api.llama_decode(self.context, batch)
        if status != 0:
            raise SystemExit(f"ik_llama.cpp: llama_decode returned {status}")

    def tokens(self, text):
        """The tokens of a text, without <s> and </s>."""
        data = text.encode()
        room = (self.api.llama_token * (len(data) + 1))()
        count = self.api.llama_tokenize(self.model, data, len(data), room, len(room), False, False)
        return list(room[:count])

    def close(self):
        self.api.llama_batch_free(self.batch)
        self.api.llama_free(self.context)
        self.api.llama_free_model(self.model)

    def logits(self, entry):
        """The logits of an entry of the last batch, as a pointer to floats."""
        return self.api.llama_get_logits_ith(self.context, entry)


def generate(library, prompts, new):
    """Feeds the prompts, then `new` - 1 tokens of each: as llama.cpp's own benchmark, without choosing tokens."""
    library.clear()
    entries = [(token, i, s, i + 1 == len(prompt)) for s, prompt in enumerate(prompts) for i, token in enumerate(prompt)]
    for begin in range(0, len(entries), BATCH):
        library.decode(entries[begin:begin + BATCH])
    for step in range(new - 1):
        library.decode([(prompt[step % len(prompt)], len(prompt) + step, s, True) for s, prompt in enumerate(prompts)])
    library.logits(len(prompts) - 1 if new > 1 else -1)


def run(arguments):
    work = arguments.workload
    if work["kind"] == "start":
        raise SystemExit("ik_llama.cpp: no workload of kind 'start'")
    sequences = work.get("sequences", 1)
    tokens = sequences * (work["prompt"] + work.get("new", 1) + 1)

    def load(model, threads):
        library = Library(os.path.join(model, "model.gguf"), threads, sequences, tokens)
        return lambda prompts, new: generate(library, prompts, new), library.vocab_size

    common.run_timed(load, arguments, version())


def version():
    from importlib import metadata

    return f"ik-llama-cpp-python {metadata.version('ik-llama-cpp-python')}"


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
