#!/usr/bin/env python3
"""OpenVINO: encoders in f32 and bf16, and in int8 with weights and activations quantised by NNCF.

Texts of one length run on a graph of that fixed shape, which is its fastest form.
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
sys.path.append(HERE)
import common  # noqa: E402
import encoder_export  # noqa: E402


def quantised(network, vocab):
    import nncf

    texts = common.prompts(8, 128, vocab)
    samples = nncf.Dataset([dict(zip(encoder_export.INPUTS, common.padded([text]))) for text in texts])
    return nncf.quantize(network, samples, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts))


def prepare(arguments):
    import openvino

    encoder_export.export(arguments.model, arguments.out)
    network = openvino.Core().read_model(os.path.join(arguments.out, "model.onnx"))
    if arguments.format == "int8":
        network = quantised(network, common.vocab_size(arguments.model))
    openvino.save_model(network, os.path.join(arguments.out, "openvino_model.xml"), compress_to_fp16=False)
    os.remove(os.path.join(arguments.out, "model.onnx"))


def load(arguments):
    import openvino

    core = openvino.Core()
    network = core.read_model(os.path.join(arguments.model, "openvino_model.xml"))
    work = arguments.workload
    if work["kind"] == "encode":
        network.reshape({name: [work["texts"], work["tokens"]] for name in encoder_export.INPUTS})
    precision = "bf16" if arguments.format == "bf16" else "f32"
    compiled = core.compile_model(network, "CPU", {"INFERENCE_NUM_THREADS": str(arguments.threads),
                                                   "INFERENCE_PRECISION_HINT": precision,
                                                   "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()

    def encode(texts):
        return request.infer(dict(zip(encoder_export.INPUTS, common.padded(texts))))[0]

    return encode


def version():
    from importlib import metadata

    return f"openvino {metadata.version('openvino')}"


def run(arguments):
    start = time.perf_counter()
    encode = load(arguments)
    common.run_encoder(encode, common.vocab_size(arguments.model), arguments, version(), time.perf_counter() - start)


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
