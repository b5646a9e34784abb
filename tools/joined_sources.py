#!/usr/bin/env python3
"""Says which sources may be compiled as one translation unit, which reads the headers that they share once.

They must have no local name in common: no name of their unnamed namespaces, and no alias. The test is one of
text, so it can be wrong; then the compiler says so.

usage: tools/joined_sources.py SIZE SOURCE...    prints a line for each source, in their order: the number of its unit
"""

import re
import sys
from pathlib import Path

UNNAMED = re.compile(r'^namespace \{$(.*?)^\}  // namespace$', re.M | re.S)
NAME = re.compile(r'^(?=[a-zA-Z])(?!using namespace|template|public:|private:)'
                  r'(?:[\w:<>,*&\[\] .]*?[\s*&])?(\w+)(?:\(|;| =|\[| \{|\{| :|$)', re.M)
ALIAS = re.compile(r'^(?:using|namespace) (\w+) =', re.M)


def local_names(path):
    """Returns the names that only the source knows: those of its unnamed namespaces and its aliases."""
    text = Path(path).read_text(errors='replace')
    return set(ALIAS.findall(text)).union(*(NAME.findall(part) for part in UNNAMED.findall(text)))


def make_units(sources, size):
    """Returns lists of at most `size` of `sources`, each of which can be one translation unit."""
    units = []
    for source in sources:
        names = local_names(source)
        unit = next((u for u in units if len(u[0]) < size and not u[1] & names), None)
        if unit is None:
            unit = ([], set())
            units.append(unit)
        unit[0].append(source)
        unit[1].update(names)
    return [unit for unit, _ in units]


def main():
    if len(sys.argv) < 3 or not sys.argv[1].isdecimal():
        print(__doc__.split('\n\n')[-1].strip(), file=sys.stderr)
        return 2
    sources = sys.argv[2:]
    numbers = {source: number for number, unit in enumerate(make_units(sources, int(sys.argv[1]))) for source in unit}
    print('\n'.join(str(numbers[source]) for source in sources))
    return 0


if __name__ == '__main__':
    sys.exit(main())
