"""Small tokenizers of every shape that dray reads, built with Hugging Face's `tokenizers`."""

import io
import json
import random
import tempfile
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

from tokenizer_text import training_lines

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r'|\s*[\r\n]+|\s+(?!\S)|\s+')
QWEN2 = LLAMA3.replace(r'\p{N}{1,3}', r'\p{N}')
BLOOM = r' ?[^(\s|[.,!?…。，、।۔،])]+'
BYTES = [f'<0x{byte:02X}>' for byte in range(256)]


def special(text, **flags):
    return AddedToken(text, special=True, normalized=False, **flags)


def train_bpe(pre_tokenizer, size, specials=(), alphabet=(), normalizer=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(specials), initial_alphabet=list(alphabet),
        show_progress=False,
        **{key: options[key] for key in ['end_of_word_suffix'] if key in options})
    tokenizer.train_from_iterator(training_lines(1500), trainer)
    return tokenizer


def byte_level(size, pre_tokenizer=None, **options):
    return train_bpe(pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False), size,
                     alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)


def gpt2():
    tokenizer = byte_level(700, specials=['<|endoftext|>'])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def llama3():
    cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), 'isolated'),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = byte_level(700, cut)
    state = json.loads(tokenizer.to_str())
    state['model']['ignore_merges'] = True
    # Whole words that no merges produce; only ignore_merges finds them.
    for text in ['Ġentirely', 'zzzz', 'ĠworĠ']:
        state['model']['vocab'][text] = len(state['model']['vocab'])
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens([special('<|begin_of_text|>'), special('<|end_of_text|>'),
                                  special('<|eot_id|>')])
    bos = '<|begin_of_text|>'
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single=f'{bos} $A', pair=f'{bos} $A {bos}:1 $B:1',
                                      special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def sentencepiece_bpe(size):
    """Builds a BPE vocabulary like SentencePiece's: <unk> <s> </s>, the bytes, then pieces with ▁."""
    trained = train_bpe(pre_tokenizers.Metaspace(prepend_scheme='always'), size)
    state = json.loads(trained.to_str())
    vocab = {text: i for i, text in enumerate(['<unk>', '<s>', '</s>'] + BYTES)}
    # Rare characters are left out, so that byte fallback is used.
    rare = set('😀ლ') | {chr(code) for code in range(0x4E00, 0x9FFF, 3)} | set('ำีเ')
    kept = [text for text in state['model']['vocab'] if not set(text) & rare]
    for text in kept + ['▁▁', '▁▁▁▁', 'lo▁mi']:
        vocab.setdefault(text, len(vocab))
    merges = [m for m in state['model']['merges'] if all(part in vocab for part in m + [''.join(m)])]
    merges += [['▁', '▁'], ['▁▁', '▁▁']]
    return models.BPE(vocab=vocab, merges=[tuple(m) for m in merges], unk_token='<unk>', fuse_unk=True,
                      byte_fallback=True)


def with_bos(tokenizer, bos='<s>'):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{bos} $A', pair=f'{bos} $A {bos}:1 $B:1', special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


LLAMA_DECODER = [decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse()]


def llama2():
    tokenizer = Tokenizer(sentencepiece_bpe(800))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    tokenizer.add_special_tokens([special(text) for text in ['<unk>', '<s>', '</s>']])
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER + [decoders.Strip(' ', 1, 0)])
    return with_bos(tokenizer)


def llama2_metaspace():
    tokenizer = Tokenizer(sentencepiece_bpe(800))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme='first', split=False)
    tokenizer.add_special_tokens([special(text) for text in ['<unk>', '<s>', '</s>']])
    tokenizer.add_tokens([AddedToken('Madeup Token', normalized=True), AddedToken('<|WORD|>', single_word=True)])
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER + [decoders.Strip(' ', 1, 0)])
    return with_bos(tokenizer)


def gemma():
    tokenizer = Tokenizer(sentencepiece_bpe(700))
    tokenizer.normalizer = normalizers.Replace(' ', '▁')
    tokenizer.pre_tokenizer = pre_tokenizers.Split(' ', 'merged_with_previous')
    tokenizer.add_special_tokens([special(text) for text in ['<unk>', '<s>', '</s>', '<pad>']])
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER)
    return with_bos(tokenizer)


def train_unigram(size, normalizer, pre_tokenizer, byte_fallback):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    specials = ['<pad>', '</s>', '<unk>'] + (BYTES if byte_fallback else [])
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=specials, unk_token='<unk>',
                                      show_progress=False)
    tokenizer.train_from_iterator(training_lines(1500), trainer)
    state = json.loads(tokenizer.to_str())
    state['model']['byte_fallback'] = byte_fallback
    state['added_tokens'] = [token for token in state['added_tokens'] if token['content'] not in BYTES]
    return Tokenizer.from_str(json.dumps(state))


def proto_field(message, wanted):
    """Returns the bytes of field `wanted` of a serialized protobuf message."""
    def varint(pos):
        value = shift = 0
        while True:
            value |= (message[pos] & 0x7F) << shift
            shift += 7
            pos += 1
            if message[pos - 1] < 0x80:
                return value, pos
    pos = 0
    while pos < len(message):
        tag, pos = varint(pos)
        if tag & 7 == 0:
            _, pos = varint(pos)
        elif tag & 7 == 2:
            size, pos = varint(pos)
            if tag >> 3 == wanted:
                return message[pos:pos + size]
            pos += size
        else:
            pos += 4 if tag & 7 == 5 else 8
    raise KeyError(wanted)


def train_sentencepiece(lines, rules=None, **options):
    """Returns the bytes of a SentencePiece model with its own map of characters, or that of `rules` (text to text)."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    with tempfile.NamedTemporaryFile('w', suffix='.tsv') as table:
        if rules:
            for source, target in sorted(rules.items()):
                hexes = [' '.join(f'{ord(c):X}' for c in text) for text in (source, target)]
                table.write('\t'.join(hexes) + '\n')
            table.flush()
            options['normalization_rule_tsv'] = table.name
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, hard_vocab_limit=False, minloglevel=2, **options)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    proto.normalizer_spec.ClearField('normalization_rule_tsv')  # the name of the temporary file
    return proto.SerializeToString()


def t5_spiece(rules=None, **options):
    """Returns a spiece.model whose pieces begin as T5's: <pad> </s> <unk>."""
    return train_sentencepiece(training_lines(1500), rules, vocab_size=800, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                               **options)


def charsmap(rules=None):
    """Returns a character map compiled by SentencePiece: its own nmt_nfkc, or `rules` (text to text)."""
    model = train_sentencepiece(['a b c d e f g'] * 3, rules, vocab_size=12)
    return proto_field(proto_field(model, 3), 2)


def small_rules():
    """Returns enough of NFKC to reach every branch: replacements that are longer, shorter or empty, and sequences."""
    rules = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    rules.update({'\ufb01': 'fi', '\u00a0': ' ', '\u3000': ' ', '\u200b': ' ', '\t': ' ', '\n': ' ', '\x7f': '',
                  '\ufeff': ' ', '\u2026': '...', '\u33a1': 'm2', '\u212b': '\u00e5', '\r\n': ' '})
    for base in 'aeiouAEIOU':
        for mark in '\u0300\u0301\u0302\u0308':
            rules[base + mark] = unicodedata.normalize('NFC', base + mark)
    for code in range(0x1112, 0x1113):
        for vowel in range(0x1161, 0x1175):
            rules[chr(code) + chr(vowel)] = unicodedata.normalize('NFC', chr(code) + chr(vowel))
    return rules


def t5_like(precompiled):
    metaspace = pre_tokenizers.Metaspace(prepend_scheme='always')
    normalizer = normalizers.Sequence([normalizers.Precompiled(precompiled),
                                       normalizers.Replace(Regex(' {2,}'), ' ')])
    tokenizer = train_unigram(800, normalizer, metaspace, False)
    tokenizer.add_special_tokens([special(text) for text in ['<pad>', '</s>', '<unk>', '<extra_id_0>']])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme='always')
    tokenizer.post_processor = processors.TemplateProcessing(
        single='$A </s>', pair='$A </s> $B </s>', special_tokens=[('</s>', tokenizer.token_to_id('</s>'))])
    return tokenizer


def t5():
    return t5_like(charsmap(small_rules()))


def t5_full():
    """Has SentencePiece's whole nmt_nfkc map. It is too large to commit, so it is used only for comparisons."""
    return t5_like(charsmap())


def unigram_bytes():
    tokenizer = train_unigram(
        800, normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Lowercase()]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme='always')]),
        True)
    tokenizer.add_special_tokens([special('<s>', lstrip=True), special('<|RSTRIP|>', rstrip=True)])
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme='always')])
    return tokenizer


def unigram_ties():
    """Pieces with scores whose sums are equal, or differ in the last bit: as of headlines in source code."""
    rng = random.Random(5)
    pieces = [('<unk>', 0.0)]
    single = {sign: -rng.uniform(3, 9) for sign in '-=/*#. abx\u2581'}
    pieces += single.items()
    for sign in '-=/*#':
        for length in [2, 3, 4, 5, 7, 8, 16]:
            # Mostly the very sum of shorter ones, and sometimes a bit beside it.
            score = single[sign] * length
            pieces.append((sign * length, score if length % 2 else score * (1 + rng.randrange(-2, 3) * 2.0**-52)))
    for word in ['ab', 'ba', 'aab', 'abx', '//-', '-*-', '\u2581a', '\u2581ab', '==/', '.#']:
        pieces.append((word, sum(single[sign] for sign in word)))
    tokenizer = Tokenizer(models.Unigram(pieces, 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme='always')
    tokenizer.decoder = decoders.Metaspace(prepend_scheme='always')
    return tokenizer


def bert(lowercase=True):
    tokenizer = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    tokenizer.train_from_iterator(training_lines(1500), trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=names, show_progress=False))
    ids = [(name, tokenizer.token_to_id(name)) for name in ['[CLS]', '[SEP]']]
    tokenizer.post_processor = processors.BertProcessing(ids[1], ids[0])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def bloom():
    cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(BLOOM), 'isolated'),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = byte_level(700, cut, specials=['<unk>', '<s>', '</s>', '<pad>'])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def qwen2():
    cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), 'isolated'),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = byte_level(700, cut, normalizer=normalizers.NFC())
    tokenizer.add_special_tokens([special('<|endoftext|>'), special('<|im_start|>')])
    tokenizer.add_tokens([AddedToken('<|LSTRIP|>', lstrip=True, normalized=False),
                          AddedToken('<|RSTRIP|>', rstrip=True, normalized=True),
                          AddedToken('<|WORD|>', single_word=True, normalized=False),
                          AddedToken('Madeup Token', single_word=True, lstrip=True, rstrip=True)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def neox():
    tokenizer = byte_level(800, specials=['<|endoftext|>', '<|padding|>'], normalizer=normalizers.NFC())
    tokenizer.add_tokens([AddedToken(' ' * n, normalized=True) for n in range(24, 1, -1)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def clip():
    tokenizer = train_bpe(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]),
                          900, specials=['<unk>', '<s>'], normalizer=normalizers.Sequence(
                              [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]),
                          unk_token='<unk>', end_of_word_suffix='</w>')
    tokenizer.decoder = decoders.BPEDecoder('</w>')
    ids = [('</s>', 0), ('<s>', tokenizer.token_to_id('<s>'))]
    tokenizer.post_processor = processors.RobertaProcessing(ids[0], ids[1])
    return tokenizer


def wordlevel():
    tokenizer = Tokenizer(models.WordLevel(unk_token='<unk>'))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFKD(), normalizers.Replace(Regex(r'\d+'), '#')])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True),
         pre_tokenizers.CharDelimiterSplit('e'), pre_tokenizers.Split('an', 'merged_with_next'),
         pre_tokenizers.Split(Regex('[tr]'), 'contiguous', invert=True)])
    tokenizer.train_from_iterator(training_lines(600), trainers.WordLevelTrainer(
        vocab_size=600, special_tokens=['<unk>', '<s>'], show_progress=False))
    return tokenizer


VARIANTS = [gpt2, llama3, llama2, llama2_metaspace, gemma, t5, unigram_bytes, unigram_ties, bert, bloom, qwen2,
            neox, clip, wordlevel]
LARGE_VARIANTS = [t5_full]
