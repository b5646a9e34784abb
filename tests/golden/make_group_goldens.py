"""Writes what searches give that transformers 5 no longer has, into tests/golden/beams/.

Pinned: torch 2.6.0, transformers 4.49.0. Usage: python make_group_goldens.py [--check]
groups.json: groups of beams over tables, in which the next token's scores depend on the last token alone. They have
few different values, so most choices are among equal scores. group_models.json: groups of beams on the committed
decoders, which are read by their config.v4.json, and encoder-decoders. contrastive_models.json: contrastive search on
the same models.
"""

import argparse
import pathlib
import random
import sys
import tempfile

import torch
import transformers
from score_tables import TableModel, make_table, write_or_check
from searched_models import ENCODER_DECODERS, answer_of, load_encoder_decoder, prompts_of

HERE = pathlib.Path(__file__).parent
PINNED = {"torch": "2.6.0", "transformers": "4.49.0"}
# Every family that transformers 4.49 has.
MODELS = ("bloom", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama-gqa", "mistral", "opt", "qwen2")


def check_versions():
    have = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    if have != PINNED:
        sys.exit(f"these golden files are made with {PINNED}, this is {have}")


@torch.no_grad()
def run_contrastive(model, prompt, params, ends):
    ids = torch.tensor([prompt])
    result = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, eos_token_id=ends or None,
                            pad_token_id=0, use_cache=True, **params)
    return {"prompt": prompt, "ends": ends, **params, "sequences": [answer_of(model, prompt, result[0].tolist())],
            "scores": []}


@torch.no_grad()
def run_groups(model, prompt, params, ends):
    ids = torch.tensor([prompt])
    pads = {"pad_token_id": 0} if not ends else {}
    result = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, eos_token_id=ends or None,
                            use_cache=not isinstance(model, TableModel), output_scores=True,
                            return_dict_in_generate=True, **pads, **params)
    sequences = []
    for sequence in result.sequences.tolist():
        new = answer_of(model, prompt, sequence)
        # A sequence without an end token has all tokens that it may have.
        length = next((at + 1 for at, token in enumerate(new) if token in ends), len(new))
        sequences.append(new[:length])
    return {"prompt": prompt, "ends": ends, **params, "sequences": sequences,
            "scores": result.sequences_scores.tolist()}


# ---- tables --------------------------------------------------------------------------------------


def table_case(chance, model, vocab):
    num_groups, group_size = chance.choice(((2, 1), (2, 2), (3, 1), (2, 3), (4, 2), (3, 3)))
    num_beams = num_groups * group_size
    params = {"num_beams": num_beams, "num_beam_groups": num_groups, "diversity_penalty": chance.choice((0.25, 0.75, 2.0)),
              "num_return_sequences": chance.randint(1, num_beams),
              "length_penalty": chance.choice((-1.0, 0.0, 0.5, 1.0, 1.0, 2.0)),
              "early_stopping": chance.choice((False, True, "never")), "max_new_tokens": chance.randint(1, 12)}
    # transformers shows the first end token for all of them, so there is at most one.
    ends = chance.sample(range(vocab), chance.choice((0, 1, 1, 1)))
    prompt = [chance.randrange(vocab) for _ in range(chance.randint(1, 3))]
    return run_groups(model, prompt, params, ends)


# ---- models --------------------------------------------------------------------------------------


def load(name):
    """The model as transformers 4 reads it."""
    if name in ENCODER_DECODERS:
        return load_encoder_decoder(name)
    source = HERE / "models" / name
    with tempfile.TemporaryDirectory() as directory:
        for file in source.iterdir():
            if file.name not in ("config.json", "config.v4.json") and not file.name.startswith("golden"):
                (pathlib.Path(directory) / file.name).symlink_to(file.resolve())
        (pathlib.Path(directory) / "config.json").write_text((source / "config.v4.json").read_text())
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32,
                                                                  attn_implementation="eager")
    model.generation_config = transformers.GenerationConfig()
    return model.eval()


GROUP_PARAMS = tuple({"length_penalty": 1.0, "early_stopping": False, **params} for params in (
    {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 4, "diversity_penalty": 1.0, "max_new_tokens": 20},
    {"num_beams": 3, "num_beam_groups": 3, "num_return_sequences": 3, "diversity_penalty": 5.0, "max_new_tokens": 16,
     "ends": 1},
    {"num_beams": 6, "num_beam_groups": 2, "num_return_sequences": 4, "diversity_penalty": 0.5, "length_penalty": 2.0,
     "early_stopping": True, "max_new_tokens": 24, "ends": 1},
    {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 2, "diversity_penalty": 1.5, "length_penalty": 0.0,
     "repetition_penalty": 1.4, "no_repeat_ngram_size": 3, "max_new_tokens": 18, "ends": 1},
))
CONTRASTIVE_PARAMS = (
    {"penalty_alpha": 0.6, "top_k": 4, "max_new_tokens": 24},
    {"penalty_alpha": 0.3, "top_k": 3, "max_new_tokens": 20, "ends": 1},
    {"penalty_alpha": 0.9, "top_k": 6, "repetition_penalty": 1.3, "max_new_tokens": 16},
)


def model_cases(name, run, all_params):
    """Cases that a float64 run decides in the same way, so that they do not hang on rounding."""
    model, exact = load(name), load(name).double()
    # The group search keeps scores in float32.
    exact.get_output_embeddings().register_forward_hook(lambda module, inputs, output: output.float())
    prompts = prompts_of(name)
    cases = []
    for i, chosen in enumerate(all_params):
        params = dict(chosen)
        num_ends = params.pop("ends", 0)
        prompt = prompts[(i * 3 + 1) % len(prompts)]
        # Tokens that the search comes upon: those of the answer without end tokens.
        free = run(model, prompt, params, [])["sequences"][0]
        ends = sorted(set(free[4::5][:num_ends]))
        case, check = run(model, prompt, params, ends), run(exact, prompt, params, ends)
        if case["sequences"] == check["sequences"]:
            cases.append(case)
    assert len(cases) >= len(all_params) - 1, (name, len(cases))
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    check_versions()
    chance = random.Random("groups")

    def make_cases(model, vocab):
        return [table_case(chance, model, vocab) for _ in range(100)]

    tables = [make_table(chance, vocab, num_values, make_cases)
              for vocab, num_values in ((140, 6), (200, 20), (24, 5))]
    models = MODELS + ENCODER_DECODERS
    files = {"groups.json": tables,
             "group_models.json": {name: model_cases(name, run_groups, GROUP_PARAMS) for name in models},
             "contrastive_models.json": {name: model_cases(name, run_contrastive, CONTRASTIVE_PARAMS)
                                         for name in models}}
    write_or_check(HERE / "beams", files, check)


if __name__ == "__main__":
    main()
