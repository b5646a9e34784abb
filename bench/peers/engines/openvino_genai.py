#!/usr/bin/env python3
"""OpenVINO GenAI: weights compressed by its exporter, with its advised 8-bit KV cache and dynamic quantization.

Batches run on LLMPipeline with its plain (SDPA) back end; DRAY_PEERS_OPENVINO_BACKEND=PA selects the paged one.
Clients of serve.py use ContinuousBatchingPipeline in this process, since there is no HTTP server for it:

    {"kind": "serve", "clients": C, "prompt": P, "new": N}    all requests added at once; a result is
                                                              [output tokens a second, median first token, s]
"""

import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
sys.path.append(HERE)
import common  # noqa: E402


def prepare(arguments):
    from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig

    settings = {
        "bf16": None,
        "int8": OVWeightQuantizationConfig(bits=8),
        "int4": OVWeightQuantizationConfig(bits=4, group_size=64, sym=True, ratio=1.0),
    }[arguments.format]
    network = OVModelForCausalLM.from_pretrained(arguments.model, export=True, quantization_config=settings)
    network.save_pretrained(arguments.out)


def device_options(threads):
    return {
        "INFERENCE_NUM_THREADS": threads,
        "KV_CACHE_PRECISION": "u8",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128",
    }


def forced_length(new):
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = new
    config.min_new_tokens = new
    config.ignore_eos = True
    return config


def load(model, threads):
    import numpy
    import openvino
    import openvino_genai

    backend = os.environ.get("DRAY_PEERS_OPENVINO_BACKEND", "SDPA")
    pipeline = openvino_genai.LLMPipeline(model, "CPU", **device_options(threads), ATTENTION_BACKEND=backend)

    def generate(batch, new):
        ids = numpy.array(batch, dtype=numpy.int64)
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(numpy.ones_like(ids)))
        result = pipeline.generate(inputs, forced_length(new))
        made = [len(tokens) for tokens in result.tokens]
        if made != [new] * len(batch):
            raise SystemExit(f"openvino: asked for {new} tokens of {len(batch)} sequences, got {made}")

    return generate, common.vocab_size(model)


def serve_once(pipeline, batch, new):
    """Returns [output tokens a second, median seconds to the first token] of requests added at once."""
    import numpy
    import openvino

    start = time.perf_counter()
    handles = [pipeline.add_request(i, openvino.Tensor(numpy.array([ids], dtype=numpy.int64)), forced_length(new))
               for i, ids in enumerate(batch)]
    first, tokens = {}, 0
    while pipeline.has_non_finished_requests():
        pipeline.step()
        now = time.perf_counter() - start
        for i, handle in enumerate(handles):
            if handle.can_read():
                tokens += sum(len(output.generated_ids) for output in handle.read().values())
                first.setdefault(i, now)
    if tokens != new * len(batch):
        raise SystemExit(f"openvino: asked for {new * len(batch)} tokens, got {tokens}")
    return [tokens / (time.perf_counter() - start), statistics.median(first.values())]


def run_serve(arguments):
    import openvino_genai

    work = arguments.workload
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size = 2  # GiB
    scheduler.enable_prefix_caching = False
    pipeline = openvino_genai.ContinuousBatchingPipeline(arguments.model, scheduler, "CPU",
                                                         device_options(arguments.threads))
    batch = common.prompts(work["clients"], work["prompt"], common.vocab_size(arguments.model))
    serve_once(pipeline, batch, 4)
    results = [serve_once(pipeline, batch, work["new"]) for _ in range(arguments.repeats)]
    common.report(version(), None, results)


def run(arguments):
    if arguments.workload["kind"] == "serve":
        run_serve(arguments)
    else:
        common.run_timed(load, arguments, version())


def version():
    from importlib import metadata

    return f"openvino-genai {metadata.version('openvino-genai')}"


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
