#!/usr/bin/env python3
"""Tests deploy/container/: that each instruction is right, and that the entry point serves in a root that has nothing but
the libraries which the image has.

    container_file_test.py DRAY_PROGRAM
"""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import container_file  # noqa: E402
import debian_packages  # noqa: E402
import image_root  # noqa: E402

SOURCE = HERE.parent.parent
CONTAINER = SOURCE / 'deploy/container'
PROGRAM = None
LONGEST_WAIT_S = 120


def is_debian_12():
    release = Path('/etc/os-release')
    return release.exists() and 'VERSION_CODENAME=bookworm' in release.read_text() and shutil.which('dpkg-query')


def listed_packages(name='packages.txt'):
    lines = (CONTAINER / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


class ReaderTest(unittest.TestCase):
    def test_lines_comments_and_continuations(self):
        steps = container_file.instructions('# x\nFROM a AS b\n\nrun one && \\\n  # between\n  two\nCMD ["c"]\n')
        self.assertEqual([(step.keyword, step.text, step.line) for step in steps],
                         [('FROM', 'a AS b', 2), ('RUN', 'one && two', 4), ('CMD', '["c"]', 7)])

    def test_what_is_not_understood_is_refused(self):
        for text, message in [('FROM a\nFETCH b', 'line 2: FETCH'), ('RUN a \\\n', 'line 1: RUN does not end')]:
            with self.assertRaisesRegex(container_file.ContainerFileError, message):
                container_file.instructions(text)
        step = container_file.Instruction('COPY', '--chown=a b c', 3)
        with self.assertRaisesRegex(container_file.ContainerFileError, 'line 3'):
            container_file.copy_of(step)

    def test_pairs_commands_and_variables(self):
        self.assertEqual(container_file.pairs('a.b-c=1 d="e f"'), {'a.b-c': '1', 'd': 'e f'})
        self.assertEqual(container_file.command('["a", "b"]'), ['a', 'b'])
        self.assertEqual(container_file.command('a b'), ['/bin/sh', '-c', 'a b'])
        self.assertEqual(container_file.substitute('$A-${B}-$C', {'A': '1', 'B': '2'}), '1-2-')


class ContainerFileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stages = container_file.read(CONTAINER / 'Containerfile')
        cls.image = cls.stages[-1]

    def test_stages_have_the_same_base(self):
        bases = {stage.base for stage in self.stages} - {stage.name for stage in self.stages}
        self.assertEqual(bases, {'debian:12-slim'})
        other = container_file.read(CONTAINER / 'Containerfile', {'DEBIAN': 'mirror/debian:12'})
        self.assertEqual(other[0].base, 'mirror/debian:12')

    def test_the_last_stage_is_the_server(self):
        server, group = [next(stage for stage in self.stages if stage.name == name) for name in ('server', 'group')]
        self.assertEqual(self.image.steps, server.steps)
        self.assertEqual(group.steps[:len(server.steps)], server.steps)
        self.assertEqual(group.last('USER'), server.last('USER'))

    def test_copies_have_sources(self):
        tracked = subprocess.run(['git', '-C', SOURCE, 'ls-files'], capture_output=True, text=True).stdout.splitlines()
        names = [stage.name for stage in self.stages]
        for stage in self.stages:
            for step in stage.steps:
                if step.keyword != 'COPY':
                    continue
                copy = container_file.copy_of(step)
                if copy.stage:
                    self.assertIn(copy.stage, names[:names.index(stage.name)])
                    continue
                for source in copy.sources:
                    self.assertTrue((SOURCE / source).exists(), source)
                    if tracked:
                        self.assertTrue(any(name == source or name.startswith(source + '/') for name in tracked), source)

    def test_the_image_is_what_sagemaker_and_kubernetes_expect(self):
        labels = self.image.labels()
        for label in ('accept-bind-to-port', 'multi-models'):
            self.assertEqual(labels[f'com.amazonaws.sagemaker.capabilities.{label}'], 'true')
        self.assertEqual(self.image.last('EXPOSE'), '8080')
        self.assertEqual(self.image.last('STOPSIGNAL'), 'SIGTERM')
        self.assertRegex(self.image.last('USER'), '^[1-9][0-9]*:[1-9][0-9]*$')
        self.assertEqual(container_file.command(self.image.last('ENTRYPOINT')), ['dray'])
        self.assertEqual(container_file.command(self.image.last('CMD')), ['serve'])
        self.assertIn('CMD ["dray-health"]', self.image.last('HEALTHCHECK'))

    def test_scripts_are_shell(self):
        scripts = [CONTAINER / 'dray-health']
        for script in scripts:
            self.assertTrue(os.access(script, os.X_OK), script)
            subprocess.run(['bash', '-n', script], check=True)
            if shutil.which('shellcheck'):
                subprocess.run(['shellcheck', script], check=True)


@unittest.skipUnless(is_debian_12(), 'the packages of the image are those of Debian 12')
class PackagesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = debian_packages.installed()
        system = [name for name, (_, is_everywhere) in cls.packages.items() if is_everywhere]
        cls.offered = debian_packages.with_dependencies(listed_packages() + system, cls.packages)

    def test_cover_all_libraries_of_the_program(self):
        for library in debian_packages.libraries(PROGRAM):
            self.assertIn(debian_packages.owner(library), self.offered, library)

    def test_each_is_needed(self):
        files = {library.name: library for library in debian_packages.libraries(PROGRAM)}
        direct = {debian_packages.owner(files[name]) for name in debian_packages.direct_libraries(PROGRAM) if name in files}
        self.assertEqual(set(listed_packages()) - direct, set())


    def test_the_groups_cover_the_mpi_library(self):
        library = PROGRAM.parent / 'libdray_mpi.so'
        if not library.exists():
            self.skipTest('built without MPI')
        listed = listed_packages('packages_group.txt')
        offered = debian_packages.with_dependencies(listed, self.packages) | self.offered
        for needed in debian_packages.libraries(library):
            self.assertIn(debian_packages.owner(needed), offered, needed)
        for tool in ('/usr/bin/mpirun.openmpi', '/usr/bin/orted', '/usr/bin/ssh', '/usr/sbin/sshd'):
            if Path(tool).exists():
                self.assertIn(debian_packages.owner(tool), listed)


def free_port():
    """A port that nothing listens on, below those of outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) != 0:
                return port


@unittest.skipUnless(is_debian_12(), 'the packages of the image are those of Debian 12')
@unittest.skipUnless(image_root.can_enter_roots(), 'this user may not change the root, even in a namespace')
class EntryPointTest(unittest.TestCase):
    """The image's last stage in a root of this machine's own files. Its RUN steps, which need a network, are left out."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        root = Path(self.folder.name) / 'root'
        self.make_base(root)
        built = Path(self.folder.name) / 'built'
        (built / 'src/build/release').mkdir(parents=True)
        shutil.copy2(PROGRAM, built / 'src/build/release/dray')
        self.stage = container_file.read(CONTAINER / 'Containerfile')[-1]
        self.image = image_root.ImageRoot(root, SOURCE, {'build': image_root.ImageRoot(built, SOURCE)})
        for step in self.stage.steps:
            if step.keyword != 'RUN':
                self.image.execute(step)
        shutil.copytree(SOURCE / 'models/demo', root / 'opt/ml/model')

    def make_base(self, root):
        """A shell, the loader, and those libraries of the program that the listed packages bring."""
        packages = debian_packages.installed()
        system = [name for name, (_, is_everywhere) in packages.items() if is_everywhere]
        offered = debian_packages.with_dependencies(listed_packages() + system, packages)
        for name in ('bin', 'lib', 'lib64'):
            (root / 'usr' / name).mkdir(parents=True)
            (root / name).symlink_to(f'usr/{name}')
        (root / 'tmp').mkdir()
        (root / 'tmp').chmod(0o1777)
        root.chmod(0o755)
        for file in [Path('/bin/bash'), *debian_packages.libraries('/bin/bash'), *debian_packages.libraries(PROGRAM)]:
            if debian_packages.owner(file) in offered:
                place = root / str(file).lstrip('/')
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, place)
        (root / 'bin/sh').symlink_to('bash')

    def start(self, arguments, environment):
        """What `docker run -e ... IMAGE ARGUMENT...` starts."""
        command = container_file.command(self.stage.last('ENTRYPOINT'))
        command += arguments or container_file.command(self.stage.last('CMD'))
        log = open(Path(self.folder.name) / 'log', 'w')
        self.addCleanup(log.close)
        process = self.image.start(command, environment, stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()

    def log(self):
        return (Path(self.folder.name) / 'log').read_text()

    def health(self, port):
        check = self.stage.last('HEALTHCHECK').partition('CMD ')[2]
        checked = self.image.start(container_file.command(check), {'SAGEMAKER_BIND_TO_PORT': str(port)}, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        return checked.wait(), checked.communicate()[0]

    def answer(self, port, method, path, body=None):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=LONGEST_WAIT_S)
        try:
            connection.request(method, path, body, {'Content-Type': 'application/json'} if body else {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except ConnectionRefusedError:
            return 0, ''
        finally:
            connection.close()

    def expect_service(self, process, port):
        deadline = time.monotonic() + LONGEST_WAIT_S
        while self.answer(port, 'GET', '/ping')[0] != 200:
            self.assertIsNone(process.poll(), self.log())
            self.assertLess(time.monotonic(), deadline, self.log())
            time.sleep(0.05)
        status, body = self.answer(port, 'POST', '/invocations', '{"inputs": "The cat", "parameters": {"max_new_tokens": 4}}')
        self.assertEqual(status, 200, body)
        self.assertIn('generated_text', json.loads(body))
        self.assertEqual(self.health(port), (0, 'HTTP/1.1 200 OK\n'))
        self.assertIn(f'http://0.0.0.0:{port}', self.log())
        process.send_signal(getattr(signal, self.stage.last('STOPSIGNAL')))
        self.assertEqual(process.wait(LONGEST_WAIT_S), 0, self.log())
        self.assertEqual(self.health(port)[0], 1)

    def test_as_sagemaker_starts_it(self):
        port = free_port()
        self.expect_service(self.start(['serve'], {'SAGEMAKER_BIND_TO_PORT': str(port), 'OPTION_THREADS': '1'}), port)

    def test_without_a_word(self):
        port = free_port()
        self.expect_service(self.start([], {'SERVING_PORT': str(port), 'OPTION_THREADS': '1'}), port)

    def test_other_commands(self):
        process = self.start(['inspect', '/opt/ml/model', '--summary'], {})
        self.assertEqual(process.wait(LONGEST_WAIT_S), 0, self.log())
        self.assertIn('llama', self.log().lower())


if __name__ == '__main__':
    PROGRAM = Path(sys.argv.pop(1)).resolve()
    unittest.main()
