#!/usr/bin/env python3
"""CTranslate2: decoders, encoders and encoder-decoders in f32 and int8, whole batches."""

import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
sys.path.append(HERE)
import common  # noqa: E402

COMPUTE_TYPES = {"f32": "float32", "int8": "int8"}


def words_of(model):
    names = [name for name in ("vocabulary.json", "shared_vocabulary.json") if os.path.exists(os.path.join(model, name))]
    with open(os.path.join(model, names[0]), encoding="utf-8") as file:
        return json.load(file)


def prepare(arguments):
    import ctranslate2

    if arguments.format not in COMPUTE_TYPES:
        raise SystemExit(f"ctranslate2: only {', '.join(COMPUTE_TYPES)}")
    converter = ctranslate2.converters.TransformersConverter(arguments.model, low_cpu_mem_usage=True)
    converter.convert(arguments.out, quantization=COMPUTE_TYPES[arguments.format])
    # For a tokenizer without an unknown token the converter writes a null, which the reader refuses.
    path = os.path.join(arguments.out, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["unk_token"] = config.get("unk_token") or config.get("eos_token") or words_of(arguments.out)[0]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def load(model, threads):
    import ctranslate2

    generator = ctranslate2.Generator(model, device="cpu", compute_type="int8", intra_threads=threads)
    words = words_of(model)

    def generate(batch, new):
        tokens = [[words[i] for i in prompt] for prompt in batch]
        results = generator.generate_batch(tokens, min_length=new, max_length=new, sampling_topk=1,
                                           include_prompt_in_result=False, end_token=[])
        made = [len(result.sequences_ids[0]) for result in results]
        if made != [new] * len(batch):
            raise SystemExit(f"ctranslate2: asked for {new} tokens of {len(batch)} sequences, got {made}")

    return generate, len(words)


def load_encoder(arguments):
    import ctranslate2
    import numpy

    encoder = ctranslate2.Encoder(arguments.model, device="cpu", compute_type=COMPUTE_TYPES[arguments.format],
                                  intra_threads=arguments.threads)

    def encode(texts):
        return numpy.asarray(encoder.forward_batch(texts).last_hidden_state)

    return encode


def load_translator(arguments):
    import ctranslate2

    translator = ctranslate2.Translator(arguments.model, device="cpu", compute_type=COMPUTE_TYPES[arguments.format],
                                        intra_threads=arguments.threads)
    words = words_of(arguments.model)

    def answer(sources, beams, new):
        tokens = [[words[i] for i in source] for source in sources]
        results = translator.translate_batch(tokens, beam_size=beams, min_decoding_length=new, max_decoding_length=new,
                                             max_input_length=0)
        made = [len(result.hypotheses[0]) for result in results]
        if made != [new] * len(sources):
            raise SystemExit(f"ctranslate2: asked for {new} tokens of {len(sources)} sources, got {made}")

    return answer


def run(arguments):
    kind = arguments.workload["kind"]
    if kind not in ("answer", "encode", "encode_mixed"):
        common.run_timed(load, arguments, version())
        return
    start = time.perf_counter()
    call = (load_translator if kind == "answer" else load_encoder)(arguments)
    load_seconds = time.perf_counter() - start
    measure = common.run_answers if kind == "answer" else common.run_encoder
    measure(call, len(words_of(arguments.model)), arguments, version(), load_seconds)


def version():
    from importlib import metadata

    return f"ctranslate2 {metadata.version('ctranslate2')}"


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
