"""Writes the golden encoder-decoders under tests/golden/encoder_decoders/: tiny T5 checkpoints with their outputs.

Pinned: torch 2.6.0, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6 (CPU, float32, eager attention).
Usage: python make_encoder_decoder_goldens.py [--out DIR] [--only NAME ...] [--check]
--check writes nothing: it loads every directory and compares with its golden files.

Each directory has config.json, the weights, golden.json and golden.safetensors. golden.json:

    {"variant", "torch", "transformers", "float32_noise", "min_margin",
     "sources": [{"ids": [...],              what the encoder reads, by itself, without padding
                  "states": "states_3",      tensor [tokens, d_model] in golden.safetensors
                  "greedy": [...],           40 tokens behind decoder_start_token_id, end tokens included
                  "logits": "logits_3"}]}    tensor [2, vocab]: of the first and the last of these tokens

float32_noise is the largest difference of the states to those of a float64 run. min_margin is the smallest gap of the
two best logits over all greedy steps, over the largest magnitude of a logit. The variant "text" also has a tokenizer,
and of each source the "text" and the "answer", as transformers decodes it.

relative_buckets.json has, for some numbers of buckets and distances, transformers' bucket of each distance from the
first one on: [{"num_buckets", "max_distance", "bidirectional", "first", "buckets"}].
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

LENGTHS = (1, 2, 7, 16, 17, 33, 150)
NUM_GREEDY = 40
PINNED = {"torch": "2.6.0", "transformers": "5.23.0"}
TOKENIZER = pathlib.Path(__file__).parent / "tokenizers" / "t5_class"
TEXTS = ("translate English to German: the cat sat on the mat", "a", "summarize: it rains, and the cat sits on the mat.")

BASE = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "vocab_size": 97, "d_model": 36,
        "d_kv": 12, "d_ff": 52, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0, "pad_token_id": 0,
        "eos_token_id": 1, "is_encoder_decoder": True}
V1_1 = BASE | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}

# name: (members of config.json, how the file is written)
VARIANTS = {
    "t5": (BASE | {"num_decoder_layers": 3, "n_positions": 32}, {}),
    "t5-v1_1": (V1_1 | {"d_model": 44, "num_heads": 5, "d_kv": 13}, {}),
    "t5-buckets": (BASE | {"relative_attention_num_buckets": 11, "relative_attention_max_distance": 23, "num_heads": 3,
                           "d_kv": 20, "decoder_start_token_id": 7}, {"pickle": True}),
    "t5-bf16": (V1_1 | {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6},
                {"dtype": "bfloat16"}),
    "t5-one-head": (BASE | {"num_heads": 1, "d_kv": 33, "num_layers": 1, "num_decoder_layers": 2}, {"dtype": "float16"}),
    "t5-deep": (BASE | {"num_layers": 4, "num_decoder_layers": 3, "d_model": 28, "d_ff": 36}, {}),
    "t5-large-values": (BASE, {"large_values": True, "dtype": "float16"}),
    "ul2": (V1_1 | {"feed_forward_proj": "gated-silu", "num_decoder_layers": 1}, {}),
    "mt5": (V1_1 | {"model_type": "mt5", "architectures": ["MT5ForConditionalGeneration"], "vocab_size": 131}, {}),
    "text": (V1_1 | {"num_layers": 1, "d_model": 32, "num_heads": 2, "d_ff": 40}, {"tokenizer": True}),
}


def check_versions():
    have = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    if have != PINNED:
        sys.exit(f"golden files are made with {PINNED}, this is {have}")


def draw_weight(name, shape, config, large_values, rng):
    """Draws random weights such that every tensor matters, and greedy answers do not repeat one token.

    With large_values, the residual stream grows far beyond the range of float16, as that of trained models does.
    """
    normal = lambda std: torch.from_numpy(rng.standard_normal(shape).astype(numpy.float32) * numpy.float32(std))
    if "layer_norm" in name:
        return 1.0 + normal(0.3)
    if "relative_attention_bias" in name:
        return normal(1.5)
    if name.startswith("shared"):  # small beside what the layers add, or a tied head would repeat the last token
        return normal(0.3)
    if name.startswith("lm_head"):
        return normal(3.0 / shape[1] ** 0.5)
    if name.endswith((".q.weight", ".k.weight")):  # scores of a standard deviation of 2, without a scale
        return normal(2.0 ** 0.5 / config.d_kv ** 0.25 / config.d_model ** 0.5)
    if large_values and "DenseReluDense" in name:
        return normal((30.0 if name.endswith(".wi.weight") else 20000.0) / shape[1] ** 0.5)
    return normal(1.5 / shape[1] ** 0.5)


def load(directory):
    config = transformers.AutoConfig.from_pretrained(directory)
    cls = getattr(transformers, config.architectures[0])
    model, info = cls.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager",
                                      output_loading_info=True)
    if info["missing_keys"] or info["mismatched_keys"]:
        sys.exit(f"{directory}: transformers misses {info}")
    return model.eval()


def make_weights(members, options, directory, rng):
    config = transformers.AutoConfig.from_pretrained(directory)
    blank = getattr(transformers, members["architectures"][0])(config)
    shapes = {name: tuple(value.shape) for name, value in blank.named_parameters()}
    if not members.get("tie_word_embeddings", True):
        shapes["lm_head.weight"] = (config.vocab_size, config.d_model)
    dtype = getattr(torch, options.get("dtype", "float32"))
    return {name: draw_weight(name, shape, config, "large_values" in options, rng).to(dtype)
            for name, shape in shapes.items()}


@torch.no_grad()
def states_of(model, ids):
    inputs = torch.tensor([ids])
    return model.get_encoder()(input_ids=inputs, attention_mask=torch.ones_like(inputs)).last_hidden_state[0]


@torch.no_grad()
def greedy_of(model, ids):
    """Returns the tokens, the logits of each of them, and the smallest margin."""
    inputs = torch.tensor([ids])
    states = model.get_encoder()(input_ids=inputs, attention_mask=torch.ones_like(inputs))
    answer, rows, margin = [model.config.decoder_start_token_id], [], 1.0
    for _ in range(NUM_GREEDY):
        logits = model(encoder_outputs=states, attention_mask=torch.ones_like(inputs), use_cache=False,
                       decoder_input_ids=torch.tensor([answer])).logits[0, -1]
        best = torch.topk(logits, 2)
        margin = min(margin, float((best.values[0] - best.values[1]) / logits.abs().max()))
        answer.append(int(best.indices[0]))
        rows.append(logits)
    return answer[1:], rows, margin


def make_sources(model, directory, options, rng):
    if not options.get("tokenizer"):
        return [{"ids": rng.integers(2, model.config.vocab_size, length).tolist()} for length in LENGTHS]
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    return [{"text": text, "ids": tokenizer(text).input_ids} for text in TEXTS]


def make_goldens(model, directory, options, rng):
    sources, tensors, least = make_sources(model, directory, options, rng), {}, 1.0
    for index, source in enumerate(sources):
        source["states"], source["logits"] = f"states_{index}", f"logits_{index}"
        source["greedy"], rows, margin = greedy_of(model, source["ids"])
        tensors[source["states"]] = states_of(model, source["ids"]).numpy().copy()
        tensors[source["logits"]] = torch.stack([rows[0], rows[-1]]).numpy().copy()
        least = min(least, margin)
        if "text" in source:
            tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
            source["answer"] = tokenizer.decode(source["greedy"], skip_special_tokens=True)
    return sources, tensors, least


def float32_noise(model, sources, tensors):
    double = model.double()
    return max(float((states_of(double, source["ids"]) - torch.from_numpy(tensors[source["states"]])).abs().max())
               for source in sources)


def make_variant(name, out):
    members, options = VARIANTS[name]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if options.get("tokenizer"):
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(TOKENIZER / file, out / file)
        members = members | {"vocab_size": len(transformers.AutoTokenizer.from_pretrained(TOKENIZER))}
    (out / "config.json").write_text(json.dumps(members, indent=1) + "\n")
    rng = numpy.random.default_rng(zlib.crc32(name.encode()))
    weights = make_weights(members, options, out, rng)
    if options.get("pickle"):
        torch.save(weights, out / "pytorch_model.bin")
    else:
        safetensors.torch.save_file({n: t.contiguous() for n, t in weights.items()}, out / "model.safetensors",
                                    metadata={"format": "pt"})
    model = load(out)
    sources, goldens, margin = make_goldens(model, out, options, rng)
    safetensors.numpy.save_file(goldens, out / "golden.safetensors")
    head = {"variant": name} | PINNED | {"float32_noise": float(f"{float32_noise(model, sources, goldens):.1e}"),
                                         "min_margin": float(f"{margin:.1e}")}
    lines = ",\n".join("  " + json.dumps(source) for source in sources)
    (out / "golden.json").write_text(json.dumps(head, indent=1)[:-2] + ',\n "sources": [\n' + lines + "\n ]\n}\n")
    distinct = [len(set(source["greedy"])) for source in sources]
    print(f"{name}: {sum(p.numel() for p in model.parameters())} weights, noise {head['float32_noise']}, margin "
          f"{head['min_margin']}, distinct tokens {distinct}, largest state "
          f"{max(float(numpy.abs(t).max()) for n, t in goldens.items() if n.startswith('states')):.3g}")


def make_buckets():
    """Returns the content of relative_buckets.json."""
    from transformers.models.t5.modeling_t5 import T5Attention
    first, entries = -320, []
    for num_buckets, max_distance in ((32, 128), (32, 20), (11, 23), (4, 3), (8, 6), (64, 300), (33, 100), (30, 1000)):
        for bidirectional in (False, True):
            distances = torch.arange(first, -first + 1)
            buckets = T5Attention._relative_position_bucket(distances, bidirectional, num_buckets, max_distance)
            entries.append({"num_buckets": num_buckets, "max_distance": max_distance, "bidirectional": bidirectional,
                            "first": first, "buckets": buckets.tolist()})
    return "[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n"


def check_variant(name, out):
    golden = json.loads((out / "golden.json").read_text())
    tensors = safetensors.numpy.load_file(out / "golden.safetensors")
    model = load(out)
    for source in golden["sources"]:
        states = states_of(model, source["ids"])
        assert torch.equal(states, torch.from_numpy(tensors[source["states"]])), f"{name}: {source['states']} differs"
        assert greedy_of(model, source["ids"])[0] == source["greedy"], f"{name}: greedy of {source['states']} differs"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "encoder_decoders")
    parser.add_argument("--only", nargs="*", default=sorted(VARIANTS))
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    buckets = args.out / "relative_buckets.json"
    if not args.check:
        args.out.mkdir(parents=True, exist_ok=True)
        buckets.write_text(make_buckets())
    assert buckets.read_text() == make_buckets(), f"{buckets} differs"
    for name in args.only:
        (check_variant if args.check else make_variant)(name, args.out / name)


if __name__ == "__main__":
    main()
