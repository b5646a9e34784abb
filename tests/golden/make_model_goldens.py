"""Writes the golden models under tests/golden/models/: tiny Hugging Face checkpoints with their outputs.

Pinned: torch 2.6.0, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6 (CPU, float32, eager attention).
Usage: python make_model_goldens.py [--out DIR] [--only NAME ...] [--check]
--check writes nothing: it loads every directory and compares with its golden files.
README.md beside this file describes the layout. Seeds are made from the variant's name, so one variant can
be made again without the others. Every golden is computed from the model as transformers loads it from the
written directory, so it matches what transformers reads, not what was meant to be written.
"""

import argparse
import json
import pathlib
import shutil
import sys
import zlib

import numpy
import safetensors.numpy
import safetensors.torch
import torch
import transformers
from golden_variants import VARIANTS

PROMPT_LENGTHS = (1, 2, 7, 16, 17, 33, 64, 250)
NEW_TOKENS = 64
MIN_MARGIN = 2e-3      # (top1 - top2) / max|logit| at every greedy step
MIN_DISTINCT = 8       # distinct greedy tokens per prompt, on average: a model that only repeats shows little
PINNED = {"torch": "2.6.0", "transformers": "5.23.0"}


def check_versions():
    have = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    if have != PINNED:
        sys.exit(f"golden files are made with {PINNED}, this is {have}")


# ---- weights -------------------------------------------------------------------------------------


def draw_weight(name, shape, config, rng):
    """Draws random weights such that every tensor matters: no bias is zero and no norm weight is one."""
    normal = lambda std: torch.from_numpy(rng.standard_normal(shape).astype(numpy.float32) * std)
    hidden = config.hidden_size
    is_norm = "norm" in name or ".ln_" in name
    if name.endswith("bias"):
        return normal(0.15 if config.model_type == "bloom" else 0.3)
    if "word_embeddings_layernorm" in name:
        return normal(1.5)  # both signs: otherwise a tied head mostly repeats the last token
    if is_norm:
        return 1.0 + normal(0.3)
    if "wpe" in name or "embed_positions" in name:
        return normal(0.5)
    if any(key in name for key in ("wte", "embed_tokens", "word_embeddings", "embed_in")):
        return normal(3.0 / hidden**0.5 if config.tie_word_embeddings else 0.7)
    if "lm_head" in name or "embed_out" in name:
        return normal(3.0 / hidden**0.5)
    is_conv1d = config.model_type == "gpt2"
    fan_in = shape[0] if is_conv1d else shape[1]
    gain = 1.5 if any(k in name for k in ("q_proj", "k_proj", "c_attn", "query_key_value")) else 2.0
    if config.model_type == "bloom":  # otherwise its tied head mostly gives one token
        gain = {"query_key_value": 2.5, "dense_4h_to_h": 1.0}.get(name.split(".")[-2], 2.0)
    if getattr(config, "scale_attn_weights", True) is False and "c_attn" in name:
        gain = 0.8
    if config.model_type == "gpt_neo" and ("q_proj" in name or "k_proj" in name):  # its scores have no scale
        gain = 0.8
    return normal(gain / fan_in**0.5)


def draw_weights(model, rng):
    tied = model.config.tie_word_embeddings
    return {name: draw_weight(name, tuple(value.shape), model.config, rng)
            for name, value in model.named_parameters() if not (tied and name == "lm_head.weight")}


def embedding_name(weights):
    names = ("transformer.wte.weight", "model.decoder.embed_tokens.weight", "model.embed_tokens.weight",
             "transformer.word_embeddings.weight", "gpt_neox.embed_in.weight")
    return next(name for name in names if name in weights)


def extra_tensors(variant, config):
    mask = torch.tril(torch.ones(24, 24)).view(1, 1, 24, 24)
    out = {}
    for i in range(config.num_hidden_layers):
        if variant.extras.startswith("attn"):
            out[f"transformer.h.{i}.attn.bias"] = mask
        if variant.extras == "attn.masked_bias":
            out[f"transformer.h.{i}.attn.bias"] = mask.to(torch.bool)
            out[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e9)
        if variant.extras == "attention.masked_bias":
            out[f"transformer.h.{i}.attn.attention.bias"] = mask.to(torch.uint8)
            out[f"transformer.h.{i}.attn.attention.masked_bias"] = torch.tensor(-1e9)
        if variant.extras == "neox":
            prefix = f"gpt_neox.layers.{i}.attention."
            out[prefix + "bias"] = mask.to(torch.uint8)
            out[prefix + "masked_bias"] = torch.tensor(-1e9)
            out[prefix + "rotary_emb.inv_freq"] = torch.full((3,), 7.0)
        if variant.extras == "inv_freq":
            out[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.full((6,), 7.0)
    return out


def file_tensors(variant, config, weights):
    """Returns the tensors with the names and the layout of the file."""
    dtype = getattr(torch, variant.dtype)
    tensors = {name: value.to(dtype) for name, value in weights.items()}
    if variant.head:
        tensors["lm_head.weight"] = tensors[embedding_name(weights)]
    tensors |= extra_tensors(variant, config)
    for old, new in variant.rename:
        tensors = {new + n[len(old):] if n.startswith(old) else n: t for n, t in tensors.items()}
    return tensors


# ---- files ---------------------------------------------------------------------------------------


def make_views(tensors):
    """Stores the same values in ways that are harder to read: parameters, transposed views, parts of one storage."""
    out = {}
    for index, (name, value) in enumerate(tensors.items()):
        if name.endswith("q_proj.weight"):
            value = value.t().contiguous().t()
        elif name.endswith("fc1.weight"):
            both = torch.cat([value.new_full((3, value.shape[1]), 5.0), value])
            value = both[3:]
        elif index % 5 == 0 and name != "lm_head.weight":
            value = torch.nn.Parameter(value)
        out[name] = value
    return out


def save_file(tensors, path, legacy=False):
    if path.suffix == ".safetensors":
        copies = {name: value.clone().contiguous() for name, value in tensors.items()}
        safetensors.torch.save_file(copies, path, metadata={"format": "pt"})
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)


def save_weights(variant, tensors, out):
    kind, _, form = variant.storage.partition("-")
    stem, ext = ("model", ".safetensors") if kind == "safetensors" else ("pytorch_model", ".bin")
    if variant.views:
        tensors = make_views(tensors)
    if form != "sharded":
        save_file(tensors, out / f"{stem}{ext}", legacy=form == "legacy")
        return
    shards, index = 3, {"metadata": {"total_size": 0}, "weight_map": {}}
    names = list(tensors)
    for shard in range(shards):
        file = f"{stem}-{shard + 1:05}-of-{shards:05}{ext}"
        part = names[shard * len(names) // shards:(shard + 1) * len(names) // shards]
        save_file({name: tensors[name] for name in part}, out / file)
        for name in part:
            index["weight_map"][name] = file
            index["metadata"]["total_size"] += tensors[name].nbytes
    (out / f"{stem}{ext}.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def save_configs(variant, out):
    """Writes the variant's table entry as config.v4.json, and transformers' own spelling of it as config.json."""
    (out / "config.v4.json").write_text(json.dumps(variant.config, indent=2, sort_keys=True) + "\n")
    config = transformers.AutoConfig.for_model(**variant.config)
    config.save_pretrained(out)
    new = json.loads((out / "config.json").read_text())
    new.setdefault("dtype", variant.config.get("torch_dtype", "float32"))
    (out / "config.json").write_text(json.dumps(new, indent=2, sort_keys=True) + "\n")
    return config


def load(directory):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if info["missing_keys"] or info["mismatched_keys"]:
        sys.exit(f"{directory}: transformers misses {info}")
    model.generation_config = transformers.GenerationConfig()
    return model.eval()


# ---- goldens -------------------------------------------------------------------------------------


def reset_rope(model):
    """Dynamic rope keeps state between calls; each golden starts from a fresh model."""
    for module in model.modules():
        if hasattr(module, "original_inv_freq"):
            module.inv_freq = module.original_inv_freq.clone()
            module.max_seq_len_cached = module.original_max_seq_len


@torch.no_grad()
def prompt_logits(model, ids):
    reset_rope(model)
    return model(torch.tensor([ids]), use_cache=False).logits[0].float()


def margin_of(logits):
    top = torch.topk(logits, 2).values
    return float((top[..., 0] - top[..., 1]).min() / logits.abs().max())


@torch.no_grad()
def greedy_cached(model, ids):
    """Returns the tokens of generate() and the smallest relative margin of its steps."""
    reset_rope(model)
    prompt = torch.tensor([ids])
    result = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                            max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, use_cache=True,
                            eos_token_id=None, output_logits=True, return_dict_in_generate=True)
    tokens = result.sequences[0, len(ids):].tolist()
    assert len(tokens) == NEW_TOKENS
    return tokens, min(margin_of(step) for step in result.logits)


def greedy_uncached(model, ids, guess):
    """Returns the greedy tokens when each step computes the whole sequence again."""
    if "dynamic" not in str(getattr(model.config, "rope_parameters", "")):
        logits = prompt_logits(model, ids + guess)  # the mask is causal: one pass computes all steps
        return logits[len(ids) - 1:-1].argmax(-1).tolist()
    tokens = []
    for _ in range(NEW_TOKENS):
        tokens.append(int(prompt_logits(model, ids + tokens)[-1].argmax()))
    return tokens


def logit_positions(length):
    if length <= 7:
        return list(range(length))
    return sorted({0, length // 3, length - 2, length - 1})


def make_prompt(model, length, rng):
    """Returns a random prompt with a clear best token at every greedy step."""
    for _ in range(200):
        ids = rng.integers(0, model.config.vocab_size, length).tolist()
        greedy, margin = greedy_cached(model, ids)
        if margin < MIN_MARGIN:
            continue
        uncached = greedy_uncached(model, ids, greedy)
        positions = logit_positions(length)
        logits = prompt_logits(model, ids)[positions]
        entry = {"ids": ids, "greedy": greedy, "logit_positions": positions,
                 "logits": f"prompt_{length}", "min_margin": round(margin, 5)}
        if uncached != greedy:
            entry["greedy_uncached"] = uncached
        return entry, logits
    return None, None


def make_goldens(model, rng):
    entries, tensors = [], {}
    for length in PROMPT_LENGTHS:
        entry, logits = make_prompt(model, length, rng)
        if entry is None:
            return None, None
        entries.append(entry)
        tensors[entry["logits"]] = logits.numpy().copy()
    return entries, tensors


def mean_distinct(entries):
    return sum(len(set(e["greedy"])) for e in entries) / len(entries)


def float32_noise(model, entries, tensors):
    """Returns the largest difference of the logits to those of a float64 run."""
    double = model.double()
    for module in double.modules():
        if hasattr(module, "reorder_and_upcast_attn"):  # the sums are the same, and the flag does not allow float64
            module.reorder_and_upcast_attn = False
    worst = 0.0
    for entry in entries:
        logits = prompt_logits(double, entry["ids"])[entry["logit_positions"]]
        worst = max(worst, float((logits - torch.from_numpy(tensors[entry["logits"]])).abs().max()))
    return worst


def write_goldens(variant, model, entries, tensors, out):
    safetensors.numpy.save_file(tensors, out / "golden.safetensors")
    head = {
        "variant": variant.name, "note": variant.note, "storage": variant.storage,
        "weights_dtype": variant.dtype, "torch": PINNED["torch"],
        "transformers": PINNED["transformers"],
        "cached_equals_uncached": not any("greedy_uncached" in e for e in entries),
        "min_margin": min(e["min_margin"] for e in entries),
        "logits_abs_max": round(max(float(abs(t).max()) for t in tensors.values()), 3),
        "float32_noise": float(f"{float32_noise(model, entries, tensors):.1e}"),
    }
    lines = ",\n".join("  " + json.dumps(e) for e in entries)
    text = json.dumps(head, indent=1)[:-2] + ',\n "prompts": [\n' + lines + "\n ]\n}\n"
    json.loads(text)
    (out / "golden.json").write_text(text)
    return head


def write_directory(variant, out, attempt):
    """Writes config and weights, loads them again, and checks that the weights are the same."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    config = save_configs(variant, out)
    rng = numpy.random.default_rng([zlib.crc32(variant.name.encode()), attempt])
    blank = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    weights = draw_weights(blank, rng)
    save_weights(variant, file_tensors(variant, config, weights), out)
    model = load(out)
    loaded = dict(model.named_parameters())
    for name, value in weights.items():
        stored = value.to(getattr(torch, variant.dtype)).float()
        assert torch.equal(loaded[name], stored), f"{variant.name}: {name} loads changed"
    return model, rng


def check_old_config(out, entry, tensors):
    """config.v4.json must give the same model as config.json."""
    old = out.parent / (out.name + ".v4")
    shutil.copytree(out, old)
    try:
        shutil.move(old / "config.v4.json", old / "config.json")
        logits = prompt_logits(load(old), entry["ids"])[entry["logit_positions"]]
        assert torch.equal(logits, torch.from_numpy(tensors[entry["logits"]])), f"{out}: v4 config differs"
    finally:
        shutil.rmtree(old)


def make_variant(variant, out):
    for attempt in range(40):
        model, rng = write_directory(variant, out, attempt)
        entries, tensors = make_goldens(model, rng)
        if entries is None or mean_distinct(entries) < MIN_DISTINCT:
            print(f"  {variant.name}: attempt {attempt} rejected"
                  f" ({'margin' if entries is None else f'{mean_distinct(entries):.1f} distinct'})")
            continue
        check_old_config(out, entries[-1], tensors)
        head = write_goldens(variant, model, entries, tensors, out)
        print(f"{variant.name}: margin {head['min_margin']}, distinct {mean_distinct(entries):.1f}, "
              f"max|logit| {head['logits_abs_max']}, noise {head['float32_noise']}, "
              f"cached==uncached {head['cached_equals_uncached']}", flush=True)
        return
    sys.exit(f"{variant.name}: no seed gives separated logits")


def check_variant(variant, out):
    golden = json.loads((out / "golden.json").read_text())
    tensors = safetensors.numpy.load_file(out / "golden.safetensors")
    model = load(out)
    for entry in golden["prompts"]:
        logits = prompt_logits(model, entry["ids"])[entry["logit_positions"]].numpy()
        error = float(abs(logits - tensors[entry["logits"]]).max())
        assert error < 1e-3, f"{variant.name}: logits are off by {error}"
        assert greedy_cached(model, entry["ids"])[0] == entry["greedy"], f"{variant.name}: greedy differs"
    print(f"{variant.name}: ok", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "models")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    check_versions()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for variant in VARIANTS:
        if args.only and variant.name not in args.only:
            continue
        (check_variant if args.check else make_variant)(variant, args.out / variant.name)


if __name__ == "__main__":
    main()
