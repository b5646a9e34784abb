#!/usr/bin/env python3
"""Tests deploy/group/: the scripts that start a group of ranks, and start it again.

    group_test.py DRAY_PROGRAM
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from container_file_test import LONGEST_WAIT_S, free_port  # noqa: E402

SOURCE = HERE.parent.parent
GROUP = SOURCE / 'deploy/group'
PROGRAM = None

# Stands in for Slurm: starts the tasks by mpirun, with Slurm's variables in the place of mpirun's.
SRUN = '''#!/bin/bash
printf '%s\\n' "$@" > "$SRUN_ARGUMENTS"
while [[ $1 == --* ]]; do shift; done
exec mpirun -np 2 --oversubscribe --allow-run-as-root --bind-to none bash -c '
  export SLURM_PROCID=$OMPI_COMM_WORLD_RANK SLURM_NTASKS=$OMPI_COMM_WORLD_SIZE SLURM_LOCALID=$OMPI_COMM_WORLD_LOCAL_RANK
  export SLURM_NODEID=0 SLURM_STEP_TASKS_PER_NODE=2
  unset "${!OMPI_COMM_WORLD_@}"
  exec "$@"' task "$@"
'''


def run(arguments, **variables):
    return subprocess.run(arguments, env=os.environ | variables, capture_output=True, text=True, timeout=LONGEST_WAIT_S)


class ScriptsTest(unittest.TestCase):
    def test_are_shell(self):
        for script in GROUP.iterdir():
            self.assertTrue(os.access(script, os.X_OK), script)
            subprocess.run(['bash', '-n', script], check=True)
            if shutil.which('shellcheck'):
                subprocess.run(['shellcheck', script], check=True)


class RestartTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.count = Path(folder.name) / 'count'

    def serve_group(self, job):
        """A job that notes each of its starts in the file $COUNT."""
        return [GROUP / 'serve-group', 'bash', '-c', f'echo start >> {self.count}; {job}']

    def starts(self):
        return self.count.read_text().count('start')

    def test_a_job_that_fails_is_started_again(self):
        ended = run(self.serve_group(f'[ $(wc -l < {self.count}) -ge 3 ]'), RESTART_DELAY='0')
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(self.starts(), 3)
        self.assertEqual(ended.stderr.count('the job ended with code 1; starting it again in 0 s'), 2)

    def test_a_job_that_always_fails_ends(self):
        ended = run(self.serve_group('exit 7'), RESTART_DELAY='0', RESTARTS='2')
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(self.starts(), 3)
        self.assertIn('the job has failed 3 times', ended.stderr)

    def test_a_signal_ends_the_job_in_order(self):
        command = self.serve_group(f'trap "echo ended >> {self.count}; exit 3" TERM; echo up; while :; do sleep 0.05; done')
        for number in (signal.SIGTERM, signal.SIGINT):
            # A shell cannot trap what was ignored when it was started, as SIGINT is for jobs in the background.
            take_signals = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=take_signals) as group:
                self.assertEqual(group.stdout.readline(), 'up\n')
                group.send_signal(number)
                self.assertEqual(group.wait(LONGEST_WAIT_S), 0)
        self.assertEqual(self.count.read_text(), 'start\nended\n' * 2)

    def test_without_a_job(self):
        self.assertEqual(run([GROUP / 'serve-group']).returncode, 2)


class SlurmRankTest(unittest.TestCase):
    def test_names_the_place_of_a_process(self):
        cases = [('2', 0, '2'), ('2(x3),1', 2, '2'), ('2(x3),1', 3, '1'), ('1,4(x2),3', 0, '1'), ('1,4(x2),3', 2, '4')]
        for layout, node, expected in cases:
            shown = run([GROUP / 'slurm-rank', 'env'], SLURM_PROCID='5', SLURM_NTASKS='7', SLURM_LOCALID='1',
                        SLURM_NODEID=str(node), SLURM_STEP_TASKS_PER_NODE=layout)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            for line in ('RANK=5', 'SIZE=7', 'LOCAL_RANK=1', f'LOCAL_SIZE={expected}'):
                self.assertIn(f'OMPI_COMM_WORLD_{line}\n', shown.stdout)


@unittest.skipUnless(shutil.which('mpirun'), 'mpirun is not installed')
class ServiceTest(unittest.TestCase):
    """Two ranks of the demo model behind each recipe: they serve, and serve again after each of them was killed."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.port = free_port()
        self.log_path = Path(self.folder.name) / 'log'

    def start(self, command, **variables):
        log = open(self.log_path, 'w')
        self.addCleanup(log.close)
        environment = os.environ | {'RESTART_DELAY': '0', 'OPTION_OVERSUBSCRIBE': 'true', 'OPTION_THREADS': '1',
                                    'SERVING_PORT': str(self.port)} | variables
        group = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=SOURCE)
        self.addCleanup(self.end, group)
        return group

    def end(self, group):
        if group.poll() is None:
            group.terminate()
        group.wait()

    def ping(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=LONGEST_WAIT_S)
        try:
            connection.request('GET', '/ping')
            return connection.getresponse().status
        except (ConnectionError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def wait_until(self, condition, group):
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not condition():
            self.assertIsNone(group.poll(), self.log_path.read_text())
            self.assertLess(time.monotonic(), deadline, self.log_path.read_text())
            time.sleep(0.05)

    def ranks(self):
        """The processes of this test's server: {rank: process id}."""
        found = {}
        for folder in Path('/proc').glob('[0-9]*'):
            try:
                if (folder / 'exe').resolve() != PROGRAM:
                    continue
                environment = (folder / 'environ').read_bytes().decode(errors='replace').split('\0')
            except OSError:
                continue
            rank = [entry for entry in environment if entry.startswith('OMPI_COMM_WORLD_RANK=')]
            if rank and f'SERVING_PORT={self.port}' in environment:
                found[int(rank[0].partition('=')[2])] = int(folder.name)
        return found

    def expect_service(self, group):
        self.wait_until(lambda: self.ping() == 200, group)
        for rank in (1, 0):
            old = self.ranks()
            self.assertEqual(set(old), {0, 1})
            os.kill(old[rank], signal.SIGKILL)
            # Both processes are other ones.
            self.wait_until(lambda: self.ranks().keys() == {0, 1} and not set(self.ranks().values()) & set(old.values()), group)
            self.wait_until(lambda: self.ping() == 200, group)
        group.terminate()
        self.assertEqual(group.wait(LONGEST_WAIT_S), 0, self.log_path.read_text())
        self.assertIn('serve-group: the job ended with code', self.log_path.read_text())

    def test_mpirun(self):
        hosts = Path(self.folder.name) / 'hosts'
        hosts.write_text('localhost slots=2\n')
        recipe = re.search(r'```sh\n(deploy/group/serve-group mpirun[^`]*)```', (SOURCE / 'docs/deploy.md').read_text())[1]
        command = recipe.replace('hosts', str(hosts), 1).replace(' dray ', f' {PROGRAM} ').replace('/models/large', 'models/demo')
        command = command.replace('mpirun', 'mpirun --allow-run-as-root').replace('\\\n', ' ').split()
        self.expect_service(self.start(command))

    def test_slurm(self):
        srun = Path(self.folder.name) / 'srun'
        srun.write_text(SRUN)
        srun.chmod(0o755)
        arguments = Path(self.folder.name) / 'arguments'
        group = self.start([GROUP / 'dray.sbatch', 'models/demo'], DRAY=str(PROGRAM), SLURM_SUBMIT_DIR=str(SOURCE),
                           SRUN_ARGUMENTS=str(arguments), PATH=f'{self.folder.name}:{os.environ["PATH"]}')
        self.expect_service(group)
        self.assertIn('--kill-on-bad-exit=1', arguments.read_text().splitlines())


if __name__ == '__main__':
    PROGRAM = Path(sys.argv.pop(1)).resolve()
    unittest.main()
