"""Writes rope.json: rotary frequencies, as transformers computes them from whole configurations.

Pinned: torch 2.6.0, transformers 5.23.0 (CPU). Usage: python make_rope_goldens.py [--check]
A case has the members of a config.json, in the spelling of transformers 4 or 5; for some numbers of known tokens
the inverse frequencies; and for some positions the cosines and sines. Numbers are float32, with as few digits as
identify them.
"""

import argparse
import json
import pathlib
import sys

import numpy
import torch
import transformers
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding
from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

PINNED = {"torch": "2.6.0", "transformers": "5.23.0"}
OUT = pathlib.Path(__file__).parent / "rope.json"

LLAMA = {"model_type": "llama", "hidden_size": 128, "num_attention_heads": 2, "max_position_embeddings": 2048}
NEOX = {"model_type": "gpt_neox", "hidden_size": 128, "num_attention_heads": 2, "max_position_embeddings": 2048}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}


def llama(scaling=None, **changes):
    return LLAMA | ({"rope_scaling": scaling} if scaling else {}) | changes


def parameters(values, **changes):
    return LLAMA | {"rope_parameters": values} | changes


CASES = {
    "default": llama(),
    "default-128": llama(num_attention_heads=1, rope_theta=500000.0),
    "default-head-dim": llama(head_dim=20, rope_theta=1000000),
    "default-base-fraction": llama(rope_theta=123456.789),
    "default-v5": parameters({"rope_type": "default", "rope_theta": 5000.0}),
    "linear": llama({"type": "linear", "factor": 2.5}),
    "linear-v5": parameters({"rope_type": "linear", "factor": 8, "rope_theta": 25000.0}),
    "dynamic": llama({"type": "dynamic", "factor": 4.0}),
    "dynamic-fraction": llama({"type": "dynamic", "factor": 1.7}, rope_theta=500000.0, head_dim=36),
    "llama3-8b": llama(LLAMA3, num_attention_heads=1, rope_theta=500000.0, max_position_embeddings=131072),
    "llama3-1b": llama(LLAMA3 | {"factor": 32.0}, rope_theta=500000.0, max_position_embeddings=131072),
    "llama3-short": llama(LLAMA3 | {"original_max_position_embeddings": 64, "low_freq_factor": 0.5,
                                    "high_freq_factor": 3.0}),
    "llama3-v5": parameters(LLAMA3 | {"rope_theta": 10000.0}, max_position_embeddings=131072),
    "yarn": llama(YARN),
    "yarn-qwen": llama({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
                       num_attention_heads=1, rope_theta=1000000.0, max_position_embeddings=32768),
    "yarn-mscale": llama(YARN | {"mscale": 1.0, "mscale_all_dim": 0.6, "beta_fast": 6, "beta_slow": 0.5}),
    "yarn-mscale-alone": llama(YARN | {"mscale": 0.7}),
    "yarn-factor": llama(YARN | {"attention_factor": 1.4, "truncate": False, "beta_fast": 4.0}),
    "yarn-betas": llama(YARN | {"factor": 16.0, "beta_fast": 20, "beta_slow": 2}, rope_theta=150000.0),
    "yarn-no-original": llama({"rope_type": "yarn", "factor": 2.0}),
    "yarn-outer-original": llama({"rope_type": "yarn", "factor": 2.0}, original_max_position_embeddings=512),
    "yarn-null-factor": llama({"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 256}),
    "yarn-shrinking": llama(YARN | {"factor": 0.5}),
    "neox": NEOX | {"rotary_pct": 0.25, "rotary_emb_base": 10000},
    "neox-default": dict(NEOX),
    "neox-whole": NEOX | {"rotary_pct": 1.0, "rotary_emb_base": 5000},
    "neox-odd": NEOX | {"hidden_size": 60, "num_attention_heads": 3, "rotary_pct": 0.25},
    "neox-linear": NEOX | {"rotary_pct": 0.5, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "neox-v5": NEOX | {"rope_parameters": {"rope_type": "default", "rope_theta": 20000.0,
                                           "partial_rotary_factor": 0.5}},
    "gptj": {"model_type": "gptj", "n_embd": 256, "n_head": 1, "rotary_dim": 64, "n_positions": 2048},
}
POSITIONS = (0, 1, 17, 2047, 131071)


def shortest(tensor):
    return [float(str(value)) for value in tensor.to(torch.float32).numpy().astype(numpy.float32).flatten()]


def lengths(config):
    """Returns the numbers of known tokens to test: below, at and above the trained context where it matters."""
    is_dynamic = config.get("rope_scaling", {}).get("type") == "dynamic"
    return (100, 2048, 2049, 5000, 8192) if is_dynamic else (100,)


def gptj_case(config):
    table = create_sinusoidal_positions(POSITIONS[-1] + 1, config["rotary_dim"])
    half = config["rotary_dim"] // 2
    inverse = 1.0 / (10000 ** (torch.arange(0, config["rotary_dim"], 2, dtype=torch.int64) / config["rotary_dim"]))
    return {
        "attention_factor": 1.0,
        "frequencies": [{"seq_len": 100, "values": shortest(inverse)}],
        "rows": [{"position": p, "cos": shortest(table[p, half:]), "sin": shortest(table[p, :half])}
                 for p in POSITIONS],
    }


def rotary_case(config):
    def module():  # new each time: dynamic scaling keeps the largest length that it has seen
        members = {k: json.loads(json.dumps(v)) for k, v in config.items() if k != "model_type"}
        if config["model_type"] == "llama":
            return LlamaRotaryEmbedding(transformers.LlamaConfig(**members))
        return GPTNeoXRotaryEmbedding(transformers.GPTNeoXConfig(**members))

    frequencies = []
    for seq_len in lengths(config):
        rotary = module()
        rotary(torch.zeros(1), torch.arange(seq_len)[None])
        frequencies.append({"seq_len": seq_len, "values": shortest(rotary.inv_freq)})
    rows = []
    for position in POSITIONS if len(frequencies) == 1 else ():
        cos, sin = rotary(torch.zeros(1), torch.tensor([[position]]))
        half = cos.shape[-1] // 2
        rows.append({"position": position, "cos": shortest(cos[0, 0, :half]), "sin": shortest(sin[0, 0, :half])})
    return {"attention_factor": rotary.attention_scaling, "frequencies": frequencies, "rows": rows}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compare rope.json instead of writing it")
    arguments = parser.parse_args()
    have = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    if have != PINNED:
        sys.exit(f"golden files are made with {PINNED}, this is {have}")
    cases = []
    for name, config in CASES.items():
        made = gptj_case(config) if config["model_type"] == "gptj" else rotary_case(config)
        cases.append({"name": name, "config": config} | made)
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
    if not arguments.check:
        OUT.write_text(text)
    elif OUT.read_text() != text:
        sys.exit(f"{OUT} differs from what transformers computes")


if __name__ == "__main__":
    main()
