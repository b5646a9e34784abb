#!/usr/bin/env python3
"""Writes tests/golden/tokenizers/: a folder for each tokenizer, with its files and the expected ids and texts.

Made with tokenizers 0.23.3, transformers 5.23.0 and sentencepiece 0.2.3:
    tests/golden/make_tokenizer_goldens.py [--out tests/golden/tokenizers] [name ...]
"""

import argparse
import json
import pathlib
import random

import tokenizers

from tokenizer_text import fixed_lines, hard_lines, tie_lines
from tokenizer_variants import LARGE_VARIANTS, VARIANTS, gpt2, llama2, qwen2

CASE_BYTES = 2500


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(',', ':')) + '\n')


def write_cases(folder, encode, decode):
    """Writes `cases.json`: texts with their ids and the texts of those ids, and random ids with their texts."""
    cases = []
    texts = fixed_lines() + hard_lines(CASE_BYTES, seed=7, max_pieces=12)
    if folder.name == 'unigram_ties':
        texts += tie_lines(300, seed=9)
    for text in texts:
        ids = encode(text, True)
        cases.append({'text': text, 'ids': ids, 'plain_ids': encode(text, False),
                      'decoded': decode(ids, False), 'skipped': decode(ids, True)})
    rng = random.Random(3)
    size = max(max(case['ids'], default=0) for case in cases) + 1
    random_ids = []
    for length in [1, 2, 3, 5, 8, 13, 40]:
        for _ in range(4):
            ids = [rng.randrange(size + 2) for _ in range(length)]
            random_ids.append({'ids': ids, 'decoded': decode(ids, False), 'skipped': decode(ids, True)})
    write_json(folder / 'cases.json', {'texts': cases, 'random_ids': random_ids})


def write_variant(build, out):
    folder = out / build.__name__
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build()
    state = json.loads(tokenizer.to_str())
    if build.__name__ in ('gpt2', 'bloom'):  # the older spelling of merges
        state['model']['merges'] = [' '.join(merge) for merge in state['model']['merges']]
    write_json(folder / 'tokenizer.json', state)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / 'tokenizer.json'))
    write_cases(folder, lambda text, add: tokenizer.encode(text, add_special_tokens=add).ids,
                lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip))


def write_llama_class(out):
    """Writes Llama 2's tokenizer.json, which transformers' LlamaTokenizer changes before use."""
    folder = out / 'llama2_class'
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / 'tokenizer.json', json.loads(llama2().to_str()))
    write_json(folder / 'tokenizer_config.json', {
        'tokenizer_class': 'LlamaTokenizer', 'legacy': False, 'add_bos_token': True, 'add_eos_token': False,
        'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>', 'pad_token': None})
    write_json(folder / 'config.json', {'model_type': 'llama'})
    write_auto_cases(folder)


def write_vocab_files(folder, tokenizer):
    """vocab.json and merges.txt, the files of a byte-level tokenizer without tokenizer.json."""
    model = json.loads(tokenizer.to_str())['model']
    write_json(folder / 'vocab.json', model['vocab'])
    merges = ''.join(' '.join(merge) + '\n' for merge in model['merges'])
    (folder / 'merges.txt').write_text('#version: 0.2\n' + merges)


def write_qwen2_files(out):
    """Qwen2's files without tokenizer.json: its class has the word rule and the normal form."""
    folder = out / 'qwen2_files'
    folder.mkdir(parents=True, exist_ok=True)
    write_vocab_files(folder, qwen2())
    write_json(folder / 'tokenizer_config.json', {
        'tokenizer_class': 'Qwen2Tokenizer', 'add_prefix_space': False, 'bos_token': None, 'unk_token': None,
        'eos_token': '<|im_end|>', 'pad_token': '<|endoftext|>',
        'additional_special_tokens': ['<|im_start|>', '<|im_end|>']})
    write_json(folder / 'config.json', {'model_type': 'qwen3'})
    write_auto_cases(folder)


def write_opt(out):
    """Writes vocab.json and merges.txt, with the small files that OPT has beside them."""
    folder = out / 'opt'
    folder.mkdir(parents=True, exist_ok=True)
    model = json.loads(gpt2().to_str())['model']
    texts = sorted(model['vocab'], key=model['vocab'].get)[1:]
    vocab = {text: i for i, text in enumerate(['<s>', '<pad>', '</s>', '<unk>'] + texts)}
    write_json(folder / 'vocab.json', vocab)
    merges = ''.join(' '.join(merge) + '\n' for merge in model['merges'])
    (folder / 'merges.txt').write_text('#version: 0.2\n' + merges)

    def token(text):
        return {'__type': 'AddedToken', 'content': text, 'lstrip': False, 'normalized': True, 'rstrip': False,
                'single_word': False}
    write_json(folder / 'tokenizer_config.json', {
        'errors': 'replace', 'unk_token': token('</s>'), 'bos_token': token('</s>'),
        'eos_token': token('</s>'), 'pad_token': token('<pad>'), 'add_prefix_space': False,
        'add_bos_token': True, 'tokenizer_class': 'GPT2Tokenizer'})
    write_json(folder / 'config.json', {'model_type': 'opt'})
    write_json(folder / 'added_tokens.json', {'Madeup Token': len(vocab)})
    write_auto_cases(folder)


def write_auto_cases(folder):
    """Writes the expected values that AutoTokenizer gives for a folder."""
    from transformers import AutoTokenizer
    auto = AutoTokenizer.from_pretrained(str(folder))
    write_cases(folder, lambda text, add: auto(text, add_special_tokens=add)['input_ids'],
                lambda ids, skip: auto.decode(ids, skip_special_tokens=skip))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    default = pathlib.Path(__file__).parent / 'tokenizers'
    parser.add_argument('--out', type=pathlib.Path, default=default)
    parser.add_argument('--large', action='store_true', help='also those that are not committed')
    parser.add_argument('names', nargs='*')
    args = parser.parse_args()
    for build in VARIANTS + (LARGE_VARIANTS if args.large else []):
        if not args.names or build.__name__ in args.names:
            write_variant(build, args.out)
    if not args.names or 'opt' in args.names:
        write_opt(args.out)
    if not args.names or 'qwen2_files' in args.names:
        write_qwen2_files(args.out)
    if not args.names or 'llama2_class' in args.names:
        write_llama_class(args.out)


if __name__ == '__main__':
    main()
