#!/usr/bin/env python3
"""transformers with Accelerate: the model as a Python user would run it on this processor."""

import os
import sys

# This file has the name of the package that it imports, so its own folder must not be searched.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402


def prepare(arguments):
    """Does nothing: transformers reads the original folder."""
    if arguments.format != "bf16":
        raise SystemExit("accelerate: only bf16")
    os.makedirs(arguments.out, exist_ok=True)
    for name in os.listdir(arguments.model):
        os.symlink(os.path.abspath(os.path.join(arguments.model, name)), os.path.join(arguments.out, name))


def load(model, threads):
    import torch
    import transformers

    torch.set_num_threads(threads)
    network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, device_map="cpu")

    def generate(batch, new):
        with torch.inference_mode():
            network.generate(torch.tensor(batch), attention_mask=torch.ones(len(batch), len(batch[0])),
                             do_sample=False, min_new_tokens=new, max_new_tokens=new, pad_token_id=0)

    return generate, common.vocab_size(model)


def version():
    from importlib import metadata

    return "transformers {}, accelerate {}, torch {}".format(
        *(metadata.version(name) for name in ("transformers", "accelerate", "torch")))


if __name__ == "__main__":
    common.main(__doc__, prepare, lambda arguments: common.run_timed(load, arguments, version()))
