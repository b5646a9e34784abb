"""A folder that is the root of an image's file system: executes a Containerfile's steps there, and starts its program."""

import os
import shutil
import subprocess
from pathlib import Path

import container_file

# Mounts what an engine for containers mounts, then starts the arguments in the root. Its own arguments: the root, the
# working directory in it, and the option that names the user to chroot, or nothing.
ENTER = '''
set -e
for folder in proc sys dev; do mkdir -p "$1/$folder"; mount --rbind "/$folder" "$1/$folder"; done
root=$1 folder=$2 user=$3
shift 3
exec chroot $user "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
'''
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


def can_enter_roots():
    """Whether this user may mount and change the root, at least in a user namespace of its own."""
    mount = ['unshare', '--mount', *_as_root_of_a_namespace(), 'mount', '--rbind', '/proc', '/mnt']
    return subprocess.run(mount, capture_output=True).returncode == 0


def _as_root_of_a_namespace():
    return [] if os.geteuid() == 0 else ['--map-root-user']


class ImageRoot:
    """`context` is the folder of the build; `roots` has the other stages' roots by name."""

    def __init__(self, root, context, roots=None):
        self.root = Path(root)
        self.context = Path(context)
        self.roots = roots or {}
        self.environment = {'PATH': PATH}
        self.folder = '/'
        self.user = None

    def execute(self, step):
        """Executes one step of the file. Steps that only describe the image do nothing."""
        text = container_file.substitute(step.text, self.environment)
        if step.keyword == 'RUN':
            self.run(container_file.command(step.text))
        elif step.keyword == 'COPY':
            self._copy(container_file.copy_of(step))
        elif step.keyword == 'ENV':
            self.environment |= container_file.pairs(text)
        elif step.keyword == 'WORKDIR':
            self.folder = os.path.join(self.folder, text)
            self._inside(self.folder).mkdir(parents=True, exist_ok=True)
        elif step.keyword == 'USER':
            self.user = text

    def run(self, arguments):
        """Runs a program in the root to its end. Raises CalledProcessError if it fails; returns its output."""
        return subprocess.run(self._command(arguments), env=self.environment, check=True, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE).stdout

    def start(self, arguments, environment, **options):
        """Starts a program in the root with further variables; the result is that process itself."""
        return subprocess.Popen(self._command(arguments), env=self.environment | environment, text=True,
                                stdin=subprocess.DEVNULL, **options)

    def _command(self, arguments):
        # In a user namespace there is only one user, who is root there.
        user = f'--userspec={self.user}' if self.user and os.geteuid() == 0 else ''
        return ['unshare', '--mount', *_as_root_of_a_namespace(), '/bin/sh', '-c', ENTER, 'sh', str(self.root), self.folder, user,
                *arguments]

    def _inside(self, path):
        return self.root / os.path.join(self.folder, path).lstrip('/')

    def _copy(self, copy):
        origin = self.roots[copy.stage].root if copy.stage else self.context
        target = self._inside(copy.target)
        into_folder = copy.target.endswith('/') or len(copy.sources) > 1
        for source in copy.sources:
            path = origin / source.lstrip('/')
            place = target / path.name if into_folder and not path.is_dir() else target
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, place, dirs_exist_ok=True, symlinks=True)
            else:
                shutil.copy2(path, place)
