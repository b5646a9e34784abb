#!/usr/bin/env python3
"""ONNX Runtime: encoders in f32, and in int8 with dynamic quantization, after its own fusions for transformers."""

import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
sys.path.append(HERE)
import common  # noqa: E402
import encoder_export  # noqa: E402


def prepare(arguments):
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    if arguments.format not in ("f32", "int8"):
        raise SystemExit("onnxruntime: only f32 and int8")
    encoder_export.export(arguments.model, arguments.out)
    path = os.path.join(arguments.out, "model.onnx")
    with open(os.path.join(arguments.model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    fused = optimizer.optimize_model(path, model_type="bert", num_heads=config["num_attention_heads"],
                                     hidden_size=config["hidden_size"], opt_level=1)
    print(fused.get_fused_operator_statistics(), file=sys.stderr)
    fused.save_model_to_file(path)
    if arguments.format == "int8":
        # The types of what fused operators give are not known to the tool.
        quantize_dynamic(path, path, per_channel=True, weight_type=QuantType.QInt8,
                         extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


def load(arguments):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(os.path.join(arguments.model, "model.onnx"), options,
                                           providers=["CPUExecutionProvider"])

    def encode(texts):
        ids, mask = common.padded(texts)
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    return encode


def version():
    from importlib import metadata

    return f"onnxruntime {metadata.version('onnxruntime')}"


def run(arguments):
    start = time.perf_counter()
    encode = load(arguments)
    common.run_encoder(encode, common.vocab_size(arguments.model), arguments, version(), time.perf_counter() - start)


if __name__ == "__main__":
    common.main(__doc__, prepare, run)
