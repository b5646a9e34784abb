"""Compares dray with transformers on random tiny checkpoints: logits and greedy tokens.

Pinned: torch 2.6.0, transformers 5.23.0 (CPU). Not one of the tests, but a search for faults that they miss.
Usage: python compare_models.py --tool build/release/tests/logits_tool [--families gpt2 ...] [--count 10]
       [--seed 0] [--only FAMILY:SEED] [--keep DIR] [--log FILE]
One case is one seed: a configuration (random_configs.py), weights, a way to store them (random_storage.py)
and ways to run the tool. The expected values are those of transformers in float32 with the written directory.
A case ends as ok, as refused (by both, or only by dray, with its message), or as a failure, which is printed.
"""

import argparse
import collections
import copy
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from make_model_goldens import check_versions, draw_weight, reset_rope
from random_configs import FAMILIES, random_config, random_prompts
from random_storage import embedding_name, pick_storage, save_weights

TOLERANCE = 1e-5           # of the largest |logit|, in float32; where transformers' own noise is larger, ten times that
ROUNDED = {"bf16": torch.bfloat16, "f16": torch.float16}
ROUNDED_TOLERANCE = {"bf16": 5e-2, "f16": 1e-2}
NEW_TOKENS = 32
OF_TRANSFORMERS = (ValueError, AssertionError, ZeroDivisionError, RuntimeError, StrictDataclassError)  # bad sizes
ISAS = ("portable", "avx2", "avx512", "avx512-vnni", "avx512-bf16")


class Failure(Exception):
    """Says what is wrong with dray's answer."""


# ---- one checkpoint ------------------------------------------------------------------------------


def draw_weights(model, config, rng):
    """Draws weights such that every tensor matters; some models get means far from zero, or large values."""
    generator = numpy.random.default_rng(rng.randrange(2**32))
    gain, shift = rng.choice(((1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (3.0, 0.0), (1.0, 4.0)))
    weights = {}
    tied = model.config.tie_word_embeddings
    for name, value in model.named_parameters():
        if tied and name == "lm_head.weight":
            continue
        drawn = draw_weight(name, tuple(value.shape), model.config, generator)
        if name == embedding_name(config["model_type"]):
            drawn = drawn * gain + shift
        weights[name] = drawn
    return weights


def write_case(family, rng, out):
    """Writes a directory. Returns the configuration and how the rest is stored."""
    config = random_config(family, rng)
    parsed = transformers.AutoConfig.for_model(**json.loads(json.dumps(config)))
    blank = transformers.AutoModelForCausalLM.from_config(parsed, attn_implementation="eager")
    storage = pick_storage(config, parsed.tie_word_embeddings, rng)
    weights = draw_weights(blank, config, rng)
    save_weights(config, weights, storage, parsed.num_hidden_layers, out, rng)
    storage["spelling"] = rng.choice(("v4", "v5"))
    if storage["spelling"] == "v5":
        parsed.save_pretrained(out)
    else:
        config["architectures"] = rng.choice((None, [type(blank).__name__], [], [type(blank).__name__[:-11]]))
        (out / "config.json").write_text(json.dumps(config, indent=1))
    return config, storage


def odd_spellings(out, rng):
    """Changes config.json as transformers 4 or other programs would write it; the model stays the same."""
    path = out / "config.json"
    config = json.loads(path.read_text())
    done = []
    if rng.random() < 0.2:
        config["torch_dtype"] = "torch.bfloat16"
        done.append("torch.bfloat16")
    if rng.random() < 0.2:
        config |= {"huge": 10**40, "max_length": 1e300, "_name_or_path": "x/y", "auto_map": {"A": "b--c"}}
        done.append("huge")
    if rng.random() < 0.2:
        eos = rng.choice(([0, 0], 0, None, [], -1))
        (out / "generation_config.json").write_text(json.dumps({"eos_token_id": eos, "temperature": 0.6}))
        done.append(f"generation eos {eos}")
    path.write_text(json.dumps(config))
    for index_path in out.glob("*.index.json"):
        index = json.loads(index_path.read_text())
        index["metadata"] = rng.choice((index["metadata"], {}, None, {"total_size": 1.5e10}))
        if index["metadata"] is None:
            del index["metadata"]
        index_path.write_text(json.dumps(index))
    return done


# ---- transformers --------------------------------------------------------------------------------


def load_oracle(out):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        out, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if info["missing_keys"] or info["mismatched_keys"]:
        raise ValueError(f"transformers misses {sorted(info['missing_keys'])[:4]}")
    return model.eval()


def is_dynamic(model):
    parameters = getattr(model.config, "rope_parameters", None) or {}
    return "dynamic" in (parameters.get("rope_type"), parameters.get("type"))


@torch.no_grad()
def oracle_logits(model, prompt, greedy):
    """Returns the logits [len(greedy), vocab] after the prompt and after each greedy token but the last."""
    reset_rope(model)
    if not is_dynamic(model):
        ids = torch.tensor([prompt + greedy[:-1]])
        return model(ids, use_cache=False).logits[0, len(prompt) - 1:].float()
    result = model(torch.tensor([prompt]), use_cache=True)
    rows = [result.logits[0, -1]]
    for token in greedy[:-1]:
        result = model(torch.tensor([[token]]), past_key_values=result.past_key_values, use_cache=True)
        rows.append(result.logits[0, -1])
    return torch.stack(rows).float()


# ---- dray ----------------------------------------------------------------------------------------


def run_tool(tool, out, prompts, options):
    """Returns the answers, or the message of a refusal. A crash is a failure."""
    command = ["nice", tool, str(out)]
    for key, value in options.items():
        command += [f"--{key}"] + ([] if value is True else [str(value)])
    lines = "".join(json.dumps(prompt) + "\n" for prompt in prompts)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300)
    if done.returncode == 1 and done.stderr:
        return None, done.stderr.strip().splitlines()[-1]
    if done.returncode != 0:
        raise Failure(f"exit status {done.returncode}: {done.stderr[-500:]} ({' '.join(command)})")
    return [json.loads(line) for line in done.stdout.splitlines()], None


def compare_answers(model, prompts, answers, tolerance, what):
    """Returns the largest difference relative to the largest |logit|."""
    worst = 0.0
    for prompt, answer in zip(prompts, answers, strict=True):
        truth = oracle_logits(model, prompt, answer["greedy"])
        scale = max(float(truth[0].abs().max()), 1e-30)
        if None in answer["logits_last"]:
            raise Failure(f"{what}: prompt of {len(prompt)}: logits are not finite")
        logits = torch.tensor(answer["logits_last"])
        error = float((logits - truth[0]).abs().max()) / scale
        worst = max(worst, error)
        if not error <= max(tolerance, 10 * noise_of(model, prompt, error > tolerance)):
            raise Failure(f"{what}: prompt of {len(prompt)}: logits are off by {error:.2e}")
        for step, token in enumerate(answer["greedy"]):
            row = truth[step]
            gap = float(row.max() - row[token]) / max(float(row.abs().max()), 1e-30)
            if gap > max(2 * tolerance, 20 * noise_of(model, prompt, gap > 2 * tolerance)):
                raise Failure(f"{what}: prompt of {len(prompt)}: token {step} is {gap:.2e} below the best")
    return worst


def noise_of(model, prompt, wanted):
    """How much float32 rounding changes these logits in transformers itself; 0 unless `wanted`."""
    if not wanted:
        return 0.0
    with torch.no_grad():
        reset_rope(model)
        single = model(torch.tensor([prompt]), use_cache=False).logits[0, -1]
        upcast = [module for module in model.modules() if getattr(module, "reorder_and_upcast_attn", False)]
        for module in upcast:
            module.reorder_and_upcast_attn = False  # the sums are the same, and the flag does not allow float64
        reset_rope(model)
        double = model.double()(torch.tensor([prompt]), use_cache=False).logits[0, -1]
        model.float()
        for module in upcast:
            module.reorder_and_upcast_attn = True
    return float((single - double).abs().max() / single.abs().max())


def random_run(rng):
    options = {"threads": rng.randint(1, 4), "block-size": rng.choice((16, 32, 32, 48, 64, 128))}
    if rng.random() < 0.5:
        options["chunk"] = rng.choice((1, 3, 13, 16, 17, 64))
    if rng.random() < 0.6:
        options["together"] = True
    return options


def check_same(tool, out, prompts, first, options, rng):
    """Expects the same bits for any number of threads, any chunks, and any other sequences in the batch."""
    other = random_run(rng) | {key: options[key] for key in ("block-size", "isa", "dtype") if key in options}
    answers, message = run_tool(tool, out, prompts, other)
    if message:
        raise Failure(f"refused a second time: {message}")
    if answers != first:
        raise Failure(f"{options} and {other} give different bits")


def rounded(model, dtype):
    """Returns a copy whose matrices are rounded as in dray; vectors stay as they are."""
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        if parameter.dim() > 1:
            parameter.data = parameter.data.to(dtype).float()
    return twin


def more_runs(tool, out, prompts, model, rng):
    """Runs the other instruction sets, each also with rounded weights. Returns the largest differences.

    Narrow models are left out: a norm over few elements is nearly a step function, which amplifies rounding.
    """
    errors = collections.defaultdict(float)
    twins = {"f32": model}
    if model.config.hidden_size >= 16:
        twins |= {name: rounded(model, dtype) for name, dtype in ROUNDED.items()}
    for isa in ISAS:
        for dtype, twin in twins.items():
            options = random_run(rng) | {"isa": isa, "dtype": dtype}
            answers, message = run_tool(tool, out, prompts, options)
            if message:
                raise Failure(message)
            tolerance = TOLERANCE if dtype == "f32" else ROUNDED_TOLERANCE[dtype]
            error = compare_answers(twin, prompts, answers, tolerance, f"{options}")
            errors[dtype] = max(errors[dtype], error)
            check_same(tool, out, prompts, answers, options, rng)
    return ", ".join(f"{dtype} {error:.1e}" for dtype, error in errors.items())


# ---- the search ----------------------------------------------------------------------------------


def run_case(family, seed, arguments, out):
    """Returns (outcome, detail)."""
    rng = random.Random(f"{family}:{seed}")
    try:
        config, storage = write_case(family, rng, out)
    except OF_TRANSFORMERS as error:
        return "no such model", str(error)[:200]
    prompts = random_prompts(config, rng)
    try:
        model = load_oracle(out)
        oracle_logits(model, prompts[0], [])
    except Exception as error:  # what transformers cannot run is not compared
        _, message = run_tool(arguments.tool, out, prompts, {})
        return "refused by both" if message else "refused by transformers", f"{error} / {message}"[:400]
    storage["odd"] = odd_spellings(out, rng)
    options = random_run(rng)
    answers, message = run_tool(arguments.tool, out, prompts, options)
    if message:
        return "refused", message
    error = compare_answers(model, prompts, answers, TOLERANCE, f"{storage} {options}")
    check_same(arguments.tool, out, prompts, answers, options, rng)
    if rng.random() < arguments.thorough:
        return "ok", more_runs(arguments.tool, out, prompts, model, rng)
    return "ok", f"{error:.1e}"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", required=True, help="the built logits_tool")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--count", type=int, default=10, help="cases for each family")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--only", help="FAMILY:SEED, one case")
    parser.add_argument("--keep", type=pathlib.Path, help="where failing directories are kept")
    parser.add_argument("--log", type=pathlib.Path, help="one JSON line for each case")
    parser.add_argument("--thorough", type=float, default=0.15, help="share of cases with all instruction sets")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    check_versions()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    cases = [(f, s) for s in range(arguments.seed, arguments.seed + arguments.count) for f in arguments.families]
    if arguments.only:
        family, _, seed = arguments.only.partition(":")
        cases = [(family, int(seed))]
    outcomes = collections.Counter()
    for family, seed in cases:
        out = pathlib.Path(tempfile.mkdtemp(prefix="compare-"))
        try:
            outcome, detail = run_case(family, seed, arguments, out)
        except Failure as failure:
            outcome, detail = "FAILURE", str(failure)
        outcomes[outcome] += 1
        if outcome != "ok" or arguments.only:
            print(f"{family}:{seed}: {outcome}: {detail}", flush=True)
        if arguments.log:
            with arguments.log.open("a") as log:
                log.write(json.dumps({"case": f"{family}:{seed}", "outcome": outcome, "detail": detail}) + "\n")
        if arguments.keep and outcome not in ("ok", "no such model", "refused by both"):
            shutil.copytree(out, arguments.keep / f"{family}-{seed}", dirs_exist_ok=True)
        shutil.rmtree(out)
    print(dict(outcomes))
    sys.exit(1 if outcomes["FAILURE"] else 0)


if __name__ == "__main__":
    main()
