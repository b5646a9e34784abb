"""Writes the golden sentence encoders under tests/golden/sentences/: tiny models with tokenizers, and what their own
libraries make of texts.

Pinned: torch 2.6.0, transformers 5.23.0, sentence-transformers 6.2.0, numpy 2.4.6 (CPU, float32).
Usage: python make_sentence_goldens.py [--out DIR]

Each directory is a whole model, whose tokenizer is one of tests/golden/tokenizers/. golden.json has

    {"sentence_transformers", "transformers", "texts": [...], "vectors": [[...]]}    of an embedding model
    {"sentence_transformers", "transformers", "pairs": [[a, b]], "outputs": [[...]]} of a classifier, before softmax
                                                                                     or sigmoid
"""

import argparse
import json
import pathlib
import shutil
import sys
import zlib

import numpy
import safetensors.torch
import sentence_transformers
import torch
import transformers
from make_encoder_goldens import draw_weight

PINNED = {"torch": "2.6.0", "transformers": "5.23.0", "sentence_transformers": "6.2.0"}
TOKENIZERS = pathlib.Path(__file__).parent / "tokenizers"
TEXTS = ["the cat sat on the mat", "A dog ran; the cat did not!", "", "naïve café", "  two  spaces ",
         "one " * 60, "word"]
PAIRS = [["what is a cat", "the cat is an animal"], ["what is a cat", "it rains"], ["a", "one two " * 30], ["b", ""]]
MODULE = "sentence_transformers.models."


def check_versions():
    have = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
            "sentence_transformers": sentence_transformers.__version__}
    if have != PINNED:
        sys.exit(f"golden files are made with {PINNED}, this is {have}")


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_model(folder, tokenizer, model_type, architecture, members):
    """Writes a checkpoint of random weights with the tokenizer's files; returns the generator of its numbers."""
    folder.mkdir(parents=True)
    for file in (TOKENIZERS / tokenizer).iterdir():
        if file.name not in ("cases.json", "pairs.json", "config.json"):
            shutil.copy(file, folder)
    rng = numpy.random.default_rng(zlib.crc32(str(folder.name).encode()))
    config = transformers.AutoConfig.for_model(model_type, **members)
    config.architectures = [architecture]
    config.save_pretrained(folder)
    model = getattr(transformers, architecture)(config)
    weights = {name: draw_weight(name, tuple(value.shape), rng) for name, value in model.named_parameters()}
    safetensors.torch.save_file({n: t.contiguous() for n, t in weights.items()}, folder / "model.safetensors",
                                metadata={"format": "pt"})
    return rng


def vocab_size(tokenizer):
    folder = TOKENIZERS / tokenizer
    if (folder / "tokenizer.json").exists():
        vocab = json.loads((folder / "tokenizer.json").read_text())
        return 1 + max([*vocab["model"]["vocab"].values(), *(t["id"] for t in vocab["added_tokens"])])
    return 1 + max(json.loads((folder / "vocab.json").read_text()).values())


def write_mean(out):
    """BERT, mean, normalised: what most published models do."""
    write_model(out, "bert", "bert", "BertModel",
                {"vocab_size": vocab_size("bert"), "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
                 "intermediate_size": 32, "max_position_embeddings": 48})
    write_json(out / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": MODULE + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": MODULE + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": MODULE + "Normalize"}])
    write_json(out / "1_Pooling/config.json", {
        "word_embedding_dimension": 24, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})
    write_json(out / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": False})


def write_dense(out):
    """RoBERTa in a folder of its own, three kinds of pooling, a dense layer, lower case."""
    rng = write_model(out / "0_Transformer", "roberta_files", "roberta", "RobertaModel",
                      {"vocab_size": vocab_size("roberta_files"), "hidden_size": 20, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "intermediate_size": 28, "max_position_embeddings": 42,
                       "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1})
    write_json(out / "modules.json", [
        {"idx": 0, "name": "0", "path": "0_Transformer", "type": MODULE + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": MODULE + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": MODULE + "Dense"},
        {"idx": 3, "name": "3", "path": "3_Normalize", "type": MODULE + "Normalize"}])
    write_json(out / "1_Pooling/config.json", {
        "word_embedding_dimension": 20, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False,
        "pooling_mode_max_tokens": True, "pooling_mode_weightedmean_tokens": True})
    write_json(out / "2_Dense/config.json", {
        "in_features": 60, "out_features": 7, "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh"})
    dense = {"linear.weight": draw_weight("linear.weight", (7, 60), rng), "linear.bias": draw_weight("bias", (7,), rng)}
    safetensors.torch.save_file(dense, out / "2_Dense/model.safetensors", metadata={"format": "pt"})
    write_json(out / "0_Transformer/sentence_roberta_config.json", {"max_seq_length": 30, "do_lower_case": True})


def write_ranker(out):
    """A re-ranker: BERT that gives a pair of texts one score."""
    write_model(out, "bert", "bert", "BertForSequenceClassification",
                {"vocab_size": vocab_size("bert"), "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
                 "intermediate_size": 32, "max_position_embeddings": 40, "num_labels": 1})


def write_classes(out):
    """DistilBERT with three classes."""
    write_model(out, "bert", "distilbert", "DistilBertForSequenceClassification",
                {"vocab_size": vocab_size("bert"), "dim": 24, "n_layers": 1, "n_heads": 2, "hidden_dim": 32,
                 "max_position_embeddings": 40, "id2label": {"0": "joy", "1": "fear", "2": "calm"},
                 "label2id": {"joy": 0, "fear": 1, "calm": 2}})


def embed(folder):
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    vectors = [model.encode(text) for text in TEXTS]
    return {"texts": TEXTS, "vectors": [[float(x) for x in vector] for vector in vectors]}


@torch.no_grad()
def classify(folder, limit):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    outputs = []
    for first, second in PAIRS:
        inputs = tokenizer(first, second, return_tensors="pt", truncation=True, max_length=limit)
        if "token_type_ids" in inputs and model.config.model_type == "distilbert":
            del inputs["token_type_ids"]
        outputs.append([float(x) for x in model(**inputs).logits[0]])
    return {"pairs": PAIRS, "outputs": outputs}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "sentences")
    args = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    for write, golden in ((write_mean, embed), (write_dense, embed), (write_ranker, lambda f: classify(f, 40)),
                          (write_classes, lambda f: classify(f, 40))):
        out = args.out / write.__name__.removeprefix("write_")
        shutil.rmtree(out, ignore_errors=True)
        write(out)
        write_json(out / "golden.json", PINNED | golden(out))
        print(out.name)


if __name__ == "__main__":
    main()
