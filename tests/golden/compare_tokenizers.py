#!/usr/bin/env python3
"""Compares `dray tokenize` with Hugging Face's `tokenizers` on megabytes of mixed text.

    tests/golden/compare_tokenizers.py --binary build/release/dray [--megabytes 2] [--seed 5] [name ...]

For every folder of tests/golden/tokenizers it compares the ids of every line with and without special tokens,
the text of the ids with and without skipping special tokens, and the ids and types of pairs of lines, whole and cut.
Prints one row for each tokenizer. The exit code is 1 if anything differs.
Made with tokenizers 0.23.3 and transformers 5.23.0.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from tokenizer_text import fixed_lines, hard_lines, tie_lines


class Reference:
    """One of the two libraries, for lists of inputs: the ids of texts, the ids and types of pairs, the text of ids."""

    def __init__(self, encode, encode_pairs, decode):
        self.encode, self.decode = encode, decode
        self._encode_pairs = encode_pairs

    def pairs(self, pairs, add, strategy=None, limit=None):
        """Returns nothing for a pair that the library cannot cut, which it says by an exception of no type of its
        own."""
        try:
            return self._encode_pairs(pairs, add, strategy, limit)
        except Exception as error:
            if 'Truncation error' not in str(error):
                raise
            if len(pairs) == 1:
                return [None]
            return [self.pairs([pair], add, strategy, limit)[0] for pair in pairs]


def load_reference(folder):
    """Returns transformers' AutoTokenizer of a folder with more files than tokenizer.json, else `tokenizers`."""
    if not (folder / 'config.json').exists() and not (folder / 'tokenizer_config.json').exists():
        return plain_reference(folder)
    from transformers import AutoTokenizer
    auto = AutoTokenizer.from_pretrained(str(folder))

    def encode_pairs(pairs, add, strategy, limit):
        cut = {'truncation': strategy, 'max_length': limit} if strategy else {}
        done = auto(*map(list, zip(*pairs)), add_special_tokens=add, return_token_type_ids=True, **cut)
        return list(zip(done['input_ids'], done['token_type_ids']))
    return Reference(lambda texts, add: auto(texts, add_special_tokens=add)['input_ids'], encode_pairs,
                     lambda lines, skip: [auto.decode(ids, skip_special_tokens=skip) for ids in lines])


def plain_reference(folder):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))

    def encode_pairs(pairs, add, strategy, limit):
        if strategy:
            tokenizer.enable_truncation(limit, strategy=strategy)
        try:
            return [(done.ids, done.type_ids) for done in tokenizer.encode_batch(pairs, add_special_tokens=add)]
        finally:
            tokenizer.no_truncation()
    return Reference(
        lambda texts, add: [done.ids for done in tokenizer.encode_batch(texts, add_special_tokens=add)],
        encode_pairs, lambda lines, skip: tokenizer.decode_batch(lines, skip_special_tokens=skip))


def run_dray(binary, folder, values, *flags):
    """Returns one output value for each of `values`."""
    with tempfile.TemporaryFile('w+') as lines:
        lines.writelines(json.dumps(value) + '\n' for value in values)
        lines.seek(0)
        command = [binary, 'tokenize', str(folder), '--jsonl', *flags]
        done = subprocess.run(command, stdin=lines, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{folder.name}: exit code {done.returncode}: {done.stderr}')
    return [json.loads(line) for line in done.stdout.split('\n')[:-1]]


def count_differences(name, what, inputs, wanted, got):
    bad = [i for i in range(len(wanted)) if i >= len(got) or wanted[i] != got[i]]
    for i in bad[:3]:
        pair = list(zip(wanted[i], got[i]))
        at = next((k for k, (w, g) in enumerate(pair) if w != g), len(pair))
        print(f'  {name} {what} line {i}: differs at {at}: {inputs[i]!r:.200}\n'
              f'    wanted {wanted[i][max(0, at - 3):at + 8]!r}\n    got    {got[i][max(0, at - 3):at + 8]!r}')
    return len(bad)


def compare(binary, folder, model, texts):
    """Compares the folder's reference with what the program makes of `model`, the folder or a file made of it."""
    reference = load_reference(folder)
    name = folder.name
    ids = reference.encode(texts, True)
    bad = count_differences(name, 'ids', texts, ids, run_dray(binary, model, texts))
    plain = reference.encode(texts, False)
    bad += count_differences(name, 'plain ids', texts, plain,
                             run_dray(binary, model, texts, '--no-special-tokens'))
    for flags, skip in [([], False), (['--skip-special-tokens'], True)]:
        wanted = reference.decode(ids, skip)
        got = run_dray(binary, model, ids, '--decode', *flags)
        bad += count_differences(name, f'decoded skip={skip}', ids, wanted, got)
    return bad + compare_pairs(binary, model, reference, texts), sum(map(len, ids))


def compare_pairs(binary, model, reference, texts):
    """Compares pairs of neighbours, whole and cut to a few lengths that every pair of them can have."""
    pairs = list(zip(texts[0::2], texts[1::2]))
    bad = 0
    for add, flags in [(True, []), (False, ['--no-special-tokens'])]:
        wanted = reference.pairs(pairs, add)
        bad += count_differences(model.name, f'pairs add={add}', pairs, flat(wanted),
                                 flat_output(run_dray(binary, model, pairs, *flags)))
    # The libraries keep all that they cut off, and try a list one by one if they cannot cut one of its pairs.
    few = pairs[:500]
    for strategy, limit in [('longest_first', 9), ('longest_first', 64), ('longest_first', 255), ('only_first', 40),
                            ('only_second', 41)]:
        wanted = reference.pairs(few, True, strategy, limit)
        kept = [i for i, want in enumerate(wanted) if want is not None]
        inputs = [few[i] for i in kept]
        got = run_dray(binary, model, inputs, '--max-tokens', str(limit), '--truncation', strategy)
        bad += count_differences(model.name, f'{strategy} {limit}', inputs, flat([wanted[i] for i in kept]),
                                 flat_output(got))
    return bad


def flat(pairs):
    """Returns one list for each pair of ids and types, to compare and to show."""
    return [[*zip(*pair)] for pair in pairs]


def flat_output(lines):
    return flat([(line['ids'], line['type_ids']) for line in lines])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--binary', required=True)
    parser.add_argument('--megabytes', type=float, default=2)
    parser.add_argument('--seed', type=int, default=5)
    parser.add_argument('--folder', type=pathlib.Path, default=pathlib.Path(__file__).parent / 'tokenizers')
    parser.add_argument('--gguf', type=pathlib.Path, help='give the program the files tokenizer-NAME.gguf of this folder')
    parser.add_argument('names', nargs='*')
    args = parser.parse_args()
    texts = fixed_lines() + hard_lines(int(args.megabytes * 1e6), seed=args.seed)
    texts += tie_lines(int(args.megabytes * 5e3), seed=args.seed)
    size = sum(len(text.encode()) for text in texts)
    total = 0
    for folder in sorted(args.folder.iterdir()):
        if not folder.is_dir() or (args.names and folder.name not in args.names):
            continue
        model = args.gguf / f'tokenizer-{folder.name}.gguf' if args.gguf else folder
        if not model.exists():
            continue
        bad, count = compare(args.binary, folder, model, texts)
        print(f'{folder.name:20} {len(texts):6} lines {size:9} bytes {count:9} ids {bad:4} differences')
        total += bad
    sys.exit(1 if total else 0)


if __name__ == '__main__':
    main()
