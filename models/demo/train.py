"""Trains the demo model from nothing: makes stories, learns a tokenizer, trains a small LLaMA-shape decoder.

Usage: python train.py --work SCRATCH [--bf16] [--steps N] [--minutes M] [--export-only]
Needs torch, transformers, tokenizers and safetensors (made with 2.6.0, 5.23.0, 0.23.3, 0.8.0), one CPU core.
The text comes from story_grammar.py alone. A checkpoint goes to SCRATCH every 200 steps; --export-only
writes the model files from the last one. Everything is seeded; --minutes only ends the schedule early.
"""

import argparse
import json
import math
import pathlib
import time

import numpy
import torch
import transformers
from story_grammar import make_stories
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
BOS, EOS = 0, 1
VOCAB = 1536
TRAIN_SEED, HELDOUT_SEED = 1, 2
HELDOUT_BYTES = 200_000
# Batches as (rows, tokens a row): mostly short, some as long as the model may see.
SHAPES = [(4, 512), (4, 512), (2, 1024)]
PEAK_LR, WARMUP = 3e-3, 100
PROMPTS = ["Once upon a time", "\"Where is my lantern?\" asked", "Mia and the little duckling",
           "One rainy day, Hugo saw that something was wrong with the bell at the harbour.",
           "It was a little kitten, caught in the thick mud."]


def make_tokenizer(stories):
    """Byte-level BPE: any text can be encoded; <s> in front, </s> ends a story."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=["<s>", "</s>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(stories, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", BOS)])
    return tokenizer


def make_config():
    return transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=192, intermediate_size=512, num_hidden_layers=5,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
        rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True, bos_token_id=BOS, eos_token_id=EOS, initializer_range=0.05)


def heldout_text():
    """About 200 KB of stories from a seed that training never uses."""
    stories, size = [], 0
    for story in make_stories(HELDOUT_SEED, 1000):
        if size > HELDOUT_BYTES:
            break
        stories.append(story)
        size += len(story.encode()) + 2
    return stories


class Rows:
    """Cuts the training stories into rows; every row begins at the start of a story."""

    def __init__(self, tokenizer, stories):
        encoded = tokenizer.encode_batch(stories)
        lengths = [len(e.ids) + 1 for e in encoded]
        self.starts = numpy.concatenate([[0], numpy.cumsum(lengths)])
        self.stream = numpy.empty(self.starts[-1], dtype=numpy.int64)
        for start, item in zip(self.starts, encoded):
            self.stream[start:start + len(item.ids)] = item.ids
            self.stream[start + len(item.ids)] = EOS
        self.next = 0

    def take(self, rows, length):
        out = []
        for _ in range(rows):
            begin = self.starts[self.next]
            if begin + length > len(self.stream):
                self.next, begin = 0, 0
            out.append(self.stream[begin:begin + length])
            self.next = int(numpy.searchsorted(self.starts, begin + length))
        return torch.from_numpy(numpy.stack(out))


def learning_rate(step, progress):
    if step < WARMUP:
        return PEAK_LR * (step + 1) / WARMUP
    return PEAK_LR * max(0.01, 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def make_optimizer(model):
    decay = [p for p in model.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim != 2]
    return torch.optim.AdamW([{"params": decay, "weight_decay": 0.05},
                              {"params": rest, "weight_decay": 0.0}], betas=(0.9, 0.97), lr=PEAK_LR)


def train(model, rows, args):
    model.train()
    optimizer, begin, step, progress = make_optimizer(model), time.time(), 0, 0.0
    while progress < 1.0:
        progress = max((step + 1) / args.steps, (time.time() - begin) / (60 * args.minutes))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress)
        batch = rows.take(*SHAPES[step % len(SHAPES)])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            logits = model(batch[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 20 == 0:
            print(f"step {step} progress {progress:.3f} loss {loss.item():.3f} "
                  f"{(time.time() - begin) / step:.2f} s/step", flush=True)
        if step % 200 == 0 or progress >= 1.0:
            torch.save(model.state_dict(), args.work / "checkpoint.pt")


@torch.no_grad()
def bits_per_byte(model, tokenizer, stories):
    """Bits to encode the stories, each from <s> with its </s>, over their bytes."""
    model.eval()
    nats, size = 0.0, 0
    for story in stories:
        ids = torch.tensor([tokenizer.encode(story).ids + [EOS]])
        logits = model(ids[:, :-1], use_cache=False).logits.float()
        nats += float(torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="sum"))
        size += len(story.encode())
    return nats / math.log(2) / size


def export(model, tokenizer):
    """Writes the files of the model in bfloat16, as the hub lays them out."""
    tokenizer.save(str(HERE / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
             "model_max_length": 1024, "clean_up_tokenization_spaces": False}
    (HERE / "tokenizer_config.json").write_text(json.dumps(names, indent=2) + "\n")
    model = model.to(torch.bfloat16)
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=BOS, eos_token_id=EOS, do_sample=True, temperature=0.8, max_new_tokens=400)
    model.config.architectures = ["LlamaForCausalLM"]
    model.save_pretrained(HERE)
    (HERE / "model.safetensors").chmod(0o644)
    (HERE / "heldout.txt").write_text("\n\n".join(heldout_text()) + "\n")


@torch.no_grad()
def greedy(model, ids):
    prompt = torch.tensor([ids])
    result = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                            max_new_tokens=64, min_new_tokens=64, eos_token_id=None,
                            output_logits=True, return_dict_in_generate=True)
    gaps = [float(torch.topk(step.float(), 2).values.diff().abs()) for step in result.logits]
    return result.sequences[0, len(ids):].tolist(), [round(gap, 4) for gap in gaps]


def write_golden(stories):
    """Greedy tokens of the exported files in float32 and bfloat16, and the held-out measure."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(HERE)
    load = lambda dtype: transformers.AutoModelForCausalLM.from_pretrained(
        HERE, dtype=dtype, attn_implementation="eager").eval()
    single, half, entries = load(torch.float32), load(torch.bfloat16), []
    for model in (single, half):
        model.generation_config = transformers.GenerationConfig()
    for text in PROMPTS:
        ids = tokenizer(text)["input_ids"]
        tokens, gaps = greedy(single, ids)
        entries.append({"text": text, "ids": ids, "greedy_float32": tokens, "gaps_float32": gaps,
                        "greedy_bfloat16": greedy(half, ids)[0], "greedy_text": tokenizer.decode(tokens)})
    measure = bits_per_byte(single, tokenizer.backend_tokenizer, stories)
    out = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
           "heldout_bits_per_byte_float32": round(measure, 5)}
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    text = json.dumps(out, indent=1)[:-2] + ',\n "prompts": [\n' + lines + "\n ]\n}\n"
    (HERE / "golden.json").write_text(text)
    return measure


def show_samples(tokenizer):
    model = transformers.AutoModelForCausalLM.from_pretrained(HERE, dtype=torch.float32).eval()
    torch.manual_seed(0)
    for text in ("", "Once upon a time", "The little"):
        ids = torch.tensor([tokenizer.encode(text).ids])
        out = model.generate(ids, do_sample=True, temperature=0.8, top_k=0, max_new_tokens=400)[0]
        print(f"--- ({len(out)} tokens, ended {bool(out[-1] == EOS)})\n{tokenizer.decode(out.tolist())}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--stories", type=int, default=40_000)
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--minutes", type=float, default=34.0)
    parser.add_argument("--bf16", action="store_true", help="multiply in bfloat16 while training")
    parser.add_argument("--export-only", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    stories = make_stories(TRAIN_SEED, args.stories)
    tokenizer = make_tokenizer(stories[:8000])
    model = transformers.LlamaForCausalLM(make_config())
    print(f"{sum(p.numel() for p in model.parameters())} parameters, "
          f"{sum(len(s) for s in stories) / 1e6:.1f} MB of text", flush=True)
    if args.export_only:
        model.load_state_dict(torch.load(args.work / "checkpoint.pt"))
    else:
        train(model, Rows(tokenizer, stories), args)
    export(model, tokenizer)
    print(f"held-out bits per byte: {write_golden(heldout_text()):.4f}", flush=True)
    show_samples(tokenizer)


if __name__ == "__main__":
    main()
