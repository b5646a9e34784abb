"""Reads a Containerfile: its stages, and what the image of each is told by its instructions."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = {'ARG', 'CMD', 'COPY', 'ENTRYPOINT', 'ENV', 'EXPOSE', 'FROM', 'HEALTHCHECK', 'LABEL', 'RUN', 'STOPSIGNAL', 'USER',
         'WORKDIR'}


class ContainerFileError(Exception):
    """The message names the line."""


@dataclass
class Instruction:
    keyword: str
    text: str  # without the keyword; lines that are continued are joined by spaces
    line: int  # where it begins, from 1


@dataclass
class Copy:
    sources: list
    target: str
    stage: str = None  # the stage whose files are copied; None: the build's context


@dataclass
class Stage:
    base: str  # an image, or an earlier stage, whose steps are among this one's then
    name: str
    steps: list = field(default_factory=list)

    def last(self, keyword):
        """The text of the last instruction of that name, or None."""
        texts = [step.text for step in self.steps if step.keyword == keyword]
        return texts[-1] if texts else None

    def labels(self):
        return pairs(' '.join(step.text for step in self.steps if step.keyword == 'LABEL'))


def instructions(text):
    """The instructions of a file's text, in their order."""
    found = []
    pending = None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith('#') or (not stripped and pending is None):
            continue
        if pending is None:
            keyword, _, rest = stripped.partition(' ')
            pending = Instruction(keyword.upper(), '', number)
            if pending.keyword not in KNOWN:
                raise ContainerFileError(f'line {number}: {keyword} is not an instruction that this reader knows')
        else:
            rest = stripped
        continues = rest.endswith('\\')
        pending.text = (pending.text + ' ' + rest.removesuffix('\\').strip()).strip()
        if not continues:
            found.append(pending)
            pending = None
    if pending is not None:
        raise ContainerFileError(f'line {pending.line}: {pending.keyword} does not end')
    return found


def substitute(text, variables):
    """Replaces $NAME and ${NAME}; an unknown name becomes nothing, as in a shell."""
    return re.sub(r'\$(?:\{(\w+)\}|(\w+))', lambda match: variables.get(match[1] or match[2], ''), text)


def pairs(text):
    """{'a': '1', 'b': 'x y'} of `a=1 b="x y"`."""
    return {name: value.strip('"') for name, value in re.findall(r'([\w.\-]+)=("[^"]*"|\S*)', text)}


def command(text):
    """The arguments of ENTRYPOINT, CMD or RUN: those of its JSON form, or a shell that runs the text."""
    return json.loads(text) if text.startswith('[') else ['/bin/sh', '-c', text]


def copy_of(step):
    words = step.text.split()
    options = [word for word in words if word.startswith('--')]
    paths = [word for word in words if not word.startswith('--')]
    stages = [option.removeprefix('--from=') for option in options if option.startswith('--from=')]
    if len(stages) != len(options) or len(paths) < 2:
        raise ContainerFileError(f'line {step.line}: COPY [--from=STAGE] SOURCE... TARGET is all that this reader knows')
    return Copy(paths[:-1], paths[-1], stages[0] if stages else None)


def read(path, build_arguments=None):
    """The stages of the file at `path`. `build_arguments` go over the defaults of ARG."""
    variables = {}
    stages = []
    for step in instructions(Path(path).read_text()):
        if step.keyword == 'ARG':
            name, _, default = step.text.partition('=')
            variables[name] = (build_arguments or {}).get(name, default)
        elif step.keyword == 'FROM':
            words = substitute(step.text, variables).split()
            steps = [list(stage.steps) for stage in stages if stage.name == words[0]]
            stages.append(Stage(words[0], words[2] if len(words) > 2 else str(len(stages)), *steps))
        elif not stages:
            raise ContainerFileError(f'line {step.line}: {step.keyword} stands before the first FROM')
        else:
            stages[-1].steps.append(step)
    return stages
