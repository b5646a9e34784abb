"""Random ways to store a checkpoint, for compare_models.py: containers, shards, types, names, leftovers.

Separate from compare_models.py because this depends on the programs that write files, not on models.
"""

import collections
import json

import safetensors.torch
import torch

BASE_PREFIX = {"gpt2": "transformer.", "gptj": "transformer.", "gpt_neo": "transformer.", "bloom": "transformer.",
               "opt": "model.", "gpt_neox": "gpt_neox."}
EMBEDDING = {"gpt2": "wte", "gptj": "wte", "gpt_neo": "wte", "bloom": "word_embeddings", "opt": "decoder.embed_tokens",
             "gpt_neox": "embed_in"}
DTYPES = ("float32", "float32", "float32", "bfloat16", "float16", "float64", "mixed")


def base_prefix(family):
    return BASE_PREFIX.get(family, "model.")


def embedding_name(family):
    return base_prefix(family) + EMBEDDING.get(family, "embed_tokens") + ".weight"


def pick_storage(config, tied, rng):
    """Chooses what the functions below do; the report shows it."""
    return {
        "kind": rng.choice(("safetensors", "safetensors", "bin", "bin", "legacy")),
        "shards": rng.choice((1, 1, 2, 3, 5)),
        "dtype": rng.choice(DTYPES),
        "bare": rng.random() < 0.25,
        "head": rng.choice(("absent", "absent", "equal", "only", "shared", "different")) if tied else "own",
        "old_head": config["model_type"] == "gpt_neox" and rng.random() < 0.5,
        "buffers": rng.random() < 0.3,
        "metadata": rng.choice(("pt", "none", "shared")),
        "index": rng.choice(("usual", "extra", "absent tensor")),
        "views": rng.random() < 0.3,
        "state_dict": rng.choice(("plain", "ordered", "metadata")),
        "location": rng.choice(("cpu", "cuda:0")),
    }


def cast(value, dtype, rng):
    if not value.is_floating_point():
        return value
    if dtype == "mixed":
        dtype = rng.choice(("float32", "bfloat16", "float16"))
    return value.to(getattr(torch, dtype))


def buffers(config, layers):
    """Returns the buffers that older releases stored beside the weights. A reader must ignore them."""
    family, out = config["model_type"], {}
    mask = torch.tril(torch.ones(8, 8)).view(1, 1, 8, 8)
    for i in range(layers):
        if family in ("gpt2", "gptj"):
            out[f"transformer.h.{i}.attn.bias"] = mask.to(torch.bool if i % 2 else torch.uint8)
            out[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        elif family == "gpt_neox":
            out[f"gpt_neox.layers.{i}.attention.bias"] = mask.to(torch.bool)
            out[f"gpt_neox.layers.{i}.attention.masked_bias"] = torch.tensor(-1e9)
            out[f"gpt_neox.layers.{i}.attention.rotary_emb.inv_freq"] = torch.full((3,), 7.0)
        elif family not in ("opt", "bloom"):
            out[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.full((6,), 7.0)
    return out


def file_tensors(config, weights, storage, layers, rng):
    family = config["model_type"]
    tensors = {name: cast(value, storage["dtype"], rng) for name, value in weights.items()}
    embedding = embedding_name(family)
    if storage["head"] in ("equal", "only", "shared", "different"):
        tensors["lm_head.weight"] = tensors[embedding]
    if storage["head"] == "equal":
        tensors["lm_head.weight"] = tensors[embedding].clone()
    if storage["head"] == "different":
        tensors["lm_head.weight"] = tensors[embedding].flip(0).clone()
    if storage["head"] == "only":
        del tensors[embedding]
    if storage["buffers"]:
        tensors |= buffers(config, layers)
    if storage["bare"]:
        prefix = base_prefix(family)
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    if storage["old_head"] and "lm_head.weight" in tensors:
        tensors["embed_out.weight"] = tensors.pop("lm_head.weight")
    return tensors


def with_views(tensors, rng):
    """Stores the same values in ways that are harder to read: parameters, transposes, slices of a larger storage."""
    out = {}
    for name, value in tensors.items():
        form = rng.choice(("plain", "parameter", "transposed", "slice"))
        if not value.is_floating_point() or value.dim() == 0:
            form = "plain"
        if form == "parameter":
            value = torch.nn.Parameter(value)
        if form == "transposed" and value.dim() == 2:
            value = value.t().contiguous().t()
        if form == "slice":
            value = torch.cat([value.new_full((3,) + tuple(value.shape[1:]), 5.0), value])[3:]
        out[name] = value
    return out


def save_file(tensors, path, storage):
    if storage["kind"] == "safetensors":
        copies = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
        metadata = {"pt": {"format": "pt"}, "none": None, "shared": {"format": "pt", "a": "b"}}
        safetensors.torch.save_file(copies, path, metadata=metadata[storage["metadata"]])
    else:
        save_pickle(tensors, path, storage)


def save_pickle(tensors, path, storage):
    """Saves a module's state dictionary, as programs do, or tensors of another device."""
    if storage["state_dict"] != "plain":
        tensors = collections.OrderedDict(tensors)
    if storage["state_dict"] == "metadata":
        tensors._metadata = collections.OrderedDict({"": {"version": 1}, "lm_head": {"version": 1}})
    location_tag = torch.serialization.location_tag
    torch.serialization.location_tag = lambda _: storage["location"]
    try:
        torch.save(tensors, path, _use_new_zipfile_serialization=storage["kind"] == "bin")
    finally:
        torch.serialization.location_tag = location_tag


def index_json(storage, weight_map, total):
    """Some converters drop a tied head or a buffer from the shards, but not from the index."""
    if storage["index"] == "absent tensor":
        weight_map = {"lm_head.weight": min(weight_map.values()), "x.inv_freq": min(weight_map.values())} | weight_map
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    if storage["index"] == "extra":
        index["metadata"] |= {"total_parameters": 12, "note": {"x": [1]}}
        index["another"] = [1, 2]
    return index


def save_weights(config, weights, storage, layers, out, rng):
    tensors = file_tensors(config, weights, storage, layers, rng)
    if storage["views"] and storage["kind"] != "safetensors":
        tensors = with_views(tensors, rng)
    is_safe = storage["kind"] == "safetensors"
    stem, ext = ("model", ".safetensors") if is_safe else ("pytorch_model", ".bin")
    shards, names = min(storage["shards"], len(tensors)), sorted(tensors)
    if shards == 1:
        save_file(tensors, out / f"{stem}{ext}", storage)
        return
    rng.shuffle(names)
    weight_map = {}
    for shard in range(shards):
        file = f"{stem}-{shard + 1:05}-of-{shards:05}{ext}"
        part = names[shard::shards]
        save_file({name: tensors[name] for name in part}, out / file, storage)
        weight_map |= dict.fromkeys(part, file)
    total = sum(value.nbytes for value in tensors.values())
    text = json.dumps(index_json(storage, weight_map, total), indent=2)
    (out / f"{stem}{ext}.index.json").write_text(text)
