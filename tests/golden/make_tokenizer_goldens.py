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

from compare_tokenizers import load_reference
from tokenizer_text import fixed_lines, hard_lines, tie_lines
from tokenizer_variants import LARGE_VARIANTS, VARIANTS, bert, gpt2, llama2, qwen2, small_rules, t5, t5_spiece, train_sentencepiece

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


def write_class_folder(out, name, model_type, files, config=None, **others):
    """Writes a folder of `files` (name to bytes or JSON) as a model of `model_type` has it, with its
    tokenizer_config.json and other small files of JSON if they are given."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    small = {'config.json': {'model_type': model_type}, **files, **others.pop('json', {})}
    if config is not None:
        small['tokenizer_config.json'] = config
    for file, content in small.items():
        if isinstance(content, bytes):
            (folder / file).write_bytes(content)
        else:
            write_json(folder / file, content)
    write_auto_cases(folder)


def vocab_txt(texts):
    return ''.join(text + '\n' for text in texts).encode()


def tokens_of(tokenizer):
    vocab = json.loads(tokenizer.to_str())['model']['vocab']
    return sorted(vocab, key=vocab.get)


def write_bert_files(out):
    """BERT's and MPNet's files without tokenizer.json."""
    tokens = tokens_of(bert())
    write_class_folder(out, 'bert_files', 'bert', {'vocab.txt': vocab_txt(tokens)})
    token = {'content': '[MASK]', 'lstrip': True, 'rstrip': False, 'normalized': False, 'single_word': False}
    write_class_folder(
        out, 'bert_cased', 'distilbert', {'vocab.txt': vocab_txt(tokens_of(bert(lowercase=False)))},
        {'tokenizer_class': 'DistilBertTokenizer', 'do_lower_case': False, 'never_split': ['Madeup'],
         'additional_special_tokens': ['<s>']},
        json={'special_tokens_map.json': {'mask_token': token, 'pad_token': '[PAD]'},
              'added_tokens.json': {'Madeup Token': len(tokens)}})
    # A file as Windows writes it, with lines that occur twice, that are empty, and that end in spaces.
    lines = ['<s>', '<pad>', '</s>', '<unk>'] + tokens
    lines += ['<mask>', 'the ', '\u3000', '', 'Ka', 'ka\u00a0', 'x y']
    write_class_folder(out, 'mpnet_files', 'mpnet', {'vocab.txt': vocab_txt(line + '\r' for line in lines)},
                       {'tokenizer_class': 'MPNetTokenizer', 'mask_token': '<mask>', 'strip_accents': False,
                        'tokenize_chinese_chars': False})


def write_roberta_files(out):
    """RoBERTa's vocab.json and merges.txt."""
    model = json.loads(gpt2().to_str())['model']
    texts = sorted(model['vocab'], key=model['vocab'].get)[1:]
    texts = ['<s>', '<pad>', '</s>', '<unk>'] + texts + ['<mask>']
    merges = ''.join(' '.join(merge) + '\n' for merge in model['merges'])
    write_class_folder(out, 'roberta_files', 'roberta',
                       {'vocab.json': {text: i for i, text in enumerate(texts)},
                        'merges.txt': ('#version: 0.2\n' + merges).encode()},
                       {'tokenizer_class': 'RobertaTokenizer', 'add_prefix_space': True})


def write_t5_files(out):
    """T5's spiece.model alone, mT5's with pieces of its own, and a tokenizer.json that T5's class changes."""
    write_class_folder(out, 't5_files', 't5', {'spiece.model': t5_spiece(small_rules())})
    write_class_folder(
        out, 'mt5_files', 'mt5',
        {'spiece.model': t5_spiece(small_rules(), user_defined_symbols=['<s>', 'Madeup Token'],
                                   control_symbols=['<|eot_id|>'])},
        {'tokenizer_class': 'T5Tokenizer', 'extra_ids': 0, 'legacy': True, 'eos_token': '</s>', 'unk_token': '<unk>',
         'pad_token': '<pad>'})
    write_class_folder(
        out, 't5_class', 't5', {'tokenizer.json': json.loads(t5().to_str())},
        {'tokenizer_class': 'T5Tokenizer', 'extra_ids': 3, 'legacy': False, 'truncation_side': 'left'})


def write_auto_cases(folder):
    """Writes the expected values that AutoTokenizer gives for a folder."""
    from transformers import AutoTokenizer
    auto = AutoTokenizer.from_pretrained(str(folder))
    write_cases(folder, lambda text, add: auto(text, add_special_tokens=add)['input_ids'],
                lambda ids, skip: auto.decode(ids, skip_special_tokens=skip))


def write_pairs(folder):
    """Writes `pairs.json`: pairs of texts with their ids and types, whole and cut. Null stands for what the library
    refuses to cut."""
    reference = load_reference(folder)

    def encode_pair(first, second, *options):
        return reference.pairs([(first, second)], *options)[0]

    texts = fixed_lines()[1:] + hard_lines(1500, seed=11, max_pieces=4)
    rng = random.Random(13)
    pairs = []
    for _ in range(8):
        first, second = rng.choice(texts), rng.choice(texts)
        ids, types = encode_pair(first, second, True)
        plain_ids, plain_types = encode_pair(first, second, False)
        cuts = []
        for strategy in ['longest_first', 'only_first', 'only_second']:
            for limit in {len(ids) - len(plain_ids), 8, len(ids) // 2 + 3, len(ids) - 1, len(ids)}:
                if limit < len(ids) - len(plain_ids) or limit == 0:
                    continue
                cut = encode_pair(first, second, True, strategy, limit)
                cuts.append({'strategy': strategy, 'limit': limit, 'ids': cut and cut[0]})
        pairs.append({'first': first, 'second': second, 'ids': ids, 'type_ids': types, 'plain_ids': plain_ids,
                      'plain_type_ids': plain_types, 'cuts': cuts})
    write_json(folder / 'pairs.json', pairs)


def write_seeds():
    """Writes small files as seeds of the fuzz targets that read vocabularies."""
    corpus = pathlib.Path(__file__).parent.parent.parent / 'fuzz/corpus'
    lines = ['a b c', 'fi ab'] * 4
    seeds = {
        'spiece_model/charsmap': train_sentencepiece(lines, {'\u00a0': ' ', '\ufb01': 'fi', '\u200b': ''},
                                                     vocab_size=12, user_defined_symbols=['<x>']),
        'spiece_model/plain': train_sentencepiece(lines, vocab_size=12, normalization_rule_name='identity'),
        'spiece_model/bpe': train_sentencepiece(lines, vocab_size=12, model_type='bpe',
                                                normalization_rule_name='identity'),
        'vocab_txt/bert': ('[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nka\n##ra\n##\u00e1\n\u4e00\n'
                           '\0kara\nkara\u00e1\nxx').encode(),
        'vocab_txt/windows': b'[UNK]\r\na \r\n\r\n##a\r\na\0aaaa\nab',
    }
    for name, content in seeds.items():
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    default = pathlib.Path(__file__).parent / 'tokenizers'
    parser.add_argument('--out', type=pathlib.Path, default=default)
    parser.add_argument('--large', action='store_true', help='also those that are not committed')
    parser.add_argument('names', nargs='*')
    parser.add_argument('--seeds', action='store_true', help='write the seeds of fuzz targets instead')
    args = parser.parse_args()
    if args.seeds:
        return write_seeds()
    for build in VARIANTS + (LARGE_VARIANTS if args.large else []):
        if not args.names or build.__name__ in args.names:
            write_variant(build, args.out)
    if not args.names or 'opt' in args.names:
        write_opt(args.out)
    if not args.names or 'qwen2_files' in args.names:
        write_qwen2_files(args.out)
    if not args.names or 'llama2_class' in args.names:
        write_llama_class(args.out)
    for name, write in {'bert_files': write_bert_files, 'roberta_files': write_roberta_files,
                        't5_files': write_t5_files}.items():
        if not args.names or name in args.names:
            write(args.out)
    for folder in sorted(args.out.iterdir()):
        write_pairs(folder)


if __name__ == '__main__':
    main()
