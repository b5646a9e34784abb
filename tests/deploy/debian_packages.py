"""Which installed Debian package a file belongs to, and what packages need."""

import functools
import re
import subprocess
from pathlib import Path


@functools.lru_cache(maxsize=None)
def installed():
    """{name: (names that it depends on, whether every Debian system has it)} of the installed packages."""
    form = '${Package}\t${Pre-Depends}, ${Depends}\t${Essential}\t${Priority}\n'
    listing = subprocess.run(['dpkg-query', '-W', '-f', form], check=True, capture_output=True, text=True).stdout
    packages = {}
    for line in listing.splitlines():
        name, depends, essential, priority = line.split('\t')
        needs = set(re.findall(r'[a-z0-9][a-z0-9+.\-]+(?=\s*(?:\(|:|,|\||$))', depends))
        packages[name] = (needs, essential == 'yes' or priority == 'required')
    return packages


def with_dependencies(names, packages):
    """The names and all that they depend on, as far as it is installed."""
    found = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in packages and name not in found:
            found.add(name)
            waiting += packages[name][0]
    return found


@functools.lru_cache(maxsize=None)
def owner(path):
    """The package that a file belongs to, under its real name or as a part of /lib or /bin; None: none."""
    for name in dict.fromkeys([str(path), str(Path(path).resolve()), str(Path(path).resolve()).removeprefix('/usr')]):
        found = subprocess.run(['dpkg-query', '-S', name], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(':')[0]
    return None


def libraries(program):
    """The files of all libraries that a program is linked to, and the loader."""
    listing = subprocess.run(['ldd', str(program)], check=True, capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r'(?:^|=> )\s*(/\S+) \(0x', listing, re.MULTILINE)]


def direct_libraries(program):
    """The names of the libraries that a program itself asks for."""
    listing = subprocess.run(['readelf', '-d', str(program)], check=True, capture_output=True, text=True).stdout
    return re.findall(r'\(NEEDED\).*\[(.*)\]', listing)
