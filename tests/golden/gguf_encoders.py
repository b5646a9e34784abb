#!/usr/bin/env python3
"""Writes the tokenizers of encoders as GGUF metadata, as llama.cpp's converter does it.

    tests/golden/gguf_encoders.py [--out tests/golden/gguf] [--folder tests/golden/tokenizers] [name ...]

A folder with a spiece.model becomes a tokenizer-NAME.gguf of the kind "t5", and one with a vocab.txt a file of the kind
"bert". Made with gguf 0.19.0, transformers 5.23.0 and sentencepiece 0.2.3.
"""

import argparse
import os
import pathlib

import gguf

HERE = pathlib.Path(__file__).parent
FILLERS = 128  # how many ids a model's embeddings have beyond the pieces: T5's sentinels and unused ones


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def write_t5(folder, out):
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((folder / 'spiece.model').read_bytes())
    tokens = [piece.piece for piece in proto.pieces]
    scores = [piece.score for piece in proto.pieces]
    types = [piece.type for piece in proto.pieces]
    extra = 0 if 'mt5' in folder.name else FILLERS
    tokens += [f'[PAD{len(tokens) + i}]' for i in range(extra)]
    scores += [-10000.0] * extra
    types += [gguf.TokenType.UNUSED] * extra
    writer = gguf.GGUFWriter(out, 't5')
    writer.add_tokenizer_model('t5')
    writer.add_tokenizer_pre('default')
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
    writer.add_remove_extra_whitespaces(proto.normalizer_spec.remove_extra_whitespaces)
    writer.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
    writer.add_eos_token_id(proto.trainer_spec.eos_id)
    writer.add_unk_token_id(proto.trainer_spec.unk_id)
    writer.add_pad_token_id(proto.trainer_spec.pad_id)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(True)
    finish(writer)


def write_bert(folder, out):
    os.environ['TRANSFORMERS_VERBOSITY'] = 'error'
    from transformers import AutoTokenizer
    auto = AutoTokenizer.from_pretrained(str(folder))
    added = auto.added_tokens_decoder
    tokens, types = [], []
    for id in range(max(auto.get_vocab().values()) + 1):
        token = auto.convert_ids_to_tokens(id)
        if token is None:
            tokens.append(f'[PAD{id}]')
            types.append(gguf.TokenType.UNUSED)
        elif id in added:
            tokens.append(token)
            types.append(gguf.TokenType.CONTROL if added[id].special else gguf.TokenType.USER_DEFINED)
        else:
            tokens.append(token[2:] if token.startswith('##') else '\u2581' + token)
            types.append(gguf.TokenType.NORMAL)
    writer = gguf.GGUFWriter(out, 'bert')
    writer.add_tokenizer_model('bert')
    writer.add_tokenizer_pre('default')
    writer.add_token_type_count(2)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_bos_token_id(auto.cls_token_id)
    writer.add_eos_token_id(auto.sep_token_id)
    writer.add_sep_token_id(auto.sep_token_id)
    writer.add_unk_token_id(auto.unk_token_id)
    writer.add_pad_token_id(auto.pad_token_id)
    writer.add_mask_token_id(auto.mask_token_id)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    finish(writer)


def write_seeds():
    """Writes a small file of each kind as a seed of the fuzz target."""
    corpus = HERE.parent.parent / 'fuzz/corpus/gguf'
    charsmap = (8).to_bytes(4, 'little') + bytes(8) + b' \0'
    for kind in ['bert', 't5']:
        tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '\u2581a', 'few', '\u2581few', '[PAD7]']
        types = [gguf.TokenType.CONTROL] * 4 + [gguf.TokenType.NORMAL] * 3 + [gguf.TokenType.UNUSED]
        writer = gguf.GGUFWriter(corpus / f'{kind}.gguf', kind)
        writer.add_tokenizer_model(kind)
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        writer.add_unk_token_id(1)
        writer.add_eos_token_id(3)
        if kind == 't5':
            writer.add_token_scores([-float(i) for i in range(len(tokens))])
            writer.add_precompiled_charsmap(charsmap)
        else:
            writer.add_bos_token_id(2)
            writer.add_sep_token_id(3)
        finish(writer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--out', type=pathlib.Path, default=HERE / 'gguf')
    parser.add_argument('--folder', type=pathlib.Path, default=HERE / 'tokenizers')
    parser.add_argument('names', nargs='*', default=['bert_cased', 'bert_files', 'mt5_files', 't5_files'])
    parser.add_argument('--seeds', action='store_true', help='write the seeds of the fuzz target instead')
    args = parser.parse_args()
    if args.seeds:
        return write_seeds()
    for name in args.names:
        write = write_t5 if (args.folder / name / 'spiece.model').exists() else write_bert
        write(args.folder / name, args.out / f'tokenizer-{name}.gguf')


if __name__ == '__main__':
    main()
