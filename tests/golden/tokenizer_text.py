"""Text to train and to test tokenizers, made from a seed without other data.

`training_lines` is plausible text in many scripts; `hard_lines` is text that tokenizers often get wrong. All
characters are in Unicode 12, because libraries differ about newer ones.
"""

import random

SYLLABLES = {
    'latin': 'ka lo mi ter ran sol ve dun pra shi est ing un re con tion al ne th wor ld'.split(),
    'accents': 'é ça über naï ñan øre ště łod ğü živ őr àm'.split(),
    'cyrillic': 'ста при мо ве рак до лю бит зем ля ый ого'.split(),
    'greek': 'λό γος και φω τιά θά λασ σα ψυ χή'.split(),
    'arabic': 'سلا م عال كتا ب مدر سة نور ال بيت'.split(),
    'hebrew': 'של ום עו לם בי ת ספר'.split(),
    'hindi': 'नम स्ते दुनि या किता ब क्षे त्र हिं दी'.split(),
    'thai': 'สวัส ดี ชาว โลก ภา ษา ไทย น้ำ'.split(),
    'korean': '안녕 하세 요 세계 한국 어 말'.split(),
    'japanese': 'こん にち は 世界 カタ カナ です ー'.split(),
    'chinese': '你好 世界 中文 文字 人工 智能 学习 的'.split(),
    'tamil': 'வண க்க ம் உல கம் தமி ழ்'.split(),
}
SPACELESS = {'thai', 'japanese', 'chinese'}
# One range for each script, with assigned letters, digits, signs and marks.
RANGES = [(0x20, 0x7E), (0xA1, 0xFF), (0x100, 0x17F), (0x300, 0x36F), (0x391, 0x3A1), (0x400, 0x45F),
          (0x5D0, 0x5EA), (0x621, 0x64A), (0x64B, 0x655), (0x904, 0x939), (0x93E, 0x94D), (0x966, 0x96F),
          (0xE01, 0xE3A), (0xE40, 0xE4E), (0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2),
          (0x1E00, 0x1EFF), (0x2010, 0x2027), (0x2030, 0x205E), (0x2070, 0x2071), (0x2100, 0x214F),
          (0x2150, 0x218B), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2460, 0x24FF), (0x2500, 0x257F),
          (0x3001, 0x3020), (0x3041, 0x3096), (0x30A1, 0x30FF), (0x3300, 0x33FF), (0x4E00, 0x4FFF),
          (0xAC00, 0xAD00), (0xF900, 0xFA2D), (0xFB00, 0xFB06), (0xFB1D, 0xFB36), (0xFE30, 0xFE4F),
          (0xFF01, 0xFF5E), (0x1D400, 0x1D454), (0x1F300, 0x1F5FF), (0x1F600, 0x1F64F),
          (0x20000, 0x20050)]
SPACES = [' ', '  ', '   ', '\t', '\n', '\n\n', '\r\n', ' \n', '\n ', '\u00a0', '\u2003', '\u3000',
          '\u200b', '\u2028', '\x0b', '\x85', '        ', '\t\t\t', ' \t ', '\n\n\n    ', '\ufeff']
EMOJI = ['😀', '👍🏽', '👨‍👩‍👧‍👦', '🇩🇪', '❤️', '🏳️‍🌈', '1️⃣', '👩🏿‍🚀']
CONTROL = ['\x00', '\x01', '\x07', '\x1b[31m', '\x7f', '\x9f', '\ufffd', '\u200d', '\u200c', '\u2060',
           '\u202e', '\ue000']
CODE = ['def f(x):\n    return x**2  # square\n', 'for (int i = 0; i < n; ++i) { a[i] += b[i]; }',
        '{"key": [1, 2.5e-3, null], "s": "\\n\\u00e9"}', "SELECT * FROM t WHERE a='b';--",
        '#!/bin/bash\necho "$HOME" | sed s/a/b/g\n', '<div class="x">&nbsp;</div>', 'C:\\dir\\file.txt',
        'https://example.com/a?b=c&d=%20#e', '0x1F 1e10 3.14159 1,000,000 12345678']
ENGLISH = ["I'm", "don't", "we'll", "they've", "it's", "you're", "I'd", "I'M", "DON'T", "'sup", "o'clock",
           "rock'n'roll", "'ſ", "''s", "'ll", "'Re", 'Hello,', 'world!', '(see', 'below)', '...', '?!',
           'e.g.', 'naïve', 'ﬁne', 'ǅ', 'İstanbul', 'ẞ', 'Ａｂｃ１２', '²³½', '①②', '™', '㎏', 'e\u0301',
           'a\u0323\u0307', 'q\u0307\u0323', '가', '\u1112\u1161\u11ab', '\u212b', '\u0344', '\u0958']
SPECIALS = ['<s>', '</s>', '<|endoftext|>', '<|im_start|>', '[CLS]', '[MASK]', '<unk>', '<0x41>', '<pad>',
            '▁', '▁▁the', 'Ġ', 'Ċ', '##ing', '<|LSTRIP|>', '<|RSTRIP|>', '<|WORD|>', 'Madeup Token', '</w>',
            '<extra_id_0>', '<|begin_of_text|>', '<|eot_id|>']


def word(rng, script):
    return ''.join(rng.choice(SYLLABLES[script]) for _ in range(rng.randint(1, 4)))


def sentence(rng, script):
    words = [word(rng, script) for _ in range(rng.randint(3, 12))]
    if script == 'latin':
        words[0] = words[0].capitalize()
        if rng.random() < 0.3:
            words.insert(1, rng.choice(ENGLISH[:12]))
        if rng.random() < 0.3:
            words.append(str(rng.randint(0, 99999)))
    text = ('' if script in SPACELESS else ' ').join(words)
    return text + rng.choice(['.', '!', '?', ',', '。' if script in SPACELESS else ';'])


def training_lines(count, seed=1):
    rng = random.Random(seed)
    scripts = list(SYLLABLES)
    lines = []
    for i in range(count):
        script = 'latin' if i % 2 else rng.choice(scripts)
        line = ' '.join(sentence(rng, script) for _ in range(rng.randint(1, 3)))
        if i % 15 == 0:
            line = rng.choice(CODE)
        lines.append(line)
    return lines


def random_char(rng):
    low, high = rng.choice(RANGES)
    return chr(rng.randint(low, high))


def hard_piece(rng):
    kind = rng.randrange(12)
    if kind < 3:
        return sentence(rng, rng.choice(list(SYLLABLES)))
    if kind == 3:
        return rng.choice(CODE)
    if kind == 4:
        return rng.choice(EMOJI)
    if kind == 5:
        return rng.choice(CONTROL)
    if kind == 6:
        return rng.choice(SPECIALS)
    if kind == 7:
        return rng.choice(ENGLISH)
    if kind == 8:
        return ''.join(random_char(rng) for _ in range(rng.randint(1, 8)))
    if kind == 9:
        return rng.choice('aA1-_=.~日é') * rng.randint(1, 40)
    if kind == 10:
        broken = bytes(rng.randrange(256) for _ in range(rng.randint(1, 6)))
        return broken.decode('utf-8', errors='replace') if broken.isascii() else \
            ('é日😀'.encode()[: rng.randint(1, 8)]).decode('utf-8', errors='replace')
    return ''.join(rng.choice(SPACES) for _ in range(rng.randint(1, 4)))


def hard_line(rng, pieces):
    parts = []
    for _ in range(pieces):
        parts.append(hard_piece(rng))
        if rng.random() < 0.5:
            parts.append(rng.choice(SPACES) if rng.random() < 0.3 else ' ')
    return ''.join(parts)


def hard_lines(num_bytes, seed=2, max_pieces=30):
    """Lines of mixed text, at least `num_bytes` of UTF-8 in all."""
    rng = random.Random(seed)
    lines, total = [], 0
    while total < num_bytes:
        line = hard_line(rng, rng.randint(1, max_pieces))
        lines.append(line)
        total += len(line.encode())
    return lines


def fixed_lines():
    """Short texts that each test one thing."""
    lines = ['', ' ', '  ', 'a', ' a', 'a ', '  a  b  ', '\n', 'Hello world', ' Hello world',
             'Hello  world\n\n  again ', "I'm sure they'LL say it's o'clock", '1234567890 12 3', 'ABC def',
             '▁', '▁a', ' ▁a', '\u00a0a', '\u3000', 'a\u0301', '日本語', 'ไทย', '🙂', '👨‍👩‍👧‍👦', '\x00', '\ufffd', 'ſ',
             'x' * 200, ' ' * 100, 'a b ' * 40]
    for special in SPECIALS:
        lines += [special, f'a{special}b', f' {special} ', f'{special}{special}', f'x  {special}\n y',
                  f'{special.lower()} {special.upper()}']
    return lines


def tie_lines(count, seed):
    """Lines of few signs, which a vocabulary of repeated signs can cut in many equally likely ways."""
    rng = random.Random(seed)
    runs = ['-', '=', '--', '//', ' ', 'ab', 'a', 'x', '#', '*', '-' * 9, '=' * 7, '/' * 16, '.', '-*-', '#' * 5]
    return ['//===-- x.h ----------------'] + [
        ''.join(rng.choice(runs) for _ in range(rng.randrange(1, 25))) for _ in range(count - 1)]
