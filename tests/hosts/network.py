"""Hosts on one machine: network namespaces that reach each other by one network, and nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

from packet_relay import PacketRelay

CABLE = 'cable'  # the device of each host
TOOLS = ['ip', 'tc', 'unshare', 'mpirun']

# Starts Open MPI's daemon on another host, as ssh would.
AGENT = '''#!/bin/bash
host=$1
shift
exec {folder}/on-host "$host" env -i PATH="$PATH" HOME="$HOME" TMPDIR={folder} OMPI_ALLOW_RUN_AS_ROOT=1 \\
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 bash -c "$*"
'''
# Runs a command on a host, which has a name of its own: on-host ADDRESS COMMAND...
ON_HOST = '''#!/bin/bash
address=$1
shift
number=${{address##*.}}
exec ip netns exec "{prefix}$number" unshare --uts bash -c 'hostname "$0"; exec "$@"' "host-$number" "$@"
'''


def reason_to_skip():
    if os.geteuid() != 0:
        return 'only root can make network namespaces'
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=os.environ['PATH'] + ':/usr/sbin')]
    if missing:
        return f'needs {", ".join(missing)}'
    trial = f'dray{os.getpid()}-trial'
    made = subprocess.run(['ip', 'netns', 'add', trial], capture_output=True, text=True)
    subprocess.run(['ip', 'netns', 'del', trial], capture_output=True)
    return f'no network namespaces here: {made.stderr}' if made.returncode else None


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Network:
    """`folder` is a Path, for scripts and the files of Open MPI."""

    def __init__(self, folder, num_hosts):
        self.folder = folder
        self.prefix = f'dray{os.getpid()}-'
        self.relay = None
        self.addresses = [f'10.77.9.{i + 1}' for i in range(num_hosts)]
        self.namespaces = [f'{self.prefix}{i + 1}' for i in range(num_hosts)]
        self.switch = f'{self.prefix}switch'
        for name, script in (('agent', AGENT), ('on-host', ON_HOST)):
            (folder / name).write_text(script.format(folder=folder, prefix=self.prefix))
            (folder / name).chmod(0o755)
        self.write_hosts(num_hosts)
        for namespace in self.namespaces:
            run('ip', 'netns', 'add', namespace)
            run('ip', '-n', namespace, 'link', 'set', 'lo', 'up')

    def write_hosts(self, count):
        """The file of the hosts that groups are on: the first `count` ones, with a rank each."""
        lines = [f'{address} slots=1\n' for address in self.addresses[:count]]
        (self.folder / 'hosts').write_text(''.join(lines))

    def close(self):
        if self.relay:
            self.relay.close()
        for namespace in [*self.namespaces, self.switch]:
            subprocess.run(['ip', 'netns', 'del', namespace], capture_output=True)

    def connect_by_switch(self):
        """A cable from each host to a switch."""
        run('ip', 'netns', 'add', self.switch)
        run('ip', '-n', self.switch, 'link', 'add', 'bridge', 'type', 'bridge')
        run('ip', '-n', self.switch, 'link', 'set', 'bridge', 'up')
        for i, namespace in enumerate(self.namespaces):
            run('ip', 'link', 'add', CABLE, 'netns', namespace, 'type', 'veth', 'peer', 'name', f'port{i}', 'netns', self.switch)
            run('ip', '-n', self.switch, 'link', 'set', f'port{i}', 'master', 'bridge', 'up')
        self.bring_up()

    def connect_by_relay(self):
        """Packets go through a relay that loses some of them. OSError where the system has no TUN devices."""
        self.relay = PacketRelay(self.namespaces, self.addresses, CABLE)
        self.bring_up()

    def bring_up(self):
        for namespace, address in zip(self.namespaces, self.addresses):
            run('ip', '-n', namespace, 'addr', 'add', f'{address}/24', 'dev', CABLE)
            run('ip', '-n', namespace, 'link', 'set', CABLE, 'up')

    def set_rate(self, rate):
        """Of what each host sends, such as 8mbit."""
        for namespace in self.namespaces:
            run('tc', '-n', namespace, 'qdisc', 'replace', 'dev', CABLE, 'root', 'tbf', 'rate', rate, 'burst', '16kb',
                'latency', '100ms')

    def set_link(self, host, state):
        """Sets the switch's end of a host's cable up or down: the host itself sees a cable without a signal."""
        run('ip', '-n', self.switch, 'link', 'set', f'port{host}', state)

    def environment(self):
        """For Open MPI: groups that dray starts find the hosts by it."""
        return os.environ | {
            'OMPI_MCA_plm_rsh_agent': str(self.folder / 'agent'), 'OMPI_MCA_orte_default_hostfile': str(self.folder / 'hosts'),
            'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1', 'TMPDIR': str(self.folder)}

    def on_host(self, host, command):
        return [str(self.folder / 'on-host'), self.addresses[host], *map(str, command)]
