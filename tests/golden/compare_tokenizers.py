#!/usr/bin/env python3
"""Compares `dray tokenize` with Hugging Face's `tokenizers` on megabytes of mixed text.

    tests/golden/compare_tokenizers.py --binary build/release/dray [--megabytes 2] [--seed 5] [name ...]

For every folder of tests/golden/tokenizers it compares the ids of every line with and without special tokens,
and the text of the ids with and without skipping special tokens. Prints one row for each tokenizer. The exit
code is 1 if anything differs.
Made with tokenizers 0.23.3 and transformers 5.23.0.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from tokenizer_text import fixed_lines, hard_lines, tie_lines


def load_reference(folder):
    if not (folder / 'tokenizer_config.json').exists():
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
        return (lambda text, add: tokenizer.encode(text, add_special_tokens=add).ids,
                lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip))
    from transformers import AutoTokenizer
    auto = AutoTokenizer.from_pretrained(str(folder))
    return (lambda text, add: auto(text, add_special_tokens=add)['input_ids'],
            lambda ids, skip: auto.decode(ids, skip_special_tokens=skip))


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


def compare(binary, folder, texts):
    encode, decode = load_reference(folder)
    name = folder.name
    ids = [encode(text, True) for text in texts]
    bad = count_differences(name, 'ids', texts, ids, run_dray(binary, folder, texts))
    plain = [encode(text, False) for text in texts]
    bad += count_differences(name, 'plain ids', texts, plain,
                             run_dray(binary, folder, texts, '--no-special-tokens'))
    for flags, skip in [([], False), (['--skip-special-tokens'], True)]:
        wanted = [decode(line, skip) for line in ids]
        got = run_dray(binary, folder, ids, '--decode', *flags)
        bad += count_differences(name, f'decoded skip={skip}', ids, wanted, got)
    return bad, sum(map(len, ids))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--binary', required=True)
    parser.add_argument('--megabytes', type=float, default=2)
    parser.add_argument('--seed', type=int, default=5)
    parser.add_argument('--folder', type=pathlib.Path, default=pathlib.Path(__file__).parent / 'tokenizers')
    parser.add_argument('names', nargs='*')
    args = parser.parse_args()
    texts = fixed_lines() + hard_lines(int(args.megabytes * 1e6), seed=args.seed)
    texts += tie_lines(int(args.megabytes * 5e3), seed=args.seed)
    size = sum(len(text.encode()) for text in texts)
    total = 0
    for folder in sorted(args.folder.iterdir()):
        if not folder.is_dir() or (args.names and folder.name not in args.names):
            continue
        bad, count = compare(args.binary, folder, texts)
        print(f'{folder.name:20} {len(texts):6} lines {size:9} bytes {count:9} ids {bad:4} differences')
        total += bad
    sys.exit(1 if total else 0)


if __name__ == '__main__':
    main()
