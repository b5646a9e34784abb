#!/usr/bin/env python3
"""Writes sampling.json: some rows of logits and what Hugging Face transformers turns them into.

A case has generation parameters, the tokens so far, a row of logits, and the row after all processors that
`generate` would use for these parameters, in its order. A masked token is null. Needs torch and transformers;
the tests read only the file.

  python tests/golden/make_sampling_goldens.py
"""

import json
import pathlib

import torch
import transformers
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

VOCAB = 97
EOS = [7, 31]
PROMPT = [3, 14, 15, 92, 65, 35, 89, 79, 3, 14]
GENERATED = [26, 53, 58, 26, 93, 14]

CASES = [
    {},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7},
    {"bad_words": [[5], [14, 20], [93, 14, 21], [1, 14, 22], [7], [7, 8]]},
    {"bad_words": [[90], [35, 89]], "repetition_penalty": 2.0},
    {"min_new_tokens": 6},
    {"min_new_tokens": 7},
    {"logit_bias": [[4, 3.5], [90, -100.0], [26, 1.25]]},
    {"logit_bias": [[26, -4.5], [58, 2.0]], "repetition_penalty": 1.7},
    {"temperature": 0.7},
    {"temperature": 2.5},
    {"temperature": 0.01},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 40},
    {"top_k": 97},
    {"top_k": 1000},
    {"top_p": 0.0},
    {"top_p": 0.1},
    {"top_p": 0.5},
    {"top_p": 0.9},
    {"top_p": 0.999},
    {"min_p": 0.02},
    {"min_p": 0.3},
    {"min_p": 1.0},
    {"typical_p": 0.1},
    {"typical_p": 0.5},
    {"typical_p": 0.95},
    {"temperature": 1.5, "top_k": 20, "top_p": 0.8},
    {"temperature": 0.6, "top_p": 0.95, "min_p": 0.05},
    {"temperature": 3.0, "top_p": 0.97, "typical_p": 0.6},
    {"temperature": 1.2, "top_k": 30, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.8,
     "repetition_penalty": 1.2, "bad_words": [[14, 20], [33]], "min_new_tokens": 20,
     "logit_bias": [[40, 2.0], [41, -2.0]]},
]


def rows():
    """Returns random rows of several shapes, rounded so that their text is short and exact."""
    generator = torch.Generator().manual_seed(20)
    for scale in (1.0, 4.0, 12.0):
        row = torch.randn(VOCAB, generator=generator) * scale
        yield torch.round(row * 4096) / 4096


def expected_row(model, params, row):
    sample = any(k in params for k in ("temperature", "top_k", "top_p", "min_p", "typical_p"))
    config = GenerationConfig(
        do_sample=sample, eos_token_id=EOS, pad_token_id=0, top_k=params.get("top_k", 0),
        temperature=params.get("temperature", 1.0), top_p=params.get("top_p", 1.0),
        typical_p=params.get("typical_p", 1.0), min_p=params.get("min_p"),
        repetition_penalty=params.get("repetition_penalty", 1.0),
        min_new_tokens=params.get("min_new_tokens"), bad_words_ids=params.get("bad_words"),
        sequence_bias=[[[token], bias] for token, bias in params["logit_bias"]]
        if "logit_bias" in params else None,
        renormalize_logits=False)
    model._prepare_special_tokens(config, device="cpu")
    processors = model._get_logits_processor(config, input_ids_seq_length=len(PROMPT))
    result = processors(torch.tensor([PROMPT + GENERATED]), row.clone()[None])[0]
    return [None if value == -float("inf") else float(f"{value:.8g}") for value in result.tolist()]


def main():
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=VOCAB))
    all_rows = list(rows())
    cases = [{"params": params, "row": index, "expected": expected_row(model, params, row)}
             for params in CASES for index, row in enumerate(all_rows)]
    golden = {"transformers": transformers.__version__, "eos_token_ids": EOS, "prompt": PROMPT,
              "generated": GENERATED, "rows": [row.tolist() for row in all_rows], "cases": cases}
    path = pathlib.Path(__file__).with_name("sampling.json")
    lines = json.dumps(golden, separators=(",", ":")).replace('{"params"', '\n{"params"')
    path.write_text(lines + "\n")
    print(f"{path}: {len(cases)} cases")


if __name__ == "__main__":
    main()
