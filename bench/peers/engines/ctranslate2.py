#!/usr/bin/env python3
"""CTranslate2: int8 weights, whole batches."""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
sys.path.append(HERE)
import common  # noqa: E402


def prepare(arguments):
    import ctranslate2

    if arguments.format != "int8":
        raise SystemExit("ctranslate2: only int8")
    converter = ctranslate2.converters.TransformersConverter(arguments.model, low_cpu_mem_usage=True)
    converter.convert(arguments.out, quantization="int8")
    # For a tokenizer without an unknown token the converter writes a null, which the reader refuses.
    path = os.path.join(arguments.out, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["unk_token"] = config.get("unk_token") or config["eos_token"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def load(model, threads):
    import ctranslate2

    generator = ctranslate2.Generator(model, device="cpu", compute_type="int8", intra_threads=threads)
    with open(os.path.join(model, "vocabulary.json"), encoding="utf-8") as file:
        words = json.load(file)

    def generate(batch, new):
        tokens = [[words[i] for i in prompt] for prompt in batch]
        results = generator.generate_batch(tokens, min_length=new, max_length=new, sampling_topk=1,
                                           include_prompt_in_result=False, end_token=[])
        made = [len(result.sequences_ids[0]) for result in results]
        if made != [new] * len(batch):
            raise SystemExit(f"ctranslate2: asked for {new} tokens of {len(batch)} sequences, got {made}")

    return generate, len(words)


def version():
    from importlib import metadata

    return f"ctranslate2 {metadata.version('ctranslate2')}"


if __name__ == "__main__":
    common.main(__doc__, prepare, lambda arguments: common.run_timed(load, arguments, version()))
