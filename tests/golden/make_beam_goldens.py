"""Writes what transformers' beam search gives: search.json, models.json and draws.json in tests/golden/beams/.

Pinned as make_model_goldens.py is. Usage: python make_beam_goldens.py [--check]
search.json: beam search over tables, in which the next token's scores depend on the last token alone. They have
few different values, so most choices are among equal scores. models.json: the committed decoders and
encoder-decoders. draws.json: how often beam search with sampling gives each sequence, over tables.
"""

import argparse
import collections
import pathlib
import random

import torch
from make_model_goldens import check_versions, load, reset_rope
from score_tables import TableModel, make_table, write_or_check
from searched_models import ENCODER_DECODERS, answer_of, load_encoder_decoder, prompts_of

HERE = pathlib.Path(__file__).parent
# Every family, and where families differ inside: windows, odd heads, learned and no positions.
MODELS = ("bloom", "gpt2", "gpt_neo", "gpt_neox", "gpt_neox-sequential", "gptj", "gptj-4-heads", "llama", "llama-gqa", "mistral",
          "opt", "opt-350m", "qwen2", "qwen2-sliding", "qwen3")


# ---- tables --------------------------------------------------------------------------------------


def table_case(chance, model, vocab):
    num_beams = chance.choice((2, 2, 3, 4, 5, 8))
    num_ends = chance.choice((0, 1, 1, 1, 2))
    params = {"num_beams": num_beams, "num_return_sequences": chance.randint(1, num_beams),
              "length_penalty": chance.choice((-1.0, 0.0, 0.5, 1.0, 1.0, 2.0)),
              "early_stopping": chance.choice((False, True, "never")), "max_new_tokens": chance.randint(1, 12)}
    ends = chance.sample(range(vocab), num_ends)
    prompt = [chance.randrange(vocab) for _ in range(chance.randint(1, 3))]
    return run(model, prompt, params, ends)


# ---- draws ---------------------------------------------------------------------------------------


DRAW_PARAMS = (
    {"num_beams": 2, "temperature": 0.7, "max_new_tokens": 3},
    {"num_beams": 2, "temperature": 1.5, "top_k": 4, "max_new_tokens": 2},
    {"num_beams": 3, "temperature": 1.0, "top_p": 0.9, "max_new_tokens": 4, "length_penalty": 2.0, "ends": [1]},
)
NUM_DRAWS = 8000


@torch.no_grad()
def draw_cases(model, vocab):
    """For each set of parameters, how often each sequence is the best one."""
    cases = []
    for params in DRAW_PARAMS:
        params = dict(params)
        prompt, ends = [vocab - 1], params.pop("ends", [])
        ids = torch.tensor([prompt] * NUM_DRAWS)
        torch.manual_seed(len(cases))
        given = {"top_k": 0, "top_p": 1.0, "length_penalty": 1.0, "early_stopping": False} | params
        result = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, eos_token_id=ends or None,
                                pad_token_id=0, use_cache=False, return_dict_in_generate=True, output_scores=True, **given)
        counts = collections.Counter()
        for sequence, indices in zip(result.sequences.tolist(), result.beam_indices):
            new = sequence[1:1 + int((indices >= 0).sum())]
            counts[" ".join(map(str, new))] += 1
        cases.append({"prompt": prompt, "ends": ends, **given, "counts": dict(sorted(counts.items()))})
    return cases


# ---- search --------------------------------------------------------------------------------------


@torch.no_grad()
def run(model, prompt, params, ends):
    reset_rope(model)
    ids = torch.tensor([prompt])
    # transformers 5.23 makes a cache of as many layers as the encoder has.
    use_cache = not isinstance(model, TableModel) and not model.config.is_encoder_decoder
    result = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, eos_token_id=ends or None,
                            pad_token_id=0, use_cache=use_cache, output_scores=True, return_dict_in_generate=True,
                            **params)
    sequences, scores = [], []
    for i, sequence in enumerate(result.sequences.tolist()):
        new = answer_of(model, prompt, sequence)
        if params["num_beams"] > 1:
            new = new[:int((result.beam_indices[i] >= 0).sum())]
            scores.append(result.sequences_scores[i].item())
        sequences.append(new)
    return {"prompt": prompt, "ends": ends, **params, "sequences": sequences, "scores": scores}


MODEL_PARAMS = (
    {"num_beams": 1, "max_new_tokens": 12},
    {"num_beams": 2, "max_new_tokens": 20},
    {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 24, "ends": 2},
    {"num_beams": 5, "num_return_sequences": 3, "length_penalty": 2.0, "early_stopping": True, "max_new_tokens": 30,
     "ends": 1},
    {"num_beams": 4, "num_return_sequences": 2, "length_penalty": -0.5, "early_stopping": "never", "max_new_tokens": 18,
     "ends": 3},
    {"num_beams": 3, "num_return_sequences": 3, "length_penalty": 0.0, "repetition_penalty": 1.4, "max_new_tokens": 16,
     "ends": 1},
    {"num_beams": 2, "num_return_sequences": 2, "min_new_tokens": 9, "max_new_tokens": 16, "ends": 2},
    {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 40},
    {"num_beams": 3, "num_return_sequences": 2, "no_repeat_ngram_size": 2, "max_new_tokens": 30},
    {"num_beams": 2, "num_return_sequences": 2, "suppress_tokens": [3, 5, 7, 11, 20], "begin_suppress_tokens": [1, 2, 9],
     "forced_eos_token_id": 6, "max_new_tokens": 14},
    {"num_beams": 2, "num_return_sequences": 2, "forced_bos_token_id": 8, "begin_suppress_tokens": [4, 10, 12],
     "max_new_tokens": 10},
)


def load_model(name):
    return load_encoder_decoder(name) if name in ENCODER_DECODERS else load(HERE / "models" / name)


def model_cases(name):
    """Cases that a float64 run decides in the same way, so that they do not hang on rounding."""
    model, exact, prompts = load_model(name), load_model(name).double(), prompts_of(name)
    cases = []
    for i, chosen in enumerate(MODEL_PARAMS):
        params = {"num_return_sequences": 1, "length_penalty": 1.0, "early_stopping": False, **chosen}
        num_ends = params.pop("ends", 0)
        prompt = prompts[0 if "forced_bos_token_id" in params else (i * 3) % len(prompts)]
        # Tokens that the search comes upon: those of the answer without end tokens.
        free = run(model, prompt, dict(params), [])["sequences"][0]
        ends = sorted(set(free[4::5][:num_ends]))
        case, check = run(model, prompt, dict(params), ends), run(exact, prompt, dict(params), ends)
        if case["sequences"] == check["sequences"]:
            cases.append(case)
    assert len(cases) >= len(MODEL_PARAMS) - 2, (name, len(cases))
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    check_versions()
    chance = random.Random("beams")

    def make_cases(model, vocab):
        return [table_case(chance, model, vocab) for _ in range(120)]

    tables = [make_table(chance, vocab, num_values, make_cases)
              for vocab, num_values in ((140, 6), (140, 24), (200, 9), (24, 5))]
    files = {"search.json": tables, "draws.json": [make_table(random.Random("draws"), 6, 4, draw_cases)],
             "models.json": {name: model_cases(name) for name in MODELS + ENCODER_DECODERS}}
    (HERE / "beams").mkdir(exist_ok=True)
    write_or_check(HERE / "beams", files, check)


if __name__ == "__main__":
    main()
