"""Writes the golden encoders under tests/golden/encoders/: tiny Hugging Face checkpoints of BERT's line with their outputs.

Pinned: torch 2.6.0, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6 (CPU, float32, eager attention).
Usage: python make_encoder_goldens.py [--out DIR] [--only NAME ...] [--check]
--check writes nothing: it loads every directory and compares with its golden files.

Each directory has config.json, the weights, golden.json and golden.safetensors. golden.json:

    {"variant", "torch", "transformers", "float32_noise",
     "texts": [{"ids": [...], "types": [...],   one text by itself, without padding
                "states": "states_17",          tensor [tokens, hidden] in golden.safetensors
                "classes": "classes_17"}]}      tensor [labels], only of classifiers: before softmax or sigmoid

float32_noise is the largest difference of the states to those of a float64 run.
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

LENGTHS = (1, 2, 7, 16, 17, 33, 60)
PINNED = {"torch": "2.6.0", "transformers": "5.23.0"}

BERT = {"vocab_size": 97, "hidden_size": 60, "num_hidden_layers": 2, "num_attention_heads": 5,
        "intermediate_size": 76, "max_position_embeddings": 64, "type_vocab_size": 2}
ROBERTA = BERT | {"max_position_embeddings": 66, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1,
                  "bos_token_id": 0, "eos_token_id": 2}
DISTILBERT = {"vocab_size": 89, "dim": 56, "n_layers": 2, "n_heads": 4, "hidden_dim": 68,
              "max_position_embeddings": 64}
EMOTIONS = {"id2label": {"0": "joy", "1": "fear", "2": "calm"}, "label2id": {"joy": 0, "fear": 1, "calm": 2}}

# name: (model type, architecture, members of the configuration, how the file is written)
VARIANTS = {
    "bert": ("bert", "BertModel", BERT, {}),
    "bert-bare": ("bert", "BertForMaskedLM",
                  BERT | {"hidden_size": 52, "num_attention_heads": 4, "hidden_act": "relu"},
                  {"prefix": "", "old_norms": True, "pickle": True}),
    "bert-classifier": ("bert", "BertForSequenceClassification", BERT | EMOTIONS, {}),
    "bert-bf16": ("bert", "BertModel", BERT | {"hidden_act": "gelu_new"}, {"dtype": "bfloat16"}),
    "bert-one-head": ("bert", "BertModel", BERT | {"hidden_size": 33, "num_attention_heads": 1,
                                                   "num_hidden_layers": 1, "hidden_act": "silu"}, {}),
    "roberta": ("roberta", "RobertaModel", ROBERTA, {"prefix": "roberta."}),
    "roberta-classifier": ("roberta", "RobertaForSequenceClassification",
                           ROBERTA | EMOTIONS | {"problem_type": "multi_label_classification"}, {}),
    "xlm-roberta": ("xlm-roberta", "XLMRobertaForMaskedLM", ROBERTA | {"pad_token_id": 3, "max_position_embeddings": 70},
                    {}),
    "camembert": ("camembert", "CamembertForSequenceClassification", ROBERTA | {"num_labels": 1}, {}),
    "distilbert": ("distilbert", "DistilBertModel", DISTILBERT, {}),
    "distilbert-classifier": ("distilbert", "DistilBertForSequenceClassification",
                              DISTILBERT | {"activation": "relu", "num_labels": 4}, {"dtype": "float16"}),
}


def check_versions():
    have = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    if have != PINNED:
        sys.exit(f"golden files are made with {PINNED}, this is {have}")


def draw_weight(name, shape, rng):
    """Draws random weights such that every tensor matters: no bias is zero and no norm weight is one."""
    normal = lambda std: torch.from_numpy(rng.standard_normal(shape).astype(numpy.float32) * numpy.float32(std))
    if name.endswith("bias"):
        return normal(0.3)
    if "norm" in name.lower():
        return 1.0 + normal(0.3)
    if "embeddings" in name:
        return normal(0.7)
    gain = 2.0 if any(key in name for key in ("query", "key", "q_lin", "k_lin")) else 1.5
    return normal(gain / shape[1] ** 0.5)


def stored_parameters(model):
    """Returns the parameters by the names that files have: a head that is the token table has the table's name."""
    table = model.get_input_embeddings().weight
    name_of_table = next(n for n, v in model.named_parameters(remove_duplicate=False)
                         if v is table and n.endswith("word_embeddings.weight"))
    return {name_of_table if v is table else n: v for n, v in model.named_parameters()}


def file_tensors(model, weights, options):
    """Returns the tensors with the names and the formats of the file."""
    tensors = {}
    for name, value in weights.items():
        base = model.base_model_prefix + "."
        if "prefix" in options:  # of a base model's file, whose names transformers writes without a prefix
            name = options["prefix"] + name.removeprefix(base)
        if options.get("old_norms"):
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        tensors[name] = value.to(getattr(torch, options.get("dtype", "float32")))
    return tensors


def load(directory):
    config = transformers.AutoConfig.from_pretrained(directory)
    cls = getattr(transformers, config.architectures[0])
    model, info = cls.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager",
                                      output_loading_info=True)
    missing = [name for name in info["missing_keys"] if "pooler" not in name]
    if missing or info["mismatched_keys"]:
        sys.exit(f"{directory}: transformers misses {info}")
    return model.eval()


def make_texts(model, rng):
    """Returns texts of every length: of one segment, or of two if the model has types for them."""
    config, texts = model.config, []
    for length in LENGTHS:
        ids = rng.integers(5, config.vocab_size, length).tolist()
        types = [0] * length
        if getattr(config, "type_vocab_size", 1) > 1:
            first = int(rng.integers(0, length + 1))
            types = [0] * first + [1] * (length - first)
        if length >= 16 and config.model_type != "bert" and config.model_type != "distilbert":
            ids[length // 2] = config.pad_token_id  # has no position of its own
        texts.append({"ids": ids, "types": types, "states": f"states_{length}"})
    return texts


@torch.no_grad()
def outputs(model, text):
    inputs = {"input_ids": torch.tensor([text["ids"]]), "attention_mask": torch.ones(1, len(text["ids"]))}
    if hasattr(model.config, "type_vocab_size"):
        inputs["token_type_ids"] = torch.tensor([text["types"]])
    states = model.base_model(**inputs).last_hidden_state[0]
    is_classifier = "SequenceClassification" in type(model).__name__
    return states, model(**inputs).logits[0] if is_classifier else None


def make_goldens(model, rng):
    texts, tensors = make_texts(model, rng), {}
    for text in texts:
        states, classes = outputs(model, text)
        tensors[text["states"]] = states.numpy().copy()
        if classes is not None:
            text["classes"] = text["states"].replace("states", "classes")
            tensors[text["classes"]] = classes.numpy().copy()
    return texts, tensors


def float32_noise(model, texts, tensors):
    double = model.double()
    return max(float((outputs(double, text)[0] - torch.from_numpy(tensors[text["states"]])).abs().max())
               for text in texts)


def make_variant(name, out):
    model_type, architecture, members, options = VARIANTS[name]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    config = transformers.AutoConfig.for_model(model_type, **members)
    config.architectures = [architecture]
    config.save_pretrained(out)
    rng = numpy.random.default_rng(zlib.crc32(name.encode()))
    blank = getattr(transformers, architecture)(config)
    weights = {n: draw_weight(n, tuple(v.shape), rng) for n, v in stored_parameters(blank).items()}
    tensors = file_tensors(blank, weights, options)
    if options.get("pickle"):
        torch.save(tensors, out / "pytorch_model.bin")
    else:
        copies = {n: t.clone().contiguous() for n, t in tensors.items()}
        safetensors.torch.save_file(copies, out / "model.safetensors", metadata={"format": "pt"})
    model = load(out)
    texts, goldens = make_goldens(model, rng)
    safetensors.numpy.save_file(goldens, out / "golden.safetensors")
    head = {"variant": name} | PINNED | {"float32_noise": float(f"{float32_noise(model, texts, goldens):.1e}")}
    lines = ",\n".join("  " + json.dumps(text) for text in texts)
    (out / "golden.json").write_text(json.dumps(head, indent=1)[:-2] + ',\n "texts": [\n' + lines + "\n ]\n}\n")
    print(f"{name}: {sum(p.numel() for p in model.parameters())} weights, noise {head['float32_noise']}")


def check_variant(name, out):
    golden = json.loads((out / "golden.json").read_text())
    tensors = safetensors.numpy.load_file(out / "golden.safetensors")
    model = load(out)
    for text in golden["texts"]:
        states, classes = outputs(model, text)
        assert torch.equal(states, torch.from_numpy(tensors[text["states"]])), f"{name}: {text['states']} differs"
        if classes is not None:
            assert torch.equal(classes, torch.from_numpy(tensors[text["classes"]])), f"{name}: classes differ"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "encoders")
    parser.add_argument("--only", nargs="*", default=sorted(VARIANTS))
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    for name in args.only:
        (check_variant if args.check else make_variant)(name, args.out / name)


if __name__ == "__main__":
    main()
