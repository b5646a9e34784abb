"""Analyses C++ text for the checks of this folder: removes comments and literals, and finds functions. Does not
use a compiler: the checks must run in a second, and also on files that do not compile yet."""

import re
from functools import lru_cache
from pathlib import Path

# Matches a raw string, an ordinary literal or a comment, whichever begins first.
_OPAQUE = re.compile(
    r'R"(?P<delim>[^()\s\\]{0,16})\((?:.|\n)*?\)(?P=delim)"'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'"
    r'|//(?:[^\n\\]|\\.|\\\n)*'
    r'|/\*(?:.|\n)*?\*/')


def blank(text, keep_strings=False):
    """Returns `text` with spaces in place of comments and literals; line numbers stay the same."""

    def replace(match):
        found = match.group(0)
        is_comment = found.startswith('/')
        if keep_strings and not is_comment:
            return found
        return re.sub(r'[^\n]', ' ', found)

    return _OPAQUE.sub(replace, text)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


_DIRECTIVE = re.compile(r'^[ \t]*#(?:[^\n\\]|\\\n|\\.)*', re.M)
_BEFORE_HEAD = re.compile(r'(?:\s|\b(?:public|protected|private)\s*:(?!:))*')
_CONTAINER = re.compile(r'\b(?:namespace|class|struct|union|enum)\b|\bextern\s*$')


def functions(text):
    """Returns (first line, last line, head) of each function that is not inside another."""
    text = _DIRECTIVE.sub(lambda m: re.sub(r'[^\n]', ' ', m.group(0)), blank(text))
    found = []
    stack = []  # per open brace: 'container', 'function' or 'other'
    start = None
    head_begin = 0
    for match in re.finditer(r'[{};]', text):
        mark = match.group(0)
        if mark == '{':
            head = text[head_begin:match.start()]
            kind = _kind(head) if all(k == 'container' for k in stack) else 'other'
            stack.append(kind)
            if kind == 'function':
                begin = _BEFORE_HEAD.match(head).end()
                start = head_begin + begin, ' '.join(head[begin:].split())
        elif mark == '}' and stack:
            if stack.pop() == 'function':
                found.append((line_of(text, start[0]), line_of(text, match.start()), start[1]))
        head_begin = match.end()
    return found


def _kind(head):
    """Says what the brace after `head` opens, at namespace or class scope."""
    without_templates = re.sub(r'\btemplate\s*<[^{}()]*>', ' ', head)
    has_parameters = ')' in re.sub(r'\balignas\s*\([^()]*\)|\b__attribute__\s*\(\([^()]*\)\)', ' ',
                                   without_templates)
    if has_parameters and not re.search(r'=\s*$', without_templates):
        return 'function'
    if _CONTAINER.search(without_templates) and '=' not in without_templates:
        return 'container'
    return 'other'


def source_files(root, folders, suffixes):
    """Files below root/folder for each of `folders` whose name ends with one of `suffixes`, sorted."""
    files = []
    for folder in folders:
        files += [p for p in (Path(root) / folder).rglob('*')
                  if p.name.endswith(tuple(suffixes)) and p.is_file()]
    return sorted(files)


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.M)


@lru_cache(maxsize=None)
def includes(root, path):
    """Returns (headers of ours, other headers) that `path` names."""
    ours, others = set(), set()
    for quoted, angled in INCLUDE.findall(path.read_text(errors='replace')):
        found = next((base / quoted for base in (root / 'src', path.parent, root) if (base / quoted).is_file()), None)
        if quoted and found:
            ours.add(found.resolve())
        else:
            others.add(quoted or angled)
    return ours, others
