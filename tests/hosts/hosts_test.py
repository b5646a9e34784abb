#!/usr/bin/env python3
"""Groups over two and four hosts, which are network namespaces, with a link that is slow, loses packets, or is down. Needs root,
mpirun, ip, tc and unshare; a case is skipped where the system does not allow what it needs.

    hosts_test.py DRAY_PROGRAM GOLDEN_RANKS_TEST

GOLDEN_RANKS_TEST (tests/ranks/golden_ranks_test.cc) compares the logits and the tokens of such groups with those of threads, bit
by bit. Slots in the file of hosts are one for each host, so every rank is on a host of its own.
"""

import json
import os
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
from network import Network, reason_to_skip  # noqa: E402

SOURCE = HERE.parent.parent
PROGRAM = GOLDEN = None
LONGEST_WAIT_S = 300
RATE = '8mbit'
# An answer of 120 tokens takes some 15 s at this rate, so that the link goes down in the midst of it.
LOW_RATE = '1mbit'
# Longer than a busy machine keeps a process from running.
RANK_TIMEOUT_S = 10
REASON_TO_SKIP = reason_to_skip()


def program_of(pid):
    """The path of a process' program; None if the process has ended."""
    try:
        return os.readlink(f'/proc/{pid}/exe')
    except OSError:
        return None


class HostsTest(unittest.TestCase):
    def make_network(self, num_hosts):
        if REASON_TO_SKIP:
            self.skipTest(REASON_TO_SKIP)
        folder = tempfile.TemporaryDirectory(prefix='dray')
        self.addCleanup(folder.cleanup)
        self.network = Network(Path(folder.name), num_hosts)
        self.addCleanup(self.network.close)
        return self.network

    def run_on_host(self, host, command):
        return subprocess.run(self.network.on_host(host, command), env=self.network.environment(), capture_output=True, text=True,
                              timeout=LONGEST_WAIT_S, cwd=SOURCE)


class GoldenTest(HostsTest):
    """Ranks on different hosts compute the golden logits and tokens."""

    def expect_golden(self, cells):
        names = ':'.join(f'*TransportTest.*/{cell}' for cell in cells)
        tested = self.run_on_host(0, [GOLDEN, f'--gtest_filter={names}'])
        self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)
        self.assertIn(f'{len(cells)} tests', tested.stdout)

    def test_two_hosts_with_a_slow_link(self):
        network = self.make_network(2)
        network.connect_by_switch()
        network.set_rate(RATE)
        self.expect_golden(['llama_2x1', 'gptj_4_heads_1x2', 'gptq_g32_2x1'])

    def test_four_hosts_with_slow_links(self):
        network = self.make_network(4)
        network.connect_by_switch()
        network.set_rate(RATE)
        self.expect_golden(['bloom_5_heads_4x1', 'qwen3_4_heads_2x2'])

    def test_two_hosts_with_a_lossy_link(self):
        network = self.make_network(2)
        try:
            network.connect_by_relay()
        except OSError as error:
            self.skipTest(f'no TUN devices here: {error}')
        self.expect_golden(['mistral_4_heads_2x1', 'opt_4_heads_1x2'])
        self.assertGreater(network.relay.lost, 0)


class Server:
    """A server on the first host; `command` is behind the program that starts it."""

    def __init__(self, test, command, **variables):
        self.test = test
        self.network = test.network
        self.log_path = self.network.folder / 'log'
        self.log = open(self.log_path, 'w')
        self.process = subprocess.Popen(self.network.on_host(0, command), env=self.network.environment() | variables,
                                        stdout=self.log, stderr=subprocess.STDOUT, cwd=SOURCE)

    def wait_until(self, condition, what):
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not condition():
            self.test.assertLess(time.monotonic(), deadline, f'{what}: {self.log_path.read_text()}')
            time.sleep(0.05)

    def is_ready(self):
        return self.test.run_on_host(0, ['curl', '-sf', '-o', self.network.folder / 'ping',
                                         'http://127.0.0.1:8080/ping']).returncode == 0

    def ask(self, file):
        """Begins to write a stream of tokens to a file, and returns the process that does."""
        body = json.dumps({'inputs': 'Once upon a time', 'stream': True, 'parameters': {'max_new_tokens': 120}})
        return subprocess.Popen(self.network.on_host(0, ['curl', '-sN', '-H', 'Content-Type: application/json', '-d', body, '-o',
                                                         file, 'http://127.0.0.1:8080/invocations']))

    def programs(self, host):
        """The processes of the program on a host."""
        listed = subprocess.run(['ip', 'netns', 'pids', self.network.namespaces[host]], capture_output=True, text=True).stdout
        return [pid for pid in map(int, listed.split()) if program_of(pid) == str(PROGRAM)]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(LONGEST_WAIT_S)
        self.log.close()
        for host in range(len(self.network.namespaces)):
            for pid in self.programs(host):
                os.kill(pid, signal.SIGKILL)


class LinkDownTest(HostsTest):
    """The link between two hosts goes down while tokens are generated."""

    FLAGS = ['--port', '8080', '--tensor-parallel-degree', '2', '--rank-timeout', str(RANK_TIMEOUT_S), '--threads', '2',
             '--oversubscribe', 'true']

    def setUp(self):
        network = self.make_network(2)
        network.connect_by_switch()
        network.set_rate(RATE)

    def start(self, command, **variables):
        server = Server(self, command, **variables)
        self.addCleanup(server.end)
        server.wait_until(server.is_ready, 'the server does not serve')
        return server

    def begin_answer(self, server):
        """A stream that has begun, and goes on slowly, and the file of its tokens."""
        self.network.set_rate(LOW_RATE)
        file = self.network.folder / 'answer'
        asking = server.ask(file)
        self.addCleanup(asking.wait)
        server.wait_until(lambda: file.exists() and file.stat().st_size > 500, 'no tokens come')
        return asking, file

    def test_a_group_of_the_front_goes_on_when_the_link_is_back(self):
        server = self.start([PROGRAM, 'serve', 'demo', *self.FLAGS, '--rank-transport', 'mpi', '--hostfile',
                             self.network.folder / 'hosts'])
        whole = self.network.folder / 'whole'
        self.assertEqual(server.ask(whole).wait(LONGEST_WAIT_S), 0)
        asking, file = self.begin_answer(server)
        self.network.set_link(1, 'down')
        server.wait_until(lambda: 'starting another one' in server.log_path.read_text(), 'the link that is down is not noticed')
        # The ranks have ended on both hosts, though the front cannot reach the second one.
        server.wait_until(lambda: not server.programs(1), 'a rank is left on the host that cannot be reached')
        self.assertIsNone(asking.poll(), 'the stream has ended')
        self.network.set_link(1, 'up')
        self.network.set_rate(RATE)
        self.assertEqual(asking.wait(LONGEST_WAIT_S), 0)
        self.assertEqual(file.read_text(), whole.read_text())

    def test_a_job_of_the_user_ends_with_the_reason(self):
        hosts = self.network.folder / 'hosts'
        server = self.start([SOURCE / 'deploy/group/serve-group', 'mpirun', '--hostfile', hosts, '--bind-to', 'none', PROGRAM,
                             'serve', 'demo', *self.FLAGS], RESTARTS='0', KEEPALIVE=str(RANK_TIMEOUT_S))
        self.begin_answer(server)
        self.network.set_link(1, 'down')
        server.wait_until(lambda: server.process.poll() is not None, 'the job does not end')
        server.wait_until(lambda: not server.programs(0) and not server.programs(1), 'a process of the job is left')
        self.assertEqual(server.process.returncode, 1)
        log = server.log_path.read_text()
        self.assertTrue('lost communication' in log or 'rank 1 of 2 did not come' in log, log)


class StrangerTest(HostsTest):
    """A third host of the network, which is not of the group, connects to every port of the other two."""

    def ports(self, host):
        """That other hosts can connect to."""
        listed = self.run_on_host(host, ['cat', '/proc/net/tcp']).stdout.splitlines()[1:]
        addresses = [line.split()[1] for line in listed if line.split()[3] == '0A']  # LISTEN
        return {int(port, 16) for address, port in (one.split(':') for one in addresses) if address == '00000000'}

    def job_of(self, pid):
        """The number of the MPI job of a process."""
        variables = Path(f'/proc/{pid}/environ').read_text().split('\0')
        return next(value for name, _, value in (one.partition('=') for one in variables) if name == 'PMIX_NAMESPACE')

    def test_changes_nothing(self):
        network = self.make_network(3)
        network.connect_by_switch()
        network.write_hosts(2)
        server = Server(self, [PROGRAM, 'serve', 'demo', '--port', '8080', '--rank-transport', 'mpi', '--tensor-parallel-degree',
                               '2', '--threads', '2', '--oversubscribe', 'true'])
        self.addCleanup(server.end)
        server.wait_until(server.is_ready, 'the server does not serve')
        whole = network.folder / 'whole'
        self.assertEqual(server.ask(whole).wait(LONGEST_WAIT_S), 0)
        for host in range(2):
            answer = network.folder / f'answer-{host}'
            asking = server.ask(answer)
            ports = ','.join(map(str, self.ports(host)))
            job = self.job_of(server.programs(host)[-1])
            stranger = self.run_on_host(2, [sys.executable, HERE / 'stranger.py', network.addresses[host], ports, job])
            self.assertEqual(stranger.returncode, 0, stranger.stderr)
            self.assertGreater(int(stranger.stdout), 0)
            self.assertEqual(asking.wait(LONGEST_WAIT_S), 0)
            self.assertEqual(answer.read_text(), whole.read_text())
        self.assertNotIn('starting another one', server.log_path.read_text())


if __name__ == '__main__':
    PROGRAM, GOLDEN = (Path(sys.argv.pop(1)).resolve() for _ in range(2))
    unittest.main()
