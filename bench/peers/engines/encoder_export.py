"""From a Hugging Face folder to the ONNX graph of its encoder, which onnxruntime.py and openvino.py read."""

import os
import shutil

INPUTS = ("input_ids", "attention_mask")


def export(model, out):
    """Writes out/model.onnx and out/config.json: token ids and mask to the states of all tokens, any batch and length.

    Attention is exported as single operations, which is the form that both engines find and fuse.
    """
    import torch
    import transformers

    network = transformers.AutoModel.from_pretrained(model, attn_implementation="eager", torch_dtype=torch.float32)
    network.eval()

    class States(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, input_ids, attention_mask):
            return self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    os.makedirs(out, exist_ok=True)
    example = torch.ones((2, 16), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "length"} for name in (*INPUTS, "states")}
    with torch.no_grad():
        torch.onnx.export(States(), (example, example), os.path.join(out, "model.onnx"), input_names=list(INPUTS),
                          output_names=["states"], dynamic_axes=axes, opset_version=17, dynamo=False)
    shutil.copy(os.path.join(model, "config.json"), os.path.join(out, "config.json"))
