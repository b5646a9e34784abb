#!/usr/bin/env python3
"""Tests deploy/group/dray-pod: two pods, each in a network namespace of its own, serve one model, and serve again after the
second pod's rank is killed. Needs root, mpirun, ip, ssh and sshd.

    pods_test.py DRAY_PROGRAM
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parent.parent.parent
PROGRAM = None
LONGEST_WAIT_S = 120
ADDRESSES = ['10.77.9.1', '10.77.9.2']
TOOLS = ['mpirun', 'ip', 'ssh-keygen', 'sshd', 'curl']


def can_make_pods():
    return os.geteuid() == 0 and all(shutil.which(tool, path=os.environ['PATH'] + ':/usr/sbin') for tool in TOOLS)


def program_of(pid):
    """The path of a process' program; None if the process has ended."""
    try:
        return os.readlink(f'/proc/{pid}/exe')
    except OSError:
        return None


@unittest.skipUnless(can_make_pods(), f'needs root and {", ".join(TOOLS)}')
class PodsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.names = [f'dray{os.getpid()}-{i}' for i in range(2)]
        try:
            self.make_network()
        except subprocess.CalledProcessError as error:
            self.skipTest(f'no network namespaces here: {error}')
        self.make_image()
        keys = self.folder / 'keys'
        keys.mkdir()
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', keys / 'key'], check=True)
        Path('/run/sshd').mkdir(exist_ok=True)  # sshd wants it where it runs as root
        self.environment = os.environ | {
            'PATH': f'{self.folder}/bin:{os.environ["PATH"]}', 'GROUP_HOSTS': ' '.join(ADDRESSES), 'GROUP_KEYS': str(keys),
            'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1', 'RESTART_DELAY': '1', 'OPTION_THREADS': '1'}

    def make_network(self):
        """Two namespaces with a cable between them."""
        for name in self.names:
            subprocess.run(['ip', 'netns', 'add', name], check=True)
            self.addCleanup(subprocess.run, ['ip', 'netns', 'del', name])
        subprocess.run(['ip', 'link', 'add', 'cable', 'netns', self.names[0], 'type', 'veth', 'peer', 'name', 'cable', 'netns',
                        self.names[1]], check=True)
        for name, address in zip(self.names, ADDRESSES):
            for command in (['addr', 'add', f'{address}/24', 'dev', 'cable'], ['link', 'set', 'cable', 'up'],
                            ['link', 'set', 'lo', 'up']):
                subprocess.run(['ip', '-n', name, *command], check=True)

    def make_image(self):
        """What the image has in /usr/local/bin."""
        binaries = self.folder / 'bin'
        binaries.mkdir()
        for file in (PROGRAM, PROGRAM.parent / 'libdray_mpi.so', SOURCE / 'deploy/container/dray-health',
                     SOURCE / 'deploy/group/serve-group', SOURCE / 'deploy/group/dray-pod'):
            shutil.copy2(file, binaries)

    def in_pod(self, number, command):
        script = f'hostname pod-{number}; HOSTNAME=pod-{number} exec "$@"'
        return ['ip', 'netns', 'exec', self.names[number], 'unshare', '--uts', 'bash', '-c', script, 'pod', *command]

    def run_in_pod(self, number, command):
        return subprocess.run(self.in_pod(number, command), env=self.environment, capture_output=True, text=True,
                              timeout=LONGEST_WAIT_S)

    def start_pod(self, number):
        log = open(self.folder / f'log-{number}', 'w')
        self.addCleanup(log.close)
        command = self.in_pod(number, ['dray-pod', str(SOURCE / 'models/demo')])
        pod = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(self.end, pod)
        return pod

    def end(self, pod):
        if pod.poll() is None:
            pod.terminate()
        return pod.wait(LONGEST_WAIT_S)

    def logs(self):
        return '\n'.join(log.read_text() for log in sorted(self.folder.glob('log-*')))

    def ranks(self, number):
        """The processes of the program in a pod."""
        listed = subprocess.run(['ip', 'netns', 'pids', self.names[number]], capture_output=True, text=True).stdout.split()
        program = str(self.folder.resolve() / 'bin/dray')
        return [int(pid) for pid in listed if program_of(pid) == program]

    def is_ready(self, number):
        return self.run_in_pod(number, ['dray-pod', 'ready']).returncode == 0

    def wait_until(self, condition, pods):
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not condition():
            self.assertTrue(all(pod.poll() is None for pod in pods), self.logs())
            self.assertLess(time.monotonic(), deadline, self.logs())
            time.sleep(0.1)

    def test_serve_and_serve_again(self):
        pods = [self.start_pod(1), self.start_pod(0)]
        self.wait_until(lambda: self.is_ready(0), pods)
        self.assertTrue(self.is_ready(1))
        old = self.ranks(0) + self.ranks(1)
        self.assertEqual(len(old), 2)
        os.kill(self.ranks(1)[0], signal.SIGKILL)
        # Both processes are other ones.
        self.wait_until(lambda: self.ranks(0) and self.ranks(1) and not set(self.ranks(0) + self.ranks(1)) & set(old), pods)
        self.wait_until(lambda: self.is_ready(0), pods)
        answer = self.run_in_pod(0, ['curl', '-sS', '-H', 'Content-Type: application/json', '-d', '{"inputs": "The cat"}',
                                     'http://127.0.0.1:8080/invocations'])
        self.assertIn('generated_text', answer.stdout, self.logs())
        self.assertIn('2 stages', self.logs())
        self.assertEqual([self.end(pod) for pod in reversed(pods)], [0, 0], self.logs())
        self.assertEqual(self.ranks(0) + self.ranks(1), [])

    def test_another_key_is_refused(self):
        pods = [self.start_pod(1)]
        self.wait_until(lambda: self.is_ready(1), pods)
        other = self.folder / 'other'
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', other], check=True)
        for key, code in ((other, 255), (self.folder / 'keys/key', 0)):
            reached = self.run_in_pod(0, ['ssh', '-p', '2222', '-i', str(key), '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes',
                                          '-o', 'StrictHostKeyChecking=no', '-o', f'UserKnownHostsFile={self.folder}/known',
                                          ADDRESSES[1], 'true'])
            self.assertEqual(reached.returncode, code, reached.stderr)


if __name__ == '__main__':
    PROGRAM = Path(sys.argv.pop(1)).resolve()
    unittest.main()
